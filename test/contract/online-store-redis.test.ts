import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { RedisConnection } from '../../src/platform/redis.js';
import { TOMBSTONE_MS } from '../../src/profiles/online-store.model.js';
import { RedisOnlineStore } from '../../src/profiles/online-store.redis.js';
import { canStartRedis, startRedisServer, type RedisServer } from '../support/redis-server.js';
import { redisPrefix, redisUrl } from '../support/redis.js';
import { onlineStoreContract } from './online-store.contract.js';

describe.skipIf(redisUrl() === null)('the online store in Redis', () => {
  let connection: RedisConnection;
  beforeAll(async () => {
    connection = await RedisConnection.open([redisUrl() ?? '']);
  });
  afterAll(() => connection.close());

  onlineStoreContract(() => Promise.resolve(new RedisOnlineStore(connection, redisPrefix())));

  it('lets tombstones expire, and blobs not', async () => {
    const prefix = redisPrefix();
    const store = new RedisOnlineStore(connection, prefix);
    await store.putMany([{ key: 'a', version: 1, bytes: Buffer.from('a') }]);
    const [key = ''] = await connection.client.keys(`${prefix}{*`);
    expect(await connection.client.pttl(key)).toBe(-1);
    await store.deleteMany(['a'], 1);
    expect(await connection.client.pttl(key)).toBeGreaterThan(TOMBSTONE_MS - 60_000);
    await store.putMany([{ key: 'a', version: 2, bytes: Buffer.from('a') }]);
    expect(await connection.client.pttl(key)).toBe(-1);
  });

  it('knows the greatest version that was put, whatever the order', async () => {
    const prefix = redisPrefix();
    const store = new RedisOnlineStore(connection, prefix);
    expect(await RedisOnlineStore.newestVersion(connection, prefix)).toBe(0);
    for (const version of [7, 2 ** 53 - 1, 3]) await store.putMany([{ key: 'a', version, bytes: Buffer.from('a') }]);
    expect(await RedisOnlineStore.newestVersion(connection, prefix)).toBe(2 ** 53 - 1);
  });

  it('keeps installations with different prefixes apart', async () => {
    const [one, two] = [
      new RedisOnlineStore(connection, redisPrefix()),
      new RedisOnlineStore(connection, redisPrefix()),
    ];
    await one.putMany([{ key: 'a', version: 1, bytes: Buffer.from('one') }]);
    expect(await two.getMany(['a'])).toEqual([null]);
  });
});

// A cluster of one node that holds every slot: it refuses commands across slots as any cluster does.
describe.skipIf(!(await canStartRedis()))('the online store in a Redis cluster', () => {
  let folder: string;
  let server: RedisServer | null = null;
  let connection: RedisConnection | undefined;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'weft-cluster-'));
    server = await startRedisServer(folder, ['--cluster-enabled', 'yes', '--cluster-announce-ip', '127.0.0.1']);
    const url = server?.url ?? '';
    const node = new Redis(url);
    await node.call('CLUSTER', 'ADDSLOTSRANGE', '0', '16383');
    await vi.waitUntil(async () => String(await node.call('CLUSTER', 'INFO')).includes('cluster_state:ok'), 20_000);
    node.disconnect();
    connection = await RedisConnection.open([url, url]);
  });

  afterAll(async () => {
    await connection?.close();
    await server?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  onlineStoreContract(() => {
    if (connection === undefined) throw new Error('not connected');
    return Promise.resolve(new RedisOnlineStore(connection, redisPrefix()));
  });
});
