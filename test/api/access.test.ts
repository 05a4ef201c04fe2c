import { request as httpRequest } from 'node:http';
import { getIntrospectionQuery } from 'graphql';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createApiWorld, type ApiWorld } from '../support/api-world.js';

let world: ApiWorld;

beforeAll(async () => {
  world = await createApiWorld();
});

beforeEach(() => {
  world.defects.length = 0;
});

afterAll(() => world.close());

const codesOf = async (answer: Promise<{ errors?: readonly { extensions: Readonly<Record<string, unknown>> }[] }>) =>
  (await answer).errors?.map(({ extensions }) => extensions['code']);

describe('keys', () => {
  it('that are missing or wrong are answered with 401 before the body is read', async () => {
    for (const key of [null, 'nonsense', `weft_r_${'0'.repeat(43)}`]) {
      const answer = await world.ask('{ segments { edges { cursor } } }', {}, { key });
      expect(answer).toMatchObject({ status: 401, errors: [{ extensions: { code: 'UNAUTHENTICATED' } }] });
    }
    const status = await new Promise<number | undefined>((resolve, reject) => {
      const request = httpRequest(`${world.url}/graphql`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'content-length': '100000' },
      });
      request.on('response', (response) => {
        resolve(response.statusCode);
        request.destroy();
      });
      request.on('error', reject);
      request.write('{');
    });
    expect(status).toBe(401);
  });

  it('do only what their scopes allow', async () => {
    const { read, ingest } = world.keys;
    const asRead = (query: string) => codesOf(world.ask(query, {}, { key: read }));
    const asIngest = (query: string) => codesOf(world.ask(query, {}, { key: ingest }));
    expect(await asRead('{ segments { edges { cursor } } }')).toBeUndefined();
    expect(await asRead('{ apiKeys { edges { cursor } } }')).toEqual(['FORBIDDEN']);
    expect(await asRead('mutation { archiveSegment(key: "x") { __typename } }')).toEqual(['FORBIDDEN']);
    expect(await asRead('mutation { ingest(source: "web", events: []) { __typename } }')).toEqual(['FORBIDDEN']);
    expect(await asIngest('{ segments { edges { cursor } } }')).toEqual(['FORBIDDEN']);
    expect(await asIngest('mutation { ingest(source: "web", events: []) { __typename } }')).toBeUndefined();
    expect(await asIngest('mutation { ingest(source: "crm", events: []) { __typename } }')).toEqual(['FORBIDDEN']);
  });

  it('may look at the schema if they may read, however it is asked for', async () => {
    const { read, ingest } = world.keys;
    expect(await codesOf(world.ask(getIntrospectionQuery(), {}, { key: read }))).toBeUndefined();
    for (const query of [
      getIntrospectionQuery(),
      '{ ...F } fragment F on Query { ... { __schema { queryType { name } } } }',
    ]) {
      const answer = await world.ask(query, {}, { key: ingest });
      expect(await codesOf(Promise.resolve(answer))).toEqual(['FORBIDDEN']);
      expect(answer.status).toBe(200);
    }
  });
});

