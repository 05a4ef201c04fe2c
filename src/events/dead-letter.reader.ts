import type { Queryable } from '../platform/postgres.js';
import { MAX_DEAD_LETTER_BYTES, type DeadLetterStage } from './dead-letter.model.js';

/** What is left out is not asked for. */
export interface DeadLetterFilter {
  readonly sourceId?: number;
  readonly stage?: DeadLetterStage;
  readonly code?: string;
  /** Received then or later, ms. */
  readonly sinceMs?: number;
}

/** Place in the order of pages. */
export interface DeadLetterPlace {
  readonly receivedAt: number;
  readonly id: number;
}

export interface StoredDeadLetter extends DeadLetterPlace {
  readonly sourceId: number | null;
  readonly stage: DeadLetterStage;
  readonly code: string;
  readonly reason: string;
  readonly messageId: string | null;
  /** In the log; null for what never got there. */
  readonly pos: number | null;
  readonly loadId: string | null;
  readonly rowNumber: number | null;
  /** What was handed in, as text. May hold personal data: for administrators only, and never for logs. */
  readonly payload: string;
  /** Whether the payload may lack its end. */
  readonly isCut: boolean;
}

export interface DeadLetterCount {
  readonly sourceId: number | null;
  readonly stage: DeadLetterStage;
  readonly code: string;
  readonly count: number;
  /** ms */
  readonly firstReceivedAt: number;
  readonly lastReceivedAt: number;
}

export const MAX_DEAD_LETTER_PAGE = 1_000;

type Row = Omit<StoredDeadLetter, 'payload' | 'isCut'> & { readonly payload: Buffer };

/**
 * Reads dead letters, newest first by `(receivedAt, id)`.
 *
 * A group is what has one stage, code and source. There are few groups however many letters there are, and the index
 * `dead_letters_group` leads from one to the next and to the newest of each, so a page costs a few index rows for each
 * group, whatever the filter and however deep the page.
 */
export class DeadLetterReader {
  constructor(private readonly db: Queryable) {}

  /**
   * @param before only letters that come after this one in the order of pages; null: from the newest on
   * @param limit 1 … {@link MAX_DEAD_LETTER_PAGE}
   */
  async page(
    filter: DeadLetterFilter,
    before: DeadLetterPlace | null,
    limit: number,
  ): Promise<readonly StoredDeadLetter[]> {
    const { rows } = await this.db.run<Row>({
      name: 'dead_letters_page',
      text: PAGE,
      values: [
        ...filterValues(filter),
        before?.receivedAt ?? Number.MAX_SAFE_INTEGER,
        before?.id ?? Number.MAX_SAFE_INTEGER,
        Math.min(limit, MAX_DEAD_LETTER_PAGE),
      ],
    });
    return rows.map(({ payload, ...row }) => ({
      ...row,
      payload: payload.toString('utf8', 1),
      isCut: payload.length > MAX_DEAD_LETTER_BYTES,
    }));
  }

  /** Groups with their sizes, the largest first. Reads the index of all letters that the filter lets through. */
  async counts(filter: DeadLetterFilter): Promise<readonly DeadLetterCount[]> {
    const { rows } = await this.db.run<DeadLetterCount>({
      name: 'dead_letters_counts',
      text: COUNTS,
      values: filterValues(filter),
    });
    return rows;
  }
}

function filterValues({ sourceId, stage, code, sinceMs }: DeadLetterFilter): (string | number | null)[] {
  return [stage ?? null, code ?? null, sourceId ?? null, sinceMs ?? Number.MIN_SAFE_INTEGER];
}

/** From group to group: each step is one look into the index. */
const GROUPS = `
  WITH RECURSIVE groups AS (
    (SELECT stage, code, coalesce(source_id, 0) AS source FROM dead_letters
     ORDER BY stage, code, coalesce(source_id, 0) LIMIT 1)
    UNION ALL
    SELECT following.* FROM groups g CROSS JOIN LATERAL (
      SELECT stage, code, coalesce(source_id, 0) FROM dead_letters
      WHERE (stage, code, coalesce(source_id, 0)) > (g.stage, g.code, g.source)
      ORDER BY stage, code, coalesce(source_id, 0) LIMIT 1
    ) following
  ), wanted AS (
    SELECT * FROM groups
    WHERE ($1::text IS NULL OR stage = $1) AND ($2::text IS NULL OR code = $2) AND ($3::int4 IS NULL OR source = $3)
  )`;

const PAGE = `${GROUPS}, newest AS (
    SELECT letter.* FROM wanted g CROSS JOIN LATERAL (
      SELECT received_at, id FROM dead_letters d
      WHERE d.stage = g.stage AND d.code = g.code AND coalesce(d.source_id, 0) = g.source
        AND d.received_at >= $4::int8 AND (d.received_at, d.id) < ($5::int8, $6::int8)
      ORDER BY d.received_at DESC, d.id DESC LIMIT $7::int4
    ) letter
    ORDER BY letter.received_at DESC, letter.id DESC LIMIT $7::int4
  )
  SELECT d.id, d.source_id AS "sourceId", d.stage, d.code, d.reason, d.message_id AS "messageId", d.pos,
         d.load_id AS "loadId", d.row_number AS "rowNumber", d.received_at AS "receivedAt", d.payload
  FROM newest JOIN dead_letters d USING (id)
  ORDER BY d.received_at DESC, d.id DESC`;

const COUNTS = `${GROUPS}
  SELECT g.stage, g.code, nullif(g.source, 0) AS "sourceId", of_group.*
  FROM wanted g CROSS JOIN LATERAL (
    SELECT count(*) AS count, min(received_at) AS "firstReceivedAt", max(received_at) AS "lastReceivedAt"
    FROM dead_letters d
    WHERE d.stage = g.stage AND d.code = g.code AND coalesce(d.source_id, 0) = g.source AND d.received_at >= $4::int8
  ) of_group
  WHERE of_group.count > 0
  ORDER BY of_group.count DESC, g.stage, g.code, g.source`;
