import {
  createCipheriv,
  createDecipheriv,
  createSecretKey,
  randomBytes,
  randomFillSync,
  type KeyObject,
} from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { FORMAT_SEALED, type AnchoredPayload, type EventSealer, type Opened } from '../events/event-seal.model.js';
import { byteaArray, uuidArray } from '../platform/binary-arrays.js';
import type { Uuid } from '../platform/ids.js';
import type { InstallationSecret } from '../platform/installation-secret.js';
import { maintain } from '../platform/maintain.js';
import { outlastTransactions } from '../platform/outlast-transactions.js';
import type { Database, Queryable } from '../platform/postgres.js';

/*
 * A sealed payload:
 *
 *     byte 0      1 … 12    13 …              last 16
 *   +--------+----------+-----------------+---------+
 *   | 1      | nonce    | the ciphertext  | tag     |   AES-256-GCM by the key of the anchor
 *   +--------+----------+-----------------+---------+
 *
 * The plain text is the payload as it would be stored, its format byte included. A nonce is random: of one anchor's key
 * far fewer than the 2^32 texts are sealed that NIST SP 800-38D allows. A wrapped key has the same form, sealed by a key
 * of the installation's secret, with the anchor's id as its additional data, so that no key can be put in another's place.
 */
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const OVERHEAD_BYTES = 1 + NONCE_BYTES + TAG_BYTES;
const KEY_BYTES = 32;
const ALGORITHM = 'aes-256-gcm';

/** Anchors whose keys are kept in memory; about 0.4 KB each. */
const MAX_CACHED_KEYS = 50_000;
/** Keys asked for or made in one statement. */
const MAX_KEYS_PER_STATEMENT = 5_000;

const NONE: Uint8Array = new Uint8Array(0);

/** The tables of the database of keys. */
export async function prepareKeys(keys: Queryable): Promise<void> {
  await keys.query('CREATE TABLE IF NOT EXISTS data_keys (anchor_id uuid PRIMARY KEY, wrapped bytea NOT NULL)');
  await keys.query('ALTER TABLE data_keys ALTER COLUMN wrapped SET STATISTICS 0');
  await keys.query('CREATE TABLE IF NOT EXISTS destroyed_letter_keys (id uuid PRIMARY KEY)');
}

/**
 * The data keys of anchors: random, wrapped by the installation's secret, in a database of their own, which no backup of
 * the other one has. Without its key, whatever was sealed with it is noise, wherever a copy of it is.
 */
export class KeyVault implements EventSealer {
  readonly isSealing = true;
  readonly #cache: LRUCache<Uuid, KeyObject>;
  readonly #wrappingKey: KeyObject;

  /** @throws WeftError NOT_CONFIGURED where the installation has no secret */
  constructor(
    private readonly keys: Database,
    secret: InstallationSecret,
    { maxCachedKeys = MAX_CACHED_KEYS }: { readonly maxCachedKeys?: number } = {},
  ) {
    this.#cache = new LRUCache({ max: maxCachedKeys });
    this.#wrappingKey = createSecretKey(secret.derive('data-keys'));
  }

  /** What is remembered of keys may have been destroyed elsewhere. */
  forget(): void {
    this.#cache.clear();
  }

  async seal(payloads: readonly AnchoredPayload[]): Promise<readonly Buffer[]> {
    const keys = await this.#keysOf(payloads, (ids) => this.#provide(ids));
    return payloads.map(({ anchor_id: id, payload }) => {
      const key = keys.get(id);
      if (key === undefined) throw new Error('an anchor has no key after one was made for it');
      return sealBytes(key, payload, NONE);
    });
  }

  async open<Row extends AnchoredPayload>(rows: readonly Row[]): Promise<Opened<Row>[]> {
    const sealed = rows.filter(({ payload }) => payload[0] === FORMAT_SEALED);
    const keys = await this.#keysOf(sealed, (ids) => this.#fetch(ids));
    const opened: Row[] = [];
    for (const row of rows) {
      if (row.payload[0] !== FORMAT_SEALED) {
        opened.push(row);
        continue;
      }
      const key = keys.get(row.anchor_id);
      if (key === undefined) continue;
      const payload = openBytes(key, row.payload, NONE);
      opened.push(payload === null ? row : { ...row, payload });
    }
    return opened as Opened<Row>[];
  }

  /** Destroys the keys of anchors: whatever was sealed with them can be read by nobody. */
  async destroy(anchorIds: readonly Uuid[]): Promise<void> {
    for (let from = 0; from < anchorIds.length; from += MAX_KEYS_PER_STATEMENT) {
      const some = anchorIds.slice(from, from + MAX_KEYS_PER_STATEMENT);
      await this.keys.query('DELETE FROM data_keys WHERE anchor_id = ANY ($1::uuid[])', [some]);
    }
    this.forget();
  }

  /**
   * Destroys the keys of dead letters, and remembers their ids: random ones, by which nobody is known. So a letter whose
   * key an erasure destroyed is told from one whose key was lost.
   */
  async destroyOfLetters(ids: readonly Uuid[]): Promise<void> {
    if (ids.length === 0) return;
    await this.keys.query(
      `WITH gone AS (DELETE FROM data_keys WHERE anchor_id = ANY ($1::uuid[]) RETURNING anchor_id)
       INSERT INTO destroyed_letter_keys (id) SELECT anchor_id FROM gone ON CONFLICT DO NOTHING`,
      [ids],
    );
    this.forget();
  }

