import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { DefinitionApplier } from '../../src/definition-applier.js';
import { describePlan } from '../../src/describe-definition-plan.js';
import { DefinitionHistoryReader } from '../../src/features/definition-history.reader.js';
import { FeatureReader } from '../../src/features/feature.reader.js';
import { featuresCommand } from '../../src/features/features.command.js';
import { ModelReader } from '../../src/scoring/model.reader.js';
import { LineageReader } from '../../src/segments/lineage.reader.js';
import { SegmentReader } from '../../src/segments/segment.reader.js';
import { createApiWorld, type ApiWorld } from '../support/api-world.js';
import { runWith } from '../support/command-runner.js';
import { readModelFixture } from '../support/model-fixtures.js';
import { aTrack } from '../support/world.js';

const IRIS = ['sepal_length_cm', 'sepal_width_cm', 'petal_length_cm', 'petal_width_cm'];
const LARGE = [6.7, 3.1, 5.6, 2.4];

let world: ApiWorld;

const flower = (names: readonly string[], type = 'double', window = ''): string =>
  `views:
  - name: flowers
    owner: botany
    tags: [lab, field]
    features:
${names.map((name) => `      - { name: ${name}, aggregate: last, events: [flower], value: properties.${name}, type: ${type}${window} }`).join('\n')}
`;

const applier = (): DefinitionApplier => new DefinitionApplier(world.db, world.engine.services);
const fileOf = (text: string) => [{ name: 'f.yaml', text }];

async function apply(text: string, options: { prune?: boolean; force?: boolean } = {}): Promise<string> {
  const plan = await applier().plan(fileOf(text), options);
  await applier().apply(plan);
  return describePlan(plan);
}

const run = (...args: string[]) =>
  runWith(
    (io) =>
      featuresCommand({
        ...io,
        withFeatures: (use) =>
          use({
            reader: new FeatureReader(world.db),
            history: new DefinitionHistoryReader(world.db),
            lineage: new LineageReader(world.db),
          }),
        withVocabulary: (use) => use(() => Promise.resolve([])),
      }),
    args,
  );

beforeAll(async () => {
  world = await createApiWorld();
  await apply(flower(IRIS));
  const { bytes, manifest } = await readModelFixture('iris_clusters');
  await world.engine.services.models.register(bytes, manifest);
});
afterAll(() => world.close());

/** A model that answers, a segment that asks it, one that refers to that one, and somebody who is in both. */
beforeEach(async () => {
  const { models } = world.engine.services;
  await apply(flower(IRIS));
  await models.promote('iris_clusters', 1);
  await world.defineSegment('third', 'label("iris_clusters") == "third"');
  await world.defineSegment('beside', 'segment("third") || f.petal_width_cm > 9.0');
  const properties = Object.fromEntries(IRIS.map((name, i) => [name, LARGE[i] as number]));
  await world.accept([aTrack('flower', { user_id: 'u1' }, { properties })]);
  await world.drain();
  world.clock.advance(1);
  await world.drain();
});

const stages = async () => Object.fromEntries((await new SegmentReader(world.db).all()).map((s) => [s.key, s.stage]));
const activeModels = async () => (await new ModelReader(world.db).active()).map(({ key }) => key);
const lastChanges = async (count: number) =>
  (await world.feed()).slice(-count).map(({ kind, segment }) => `${kind} ${segment}`);

