import { request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createApiWorld, type ApiWorld } from '../support/api-world.js';
import { aTrack } from '../support/world.js';

/* What is refused when it is asked for plainly is refused in every disguise, and nothing of it runs. */

let world: ApiWorld;

beforeAll(async () => {
  world = await createApiWorld();
  await world.defineSegment('keen', 'count("product_view", "1h") >= 1');
  await world.drain();
  await world.accept([aTrack('product_view', { user_id: 'ann' })]);
  await world.drain();
});

beforeEach(() => {
  world.defects.length = 0;
});

afterAll(() => world.close());

interface Answer {
  readonly status: number;
  readonly text: string;
  readonly codes: readonly (string | undefined)[];
}

async function post(
  body: string | Buffer | object,
  { key = world.keys.ingest, headers = {}, query = '' } = {},
): Promise<Answer> {
  const isRaw = typeof body === 'string' || Buffer.isBuffer(body);
  const response = await fetch(`${world.url}/graphql${query}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${key}`, ...headers },
    body: isRaw ? new Uint8Array(Buffer.from(body)) : JSON.stringify(body),
  });
  return answerOf(response);
}

async function get(parameters: Record<string, string>, key = world.keys.ingest): Promise<Answer> {
  const query = new URLSearchParams(parameters).toString();
  return answerOf(await fetch(`${world.url}/graphql?${query}`, { headers: { authorization: `Bearer ${key}` } }));
}

async function answerOf(response: Response): Promise<Answer> {
  const text = await response.text();
  const { errors = [] } = JSON.parse(text) as { errors?: { extensions?: { code?: string } }[] };
  return { status: response.status, text, codes: errors.map(({ extensions }) => extensions?.code) };
}

const stageOfKeen = async (): Promise<string | undefined> =>
  (await world.db.query<{ stage: string }>(`SELECT stage FROM segments WHERE key = 'keen'`))[0]?.stage;

const READ = 'profile(identifier: { namespace: "user_id", value: "ann" }) { id traits }';
const ARCHIVE = 'archiveSegment(key: "keen") { __typename }';

describe('a key that may not read', () => {
  it.each([
    ['an operation named as introspection is', `query IntrospectionQuery { ${READ} }`, 'IntrospectionQuery'],
    ['introspection and data in one operation', `{ __schema { queryType { name } } ${READ} }`, undefined],
    ['the second of two operations', `query A { __typename } query B { ${READ} }`, 'B'],
    ['an alias that is called like an allowed field', `{ __typename2: ${READ} }`, undefined],
    ['a fragment', `{ ...F } fragment F on Query { ${READ} }`, undefined],
    [
      'fragments in fragments',
      `{ ...A } fragment A on Query { ... { ...B } } fragment B on Query { ${READ} }`,
      undefined,
    ],
    [
      'directives',
      `{ ... on Query @include(if: true) { ...F @skip(if: false) } } fragment F on Query { ${READ} }`,
      undefined,
    ],
    ['the type of one name', '{ __type(name: "Profile") { fields { name } } }', undefined],
  ])('is refused %s', async (_name, query, operationName) => {
    for (const answer of [
      await post({ query, operationName }),
      await post({ query: `${query}\n# anew`, operationName, variables: { unused: 1 } }),
      await get({ query, ...(operationName === undefined ? {} : { operationName }) }),
    ]) {
      expect(answer.codes).toEqual(expect.arrayContaining(['FORBIDDEN']));
      expect(answer.text).not.toMatch(/"id"|queryType|"fields"/);
    }
  });

  it('is refused what an operation of another name would be allowed', async () => {
    const query = `query IntrospectionQuery { __typename } query Data { ${READ} }`;
    expect((await post({ query, operationName: 'IntrospectionQuery' })).text).toBe('{"data":{"__typename":"Query"}}\n');
    expect((await post({ query, operationName: 'Data' })).codes).toEqual(['FORBIDDEN']);
    expect((await post({ query })).codes).toEqual(['OPERATION_RESOLUTION_FAILURE']);
  });
});

describe('what a transport does not carry', () => {
  it('is a mutation by GET, however it is written', async () => {
    const { admin } = world.keys;
    for (const parameters of [
      { query: `mutation { ${ARCHIVE} }` },
      { query: `query A { __typename } mutation B { ${ARCHIVE} }`, operationName: 'B' },
      { query: `mutation { ...F } fragment F on Mutation { ${ARCHIVE} }` },
    ]) {
      const answer = await get(parameters, admin);
      expect(answer.status).toBe(405);
    }
    expect(await stageOfKeen()).toBe('active');
  });

  it('is an operation in the address of a POST, beside one in the body', async () => {
    const query = `?${new URLSearchParams({ query: `mutation { ${ARCHIVE} }` }).toString()}`;
    const answer = await post({ query: '{ __typename }' }, { key: world.keys.admin, query });
    expect(answer.text).toBe('{"data":{"__typename":"Query"}}\n');
    expect(await stageOfKeen()).toBe('active');
  });

  it('is a subscription by POST or GET: nobody is subscribed', async () => {
    const query = 'subscription { segmentChanges { cursor } }';
    for (const answer of [await post({ query }, { key: world.keys.read }), await get({ query }, world.keys.read)]) {
      expect(answer.text).not.toContain('cursor"');
      expect(answer.codes).toHaveLength(1);
    }
    expect(world.hub.subscribers).toBe(0);
    expect(world.defects).toEqual([]);
  });

  it('is a list of requests', async () => {
    const batch = [{ query: '{ __typename }' }, { query: `mutation { ${ARCHIVE} }` }];
    expect((await post(batch, { key: world.keys.admin })).status).toBe(400);
    expect(await stageOfKeen()).toBe('active');
  });
});

