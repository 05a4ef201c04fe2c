import type { EventLog } from './events/event-log.model.js';
import type { Place } from './pipeline-work.js';
import type { Clock } from './platform/clock.js';
import type { Transaction } from './platform/postgres.js';

/*
 * Where a step that no event brings stands in acceptance order: after what is applied and before what is not, at the
 * instant of the next event that waits, or now.
 *
 * 1. It is read in the step's transaction, once nobody else can evaluate whom the step evaluates: all workers stand still,
 *    or the profiles are locked. Who evaluated them before has committed by then, with the offsets and with the log's
 *    clock. So no evaluation so far is later, however long the locks were waited for.
 * 2. None to come is earlier, but of events that were accepted before and are of a partition whose worker is behind: those
 *    stand in the order in which the profile is locked, like events of two partitions (ADR 2).
 */

/**
 * To be called before the transaction of a step: raises the log's clock, so that a step with nothing waiting is evaluated
 * now and what is accepted later is not earlier. In that transaction every append would wait for its commit.
 */
export async function raiseClock({ clock, log }: { readonly clock: Clock; readonly log: EventLog }): Promise<void> {
  await log.bumpTime(clock.now());
}

/** When what is accepted last was, ms: nothing that was evaluated so far is later, once nobody else can until `tx` ends. */
export async function readLogTime(tx: Transaction): Promise<number> {
  const { rows } = await tx.run<{ acceptedAt: number }>({
    name: 'log-time',
    text: 'SELECT accepted_at AS "acceptedAt" FROM log_head',
    values: [],
  });
  const [head] = rows;
  if (head === undefined) throw new Error('the log has no head');
  return head.acceptedAt;
}

/** The place of a step whose profiles nobody else can evaluate until `tx` ends. */
export async function nextPlace(tx: Transaction): Promise<Place> {
  const { rows } = await tx.run<Place>({
    name: 'next-place',
    text: `SELECT a.pos, coalesce(
             (SELECT accepted_at FROM event_log WHERE pos > a.pos ORDER BY pos LIMIT 1), h.accepted_at
           )::int8 AS "acceptedAt"
           FROM (SELECT coalesce(max(applied_pos), 0)::int8 AS pos FROM partitions) a, log_head h`,
    values: [],
  });
  const [place] = rows;
  if (place === undefined) throw new Error('the log has no head');
  return place;
}
