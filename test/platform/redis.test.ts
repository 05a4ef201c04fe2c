import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { RedisConnection } from '../../src/platform/redis.js';
import { canStartRedis, startRedisServer, type RedisServer } from '../support/redis-server.js';

let folder: string;
const servers: RedisServer[] = [];

async function start(...flags: string[]): Promise<RedisServer> {
  const server = await startRedisServer(folder, flags);
  if (server === null) throw new Error('no redis-server');
  servers.push(server);
  return server;
}

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'weft-redis-'));
});

afterEach(async () => {
  for (const server of servers.splice(0)) await server.stop();
  await rm(folder, { recursive: true, force: true });
});

describe('a Redis that is not there', () => {
  it('is reported in bounded time, without the password', async () => {
    const opened = RedisConnection.open(['redis://weft:canary@127.0.0.1:1']);
    const error: unknown = await opened.catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'UNAVAILABLE', where: 'WEFT_REDIS_URL' });
    expect(String(error)).not.toContain('canary');
  });
});

describe.skipIf(!(await canStartRedis()))('a Redis connection', () => {
  it('refuses a wrong password as a mistake of configuration', async () => {
    const { port } = await start('--requirepass', 'right');
    const url = (password: string): string => `redis://:${password}@127.0.0.1:${String(port)}`;
    await expect(RedisConnection.open([url('wrong')])).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
    const connection = await RedisConnection.open([url('right')]);
    await connection.ping();
    await connection.close();
  });

  it('says when the server goes away, and works again by itself when it is back', async () => {
    const first = await start();
    const errors: Error[] = [];
    const connection = await RedisConnection.open([first.url], { onError: (error) => errors.push(error) });
    await connection.ping();
    await first.stop();
    servers.length = 0;
    await expect(connection.ping()).rejects.toMatchObject({ code: 'UNAVAILABLE', retryAfterMs: 1_000 });
    expect(errors.length).toBeGreaterThan(0);

    await start('--port', String(first.port));
    await expect.poll(() => connection.ping().then(() => 'up'), { timeout: 20_000 }).toBe('up');
    await connection.close();
  });

  it('says that the server is full', async () => {
    const { url } = await start('--maxmemory', '1mb', '--maxmemory-policy', 'noeviction');
    const connection = await RedisConnection.open([url]);
    const fill = connection.run((client) => client.set('a', Buffer.alloc(2_000_000)).then(() => client.set('b', 'x')));
    await expect(fill).rejects.toMatchObject({ code: 'UNAVAILABLE', message: 'Redis is out of memory' });
    await connection.close();
  });
});
