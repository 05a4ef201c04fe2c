import type { Cluster, Redis } from 'ioredis';
import type { RedisConnection } from '../platform/redis.js';
import { TOMBSTONE_MS, type OnlineStore, type Versioned, type VersionedEntry } from './online-store.model.js';

/*
 * One string value a key:
 *
 *   byte   0        1 … 7                  8 …
 *        +-------+----------------------+-----------+
 *        | state | version, big-endian  | the blob  |
 *        +-------+----------------------+-----------+
 *
 *   state 0: a blob; 1: a tombstone, which has no blob and expires.
 *
 * Beside them <prefix>newest, the greatest version that was put; see `online-epoch.ts`.
 *
 * Key: <prefix>{<bucket>}:<key>. The bucket, 0 … 255, is a hash of the key; as the part in braces it alone decides the
 * slot in a cluster, so that a batch falls into at most 256 groups and not into one a key.
 */
const HEADER_BYTES = 8;
const BLOB = 0;
const TOMBSTONE = 1;
const BUCKETS = 256;

const MAX_KEYS_PER_COMMAND = 500;
const MAX_BYTES_PER_COMMAND = 1_048_576;

/**
 * Puts values, blobs or tombstones, each only if nothing newer is there.
 *
 * KEYS  keys of one slot
 * ARGV  1: lifetime of a tombstone, ms; 1 + i: the value for KEYS[i], as drawn above
 *
 * Numbers are compared and not strings: string comparison in Lua depends on the locale of the server. 7 bytes of version
 * are exact in a double, because versions stay below 2^53. Of equal versions a tombstone wins, in either order.
 */
const PUT_SCRIPT = `
local byte = string.byte
local function rank(value)
  local state, a, b, c, d, e, f, g = byte(value, 1, 8)
  return (((((a * 256 + b) * 256 + c) * 256 + d) * 256 + e) * 256 + f) * 256 + g, state
end
local function isNewer(value, current)
  if not current or #current < 8 then return true end
  local version, state = rank(value)
  local currentVersion, currentState = rank(current)
  return version > currentVersion or (version == currentVersion and state > currentState)
end
local stored = redis.call('MGET', unpack(KEYS))
local accepted, blobs = {}, {}
for i, key in ipairs(KEYS) do
  local value = ARGV[i + 1]
  if isNewer(value, accepted[key] or stored[i]) then accepted[key] = value end
end
for key, value in pairs(accepted) do
  if byte(value, 1) == 1 then
    redis.call('SET', key, value, 'PX', ARGV[1])
  else
    blobs[#blobs + 1] = key
    blobs[#blobs + 1] = value
  end
end
if #blobs > 0 then redis.call('MSET', unpack(blobs)) end
`;

/** KEYS 1: where; ARGV 1: a version. Keeps the greatest. */
const NEWEST_SCRIPT = `
local stored = redis.call('GET', KEYS[1])
if not stored or tonumber(stored) < tonumber(ARGV[1]) then redis.call('SET', KEYS[1], ARGV[1]) end
`;

interface Put {
  readonly key: string;
  readonly value: Buffer;
}

/** The online store shared by all processes. The prefix keeps several installations on one server apart. */
export class RedisOnlineStore implements OnlineStore {
  readonly #connection: RedisConnection;
  readonly #prefix: string;
  readonly #putScript: Script;
  readonly #newestScript: Script;

  constructor(connection: RedisConnection, prefix: string) {
    this.#connection = connection;
    this.#prefix = prefix;
    this.#putScript = defineScript(connection.client, 'weftPut', PUT_SCRIPT);
    this.#newestScript = defineScript(connection.client, 'weftNewest', NEWEST_SCRIPT);
  }

  /** The greatest version that was put under this prefix; 0 if none was. */
  static async newestVersion(connection: RedisConnection, prefix: string): Promise<number> {
    return Number((await connection.run((client) => client.get(newestKey(prefix)))) ?? 0);
  }

  async putMany(entries: readonly VersionedEntry[]): Promise<void> {
    if (entries.length === 0) return;
    const newest = entries.reduce((greatest, { version }) => Math.max(greatest, version), 0);
    await Promise.all([
      this.#connection.run(() => this.#newestScript([newestKey(this.#prefix)], [newest])),
      this.#put(entries.map(({ key, version, bytes }) => ({ key, value: encode(BLOB, version, bytes) }))),
    ]);
  }

