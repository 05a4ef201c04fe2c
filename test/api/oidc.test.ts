import { createHmac } from 'node:crypto';
import { createClient } from 'graphql-ws';
import { createClient as createSseClient } from 'graphql-sse';
import { exportSPKI, importJWK, type CryptoKey, type JWTPayload } from 'jose';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { IssuerKeys } from '../../src/api/auth/issuer-keys.js';
import { anyOf } from '../../src/api/auth/credentials.js';
import { parseRoleGrants } from '../../src/api/auth/oidc.model.js';
import { TokenVerifier } from '../../src/api/auth/token-verifier.js';
import type { Metrics } from '../../src/platform/metrics.js';
import { createApiWorld, type ApiWorld } from '../support/api-world.js';
import { aSigningKey, OidcIssuer, sign, type SigningKey } from '../support/oidc-issuer.js';

const READ = '{ segments { edges { cursor } } }';
const ADMIN = '{ apiKeys { edges { cursor } } }';
const AUDIENCE = 'weft';

let issuer: OidcIssuer;
let key: SigningKey;
let world: ApiWorld;
let metrics: Metrics;
const problems: unknown[] = [];

beforeEach(async () => {
  key = await aSigningKey('first');
  issuer = await OidcIssuer.start(key);
  problems.length = 0;
  world = await createApiWorld({
    credentials: ({ keys, sources, clock, metrics: counted }) => {
      metrics = counted;
      const settings = {
        issuer: issuer.url,
        audience: AUDIENCE,
        jwksUri: null,
        rolesClaim: 'roles',
        roles: parseRoleGrants('weft-admin=admin,weft-viewer=read,sender=ingest:web') ?? [],
      };
      const issuerKeys = new IssuerKeys({ ...settings, clock, fetch, onError: (error) => problems.push(error) });
      const sourceIdOf = async (name: string) => (await sources.findByKey(name))?.id ?? null;
      return anyOf([keys, new TokenVerifier({ settings, keys: issuerKeys, sourceIdOf, clock, metrics: counted })]);
    },
  });
});

afterEach(async () => {
  expect(world.defects).toEqual([]);
  await world.close();
  await issuer.stop();
});

const nowS = (): number => Math.floor(world.clock.now() / 1_000);

const claims = (change: JWTPayload = {}): JWTPayload => ({
  iss: issuer.url,
  aud: AUDIENCE,
  sub: 'ann@example.org',
  iat: nowS(),
  exp: nowS() + 300,
  roles: ['weft-viewer'],
  ...change,
});

const statusOf = async (token: string, query = READ): Promise<number> =>
  (await world.ask(query, {}, { key: token })).status;

const codesOf = async (token: string, query: string): Promise<unknown[]> =>
  (await world.ask(query, {}, { key: token })).errors?.map(({ extensions }) => extensions['code']) ?? [];

const refusals = async (): Promise<string[]> =>
  [...(await metrics.text()).matchAll(/oidc_tokens_refused_total\{reason="(\w+)"\}/g)].map((match) => match[1] ?? '');

