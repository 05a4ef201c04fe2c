import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { FeatureType } from '../../src/features/feature.model.js';
import type { ModelManifest, OutputMapping } from '../../src/scoring/model-manifest.model.js';
import { createApiWorld, type ApiWorld } from '../support/api-world.js';
import { readModelFixture } from '../support/model-fixtures.js';
import { aFeature } from '../support/a-feature.js';
import { aTrack } from '../support/world.js';

const FLOWERS: Readonly<Record<string, readonly number[]>> = {
  small: [5.1, 3.5, 1.4, 0.2],
  middling: [5, 2, 3.5, 1],
  large: [6.7, 3.1, 5.6, 2.4],
};
const CENTIMETRES = ['sepal_length_cm', 'sepal_width_cm', 'petal_length_cm', 'petal_width_cm'];
const FEATURES: readonly (readonly [name: string, type: FeatureType])[] = [
  ...CENTIMETRES.map((name) => [name, 'double'] as const),
  ['petal_length_tenths', 'int'],
  ['petal_width_class', 'string'],
];

/** Conditions by the output of the model that they ask; each holds for some flower. */
const CONDITIONS: Readonly<Record<string, readonly string[]>> = {
  'a score beside a label': [
    'score("iris_named") >= 0.5',
    'score("iris_named") < 0.5',
    'label("iris_named") != "none"',
  ],
  'a named class beside a cluster': ['label("iris_clusters") == "first"', 'label("iris_clusters") != "third"'],
  'a cluster beside a named class': ['cluster("iris_clusters") == 0', 'cluster("iris_clusters") > 0'],
  'a cluster alone': ['cluster("groups") == 2', '!(cluster("groups") == 2)'],
  'a class that is a number': ['label("numbers") == "1"', 'label("numbers") in ["0", "2"]'],
};
/** What a model does not say is absent, whatever else it says. */
const UNSAID = [
  'label("groups") == "0"',
  'score("groups") > -1',
  'cluster("numbers") >= 0',
  'cluster("iris_named") >= 0',
];

let world: ApiWorld;

beforeAll(async () => {
  world = await createApiWorld();
  const { features } = world.engine.services;
  const read = FEATURES.map(([name, type]) =>
    aFeature(name, { aggregate: 'last', events: ['flower'], value: `properties.${name}`, type }),
  );
  await features.apply({ views: [{ name: 'flowers', description: '', source: null, features: read }], services: [] });
  const clusters = await readModelFixture('iris_clusters');
  await promote(clusters.bytes, clusters.manifest);
  await promote(clusters.bytes, saying(clusters.manifest, 'groups', { cluster: { output: 'label' } }));
  await promote(clusters.bytes, saying(clusters.manifest, 'numbers', { label: { output: 'label' } }));
  const named = await readModelFixture('iris_named');
  await promote(named.bytes, named.manifest);

  for (const [key, expression] of segments()) await world.defineSegment(key, expression);
  for (const [who, sizes] of Object.entries(FLOWERS)) {
    const cm = Object.fromEntries(CENTIMETRES.map((name, i) => [name, sizes[i] as number]));
    const [, , length = 0] = sizes;
    const properties = { ...cm, petal_length_tenths: Math.round(length * 10), petal_width_class: 'wide' };
    await world.accept([aTrack('flower', { user_id: who }, { properties })]);
  }
  await world.drain();
});
afterAll(() => world.close());

/** The same clusters under another key, told in another way. */
function saying(manifest: ModelManifest, key: string, outputs: OutputMapping): ModelManifest {
  const goldenVectors = manifest.goldenVectors.map(({ features, expected: { cluster = 0 } }) => ({
    features,
    expected: outputs.label === undefined ? { cluster } : { label: cluster },
  }));
  return { ...manifest, key, outputs, goldenVectors };
}

async function promote(bytes: Uint8Array, manifest: ModelManifest): Promise<void> {
  const { model } = await world.services.models.register(bytes, manifest);
  await world.services.models.promote(model.key, model.version);
}

function segments(): [key: string, expression: string][] {
  const all = [...Object.values(CONDITIONS).flat(), ...UNSAID];
  return all.map((expression, i) => [`s${String(i)}`, expression]);
}

/** By flower, whether the condition holds as the pipeline found and as it is found now. */
async function membership(expression: string): Promise<{ live: boolean[]; now: boolean[] }> {
  const key = segments().find(([, each]) => each === expression)?.[0];
  const answers = await Promise.all(
    Object.keys(FLOWERS).map((who) =>
      world.data<{ profile: Record<'live' | 'now', { isMember: boolean }> }>(
        `query ($who: String!, $key: String!) { profile(identifier: { namespace: "user_id", value: $who }) {
           live: membership(segment: $key) { isMember } now: membership(segment: $key, evaluate: NOW) { isMember } } }`,
        { who, key },
      ),
    ),
  );
  return {
    live: answers.map(({ profile }) => profile.live.isMember),
    now: answers.map(({ profile }) => profile.now.isMember),
  };
}

describe('the list of models', () => {
  it('has pages that give each version once', async () => {
    const query = `query ($after: String) { models(first: 3, after: $after) {
      edges { node { key version metrics } } pageInfo { hasNextPage endCursor } } }`;
    interface Page {
      readonly edges: { node: { key: string } }[];
      readonly pageInfo: { hasNextPage: boolean; endCursor: string };
    }
    const { models: first } = await world.data<{ models: Page }>(query, {});
    const { models: second } = await world.data<{ models: Page }>(query, { after: first.pageInfo.endCursor });
    expect([first, second].map(({ edges }) => edges.map(({ node }) => node.key))).toEqual([
      ['groups', 'iris_clusters', 'iris_named'],
      ['numbers'],
    ]);
    expect([first, second].map(({ pageInfo }) => pageInfo.hasNextPage)).toEqual([true, false]);
  });
});

describe('a membership that is evaluated now', () => {
  it.each(
    Object.entries(CONDITIONS).flatMap(([output, conditions]) => conditions.map((each) => [output, each] as const)),
  )('sees %s as the pipeline does: %s', async (_, condition) => {
    const { live, now } = await membership(condition);
    expect(now).toEqual(live);
    expect(live).toContain(true);
  });

  it.each(UNSAID)('sees no output that the model does not have, as the pipeline does: %s', async (condition) => {
    expect(await membership(condition)).toEqual({ live: [false, false, false], now: [false, false, false] });
  });
});
