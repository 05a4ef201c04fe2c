import { uuidArray } from '../platform/binary-arrays.js';
import type { Identifier } from '../events/event.model.js';
import { LEAST_ID, type Uuid } from '../platform/ids.js';
import type { Queryable, Transaction } from '../platform/postgres.js';
import {
  FIRST_LANE_RETRY_MS,
  type ContestedComponent,
  type EvidenceOfAnchor,
  type EvidencePage,
  type EvidencePlace,
} from './contested-component.model.js';

const FIELDS = `component_id AS id, since, news, resolved_news AS "resolvedNews", resolved_at AS "resolvedAt",
  evidence_rows AS "evidenceRows", groups, is_beyond AS "isBeyond", failures, failure`;

const BEFORE_ALL: EvidencePlace = { setId: LEAST_ID, day: -1 };
const MAX_FAILURE_LENGTH = 500;

/** Rows of `contested_components`, and what resolving one of them reads. */
export class ContestedComponentStore {
  /** Notes that there is something new in these. */
  async mark(tx: Queryable, ids: readonly Uuid[], nowMs: number): Promise<void> {
    if (ids.length === 0) return;
    await tx.query(
      `INSERT INTO contested_components AS c (component_id, since)
       SELECT id, $2::int8 FROM unnest($1::uuid[]) AS t (id)
       ON CONFLICT (component_id) DO UPDATE SET news = c.news + 1`,
      [uuidArray([...ids].sort(), (id) => id), nowMs],
    );
  }

  /** Notes that these are contested no more, or are none. */
  async unmark(tx: Queryable, ids: readonly Uuid[]): Promise<void> {
    if (ids.length === 0) return;
    await tx.query('DELETE FROM contested_components WHERE component_id = ANY ($1::uuid[])', [
      uuidArray(ids, (id) => id),
    ]);
  }

  /** Of these components, those that are contested. */
  async among(db: Queryable, ids: readonly Uuid[]): Promise<Uuid[]> {
    const rows = await db.query<{ id: Uuid }>(
      'SELECT component_id AS id FROM contested_components WHERE component_id = ANY ($1::uuid[])',
      [uuidArray(ids, (id) => id)],
    );
    return rows.map(({ id }) => id);
  }

  async count(db: Queryable): Promise<number> {
    const [row] = await db.query<{ n: number }>('SELECT count(*) AS n FROM contested_components');
    return row?.n ?? 0;
  }

  /** The one to resolve now; null if there is none. */
  async next(db: Queryable, nowMs: number): Promise<ContestedComponent | null> {
    const [row] = await db.query<ContestedComponent>(
      `SELECT ${FIELDS} FROM contested_components WHERE news > resolved_news AND due_at <= $1::int8
       ORDER BY due_at, component_id LIMIT 1`,
      [nowMs],
    );
    return row ?? null;
  }

  /** The members after one of them, by rising id. */
  async members(db: Queryable, componentId: Uuid, afterId: Uuid | null, limit: number): Promise<Identifier[]> {
    return db.query<Identifier>(
      'SELECT id, ns, value FROM identifiers WHERE component_id = $1 AND id > $2 ORDER BY id LIMIT $3',
      [componentId, afterId ?? LEAST_ID, limit],
    );
  }

  /**
   * Evidence of these anchors, which are in order: by anchor, set and day.
   * @param place where the first anchor goes on; null: at its start
   */
  async evidence(
    db: Queryable,
    anchorIds: readonly Uuid[],
    place: EvidencePlace | null,
    limit: number,
  ): Promise<EvidencePage> {
    const { setId, day } = place ?? BEFORE_ALL;
    const rows = await db.query<{
      anchor_id: Uuid;
      set_id: Uuid;
      day: number;
      occurred_at: number;
      source_id: number;
      message_id: string;
      known_at: number;
      identifier_ids: Uuid[];
    }>(
      `SELECT e.* FROM unnest($1::uuid[]) WITH ORDINALITY AS a (id, n) CROSS JOIN LATERAL (
         SELECT anchor_id, set_id, day, occurred_at, source_id, message_id, known_at, identifier_ids FROM evidence
         WHERE anchor_id = a.id AND (a.n > 1 OR (set_id, day) > ($2::uuid, $3::int4)) ORDER BY set_id, day LIMIT $4
       ) e ORDER BY a.n, e.set_id, e.day LIMIT $4`,
      [uuidArray(anchorIds, (id) => id), setId, day, limit],
    );
    const last = rows.length < limit ? undefined : rows.at(-1);
    return {
      rows: rows.map((row): EvidenceOfAnchor => ({
        anchorId: row.anchor_id,
        setId: row.set_id,
        day: row.day,
        key: { occurredAt: row.occurred_at, sourceId: row.source_id, messageId: row.message_id },
        knownAt: row.known_at,
        identifierIds: row.identifier_ids,
      })),
      next: last === undefined ? null : { anchorId: last.anchor_id, place: { setId: last.set_id, day: last.day } },
    };
  }

  /** Who the members stand for, by identifier. */
  async standing(db: Queryable, componentId: Uuid): Promise<Map<Uuid, Uuid>> {
    const rows = await db.query<{ id: Uuid; profileId: Uuid }>(
      'SELECT id, profile_id AS "profileId" FROM identifiers WHERE component_id = $1',
      [componentId],
    );
    return new Map(rows.map(({ id, profileId }) => [id, profileId]));
  }

  /** Notes that all is resolved that `news` stands for. */
  async resolved(
    db: Queryable,
    id: Uuid,
    done: {
      readonly news: number;
      readonly evidenceRows: number;
      readonly groups: number;
      readonly nowMs: number;
      readonly dueAt: number;
      readonly isBeyond: boolean;
    },
  ): Promise<void> {
    await db.query(
      `UPDATE contested_components SET resolved_news = $2, evidence_rows = $3, groups = $4, resolved_at = $5,
         due_at = $6, is_beyond = $7, failures = 0, failure = NULL WHERE component_id = $1`,
      [id, done.news, done.evidenceRows, done.groups, done.nowMs, done.dueAt, done.isBeyond],
    );
  }

  /** Notes that it is contested no more, unless there is news of it. */
  async settle(db: Queryable, { id, news }: Pick<ContestedComponent, 'id' | 'news'>): Promise<void> {
    await db.query('DELETE FROM contested_components WHERE component_id = $1 AND news = $2', [id, news]);
  }

  /** Notes that resolving it failed: it is tried again, later and later. */
  async fail(db: Queryable, id: Uuid, failure: string, nowMs: number): Promise<void> {
    await db.query(
      `UPDATE contested_components SET failures = failures + 1, failure = $2,
         due_at = $3::int8 + $4::int8 * (2 ^ least(failures, 12))::int8 WHERE component_id = $1`,
      [id, failure.slice(0, MAX_FAILURE_LENGTH), nowMs, FIRST_LANE_RETRY_MS],
    );
  }

  /** Makes all that was of some components part of others: these are contested where one of those was. */
  async rejoin(
    tx: Transaction,
    joined: readonly { readonly from: Uuid; readonly into: Uuid }[],
    nowMs: number,
  ): Promise<void> {
    for (const { from, into } of joined) {
      await tx.query('UPDATE identifiers SET component_id = $2 WHERE component_id = $1', [from, into]);
    }
    const ids = joined.map(({ from }) => from);
    const contested = new Set(await this.among(tx, ids));
    await this.unmark(tx, ids);
    await this.mark(tx, [...new Set(joined.flatMap(({ from, into }) => (contested.has(from) ? [into] : [])))], nowMs);
  }
}
