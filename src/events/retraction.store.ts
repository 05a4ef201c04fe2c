import { byteaArray, int2Array, int8Array, uuidArray } from '../platform/binary-arrays.js';
import type { Uuid } from '../platform/ids.js';
import type { Queryable, Transaction } from '../platform/postgres.js';
import { dedupeIdOf, type LoggedEvent } from './event.model.js';
import { forgetDamagedRows } from './damaged-row.store.js';
import { remainingOf, type OnDamaged } from './damaged-history.model.js';
import { EVENT_COLUMNS, type EventRow } from './event-row.model.js';
import { forgetEntityEvents, forgetRemovedEvents } from './forget-entity-events.js';
import { NO_SEALER, type EventSealer, type Opened } from './event-seal.model.js';
import { ANCHORS_OF_ERASURE, inScope, outOfScope, scopeId, type Scope } from './retraction-scope.js';
import {
  FIRST_RETRY_MS,
  MAX_RETRACTION_FAILURES,
  type ReanchoredEvent,
  type Retraction,
  type RetractedAnchor,
  type RetractionExtent,
  type RewrittenEvent,
} from './retraction.model.js';

const FIELDS = `id, source_id AS "sourceId", load_id AS "loadId", erasure_id AS "erasureId", status, events, profiles,
  records, removed, removed_records AS "removedRecords", created_at AS "createdAt", finished_at AS "finishedAt", failures, reason`;

// As `partitionOf`.
const PART_OF_ANCHOR = `(('x' || left(o.anchor_id::text, 8))::bit(32)::int8 % (SELECT partitions FROM installation))::int2`;

const MAX_REASON_LENGTH = 500;
const PAGE_EVENTS = 2_000;
/** For the first page, which sorts all of them. */
const STATEMENT_TIMEOUT = '10min';

/** Whether it has ended; if not, where events of it are: in the log, or only in items that are to be folded anew. */
type RetractionEnd = 'done' | 'has-events' | 'has-items';

type NewRetraction = Omit<Retraction, 'status' | 'removed' | 'removedRecords' | 'finishedAt' | 'failures' | 'reason'>;

/** An anchor's events up to a position. */
interface AnchorStretch {
  readonly id: Uuid;
  readonly toPos: number;
}

interface AnchorsAsk {
  readonly parts: readonly number[];
  readonly afterId: Uuid;
  readonly limit: number;
  /** Left out. */
  readonly except: readonly Uuid[];
}

/** Rows of `retractions`, and what they take out of the log. */
export class RetractionStore {
  constructor(private readonly sealer: EventSealer = NO_SEALER) {}

  async find(db: Queryable, id: Uuid): Promise<Retraction | null> {
    const [row] = await db.query<Retraction>(`SELECT ${FIELDS} FROM retractions WHERE id = $1`, [id]);
    return row ?? null;
  }

  async ofLoads(db: Queryable, loadIds: readonly Uuid[]): Promise<Map<Uuid, Retraction>> {
    const rows = await db.query<Retraction & { loadId: Uuid }>(
      `SELECT ${FIELDS} FROM retractions WHERE load_id = ANY ($1::uuid[])`,
      [loadIds],
    );
    return new Map(rows.map((row) => [row.loadId, row]));
  }

  /** Whether there is one of single events of the source that has not ended. */
  async isTakingMessages(db: Queryable, sourceId: number): Promise<boolean> {
    const rows = await db.query(
      `SELECT FROM retractions WHERE source_id = $1 AND load_id IS NULL AND status = 'running' LIMIT 1`,
      [sourceId],
    );
    return rows.length > 0;
  }

  async ofErasure(db: Queryable, erasureId: Uuid): Promise<Retraction | null> {
    const [row] = await db.query<Retraction>(`SELECT ${FIELDS} FROM retractions WHERE erasure_id = $1`, [erasureId]);
    return row ?? null;
  }

  /** Whether it takes back what is older than the strict retention of a source. */
  async isOfRetention(db: Queryable, { id }: Pick<Retraction, 'id'>): Promise<boolean> {
    return (await db.query('SELECT FROM source_retention WHERE retraction_id = $1', [id])).length > 0;
  }

  /** Whether a retention has removed events, so that the log does not say all that is known. */
  async hasLostEvents(db: Queryable): Promise<boolean> {
    return (await db.query('SELECT FROM source_retention WHERE removed_events > 0 LIMIT 1')).length > 0;
  }

