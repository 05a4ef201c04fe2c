import { byteaArray, int2Array, uuidArray } from '../../platform/binary-arrays.js';
import type { Uuid } from '../../platform/ids.js';
import type { Queryable, Transaction } from '../../platform/postgres.js';
import type { BlockingKey } from '../linkage/score-pair.js';
import { MAX_BLOCK_RECORDS, type RecordPairIds } from './matching.model.js';
import type { ScoredCandidates } from './score-candidates.js';

/*
 * What profiles are compared by. One worker alone writes it, but for `mark`, and for erasures.
 *
 * Invariants
 * 1. A record has the keys and values of what was last read of its members, and is not `is_scored` unless its pairs are
 *    those of all records that share a block with it that is not too large.
 * 2. A block is in `matching_large_blocks` if and only if it has more than `maxBlockRecords` records. One that becomes so,
 *    or ceases to be, has all of its records scored anew.
 * 3. A pair that is linked, or was and is gone, is in `matching_link_work` until somebody looked whether its link stands.
 *
 * So once nothing is unscored and no work is left, pairs are a function of the records and the model.
 */

export interface StoredRecord {
  readonly id: Uuid;
  /** JSON of the values, their names sorted. */
  readonly values: string;
}

export interface KeyedRecord extends StoredRecord {
  readonly keys: readonly BlockingKey[];
}

export interface RecordMember {
  readonly identifierId: Uuid;
  readonly recordId: Uuid;
}

export interface StoredPair extends RecordPairIds {
  readonly weight: number;
}

const MAX_RULES = 32_767;

/** Rows of `matching_work`, `matching_records` and all that hangs on them. */
export class MatchingStore {
  readonly #maxBlockRecords: number;

  constructor(maxBlockRecords = MAX_BLOCK_RECORDS) {
    this.#maxBlockRecords = maxBlockRecords;
  }

  // --- what there is to do --------------------------------------------------------------------------------------------

  /** Of identifiers that vanish, too. @param isForced score anew even where values are what they were */
  async mark(tx: Queryable, ids: readonly Uuid[], isForced: boolean): Promise<void> {
    if (ids.length === 0) return;
    await tx.run({
      name: 'matching-mark',
      text: `INSERT INTO matching_work AS w (identifier_id, is_forced) SELECT id, $2 FROM unnest($1::uuid[]) AS u (id)
             ON CONFLICT (identifier_id) DO UPDATE SET is_forced = w.is_forced OR excluded.is_forced`,
      values: [uuidArray([...new Set(ids)].sort(), (id) => id), isForced],
    });
  }

  async work(db: Queryable, limit: number): Promise<Uuid[]> {
    const { rows } = await db.run<{ id: Uuid }>({
      name: 'matching-work',
      text: 'SELECT identifier_id AS id FROM matching_work LIMIT $1',
      values: [limit],
    });
    return rows.map(({ id }) => id);
  }

  /** Takes the marks of these off; those that were forced. */
  async take(tx: Transaction, ids: readonly Uuid[]): Promise<Uuid[]> {
    const rows = await tx.query<{ id: Uuid; isForced: boolean }>(
      `DELETE FROM matching_work WHERE identifier_id = ANY ($1::uuid[])
       RETURNING identifier_id AS id, is_forced AS "isForced"`,
      [ids],
    );
    return rows.flatMap(({ id, isForced }) => (isForced ? [id] : []));
  }

  // --- records --------------------------------------------------------------------------------------------------------

  /** Members of the records that have any of these among them. */
  async membersAround(db: Queryable, identifierIds: readonly Uuid[]): Promise<RecordMember[]> {
    return db.query<RecordMember>(
      `SELECT identifier_id AS "identifierId", record_id AS "recordId" FROM matching_members WHERE record_id IN (
         SELECT record_id FROM matching_members WHERE identifier_id = ANY ($1::uuid[]))`,
      [identifierIds],
    );
  }

  async records(db: Queryable, ids: readonly Uuid[]): Promise<StoredRecord[]> {
    return db.query<StoredRecord>(
      'SELECT id, record_values AS values FROM matching_records WHERE id = ANY ($1::uuid[])',
      [ids],
    );
  }

