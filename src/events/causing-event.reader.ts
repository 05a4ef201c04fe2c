import { int8Array } from '../platform/binary-arrays.js';
import type { Queryable } from '../platform/postgres.js';
import { eventUnlessDamaged } from './damaged-rows.model.js';
import { EVENT_COLUMNS, type EventRow } from './event-row.model.js';
import type { EventSealer } from './event-seal.model.js';
import type { LoggedEvent } from './event.model.js';

/** What may be told of the event behind something else: which one it is, and nothing that was sent along. */
export type CausingEvent = Pick<
  LoggedEvent,
  'messageId' | 'type' | 'name' | 'sourceId' | 'occurredAt' | 'acceptedAt' | 'historical'
>;

/** Finds events by where they stand in the log. */
export class CausingEventReader {
  constructor(
    private readonly db: Queryable,
    private readonly sealer: EventSealer,
  ) {}

  /**
   * The events at these positions, in one statement. Left out is what is not in the log any more, because it was taken
   * back, erased or too old, and what cannot be read.
   */
  async at(positions: readonly number[]): Promise<ReadonlyMap<number, CausingEvent>> {
    if (positions.length === 0) return new Map();
    const { rows } = await this.db.run<EventRow>({
      name: 'causing-events',
      text: `SELECT ${EVENT_COLUMNS} FROM event_log WHERE pos = ANY ($1::int8[])`,
      values: [int8Array([...new Set(positions)], (pos) => pos)],
    });
    const found = new Map<number, CausingEvent>();
    for (const row of await this.sealer.open(rows)) {
      const event = eventUnlessDamaged(row, () => undefined);
      if (event === null) continue;
      const { messageId, type, name, sourceId, occurredAt, acceptedAt, historical } = event;
      found.set(row.pos, { messageId, type, name, sourceId, occurredAt, acceptedAt, historical });
    }
    return found;
  }
}
