import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startApp, unlessBroken, type App } from '../../src/app.js';
import { readConfig } from '../../src/config.js';
import { createLogger } from '../../src/platform/logger.js';
import { serve } from '../../src/serve.js';

let folder: string;
let app: App;
let url: string;
let writeKey: string;
let lines: string[];

/** A server on a database of its own, with as few connections as it may have. */
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'weft-serve-'));
  await chmod(folder, 0o711);
  lines = [];
  const config = readConfig({ WEFT_DATA_DIR: folder, WEFT_PORT: '0', WEFT_DATABASE_POOL_SIZE: '3' });
  const logger = createLogger({ level: 'warn', destination: { write: (line) => lines.push(line) } });
  app = await startApp({ config, logger, worker: 'yes' });
  ({ url } = await serve(app));
  const source = await app.sources.ensure({ key: 'web', kind: 'http' });
  ({ secret: writeKey } = await app.keys.create({ name: 'test', scopes: ['ingest'], sourceId: source.id }));
});

afterEach(async () => {
  await app.stop();
  await rm(folder, { recursive: true, force: true });
});

async function postmasterPid(): Promise<number> {
  return Number.parseInt(await readFile(join(folder, 'postgres', 'cluster', 'postmaster.pid'), 'utf8'), 10);
}

function track(messageId: string, key = writeKey): Promise<Response> {
  return fetch(`${url}/v1/track`, {
    method: 'POST',
    headers: {
      authorization: `Basic ${Buffer.from(`${key}:`).toString('base64')}`,
      'content-type': 'application/json',
    },
    body: JSON.stringify({ messageId, userId: `user ${messageId}`, event: 'visit' }),
  });
}

function note(seen: Map<number, string | null>, response: Response): void {
  seen.set(response.status, response.headers.get('retry-after'));
}

const counted = (name: string): Promise<number> =>
  app.metrics.text().then((text) => Number(new RegExp(`^weft_${name} (\\d+)$`, 'm').exec(text)?.[1] ?? 0));

describe('a server on the embedded database', () => {
  it('answers 503 with when to come back while the database is killed, then goes on, with nothing lost', async () => {
    expect((await track('before')).status).toBe(200);
    process.kill(await postmasterPid(), 'SIGKILL');
    const tracked = new Map<number, string | null>();
    const lookedUp = new Map<number, string | null>();
    // Keys that are in no memory have to be looked up.
    const unknown = (): string => `${writeKey.slice(0, -6)}${String(100_000 + attempts)}`;
    let attempts = 0;
    do {
      attempts += 1;
      note(tracked, await track('after'));
      note(lookedUp, await track('unknown', unknown()));
      await turn();
    } while (!tracked.has(503) || !lookedUp.has(503) || (await track('after')).status !== 200);
    expect([tracked.get(503), lookedUp.get(503)]).toEqual(['1', '1']);
    expect([...tracked.keys()].filter((status) => ![200, 503].includes(status))).toEqual([]);
    expect([...lookedUp.keys()].filter((status) => ![401, 503].includes(status))).toEqual([]);
    await app.applied();
    const people = await app.db.query(`SELECT FROM identifiers WHERE value IN ('user before', 'user after')`);
    expect(people).toHaveLength(2);
    expect(await counted('embedded_postgres_losses_total')).toBe(1);
    expect(lines.filter((line) => line.includes('INTERNAL'))).toEqual([]);
    await expect.poll(async () => (await fetch(`${url}/readyz`)).status, { timeout: 15_000 }).toBe(200);
  });

  it('gets by with the fewest connections that it may be given, whatever comes at once', async () => {
    const sent = await Promise.all(
      Array.from({ length: 200 }, (_, i) => track(String(i)).then(({ status }) => status)),
    );
    expect(new Set(sent)).toEqual(new Set([200]));
    await app.applied();
    expect(await counted('events_applied_total')).toBe(200);
    expect(app.db.poolStatus().total).toBeLessThanOrEqual(3);
  });

  it('ends what a process does once the database is gone for good', async () => {
    const ended = expect(unlessBroken(app, new Promise<never>(() => undefined))).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      hint: expect.stringContaining('server.log') as string,
    });
    for (let kills = 1; kills <= 6; kills += 1) {
      process.kill(await postmasterPid(), 'SIGKILL');
      await expect.poll(() => counted('embedded_postgres_losses_total'), { timeout: 30_000 }).toBe(kills);
      const isBack = (): boolean => lines.filter((line) => line.includes('is back')).length === kills;
      if (kills <= 5) await expect.poll(isBack, { timeout: 30_000 }).toBe(true);
    }
    await ended;
  });
});
