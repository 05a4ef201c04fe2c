import { afterAll, beforeAll, expect, it } from 'vitest';
import { readProfileTable } from '../../src/create-profile-exports.js';
import { readLinkageModel, writeLinkageModel } from '../../src/identity/linkage/read-linkage-model.js';
import { LinkageModelService } from '../../src/identity/matching/linkage-model.service.js';
import { LinkageModelStore } from '../../src/identity/matching/linkage-model.store.js';
import { TraitDefinitionReader } from '../../src/profiles/trait-definition.reader.js';
import { activate } from '../support/matching-world.js';
import { anIdentify, createWorld, type World } from '../support/world.js';

const MODEL = readLinkageModel(
  JSON.stringify({
    format: 'weft-linkage-1',
    prior: 0.5,
    comparisons: [
      {
        name: 'salary',
        levels: [
          { when: 'salary_l = salary_r', m: 0.9, u: 0.01 },
          { when: 'ELSE', m: 0.1, u: 0.99 },
        ],
      },
    ],
    blocking: [{ on: ['salary'] }],
  }),
  'model',
);
const SALARY = { salary: { kind: 'trait', name: 'salary' } } as const;
const trait = (sealed: boolean) => [{ name: 'salary', description: '', edge: false, sealed }];

let world: World;

beforeAll(async () => {
  world = await createWorld(undefined, { sealed: true });
  await world.engine.services.traits.apply(trait(true));
  await world.accept([anIdentify({ user_id: 'ann' }, { salary: 917 })]);
  await world.drain();
});

afterAll(() => world.close());

const table = async () => {
  const { rows } = await readProfileTable(
    { db: world.db, clock: world.clock, definitions: world.engine.definitions },
    { traits: ['salary'], segments: [], within: [], purposes: [] },
    () => undefined,
  );
  return rows;
};
const segment = () => world.defineSegment('rich', 'traits.salary > 3');

it('a trait that is sealed no more is read by nothing until its values have been opened', async () => {
  const refused = 'salary is sealed';
  const readers = [table, segment, () => activate(world, MODEL, SALARY)];
  for (const read of readers) await expect(read()).rejects.toThrow(refused);
  await world.engine.services.traits.apply(trait(false));
  for (const read of readers) await expect(read()).rejects.toThrow(refused);
  await world.drain();
  expect(await table()).toEqual([[917]]);
  for (const read of readers) await read();
});

it('a model is not activated on a trait that is sealed while it is being checked', async () => {
  const { engine, db, clock } = world;
  await engine.matching.models.retire(false);
  await engine.services.segments.archive('rich');
  const models = new LinkageModelService({
    ...{ db, clock, store: new LinkageModelStore(), terms: null },
    revisions: { expectLinks: () => Promise.reject(new Error('nothing is activated')) },
    known: async () => {
      const known = {
        traits: new Set(['salary']),
        areTraitsComplete: true,
        sealedTraits: await new TraitDefinitionReader(db).sealedNames(),
        namespaces: new Set<string>(),
      };
      expect(known.sealedTraits.size).toBe(0);
      await engine.services.traits.apply(trait(true));
      return known;
    },
    sealedTraits: (tx) => new TraitDefinitionReader(tx).sealedNames(),
    onChanged: () => undefined,
  });
  const { version } = await models.add({ text: writeLinkageModel(MODEL), file: 'model', name: 'people' }, 'a test');
  await expect(models.activate(version, { mapping: SALARY }, 'a test')).rejects.toThrow('the trait salary is sealed');
});
