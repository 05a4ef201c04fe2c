import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startApp, type App } from '../../src/app.js';
import { readConfig } from '../../src/config.js';
import type { IncomingEvent } from '../../src/events/event.model.js';
import { ManualClock } from '../../src/platform/clock.js';
import { createLogger } from '../../src/platform/logger.js';
import { serve } from '../../src/serve.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { startRedisServer, type RedisServer } from '../support/redis-server.js';

let folder: string;
let database: TestDatabase;
let redis: RedisServer | null;
let clock: ManualClock;
let app: App;
let url: string;
let lines: string[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'weft-ready-'));
  database = await createTestDatabase();
  redis = await startRedisServer(folder);
  clock = new ManualClock(Date.now());
  lines = [];
  const config = readConfig({
    WEFT_DATABASE_URL: database.url,
    WEFT_PORT: '0',
    ...(redis === null ? {} : { WEFT_REDIS_URL: redis.url }),
  });
  const logger = createLogger({ level: 'warn', destination: { write: (line) => lines.push(line) } });
  app = await startApp({ config, logger, clock, worker: 'yes' });
  ({ url } = await serve(app));
});

afterEach(async () => {
  await app.stop();
  await redis?.stop();
  await database.drop();
  await rm(folder, { recursive: true, force: true });
});

async function readiness(): Promise<{ status: number; checks: Record<string, string> }> {
  const response = await fetch(`${url}/readyz`);
  const { checks } = (await response.json()) as { checks: Record<string, string> };
  return { status: response.status, checks };
}

async function healthz(): Promise<number> {
  return (await fetch(`${url}/healthz`)).status;
}

describe('a running server', () => {
  it('is ready, and not while Redis is away', async (context) => {
    if (redis === null) {
      context.skip();
      return;
    }
    expect(await readiness()).toMatchObject({ status: 200, checks: { database: 'ok', worker: 'ok', redis: 'ok' } });
    await redis.stop();
    const { status, checks } = await readiness();
    expect(status).toBe(503);
    expect(checks).toMatchObject({ database: 'ok', redis: expect.stringMatching(/Redis|in time/) as string });
    expect(await healthz()).toBe(200);
    redis = await startRedisServer(folder, ['--port', String(redis.port)]);
    await expect.poll(async () => (await readiness()).status, { timeout: 10_000 }).toBe(200);
  });

  it('is not ready while its worker keeps failing, says why, and logs that once', async () => {
    await database.database.execute('ALTER TABLE profiles RENAME TO profiles_away');
    const source = await app.sources.ensure({ key: 'web', kind: 'http' });
    const event: IncomingEvent = {
      type: 'track',
      name: 'visit',
      messageId: 'm',
      identifiers: [{ ns: 'user_id', value: 'u' }],
    };
    await app.engine.accept.accept(source, [event], { historical: false });
    const failures = async (): Promise<number> =>
      Number(/^weft_batch_retries_total.* (\d+)$/m.exec(await app.metrics.text())?.[1] ?? 0);
    await expect.poll(failures, { timeout: 10_000 }).toBeGreaterThan(4);
    expect((await readiness()).checks['worker']).toBe('ok');
    clock.advance(5_000);
    const { status, checks } = await readiness();
    expect(status).toBe(503);
    expect(checks['worker']).toMatch(/^the last \d+ attempts failed, since .*: INTERNAL$/);
    expect(await healthz()).toBe(200);
    expect(lines.filter((line) => line.includes('a batch failed'))).toHaveLength(1);

    await database.database.execute('ALTER TABLE profiles_away RENAME TO profiles');
    await expect.poll(() => app.metrics.text(), { timeout: 15_000 }).toContain('weft_events_applied_total 1');
    expect((await readiness()).status).toBe(200);
  });
});
