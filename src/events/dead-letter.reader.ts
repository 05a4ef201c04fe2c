import type { Uuid } from '../platform/ids.js';
import type { Queryable } from '../platform/postgres.js';
import { openInputs } from './dead-letter-seal.js';
import {
  MAX_DEAD_LETTER_BYTES,
  type DeadLetterStage,
  type DeadLetterState,
  type RawForm,
} from './dead-letter.model.js';
import type { JsonValue } from './event.model.js';
import { NO_SEALER, type EventSealer } from './event-seal.model.js';

/** What is left out is not asked for. */
export interface DeadLetterFilter {
  readonly state?: DeadLetterState;
  readonly sourceId?: number;
  readonly stage?: DeadLetterStage;
  readonly code?: string;
  /** Received then or later, ms. */
  readonly sinceMs?: number;
  /** Of rows of this load. */
  readonly loadId?: Uuid;
}

/** Place in the order of pages. */
export interface DeadLetterPlace {
  readonly receivedAt: number;
  readonly id: number;
}

export interface StoredDeadLetter extends DeadLetterPlace {
  readonly state: DeadLetterState;
  readonly sourceId: number | null;
  readonly stage: DeadLetterStage;
  readonly code: string;
  readonly reason: string;
  readonly messageId: string | null;
  /** In the log; null for what never got there. */
  readonly pos: number | null;
  readonly loadId: string | null;
  readonly rowNumber: number | null;
  /** How the payload is mapped again. */
  readonly form: RawForm;
  /** A merge patch (RFC 7396) that a replay applies to the payload; null: none. */
  readonly fix: JsonValue;
  /** Under which message id it was replayed, or is to be; null: not tried yet. */
  readonly replayMessageId: string | null;
  /** When it was replayed or discarded, ms; null while it is open. */
  readonly settledAt: number | null;
  /** What was handed in, as text. May hold personal data: for administrators only, and never for logs. */
  readonly payload: string;
  /** Whether the payload may lack its end. */
  readonly isCut: boolean;
}

export interface DeadLetterCount {
  readonly state: DeadLetterState;
  readonly sourceId: number | null;
  readonly stage: DeadLetterStage;
  readonly code: string;
  readonly count: number;
  /** ms */
  readonly firstReceivedAt: number;
  readonly lastReceivedAt: number;
}

export const MAX_DEAD_LETTER_PAGE = 1_000;
/** What is shown of an input that can be read no more. */
const NOTHING = Buffer.from('null');
/** Of a payload in a page; `byIds` gives all of it. */
const MAX_PREVIEW_BYTES = 8 * 1024;

type Row = Omit<StoredDeadLetter, 'payload' | 'isCut' | 'form'> & {
  readonly payload: Buffer;
  readonly sealId: Uuid | null;
  readonly form: RawForm | null;
};

/**
 * Reads dead letters, newest first by `(receivedAt, id)`.
 *
 * A group is what has one state, stage, code and source. There are few groups however many letters there are, and the index
 * `dead_letters_group` leads from one to the next and to the newest of each, so a page costs a few index rows for each
 * group, whatever the filter and however deep the page.
 */
export class DeadLetterReader {
  constructor(
    private readonly db: Queryable,
    private readonly sealer: EventSealer = NO_SEALER,
  ) {}

  /**
   * @param before only letters that come after this one in the order of pages; null: from the newest on
   * @param limit 1 … {@link MAX_DEAD_LETTER_PAGE}
   */
  async page(
    filter: DeadLetterFilter,
    before: DeadLetterPlace | null,
    limit: number,
  ): Promise<readonly StoredDeadLetter[]> {
    const { loadId } = filter;
    const { rows } = await this.db.run<Row>({
      name: loadId === undefined ? 'dead_letters_page' : 'dead_letters_page_of_load',
      text: loadId === undefined ? PAGE : PAGE_OF_LOAD,
      values: [
        ...filterValues(filter),
        before?.receivedAt ?? Number.MAX_SAFE_INTEGER,
        before?.id ?? Number.MAX_SAFE_INTEGER,
        Math.min(limit, MAX_DEAD_LETTER_PAGE),
        ...(loadId === undefined ? [] : [loadId]),
      ],
    });
    return this.#opened(rows, MAX_PREVIEW_BYTES);
  }

  /** These letters with their whole payloads, by rising id; at most {@link MAX_DEAD_LETTER_PAGE}. */
  async byIds(ids: readonly number[]): Promise<readonly StoredDeadLetter[]> {
    const rows = await this.db.query<Row>(
      `SELECT ${COLUMNS}, d.payload FROM dead_letters d WHERE d.id = ANY ($1::int8[]) ORDER BY d.id LIMIT $2`,
      [ids, MAX_DEAD_LETTER_PAGE],
    );
    return this.#opened(rows, MAX_DEAD_LETTER_BYTES);
  }

  /** Open letters of a load's rows with their whole payloads, by rising row number, after a row. */
  async openOfLoad(loadId: Uuid, afterRow: number, limit: number): Promise<readonly StoredDeadLetter[]> {
    const rows = await this.db.query<Row>(
      `SELECT ${COLUMNS}, d.payload FROM dead_letters d
       WHERE d.load_id = $1 AND d.row_number > $2 AND d.state = 'open' ORDER BY d.row_number LIMIT $3`,
      [loadId, afterRow, Math.min(limit, MAX_DEAD_LETTER_PAGE)],
    );
    return this.#opened(rows, MAX_DEAD_LETTER_BYTES);
  }

