import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { checkSegments } from '../../src/monitoring/doctor.js';
import type { FeatureDefinition } from '../../src/features/feature.model.js';
import type { ModelManifest } from '../../src/scoring/model-manifest.model.js';
import { refreshJaccard, UNSTABLE_FOR_MS, type SegmentRefresh } from '../../src/segments/refresh.model.js';
import { RefreshReader } from '../../src/segments/refresh.reader.js';
import { RefreshStore } from '../../src/segments/refresh.store.js';
import { RefreshWatch } from '../../src/segments/refresh-watch.js';
import { segmentServices } from '../../src/segments/segment-command-services.js';
import { segmentCommand } from '../../src/segments/segment.command.js';
import { aFeature } from '../support/a-feature.js';
import { createApiWorld, type ApiWorld } from '../support/api-world.js';
import { runWith } from '../support/command-runner.js';
import { gatedDatabase } from '../support/gated-database.js';
import { readModelFixture } from '../support/model-fixtures.js';
import { randomFrom } from '../support/random-log.js';
import { aTrack, MINUTE_MS } from '../support/world.js';

const IRIS = ['sepal_length_cm', 'sepal_width_cm', 'petal_length_cm', 'petal_width_cm'];
const SMALL = [5, 3, 1.6, 0.2];
const LARGE = [6.7, 3.1, 5.6, 2.4];

let world: ApiWorld;
const told: string[] = [];

function useWorld(): void {
  beforeAll(async () => {
    told.length = 0;
    world = await createApiWorld();
    await world.defineFeatures(flowerFeatures(['flower']));
  });
  afterAll(async () => {
    expect(world.defects).toEqual([]);
    await world.close();
  });
}

function flowerFeatures(events: readonly string[]): FeatureDefinition[] {
  return [
    ...IRIS.map((name) =>
      aFeature(name, { aggregate: 'last', events: [...events], value: `properties.${name}`, type: 'double' }),
    ),
    aFeature('paid', { aggregate: 'last', events: ['paid'], value: 'properties.amount', type: 'double' }),
  ];
}

function newWatch(maxChanges?: number): RefreshWatch {
  return new RefreshWatch({
    ...{ db: world.db, clock: world.clock, minJaccard: 0.5 },
    ...(maxChanges === undefined ? {} : { maxChanges }),
    observer: {
      began: (key, { kind, expected, seen }) => told.push(`${key} ${kind} ${String(seen)} of ${String(expected)}`),
      ended: (key, kind) => told.push(`${key} ${kind} ended`),
    },
    onError: (error) => {
      throw error as Error;
    },
  });
}

const idOf = async (key: string): Promise<number> => {
  const [row] = await world.db.query<{ id: number }>('SELECT id FROM segments WHERE key = $1', [key]);
  return row?.id ?? -1;
};

const refreshesOf = async (key: string): Promise<SegmentRefresh[]> =>
  new RefreshReader(world.db).page(await idOf(key), Number.MAX_SAFE_INTEGER, 100);

const members = async (key: string): Promise<Set<string>> => {
  const rows = await world.db.query<{ id: string }>('SELECT profile_id AS id FROM memberships WHERE segment_id = $1', [
    await idOf(key),
  ]);
  return new Set(rows.map(({ id }) => id));
};

/** Until everybody is evaluated by what is live: who is evaluated anew is due a millisecond after whatever was accepted. */
async function settle(): Promise<void> {
  await world.drain();
  world.clock.advance(1);
  await world.drain();
}

async function pay(amounts: Readonly<Record<string, number>>): Promise<void> {
  world.clock.advance(MINUTE_MS);
  await world.accept(
    Object.entries(amounts).map(([user, amount]) => aTrack('paid', { user_id: user }, { properties: { amount } })),
  );
  await settle();
}

