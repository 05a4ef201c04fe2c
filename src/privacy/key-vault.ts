import { createSecretKey, type KeyObject } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import {
  FORMAT_SEALED,
  isSealed,
  type AnchoredPayload,
  type EventSealer,
  type NamingPayload,
  type Opened,
  type SealOptions,
} from '../events/event-seal.model.js';
import type { Uuid } from '../platform/ids.js';
import type { InstallationSecret } from '../platform/installation-secret.js';
import type { Database } from '../platform/postgres.js';
import { handlesIn, headerIn, headerOf, jointKey, type DataKey } from './joint-key.js';
import { openBytes, sealBytes } from './sealed-bytes.js';
import { SealingKeyStore } from './sealing-key.store.js';

/*
 * A payload is sealed with a key that the keys of all whom it names make together (`joint-key.ts`), behind a header that
 * says which these are. The plain text is the payload as it would be stored, its format byte included.
 *
 * What was sealed before has one byte as its header, 1, and is sealed with the key of its anchor alone.
 */
const OLD_HEADER = Buffer.from([1]);

/** Identifiers whose keys are kept in memory, and sets of them; about 0.4 KB each. */
const MAX_CACHED_KEYS = 50_000;

/** What payloads that name the same are sealed with. */
interface Lock {
  readonly header: Buffer;
  readonly key: KeyObject;
}

/**
 * Seals payloads with keys of identifiers (`sealing-key.store.ts`) that are in a database of their own, which no backup of
 * the other one has, and remembers those that were used last.
 *
 * 1. A payload is sealed with the keys of all whom it names. Without one of these, it is noise, wherever a copy of it is.
 * 2. A key is durable before the first payload that is sealed with it.
 * 3. It may be destroyed once no row of the log names whose it is, and none can come: then nothing that lives is lost.
 *    Who seals for a row that is there asks for the keys where they are kept. A process that remembers a destroyed one may
 *    seal with it only what it appends, and an append writes nothing where somebody was erased of whom it has not heard.
 */
export class KeyVault implements EventSealer {
  readonly isSealing = true;
  readonly #keys: LRUCache<Uuid, DataKey>;
  /** By the ids that are named, one after the other. */
  readonly #locks: LRUCache<string, Lock>;
  /** By header, as a text in Latin-1; those of former payloads by their anchor. */
  readonly #openers: LRUCache<string, KeyObject>;
  readonly #store: SealingKeyStore;
  /** Rises when all that is remembered goes: what was asked for before is not remembered after. */
  #epoch = 0;

  /** @throws WeftError NOT_CONFIGURED where the installation has no secret */
  constructor(
    keys: Database,
    secret: InstallationSecret,
    { maxCachedKeys = MAX_CACHED_KEYS }: { readonly maxCachedKeys?: number } = {},
  ) {
    this.#keys = new LRUCache({ max: maxCachedKeys });
    this.#locks = new LRUCache({ max: maxCachedKeys });
    this.#openers = new LRUCache({ max: maxCachedKeys });
    this.#store = new SealingKeyStore(keys, secret);
  }

  /** What is remembered of keys may have been destroyed elsewhere. */
  forget(): void {
    this.#epoch++;
    this.#keys.clear();
    this.#locks.clear();
    this.#openers.clear();
  }

