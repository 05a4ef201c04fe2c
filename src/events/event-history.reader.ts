import { int4Array, int8Array, textArray, uuidArray } from '../platform/binary-arrays.js';
import type { Uuid } from '../platform/ids.js';
import type { Transaction } from '../platform/postgres.js';
import { eventUnlessDamaged, type DamagedRow } from './damaged-rows.model.js';
import type { LoggedEvent } from './event.model.js';
import { EVENT_COLUMNS, type EventRow } from './event-row.model.js';
import { NO_SEALER, type EventSealer, type Opened } from './event-seal.model.js';

/** Anchors whose events are read as one history. */
export interface HistoryGroup {
  readonly anchorIds: readonly Uuid[];
  /** Events that occurred after this are left out, ms. */
  readonly untilMs: number;
}

/** An item whose events are read as one history. */
export interface KeyGroup {
  readonly key: string;
  /** Events that occurred after this are left out, ms. */
  readonly untilMs: number;
}

export interface HistoryOptions {
  /** Events after this position are left out. */
  readonly toPos: number;
  /** Events accepted after this are left out, ms; default: none. */
  readonly acceptedUntilMs?: number;
  /** Within a group: by time of occurrence, or by acceptance; ties by position. */
  readonly order: 'occurred' | 'accepted';
  /** Told of each row whose bytes cannot be read, and which is left out. */
  readonly onDamaged: (row: DamagedRow) => void;
  /** Told where rows were left out that nobody can open any more (`beside-erasures.reader.ts`). */
  readonly onUnreadable?: () => void;
}

export interface HistoryEvent {
  /** Index of the group. */
  readonly group: number;
  readonly event: LoggedEvent;
}

const PAGE_EVENTS = 2_000;
/** For the first page, which sorts all of them. */
const STATEMENT_TIMEOUT = '10min';

/** A row of the log in the history of a group. */
export interface HistoryRow extends EventRow {
  /** Index of the group. */
  readonly grp: number;
}

/**
 * Reads long stretches of the log by anchor, for work that is done aside: training sets and replays.
 *
 * The database sorts and a cursor hands out pages, so that memory here is bounded however long the histories are.
 * Events that could not be applied (those with a dead letter) are left out, as they have no effect online either.
 * So is a row whose bytes were damaged since: the histories of all others are right without it.
 */
export class EventHistoryReader {
  /** @param statementTimeout of each statement, as PostgreSQL writes it */
  constructor(
    private readonly sealer: EventSealer = NO_SEALER,
    private readonly statementTimeout = STATEMENT_TIMEOUT,
  ) {}