  /**
   * The one to go on with now; null if there is none. One that failed waits, and lets others go first.
   * @param waiting those that wait for items: they are passed over for as long as items are marked for them
   */
  async next(db: Queryable, nowMs: number, waiting: readonly Uuid[] = []): Promise<Retraction | null> {
    const { rows } = await db.run<Retraction>({
      name: 'retractions_next',
      text: `SELECT ${FIELDS} FROM retractions t WHERE status = 'running' AND retry_at <= $1::int8 AND NOT (
               id = ANY ($2::uuid[])
               AND EXISTS (SELECT FROM entity_refolds m WHERE m.retraction_ids @> ARRAY[t.id])
             ) ORDER BY created_at, id LIMIT 1`,
      values: [nowMs, uuidArray(waiting, (id) => id)],
    });
    return rows[0] ?? null;
  }

  /** Those of these for which items are marked. */
  async waiting(db: Queryable, ids: readonly Uuid[]): Promise<Uuid[]> {
    const rows = await db.query<{ id: Uuid }>(
      `SELECT id FROM unnest($1::uuid[]) AS t (id)
       WHERE EXISTS (SELECT FROM entity_refolds m WHERE m.retraction_ids @> ARRAY[t.id])`,
      [uuidArray(ids, (id) => id)],
    );
    return rows.map(({ id }) => id);
  }

  /** Writes it down; false if its load has one already. */
  async insert(tx: Queryable, retraction: NewRetraction): Promise<boolean> {
    const inserted = await tx.execute(
      `INSERT INTO retractions (id, source_id, load_id, erasure_id, status, events, profiles, records, created_at)
       VALUES ($1, $2, $3, $7, 'running', $4, $5, $8, $6) ON CONFLICT DO NOTHING`,
      [
        retraction.id,
        retraction.sourceId,
        retraction.loadId,
        retraction.events,
        retraction.profiles,
        retraction.createdAt,
        retraction.erasureId,
        retraction.records,
      ],
    );
    return inserted > 0;
  }

  /** Notes that a step of it failed: it is tried again, or given up. */
  async fail(db: Queryable, id: Uuid, { reason, nowMs }: { reason: string; nowMs: number }): Promise<void> {
    await db.query(
      `UPDATE retractions
       SET failures = failures + 1, reason = $2, retry_at = $3::int8 + $4::int8 * (2 ^ failures)::int8,
           status = CASE WHEN failures + 1 >= $5::int4 THEN 'failed' ELSE status END
       WHERE id = $1 AND status = 'running'`,
      [id, reason.slice(0, MAX_REASON_LENGTH), nowMs, FIRST_RETRY_MS, MAX_RETRACTION_FAILURES],
    );
  }

  /** Takes one up again that was given up. */
  async retry(tx: Queryable, loadId: Uuid): Promise<void> {
    await tx.query(
      `UPDATE retractions SET status = 'running', failures = 0, retry_at = 0 WHERE load_id = $1 AND status = 'failed'`,
      [loadId],
    );
  }

  /** Notes the events with these message ids as those of the retraction. */
  async chooseMessages(
    tx: Transaction,
    { id, sourceId }: { readonly id: Uuid; readonly sourceId: number },
    messageIds: readonly string[],
  ): Promise<void> {
    await tx.query(
      `INSERT INTO retracted_events (retraction_id, pos)
       SELECT $1, pos FROM event_log WHERE dedupe_id = ANY ($2::uuid[]) ON CONFLICT DO NOTHING`,
      [id, messageIds.map((messageId) => dedupeIdOf(sourceId, messageId))],
    );
  }

  /** Notes the events at these positions as those of the retraction. */
  async choosePositions(tx: Transaction, id: Uuid, positions: readonly number[]): Promise<void> {
    await tx.query(
      'INSERT INTO retracted_events (retraction_id, pos) SELECT $1, unnest($2::int8[]) ON CONFLICT DO NOTHING',
      [id, int8Array(positions, (pos) => pos)],
    );
  }

  async extent(db: Queryable, scope: Scope): Promise<RetractionExtent> {
    const [row] = await db.query<RetractionExtent>(
      `WITH taken AS (
         SELECT anchor_id, count(*) AS events FROM event_log e WHERE ${inScope(scope)} GROUP BY anchor_id
       )
       SELECT coalesce(sum(t.events), 0)::int8 AS events, count(DISTINCT i.profile_id) AS profiles,
         (SELECT count(*) FROM entity_records WHERE load_id = $2::uuid) AS records
       FROM taken t LEFT JOIN identifiers i ON i.id = t.anchor_id`,
      [scopeId(scope), scope.loadId],
    );
    return row ?? { events: 0, profiles: 0, records: 0 };
  }

