import { createHmac, createSecretKey, randomBytes, type KeyObject } from 'node:crypto';
import { byteaArray, uuidArray } from '../platform/binary-arrays.js';
import { WeftError } from '../platform/errors.js';
import { uuidOf, type Uuid } from '../platform/ids.js';
import type { InstallationSecret } from '../platform/installation-secret.js';
import { maintain } from '../platform/maintain.js';
import { outlastTransactions } from '../platform/outlast-transactions.js';
import type { Database, Queryable } from '../platform/postgres.js';
import type { DataKey } from './joint-key.js';
import { openBytes, sealBytes } from './sealed-bytes.js';

const KEY_BYTES = 32;
/** Before a wrapped key (`sealed-bytes.ts`). */
const WRAPPED_HEADER = Buffer.from([1]);
/** Keys asked for or made in one statement. */
const MAX_KEYS_PER_STATEMENT = 5_000;

/** The tables of the database of keys. */
export async function prepareKeys(keys: Queryable): Promise<void> {
  // name: an HMAC of the identifier that it is of, or of the letter that has a key of its own; handle: 62 random bits.
  await keys.query(
    `CREATE TABLE IF NOT EXISTS sealing_keys (
       name uuid PRIMARY KEY,
       handle bytea NOT NULL UNIQUE DEFAULT substring(uuid_send(gen_random_uuid()) FROM 9),
       wrapped bytea NOT NULL
     )`,
  );
  await keys.query('ALTER TABLE sealing_keys ALTER COLUMN wrapped SET STATISTICS 0');
  await keys.query('CREATE TABLE IF NOT EXISTS destroyed_letter_keys (id uuid PRIMARY KEY)');
  // Keys of anchors, from before payloads were sealed with those of all whom they name.
  await keys.query('CREATE TABLE IF NOT EXISTS data_keys (anchor_id uuid PRIMARY KEY, wrapped bytea NOT NULL)');
}

interface KeyRow {
  readonly name: Uuid;
  readonly handle: Buffer;
  readonly wrapped: Buffer;
}

/** An identifier, or a letter, and under which name its key is kept. */
interface Named {
  readonly id: Uuid;
  readonly name: Uuid;
}

/**
 * The keys of identifiers, and those of dead letters: random, wrapped by a key of the installation's secret, and bound to the
 * name that each is kept under, so that none can be put in another's place. Names are HMACs: nobody can tell without the
 * secret whose key one is, and so not whom those name that are left of values which stand for nobody.
 */
export class SealingKeyStore {
  readonly #wrappingKey: KeyObject;
  readonly #namingKey: Buffer;

  /** @throws WeftError NOT_CONFIGURED where the installation has no secret */
  constructor(
    private readonly keys: Database,
    secret: InstallationSecret,
  ) {
    this.#wrappingKey = createSecretKey(secret.derive('data-keys'));
    this.#namingKey = secret.derive('key-names');
  }

