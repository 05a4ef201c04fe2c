import type { Identifier } from '../events/event.model.js';
import { uuidArray } from '../platform/binary-arrays.js';
import type { Uuid } from '../platform/ids.js';
import type { Queryable, Transaction } from '../platform/postgres.js';
import {
  FIRST_ERASURE_PAUSE_MS,
  MAX_ERASURE_PAUSE_MS,
  MAX_FAILURE_LENGTH,
  type Erasure,
  type ErasureStatus,
  type FailingErasures,
} from './erasure.model.js';
import type { SuppressionHash } from './suppression-list.js';

const FIELDS = `id, profile_id AS "profileId", reason, actor, status, events, rewritten, letters, deliveries, exports,
  requested_at AS "requestedAt", logical_at AS "logicalAt", compacted_at AS "compactedAt", physical_at AS "physicalAt",
  failures, failing_since AS "failingSince", retry_at AS "retryAt", failure`;
/** It got on. */
const WELL = 'failures = 0, failing_since = NULL, retry_at = NULL, failure = NULL';

/** An erasure that workers are at. */
export interface OpenErasure extends Erasure {
  /** What was accepted up to here has to be applied before it goes on. */
  readonly barrierPos: number;
}

export interface ErasurePlace {
  readonly requestedAt: number;
  readonly id: Uuid;
}

/** Rows of `erasures`, of whom they are, and of the list of those who must not come back. */
export class ErasureStore {
  async find(db: Queryable, id: Uuid): Promise<Erasure | null> {
    const [row] = await db.query<Erasure>(`SELECT ${FIELDS} FROM erasures WHERE id = $1`, [id]);
    return row ?? null;
  }

  /** The newest first, those before a place. */
  async page(db: Queryable, before: ErasurePlace | null, limit: number): Promise<Erasure[]> {
    return db.query<Erasure>(
      `SELECT ${FIELDS} FROM erasures
       WHERE $1::int8 IS NULL OR (requested_at, id) < ($1::int8, $2::uuid) ORDER BY requested_at DESC, id DESC LIMIT $3`,
      [before?.requestedAt ?? null, before?.id ?? null, limit],
    );
  }

  /** One of this profile that is under way; null if there is none. */
  async underWay(db: Queryable, profileId: Uuid): Promise<Erasure | null> {
    const [row] = await db.query<Erasure>(
      `SELECT ${FIELDS} FROM erasures WHERE profile_id = $1 AND status IN ('waiting', 'running')`,
      [profileId],
    );
    return row ?? null;
  }

  /** Whether somebody who is to be erased, and is not yet, is known by one of these. */
  async names(db: Queryable, identifierIds: readonly Uuid[]): Promise<boolean> {
    const rows = await db.query('SELECT FROM erasure_subjects WHERE identifier_id = ANY ($1::uuid[]) LIMIT 1', [
      identifierIds,
    ]);
    return rows.length > 0;
  }

  /** Whether an erasure is under way of somebody who is known by it; one that was given up is not. */
  async isUnderWayFor(db: Queryable, identifierId: Uuid): Promise<boolean> {
    const rows = await db.query(
      `SELECT FROM erasure_subjects s JOIN erasures e ON e.id = s.erasure_id
       WHERE s.identifier_id = $1 AND e.status IN ('waiting', 'running') LIMIT 1`,
      [identifierId],
    );
    return rows.length > 0;
  }

  /** Of these identifiers, those by which somebody is known who is to be erased, and is not yet. */
  async among(db: Queryable, identifierIds: readonly Uuid[]): Promise<Set<Uuid>> {
    const rows = await db.query<{ id: Uuid }>(
      'SELECT DISTINCT identifier_id AS id FROM erasure_subjects WHERE identifier_id = ANY ($1::uuid[])',
      [identifierIds],
    );
    return new Set(rows.map(({ id }) => id));
  }

