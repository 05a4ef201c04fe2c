import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { askEdge, type EdgeProfileAnswer } from '../support/edge-calls.js';
import { canStartRedis, startRedisServer, type RedisServer } from '../support/redis-server.js';
import { serveWeft, type ServedProcess, type ServedWeft } from '../support/served-weft.js';

const ANN = '7c05542a-a638-43fd-b185-e15b72e2fa6b';

describe.skipIf(!(await canStartRedis()))("a visitor's own events, over two processes and a real Redis", () => {
  let folder: string;
  let redis: RedisServer | null;
  /** Applies events. */
  let weft: ServedWeft;
  let reader: ServedProcess;
  let key: string;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'weft-redis-'));
    redis = await startRedisServer(folder);
    weft = await serveWeft(redis?.url);
    await weft.defineEdgeSegment('viewers', 'performed("product_view")');
    await weft.defineEdgeSegment('buyers', 'performed("purchase")');
    key = (await weft.createEdgeKey([])).secret;
    reader = await weft.join();
  }, 120_000);

  afterAll(async () => {
    await weft.close();
    await redis?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  const track = async (process: ServedProcess, event: string): Promise<string> => {
    const response = await fetch(`${process.url}/v1/track`, {
      method: 'POST',
      headers: { authorization: `Bearer ${weft.writeKey}` },
      body: JSON.stringify({ event, anonymousId: ANN }),
    });
    expect(response.status).toBe(200);
    return ((await response.json()) as { token: string }).token;
  };
  const ask = async (process: ServedProcess, after: string, deadlineMs = 2_000): Promise<EdgeProfileAnswer | null> => {
    const variables = { identifier: { namespace: 'anonymous_id', value: ANN }, after, deadlineMs };
    return (await askEdge(process.url, { key, variables })).profile;
  };

  it('count at the other, whichever process took them, and are missing while nobody applies them', async () => {
    const viewed = await track(weft, 'product_view');
    expect(await ask(reader, viewed)).toMatchObject({ known: true, degraded: false, segments: ['viewers'] });
    const bought = await track(reader, 'purchase');
    expect(await ask(weft, bought)).toMatchObject({ degraded: false, segments: ['buyers', 'viewers'] });
    expect(await ask(reader, bought)).toMatchObject({ degraded: false, segments: ['buyers', 'viewers'] });

    await weft.kill();
    const unapplied = await track(reader, 'product_view');
    const startMs = performance.now();
    const late = await ask(reader, unapplied, 300);
    expect(performance.now() - startMs).toBeGreaterThan(250);
    expect(late).toMatchObject({ known: true, degraded: true, segments: ['buyers', 'viewers'] });

    await weft.start();
    await expect.poll(async () => (await ask(reader, unapplied))?.degraded, { timeout: 20_000 }).toBe(false);
  });
});