  async setExtent(tx: Queryable, id: Uuid, { events, profiles }: RetractionExtent): Promise<void> {
    await tx.query('UPDATE retractions SET events = $2, profiles = $3 WHERE id = $1', [id, events, profiles]);
  }

  /** Anchors of these partitions, by rising id, that have events of it; those after `afterId`, but for some. */
  async anchors(
    db: Queryable,
    scope: Scope,
    { parts, afterId, limit, except }: AnchorsAsk,
  ): Promise<RetractedAnchor[]> {
    if (scope.erasureId !== null) {
      return db.query<RetractedAnchor>(
        `SELECT a.anchor_id AS id, a.part, n.events FROM (
           SELECT o.anchor_id, ${PART_OF_ANCHOR} AS part FROM (${ANCHORS_OF_ERASURE}) o WHERE o.anchor_id > $3
         ) a CROSS JOIN LATERAL (SELECT count(*) AS events FROM event_log l WHERE l.anchor_id = a.anchor_id) n
         WHERE a.part = ANY ($2::int2[]) AND a.anchor_id <> ALL ($5::uuid[]) ORDER BY a.anchor_id LIMIT $4`,
        [scope.erasureId, parts, afterId, limit, except],
      );
    }
    return db.query<RetractedAnchor>(
      `SELECT a.anchor_id AS id, a.part, n.events FROM (
         SELECT DISTINCT ON (e.anchor_id) e.anchor_id, e.part FROM event_log e
         WHERE ${inScope(scope)} AND e.part = ANY ($2::int2[]) AND e.anchor_id > $3 AND e.anchor_id <> ALL ($5::uuid[])
         ORDER BY e.anchor_id LIMIT $4
       ) a CROSS JOIN LATERAL (SELECT count(*) AS events FROM event_log l WHERE l.anchor_id = a.anchor_id) n
       ORDER BY a.anchor_id`,
      [scopeId(scope), parts, afterId, limit, except],
    );
  }

