import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createApiWorld, type ApiWorld } from '../support/api-world.js';
import { aTrack, START_MS } from '../support/world.js';

const QUERY = `query ($filter: DeadLetterFilter, $first: Int! = 50, $after: String) {
  deadLetters(filter: $filter, first: $first, after: $after) {
    edges { node { id source stage code reason messageId receivedAt file rowNumber payload payloadIsCut } }
    pageInfo { hasNextPage endCursor }
  }
}`;

interface Answer {
  readonly deadLetters: {
    readonly edges: readonly { readonly node: Readonly<Record<string, unknown>> }[];
    readonly pageInfo: { readonly hasNextPage: boolean; readonly endCursor: string | null };
  };
}

let world: ApiWorld;

beforeAll(async () => {
  world = await createApiWorld();
  for (let i = 0; i < 5; i++) {
    await world.accept([aTrack('', { email: 'ann@example.com' }, { messageId: `bad${String(i)}` })]);
    world.clock.advance(1_000);
  }
  await world.db.execute(
    `WITH source AS (SELECT id FROM sources WHERE key = 'web'), load AS (
       INSERT INTO loads (id, source_id, file_hash, file_name, mapping_hash, time_shift_ms, emit, status, started_at)
       SELECT gen_random_uuid(), id, '', 'visits.csv', '', 0, false, 'done', 0 FROM source RETURNING id, source_id)
     INSERT INTO dead_letters (source_id, stage, code, reason, load_id, row_number, received_at, payload)
     SELECT source_id, 'load', 'BAD_TIME', 'r', id, 12, $1, '\\x00' || convert_to(repeat('x', 8192), 'UTF8') FROM load`,
    [START_MS - 1],
  );
});

afterAll(async () => {
  expect(world.defects).toEqual([]);
  await world.close();
});

const read = async (filter: object | null, more: { first?: number; after?: string | null } = {}) =>
  (await world.data<Answer>(QUERY, { filter, ...more })).deadLetters;

describe('deadLetters', () => {
  it('shows what was not taken, why, and what was handed in', async () => {
    const { edges } = await read({ stage: 'ACCEPT' });
    expect(edges).toHaveLength(5);
    expect(edges[0]?.node).toMatchObject({
      source: 'web',
      stage: 'ACCEPT',
      code: 'NAME_MISSING',
      messageId: 'bad4',
      receivedAt: new Date(START_MS + 4_000).toISOString(),
      file: null,
      rowNumber: null,
      payloadIsCut: false,
    });
    expect(JSON.parse(String(edges[0]?.node['payload']))).toMatchObject({ messageId: 'bad4' });
    expect((await read({ stage: 'LOAD' })).edges.map(({ node }) => node)).toMatchObject([
      { source: 'web', file: 'visits.csv', rowNumber: 12, payloadIsCut: true },
    ]);
  });

  it('is read in pages, newest first, within a filter', async () => {
    const filter = { source: 'web', code: 'NAME_MISSING', since: new Date(START_MS + 1_000).toISOString() };
    const ids: unknown[] = [];
    for (let after: string | null = null; ;) {
      const page = await read(filter, { first: 3, after });
      ids.push(...page.edges.map(({ node }) => node['messageId']));
      after = page.pageInfo.endCursor;
      if (!page.pageInfo.hasNextPage) break;
    }
    expect(ids).toEqual(['bad4', 'bad3', 'bad2', 'bad1']);
    expect((await read({ code: 'NONE' })).edges).toEqual([]);
    expect((await read(null)).edges).toHaveLength(6);
  });

  it('is of one load where that is asked for', async () => {
    const [load] = await world.db.query<{ id: string }>('SELECT id FROM loads');
    const shown = await read({ load: load?.id, state: 'OPEN' });
    expect(shown.edges.map(({ node }) => [node['file'], node['rowNumber']])).toEqual([['visits.csv', 12]]);
    expect((await read({ load: load?.id, stage: 'ACCEPT' })).edges).toEqual([]);
    for (const none of ['visits.csv', '00000000-0000-7000-8000-000000000000']) {
      const { errors } = await world.ask(QUERY, { filter: { load: none } });
      expect(errors?.[0]?.extensions).toMatchObject({ code: 'NOT_FOUND', where: 'filter.load' });
    }
  });

  it('is for administrators only', async () => {
    for (const key of [world.keys.read, world.keys.ingest]) {
      const { data, errors } = await world.ask(QUERY, {}, { key });
      expect(data ?? null).toBeNull();
      expect(JSON.stringify(errors)).toContain('FORBIDDEN');
    }
  });

  it('refuses unknown sources and cursors of other lists', async () => {
    expect(JSON.stringify((await world.ask(QUERY, { filter: { source: 'nowhere' } })).errors)).toContain('NOT_FOUND');
    const foreign = Buffer.from('["changes.1",0]').toString('base64url');
    expect(JSON.stringify((await world.ask(QUERY, { after: foreign })).errors)).toContain('CURSOR_INVALID');
  });
});
