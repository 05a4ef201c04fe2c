import type { Clock } from '../platform/clock.js';
import { boolArray, byteaArray, int2Array, int4Array, int8Array, uuidArray } from '../platform/binary-arrays.js';
import { WeftError } from '../platform/errors.js';
import { partitionOf } from '../platform/ids.js';
import type { Uuid } from '../platform/ids.js';
import type { Queryable } from '../platform/postgres.js';
import { AppendQueue } from './append-queue.js';
import type { AppendQueueLimits } from './append-queue.js';
import { DamagedPayload } from './event-codec.js';
import type {
  AppendOutcome,
  DamagedEvent,
  EventLog,
  LogBatch,
  LogHead,
  PreparedEvent,
  ReadBatchOptions,
  TimelineOptions,
} from './event-log.model.js';
import type { LoggedEvent } from './event.model.js';
import { EVENT_COLUMNS, eventOfRow, type EventRow } from './event-row.model.js';
import { NO_SEALER, type EventSealer, type Opened } from './event-seal.model.js';
import { NO_SUPPRESSIONS, type EventSuppressions } from './suppression.model.js';

const DEFAULT_LIMITS: AppendQueueLimits = {
  maxBatchEvents: 1_000,
  maxBatchBytes: 1024 * 1024,
  maxQueuedEvents: 20_000,
  maxQueuedBytes: 32 * 1024 * 1024,
};

/** Positions one read scans at most, so that a reader of few partitions gets an answer in bounded time. */
const MAX_SCAN_POSITIONS = 100_000;
const MAX_READ_EVENTS = 10_000;
const MAX_TIMELINE_EVENTS = 1_000;

/** What else decides over events: who is kept out, and what is sealed. */
export interface LogGuards {
  readonly suppressions?: EventSuppressions;
  readonly sealer?: EventSealer;
}

/** The head among the events of a read. */
interface HeadRow {
  readonly pos: number;
  readonly accepted_at: number;
  readonly payload: null;
}

interface AppendRow {
  /** Null: nothing was written, for others were erased than this process knows. */
  readonly first_pos: number | null;
  /** The version of the rules of identity in force. */
  readonly identity_rules: number;
  /** Positions that were written, separated by commas; null when all were. */
  readonly positions: string | null;
}

/**
 * The event log as a PostgreSQL table.
 *
 * 1. The one row of `log_head` is updated by every append and so locked until its commit: appends commit in the order
 *    of their positions, and what a snapshot shows is always the whole log up to some position (guarantee 2).
 * 2. `accepted_at` is taken from that row under its lock, never from the caller's clock alone (guarantee 3).
 * 3. A duplicate leaves a gap: its position is handed out and never used.
 * 4. The row also holds the version of the list of those who were erased, and an append under another writes nothing: who
 *    is put on the list in a transaction has no event after it.
 *
 * 5. It also holds the version of the rules of identity in force, and an event that was normalised by another is not
 *    written: at each position one version holds, and the first with a new one is after the last with the old.
 *
 * One statement an append, all arguments as binary arrays: 75,000 events/s in batches of 500 (450 B payloads, fsync on,
 * 2 cores), at 4 µs of Node time an event; unnest of array literals 49,000, json_to_recordset 42,000.
 */
export class PostgresEventLog implements EventLog {
  readonly #queue: AppendQueue;
  readonly #suppressions: EventSuppressions;
  readonly #sealer: EventSealer;
  /** Mean payload size of what was read last; keeps a read near its `maxBytes` without a running sum in SQL. */
  #averageBytes = 1024;
  #appendedPos = 0;

  constructor(
    private readonly db: Queryable,
    private readonly clock: Clock,
    /** `installation.partitions`; fixed for the life of the database. */
    private readonly partitions: number,
    limits: Partial<AppendQueueLimits> = {},
    { suppressions = NO_SUPPRESSIONS, sealer = NO_SEALER }: LogGuards = {},
  ) {
    this.#suppressions = suppressions;
    this.#sealer = sealer;
    this.#queue = new AppendQueue((events) => this.#write(events), { ...DEFAULT_LIMITS, ...limits });
  }

  /** Events that wait to be written. */
  get queuedEvents(): number {
    return this.#queue.queuedEvents;
  }

  get appendedPos(): number {
    return this.#appendedPos;
  }

  append(events: readonly PreparedEvent[]): Promise<AppendOutcome[]> {
    return this.#queue.append(events);
  }

