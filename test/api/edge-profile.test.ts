import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { ApiKeyStore } from '../../src/api/auth/api-key.store.js';
import { signIdentifier } from '../../src/api/auth/edge-signature.js';
import { WeftError } from '../../src/platform/errors.js';
import type { ApiWorld } from '../support/api-world.js';
import { postEdge } from '../support/edge-calls.js';
import { readModelFixture } from '../support/model-fixtures.js';
import {
  ANN,
  anonymous,
  createEdgeWorld,
  expressionOf,
  NOBODY,
  PATIENT,
  type EdgeWorld,
} from '../support/edge-world.js';
import { START_MS } from '../support/world.js';

let edge: EdgeWorld;
let world: ApiWorld;
let key: string;
let signing: string;

beforeAll(async () => {
  edge = await createEdgeWorld();
  ({ world, key, signing } = edge);
});

afterAll(() => world.close());

beforeEach(() => {
  world.defects.length = 0;
});

afterEach(() => {
  vi.restoreAllMocks();
});

const ask: EdgeWorld['ask'] = (...call) => edge.ask(...call);
const marksCount = (): Promise<void> => edge.marksCount();

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