  /**
   * Whether events of somebody who is to be erased, which are not taken back yet, hang on one of these values, or on an
   * anchor whose evidence names one.
   */
  async holdsAny(tx: Queryable, valueIds: readonly Uuid[]): Promise<boolean> {
    const rows = await tx.query(
      `SELECT FROM erasures e JOIN erasure_subjects s ON s.erasure_id = e.id
       WHERE e.status IN ('waiting', 'running')
         AND NOT EXISTS (SELECT FROM retractions r WHERE r.erasure_id = e.id AND r.status <> 'running')
         AND (s.identifier_id = ANY ($1::uuid[]) OR EXISTS (
           SELECT FROM generic_mentions m WHERE m.anchor_id = s.identifier_id AND m.value_id = ANY ($1::uuid[])
         )) LIMIT 1`,
      [uuidArray(valueIds, (id) => id)],
    );
    return rows.length > 0;
  }

  /** From here to the end of the transaction nobody moves anything; waits for whoever does. */
  async holdWorkers(tx: Transaction): Promise<void> {
    await tx.query('LOCK TABLE partitions IN SHARE MODE');
  }

  /**
   * The eldest that workers have to go on with now; null if there is none. One that failed lets others go first until it
   * is tried again; a clock that was set back puts none off for longer than the longest pause.
   * @param options.except those that let others go first, too
   * @param options.only this one and no other
   */
  async next(
    db: Queryable,
    nowMs: number,
    { except = [], only = null }: { readonly except?: readonly Uuid[]; readonly only?: Uuid | null },
  ): Promise<OpenErasure | null> {
    const { rows } = await db.run<OpenErasure>({
      name: 'erasures_next',
      text: `SELECT ${FIELDS}, barrier_pos AS "barrierPos" FROM erasures
             WHERE status IN ('waiting', 'running') AND id <> ALL ($2::uuid[]) AND ($3::uuid IS NULL OR id = $3::uuid)
               AND (retry_at IS NULL OR retry_at <= $1::int8 OR retry_at > $1::int8 + ${String(MAX_ERASURE_PAUSE_MS)})
             ORDER BY requested_at, id LIMIT 1`,
      values: [nowMs, uuidArray(except, (id) => id), only],
    });
    return rows[0] ?? null;
  }

  /**
   * Notes that a step of it failed: it is tried again later and later.
   * @param failure without data of anybody
   */
  async fail(db: Queryable, id: Uuid, { failure, nowMs }: { readonly failure: string; readonly nowMs: number }) {
    await db.query(
      `UPDATE erasures
       SET failures = failures + 1, failure = $2, failing_since = coalesce(failing_since, $3::int8),
           retry_at = $3::int8 + least($5::int8, $4::int8 * (2 ^ least(failures, 30))::int8)
       WHERE id = $1 AND status IN ('waiting', 'running')`,
      [id, failure.slice(0, MAX_FAILURE_LENGTH), nowMs, FIRST_ERASURE_PAUSE_MS, MAX_ERASURE_PAUSE_MS],
    );
  }

  /** How many do not get on. */
  async countFailing(db: Queryable): Promise<FailingErasures> {
    const [row] = await db.query<FailingErasures>(
      `SELECT (SELECT count(*) FROM erasures WHERE failures > 0)::int8 AS failing,
              (SELECT count(*) FROM erasures e WHERE status = 'failed'
                 AND EXISTS (SELECT FROM erasure_subjects s WHERE s.erasure_id = e.id))::int8 AS "givenUp"`,
    );
    return row ?? { failing: 0, givenUp: 0 };
  }

  async insert(tx: Transaction, erasure: Pick<Erasure, 'id' | 'profileId' | 'reason' | 'actor' | 'requestedAt'>) {
    await tx.query(
      `INSERT INTO erasures (id, profile_id, reason, actor, status, barrier_pos, requested_at)
       VALUES ($1, $2, $3, $4, 'waiting', 0, $5)`,
      [erasure.id, erasure.profileId, erasure.reason, erasure.actor, erasure.requestedAt],
    );
  }

