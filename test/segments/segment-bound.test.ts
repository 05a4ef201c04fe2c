import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DefinitionApplier } from '../../src/definition-applier.js';
import { DefinitionsLoader } from '../../src/definitions.js';
import { MAX_SEGMENTS, SegmentReader } from '../../src/segments/segment.reader.js';
import type { SegmentStage } from '../../src/segments/segment.model.js';
import { createApiWorld, type ApiWorld } from '../support/api-world.js';
import { aTrack } from '../support/world.js';

let world: ApiWorld;

beforeEach(async () => {
  world = await createApiWorld();
});
afterEach(() => world.close());

/** Makes segments as they come to be over years, without the years. */
async function many(count: number, stage: SegmentStage, prefix = 'old'): Promise<void> {
  await world.db.execute(
    `WITH made AS (
       INSERT INTO segments (key, name, description, tags, stage, version, active_version, created_at, updated_at)
       SELECT '${prefix}_' || i, 'x', '', '{}', '${stage}', 1, ${stage === 'active' ? '1' : 'NULL'}, 1, 1
       FROM generate_series(1, ${String(count)}) i RETURNING id
     )
     INSERT INTO segment_versions (segment_id, version, expression, created_at)
     SELECT id, 1, 'traits.plan == "pro"', 1 FROM made`,
  );
}

/** Everybody is evaluated with what changed, which takes an instant to fall due. */
async function settle(): Promise<void> {
  await world.drain();
  world.clock.advance(1);
  await world.drain();
}

const draft = (key: string) => ({ key, name: key, description: '', tags: [], expression: 'performed("x")' });
const applier = () => new DefinitionApplier(world.db, world.engine.services);
const fileOf = (keys: readonly string[]) => [
  {
    name: 's.yaml',
    text: `segments:\n${keys.map((key) => `  - { key: ${key}, expression: performed("x") }`).join('\n')}`,
  },
];

describe('segments at the bound of their number', () => {
  it('stay in force however many were archived before, and their members with them', async () => {
    await world.defineSegment('zz_last', 'performed("x")');
    await world.accept([aTrack('x', { user_id: 'u1' })]);
    await world.drain();
    await many(MAX_SEGMENTS + 5, 'archived');
    // A change of the definitions makes everybody load them anew.
    await world.defineSegment('zzz', 'performed("y")');
    await settle();
    expect((await world.feed()).map(({ kind, segment }) => `${kind} ${segment}`)).toEqual(['enter zz_last']);
    expect((await new SegmentReader(world.db).all()).at(-1)?.key).toBe('zzz');
  });

  it('are refused where they would be one too many, until another is archived', async () => {
    const { segments } = world.engine.services;
    await many(MAX_SEGMENTS - 1, 'draft');
    await segments.upsert(draft('last'));
    await expect(segments.upsert(draft('over'))).rejects.toMatchObject({
      code: 'DEFINITION_INVALID',
      message: 'there would be 1001 segments that are not archived',
      hint: 'at most 1000 can be: archive some first',
    });
    await segments.upsert({ ...draft('last'), name: 'Another name' });
    await segments.archive('last');
    await segments.upsert(draft('over'));
    await expect(segments.activate('last')).rejects.toMatchObject({ code: 'DEFINITION_INVALID' });
    await segments.archive('over');
    expect(await segments.activate('last')).toMatchObject({ stage: 'active' });
  });

  it('are not exceeded by two who write at once', async () => {
    const { segments } = world.engine.services;
    await many(MAX_SEGMENTS - 1, 'draft');
    const outcomes = await Promise.allSettled(['a', 'b', 'c', 'd'].map((key) => segments.upsert(draft(key))));
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    expect(await new SegmentReader(world.db).countStanding()).toBe(MAX_SEGMENTS);
  });

  it('are counted by weft apply before it writes anything', async () => {
    await many(MAX_SEGMENTS - 1, 'draft');
    await many(5, 'archived', 'gone');
    await expect(applier().plan(fileOf(['one', 'two']))).rejects.toMatchObject({ code: 'DEFINITION_INVALID' });
    await expect(applier().plan(fileOf(['one', 'gone_2']))).rejects.toMatchObject({
      message: 'there would be 1001 segments that are not archived',
    });
    const plan = await applier().plan(fileOf(['gone_2', 'old_7']));
    await applier().apply(plan);
    expect(await new SegmentReader(world.db).byKey('gone_2')).toMatchObject({ stage: 'active', version: 2 });
  });

  it('are not loaded in part where there are more all the same', async () => {
    await many(MAX_SEGMENTS + 1, 'active');
    const loading = new DefinitionsLoader(world.db, world.engine.scorer).current();
    await expect(loading).rejects.toMatchObject({ code: 'DEFINITION_INVALID', where: 'segments' });
    await world.engine.services.segments.archive('old_1');
    expect((await new DefinitionsLoader(world.db, world.engine.scorer).current()).stored.size).toBe(MAX_SEGMENTS);
  });
});