  /** Of these, the keys of letters that were destroyed. */
  async destroyedOfLetters(ids: readonly Uuid[]): Promise<ReadonlySet<Uuid>> {
    if (ids.length === 0) return new Set();
    const rows = await this.keys.query<{ id: Uuid }>(
      'SELECT id FROM destroyed_letter_keys WHERE id = ANY ($1::uuid[])',
      [ids],
    );
    return new Set(rows.map(({ id }) => id));
  }

  /**
   * Writes the table of keys anew, so that its files have none that was destroyed.
   * @throws WeftError UNAVAILABLE where a transaction that may still see such a key does not end
   */
  async compact(sleep: (ms: number) => Promise<void>): Promise<void> {
    await outlastTransactions(this.keys, sleep);
    await maintain(this.keys, ['VACUUM (FULL, ANALYZE) data_keys']);
  }

  /** Those in memory are held from the start: what is waited for may push them out, and without its key a row is as erased. */
  async #keysOf(
    payloads: readonly AnchoredPayload[],
    load: (ids: readonly Uuid[]) => Promise<ReadonlyMap<Uuid, KeyObject>>,
  ): Promise<ReadonlyMap<Uuid, KeyObject>> {
    const keys = new Map<Uuid, KeyObject>();
    const unknown = new Set<Uuid>();
    for (const { anchor_id: id } of payloads) {
      if (keys.has(id) || unknown.has(id)) continue;
      const key = this.#cache.get(id);
      if (key === undefined) unknown.add(id);
      else keys.set(id, key);
    }
    if (unknown.size > 0) for (const [id, key] of await load([...unknown])) keys.set(id, key);
    return keys;
  }

  /** The keys of anchors, made where there are none. */
  async #provide(ids: readonly Uuid[]): Promise<Map<Uuid, KeyObject>> {
    const found = await this.#fetch(ids);
    const missing = ids.filter((id) => !found.has(id));
    if (missing.length === 0) return found;
    const made = missing.map((id) => ({
      id,
      wrapped: sealBytes(this.#wrappingKey, randomBytes(KEY_BYTES), Buffer.from(id)),
    }));
    await this.keys.run({
      name: 'data-keys-insert',
      text: `INSERT INTO data_keys (anchor_id, wrapped) SELECT * FROM unnest($1::uuid[], $2::bytea[]) AS t (id, wrapped)
             ORDER BY id ON CONFLICT DO NOTHING`,
      values: [uuidArray(made, ({ id }) => id), byteaArray(made, ({ wrapped }) => wrapped)],
    });
    // Of two processes that made one for the same anchor, the first one's stands.
    for (const [id, key] of await this.#fetch(missing)) found.set(id, key);
    return found;
  }

  async #fetch(ids: readonly Uuid[]): Promise<Map<Uuid, KeyObject>> {
    const found = new Map<Uuid, KeyObject>();
    for (let from = 0; from < ids.length; from += MAX_KEYS_PER_STATEMENT) {
      const some = ids.slice(from, from + MAX_KEYS_PER_STATEMENT);
      const { rows } = await this.keys.run<{ id: Uuid; wrapped: Buffer }>({
        name: 'data-keys-select',
        text: 'SELECT anchor_id AS id, wrapped FROM data_keys WHERE anchor_id = ANY ($1::uuid[])',
        values: [uuidArray(some, (id) => id)],
      });
      for (const { id, wrapped } of rows) {
        const plain = openBytes(this.#wrappingKey, wrapped, Buffer.from(id));
        // One that does not open is as good as destroyed to whoever has this secret, and only to them.
        if (plain === null) throw new Error('a data key is not of this installation, or was changed');
        const key = createSecretKey(plain);
        found.set(id, key);
        this.#cache.set(id, key);
      }
    }
    return found;
  }
}

/** Random bytes are cheaper by the thousand. */
const noncePool = Buffer.allocUnsafe(NONCE_BYTES * 1_024);
let nonceAt = noncePool.length;

function nextNonce(into: Buffer, at: number): void {
  if (nonceAt === noncePool.length) {
    randomFillSync(noncePool);
    nonceAt = 0;
  }
  noncePool.copy(into, at, nonceAt, nonceAt + NONCE_BYTES);
  nonceAt += NONCE_BYTES;
}

function sealBytes(key: KeyObject, plain: Buffer, bound: Uint8Array): Buffer {
  const sealed = Buffer.allocUnsafe(plain.length + OVERHEAD_BYTES);
  sealed[0] = FORMAT_SEALED;
  nextNonce(sealed, 1);
  const cipher = createCipheriv(ALGORITHM, key, sealed.subarray(1, 1 + NONCE_BYTES));
  if (bound.length > 0) cipher.setAAD(bound);
  cipher.update(plain).copy(sealed, 1 + NONCE_BYTES);
  cipher.final();
  cipher.getAuthTag().copy(sealed, sealed.length - TAG_BYTES);
  return sealed;
}

/** Null for what was changed, or sealed with another key. */
function openBytes(key: KeyObject, sealed: Buffer, bound: Uint8Array): Buffer | null {
  if (sealed.length < OVERHEAD_BYTES) return null;
  const decipher = createDecipheriv(ALGORITHM, key, sealed.subarray(1, 1 + NONCE_BYTES));
  decipher.setAuthTag(sealed.subarray(-TAG_BYTES));
  if (bound.length > 0) decipher.setAAD(bound);
  const plain = decipher.update(sealed.subarray(1 + NONCE_BYTES, -TAG_BYTES));
  try {
    decipher.final();
    return plain;
  } catch {
    return null;
  }
}