  /** Puts records in their blocks, to be scored. */
  async save(tx: Transaction, records: readonly KeyedRecord[]): Promise<void> {
    if (records.length === 0) return;
    const ids = records.map(({ id }) => id);
    const standing = await this.#keysOf(tx, ids);
    const wanted = records.flatMap(({ id, keys }) => keys.map(({ key, rule }) => ({ recordId: id, key, rule })));
    const nameOf = ({ recordId, key }: { recordId: Uuid; key: string }): string => `${recordId} ${key}`;
    const [isStanding, isWanted] = [new Set(standing.map(nameOf)), new Set(wanted.map(nameOf))];
    const added = wanted.filter((each) => !isStanding.has(nameOf(each)));
    const removed = standing.filter((each) => !isWanted.has(nameOf(each)));
    await this.#watchingBlocks(tx, [...added, ...removed], async () => {
      await tx.query(
        `INSERT INTO matching_records (id, record_values, is_scored) SELECT id, v, false FROM unnest($1::uuid[], $2::text[]) AS r (id, v)
         ON CONFLICT (id) DO UPDATE SET record_values = excluded.record_values, is_scored = false`,
        [ids, records.map(({ values }) => values)],
      );
      await tx.query(
        `DELETE FROM matching_keys k USING unnest($1::bytea[], $2::uuid[]) AS r (key, id) WHERE k.key = r.key AND k.record_id = r.id`,
        [byteaArray(removed, bytesOf), removed.map(({ recordId }) => recordId)],
      );
      await tx.query(
        'INSERT INTO matching_keys (key, record_id, rule) SELECT * FROM unnest($1::bytea[], $2::uuid[], $3::int2[])',
        [
          byteaArray(added, bytesOf),
          uuidArray(added, ({ recordId }) => recordId),
          int2Array(added, ({ rule }) => Math.min(rule, MAX_RULES)),
        ],
      );
    });
  }

  /** Takes records away with all that hangs on them; what linked them is to be looked at. */
  async remove(tx: Transaction, ids: readonly Uuid[]): Promise<void> {
    if (ids.length === 0) return;
    await this.lookAtLinksOf(tx, ids);
    await tx.query(
      `DELETE FROM identity_reviews WHERE (a_id = ANY ($1::uuid[]) OR b_id = ANY ($1::uuid[])) AND status IN ('open', 'skipped')`,
      [ids],
    );
    await this.#watchingBlocks(tx, await this.#keysOf(tx, ids), async () => {
      await tx.query('DELETE FROM matching_records WHERE id = ANY ($1::uuid[])', [ids]);
    });
  }

  /** Takes people away of whom nothing is to be left; what is left of their records is compared anew. */
  async forget(tx: Transaction, identifierIds: readonly Uuid[]): Promise<void> {
    const members = await this.membersAround(tx, identifierIds);
    const gone = new Set(identifierIds);
    await this.remove(tx, [...new Set(members.map(({ recordId }) => recordId))]);
    const left = members.filter(({ identifierId }) => !gone.has(identifierId));
    await this.mark(
      tx,
      left.map(({ identifierId }) => identifierId),
      true,
    );
    await tx.query('DELETE FROM matching_work WHERE identifier_id = ANY ($1::uuid[])', [identifierIds]);
    for (const table of ['matching_link_work', 'identity_reviews']) {
      await tx.query(`DELETE FROM ${table} WHERE a_id = ANY ($1::uuid[]) OR b_id = ANY ($1::uuid[])`, [identifierIds]);
    }
  }

  /** Says whose identifiers are whose: all of these, which are those of whole records. */
  async saveMembers(tx: Transaction, ids: readonly Uuid[], members: readonly RecordMember[]): Promise<void> {
    await tx.query(
      `DELETE FROM matching_members m WHERE identifier_id = ANY ($1::uuid[])
         AND NOT EXISTS (SELECT FROM unnest($2::uuid[], $3::uuid[]) AS n (i, r) WHERE n.i = m.identifier_id AND n.r = m.record_id)`,
      [ids, members.map(({ identifierId }) => identifierId), members.map(({ recordId }) => recordId)],
    );
    await tx.query(
      `INSERT INTO matching_members (identifier_id, record_id) SELECT * FROM unnest($1::uuid[], $2::uuid[])
       ON CONFLICT (identifier_id) DO NOTHING`,
      [members.map(({ identifierId }) => identifierId), members.map(({ recordId }) => recordId)],
    );
  }

  /** Has these scored anew, and what links them looked at. */
  async unscore(tx: Transaction, ids: readonly Uuid[]): Promise<void> {
    if (ids.length === 0) return;
    await this.lookAtLinksOf(tx, ids);
    await tx.query('UPDATE matching_records SET is_scored = false WHERE id = ANY ($1::uuid[]) AND is_scored', [ids]);
  }

  // --- pairs ----------------------------------------------------------------------------------------------------------

  async unscored(db: Queryable, limit: number): Promise<Uuid[]> {
    const rows = await db.query<{ id: Uuid }>('SELECT id FROM matching_records WHERE NOT is_scored LIMIT $1', [limit]);
    return rows.map(({ id }) => id);
  }

  /**
   * The records that share a block with each of these, without those of blocks that are too large.
   * @param limit of records in all: those that would go beyond are left out, but for the first
   */
  async candidates(db: Queryable, ids: readonly Uuid[], limit: number): Promise<Map<Uuid, Set<Uuid>>> {
    const found = new Map<Uuid, Set<Uuid>>();
    const all = new Set<Uuid>();
    const blocks = new Map<string, Uuid[]>();
    const keys = await this.#keysOf(db, ids);
    const rows = await db.query<{ key: string; id: Uuid }>(
      `SELECT encode(k.key, 'hex') AS key, m.record_id AS id
       FROM unnest($1::bytea[]) AS k (key) CROSS JOIN LATERAL (
         SELECT record_id FROM matching_keys WHERE key = k.key LIMIT $2
       ) m WHERE NOT EXISTS (SELECT FROM matching_large_blocks l WHERE l.key = k.key)`,
      [byteaArray([...new Set(keys.map(({ key }) => key))], (key) => Buffer.from(key, 'hex')), this.#maxBlockRecords],
    );
    for (const { key, id } of rows) pushTo(blocks, key, id);
    const keysById = new Map<Uuid, string[]>();
    for (const { recordId, key } of keys) pushTo(keysById, recordId, key);
    for (const id of ids) {
      const others = new Set((keysById.get(id) ?? []).flatMap((key) => blocks.get(key) ?? []));
      others.delete(id);
      if (found.size > 0 && all.size + others.size > limit) break;
      for (const other of others) all.add(other);
      found.set(id, others);
    }
    return found;
  }

  async pairsOf(db: Queryable, ids: readonly Uuid[]): Promise<StoredPair[]> {
    return db.query<StoredPair>(
      `SELECT a_id AS a, b_id AS b, weight FROM matching_pairs WHERE a_id = ANY ($1::uuid[])
       UNION SELECT a_id, b_id, weight FROM matching_pairs WHERE b_id = ANY ($1::uuid[])`,
      [ids],
    );
  }

  async savePairs(
    tx: Transaction,
    scoredIds: readonly Uuid[],
    changed: readonly ScoredCandidates[],
    gone: readonly RecordPairIds[],
  ): Promise<void> {
    await tx.query(
      `DELETE FROM matching_pairs p USING unnest($1::uuid[], $2::uuid[]) AS g (a, b) WHERE p.a_id = g.a AND p.b_id = g.b`,
      [gone.map(({ a }) => a), gone.map(({ b }) => b)],
    );
    await tx.query(
      `INSERT INTO matching_pairs (a_id, b_id, weight) SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::float8[])
       ON CONFLICT (a_id, b_id) DO UPDATE SET weight = excluded.weight`,
      [changed.map(({ a }) => a), changed.map(({ b }) => b), changed.map(({ weight }) => weight)],
    );
    await tx.query('UPDATE matching_records SET is_scored = true WHERE id = ANY ($1::uuid[])', [scoredIds]);
  }

  // --- links ----------------------------------------------------------------------------------------------------------

  async lookAt(tx: Transaction, pairs: readonly RecordPairIds[]): Promise<void> {
    await tx.query(
      `INSERT INTO matching_link_work (a_id, b_id) SELECT * FROM unnest($1::uuid[], $2::uuid[]) ON CONFLICT DO NOTHING`,
      [pairs.map(({ a }) => a), pairs.map(({ b }) => b)],
    );
  }

  async lookAtLinksOf(tx: Transaction, ids: readonly Uuid[]): Promise<void> {
    await tx.query(
      `INSERT INTO matching_link_work (a_id, b_id)
       SELECT a_id, b_id FROM matching_pairs WHERE a_id = ANY ($1::uuid[])
       UNION SELECT a_id, b_id FROM matching_pairs WHERE b_id = ANY ($1::uuid[])
       ON CONFLICT DO NOTHING`,
      [ids],
    );
  }

  async linkWork(db: Queryable, limit: number): Promise<RecordPairIds[]> {
    return db.query<RecordPairIds>('SELECT a_id AS a, b_id AS b FROM matching_link_work ORDER BY a_id, b_id LIMIT $1', [
      limit,
    ]);
  }

  async lookedAt(tx: Queryable, pairs: readonly RecordPairIds[]): Promise<void> {
    await tx.query(
      `DELETE FROM matching_link_work w USING unnest($1::uuid[], $2::uuid[]) AS p (a, b) WHERE w.a_id = p.a AND w.b_id = p.b`,
      [pairs.map(({ a }) => a), pairs.map(({ b }) => b)],
    );
  }

  async pairs(db: Queryable, pairs: readonly RecordPairIds[]): Promise<StoredPair[]> {
    return db.query<StoredPair>(
      `SELECT p.a_id AS a, p.b_id AS b, p.weight FROM matching_pairs p
       JOIN unnest($1::uuid[], $2::uuid[]) AS w (a, b) ON p.a_id = w.a AND p.b_id = w.b`,
      [pairs.map(({ a }) => a), pairs.map(({ b }) => b)],
    );
  }

  /** Of these pairs, those of which somebody said that they are not one person. */
  async barred(db: Queryable, pairs: readonly RecordPairIds[]): Promise<RecordPairIds[]> {
    if (pairs.length === 0) return [];
    return db.query<RecordPairIds>(
      `SELECT DISTINCT p.a, p.b FROM unnest($1::uuid[], $2::uuid[]) AS p (a, b)
       JOIN matching_members m ON m.record_id = p.a
       JOIN LATERAL (
         SELECT b_id AS other FROM identity_links WHERE a_id = m.identifier_id AND kind = 'cannot' AND removed_at IS NULL
         UNION ALL
         SELECT a_id FROM identity_links WHERE b_id = m.identifier_id AND kind = 'cannot' AND removed_at IS NULL
       ) l ON true
       JOIN matching_members n ON n.identifier_id = l.other AND n.record_id = p.b`,
      [pairs.map(({ a }) => a), pairs.map(({ b }) => b)],
    );
  }

  // --- blocks ---------------------------------------------------------------------------------------------------------

  async #keysOf(db: Queryable, ids: readonly Uuid[]): Promise<{ recordId: Uuid; key: string; rule: number }[]> {
    return db.query<{ recordId: Uuid; key: string; rule: number }>(
      `SELECT record_id AS "recordId", encode(key, 'hex') AS key, rule FROM matching_keys WHERE record_id = ANY ($1::uuid[])`,
      [ids],
    );
  }

  /** Changes who is in some blocks, and keeps invariant 2. */
  async #watchingBlocks(
    tx: Transaction,
    touched: readonly { readonly key: string; readonly rule: number }[],
    change: () => Promise<void>,
  ): Promise<void> {
    const rules = new Map(touched.map(({ key, rule }) => [key, rule]));
    const keys = [...rules.keys()];
    const before = await this.#largeAmong(tx, keys);
    await change();
    const after = await this.#largeAmong(tx, keys);
    const grown = [...after].filter((key) => !before.has(key));
    const shrunk = [...before].filter((key) => !after.has(key));
    if (grown.length === 0 && shrunk.length === 0) return;
    await tx.query('INSERT INTO matching_large_blocks (key, rule) SELECT * FROM unnest($1::bytea[], $2::int2[])', [
      byteaArray(grown, (key) => Buffer.from(key, 'hex')),
      int2Array(grown, (key) => Math.min(rules.get(key) ?? 0, MAX_RULES)),
    ]);
    await tx.query('DELETE FROM matching_large_blocks WHERE key = ANY ($1::bytea[])', [
      byteaArray(shrunk, (key) => Buffer.from(key, 'hex')),
    ]);
    await tx.query(
      `UPDATE matching_records SET is_scored = false
       WHERE id IN (SELECT record_id FROM matching_keys WHERE key = ANY ($1::bytea[])) AND is_scored`,
      [byteaArray([...grown, ...shrunk], (key) => Buffer.from(key, 'hex'))],
    );
  }

  async #largeAmong(db: Queryable, keys: readonly string[]): Promise<Set<string>> {
    if (keys.length === 0) return new Set();
    const rows = await db.query<{ key: string }>(
      `SELECT encode(k.key, 'hex') AS key FROM unnest($1::bytea[]) AS k (key)
       WHERE EXISTS (SELECT FROM matching_keys m WHERE m.key = k.key OFFSET $2)`,
      [byteaArray(keys, (key) => Buffer.from(key, 'hex')), this.#maxBlockRecords],
    );
    return new Set(rows.map(({ key }) => key));
  }
}

function bytesOf({ key }: { readonly key: string }): Buffer {
  return Buffer.from(key, 'hex');
}

function pushTo<K, V>(lists: Map<K, V[]>, key: K, value: V): void {
  const list = lists.get(key);
  if (list === undefined) lists.set(key, [value]);
  else list.push(value);
}