describe('the stability of a segment', () => {
  useWorld();

  it('is what an edit kept of the members that there were', async () => {
    const random = randomFrom(11);
    const people = Array.from({ length: 40 }, (_, i) => `p${String(i)}`);
    await world.defineSegment('payers', 'f.paid >= 50');
    await world.defineSegment('others', '!segment("payers") && f.paid >= 0');
    await pay(Object.fromEntries(people.map((person) => [person, Math.floor(random() * 100)])));
    await newWatch().look();
    expect(await refreshesOf('payers')).toEqual([]);
    for (let version = 2; version < 8; version++) {
      const before = new Map(
        await Promise.all(['payers', 'others'].map(async (key) => [key, await members(key)] as const)),
      );
      world.clock.advance(MINUTE_MS);
      await world.defineSegment('payers', `f.paid >= ${String(Math.floor(random() * 100))}`);
      // Nobody is evaluated yet.
      await newWatch().look();
      await settle();
      await Promise.all([newWatch().look(), newWatch().look()]);
      for (const [key, was] of before) {
        const is = await members(key);
        const both = [...was].filter((id) => is.has(id)).length;
        // The other one is measured where it changed.
        if (key === 'others' && both === was.size && both === is.size) continue;
        const [latest] = await refreshesOf(key);
        expect(latest, key).toMatchObject({
          ...{ kind: 'edit', models: [], share: 1, adjustedRand: null },
          ...{ before: was.size, entered: is.size - both, left: was.size - both },
          ...(key === 'payers' ? { versionBefore: version - 1, version } : { versionBefore: 1, version: 1 }),
        });
        expect(refreshJaccard(latest as SegmentRefresh)).toBe(both / (was.size + is.size - both));
      }
      expect(await refreshesOf('payers')).toHaveLength(version - 1);
    }
  });

  it('leaves out what people did meanwhile', async () => {
    await world.defineSegment('steady', 'f.paid >= 1000');
    await pay({ s1: 2000, s2: 2000, s3: 1500 });
    await newWatch().look();
    // In one batch with the edit: s1 goes by itself, s2 goes by the edit and comes back by itself, s4 comes by itself.
    await world.defineSegment('steady', 'f.paid >= 1800 && f.paid != 2000');
    await settle();
    await pay({ s1: 1, s2: 2500, s4: 3000 });
    await newWatch().look();
    // Without the edit s2 and s4 would be in it as they are, and s3.
    expect((await refreshesOf('steady'))[0]).toMatchObject({ before: 4, entered: 0, left: 2 });
    world.clock.advance(MINUTE_MS);
    await newWatch().look();
    expect(await refreshesOf('steady')).toHaveLength(1);
  });

  it('is told of a recomputation of the segments that it was asked for, and of those that it changed', async () => {
    const work = world.engine.segmentWork;
    await world.db.query('DELETE FROM memberships WHERE segment_id = $1', [await idOf('others')]);
    const size = (await members('payers')).size;
    await work.recompute(['payers']);
    for (let rounds = 0; (await work.read()).recompute?.status !== 'done'; rounds++) {
      if (rounds > 200) throw new Error('it does not end');
      if (!(await world.engine.worker.runOnce())) world.clock.advance(1);
    }
    await settle();
    await newWatch().look();
    const found = await members('others');
    expect((await refreshesOf('payers'))[0]).toMatchObject({ kind: 'recompute', before: size, entered: 0, left: 0 });
    expect((await refreshesOf('others'))[0]).toMatchObject({ kind: 'recompute', before: 0, entered: found.size });
    expect((await refreshesOf('steady'))[0]).toMatchObject({ kind: 'edit' });
  });

  it('is measured of an edit that comes while the one before is measured, too', async () => {
    await world.defineSegment('meanwhile', 'f.paid >= 1');
    await pay({ w1: 1, w2: 2, w3: 3 });
    await newWatch().look();
    const size = (await members('meanwhile')).size;
    await world.defineSegment('meanwhile', 'f.paid >= 1.0');
    await settle();
    const { db, gate } = gatedDatabase(world.db, /WITH firsts/);
    gate.close();
    const measuring = new RefreshStore(db).measureIfDue({ nowMs: world.clock.now(), maxChanges: 1e9 });
    await gate.reached;
    world.clock.advance(MINUTE_MS);
    await world.defineSegment('meanwhile', 'f.paid >= 1.00');
    gate.open();
    await measuring;
    await settle();
    await newWatch().look();
    const versions = (await refreshesOf('meanwhile')).map((each) => [each.versionBefore, each.version, each.before]);
    expect(versions).toEqual([
      [2, 3, size],
      [1, 2, size],
    ]);
  });

  it('is estimated from a part of all people where there are many changes', async () => {
    await world.defineSegment('many', 'f.paid >= 0');
    await pay(Object.fromEntries(Array.from({ length: 400 }, (_, i) => [`m${String(i)}`, i % 2])));
    await newWatch().look();
    const size = (await members('many')).size;
    await world.defineSegment('many', 'f.paid == 1');
    await settle();
    await newWatch(120).look();
    const [latest] = await refreshesOf('many');
    const left = size - (await members('many')).size;
    expect(latest?.share).toBeLessThan(0.7);
    expect(latest?.left).toBeGreaterThan(left * 0.7);
    expect(latest?.left).toBeLessThan(left * 1.3);
  });
});

/** The same model, trained anew: it finds the same groups and calls them otherwise. */
function renamed(manifest: ModelManifest): ModelManifest {
  const next: Readonly<Record<string, string>> = { first: 'second', second: 'third', third: 'first' };
  const { names = [], ...label } = manifest.outputs.label ?? { output: 'label' };
  return {
    ...{ ...manifest, version: 'renamed' },
    outputs: { ...manifest.outputs, label: { ...label, names: names.map((name) => next[name] ?? name) } },
    goldenVectors: manifest.goldenVectors.map(({ features, expected }) => ({
      features,
      expected: { ...expected, label: next[String(expected.label)] ?? '' },
    })),
  };
}

