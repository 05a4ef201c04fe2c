import { decodeEvent } from './event-codec.js';
import type { Uuid } from '../platform/ids.js';
import type { LoggedEvent } from './event.model.js';
import type { Opened } from './event-seal.model.js';

/** A row of the log, as far as applying or replaying it needs; its payload as it is stored, mostly sealed. */
export interface EventRow {
  readonly pos: number;
  readonly accepted_at: number;
  readonly occurred_at: number;
  readonly source_id: number;
  readonly part: number;
  readonly historical: boolean;
  readonly anchor_id: Uuid;
  readonly payload: Buffer;
}

/** The columns of {@link EventRow}. */
export const EVENT_COLUMNS = 'pos, accepted_at, occurred_at, source_id, part, historical, anchor_id, payload';

export function eventOfRow(row: Opened<EventRow>): LoggedEvent {
  return decodeEvent(row.payload, {
    pos: row.pos,
    part: row.part,
    sourceId: row.source_id,
    occurredAt: row.occurred_at,
    acceptedAt: row.accepted_at,
    historical: row.historical,
  });
}
