import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { ApiKeyStore } from '../../src/api/auth/api-key.store.js';
import { WeftError } from '../../src/platform/errors.js';
import type { ApiWorld } from '../support/api-world.js';
import { postEdge } from '../support/edge-calls.js';
import { ANN, anonymous, createEdgeWorld, SHOP, type EdgeWorld } from '../support/edge-world.js';

let edge: EdgeWorld;
let world: ApiWorld;
let key: string;
let keyId: string;

beforeAll(async () => {
  edge = await createEdgeWorld();
  ({ world, key, keyId } = edge);
});

afterAll(() => world.close());

beforeEach(() => {
  world.defects.length = 0;
});

afterEach(() => {
  vi.restoreAllMocks();
});

const ask: EdgeWorld['ask'] = (...call) => edge.ask(...call);

describe('a page of another origin', () => {
  const preflight = (origin: string) =>
    fetch(`${world.url}/graphql`, {
      method: 'OPTIONS',
      headers: { origin, 'access-control-request-method': 'POST', 'access-control-request-headers': 'authorization' },
    });

  it('may read what its key is for, and is refused before anything runs otherwise', async () => {
    const mine = await ask({ identifier: anonymous(ANN) }, { headers: { origin: SHOP } });
    expect([mine.status, mine.headers.get('access-control-allow-origin')]).toEqual([200, SHOP]);
    expect(mine.headers.get('access-control-allow-credentials')).toBeNull();
    const read = vi.spyOn(world.services.snapshots, 'byIdentifiers');
    for (const origin of ['https://evil.example', `${SHOP}.evil.example`, 'null', 'http://shop.example']) {
      const theirs = await ask({ identifier: anonymous(ANN) }, { headers: { origin } });
      expect([theirs.status, theirs.code]).toEqual([403, 'FORBIDDEN']);
    }
    expect(read).not.toHaveBeenCalled();
  });

  it('may read why it was refused, and nothing but that; no cache keeps it', async () => {
    const evil = 'https://evil.example';
    const limited = await world.services.keys.create({
      name: 'slow',
      scopes: ['edge'],
      origins: [SHOP],
      ratePerSecond: 1,
    });
    for (let i = 0; i < 2; i += 1) await ask({ identifier: anonymous(ANN) }, { key: limited.secret });
    const cases: [string, string, number, string][] = [
      [key, evil, 403, 'FORBIDDEN'],
      [`weft_e_${'0'.repeat(43)}`, evil, 401, 'UNAUTHENTICATED'],
      [limited.secret, SHOP, 429, 'RATE_LIMITED'],
    ];
    for (const [secret, origin, status, code] of cases) {
      const refused = await ask({ identifier: anonymous(ANN) }, { key: secret, headers: { origin } });
      expect([refused.status, refused.code]).toEqual([status, code]);
      expect(Object.keys(JSON.parse(refused.text) as object)).toEqual(['errors']);
      expect(Object.fromEntries(refused.headers)).toMatchObject({
        'access-control-allow-origin': origin,
        'access-control-expose-headers': 'etag, retry-after',
        'cache-control': 'no-store',
        vary: 'Origin, Accept, Authorization',
      });
      expect(refused.headers.has('access-control-allow-credentials')).toBe(false);
      expect(refused.headers.has('retry-after')).toBe(status === 429);
    }
    const other = await postEdge(world.url, { key, variables: { identifier: 7 }, headers: { origin: evil } });
    expect([other.status, other.headers.get('access-control-allow-origin')]).toEqual([403, evil]);
  });

  it('is told what to do about its origin', async () => {
    const { text } = await ask({ identifier: anonymous(ANN) }, { headers: { origin: 'https://new.example' } });
    expect(JSON.parse(text)).toEqual({
      errors: [
        {
          message: 'this key is not allowed for pages of https://new.example',
          extensions: {
            code: 'FORBIDDEN',
            where: 'origin',
            hint: `add the origin with weft keys origins ${key.slice(0, 11)} --add https://new.example`,
          },
        },
      ],
    });
  });

  it('may ask once its origin was added to the key, and no more once it was taken off', async () => {
    const headers = { origin: 'https://new.example' };
    const status = async () => (await ask({ identifier: anonymous(ANN) }, { headers })).status;
    await world.services.keys.changeOrigins(keyId, { add: [headers.origin], remove: [] });
    expect(await status()).toBe(200);
    await world.services.keys.changeOrigins(keyId, { add: [], remove: [headers.origin] });
    expect(await status()).toBe(403);
  });

  it('may read the errors that it gets', async () => {
    const { headers } = await ask(
      { identifier: { namespace: 'user_id', value: 'ann' } },
      { headers: { origin: SHOP } },
    );
    expect(headers.get('access-control-allow-origin')).toBe(SHOP);
  });

  it('may be of any origin only where the key says so', async () => {
    const any = await world.services.keys.create({ name: 'any', scopes: ['edge'], origins: ['*'] });
    const none = await world.services.keys.create({ name: 'none', scopes: ['edge'] });
    const headers = { origin: 'https://anything.example' };
    const open = await ask({ identifier: anonymous(ANN) }, { key: any.secret, headers });
    expect([open.status, open.headers.get('access-control-allow-origin')]).toEqual([200, '*']);
    expect((await ask({ identifier: anonymous(ANN) }, { key: none.secret, headers })).status).toBe(403);
    expect((await ask({ identifier: anonymous(ANN) }, { key: none.secret })).status).toBe(200);
    await world.services.keys.revoke(any.key.id);
  });

  it('may send what it needs to if its origin is that of an edge key', async () => {
    world.clock.advance(10_000);
    const mine = await preflight(SHOP);
    expect(mine.status).toBe(204);
    expect(mine.headers.get('access-control-allow-origin')).toBe(SHOP);
    expect(mine.headers.get('access-control-allow-headers')).toBe('authorization, content-type');
    expect(mine.headers.get('access-control-allow-credentials')).toBeNull();
    const theirs = await preflight('https://evil.example');
    expect([theirs.status, theirs.headers.get('access-control-allow-origin')]).toEqual([204, null]);
  });

  it('may not by the origins of keys that have ended', async () => {
    const { keys } = world.services;
    const allowed = async (origin: string): Promise<boolean> => {
      world.clock.advance(10_000);
      return (await preflight(origin)).headers.get('access-control-allow-origin') === origin;
    };
    const expiresAt = world.clock.now() + 15_000;
    const soon = await keys.create({ name: 'soon', scopes: ['edge'], origins: ['https://soon.example'], expiresAt });
    const gone = await keys.create({ name: 'gone', scopes: ['edge'], origins: ['https://gone.example'] });
    expect(await allowed('https://soon.example')).toBe(true);
    await keys.revoke(gone.key.id);
    expect(await allowed('https://soon.example')).toBe(false);
    expect(await allowed('https://gone.example')).toBe(false);
    expect(soon.key.expiresAt).toBe(expiresAt);
  });

  it('may go on sending while the database is away', async () => {
    world.clock.advance(10_000);
    await preflight(SHOP);
    const read = vi
      .spyOn(ApiKeyStore.prototype, 'originsInUse')
      .mockRejectedValue(new WeftError('UNAVAILABLE', 'away'));
    world.clock.advance(10_000);
    expect((await preflight(SHOP)).headers.get('access-control-allow-origin')).toBe(SHOP);
    expect(read).toHaveBeenCalledOnce();
  });

  it('gets nothing from keys that are not for pages', async () => {
    const response = await postEdge(world.url, {
      key: world.keys.read,
      variables: { identifier: anonymous(ANN) },
      headers: { origin: SHOP },
    });
    expect([response.status, response.headers.get('access-control-allow-origin')]).toEqual([200, null]);
  });
});

