import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DefinitionApplier } from '../../src/definition-applier.js';
import { DefinitionsLoader } from '../../src/definitions.js';
import type { FeatureDefinition } from '../../src/features/feature.model.js';
import { readModelFixture } from '../support/model-fixtures.js';
import { aFeature } from '../support/a-feature.js';
import { aTrack, createWorld, type World } from '../support/world.js';

const IRIS = ['sepal_length_cm', 'sepal_width_cm', 'petal_length_cm', 'petal_width_cm'];
const LARGE = [6.7, 3.1, 5.6, 2.4];

let world: World;

beforeEach(async () => {
  world = await createWorld();
});
afterEach(() => world.close());

function sizes(of: Partial<FeatureDefinition> = {}, names = IRIS): FeatureDefinition[] {
  return names.map((name) =>
    aFeature(name, { aggregate: 'last', events: ['flower'], value: `properties.${name}`, type: 'double', ...of }),
  );
}

/** A model that answers, a segment that asks it, and somebody who is in. */
async function withMember(): Promise<void> {
  const { models } = world.engine.services;
  await world.defineFeatures(sizes());
  const { bytes, manifest } = await readModelFixture('iris_clusters');
  await models.register(bytes, manifest);
  await models.promote('iris_clusters', 1);
  await world.defineSegment('third', 'label("iris_clusters") == "third"');
  const properties = Object.fromEntries(IRIS.map((name, i) => [name, LARGE[i] as number]));
  await world.accept([aTrack('flower', { user_id: 'u1' }, { properties })]);
  await world.drain();
  expect((await world.feed()).map(({ kind, segment }) => `${kind} ${segment}`)).toEqual(['enter third']);
}

const yamlOf = (features: readonly FeatureDefinition[]): string => {
  const lines = features.map(
    ({ name, type }) =>
      `      - { name: ${name}, aggregate: last, events: [flower], value: properties.${name}, type: ${type} }`,
  );
  return `views:\n  - name: test\n    features:\n${lines.join('\n')}\n`;
};