  async readBatch(options: ReadBatchOptions): Promise<LogBatch> {
    const { afterPos, parts, maxBytes } = options;
    const limit = bounded(options.limit, MAX_READ_EVENTS, 'limit');
    const untilPos = Math.min(options.toPos ?? Number.MAX_SAFE_INTEGER, afterPos + MAX_SCAN_POSITIONS);
    const maxRows = Math.min(limit, Math.max(16, Math.ceil((2 * maxBytes) / this.#averageBytes)));
    const result = await this.db.run<HeadRow | EventRow>({
      name: 'event_log_read',
      text: READ,
      values: [afterPos, untilPos, int2Array(parts, (part) => part), maxRows],
    });
    const head = headOf(result.rows);
    const rows = result.rows.filter((row) => row.payload !== null);
    const toPos = Math.max(afterPos, Math.min(untilPos, head.pos));
    const taken = countUpTo(rows, maxBytes);
    const { events, damaged } = decode(await this.#sealer.open(rows.slice(0, taken)));
    if (rows.length > 0) this.#averageBytes = meanBytes(rows);
    const isComplete = taken === rows.length && rows.length < maxRows;
    return { events, damaged, scannedPos: isComplete ? toPos : (rows[taken - 1]?.pos ?? afterPos), head };
  }

  async head(): Promise<LogHead> {
    const { rows } = await this.db.run<LogHead>({ name: 'event_log_head', text: HEAD });
    return onlyRow(rows);
  }

  async bumpTime(nowMs: number): Promise<LogHead> {
    const { rows } = await this.db.run<LogHead>({ name: 'event_log_bump', text: BUMP, values: [nowMs] });
    return rows[0] ?? this.head();
  }

  async readByAnchors(anchorIds: readonly Uuid[], options: TimelineOptions): Promise<LoggedEvent[]> {
    const { fromMs = 0, toMs = Number.MAX_SAFE_INTEGER, before } = options;
    const limit = bounded(options.limit, MAX_TIMELINE_EVENTS, 'limit');
    const { rows } = await this.db.run<EventRow>({
      name: 'event_log_timeline',
      text: TIMELINE,
      values: [
        uuidArray([...new Set(anchorIds)], (id) => id),
        fromMs,
        toMs,
        before?.occurredAt ?? Number.MAX_SAFE_INTEGER,
        before?.pos ?? Number.MAX_SAFE_INTEGER,
        limit,
      ],
    });
    return decode(await this.#sealer.open(rows)).events;
  }

  async #write(events: readonly PreparedEvent[]): Promise<AppendOutcome[]> {
    const suppressions = this.#suppressions;
    for (;;) {
      const { version } = suppressions;
      const kept = suppressions.isEmpty
        ? events
        : events.filter((e) => !suppressions.isSuppressed(e.identifiers, e.formerIds));
      // With nothing to write nobody would say that there is another list.
      const outcomes = kept.length === 0 ? null : await this.#writeUnder(version, kept);
      if (outcomes !== null) {
        return kept.length === events.length ? outcomes : withSuppressed(events, kept, outcomes);
      }
      await suppressions.refresh();
      if (kept.length === 0 && suppressions.version === version) return withSuppressed(events, [], []);
    }
  }

  /** Null where that is not the version of the list of the erased. */
  async #writeUnder(version: number | null, events: readonly PreparedEvent[]): Promise<AppendOutcome[] | null> {
    const isLoaded = events.some((event) => event.loadId !== undefined);
    const payloads = await this.#sealed(events);
    const { rows } = await this.db.run<AppendRow>({
      ...(isLoaded ? APPEND_LOADED : APPEND),
      values: [
        events.length,
        this.clock.now(),
        int8Array(events, (e) => e.occurredAt),
        int4Array(events, (e) => e.sourceId),
        int2Array(events, (e) => partitionOf(e.anchorId, this.partitions)),
        int2Array(events, (e) => e.rulesVersion),
        boolArray(events, (e) => e.historical),
        uuidArray(events, (e) => e.anchorId),
        uuidArray(events, (e) => e.dedupeId),
        byteaArray(payloads, (payload) => payload),
        version,
        ...(isLoaded ? [events.map((e) => e.loadId ?? null)] : []),
      ],
    });
    const { first_pos: firstPos, positions, identity_rules: rulesVersion } = onlyRow(rows);
    if (firstPos === null) return null;
    this.#appendedPos = Math.max(this.#appendedPos, firstPos + events.length - 1);
    if (positions === null) return new Array<AppendOutcome>(events.length).fill('appended');
    const outcomes = new Array<AppendOutcome>(events.length).fill('duplicate');
    for (const pos of positions.split(',')) {
      if (pos !== '') outcomes[Number(pos) - firstPos] = 'appended';
    }
    for (const [i, event] of events.entries()) if (event.rulesVersion !== rulesVersion) outcomes[i] = 'outdated';
    if (isLoaded) await this.#refuseReverted(events, outcomes);
    await this.#withhold(events, outcomes);
    return outcomes;
  }

  /** What is of a load that is not open was not looked at, whether it is there or not. */
  async #refuseReverted(events: readonly PreparedEvent[], outcomes: AppendOutcome[]): Promise<void> {
    const loadIds = new Set(events.flatMap(({ loadId }) => loadId ?? []));
    const { rows } = await this.db.run<{ id: Uuid }>({
      name: 'event_log_open_loads',
      text: `SELECT id FROM loads WHERE id = ANY ($1::uuid[]) AND ${LOAD_IS_OPEN}`,
      values: [uuidArray([...loadIds], (id) => id)],
    });
    const open = new Set(rows.map(({ id }) => id));
    for (const [i, { loadId }] of events.entries()) {
      if (outcomes[i] === 'duplicate' && loadId !== undefined && !open.has(loadId)) outcomes[i] = 'load_reverted';
    }
  }

  /** With keys that may be destroyed by now: then the version of the list is another, and nothing is written. */
  async #sealed(events: readonly PreparedEvent[]): Promise<readonly Buffer[]> {
    if (!this.#sealer.isSealing) return events.map(({ payload }) => payload);
    const named = events.map(({ identifiers, payload }) => ({ namedIds: identifiers.map(({ id }) => id), payload }));
    return this.#sealer.seal(named, { mayRemember: true });
  }

  /** A duplicate of what is being taken back, or was since, would be lost with it. */
  async #withhold(events: readonly PreparedEvent[], outcomes: AppendOutcome[]): Promise<void> {
    const duplicates = events.filter((_, i) => outcomes[i] === 'duplicate');
    if (duplicates.length === 0) return;
    const { rows } = await this.db.run<{ dedupe_id: Uuid }>({
      name: 'event_log_standing',
      text: STANDING,
      values: [uuidArray(duplicates, (e) => e.dedupeId)],
    });
    const standing = new Set(rows.map((row) => row.dedupe_id));
    for (const [i, { dedupeId }] of events.entries()) {
      if (outcomes[i] === 'duplicate' && !standing.has(dedupeId)) outcomes[i] = 'withheld';
    }
  }
}

interface AppendText {
  /** Of the load ids, the last argument. */
  readonly types: string;
  readonly column: string;
  readonly where: string;
  readonly open: string;
}

const appendText = ({ types, column, where, open }: AppendText): string => `
  WITH head AS (
    UPDATE log_head SET pos = pos + $1::int8, accepted_at = greatest(accepted_at, $2::int8)
    WHERE $11::int8 IS NULL OR suppressions = $11::int8
    RETURNING pos, accepted_at, identity_rules
  ), ${open}incoming AS (
    SELECT * FROM unnest($3::int8[], $4::int4[], $5::int2[], $6::int2[], $7::bool[], $8::uuid[], $9::uuid[], $10::bytea[]${types})
      WITH ORDINALITY AS t (occurred_at, source_id, part, rules_version, historical, anchor_id, dedupe_id, payload${column}, n)
  ), written AS (
    INSERT INTO event_log (pos, accepted_at, occurred_at, source_id, part, rules_version, historical, anchor_id,
                           dedupe_id, payload${column})
    SELECT head.pos - $1::int8 + i.n, head.accepted_at, least(i.occurred_at, head.accepted_at), i.source_id, i.part,
           i.rules_version, i.historical, i.anchor_id, i.dedupe_id, i.payload${column}
    FROM head, incoming i
    WHERE i.rules_version = head.identity_rules${where}
    ORDER BY i.n
    ON CONFLICT (dedupe_id) DO NOTHING
    RETURNING pos
  )
  SELECT (SELECT pos FROM head) - $1::int8 + 1 AS first_pos, (SELECT identity_rules FROM head) AS identity_rules,
         CASE WHEN count(*) < $1::int8 THEN coalesce(string_agg(pos::text, ','), '') END AS positions
  FROM written`;

const APPEND = { name: 'event_log_append', text: appendText({ types: '', column: '', where: '', open: '' }) };

const LOAD_IS_OPEN = `status NOT IN ('reverting', 'reverted')`;

// The lock on the load's row makes a revert wait for this append, and this append see a revert that began before.
const APPEND_LOADED = {
  name: 'event_log_append_loaded',
  text: appendText({
    types: ', $12::uuid[]',
    column: ', load_id',
    where: ' AND (i.load_id IS NULL OR i.load_id IN (SELECT id FROM open_loads))',
    open: `open_loads AS MATERIALIZED (
    SELECT id FROM loads WHERE id = ANY ($12::uuid[]) AND ${LOAD_IS_OPEN} FOR SHARE
  ), `,
  }),
};

// Of these events, those that are there to stay.
const STANDING = `
  SELECT e.dedupe_id FROM event_log e
  WHERE e.dedupe_id = ANY ($1::uuid[])
    AND (e.load_id IS NULL OR e.load_id NOT IN (
      SELECT r.load_id FROM retractions r WHERE r.status = 'running' AND r.load_id IS NOT NULL
    ))
    AND e.pos NOT IN (
      SELECT t.pos FROM retracted_events t JOIN retractions r ON r.id = t.retraction_id WHERE r.status = 'running'
    )`;

// The head and the events in one statement, so of one snapshot: it shows every event up to the head, and none after it.
const READ = `
  SELECT pos, accepted_at, NULL::int8 AS occurred_at, NULL::int4 AS source_id, NULL::int2 AS part,
         NULL::bool AS historical, NULL::uuid AS anchor_id, NULL::bytea AS payload
  FROM log_head
  UNION ALL
  (SELECT ${EVENT_COLUMNS} FROM event_log
   WHERE pos > $1::int8 AND pos <= $2::int8 AND part = ANY ($3::int2[])
   ORDER BY pos LIMIT $4::int4)`;

const HEAD = 'SELECT pos, accepted_at AS "acceptedAt" FROM log_head';

const BUMP = `
  UPDATE log_head SET accepted_at = $1::int8 WHERE accepted_at < $1::int8
  RETURNING pos, accepted_at AS "acceptedAt"`;

// One index scan of at most `limit` rows for each anchor, whatever the number of its events.
const TIMELINE = `
  SELECT e.* FROM unnest($1::uuid[]) AS anchor (id) CROSS JOIN LATERAL (
    SELECT ${EVENT_COLUMNS} FROM event_log
    WHERE anchor_id = anchor.id AND occurred_at >= $2::int8 AND occurred_at < $3::int8
      AND (occurred_at, pos) < ($4::int8, $5::int8) AND occurred_at <= $4::int8
    ORDER BY occurred_at DESC, pos DESC LIMIT $6::int4
  ) e
  ORDER BY e.occurred_at DESC, e.pos DESC LIMIT $6::int4`;

function withSuppressed(
  events: readonly PreparedEvent[],
  kept: readonly PreparedEvent[],
  outcomes: readonly AppendOutcome[],
): AppendOutcome[] {
  const outcomeOf = new Map(kept.map((event, i) => [event, outcomes[i]]));
  return events.map((event) => outcomeOf.get(event) ?? 'suppressed');
}

function headOf(rows: readonly (HeadRow | EventRow)[]): LogHead {
  const { pos, accepted_at: acceptedAt } = onlyRow(rows.filter((row) => row.payload === null));
  return { pos, acceptedAt };
}

/** The number of leading rows whose payloads fit, at least one. */
function countUpTo(rows: readonly EventRow[], maxBytes: number): number {
  let bytes = 0;
  let count = 0;
  for (const { payload } of rows) {
    bytes += payload.length;
    if (bytes > maxBytes && count > 0) break;
    count++;
  }
  return count;
}

function decode(rows: readonly Opened<EventRow>[]): { events: LoggedEvent[]; damaged: DamagedEvent[] } {
  const events: LoggedEvent[] = [];
  const damaged: DamagedEvent[] = [];
  for (const row of rows) {
    try {
      events.push(eventOfRow(row));
    } catch (error) {
      if (!(error instanceof DamagedPayload)) throw error;
      const { pos, part, source_id: sourceId, accepted_at: acceptedAt, historical, payload } = row;
      damaged.push({ pos, part, sourceId, anchorId: row.anchor_id, acceptedAt, historical, payload, error });
    }
  }
  return { events, damaged };
}

function meanBytes(rows: readonly EventRow[]): number {
  let bytes = 0;
  for (const row of rows) bytes += row.payload.length;
  return Math.max(1, bytes / rows.length);
}

function bounded(value: number, max: number, name: string): number {
  if (Number.isInteger(value) && value >= 1 && value <= max) return value;
  throw new WeftError('BAD_REQUEST', `${name} is not between 1 and ${String(max)}`, {
    where: name,
    hint: `ask for 1 to ${String(max)}`,
  });
}

function onlyRow<Row>(rows: readonly Row[]): Row {
  const [row] = rows;
  if (row !== undefined) return row;
  throw new WeftError('INTERNAL', 'log_head is empty', { where: 'log_head', hint: 'run the migrations' });
}
