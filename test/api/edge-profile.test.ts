import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { ApiKeyStore } from '../../src/api/auth/api-key.store.js';
import { signIdentifier } from '../../src/api/auth/edge-signature.js';
import { WeftError } from '../../src/platform/errors.js';
import { createApiWorld, type ApiWorld } from '../support/api-world.js';
import { askEdge, postEdge, type EdgeCall, type EdgeResponse } from '../support/edge-calls.js';
import { readModelFixture } from '../support/model-fixtures.js';
import { aTrack, anIdentify, START_MS } from '../support/world.js';

const ANN = '7c05542a-a638-43fd-b185-e15b72e2fa6b';
const NOBODY = '00000000-a638-43fd-b185-e15b72e2fa6b';
const SHOP = 'https://shop.example';
/** Long enough for any machine: what is tested with it must not be late. */
const PATIENT = 2_000;

let world: ApiWorld;
let key: string;
let keyId: string;
let signing: string;

beforeAll(async () => {
  world = await createApiWorld();
  const { segments, traits } = world.engine.services;
  await world.defineSegment('viewers', 'performed("product_view")');
  await world.defineSegment('secret_list', 'performed("product_view")');
  await world.defineSegment('buyers', 'performed("purchase")');
  for (const name of ['viewers', 'buyers']) {
    const stored = world.services.segments;
    expect(stored).toBe(segments);
    await segments.upsert({ key: name, name, description: '', tags: [], edge: true, expression: expressionOf(name) });
  }
  await traits.apply([
    { name: 'country', description: '', edge: true },
    { name: 'email', description: '', edge: false },
  ]);
  await world.accept([
    anIdentify({ user_id: 'ann', anonymous_id: ANN }, { country: 'AT', email: 'ann@example.com', plan: 'x' }),
    aTrack('product_view', { user_id: 'ann' }),
  ]);
  await world.drain();
  const created = await world.services.keys.create({ name: 'shop', scopes: ['edge'], origins: [SHOP] });
  key = created.secret;
  keyId = created.key.id;
  signing = await world.services.keys.signingSecret(keyId);
  await marksCount();
});

afterAll(() => world.close());

beforeEach(() => {
  world.defects.length = 0;
});

afterEach(() => {
  vi.restoreAllMocks();
});

function expressionOf(name: string): string {
  return name === 'buyers' ? 'performed("purchase")' : 'performed("product_view")';
}

const anonymous = (value: string) => ({ namespace: 'anonymous_id', value });
const ask = (variables: EdgeCall['variables'], more: Partial<EdgeCall> = {}): Promise<EdgeResponse> =>
  askEdge(world.url, { key, variables: { deadlineMs: PATIENT, ...variables }, ...more });

/** Waits until the server reads with the marks as they are now. */
async function marksCount(): Promise<void> {
  await vi.waitFor(async () => {
    const { profile } = await ask({ identifier: anonymous(ANN) });
    expect(profile?.segments).toContain('viewers');
    expect(profile?.traits).toHaveProperty('country');
  });
}