  /** Adds what the profile is known by now; those that are new. */
  async collect(tx: Transaction, id: Uuid, profileIds: readonly Uuid[]): Promise<Identifier[]> {
    return tx.query<Identifier>(
      `INSERT INTO erasure_subjects (erasure_id, identifier_id, ns, value)
       SELECT $1, i.id, i.ns, i.value FROM identifiers i WHERE i.profile_id = ANY ($2::uuid[])
       ON CONFLICT DO NOTHING RETURNING identifier_id AS id, ns, value`,
      [id, profileIds],
    );
  }

  /**
   * Adds what those were of that were given up and are asked for again by this one: of this profile, or of anybody known by
   * the same. They are of nobody from there on.
   * @returns what is new of it
   */
  async takeOver(tx: Transaction, id: Uuid, profileId: Uuid): Promise<Identifier[]> {
    return tx.query<Identifier>(
      `WITH given_up AS (
         SELECT e.id FROM erasures e WHERE e.status = 'failed' AND (e.profile_id = $2 OR EXISTS (
           SELECT FROM erasure_subjects s JOIN erasure_subjects n USING (identifier_id)
           WHERE s.erasure_id = e.id AND n.erasure_id = $1))
       ), gone AS (
         DELETE FROM erasure_subjects s USING given_up g WHERE s.erasure_id = g.id RETURNING s.identifier_id, s.ns, s.value
       )
       INSERT INTO erasure_subjects (erasure_id, identifier_id, ns, value)
       SELECT DISTINCT ON (identifier_id) $1::uuid, identifier_id, ns, value FROM gone
       ON CONFLICT DO NOTHING RETURNING identifier_id AS id, ns, value`,
      [id, profileId],
    );
  }

  /** Of those who ask for one again that was given up one goes on, until the end of its transaction. */
  async lockGivenUp(tx: Transaction): Promise<void> {
    await tx.query(
      `SELECT FROM erasures e WHERE status = 'failed'
         AND EXISTS (SELECT FROM erasure_subjects s WHERE s.erasure_id = e.id) ORDER BY id FOR UPDATE`,
    );
  }

  /**
   * The profile of one that is under way, or else of one that was given up, by its id or by what the person was known by;
   * null: there is none.
   */
  async unfinished(db: Queryable, profileId: Uuid | null, identifierIds: readonly Uuid[]): Promise<Uuid | null> {
    const [row] = await db.query<{ id: Uuid }>(
      `SELECT e.profile_id AS id FROM erasures e WHERE e.status IN ('waiting', 'running', 'failed') AND EXISTS (
         SELECT FROM erasure_subjects s WHERE s.erasure_id = e.id AND (e.profile_id = $1 OR s.identifier_id = ANY ($2::uuid[])))
       ORDER BY e.status = 'failed', e.requested_at DESC LIMIT 1`,
      [profileId, uuidArray(identifierIds, (each) => each)],
    );
    return row?.id ?? null;
  }

  async subjects(db: Queryable, id: Uuid): Promise<Identifier[]> {
    return db.query<Identifier>(
      'SELECT identifier_id AS id, ns, value FROM erasure_subjects WHERE erasure_id = $1 ORDER BY identifier_id',
      [id],
    );
  }

  /**
   * Puts identifiers on the list of those who must not come back. No event of them is appended after the transaction; what
   * was before it is in the log at the position returned, or earlier.
   */
  async suppress(
    tx: Transaction,
    hash: SuppressionHash,
    identifiers: readonly Pick<Identifier, 'id' | 'ns'>[],
    nowMs: number,
  ): Promise<number> {
    return this.suppressHashes(
      tx,
      identifiers.map(({ id, ns }) => ({ hash: hash.of(id), ns })),
      nowMs,
    );
  }