describe('a key in the query string', () => {
  it.each([
    ['weft_i_7', 'this looks like a write key; page views take an edge key, weft_e_…'],
    ['weft_a_7', 'this looks like an admin key, which everybody could read here'],
    ['weft_s_7', 'this looks like a signing secret, which belongs on the server'],
    ['weft_e_7', 'an edge key is weft_e_ and 43 letters and digits: a part may be missing'],
    ['undefined', 'page views take an edge key, weft_e_…; this is none'],
  ])('that is none of pages is told what it looks like: %s', async (secret, hint) => {
    const { text } = await ask({ identifier: anonymous(ANN) }, { key: secret });
    const [error] = (JSON.parse(text) as { errors: { extensions: Record<string, string> }[] }).errors;
    expect(error?.extensions).toMatchObject({ code: 'UNAUTHENTICATED', where: 'key' });
    expect(error?.extensions['hint']).toContain(hint);
  });

  it('counts only if it is an edge key', async () => {
    for (const secret of [world.keys.read, world.keys.admin, 'x']) {
      expect((await ask({ identifier: anonymous(ANN) }, { key: secret })).status).toBe(401);
    }
  });

  it('may ask for nothing but what pages are for', async () => {
    for (const query of [
      '{ segments { edges { node { key } } } }',
      '{ __schema { queryType { name } } }',
      '{ __typename }',
    ]) {
      const search = new URLSearchParams({ key, query });
      const response = await fetch(`${world.url}/graphql?${search.toString()}`);
      expect(response.status).toBe(403);
    }
  });
});