describe('people with a token of the issuer', () => {
  it('may do what their roles allow and nothing else', async () => {
    const viewer = await sign(claims(), key);
    expect(await statusOf(viewer)).toBe(200);
    expect(await codesOf(viewer, READ)).toEqual([]);
    expect(await codesOf(viewer, ADMIN)).toEqual(['FORBIDDEN']);
    const admin = await sign(claims({ roles: ['other', 'weft-admin'] }), key);
    expect(await codesOf(admin, ADMIN)).toEqual([]);
    const nobody = await sign(claims({ roles: ['other'] }), key);
    expect(await codesOf(nobody, READ)).toEqual(['FORBIDDEN']);
  });

  it('send events only if a role says of which source, over GraphQL and the tracking API', async () => {
    const send = 'mutation { ingest(source: "web", events: []) { __typename } }';
    const track = async (token: string): Promise<number> => {
      const response = await fetch(`${world.url}/v1/track`, {
        method: 'POST',
        headers: { authorization: `Bearer ${token}` },
        body: JSON.stringify({ userId: 'ann', event: 'Seen' }),
      });
      return response.status;
    };
    const sender = await sign(claims({ roles: ['sender'] }), key);
    expect(await codesOf(sender, send)).toEqual([]);
    expect(await track(sender)).toBe(200);
    expect(await codesOf(sender, 'mutation { ingest(source: "crm", events: []) { __typename } }')).toEqual([
      'FORBIDDEN',
    ]);
    const viewer = await sign(claims(), key);
    expect(await codesOf(viewer, send)).toEqual(['FORBIDDEN']);
    expect(await track(viewer)).toBe(403);
    expect(await track(await sign(claims({ roles: ['weft-admin'] }), key))).toBe(403);
    expect(await track(await sign(claims({ roles: ['sender'], aud: 'other' }), key))).toBe(401);
  });

  it('are known by RSA and Edwards keys too', async () => {
    for (const alg of ['RS256', 'PS256', 'EdDSA']) issuer.published.push(await aSigningKey(alg, alg));
    for (const each of issuer.published) expect(await statusOf(await sign(claims(), each)), each.alg).toBe(200);
  });

  it('open sockets and streams, which end when the token does', async () => {
    const token = await sign(claims({ exp: nowS() + 60 }), key);
    let code: number | undefined;
    const client = createClient({
      url: `${world.url.replace('http', 'ws')}/graphql`,
      webSocketImpl: WebSocket,
      connectionParams: { Authorization: `Bearer ${token}` },
      lazy: false,
      retryAttempts: 0,
      onNonLazyError: () => undefined,
      on: { closed: (event) => (code = (event as { code: number }).code) },
    });
    await new Promise<void>((resolve) => client.on('connected', () => resolve()));
    const stream = createSseClient({
      url: `${world.url}/graphql/stream`,
      headers: { authorization: `Bearer ${token}` },
      retryAttempts: 0,
    });
    const reading = (async () => {
      for await (const result of stream.iterate({ query: 'subscription { segmentChanges { cursor } }' })) return result;
      return null;
    })();
    await expect.poll(() => world.hub.subscribers).toBe(1);
    world.clock.advance(89_999);
    for await (const result of client.iterate({ query: READ })) expect(result).toHaveProperty('data.segments');
    world.clock.advance(1);
    await expect.poll(() => code).toBe(4401);
    expect(await reading).toMatchObject({ errors: [{ extensions: { code: 'UNAUTHENTICATED' } }] });
    await client.dispose();
    stream.dispose();
  });

  it('without a role that may read cannot open a socket, and are told so with 4403', async () => {
    const token = await sign(claims({ roles: [] }), key);
    const code = await new Promise<number>((resolve) => {
      createClient({
        url: `${world.url.replace('http', 'ws')}/graphql`,
        webSocketImpl: WebSocket,
        connectionParams: { apiKey: token },
        lazy: false,
        retryAttempts: 0,
        onNonLazyError: () => undefined,
        on: {
          closed: (event) => {
            resolve((event as { code: number }).code);
          },
        },
      });
    });
    expect(code).toBe(4403);
  });
});

describe('a token is refused', () => {
  const encoded = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');

  it.each<[string, (now: number) => JWTPayload]>([
    ['of another issuer', () => ({ iss: 'https://elsewhere.example' })],
    ['for somebody else', () => ({ aud: 'shop' })],
    ['that has expired', (now) => ({ exp: now - 30 })],
    ['that does not count yet', (now) => ({ nbf: now + 31 })],
    ['that never ends', () => ({ exp: undefined as never })],
    ['that stands for nobody', () => ({ sub: undefined as never })],
  ])('%s', async (_, change) => {
    expect(await statusOf(await sign(claims(change(nowS())), key))).toBe(401);
    expect(await refusals()).not.toEqual([]);
  });

  it('with no signature', async () => {
    const body = encoded(claims());
    for (const alg of ['none', 'None', 'NONE']) {
      for (const signature of ['', 'AA']) {
        expect(await statusOf(`${encoded({ alg, kid: 'first' })}.${body}.${signature}`)).toBe(401);
      }
    }
  });

  it('signed with the public key as the secret of an HMAC', async () => {
    const rsa = await aSigningKey('rsa', 'RS256');
    issuer.published = [rsa];
    const publicKey = (await importJWK(rsa.publicJwk, 'RS256')) as CryptoKey;
    const secrets = [await exportSPKI(publicKey), JSON.stringify(rsa.publicJwk), rsa.publicJwk.n ?? ''];
    for (const secret of secrets) {
      const text = `${encoded({ alg: 'HS256', kid: 'rsa', typ: 'JWT' })}.${encoded(claims())}`;
      expect(await statusOf(`${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`)).toBe(401);
    }
    expect(await statusOf(await sign(claims(), rsa))).toBe(200);
  });

  it('signed by a key that it brings along or points at, whatever the key calls itself', async () => {
    const foreign = await aSigningKey('first');
    const other = await OidcIssuer.start(foreign);
    for (const header of [{}, { jwk: foreign.publicJwk }, { jku: `${other.url}/keys` }, { x5u: `${other.url}/keys` }]) {
      expect(await statusOf(await sign(claims(), foreign, header))).toBe(401);
    }
    expect(other.asked).toEqual([]);
    await other.stop();
  });

  it('that was changed, is of another type, or wants what is not understood', async () => {
    const token = await sign(claims(), key);
    const [head = '', , signature = ''] = token.split('.');
    expect(await statusOf(`${head}.${encoded(claims({ roles: ['weft-admin'] }))}.${signature}`)).toBe(401);
    expect(await statusOf(await sign(claims(), key, { typ: 'logout+jwt' }))).toBe(401);
    const critical = `${encoded({ alg: 'ES256', kid: 'first', crit: ['new'], new: 1 })}.${encoded(claims())}`;
    const ecdsa = { name: 'ECDSA', hash: 'SHA-256' };
    const signed = await crypto.subtle.sign(ecdsa, key.privateKey, Buffer.from(critical));
    expect(await statusOf(`${critical}.${Buffer.from(signed).toString('base64url')}`)).toBe(401);
    expect(await statusOf(`${token}.${token}`)).toBe(401);
    expect(await statusOf(token)).toBe(200);
  });

  it('alike, whatever is wrong with it', async () => {
    const bodies = [];
    for (const token of [
      await sign(claims({ exp: nowS() - 100 }), key),
      await sign(claims({ aud: 'shop' }), key),
      await sign(claims(), await aSigningKey('first')),
      `weft_r_${'0'.repeat(43)}`,
      'nonsense',
    ]) {
      const { status, errors } = await world.ask(READ, {}, { key: token });
      bodies.push(JSON.stringify([status, errors]));
    }
    expect(new Set(bodies).size).toBe(1);
  });
});