describe('bounds of a query', () => {
  const refused = async (query: string): Promise<string | undefined> =>
    (await world.ask(query)).errors?.map(({ message }) => message).join();

  const many = (count: number, field: (i: number) => string): string =>
    Array.from({ length: count }, (_, i) => field(i)).join(' ');

  it('are levels, root fields, aliases, fields and tokens', async () => {
    const nest = (levels: number): string =>
      levels === 0 ? 'key' : `members { edges { node { segments { segment { ${nest(levels - 1)} } } } } }`;
    expect(await refused(`{ segment(key: "x") { ${nest(3)} } }`)).toMatch('levels');
    expect(await refused(`{ ${many(21, (i) => `a${String(i)}: segment(key: "x") { key }`)} }`)).toMatch('root fields');
    expect(await refused(`{ segment(key: "x") { ${many(101, (i) => `a${String(i)}: key`)} } }`)).toMatch('aliases');
    const doubling = many(
      12,
      (i) => `fragment F${String(i)} on Segment { ...F${String(i + 1)} name ...F${String(i + 1)} }`,
    );
    expect(await refused(`{ segment(key: "x") { ...F0 } } ${doubling} fragment F12 on Segment { key }`)).toMatch(
      'fields',
    );
    expect(await refused(`{ segment(key: "x") { ${many(10_001, () => 'key')} } }`)).toMatch('10000 tokens');
    const flood = many(120, (i) => `a${String(i)}: __typename`);
    expect(await refused(`{ segment(key: "x") { ${flood} } }`)).toMatch('aliases');
    expect(
      await refused(`{ segment(key: "x") { ...F } } fragment F on Segment { ${many(2_001, () => '__typename')} }`),
    ).toMatch('fields');
    const roots = many(21, (i) => `a${String(i)}: statistics { profiles }`);
    expect(await refused(`{ ...F } fragment F on Query { ${roots} }`)).toMatch('root fields');
    expect(await refused(`{ ... { ... { ${roots} } } }`)).toMatch('root fields');
    expect(await refused(`{ ${many(3, (i) => `a${String(i)}: __schema { queryType { name } }`)} }`)).toMatch(
      'introspections',
    );
    expect(
      await refused('{ segment(key: "x") { key name members(first: 1) { edges { node { id } } } } }'),
    ).toBeUndefined();
  });

  it('count what the answer may hold: a list in a list is as many as both together', async () => {
    const members = (first: string): string =>
      `segments(first: 500) { edges { node { members${first} { edges { node { id } } } } } }`;
    expect(await refused(`{ ${members('(first: 500)')} }`)).toMatch('fields in its answer');
    expect(await refused(`query ($n: Int!) { ${members('(first: $n)')} }`)).toMatch('fields in its answer');
    expect(await refused(`{ ${members('(first: 20)')} }`)).toBeUndefined();
    const entity = '{ namespace: "user_id", value: "x" }';
    const values = (aliases: number): string =>
      `onlineFeatures(entities: [${entity}]) { features { ${many(aliases, (i) => `a${String(i)}: name`)} } }`;
    expect(await refused(`{ ${values(90)} }`)).toMatch('fields in its answer');
    expect(await refused(`{ ${values(5)} }`)).toBeUndefined();
  });

  it('hold before a parser exhausts its stack, but not for brackets in text', async () => {
    expect(await refused(`{ ${'a { '.repeat(4_000)}`)).toMatch('nested deeper than 200');
    expect(await refused(`{ segment(key: ${'['.repeat(4_000)}`)).toMatch('nested deeper than 200');
    const text = '{['.repeat(500);
    expect(await refused(`# ${text}\n{ segment(key: "${text}\\"${text}") { name } }`)).toBeUndefined();
    expect(await refused(`{ segment(key: """${text}" ""${text}""") { name } }`)).toBeUndefined();
  });

  it('quote of what they refuse no more than a little', async () => {
    const answer = await world.ask('query ($first: Int) { segments(first: $first) { edges { cursor } } }', {
      first: 'x'.repeat(50_000),
    });
    expect(JSON.stringify(answer).length).toBeLessThan(3_000);
  });

  it('and names of operations that are not there are the caller\u2019s mistake', async () => {
    const response = await fetch(`${world.url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${world.keys.read}` },
      body: JSON.stringify({ query: 'query A { segment(key: "x") { key } }', operationName: 'B' }),
    });
    expect(response.status).toBe(200);
    expect(await response.json()).toMatchObject({ errors: [{ message: 'Unknown operation named "B".' }] });
    expect(world.defects).toEqual([]);
  });

  it('hold for bodies too, except that an admin may send models', async () => {
    const padding = 'x'.repeat(300 * 1024);
    const query = 'query ($padding: String!) { segment(key: $padding) { key } }';
    expect(await world.ask(query, { padding }, { key: world.keys.read })).toMatchObject({
      status: 413,
      errors: [{ extensions: { code: 'PAYLOAD_TOO_LARGE' } }],
    });
    expect(await world.ask(query, { padding })).toMatchObject({ status: 200, data: { segment: null } });
  });

  it('refuse batches of requests', async () => {
    const response = await fetch(`${world.url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${world.keys.read}` },
      body: JSON.stringify([{ query: '{ __typename }' }]),
    });
    expect(response.status).toBe(400);
  });
});