  async seal(
    payloads: readonly NamingPayload[],
    { mayRemember = false }: SealOptions = {},
  ): Promise<readonly Buffer[]> {
    const locks = await this.#locksOf(
      payloads.map(({ namedIds }) => namedIds),
      mayRemember,
    );
    return payloads.map(({ payload }, i) => {
      const lock = locks[i];
      if (lock === undefined) throw new Error('a payload without a lock');
      return sealBytes(lock.key, lock.header, payload);
    });
  }

  async open<Row extends AnchoredPayload>(rows: readonly Row[]): Promise<Opened<Row>[]> {
    const seals = rows.map(sealOf);
    const openers = await this.#openersOf(seals);
    const opened: Row[] = [];
    for (const [i, row] of rows.entries()) {
      const seal = seals[i];
      if (seal === undefined || seal.header === null) {
        // Never sealed, or its header is damaged.
        opened.push(row);
        continue;
      }
      const key = openers.get(seal.name);
      if (key === undefined) continue;
      const payload = openBytes(key, seal.header.length, row.payload);
      opened.push(payload === null ? row : { ...row, payload });
    }
    return opened as Opened<Row>[];
  }

  /** Destroys the keys of identifiers: whatever named one of them can be read by nobody. */
  async destroy(ids: readonly Uuid[]): Promise<void> {
    await this.#store.destroy(ids);
    this.forget();
  }

  /** Destroys the keys of dead letters, and remembers their ids (`SealingKeyStore`). */
  async destroyOfLetters(ids: readonly Uuid[]): Promise<void> {
    await this.#store.destroyOfLetters(ids);
    this.forget();
  }

  /** Of these, the keys of letters that were destroyed. */
  destroyedOfLetters(ids: readonly Uuid[]): Promise<ReadonlySet<Uuid>> {
    return this.#store.destroyedOfLetters(ids);
  }

  /**
   * Writes the tables of keys anew, so that their files have none that was destroyed.
   * @throws WeftError UNAVAILABLE where a transaction that may still see such a key does not end
   */
  compact(sleep: (ms: number) => Promise<void>): Promise<void> {
    return this.#store.compact(sleep);
  }

  /** What each of these sets of ids is sealed with, keys made where there are none. */
  async #locksOf(named: readonly (readonly Uuid[])[], mayRemember: boolean): Promise<readonly Lock[]> {
    const epoch = this.#epoch;
    const names = named.map((ids) => ids.join());
    // Those in memory are held from the start: what is waited for may push them out.
    const locks = names.map((name) => (mayRemember ? this.#locks.get(name) : undefined));
    const wanted = new Map<Uuid, DataKey | null>();
    for (const [i, ids] of named.entries()) {
      if (locks[i] !== undefined) continue;
      for (const id of ids) if (!wanted.has(id)) wanted.set(id, mayRemember ? (this.#keys.get(id) ?? null) : null);
    }
    const unknown = [...wanted].flatMap(([id, key]) => (key === null ? [id] : []));
    if (unknown.length > 0) for (const [id, key] of await this.#store.provide(unknown)) wanted.set(id, key);
    if (epoch === this.#epoch) for (const id of unknown) this.#keys.set(id, wanted.get(id) ?? absent());
    const made = new Map<string, Lock>();
    return named.map((ids, i) => {
      const name = names[i] ?? '';
      const known = locks[i] ?? made.get(name);
      if (known !== undefined) return known;
      const parts = [...new Set(ids)].map((id) => wanted.get(id) ?? absent());
      const header = headerOf(parts);
      const lock = { header, key: jointKey(header, parts) };
      made.set(name, lock);
      if (epoch === this.#epoch) {
        this.#locks.set(name, lock);
        this.#openers.set(header.toString('latin1'), lock.key);
      }
      return lock;
    });
  }

  /** By name; left out are those of which a key is destroyed. */
  async #openersOf(seals: readonly (Seal | undefined)[]): Promise<ReadonlyMap<string, KeyObject>> {
    const epoch = this.#epoch;
    const openers = new Map<string, KeyObject>();
    const anchors = new Set<Uuid>();
    const headers = new Map<string, Buffer>();
    for (const seal of seals) {
      if (seal === undefined || seal.header === null || openers.has(seal.name)) continue;
      const { name, header } = seal;
      const known = this.#openers.get(name);
      if (known !== undefined) openers.set(name, known);
      else if (header === OLD_HEADER) anchors.add(name);
      else headers.set(name, header);
    }
    const add = (name: string, key: KeyObject): void => {
      openers.set(name, key);
      if (epoch === this.#epoch) this.#openers.set(name, key);
    };
    for (const [id, bytes] of await this.#store.ofAnchors([...anchors])) add(id, createSecretKey(bytes));
    const handlesOf = new Map([...headers].map(([name, header]) => [name, handlesIn(header)]));
    const parts = await this.#store.byHandles([...new Set([...handlesOf.values()].flat())]);
    for (const [name, header] of headers) {
      const found = (handlesOf.get(name) ?? []).flatMap((handle) => parts.get(handle) ?? []);
      if (found.length === header[1]) add(name, jointKey(header, found));
    }
    return openers;
  }
}

/** With what a row is sealed. */
interface Seal {
  /** Under which its key is remembered. */
  readonly name: string;
  /** Null: it is not whole. */
  readonly header: Buffer | null;
}

/** Undefined for what is not sealed. */
function sealOf({ anchor_id: anchorId, payload }: AnchoredPayload): Seal | undefined {
  if (!isSealed(payload)) return undefined;
  if (payload[0] !== FORMAT_SEALED) return { name: anchorId, header: OLD_HEADER };
  const header = headerIn(payload);
  return { name: header?.toString('latin1') ?? '', header };
}

function absent(): never {
  throw new Error('an identifier has no key after one was made for it');
}