describe('what a page is told of its visitor', () => {
  it('is what is marked edge-safe, and nothing else', async () => {
    const { status, profile } = await ask({ identifier: anonymous(ANN) });
    expect(status).toBe(200);
    expect(profile).toEqual({
      known: true,
      degraded: false,
      asOf: new Date(START_MS).toISOString(),
      segments: ['viewers'],
      traits: { country: 'AT' },
      scores: [],
    });
  });

  it('is the same in both forms of the request, and for a server with another key', async () => {
    const variables = { identifier: anonymous(ANN), deadlineMs: PATIENT };
    const [page] = [await ask({ identifier: anonymous(ANN) })];
    for (const secret of [key, world.keys.read, world.keys.admin]) {
      expect((await postEdge(world.url, { key: secret, variables })).text).toBe(page.text);
    }
  });

  it('is that nothing is known, of a visitor who was never seen', async () => {
    const { status, profile } = await ask({ identifier: anonymous(NOBODY), onMiss: { segments: ['viewers'] } });
    expect(status).toBe(200);
    expect(profile).toEqual({ known: false, degraded: false, asOf: null, segments: [], traits: {}, scores: [] });
  });

  it('is that nothing is known, of a value that stands for nobody', async () => {
    const variables = { identifier: { namespace: 'user_id', value: 'undefined' }, deadlineMs: PATIENT };
    const { profile } = await postEdge(world.url, { key: world.keys.read, variables });
    expect(profile).toMatchObject({ known: false, degraded: false });
  });

  it('is no longer what lost its mark, and keeps marks over new versions', async () => {
    const { segments } = world.engine.services;
    const draft = { key: 'viewers', name: 'viewers', description: '', tags: [], expression: expressionOf('viewers') };
    await segments.upsert({ ...draft, edge: false });
    await vi.waitFor(async () => {
      expect((await ask({ identifier: anonymous(ANN) })).profile?.segments).toEqual([]);
    });
    await segments.upsert({ ...draft, edge: true });
    const written = await segments.upsert({ ...draft, expression: 'performed("product_view") && true' });
    expect(written).toMatchObject({ edge: true });
    await segments.upsert(draft);
    await marksCount();
  });

  it('is what models say that are marked', async () => {
    const { models } = world.services;
    const score = vi.spyOn(world.services.batcher, 'predict').mockResolvedValue({
      modelKey: 'iris_named',
      version: 1,
      digest: '',
      score: 0.25,
      label: 'setosa',
      asOf: 0,
      // Nothing is to be remembered.
      validUntil: 0,
      inputs: 'COMPLETE',
    });
    const { bytes, manifest } = await readModelFixture('iris_named');
    vi.spyOn(world.engine.services.models, 'register');
    await registerUnchecked(bytes, manifest);
    await models.setEdge('iris_named', true);
    await vi.waitFor(async () => {
      const { profile } = await ask({ identifier: anonymous(ANN) });
      expect(profile?.scores).toEqual([{ model: 'iris_named', value: 0.25, label: 'setosa' }]);
    });
    score.mockRejectedValue(new Error('the model is broken'));
    const broken = await ask({ identifier: anonymous(ANN) });
    expect(broken.profile).toMatchObject({ known: true, degraded: true, segments: ['viewers'], scores: [] });
    await models.setEdge('iris_named', false);
    await vi.waitFor(async () => {
      expect((await ask({ identifier: anonymous(ANN) })).profile).toMatchObject({ degraded: false, scores: [] });
    });
  });
});

/** Past the checks of features, which are none of this test's. */
async function registerUnchecked(bytes: Buffer, manifest: object): Promise<void> {
  const withFeatures = { ...manifest, featureService: { name: 'none', features: [] }, inputs: [] };
  await world.db.query(`INSERT INTO model_blobs (digest, bytes) VALUES ('d', $1)`, [bytes]);
  await world.db.query(
    `INSERT INTO models (key, version, digest, stage, manifest, created_at) VALUES ('iris_named', 1, 'd', 'active', $1, 0)`,
    [JSON.stringify(withFeatures)],
  );
  await world.db.query('UPDATE installation SET definitions_version = definitions_version + 1');
}

describe('whom a page may ask for', () => {
  const signed = (value: string, expiresAtS = START_MS / 1_000 + 60, namespace = 'user_id') => ({
    namespace,
    value,
    signature: signIdentifier(signing, { namespace, value }, expiresAtS),
  });

  it('is whom the server of its site has signed', async () => {
    const { profile } = await ask({ identifier: signed('ann') });
    expect(profile).toMatchObject({ known: true, segments: ['viewers'] });
  });

  it('is nobody else, and the refusal is the same whether or not there is such a person', async () => {
    const refused = (value: string): Record<string, unknown>[] => [
      { namespace: 'user_id', value },
      { namespace: 'user_id', value, signature: signed(value).signature.replace(/.$/, '_') },
      signed(value, START_MS / 1_000),
      { ...signed(value), signature: signed('somebody').signature },
      { namespace: 'email', value: `${value}@example.com` },
      { namespace: 'anonymous_id', value },
    ];
    const reads = [vi.spyOn(world.services.snapshots, 'byIdentifiers'), vi.spyOn(world.services.policy, 'resolve')];
    const answers = new Set<string>();
    for (const identifier of [...refused('ann'), ...refused('nobody')]) {
      const { status, code, text } = await ask({ identifier });
      expect([status, code]).toEqual([200, 'FORBIDDEN']);
      answers.add(text);
    }
    expect(answers.size).toBe(1);
    for (const read of reads) expect(read).not.toHaveBeenCalled();
  });

  it('is whomever they like, for keys that may read', async () => {
    const variables = { identifier: { namespace: 'email', value: 'ann@example.com' }, deadlineMs: PATIENT };
    const read = await postEdge(world.url, { key: world.keys.read, variables });
    expect(read.profile, read.text).toMatchObject({ known: false });
    const ingest = await postEdge(world.url, { key: world.keys.ingest, variables });
    expect(ingest.code, ingest.text).toBe('FORBIDDEN');
  });

  it.each([
    [{ identifier: anonymous(ANN), deadlineMs: 0 }, 'BAD_REQUEST'],
    [{ identifier: anonymous(ANN), deadlineMs: 2_001 }, 'BAD_REQUEST'],
    [{ identifier: anonymous(ANN), after: 'x' }, 'CURSOR_INVALID'],
    [{ identifier: anonymous(ANN), onMiss: { traits: [1] } }, 'BAD_REQUEST'],
    [{}, 'BAD_USER_INPUT'],
  ])('is told what is wrong with %j', async (variables, code) => {
    expect((await ask(variables)).code).toBe(code);
  });
});