describe('errors', () => {
  it('that are no deliberate ones tell an id and nothing else; the log has the rest', async () => {
    const { db } = world.services;
    const query = db.query.bind(db);
    Object.assign(db, {
      query: async (text: string, ...rest: unknown[]) => {
        if (text.includes('FROM segments s')) throw new TypeError('secret detail');
        return query(text, ...(rest as []));
      },
    });
    try {
      const { errors, data } = await world.ask('{ segment(key: "x") { key } }');
      expect(data).toEqual({ segment: null });
      expect(errors).toMatchObject([
        { message: 'something went wrong on our side', path: ['segment'], extensions: { code: 'INTERNAL' } },
      ]);
      expect(errors?.[0]?.extensions['errorId']).toMatch(/^[0-9a-f-]{36}$/);
      expect(JSON.stringify(errors)).not.toContain('secret');
      expect(world.defects).toMatchObject([{ message: 'secret detail' }]);
    } finally {
      Reflect.deleteProperty(db, 'query');
    }
  });

  it('are the same whether a query runs for the first or the hundredth time', async () => {
    const query = `query ($first: Int!) { profiles(first: $first) { edges { cursor } } segment(key: "x") { key } }`;
    const answers = [];
    for (let i = 0; i < 4; i++) answers.push(await world.ask(query, { first: 0 }));
    for (const answer of answers) expect(answer).toEqual(answers[0]);
    expect(answers[0]?.errors).toMatchObject([{ path: ['profiles'], extensions: { code: 'BAD_REQUEST' } }]);
    const coerced = [];
    for (let i = 0; i < 4; i++) coerced.push(await world.ask(query, { first: 'many' }));
    for (const answer of coerced) expect(answer).toEqual(coerced[0]);
    expect(coerced[0]?.errors?.[0]?.extensions['code']).toBe('BAD_USER_INPUT');
  });

  it('name what is wrong with a DateTime, without masking it', async () => {
    const query = `mutation ($t: DateTime) { ingest(source: "web", events: [{ type: TRACK, name: "x", identifiers: [], timestamp: $t }]) { __typename } }`;
    const answer = await world.ask(query, { t: 'yesterday' });
    expect(answer.errors?.[0]?.message).toContain('a DateTime is a text like');
    expect(world.defects).toEqual([]);
  });
});

describe('the server', () => {
  it('says whether it lives and whether it is ready', async () => {
    const alive = await fetch(`${world.url}/healthz`);
    expect(await alive.json()).toEqual({ status: 'ok', name: 'weft', version: '0.0.0' });
    const ready = await fetch(`${world.url}/readyz`);
    expect(await ready.json()).toEqual({ status: 'ok', checks: { database: 'ok' } });
    expect((await fetch(`${world.url}/metrics`)).status).toBe(200);
  });

  it('says at its root what it is and where to go', async () => {
    const places = (await (await fetch(world.url)).json()) as Record<string, string>;
    expect(places).toMatchObject({ name: 'weft', version: '0.0.0', graphql: '/graphql' });
    for (const place of ['health', 'readiness', 'metrics']) {
      expect((await fetch(`${world.url}${places[place] ?? ''}`)).status).toBe(200);
    }
  });

  it('measures requests by route and counts operations by outcome', async () => {
    const counts = async (): Promise<number[]> => {
      const text = await (await fetch(`${world.url}/metrics`)).text();
      const count = (sample: string): number => Number(text.split(`\nweft_${sample} `)[1]?.split('\n')[0] ?? 0);
      return [
        ...['ok', 'client_error', 'defect'].map((outcome) => count(`graphql_operations_total{outcome="${outcome}"}`)),
        count('http_request_duration_seconds_count{route="/graphql",status="4xx"}'),
      ];
    };
    const before = await counts();
    await world.ask('{ segments { edges { node { key } } } }');
    await world.ask('{ nothing }');
    await world.ask('{ segments { edges { node { key } } } }', {}, { key: null });
    const after = await counts();
    expect(after.map((count, i) => count - (before[i] ?? 0))).toEqual([1, 2, 0, 1]);
  });

  it('takes tracking calls beside GraphQL', async () => {
    const response = await fetch(`${world.url}/v1/track`, {
      method: 'POST',
      headers: { authorization: `Bearer ${world.keys.ingest}` },
      body: JSON.stringify({ anonymousId: 'a', event: 'visit' }),
    });
    expect(await response.json()).toEqual({ success: true, token: expect.any(String) as string });
  });
});
