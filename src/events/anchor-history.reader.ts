import { int8Array, uuidArray } from '../platform/binary-arrays.js';
import type { Uuid } from '../platform/ids.js';
import type { Transaction } from '../platform/postgres.js';
import { EVENT_COLUMNS, eventOfRow, type EventRow } from './event-row.model.js';
import type { EventSealer } from './event-seal.model.js';
import type { LoggedEvent } from './event.model.js';

const PAGE_EVENTS = 1_000;
/** For anchors with long histories; the transaction has a time-out of its own. */
const STATEMENT_TIMEOUT = '600000';

/**
 * The events of anchors, each up to a position, in pages, one anchor after the other and by position. Events that could
 * not be applied are left out, as they count nowhere. Once in a transaction.
 */
export async function* readAnchorHistories(
  tx: Transaction,
  sealer: EventSealer,
  anchors: readonly { readonly id: Uuid; readonly toPos: number }[],
): AsyncGenerator<readonly LoggedEvent[], void, undefined> {
  await tx.query(`SELECT set_config('statement_timeout', $1, true)`, [STATEMENT_TIMEOUT]);
  await tx.query(
    `DECLARE anchor_histories NO SCROLL CURSOR FOR
     SELECT ${EVENT_COLUMNS} FROM unnest($1::uuid[], $2::int8[]) AS a (id, to_pos) CROSS JOIN LATERAL (
       SELECT ${EVENT_COLUMNS} FROM event_log WHERE anchor_id = a.id AND pos <= a.to_pos OFFSET 0
     ) e
     WHERE NOT EXISTS (SELECT FROM dead_letters d WHERE d.pos = e.pos)
     ORDER BY a.id, e.pos`,
    [uuidArray(anchors, (a) => a.id), int8Array(anchors, (a) => a.toPos)],
  );
  for (;;) {
    const rows = await tx.query<EventRow>(`FETCH ${String(PAGE_EVENTS)} FROM anchor_histories`);
    if (rows.length > 0) yield (await sealer.open(rows)).map(eventOfRow);
    if (rows.length < PAGE_EVENTS) return;
  }
}