  async #opened(rows: readonly Row[], maxBytes: number): Promise<StoredDeadLetter[]> {
    const inputs = await openInputs(this.sealer, rows);
    return rows.map((row, i) => toLetter(row, inputs[i] ?? NOTHING, maxBytes));
  }

  /** Groups with their sizes, the largest first. Reads the index of all letters that the filter lets through. */
  async counts(filter: DeadLetterFilter): Promise<readonly DeadLetterCount[]> {
    const { loadId } = filter;
    const { rows } = await this.db.run<DeadLetterCount>({
      name: loadId === undefined ? 'dead_letters_counts' : 'dead_letters_counts_of_load',
      text: loadId === undefined ? COUNTS : COUNTS_OF_LOAD,
      values: [...filterValues(filter), ...(loadId === undefined ? [] : [loadId])],
    });
    return rows;
  }
}

function filterValues({ state, sourceId, stage, code, sinceMs }: DeadLetterFilter): (string | number | null)[] {
  return [state ?? null, stage ?? null, code ?? null, sourceId ?? null, sinceMs ?? Number.MIN_SAFE_INTEGER];
}

/** A form that is not known, as of a letter that a newer version wrote, is left to the mapper to refuse. */
function toLetter({ payload: _, sealId: __, form, ...row }: Row, input: Buffer, maxBytes: number): StoredDeadLetter {
  return {
    ...row,
    form: form ?? (row.stage === 'load' ? { kind: 'row' } : { kind: 'event' }),
    payload: input.toString('utf8', 0, maxBytes),
    isCut: input.length >= maxBytes,
  };
}

const COLUMNS = `d.id, d.source_id AS "sourceId", d.state, d.stage, d.code, d.reason, d.message_id AS "messageId", d.pos,
  d.load_id AS "loadId", d.row_number AS "rowNumber", d.received_at AS "receivedAt", d.form, d.fix,
  d.seal_id AS "sealId", d.replay_message_id AS "replayMessageId", d.settled_at AS "settledAt"`;

/** From group to group: each step is one look into the index. */
const GROUPS = `
  WITH RECURSIVE groups AS (
    (SELECT state, stage, code, coalesce(source_id, 0) AS source FROM dead_letters
     ORDER BY state, stage, code, coalesce(source_id, 0) LIMIT 1)
    UNION ALL
    SELECT following.* FROM groups g CROSS JOIN LATERAL (
      SELECT state, stage, code, coalesce(source_id, 0) FROM dead_letters
      WHERE (state, stage, code, coalesce(source_id, 0)) > (g.state, g.stage, g.code, g.source)
      ORDER BY state, stage, code, coalesce(source_id, 0) LIMIT 1
    ) following
  ), wanted AS (
    SELECT * FROM groups
    WHERE ($1::text IS NULL OR state = $1) AND ($2::text IS NULL OR stage = $2) AND ($3::text IS NULL OR code = $3)
      AND ($4::int4 IS NULL OR source = $4)
  )`;

const OF_GROUP = `d.state = g.state AND d.stage = g.stage AND d.code = g.code AND coalesce(d.source_id, 0) = g.source
        AND d.received_at >= $5::int8`;

/** What one load has refused is little, and has an index of its own. */
const FILTERED = `($1::text IS NULL OR d.state = $1) AND ($2::text IS NULL OR d.stage = $2)
    AND ($3::text IS NULL OR d.code = $3) AND ($4::int4 IS NULL OR d.source_id = $4) AND d.received_at >= $5::int8`;

const PAGE_OF_LOAD = `
  SELECT ${COLUMNS}, d.payload FROM dead_letters d
  WHERE d.load_id = $9::uuid AND ${FILTERED} AND (d.received_at, d.id) < ($6::int8, $7::int8)
  ORDER BY d.received_at DESC, d.id DESC LIMIT $8::int4`;

const COUNTS_OF_LOAD = `
  SELECT d.state, d.stage, d.code, d.source_id AS "sourceId", count(*) AS count,
         min(d.received_at) AS "firstReceivedAt", max(d.received_at) AS "lastReceivedAt"
  FROM dead_letters d WHERE d.load_id = $6::uuid AND ${FILTERED}
  GROUP BY 1, 2, 3, 4 ORDER BY 5 DESC, 1, 2, 3, 4`;

const PAGE = `${GROUPS}, newest AS (
    SELECT letter.* FROM wanted g CROSS JOIN LATERAL (
      SELECT received_at, id FROM dead_letters d
      WHERE ${OF_GROUP} AND (d.received_at, d.id) < ($6::int8, $7::int8)
      ORDER BY d.received_at DESC, d.id DESC LIMIT $8::int4
    ) letter
    ORDER BY letter.received_at DESC, letter.id DESC LIMIT $8::int4
  )
  SELECT ${COLUMNS},
    CASE WHEN d.seal_id IS NULL THEN substring(d.payload FROM 1 FOR ${String(MAX_PREVIEW_BYTES + 1)}) ELSE d.payload END
      AS payload
  FROM newest JOIN dead_letters d USING (id)
  ORDER BY d.received_at DESC, d.id DESC`;

const COUNTS = `${GROUPS}
  SELECT g.state, g.stage, g.code, nullif(g.source, 0) AS "sourceId", of_group.*
  FROM wanted g CROSS JOIN LATERAL (
    SELECT count(*) AS count, min(received_at) AS "firstReceivedAt", max(received_at) AS "lastReceivedAt"
    FROM dead_letters d WHERE ${OF_GROUP}
  ) of_group
  WHERE of_group.count > 0
  ORDER BY of_group.count DESC, g.state, g.stage, g.code, g.source`;