describe('a deadline', () => {
  const byIdentifiers = () => vi.spyOn(world.services.snapshots, 'byIdentifiers');
  const fresh = () => anonymous(`${String(Math.random()).slice(2)}-never-asked-before`);
  const onMiss = { segments: ['default'], traits: { country: 'DE' } };

  it("that is missed gives the caller's default, marked, with status 200", async () => {
    let answer: (() => void) | null = null;
    byIdentifiers().mockReturnValue(new Promise((resolve) => (answer = () => resolve([null]))));
    const { status, profile, headers } = await ask({ identifier: fresh(), deadlineMs: 1, onMiss });
    expect(status).toBe(200);
    expect(profile).toEqual({ known: false, degraded: true, asOf: null, ...onMiss, scores: [] });
    expect(headers.get('cache-control')).toBe('no-store');
    answer!();
  });

  it('that is missed gives nothing where the caller says nothing', async () => {
    byIdentifiers().mockReturnValue(new Promise(() => undefined));
    const { profile } = await ask({ identifier: fresh(), deadlineMs: 1 });
    expect(profile).toMatchObject({ degraded: true, segments: [], traits: {} });
  });

  it('that is missed gives what was known of this visitor a moment ago, rather than the default', async () => {
    const before = await ask({ identifier: anonymous(ANN) });
    byIdentifiers().mockReturnValue(new Promise(() => undefined));
    const { profile } = await ask({ identifier: anonymous(ANN), deadlineMs: 1, onMiss });
    expect(profile).toEqual({ ...before.profile, degraded: true });
  });

  it('is kept when the store fails', async () => {
    byIdentifiers().mockRejectedValue(new Error('the store is down'));
    const { status, profile } = await ask({ identifier: fresh(), onMiss });
    expect([status, profile?.degraded, profile?.segments]).toEqual([200, true, ['default']]);
  });
});

describe("a visitor's own last events", () => {
  const track = async (event: string, anonymousId: string): Promise<string> => {
    const response = await fetch(`${world.url}/v1/track`, {
      method: 'POST',
      headers: { authorization: `Bearer ${world.keys.ingest}` },
      body: JSON.stringify({ event, anonymousId }),
    });
    const { success, token } = (await response.json()) as { success: boolean; token: string };
    expect([response.status, success]).toEqual([200, true]);
    return token;
  };

  it('count as soon as they are applied, by the token of the call that sent them', async () => {
    const token = await track('purchase', ANN);
    const asking = ask({ identifier: anonymous(ANN), after: token });
    await vi.waitFor(() => {
      expect(world.services.applied.waiting).toBe(1);
    });
    await world.drain();
    const { profile, headers } = await asking;
    expect(profile).toMatchObject({ degraded: false, segments: ['buyers', 'viewers'] });
    expect(headers.get('cache-control')).toBe('private, no-cache');
  });

  it('are said to be missing when they are not applied by the deadline, and what is known is told', async () => {
    const token = await track('other', ANN);
    const { profile } = await ask({ identifier: anonymous(ANN), after: token, deadlineMs: 40 });
    expect(profile).toMatchObject({ known: true, degraded: true, segments: ['buyers', 'viewers'] });
    await world.drain();
    expect((await ask({ identifier: anonymous(ANN), after: token })).profile?.degraded).toBe(false);
  });

  it('count when another process applied them, whatever the copy of this one says', async () => {
    const other = '11111111-a638-43fd-b185-e15b72e2fa6b';
    await track('product_view', other);
    await world.drain();
    await ask({ identifier: anonymous(other) });
    const stale = new Map(world.store.entries);
    const token = await track('purchase', other);
    vi.spyOn(world.services.applied, 'published').mockImplementation(() => undefined);
    await world.drain();
    world.store.entries.clear();
    for (const [name, entry] of stale) world.store.entries.set(name, entry);
    expect((await ask({ identifier: anonymous(other) })).profile?.segments).toEqual(['viewers']);
    const { profile } = await ask({ identifier: anonymous(other), after: token });
    expect(profile).toMatchObject({ degraded: false, segments: ['buyers', 'viewers'] });
  });
});

