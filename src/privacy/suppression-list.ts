import { createHmac } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { Identifier, IdentifierPolicy } from '../events/event.model.js';
import type { EventSuppressions } from '../events/suppression.model.js';
import { WeftError } from '../platform/errors.js';
import type { Uuid } from '../platform/ids.js';
import type { InstallationSecret } from '../platform/installation-secret.js';
import { Periodic } from '../platform/periodic.js';
import type { Database } from '../platform/postgres.js';
import { identifiersIn } from './find-identifiers.js';
import { readPhoneRegions } from './phone-region.reader.js';

export interface SuppressionListOptions {
  readonly db: Database;
  readonly secret: InstallationSecret;
  readonly policy: IdentifierPolicy;
  /** How soon a process that accepts nothing hears of others' erasures, ms. Default 2 s. */
  readonly pollMs?: number;
  /** Others were put on the list: what is remembered of them has to go. */
  readonly onChanged: () => void;
  readonly onError: (error: unknown) => void;
}

/** Bytes of a hash; short enough for a list of millions in memory, long enough that nobody is taken for another. */
const HASH_BYTES = 16;
const POLL_MS = 2_000;
/** Identifiers of which it is remembered whether they are on the list. */
const MAX_REMEMBERED = 50_000;

/** What stands for an identifier on the list of the erased: an HMAC of its id, which only the installation can tell. */
export class SuppressionHash {
  readonly #key: Buffer;

  /** @throws WeftError NOT_CONFIGURED where the installation has no secret */
  constructor(secret: InstallationSecret) {
    this.#key = secret.derive('suppression');
  }

  of(identifierId: Uuid): Buffer {
    return createHmac('sha256', this.#key).update(identifierId).digest().subarray(0, HASH_BYTES);
  }
}

/**
 * Who was erased and must not come back, in this process: 16 bytes each, sorted. A process learns of others at its next
 * append (see `event-log.postgres.ts`), or at its next poll.
 */
export class SuppressionList implements EventSuppressions {
  readonly #options: SuppressionListOptions;
  readonly #polls: Periodic;
  readonly #remembered = new LRUCache<Uuid, boolean>({ max: MAX_REMEMBERED });
  #hash: SuppressionHash | null = null;
  #hashes: Buffer = Buffer.alloc(0);
  #namespaces: readonly string[] = [];
  #regions: readonly string[] = [];
  #version = -1;

  constructor(options: SuppressionListOptions) {
    this.#options = options;
    this.#polls = new Periodic(() => this.#load(), options.pollMs ?? POLL_MS, options.onError);
  }

  get version(): number {
    return this.#version;
  }

  get isEmpty(): boolean {
    return this.#hashes.length === 0;
  }

  /** Resolves with the list at hand. @throws WeftError NOT_CONFIGURED where somebody is on it, and there is no secret */
  async start(): Promise<void> {
    await this.#load();
    this.#polls.start();
  }

  stop(): Promise<void> {
    return this.#polls.stop();
  }

  refresh(): Promise<void> {
    return this.#load();
  }

  isSuppressed(identifiers: readonly Identifier[], formerIds: readonly Uuid[] = []): boolean {
    return !this.isEmpty && (identifiers.some(({ id }) => this.#has(id)) || formerIds.some((id) => this.#has(id)));
  }

  isNamedIn(text: string): boolean {
    if (this.isEmpty) return false;
    const forms = { namespaces: this.#namespaces, regions: this.#regions };
    return identifiersIn(text, this.#options.policy, forms).some((id) => this.#has(id));
  }

  #has(id: Uuid): boolean {
    let found = this.#remembered.get(id);
    if (found === undefined) {
      this.#hash ??= new SuppressionHash(this.#options.secret);
      this.#remembered.set(id, (found = isAmong(this.#hashes, this.#hash.of(id))));
    }
    return found;
  }

  async #load(): Promise<void> {
    const { db, secret, onChanged } = this.#options;
    this.#regions = await readPhoneRegions(db);
    const [head] = await db.query<{ version: number }>('SELECT suppressions AS version FROM log_head');
    if (head === undefined || head.version === this.#version) return;
    // Of one snapshot with the version.
    const list = await db.transaction(
      async (tx) => {
        const [row] = await tx.query<{ version: number; hashes: Buffer | null; namespaces: string[] | null }>(
          `SELECT (SELECT suppressions FROM log_head) AS version, string_agg(hash, ''::bytea ORDER BY hash) AS hashes,
                  array_agg(DISTINCT ns) AS namespaces FROM suppressions`,
        );
        return row;
      },
      { isolation: 'REPEATABLE READ', readOnly: true },
    );
    if (list === undefined) throw new WeftError('INTERNAL', 'an aggregate without a row');
    if (list.hashes !== null) this.#hash ??= new SuppressionHash(secret);
    this.#hashes = list.hashes ?? Buffer.alloc(0);
    this.#namespaces = list.namespaces ?? [];
    this.#version = list.version;
    this.#remembered.clear();
    onChanged();
  }
}

/** Whether a hash is among others that lie one after the other, sorted. */
function isAmong(hashes: Buffer, wanted: Buffer): boolean {
  let from = 0;
  let to = hashes.length / HASH_BYTES;
  while (from < to) {
    const middle = (from + to) >>> 1;
    const order = wanted.compare(hashes, middle * HASH_BYTES, (middle + 1) * HASH_BYTES);
    if (order === 0) return true;
    if (order < 0) to = middle;
    else from = middle + 1;
  }
  return false;
}