describe('the plan of a change', () => {
  it('says field by field what differs, whom it concerns, and how much history has to be read', async () => {
    const text = flower(IRIS, 'double', ', window: 7d').replace('botany', 'growth');
    const plan = await applier().plan(fileOf(text));
    const told = describePlan(plan);
    expect(told).toContain('  ~ flowers: owner botany -> growth\n');
    expect(told).toContain('  ~ petal_width_cm: window none -> 7d\n      breaking');
    expect(told).toContain(
      'breaking: means something else than what models were trained on; read by model iris_clusters and segment beside',
    );
    expect(told).toMatch(/^History \(\d+ events?\) is to be folded into 4 new streams\.$/m);
    const { changes = [] } = plan.features ?? {};
    expect(changes.find(({ name }) => name === 'sepal_width_cm')).toMatchObject({
      kind: 'feature',
      change: 'changed',
      fields: [{ field: 'window', before: null, after: '7d' }],
      breaking: { how: 'redefined', users: [{ kind: 'model', key: 'iris_clusters' }] },
      backfilled: true,
    });
  });

  it('of who answers for a view is written, too, and asks for no history', async () => {
    const told = await apply(flower(IRIS).replace('botany', 'growth'));
    expect(told).toContain('owner botany -> growth');
    expect(told).not.toContain('History');
    expect((await new FeatureReader(world.db).views())[0]).toMatchObject({ owner: 'growth', tags: ['lab', 'field'] });
  });
});

describe('a feature in use', () => {
  it('is not removed without force, and the refusal names all that use it', async () => {
    await expect(apply(flower(IRIS.slice(0, 3)), { prune: true })).rejects.toMatchObject({
      message: 'feature petal_width_cm is used by model iris_clusters and segment beside',
    });
    await expect(apply(flower(IRIS, 'string'))).rejects.toMatchObject({ code: 'DEFINITION_INVALID' });
  });

  it.each([
    ['removed', () => apply(flower(IRIS.slice(0, 3)), { force: true })],
    ['retyped', () => apply(flower(IRIS, 'string'), { force: true })],
  ])('is %s by force together with all that rests on it, and members leave', async (_, forced) => {
    const told = await forced();
    expect(told).toContain(
      [
        'To go out of service by --force: segment beside is archived.',
        'To go out of service by --force: segment third is archived.',
        'To go out of service by --force: model iris_clusters is retired.',
      ].join('\n'),
    );
    expect(await stages()).toEqual({ beside: 'archived', third: 'archived' });
    expect(await activeModels()).toEqual([]);
    await world.drain();
    world.clock.advance(1);
    await world.drain();
    expect((await lastChanges(2)).sort()).toEqual(['leave beside', 'leave third']);
  });

  it('stays, with what uses it, where a forced change is only planned or fails', async () => {
    await applier().plan(fileOf(flower(IRIS.slice(0, 3))), { force: true });
    const listing = `${flower(IRIS.slice(0, 3))}services: [{ name: s, features: [petal_width_cm] }]\n`;
    await expect(
      world.ask('mutation ($yaml: String!) { applyFeatures(yaml: $yaml, prune: true, force: true) { __typename } }', {
        yaml: listing,
      }),
    ).resolves.toMatchObject({ data: { applyFeatures: { __typename: 'InvalidDefinition' } } });
    expect(await stages()).toEqual({ beside: 'active', third: 'active' });
    expect(await activeModels()).toEqual(['iris_clusters']);
  });

  it('is told of by applyFeatures as by weft apply', async () => {
    const ask = (dryRun: boolean, force: boolean) =>
      world.ask(
        `mutation ($yaml: String!, $dryRun: Boolean!, $force: Boolean!) {
          applyFeatures(yaml: $yaml, dryRun: $dryRun, force: $force) {
            ... on FeaturePlan {
              removed withdrawn { kind key }
              changes { kind name change backfilled fields { field before after } breaking { how users { kind key } } }
            }
            ... on InvalidDefinition { message }
          }
        }`,
        { yaml: flower(IRIS.slice(0, 3)), dryRun, force },
      );
    expect((await ask(true, false)).data).toMatchObject({
      applyFeatures: { message: 'feature petal_width_cm is used by model iris_clusters and segment beside' },
    });
    const { data } = await ask(false, true);
    expect(data).toMatchObject({
      applyFeatures: {
        removed: ['petal_width_cm'],
        withdrawn: [
          { kind: 'SEGMENT', key: 'beside' },
          { kind: 'SEGMENT', key: 'third' },
          { kind: 'MODEL', key: 'iris_clusters' },
        ],
        changes: [
          {
            kind: 'FEATURE',
            name: 'petal_width_cm',
            change: 'REMOVED',
            breaking: { how: 'REMOVED', users: [{ kind: 'MODEL' }, { kind: 'SEGMENT' }] },
          },
        ],
      },
    });
    expect(await stages()).toEqual({ beside: 'archived', third: 'archived' });
  });
});