  async deleteMany(keys: readonly string[], version: number): Promise<void> {
    const value = encode(TOMBSTONE, version, Buffer.alloc(0));
    await this.#put(keys.map((key) => ({ key, value })));
  }

  async getMany(keys: readonly string[]): Promise<(Versioned | null)[]> {
    const found: (Versioned | null)[] = new Array<null>(keys.length).fill(null);
    const positions = keys.map((key, position) => ({ key, position }));
    await this.#connection.run(async (client) => {
      const reads = this.#chunks(positions, () => 0).map(async (chunk) => {
        const values = await client.mgetBuffer(chunk.map(({ key }) => this.#keyOf(key)));
        for (const [i, { position }] of chunk.entries()) found[position] = decode(values[i] ?? null);
      });
      await Promise.all(reads);
    });
    return found;
  }

  async #put(puts: readonly Put[]): Promise<void> {
    await this.#connection.run(async () => {
      const writes = this.#chunks(puts, ({ value }) => value.length).map((chunk) =>
        this.#putScript(
          chunk.map(({ key }) => this.#keyOf(key)),
          [TOMBSTONE_MS, ...chunk.map(({ value }) => value)],
        ),
      );
      await Promise.all(writes);
    });
  }

  #keyOf(key: string): string {
    return `${this.#prefix}{${String(bucketOf(key))}}:${key}`;
  }

  /** Pieces for one command each: bounded in keys and bytes and, in a cluster, of one slot. */
  #chunks<T extends { readonly key: string }>(items: readonly T[], bytesOf: (item: T) => number): T[][] {
    const groups = this.#connection.isCluster ? groupByBucket(items) : [items];
    return groups.flatMap((group) => split(group, bytesOf));
  }
}

function newestKey(prefix: string): string {
  return `${prefix}newest`;
}

type Script = (keys: readonly string[], args: readonly (Buffer | number)[]) => Promise<unknown>;

/** ioredis sends the digest, and the text only to a server that does not know it yet. */
function defineScript(client: Redis | Cluster, name: string, lua: string): Script {
  client.defineCommand(name, { lua });
  const scripted = client as unknown as Record<string, (...args: (string | number | Buffer)[]) => Promise<unknown>>;
  return async (keys, args) => scripted[name]?.(keys.length, ...keys, ...args);
}

function groupByBucket<T extends { readonly key: string }>(items: readonly T[]): T[][] {
  const groups = new Map<number, T[]>();
  for (const item of items) {
    const bucket = bucketOf(item.key);
    const group = groups.get(bucket);
    if (group === undefined) groups.set(bucket, [item]);
    else group.push(item);
  }
  return [...groups.values()];
}

function split<T>(items: readonly T[], bytesOf: (item: T) => number): T[][] {
  const chunks: T[][] = [];
  let chunk: T[] = [];
  let bytes = 0;
  for (const item of items) {
    const size = bytesOf(item);
    if (chunk.length === MAX_KEYS_PER_COMMAND || (chunk.length > 0 && bytes + size > MAX_BYTES_PER_COMMAND)) {
      chunks.push(chunk);
      chunk = [];
      bytes = 0;
    }
    chunk.push(item);
    bytes += size;
  }
  if (chunk.length > 0) chunks.push(chunk);
  return chunks;
}

/** FNV-1a, 32 bits, folded to a bucket. */
function bucketOf(key: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < key.length; i += 1) hash = Math.imul(hash ^ key.charCodeAt(i), 0x01000193);
  return (hash ^ (hash >>> 8) ^ (hash >>> 16) ^ (hash >>> 24)) & (BUCKETS - 1);
}

function encode(state: number, version: number, bytes: Buffer): Buffer {
  const value = Buffer.allocUnsafe(HEADER_BYTES + bytes.length);
  // 7 bytes: 21 bits and 32 bits hold what is below 2^53.
  value.writeUInt32BE(Math.floor(version / 0x1_0000_0000), 0);
  value.writeUInt32BE(version >>> 0, 4);
  value[0] = state;
  bytes.copy(value, HEADER_BYTES);
  return value;
}

function decode(value: Buffer | null): Versioned | null {
  if (value === null || value.length < HEADER_BYTES || value[0] !== BLOB) return null;
  return {
    version: value.readUInt32BE(0) * 0x1_0000_0000 + value.readUInt32BE(4),
    bytes: value.subarray(HEADER_BYTES),
  };
}
