import { Command } from 'commander';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createSegmentDiscovery } from '../../src/create-segment-discovery.js';
import { addDiscoverCommand } from '../../src/segments/segment-discover.command.js';
import { SegmentReader } from '../../src/segments/segment.reader.js';
import { aFeature } from '../support/a-feature.js';
import { runWith } from '../support/command-runner.js';
import { readModelFixture } from '../support/model-fixtures.js';
import { aTrack, createWorld, type World } from '../support/world.js';

const IRIS = ['sepal_length_cm', 'sepal_width_cm', 'petal_length_cm', 'petal_width_cm'];
const FLOWERS = { small: [5, 3, 1.6, 0.2], large: [6.7, 3.1, 5.6, 2.4] };

let world: World;

beforeAll(async () => {
  world = await createWorld();
  await world.defineFeatures(
    IRIS.map((name) =>
      aFeature(name, { aggregate: 'last', events: ['flower'], value: `properties.${name}`, type: 'double' }),
    ),
  );
  const { bytes, manifest } = await readModelFixture('iris_clusters');
  const numbered = {
    ...{ ...manifest, key: 'groups', outputs: { cluster: { output: 'label' } } },
    goldenVectors: manifest.goldenVectors.map(({ features, expected: { cluster = 0 } }) => ({
      ...{ features, expected: { cluster } },
    })),
  };
  const { models } = world.engine.services;
  for (const each of [manifest, numbered]) {
    await models.register(bytes, each);
    await models.promote(each.key, 1);
  }
});
afterAll(() => world.close());

const discover = (...args: string[]) =>
  runWith(
    (io) => {
      const segment = new Command('segment');
      const services = world.engine.services.segments;
      addDiscoverCommand(segment, {
        ...{ ...io, user: 'ann' },
        withDiscovery: (use) => use(createSegmentDiscovery(world.db, services)),
      });
      return segment;
    },
    ['discover', ...args],
  );

const segments = async () =>
  (await new SegmentReader(world.db).all()).map(({ key, name, stage }) => `${key} ${stage} ${name}`);

it('makes segments of clusters that people are in, once, and leaves names to the analyst', async () => {
  const dry = await discover('groups', '--dry-run');
  expect(dry).toMatchObject({ code: 0, stderr: '' });
  expect(dry.stdout).toContain('Model groups, version 1: 3 classes, by its golden vectors');
  expect(dry.stdout).toContain('groups_2  groups 2  cluster("groups") == 2  would be made');
  expect(await segments()).toEqual([]);

  expect((await discover('groups', '--activate', '--name', '0=Small ones')).stdout).toContain(
    'groups_0  Small ones  cluster("groups") == 0  made, active',
  );
  for (const [user, sizes] of Object.entries(FLOWERS)) {
    const properties = Object.fromEntries(IRIS.map((name, i) => [name, sizes[i] as number]));
    await world.accept([aTrack('flower', { user_id: user }, { properties })]);
  }
  await world.drain();
  expect((await world.feed()).map(({ kind, segment }) => `${kind} ${segment}`).sort()).toEqual([
    'enter groups_0',
    'enter groups_2',
  ]);

  const again = await discover('groups', '--count', '4', '--name', '0=Others', '--json');
  const told = JSON.parse(again.stdout) as { segments: { key: string; name: string; isNew: boolean }[] };
  expect(told.segments.map(({ key, name, isNew }) => [key, name, isNew])).toEqual([
    ['groups_0', 'Small ones', false],
    ['groups_1', 'groups 1', false],
    ['groups_2', 'groups 2', false],
    ['groups_3', 'groups 3', true],
  ]);
  expect(await segments()).toEqual([
    'groups_0 active Small ones',
    'groups_1 active groups 1',
    'groups_2 active groups 2',
    'groups_3 draft groups 3',
  ]);
});

it('asks for labels where they have names, and makes nothing where one key is taken', async () => {
  const before = await segments();
  await world.engine.services.segments.upsert({
    ...{ key: 'iris_clusters_1', name: 'Mine', description: '', tags: [], expression: 'cluster("groups") > 0' },
  });
  const taken = await discover('iris_clusters');
  expect(taken.code).toBe(1);
  expect(taken.stderr).toContain('segment iris_clusters_1 is there and says something else');
  expect(await segments()).toHaveLength(before.length + 1);
  expect((await discover('iris_clusters', '--prefix', 'iris')).stdout).toContain(
    'iris_1  second  label("iris_clusters") == "second"  made, a draft',
  );
  expect((await discover('iris_cluster')).stderr).toContain('no version of model iris_cluster is active');
  expect((await discover('groups', '--name', 'Loyal')).stderr).toContain('"Loyal" names no class');
});