  async suppressHashes(
    tx: Transaction,
    entries: readonly { readonly hash: Buffer; readonly ns: string }[],
    nowMs: number,
  ): Promise<number> {
    await tx.query(
      `INSERT INTO suppressions (hash, ns, created_at) SELECT hash, ns, $3 FROM unnest($1::bytea[], $2::text[]) AS t (hash, ns)
       ON CONFLICT DO NOTHING`,
      [entries.map(({ hash }) => hash), entries.map(({ ns }) => ns), nowMs],
    );
    const [head] = await tx.query<{ pos: number }>('UPDATE log_head SET suppressions = suppressions + 1 RETURNING pos');
    if (head === undefined) throw new Error('log_head is empty');
    return head.pos;
  }

  /** Takes one off the list again; false if it is not on it. */
  async lift(tx: Transaction, hash: Buffer): Promise<boolean> {
    const lifted = await tx.execute('DELETE FROM suppressions WHERE hash = $1', [hash]);
    if (lifted > 0) await tx.query('UPDATE log_head SET suppressions = suppressions + 1');
    return lifted > 0;
  }

  /** The position that it waits for, which nobody else moves until the transaction ends; null: it waits no more. */
  async lockBarrier(tx: Transaction, id: Uuid): Promise<number | null> {
    const [row] = await tx.query<{ pos: number }>(
      `SELECT barrier_pos AS pos FROM erasures WHERE id = $1 AND status = 'waiting' FOR UPDATE`,
      [id],
    );
    return row?.pos ?? null;
  }

  async setBarrier(tx: Transaction, id: Uuid, pos: number): Promise<void> {
    await tx.query('UPDATE erasures SET barrier_pos = $2 WHERE id = $1', [id, pos]);
  }

  async setStatus(tx: Queryable, id: Uuid, from: ErasureStatus, to: ErasureStatus): Promise<boolean> {
    const changed = await tx.execute(`UPDATE erasures SET status = $3, ${WELL} WHERE id = $1 AND status = $2`, [
      id,
      from,
      to,
    ]);
    return changed > 0;
  }

  async count(tx: Queryable, id: Uuid, found: Partial<Pick<Erasure, 'letters' | 'deliveries' | 'exports'>>) {
    await tx.query(
      `UPDATE erasures SET letters = letters + $2, deliveries = deliveries + $3, exports = exports + $4 WHERE id = $1`,
      [id, found.letters ?? 0, found.deliveries ?? 0, found.exports ?? 0],
    );
  }

  /** Done, as far as anybody can ask: whom it was of is forgotten. */
  async finish(tx: Transaction, id: Uuid, events: number, nowMs: number): Promise<boolean> {
    const changed = await tx.execute(
      `UPDATE erasures SET status = 'logical', events = $2, logical_at = $3, ${WELL} WHERE id = $1 AND status = 'running'`,
      [id, events, nowMs],
    );
    if (changed > 0) {
      await tx.query('DELETE FROM erasure_subjects WHERE erasure_id = $1', [id]);
      // Processes that remember anything of the person, as their keys, hear of this.
      await tx.query('UPDATE log_head SET suppressions = suppressions + 1');
    }
    return changed > 0;
  }

  /** Takes out of the samples of violations what is not in the log any more: their message ids may name somebody. */
  async forgetSamples(db: Queryable): Promise<void> {
    await db.query(
      `UPDATE plan_violations v SET samples = ARRAY(
         SELECT m FROM unnest(v.samples) AS m JOIN event_log e ON e.dedupe_id = ${DEDUPE_ID}
       )
       WHERE EXISTS (
         SELECT FROM unnest(v.samples) AS m WHERE NOT EXISTS (SELECT FROM event_log e WHERE e.dedupe_id = ${DEDUPE_ID})
       )`,
    );
  }
}

// As `dedupeIdOf` has it.
const DEDUPE_ID = `encode(substring(sha256(
  'dedupe'::bytea || '\\x00'::bytea || convert_to(v.source_id::text, 'UTF8') || '\\x00'::bytea || convert_to(m, 'UTF8')
) FOR 16), 'hex')::uuid`;