describe('a draft', () => {
  it.each([
    ['key', { key: 'No Key' }],
    ['name', { name: ' ' }],
    ['name', { name: 'x'.repeat(201) }],
    ['description', { description: 'x'.repeat(4_001) }],
    ['tags', { tags: Array.from({ length: 51 }, (_, i) => `t${String(i)}`) }],
    ['tags', { tags: ['x'.repeat(201)] }],
    ['tags', { tags: [''] }],
  ])('is refused for a %s as no file may have it', async (where, wrong) => {
    const upserting = world.engine.services.segments.upsert({ ...draft('fine'), ...wrong });
    await expect(upserting).rejects.toMatchObject({ code: 'BAD_REQUEST', where });
  });
});

describe('an archived segment', () => {
  it('is still answered for, and its changes are still told', async () => {
    await world.defineSegment('was', 'performed("x")');
    await world.accept([aTrack('x', { user_id: 'u1' })]);
    await world.drain();
    await world.engine.services.segments.archive('was');
    await settle();
    const answer = await world.data<Record<string, unknown>>(
      `{ profile(identifier: { namespace: "user_id", value: "u1" }) {
           membership(segment: "was") { isMember segment { key stage } } segments { segment { key } } }
         segmentChanges(first: 10) { edges { node { kind segment { key stage } } } }
         of: segmentChanges(first: 10, segments: ["was"]) { edges { node { kind } } } }`,
    );
    expect(answer).toEqual({
      profile: { membership: { isMember: false, segment: { key: 'was', stage: 'ARCHIVED' } }, segments: [] },
      segmentChanges: {
        edges: ['ENTER', 'LEAVE'].map((kind) => ({ node: { kind, segment: { key: 'was', stage: 'ARCHIVED' } } })),
      },
      of: { edges: [{ node: { kind: 'ENTER' } }, { node: { kind: 'LEAVE' } }] },
    });
  });

  it('cannot be asked as of now, and a key that nobody has cannot be asked at all', async () => {
    await world.defineSegment('was', 'performed("x")');
    await world.accept([aTrack('x', { user_id: 'u1' })]);
    await world.drain();
    // Through the API, which answers with what it changed itself at once; of others' changes it learns a little later.
    await world.data('mutation { archiveSegment(key: "was") { __typename } }');
    const ask = async (args: string): Promise<unknown> => {
      const query = `{ profile(identifier: { namespace: "user_id", value: "u1" }) { membership(${args}) { isMember } } }`;
      return (await world.ask(query)).errors?.[0]?.extensions['code'];
    };
    await world.drain();
    expect(await ask('segment: "was", evaluate: NOW')).toBe('CONFLICT');
    expect(await ask('segment: "never"')).toBe('NOT_FOUND');
    expect(await ask('segment: "no key\\u0000"')).toBe('NOT_FOUND');
  });

  it('is on the pages of the list of segments, each segment once', async () => {
    await many(7, 'archived');
    await many(6, 'draft', 'old_1');
    const keys: string[] = [];
    for (let after: string | null = null; ;) {
      const { segments }: { segments: { edges: { node: { key: string } }[]; pageInfo: Record<string, unknown> } } =
        await world.data(
          'query ($after: String) { segments(first: 4, after: $after) { edges { node { key } } pageInfo { hasNextPage endCursor } } }',
          { after },
        );
      keys.push(...segments.edges.map(({ node }) => node.key));
      if (segments.pageInfo['hasNextPage'] !== true) break;
      after = segments.pageInfo['endCursor'] as string;
    }
    expect(keys).toEqual([...new Set(keys)].sort());
    expect(keys).toHaveLength(13);
  });
});