describe('the stability of the segments of a clustering', () => {
  useWorld();

  it('tells groups that only got other names, and is told of where most members are others', async () => {
    const { models } = world.engine.services;
    const { bytes, manifest } = await readModelFixture('iris_clusters');
    await models.register(bytes, manifest);
    await models.promote('iris_clusters', 1);
    for (const name of ['first', 'second', 'third']) {
      await world.defineSegment(`is_${name}`, `label("iris_clusters") == "${name}"`);
    }
    const flowers = Array.from({ length: 70 }, (_, i) => {
      const sizes = i < 40 ? SMALL : LARGE;
      const properties = Object.fromEntries(IRIS.map((name, at) => [name, sizes[at] ?? 0]));
      return aTrack('flower', { user_id: `f${String(i)}` }, { properties });
    });
    await world.accept(flowers);
    await settle();
    await newWatch().look();
    expect((await members('is_first')).size).toBe(40);
    expect(told).toEqual([]);

    await models.register(bytes, renamed(manifest));
    await models.promote('iris_clusters', 2);
    await settle();
    const watch = newWatch();
    await Promise.all([watch.look(), newWatch().look()]);
    // Whichever of the two measured, the other one knows of it by the next look.
    await watch.look();
    expect((await members('is_second')).size).toBe(40);
    const models1 = [{ key: 'iris_clusters', before: '1', after: '2' }];
    const of = { kind: 'model', models: models1, adjustedRand: 1 };
    expect((await refreshesOf('is_first'))[0]).toMatchObject({ ...of, before: 40, entered: 30, left: 40 });
    expect((await refreshesOf('is_second'))[0]).toMatchObject({ ...of, before: 0, entered: 40, left: 0 });
    expect((await refreshesOf('is_third'))[0]).toMatchObject({ ...of, before: 30, entered: 0, left: 30 });
    expect(told.splice(0).sort()).toEqual(['is_first refresh_unstable 0 of 70', 'is_third refresh_unstable 0 of 30']);
    expect(watch.latest.find(({ key }) => key === 'is_first')).toMatchObject({ kind: 'model', before: 40 });
    expect(await checkSegments(world.db)).toMatchObject({ outcome: 'warning' });
    const { segment } = await world.data<{ segment: unknown }>(
      `{ segment(key: "is_first") { alerts { kind expected seen } refreshes(first: 1) { pageInfo { hasNextPage } edges {
           node { kind before entered left changedShare jaccard adjustedRand share versionBefore version
                  models { key before after } } } } } }`,
    );
    const node = { ...of, kind: 'MODEL', before: 40, entered: 30, left: 40, changedShare: 1.75, jaccard: 0, share: 1 };
    expect(segment).toEqual({
      alerts: [{ kind: 'REFRESH_UNSTABLE', expected: 70, seen: 0 }],
      refreshes: { pageInfo: { hasNextPage: false }, edges: [{ node: { ...node, versionBefore: 1, version: 1 } }] },
    });

    const run = (...args: string[]) =>
      runWith(
        (io) =>
          segmentCommand({
            ...{ ...io, user: 'ann', clock: world.clock },
            withSegments: (use) => use(segmentServices(world.db, world.engine.services.segments, world)),
          }),
        args,
      );
    const { stdout } = await run('stability', 'is_first');
    expect(stdout).toMatch(/^measured +what changed +before +entered +left +changed +jaccard +rand\n/);
    expect(stdout).toMatch(/ iris_clusters 1 -> 2 +40 +30 +40 +1\.750 +0\.000 +1\.000\n$/);
    expect((await run('history', 'is_first')).stderr).toMatch(/0 of 70 who were in it before or after/);

    world.clock.advance(UNSTABLE_FOR_MS);
    await settle();
    await newWatch().look();
    expect(told.splice(0).sort()).toEqual(['is_first refresh_unstable ended', 'is_third refresh_unstable ended']);
    expect(await checkSegments(world.db)).toMatchObject({ outcome: 'ok' });
  });

  it('says how far groups are others, by those who are in one before and after', async () => {
    // Ten of the small ones grow, which the edit of what the model reads shows at once, and two of whom nothing is known.
    const large = Object.fromEntries(IRIS.map((name, at) => [name, LARGE[at] ?? 0]));
    const grown = [...Array.from({ length: 10 }, (_, i) => `f${String(i)}`), 'f100', 'f101'];
    await world.accept(grown.map((user) => aTrack('grown', { user_id: user }, { properties: large })));
    await settle();
    await world.defineFeatures(flowerFeatures(['flower', 'grown']));
    await settle();
    await newWatch().look();
    const [first, second, third] = await Promise.all(
      ['is_first', 'is_second', 'is_third'].map(async (key) => (await refreshesOf(key))[0]),
    );
    expect(first).toMatchObject({ kind: 'edit', models: [], before: 30, entered: 12, left: 0 });
    expect(second).toMatchObject({ kind: 'edit', before: 40, entered: 0, left: 10 });
    expect(third).toMatchObject({ kind: 'edit', before: 2, entered: 0, left: 2 });
    // By hand: of the 2,556 pairs of 72 people 916 are together both times, 1,216 before and 1,296 after.
    const expected = (1216 * 1296) / 2556;
    expect(first?.adjustedRand).toBeCloseTo((916 - expected) / ((1216 + 1296) / 2 - expected), 9);
    expect([second?.adjustedRand, third?.adjustedRand]).toEqual([first?.adjustedRand, first?.adjustedRand]);
  });
});