describe('caches', () => {
  it('may hold what is told of an unsigned visitor, by an address with the key in it', async () => {
    const { headers } = await ask({ identifier: anonymous(ANN) });
    expect(headers.get('cache-control')).toBe('public, max-age=5, stale-while-revalidate=30');
    expect(headers.get('vary')).toBe('Origin, Accept, Authorization');
    const unknown = await ask({ identifier: anonymous(NOBODY) });
    expect(unknown.headers.get('cache-control')).toContain('public');
  });

  it('may not share what a header authorised, what is signed, and what a token asked for', async () => {
    const header = await ask(
      { identifier: anonymous(ANN) },
      { key: null, headers: { authorization: `Bearer ${key}` } },
    );
    const signature = signIdentifier(signing, { namespace: 'user_id', value: 'ann' }, START_MS / 1_000 + 60);
    const signed = await ask({ identifier: { namespace: 'user_id', value: 'ann', signature } });
    for (const { headers, status } of [header, signed]) {
      expect([status, headers.get('cache-control')]).toEqual([200, 'private, no-cache']);
    }
  });

  it('keep no errors', async () => {
    const { headers } = await ask({ identifier: { namespace: 'user_id', value: 'ann' } });
    expect(headers.get('cache-control')).toBe('no-store');
    const unknown = await ask({}, { documentId: `sha256:${'0'.repeat(64)}` });
    expect([unknown.status, unknown.headers.get('cache-control')]).toEqual([404, 'no-store']);
  });

  it('are told that nothing changed, without a body', async () => {
    const first = await ask({ identifier: anonymous(ANN) });
    const tag = first.headers.get('etag') ?? '';
    expect(tag).toMatch(/^W\//);
    const again = await ask({ identifier: anonymous(ANN) }, { headers: { 'if-none-match': tag } });
    expect([again.status, again.text, again.headers.get('etag')]).toEqual([304, '', tag]);
    const other = await ask({ identifier: anonymous(NOBODY) }, { headers: { 'if-none-match': tag } });
    expect(other.status).toBe(200);
  });
});

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

describe('while the database is away', () => {
  const asking = (secret: string) =>
    ask(
      { identifier: anonymous('never-asked-before-and-away'), deadlineMs: 100, onMiss: { segments: ['default'] } },
      { key: secret },
    );

  it.each([
    ['fails', () => Promise.reject(new WeftError('UNAVAILABLE', 'the database is away'))],
    ['hangs', () => new Promise<never>(() => undefined)],
  ])('a page is answered with 200 and its default, also where the look-up of its key %s', async (how, away) => {
    await ask({ identifier: anonymous(ANN) });
    vi.spyOn(ApiKeyStore.prototype, 'findByHash').mockImplementation(away);
    vi.spyOn(world.services.snapshots, 'byIdentifiers').mockImplementation(away);
    for (let i = 0; i < 3; i += 1) {
      world.clock.advance(10_000);
      const { status, profile } = await asking(key);
      expect([status, profile?.degraded, profile?.segments]).toEqual([200, true, ['default']]);
    }
    const unknown = await asking(`weft_e_${how.padEnd(43, '0')}`);
    expect([unknown.status, unknown.code, unknown.headers.has('retry-after')]).toEqual([503, 'UNAVAILABLE', true]);
  });
});