  /**
   * What is left of the anchors' events: those up to the position of each anchor, in pages, one anchor after the other
   * and by position. Events that could not be applied are left out, as they count nowhere.
   * @param onDamaged where events that cannot be read are passed over
   * @throws DamagedHistory where one of the events cannot be read, and is not passed over
   */
  async *remaining(
    tx: Transaction,
    scope: Scope,
    anchors: readonly AnchorStretch[],
    onDamaged?: OnDamaged,
  ): AsyncGenerator<readonly LoggedEvent[], void, undefined> {
    for await (const rows of this.#pages(tx, scope, anchors, outOfScope(scope))) yield remainingOf(rows, onDamaged);
  }

  /** The events of it that hang on the anchors, as {@link remaining}. @throws DamagedHistory as there */
  async *taken(
    tx: Transaction,
    scope: Scope,
    anchors: readonly AnchorStretch[],
    onDamaged?: OnDamaged,
  ): AsyncGenerator<readonly LoggedEvent[], void, undefined> {
    for await (const rows of this.#pages(tx, scope, anchors, inScope(scope)))
      yield remainingOf(rows, onDamaged, 'is-taken-back');
  }

  async *#pages(
    tx: Transaction,
    scope: Scope,
    anchors: readonly AnchorStretch[],
    condition: string,
  ): AsyncGenerator<readonly Opened<EventRow>[], void, undefined> {
    await tx.query(`SELECT set_config('statement_timeout', $1, true)`, [STATEMENT_TIMEOUT]);
    await tx.query(
      `DECLARE remaining_events NO SCROLL CURSOR FOR
       SELECT ${EVENT_COLUMNS} FROM unnest($2::uuid[], $3::int8[]) AS a (id, to_pos) CROSS JOIN LATERAL (
         SELECT ${EVENT_COLUMNS}, load_id FROM event_log WHERE anchor_id = a.id AND pos <= a.to_pos OFFSET 0
       ) e
       WHERE ${condition}
         AND NOT EXISTS (SELECT FROM dead_letters d WHERE d.pos = e.pos)
       ORDER BY a.id, e.pos`,
      [scopeId(scope), uuidArray(anchors, (a) => a.id), int8Array(anchors, (a) => a.toPos)],
    );
    try {
      for (;;) {
        const rows = await tx.query<EventRow>(`FETCH ${String(PAGE_EVENTS)} FROM remaining_events`);
        if (rows.length > 0) yield await this.sealer.open(rows);
        if (rows.length < PAGE_EVENTS) break;
      }
    } finally {
      // Also where nobody asks for more. Where a statement failed, its error is the one that is told.
      await tx.query('CLOSE remaining_events').catch(() => undefined);
    }
  }

  /** Events that hang on these anchors, of a stretch of the log, by position; the first `limit` of them. As {@link remaining}. */
  async between(
    tx: Transaction,
    anchorIds: readonly Uuid[],
    { afterPos, toPos }: { readonly afterPos: number; readonly toPos: number },
    limit: number,
    onDamaged?: OnDamaged,
  ): Promise<LoggedEvent[]> {
    const rows = await tx.query<EventRow>(
      `SELECT ${EVENT_COLUMNS} FROM event_log e
       WHERE pos > $2 AND pos <= $3 AND anchor_id = ANY ($1::uuid[])
         AND NOT EXISTS (SELECT FROM dead_letters d WHERE d.pos = e.pos)
       ORDER BY pos LIMIT $4`,
      [uuidArray(anchorIds, (id) => id), afterPos, toPos, limit],
    );
    return remainingOf(await this.sealer.open(rows), onDamaged);
  }

  /** How many events passes of retentions have removed that may be of events beyond this position; rises where one is. */
  async lostAfter(db: Queryable, pos: number): Promise<number> {
    const [row] = await db.query<{ n: number }>(
      'SELECT coalesce(sum(removed_events), 0)::int8 AS n FROM source_retention WHERE until_pos > $1',
      [pos],
    );
    return row?.n ?? 0;
  }

  /** Whether the log has events at all of these positions. */
  async areLogged(tx: Transaction, positions: readonly number[]): Promise<boolean> {
    const [row] = await tx.query<{ n: number }>('SELECT count(*) AS n FROM event_log WHERE pos = ANY ($1::int8[])', [
      int8Array(positions, (pos) => pos),
    ]);
    return row?.n === positions.length;
  }

  /** How many events hang on each of these anchors; of more than `most`, one more than that. */
  async countsOf(db: Queryable, anchorIds: readonly Uuid[], most: number): Promise<Map<Uuid, number>> {
    const rows = await db.query<{ id: Uuid; n: number }>(
      `SELECT a.id, n.n FROM unnest($1::uuid[]) AS a (id) CROSS JOIN LATERAL (
         SELECT count(*) AS n FROM (SELECT FROM event_log WHERE anchor_id = a.id LIMIT $2) l
       ) n`,
      [uuidArray(anchorIds, (id) => id), most + 1],
    );
    return new Map(rows.map(({ id, n }) => [id, n]));
  }

  /** Rises with every event that was taken out of the log after it was applied, or was given another payload. */
  async changes(db: Queryable): Promise<number> {
    const [row] = await db.query<{ n: number }>(
      `SELECT ((SELECT coalesce(sum(removed), 0) FROM retractions)
             + (SELECT coalesce(sum(rewritten), 0) FROM erasures))::int8 AS n`,
    );
    return row?.n ?? 0;
  }

  /** Hangs events of the log on other anchors. */
  async reanchor(tx: Transaction, events: readonly ReanchoredEvent[]): Promise<void> {
    if (events.length === 0) return;
    const payloads = await this.sealer.seal(events);
    await tx.query(
      `UPDATE event_log l SET anchor_id = r.anchor_id, part = r.part, payload = r.payload
       FROM unnest($1::int8[], $2::uuid[], $3::int2[], $4::bytea[]) AS r (pos, anchor_id, part, payload)
       WHERE l.pos = r.pos`,
      [
        int8Array(events, (e) => e.pos),
        uuidArray(events, (e) => e.anchorId),
        int2Array(events, (e) => e.part),
        byteaArray(payloads, (payload) => payload),
      ],
    );
  }

  /** Gives events of the log that name somebody who is erased other payloads. */
  async rewrite(tx: Transaction, { id, erasureId }: Scope, events: readonly RewrittenEvent[]): Promise<void> {
    if (events.length === 0) return;
    await tx.query('UPDATE erasures SET rewritten = rewritten + $2 WHERE id = $1', [erasureId, events.length]);
    const payloads = await this.sealer.seal(events);
    await tx.query(
      `UPDATE event_log l SET payload = r.payload FROM unnest($1::int8[], $2::bytea[]) AS r (pos, payload)
       WHERE l.pos = r.pos`,
      [int8Array(events, (e) => e.pos), byteaArray(payloads, (payload) => payload)],
    );
    const positions = events.map(({ pos }) => pos);
    await forgetEntityEvents(tx, positions, { kind: 'rewritten', retractionId: id });
  }

  /**
   * Takes the events of it that hang on these anchors out of the log; the number of them.
   * @param more positions of others on these anchors that are to go with them
   */
  async remove(
    tx: Transaction,
    scope: Scope,
    {
      anchorIds,
      more,
      nowMs,
    }: { readonly anchorIds: readonly Uuid[]; readonly more: readonly number[]; readonly nowMs: number },
  ): Promise<number> {
    const rows = await tx.query<{ pos: number }>(
      `DELETE FROM event_log e
       WHERE e.anchor_id = ANY ($2::uuid[]) AND (${inScope(scope)} OR e.pos = ANY ($3::int8[])) RETURNING e.pos`,
      [scopeId(scope), anchorIds, int8Array(more, (pos) => pos)],
    );
    const positions = rows.map(({ pos }) => pos);
    await forgetDamagedRows(tx, positions);
    await forgetEntityEvents(tx, positions, { kind: 'refolded', retractionId: scope.id });
    if (scope.erasureId !== null) await tx.query('DELETE FROM dead_letters WHERE pos = ANY ($1::int8[])', [positions]);
    else {
      await tx.query(
        `UPDATE dead_letters SET state = 'discarded', settled_at = $2 WHERE pos = ANY ($1::int8[]) AND state = 'open'`,
        [positions, nowMs],
      );
    }
    if (scope.loadId === null && scope.erasureId === null) {
      await tx.query('DELETE FROM retracted_events WHERE retraction_id = $1 AND pos = ANY ($2::int8[])', [
        scope.id,
        positions,
      ]);
    }
    await tx.query('UPDATE retractions SET removed = removed + $2, failures = 0, reason = NULL WHERE id = $1', [
      scope.id,
      positions.length,
    ]);
    return positions.length;
  }

  /** Notes that records of entities were taken back. */
  async countRecords(tx: Queryable, { id }: Pick<Retraction, 'id'>, removed: number): Promise<void> {
    await tx.query(
      'UPDATE retractions SET removed_records = removed_records + $2, failures = 0, reason = NULL WHERE id = $1',
      [id, removed],
    );
  }

  /** Ends it, and the revert of its load, unless events of it are left in the log, or in items. */
  async finish(tx: Transaction, scope: Scope, nowMs: number): Promise<RetractionEnd> {
    const remains = scope.erasureId === null ? `SELECT FROM event_log e WHERE ${inScope(scope)}` : ANCHORS_OF_ERASURE;
    const [left] = await tx.query(`${remains} LIMIT 1`, [scopeId(scope)]);
    if (left !== undefined) return 'has-events';
    const { id, erasureId } = scope;
    if (erasureId !== null) await forgetRemovedEvents(tx, { erasureId, retractionId: id });
    // Its own alone: items that another has marked, and cannot be folded, are no reason to wait.
    const [marked] = await tx.query('SELECT FROM entity_refolds WHERE retraction_ids @> ARRAY[$1::uuid] LIMIT 1', [
      scope.id,
    ]);
    if (marked !== undefined) return 'has-items';
    await tx.query(
      `UPDATE retractions SET status = 'done', finished_at = $2, reason = NULL WHERE id = $1 AND status = 'running'`,
      [scope.id, nowMs],
    );
    if (scope.loadId === null) {
      await tx.query('DELETE FROM retracted_events WHERE retraction_id = $1', [scope.id]);
      return 'done';
    }
    await tx.query(
      `UPDATE dead_letters SET state = 'discarded', settled_at = $2 WHERE load_id = $1 AND state = 'open'`,
      [scope.loadId, nowMs],
    );
    await tx.query(`UPDATE loads SET status = 'reverted', finished_at = $2 WHERE id = $1`, [scope.loadId, nowMs]);
    // Rows that it had mended are as they were, unless another load or a replay brought them in, too.
    await tx.query(
      `UPDATE dead_letters d
          SET state = CASE WHEN is_logged THEN 'replayed' WHEN status = 'reverted' THEN 'discarded' ELSE 'open' END,
              settled_at = CASE WHEN is_logged OR status = 'reverted' THEN settled_at END,
              settled_load_id = NULL
         FROM (SELECT s.id, l.status, EXISTS (SELECT FROM event_log e WHERE e.dedupe_id = s.dedupe_id) AS is_logged
               FROM dead_letters s LEFT JOIN loads l ON l.id = s.load_id WHERE s.settled_load_id = $1) AS settled
        WHERE d.id = settled.id`,
      [scope.loadId],
    );
    return 'done';
  }
}