describe('a body', () => {
  it('whose keys are there twice means what its last ones say, and is asked for scopes by that', async () => {
    const body = `{"query":"{ __typename }","query":${JSON.stringify(`{ ${READ} }`)}}`;
    expect((await post(body)).codes).toEqual(['FORBIDDEN']);
    expect((await post(`{"query":${JSON.stringify(`{ ${READ} }`)},"query":"{ __typename }"}`)).text).toBe(
      '{"data":{"__typename":"Query"}}\n',
    );
  });

  it('pollutes no prototype, by its own keys or by those of variables', async () => {
    const { read } = world.keys;
    const query = 'query ($v: IdentifierInput) { profile(identifier: $v) { id } }';
    for (const body of [
      `{"__proto__":{"query":"{ __typename }","isAdmin":true}}`,
      `{"query":${JSON.stringify(query)},"__proto__":{"isAdmin":true},"constructor":{"prototype":{"isAdmin":true}}}`,
      `{"query":${JSON.stringify(query)},"variables":{"__proto__":{"v":{"namespace":"user_id","value":"ann"},"isAdmin":true}}}`,
      `{"query":${JSON.stringify(query)},"variables":{"v":{"__proto__":{"namespace":"user_id","value":"ann"}}}}`,
    ]) {
      const answer = await post(body, { key: read });
      expect(answer.text).not.toMatch(/"id"|INTERNAL/);
    }
    expect(({} as Record<string, unknown>)['isAdmin']).toBeUndefined();
    expect(world.defects).toEqual([]);
  });

  it.each([
    [
      'in UTF-7',
      Buffer.from('+AHsAIgBxAHUAZQByAHkAIgA6-"{ __typename }"}'),
      { 'content-type': 'application/json; charset=utf-7' },
    ],
    [
      'in UTF-16',
      Buffer.from('{"query":"{ __typename }"}', 'utf16le'),
      { 'content-type': 'application/json; charset=utf-16' },
    ],
    ['behind a byte order mark', Buffer.from('\ufeff{"query":"{ __typename }"}'), {}],
    ['that ends too late', '{"query":"{ __typename }"} {"query":"{ __typename }"}', {}],
    ['as a form', 'query=%7B__typename%7D', { 'content-type': 'application/x-www-form-urlencoded' }],
    [
      'as text, which a page of another origin may send unasked',
      '{"query":"{ __typename }"}',
      { 'content-type': 'text/plain' },
    ],
    ['in parts, as files are uploaded', '--x\r\n\r\n', { 'content-type': 'multipart/form-data; boundary=x' }],
  ])('%s is refused without being read as anything else', async (_name, body, headers) => {
    const answer = await post(body, { key: world.keys.read, headers });
    expect([400, 415]).toContain(answer.status);
    expect(answer.text).not.toContain('"data"');
    expect(world.defects).toEqual([]);
  });

  it('that is compressed is not expanded: 100 MB of nothing in 100 KB cost nothing', async () => {
    const bomb = gzipSync(Buffer.alloc(100 * 1024 * 1024), { level: 9 });
    for (const encoding of ['gzip', 'deflate', 'br', 'gzip, gzip']) {
      const answer = await post(bomb, { key: world.keys.read, headers: { 'content-encoding': encoding } });
      expect([answer.status, answer.codes]).toEqual([400, ['BAD_REQUEST']]);
    }
  });

  it('with variables as deep or as large as it may be is answered', async () => {
    const query = 'query ($v: String) { __typename segment(key: $v) { key } }';
    const deep = `{"query":${JSON.stringify('{ __typename }')},"variables":${'{"a":'.repeat(20_000)}1${'}'.repeat(20_000)}}`;
    expect((await post(deep, { key: world.keys.read })).status).toBeLessThan(500);
    expect((await post({ query, variables: { v: 'x'.repeat(250_000) } }, { key: world.keys.read })).status).toBe(200);
    expect((await post({ query, variables: { v: 'x'.repeat(300_000) } }, { key: world.keys.read })).status).toBe(413);
    expect(world.defects).toEqual([]);
  });
});

describe('a connection', () => {
  it('with more headers than there may be is refused, and the server goes on', async () => {
    const headers = Object.fromEntries(Array.from({ length: 3_000 }, (_, i) => [`x-${String(i)}`, 'y']));
    const status = await new Promise((resolve) => {
      const request = httpRequest(`${world.url}/graphql`, { method: 'POST', headers }, (response) => {
        resolve(response.statusCode);
        response.resume();
      });
      request.on('error', resolve).end();
    });
    expect(status).toBe(431);
    expect((await fetch(`${world.url}/healthz`)).status).toBe(200);
  });

  it.each([
    ['its headers', 'POST /graphql HTTP/1.1\r\nHost: x\r\n', 'X-More: '],
    ['its body', 'body', ' '],
  ])('that drips %s is cut off when its time is over, however lively it drips', async (what, head, drip) => {
    const impatient = await createApiWorld({ server: { requestTimeoutMs: 150 } });
    const { hostname, port } = new URL(impatient.url);
    const withKey = `POST /graphql HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${impatient.keys.read}\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n{`;
    const answer = await new Promise<string>((resolve) => {
      const socket = connect(Number(port), hostname);
      let text = '';
      socket.write(what === 'its body' ? withKey : head);
      const dripping = setInterval(() => socket.write(drip), 10);
      socket.on('data', (data) => (text += data.toString()));
      socket.on('error', () => undefined);
      socket.on('close', () => {
        clearInterval(dripping);
        resolve(text);
      });
    });
    expect(answer).toMatch(/^(HTTP\/1\.1 408 |$)/);
    // Closed first, so that whatever comes of the request has come.
    await impatient.close();
    expect(impatient.defects).toEqual([]);
  });
});