describe('versions of a definition', () => {
  const service = (names: string): string => `${flower(IRIS)}services: [{ name: iris_v1, features: [${names}] }]\n`;
  it('are all kept, over removals too, and shown by command and by query', async () => {
    await apply(service('sepal_width_cm'));
    await apply(service('sepal_width_cm, petal_width_cm'));
    await apply(flower(IRIS), { prune: true });
    await apply(service('petal_width_cm'));
    const query = `query ($after: String) {
      featureDefinitionVersions(kind: SERVICE, name: "iris_v1", first: 2, after: $after) {
        edges { node { version definition } } pageInfo { endCursor hasNextPage }
      }
    }`;
    const first = await world.ask(query, {});
    expect(first.data).toMatchObject({
      featureDefinitionVersions: {
        edges: [{ node: { version: 4, definition: { features: ['petal_width_cm'] } } }, { node: { definition: null } }],
        pageInfo: { hasNextPage: true },
      },
    });
    const { endCursor } = (first.data as { featureDefinitionVersions: { pageInfo: { endCursor: string } } })
      .featureDefinitionVersions.pageInfo;
    expect((await world.ask(query, { after: endCursor })).data).toMatchObject({
      featureDefinitionVersions: { edges: [{ node: { version: 2 } }, { node: { version: 1 } }] },
    });
    expect((await run('history', 'iris_v1')).stdout).toMatch(
      /^kind +version +applied +what\nservice +4 .*1 features\nservice +3 .*removed\n/,
    );
    expect((await run('show', 'iris_v1', '--version', '2')).stdout).toBe(
      'service iris_v1, version 2\n  sepal_width_cm\n  petal_width_cm\n',
    );
    expect((await run('show', 'flowers')).stdout).toContain('  owner  botany\n  tags   lab, field\n');
    expect((await run('show', 'petal_widht_cm')).stderr).toContain('hint: did you mean petal_width_cm?');
    expect((await run('show', 'iris_v1', '--version', '9')).code).toBe(1);
    const listed = JSON.parse((await run('list', '--json')).stdout) as { name: string; version: number }[];
    expect(listed).toMatchObject([{ name: 'flowers' }, { name: 'iris_v1', version: 4 }]);
    expect((await world.ask('{ featureServices { edges { node { name version tags owner } } } }')).data).toEqual({
      featureServices: { edges: [{ node: { name: 'iris_v1', version: 4, tags: [], owner: null } }] },
    });
  });
});

describe('lineage', () => {
  it('tells what hangs together with a feature, by query and by command', async () => {
    const { data } = await world.ask(`{
      down: lineage(of: { kind: FEATURE, name: "sepal_width_cm" }, direction: DOWN) {
        nodes { kind name distance } edges { from { name } to { name } } isTruncated
      }
    }`);
    const nodes = (data as { down: { nodes: { kind: string; name: string; distance: number }[] } }).down.nodes;
    expect(nodes.map(({ kind, name, distance }) => `${kind} ${name} ${String(distance)}`)).toEqual([
      'FEATURE sepal_width_cm 0',
      'MODEL iris_clusters 1',
      'SEGMENT third 2',
      'SEGMENT beside 3',
    ]);
    const up = await run('lineage', 'beside', '--direction', 'up');
    for (const line of [
      /^view flowers +-> +feature petal_width_cm$/m,
      /^event flower +-> +feature petal_width_cm$/m,
      /^feature petal_width_cm +-> +segment beside$/m,
      /^segment third +-> +segment beside$/m,
    ]) {
      expect(up.stdout).toMatch(line);
    }
    expect(await run('lineage', 'besides')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('beside?') as string,
    });
    const { errors } = await world.ask('{ lineage(of: { kind: MODEL, name: "iris" }) { isTruncated } }');
    expect(errors?.[0]?.extensions['code']).toBe('NOT_FOUND');
  });
});