describe('features that an active model reads', () => {
  it('are neither retyped nor removed, and nobody leaves', async () => {
    await withMember();
    await expect(world.defineFeatures(sizes({ type: 'string' }))).rejects.toMatchObject({
      code: 'DEFINITION_INVALID',
      message: 'feature sepal_length_cm is used by model iris_clusters',
      hint: expect.stringContaining('its type cannot change from "double" to "string"') as string,
    });
    await expect(world.defineFeatures(sizes({}, IRIS.slice(0, 3)))).rejects.toMatchObject({
      message: 'feature petal_width_cm is used by model iris_clusters',
      hint: 'archive, retire or change the model iris_clusters first, or force it, which does so',
    });
    world.clock.advance(1);
    await world.drain();
    expect(await world.feed()).toHaveLength(1);
  });

  it('are not pruned by weft apply, nor retyped', async () => {
    await withMember();
    const applier = new DefinitionApplier(world.db, world.engine.services);
    const plan = (features: readonly FeatureDefinition[], prune: boolean) =>
      applier.plan([{ name: 'f.yaml', text: yamlOf(features) }], { prune });
    const used = { code: 'DEFINITION_INVALID', message: 'feature petal_width_cm is used by model iris_clusters' };
    await expect(plan(sizes({}, IRIS.slice(0, 3)), true)).rejects.toMatchObject(used);
    await expect(
      plan([...sizes({}, IRIS.slice(0, 3)), ...sizes({ type: 'string' }, IRIS.slice(3))], false),
    ).rejects.toMatchObject(used);
    expect((await plan(sizes(), true)).isEmpty).toBe(true);
  });

  it('need no request where segments ask the model, however it comes to that', async () => {
    await withMember();
    const { segments, models } = world.engine.services;
    const applier = new DefinitionApplier(world.db, world.engine.services);
    const asking = (more = ''): string =>
      `${yamlOf(sizes({}, IRIS.slice(0, 3)))}  - name: derived
    kind: on_demand
    request: [{ name: width, type: double${more} }]
    features: [{ name: petal_width_cm, type: double, expression: request.width + f.sepal_length_cm }]
`;
    const apply = async (text: string): Promise<void> => {
      await applier.apply(await applier.plan([{ name: 'f.yaml', text }]));
    };
    const needed = 'feature petal_width_cm reads request.width, and model iris_clusters reads it, which segments ask';
    await expect(apply(asking())).rejects.toMatchObject({ code: 'DEFINITION_INVALID', message: needed });
    await segments.archive('third');
    await apply(asking());
    const refusal = 'its feature petal_width_cm reads request.width, which has no default';
    await expect(segments.activate('third')).rejects.toThrow(refusal);
    const file = `segments: [{ key: third, name: Third, expression: 'label("iris_clusters") == "third"' }]
`;
    await expect(applier.plan([{ name: 's.yaml', text: file }])).rejects.toThrow(refusal);
    await models.retire('iris_clusters', 1);
    await apply(asking(', default: 1.0'));
    await models.promote('iris_clusters', 1);
    await segments.activate('third');
    await expect(apply(asking())).rejects.toThrow(needed);
  });

  it('may go once the model is retired, which then cannot be promoted again', async () => {
    await withMember();
    const { segments, models } = world.engine.services;
    await segments.archive('third');
    await models.retire('iris_clusters', 1);
    await world.defineFeatures([...sizes({}, IRIS.slice(0, 2)), ...sizes({ type: 'string' }, ['petal_length_cm'])]);
    const promoting = models.promote('iris_clusters', 1);
    await expect(promoting).rejects.toMatchObject({ code: 'MODEL_INVALID' });
    await expect(promoting).rejects.toThrow('there is no feature petal_width_cm');
    await expect(promoting).rejects.toThrow('petal_length_cm is string');
  });

  it('cannot vanish while somebody promotes the model', async () => {
    await withMember();
    const { segments, models } = world.engine.services;
    await segments.archive('third');
    for (let round = 0; round < 5; round++) {
      await models.retire('iris_clusters', 1);
      const [promoted, removed] = await Promise.allSettled([
        models.promote('iris_clusters', 1),
        world.defineFeatures([aFeature('another')]),
      ]);
      expect([promoted.status, removed.status].sort()).toEqual(['fulfilled', 'rejected']);
      await world.defineFeatures(sizes());
      await models.promote('iris_clusters', 1);
    }
  });

  it('that are gone all the same stop the definitions from being loaded, and nobody leaves unnoticed', async () => {
    await withMember();
    await world.db.execute(`DELETE FROM feature_views`);
    await expect(new DefinitionsLoader(world.db, world.engine.scorer).current()).rejects.toMatchObject({
      code: 'MODEL_INVALID',
      message: `model iris_clusters reads features that do not exist: ${IRIS.join(', ')}`,
    });
  });
});

describe('features', () => {
  it('are refused where they would be too many in all', async () => {
    const views = ['a', 'b'].map((name) => ({
      name,
      description: '',
      source: null,
      features: Array.from({ length: 1_001 }, (_, i) => aFeature(`${name}_${String(i)}`)),
    }));
    await expect(world.engine.services.features.apply({ views, services: [] })).rejects.toMatchObject({
      code: 'DEFINITION_INVALID',
      message: 'there would be 2002 features',
    });
  });
});

describe('a model that an active segment asks', () => {
  it('is not retired, and nobody leaves', async () => {
    await withMember();
    await expect(world.engine.services.models.retire('iris_clusters', 1)).rejects.toMatchObject({
      code: 'CONFLICT',
      message: 'segment third asks model iris_clusters',
    });
    world.clock.advance(1);
    await world.drain();
    expect(await world.feed()).toHaveLength(1);
  });

  it('is not retired while the segment is being activated', async () => {
    await withMember();
    const { segments, models } = world.engine.services;
    for (let round = 0; round < 5; round++) {
      await segments.archive('third');
      const [retired, activated] = await Promise.allSettled([
        models.retire('iris_clusters', 1),
        segments.activate('third'),
      ]);
      expect([retired.status, activated.status].sort()).toEqual(['fulfilled', 'rejected']);
      await models.promote('iris_clusters', 1);
      await segments.activate('third');
    }
  });
});