  /**
   * Pages of events, one group after the other in the order given. One read at a time in a transaction, and no other query
   * between its pages; a read that is not taken to its end closes its cursor all the same.
   */
  async *read(
    tx: Transaction,
    groups: readonly HistoryGroup[],
    options: HistoryOptions,
  ): AsyncGenerator<readonly HistoryEvent[], void, undefined> {
    const { toPos, acceptedUntilMs = Number.MAX_SAFE_INTEGER, order } = options;
    const asked = groups.flatMap(({ anchorIds, untilMs }, group) =>
      anchorIds.map((anchorId) => ({ anchorId, group, untilMs })),
    );
    if (asked.length === 0) return;
    const values = [
      uuidArray(asked, (a) => a.anchorId),
      int4Array(asked, (a) => a.group),
      int8Array(asked, (a) => a.untilMs),
      toPos,
      acceptedUntilMs,
    ];
    yield* decoded(this.#pages(tx, { text: declare(OF_ANCHORS, order), values }, options.onUnreadable), options);
  }

  /**
   * The same of items that events name, by the index of the view that means this.
   * @param meaning see `entity-fold.model.ts`
   */
  readOfItems(
    tx: Transaction,
    meaning: Uuid,
    groups: readonly KeyGroup[],
    options: HistoryOptions,
  ): AsyncGenerator<readonly HistoryEvent[], void, undefined> {
    return decoded(this.rowsOfItems(tx, meaning, groups, options), options);
  }

  /** The same, as rows that are opened and not decoded yet: packed as they are kept in memory. */
  async *rowsOfItems(
    tx: Transaction,
    meaning: Uuid,
    groups: readonly KeyGroup[],
    options: Omit<HistoryOptions, 'onDamaged'>,
  ): AsyncGenerator<readonly Opened<HistoryRow>[], void, undefined> {
    if (groups.length === 0) return;
    const { toPos, acceptedUntilMs = Number.MAX_SAFE_INTEGER, order, onUnreadable } = options;
    const values = [
      textArray(groups, ({ key }) => key),
      int4Array([...groups.keys()], (group) => group),
      int8Array(groups, ({ untilMs }) => untilMs),
      toPos,
      acceptedUntilMs,
      meaning,
    ];
    yield* this.#pages(tx, { text: declare(OF_ITEMS, order), values }, onUnreadable);
  }

  async *#pages(
    tx: Transaction,
    cursor: { readonly text: string; readonly values: readonly unknown[] },
    onUnreadable?: () => void,
  ): AsyncGenerator<readonly Opened<HistoryRow>[], void, undefined> {
    await tx.query(`SELECT set_config('statement_timeout', $1, true)`, [this.statementTimeout]);
    await tx.query(cursor.text, cursor.values);
    const fetch = (): Promise<HistoryRow[]> => {
      const page = tx.query<HistoryRow>(`FETCH ${String(PAGE_EVENTS)} FROM event_history`);
      // Whoever stops before the page is taken does not hear of its failure.
      page.catch(() => undefined);
      return page;
    };
    let next = fetch();
    try {
      for (;;) {
        const rows = await next;
        const isLast = rows.length < PAGE_EVENTS;
        // The database is at the next page while this one is worked on.
        if (!isLast) next = fetch();
        const opened = rows.length > 0 ? await this.sealer.open(rows) : [];
        if (opened.length < rows.length) onUnreadable?.();
        if (opened.length > 0) yield opened;
        if (isLast) break;
      }
    } finally {
      await next.catch(() => undefined);
      // After a failed statement the transaction is lost, and the cursor with it.
      await tx.query('CLOSE event_history').catch(() => undefined);
    }
  }
}

async function* decoded(
  pages: AsyncGenerator<readonly Opened<HistoryRow>[], void, undefined>,
  { onDamaged }: HistoryOptions,
): AsyncGenerator<readonly HistoryEvent[], void, undefined> {
  for await (const rows of pages) {
    const events = rows.flatMap((row) => {
      const event = eventUnlessDamaged(row, onDamaged);
      return event === null ? [] : [{ group: row.grp, event }];
    });
    if (events.length > 0) yield events;
  }
}

// One index scan an anchor, whatever the planner thinks of the table: a log is too large to be read for a few of them.
const OF_ANCHORS = `unnest($1::uuid[], $2::int4[], $3::int8[]) AS a (anchor_id, grp, until_ms)
  CROSS JOIN LATERAL (
    SELECT ${EVENT_COLUMNS} FROM event_log l
    WHERE l.anchor_id = a.anchor_id AND l.occurred_at <= a.until_ms AND l.pos <= $4::int8 AND l.accepted_at <= $5::int8
    OFFSET 0
  ) e`;

// Positions of an item first, then each event by its position.
const OF_ITEMS = `unnest($1::text[], $2::int4[], $3::int8[]) AS a (key, grp, until_ms)
  CROSS JOIN LATERAL (
    SELECT i.pos AS at FROM entity_folds f JOIN entity_events i ON i.fold_id = f.id
    WHERE f.meaning = $6::uuid AND i.key = a.key COLLATE "C" AND i.pos <= $4::int8
    OFFSET 0
  ) p
  CROSS JOIN LATERAL (
    SELECT ${EVENT_COLUMNS} FROM event_log l
    WHERE l.pos = p.at AND l.occurred_at <= a.until_ms AND l.accepted_at <= $5::int8
    OFFSET 0
  ) e`;

const declare = (from: string, order: HistoryOptions['order']): string => `
  DECLARE event_history NO SCROLL CURSOR FOR
  SELECT a.grp, e.* FROM ${from}
  WHERE NOT EXISTS (SELECT FROM dead_letters d WHERE d.pos = e.pos)
  ORDER BY a.grp, ${order === 'occurred' ? 'e.occurred_at' : 'e.accepted_at'}, e.pos`;