  /**
   * The keys of identifiers, made where there are none; those are durable.
   * @throws WeftError UNAVAILABLE where somebody's were destroyed while they were asked for
   */
  async provide(ids: readonly Uuid[]): Promise<ReadonlyMap<Uuid, DataKey>> {
    const names = ids.map((id): Named => ({ id, name: this.#name(id) }));
    const found = await this.#fetch(names);
    const missing = names.filter(({ id }) => !found.has(id));
    for (const [id, key] of await this.#make(missing)) found.set(id, key);
    // Of two processes that made one for the same identifier, the first one's stands.
    for (const [id, key] of await this.#fetch(missing.filter((each) => !found.has(each.id)))) found.set(id, key);
    if (names.some(({ id }) => !found.has(id))) {
      throw new WeftError('UNAVAILABLE', 'somebody was erased at this very moment', { retryAfterMs: 0 });
    }
    return found;
  }

  /** Those that were made, and are durable. */
  async #make(names: readonly Named[]): Promise<Map<Uuid, DataKey>> {
    const made = new Map<Uuid, DataKey>();
    for (let from = 0; from < names.length; from += MAX_KEYS_PER_STATEMENT) {
      const some = names
        .slice(from, from + MAX_KEYS_PER_STATEMENT)
        .map((each) => ({ ...each, bytes: randomBytes(KEY_BYTES) }));
      const { rows } = await this.keys.run<Omit<KeyRow, 'wrapped'>>({
        name: 'sealing_keys_insert',
        text: `INSERT INTO sealing_keys (name, wrapped) SELECT * FROM unnest($1::uuid[], $2::bytea[]) AS t (name, wrapped)
               ORDER BY name ON CONFLICT DO NOTHING RETURNING name, handle`,
        values: [
          uuidArray(some, ({ name }) => name),
          byteaArray(some, ({ name, bytes }) => sealBytes(this.#wrappingKey, WRAPPED_HEADER, bytes, Buffer.from(name))),
        ],
      });
      const handles = new Map(rows.map(({ name, handle }) => [name, handle]));
      for (const { id, name, bytes } of some) {
        const handle = handles.get(name);
        if (handle !== undefined) made.set(id, { handle, bytes });
      }
    }
    return made;
  }

  async #fetch(names: readonly Named[]): Promise<Map<Uuid, DataKey>> {
    const found = new Map<Uuid, DataKey>();
    for (let from = 0; from < names.length; from += MAX_KEYS_PER_STATEMENT) {
      const some = names.slice(from, from + MAX_KEYS_PER_STATEMENT);
      const idOf = new Map(some.map(({ id, name }) => [name, id]));
      const { rows } = await this.keys.run<KeyRow>({
        name: 'sealing_keys_select',
        text: 'SELECT name, handle, wrapped FROM sealing_keys WHERE name = ANY ($1::uuid[])',
        values: [uuidArray(some, ({ name }) => name)],
      });
      for (const { name, handle, wrapped } of rows) {
        found.set(idOf.get(name) ?? absent(), { handle, bytes: this.#unwrap(wrapped, name) });
      }
    }
    return found;
  }

  /** By handle, as texts in Latin-1; left out are those that are destroyed. */
  async byHandles(handles: readonly string[]): Promise<ReadonlyMap<string, DataKey>> {
    const found = new Map<string, DataKey>();
    for (let from = 0; from < handles.length; from += MAX_KEYS_PER_STATEMENT) {
      const some = handles.slice(from, from + MAX_KEYS_PER_STATEMENT);
      const { rows } = await this.keys.run<KeyRow>({
        name: 'sealing_keys_by_handle',
        text: 'SELECT name, handle, wrapped FROM sealing_keys WHERE handle = ANY ($1::bytea[])',
        values: [byteaArray(some, (handle) => Buffer.from(handle, 'latin1'))],
      });
      for (const { name, handle, wrapped } of rows) {
        found.set(handle.toString('latin1'), { handle, bytes: this.#unwrap(wrapped, name) });
      }
    }
    return found;
  }

  /** 32 bytes each: keys of anchors from before payloads were sealed with those of all whom they name. */
  async ofAnchors(anchorIds: readonly Uuid[]): Promise<ReadonlyMap<Uuid, Buffer>> {
    const found = new Map<Uuid, Buffer>();
    for (let from = 0; from < anchorIds.length; from += MAX_KEYS_PER_STATEMENT) {
      const some = anchorIds.slice(from, from + MAX_KEYS_PER_STATEMENT);
      const { rows } = await this.keys.run<{ id: Uuid; wrapped: Buffer }>({
        name: 'data_keys_select',
        text: 'SELECT anchor_id AS id, wrapped FROM data_keys WHERE anchor_id = ANY ($1::uuid[])',
        values: [uuidArray(some, (id) => id)],
      });
      for (const { id, wrapped } of rows) found.set(id, this.#unwrap(wrapped, id));
    }
    return found;
  }

  /** Destroys the keys of identifiers: whatever named one of them can be read by nobody. */
  async destroy(ids: readonly Uuid[]): Promise<void> {
    for (let from = 0; from < ids.length; from += MAX_KEYS_PER_STATEMENT) {
      const some = ids.slice(from, from + MAX_KEYS_PER_STATEMENT);
      await this.keys.query('DELETE FROM sealing_keys WHERE name = ANY ($1::uuid[])', [
        some.map((id) => this.#name(id)),
      ]);
      await this.keys.query('DELETE FROM data_keys WHERE anchor_id = ANY ($1::uuid[])', [some]);
    }
  }

  /**
   * Destroys the keys of dead letters, and remembers their ids: random ones, by which nobody is known. So a letter whose
   * key an erasure destroyed is told from one whose key was lost.
   */
  async destroyOfLetters(ids: readonly Uuid[]): Promise<void> {
    if (ids.length === 0) return;
    await this.keys.query(
      `WITH gone AS (
         DELETE FROM sealing_keys k USING unnest($1::uuid[], $2::uuid[]) AS l (id, name) WHERE k.name = l.name RETURNING l.id
       ), former AS (
         DELETE FROM data_keys WHERE anchor_id = ANY ($1::uuid[]) RETURNING anchor_id AS id
       )
       INSERT INTO destroyed_letter_keys (id) SELECT id FROM gone UNION SELECT id FROM former ON CONFLICT DO NOTHING`,
      [ids, ids.map((id) => this.#name(id))],
    );
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
   * Writes the tables of keys anew, so that their files have none that was destroyed.
   * @throws WeftError UNAVAILABLE where a transaction that may still see such a key does not end
   */
  async compact(sleep: (ms: number) => Promise<void>): Promise<void> {
    await outlastTransactions(this.keys, sleep);
    await maintain(this.keys, ['VACUUM (FULL, ANALYZE) sealing_keys', 'VACUUM (FULL) data_keys']);
  }

  #name(id: Uuid): Uuid {
    return uuidOf(createHmac('sha256', this.#namingKey).update(id).digest());
  }

  #unwrap(wrapped: Buffer, name: Uuid): Buffer {
    const bytes = openBytes(this.#wrappingKey, WRAPPED_HEADER.length, wrapped, Buffer.from(name));
    // One that does not open is as good as destroyed to whoever has this secret, and only to them.
    if (bytes === null) throw new Error('a data key is not of this installation, or was changed');
    return bytes;
  }
}

function absent(): never {
  throw new Error('a name of a key that was not asked for');
}
