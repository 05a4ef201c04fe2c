import { uuidArray } from '../platform/binary-arrays.js';
import type { Uuid } from '../platform/ids.js';
import type { Queryable } from '../platform/postgres.js';
import { eventUnlessDamaged } from './damaged-rows.model.js';
import { EVENT_COLUMNS, type EventRow } from './event-row.model.js';
import type { EventSealer } from './event-seal.model.js';
import type { LoggedEvent } from './event.model.js';

/** Between two events of the log, ordered by when they happened; ties go by when they were accepted. */
export interface EventPlace {
  readonly occurredAt: number;
  readonly pos: number;
}

export interface TimelineRead {
  /** Where to begin; the event at the place itself is left out. */
  readonly from: EventPlace;
  /** Towards those that happened later. */
  readonly isNewer: boolean;
  /** Inclusive, ms of `occurredAt`. */
  readonly fromMs: number;
  /** Exclusive, ms of `occurredAt`. */
  readonly toMs: number;
  readonly limit: number;
  /** Ids of sources; null: all. */
  readonly sourceIds: readonly number[] | null;
  /** Whether rows of batch loads, or events that were sent as such, are wanted; null: both. */
  readonly isLoaded: boolean | null;
  /** What only the event itself tells; null: nothing is asked of it. */
  readonly isWanted: ((event: LoggedEvent) => boolean) | null;
}

export interface TimelineItem {
  readonly event: LoggedEvent;
  /** The load that it is a row of. */
  readonly loadId: Uuid | null;
}

export interface TimelineItems {
  /** The nearest to the place first; `limit` at most. */
  readonly items: readonly TimelineItem[];
  /** Set where the look ended for having read enough: there may be more behind this place. */
  readonly stoppedAt: EventPlace | null;
}

interface TimelineRow extends EventRow {
  readonly load_id: Uuid | null;
}

/** Events read at a time where some are left out, and in all for one page. */
const READ_EVENTS = 500;
const MAX_READ_EVENTS = 2_500;

/** Reads what happened to somebody, in both directions. */
export class TimelineReader {
  constructor(
    private readonly db: Queryable,
    private readonly sealer: EventSealer,
  ) {}

  async read(anchorIds: readonly Uuid[], asked: TimelineRead): Promise<TimelineItems> {
    const { limit, sourceIds, isLoaded, isWanted } = asked;
    const isPicky = sourceIds !== null || isLoaded !== null || isWanted !== null;
    const most = isPicky ? READ_EVENTS : limit;
    const items: TimelineItem[] = [];
    let from = asked.from;
    for (let read = 0; read < (isPicky ? MAX_READ_EVENTS : limit);) {
      const rows = await this.#rows(anchorIds, { ...asked, from }, most);
      const wanted = rows.filter(
        (row) =>
          (sourceIds === null || sourceIds.includes(row.source_id)) &&
          (isLoaded === null || isLoaded === (row.load_id !== null)),
      );
      for (const row of await this.sealer.open(wanted)) {
        const event = eventUnlessDamaged(row, () => undefined);
        if (event !== null && isWanted?.(event) !== false) items.push({ event, loadId: row.load_id });
      }
      const last = rows.at(-1);
      if (rows.length < most || last === undefined) return { items: items.slice(0, limit), stoppedAt: null };
      if (items.length >= limit) return { items: items.slice(0, limit), stoppedAt: null };
      read += rows.length;
      from = { occurredAt: last.occurred_at, pos: last.pos };
    }
    return { items, stoppedAt: from };
  }

  async #rows(
    anchorIds: readonly Uuid[],
    { from, fromMs, toMs, isNewer }: TimelineRead,
    limit: number,
  ): Promise<TimelineRow[]> {
    const { rows } = await this.db.run<TimelineRow>({
      name: isNewer ? 'timeline-newer' : 'timeline-older',
      text: isNewer ? NEWER : OLDER,
      values: [uuidArray([...new Set(anchorIds)], (id) => id), fromMs, toMs, from.occurredAt, from.pos, limit],
    });
    return rows;
  }
}

// One index scan of at most `limit` rows for each anchor, whatever the number of its events.
const OLDER = `
  SELECT e.* FROM unnest($1::uuid[]) AS anchor (id) CROSS JOIN LATERAL (
    SELECT ${EVENT_COLUMNS}, load_id FROM event_log
    WHERE anchor_id = anchor.id AND occurred_at >= $2::int8 AND occurred_at < $3::int8
      AND (occurred_at, pos) < ($4::int8, $5::int8) AND occurred_at <= $4::int8
    ORDER BY occurred_at DESC, pos DESC LIMIT $6::int4
  ) e
  ORDER BY e.occurred_at DESC, e.pos DESC LIMIT $6::int4`;

const NEWER = `
  SELECT e.* FROM unnest($1::uuid[]) AS anchor (id) CROSS JOIN LATERAL (
    SELECT ${EVENT_COLUMNS}, load_id FROM event_log
    WHERE anchor_id = anchor.id AND occurred_at >= $2::int8 AND occurred_at < $3::int8
      AND (occurred_at, pos) > ($4::int8, $5::int8) AND occurred_at >= $4::int8
    ORDER BY occurred_at, pos LIMIT $6::int4
  ) e
  ORDER BY e.occurred_at, e.pos LIMIT $6::int4`;