describe('the keys of the issuer', () => {
  it('are fetched once for many tokens, and looked at anew every ten minutes', async () => {
    const tokens = await Promise.all(Array.from({ length: 10 }, (_, i) => sign(claims({ sub: `p${String(i)}` }), key)));
    expect(new Set(await Promise.all(tokens.map((token) => statusOf(token))))).toEqual(new Set([200]));
    expect(issuer.asked).toEqual(['/.well-known/openid-configuration', '/keys']);
    world.clock.advance(600_000);
    expect(await statusOf(await sign(claims(), key))).toBe(200);
    await expect.poll(() => issuer.asked).toHaveLength(4);
  });

  it('may change at any time: an unknown kid has them fetched, but not more often than the cooldown allows', async () => {
    expect(await statusOf(await sign(claims(), key))).toBe(200);
    const next = await aSigningKey('second');
    issuer.published = [next];
    world.clock.advance(30_000);
    expect(await statusOf(await sign(claims(), next))).toBe(200);
    for (let i = 0; i < 5; i += 1) {
      expect(await statusOf(await sign(claims(), await aSigningKey(`unknown-${String(i)}`)))).toBe(401);
    }
    expect(issuer.asked).toHaveLength(4);
    // What the issuer took back ends for tokens that were checked before, too.
    expect(await statusOf(await sign(claims(), key))).toBe(401);
  });

  it('go on counting while the issuer is away, for a day', async () => {
    expect(await statusOf(await sign(claims(), key))).toBe(200);
    await issuer.stop();
    world.clock.advance(600_000);
    expect(await statusOf(await sign(claims(), key))).toBe(200);
    await expect.poll(() => problems).toHaveLength(1);
    world.clock.advance(86_400_000);
    const answer = await world.ask(READ, {}, { key: await sign(claims(), key) });
    expect(answer).toMatchObject({ status: 503, errors: [{ extensions: { code: 'UNAVAILABLE' } }] });
    expect(await statusOf(world.keys.read)).toBe(200);
    await issuer.restart();
    world.clock.advance(30_000);
    expect(await statusOf(await sign(claims(), key))).toBe(200);
  });

  it('that cannot be had make tokens unavailable, not wrong', async () => {
    await issuer.stop();
    const response = await fetch(`${world.url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${await sign(claims(), key)}` },
      body: JSON.stringify({ query: READ }),
    });
    expect(response.status).toBe(503);
    expect(response.headers.get('retry-after')).toBe('30');
  });

  it.each<[string, string, { status: number; body: string; location?: string }]>([
    ['another issuer', '/.well-known/openid-configuration', { status: 200, body: '{"issuer":"https://x.example"}' }],
    ['too much', '/keys', { status: 200, body: JSON.stringify({ keys: [], filler: 'x'.repeat(300_000) }) }],
    ['too many', '/keys', { status: 200, body: JSON.stringify({ keys: Array.from({ length: 101 }, () => ({})) }) }],
    ['no JSON', '/keys', { status: 200, body: '<html>' }],
    ['a redirect', '/keys', { status: 302, body: '', location: 'http://127.0.0.1:1/keys' }],
    ['an error', '/keys', { status: 500, body: '{}' }],
  ])('are not taken from %s', async (_, path, answer) => {
    issuer.answers.set(path, answer);
    expect(await statusOf(await sign(claims(), key))).toBe(503);
    expect(problems).toHaveLength(1);
    issuer.answers.clear();
    world.clock.advance(30_000);
    expect(await statusOf(await sign(claims(), key))).toBe(200);
  });
});
