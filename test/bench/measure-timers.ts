import type { BenchWorld } from './bench-world.js';
import { figure, percentile, type Section } from './report.js';
import { CART_SEGMENT } from './shop-workload.js';

export interface TimersOptions {
  readonly perSecond: number;
  readonly seconds: number;
  /** Kills the server (SIGKILL) when half of the time is over, and starts another on the same database. */
  readonly kill: boolean;
}

interface Change {
  readonly seq: number;
  readonly at: number;
  readonly kind: string;
}

/** How long after the last due time changes are waited for. */
const PATIENCE_MS = 30_000;
const POLL_MS = 10;
/** People are there before the first is due: what they take to be loaded, on a busy machine, too. */
const LOADED_PER_SECOND = 1_500;
const STARTED_MS = 10_000;

/**
 * People who enter a segment by the passing of time alone, so many each second, on the real clock: from when each is
 * due to when the change is seen in the feed's table. Each is to be there once.
 * @throws Error where people were not loaded before the first was due, or a change has an instant that nobody was due at
 */
export async function measureTimers(world: BenchWorld, { perSecond, seconds, kill }: TimersOptions): Promise<Section> {
  const people = perSecond * seconds;
  const databaseUrl = await world.createDatabase('timers');
  let host = await world.startServer({ databaseUrl, scores: false, worker: true, define: true });
  const database = await world.connect(databaseUrl);
  const everyMs = 1_000 / perSecond;
  const firstMs = Date.now() + STARTED_MS + Math.ceil((people / LOADED_PER_SECOND) * 1_000);
  await host.server.call('acceptCarts', people, firstMs, everyMs);
  await host.server.call('applied');
  if (Date.now() > firstMs) throw new Error('people were not loaded before the first was due; ask for fewer --seconds');
  await host.server.call('loopPauses');

  const killMs = firstMs + (seconds * 1_000) / 2;
  const untilMs = firstMs + seconds * 1_000 + PATIENCE_MS;
  const lateMs: number[] = [];
  const lateBeforeMs: number[] = [];
  const entered = new Map<number, number>();
  let restarting: Promise<void> | null = null;
  let seq = 0;
  while (Date.now() < untilMs && lateMs.length < people) {
    const changes = await database.query<Change>(
      `SELECT c.seq, c.at, c.kind FROM changes c JOIN segments s ON s.id = c.segment_id
       WHERE c.seq > $1 AND s.key = $2 ORDER BY c.seq`,
      [seq, CART_SEGMENT],
    );
    const seenMs = Date.now();
    for (const change of changes) {
      seq = change.seq;
      if (change.kind !== 'enter') throw new Error(`somebody came to ${change.kind} the segment, which nobody should`);
      entered.set(change.at, (entered.get(change.at) ?? 0) + 1);
      lateMs.push(seenMs - change.at);
      if (change.at < killMs - 1_000) lateBeforeMs.push(seenMs - change.at);
    }
    if (kill && restarting === null && seenMs >= killMs) {
      const killed = host.server;
      restarting = killed.kill().then(async () => {
        host = await world.startServer({ databaseUrl, scores: false, worker: true, define: false });
      });
      // Whoever waits for it below is told.
      restarting.catch(() => undefined);
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  await restarting;
  // A change that is made twice would follow.
  await host.server.call('applied');
  const [total] = await database.query<{ changes: number; people: number }>(
    `SELECT count(*)::int4 AS changes, count(DISTINCT c.profile_id)::int4 AS people
     FROM changes c JOIN segments s ON s.id = c.segment_id WHERE s.key = $1`,
    [CART_SEGMENT],
  );
  const { maxMs } = await host.server.call('loopPauses');
  await host.server.stop();
  const { changes: told, people: once } = total ?? { changes: 0, people: 0 };
  const inexact = countInexact(entered, { people, firstMs, everyMs });
  const judged = kill ? lateBeforeMs : lateMs;
  return {
    title: `Timers, ${perSecond.toLocaleString('en')} a second for ${String(seconds)} s`,
    notes: [
      'people enter a segment 5 minutes after an event, to the millisecond, on the real clock; 20 features and 9 segments;',
      `late is from when each is due to when the change is read from the feed’s table, asked every ${String(POLL_MS)} ms;`,
      ...(kill ? ['the server is killed in the midst and started again; late are those until a second before.'] : []),
    ],
    figures: [
      figure('p50 late', 'ms', [percentile(judged, 50)]),
      figure('p99 late', 'ms', [percentile(judged, 99)]),
      figure('latest of all', 'ms', [judged.reduce((a, b) => Math.max(a, b), 0)], '≤ 1,000'),
      ...(kill ? [figure('latest of all, with the restart', 'ms', [lateMs.reduce((a, b) => Math.max(a, b), 0)])] : []),
      figure('people due', '', [people]),
      figure('lost', '', [people - once], '0'),
      figure('doubled', '', [told - once], '0'),
      figure('not at their instant', '', [inexact], '0'),
      figure('the server’s thread held up, longest', 'ms', [maxMs]),
    ],
  };
}

/** How many changes are at instants at which fewer were due. */
function countInexact(
  entered: ReadonlyMap<number, number>,
  { people, firstMs, everyMs }: { readonly people: number; readonly firstMs: number; readonly everyMs: number },
): number {
  const due = new Map<number, number>();
  for (let i = 0; i < people; i++) {
    const at = firstMs + Math.floor(i * everyMs);
    due.set(at, (due.get(at) ?? 0) + 1);
  }
  let inexact = 0;
  for (const [at, count] of entered) inexact += Math.max(0, count - (due.get(at) ?? 0));
  return inexact;
}
