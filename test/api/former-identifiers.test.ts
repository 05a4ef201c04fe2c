import { afterAll, beforeAll, expect, it } from 'vitest';
import { EventHistoryReader } from '../../src/events/event-history.reader.js';
import type { LabelRow, TrainingRow } from '../../src/features/training-set.model.js';
import { TrainingSetService } from '../../src/features/training-set.service.js';
import { DEFAULT_IDENTITY_RULES } from '../../src/identity/identity-rules.model.js';
import { IdentityHistoryReader } from '../../src/identity/identity-history.reader.js';
import { aFeature } from '../support/a-feature.js';
import { createApiWorld, type ApiWorld } from '../support/api-world.js';
import { anIdentify } from '../support/world.js';

/* People whom only former rules of identity know by what they are asked for by. */

const RULES = `identity:
  namespaces: { member: { normaliser: handle } }
  blocked: { patterns: ['.*@blocked[.]example'] }`;
const ANN = { namespace: 'member', value: 'Ann.A' };
const WIM = { namespace: 'email', value: 'wim@blocked.example' };
const NOBODY = { namespace: 'member', value: 'Nobody' };

let world: ApiWorld;

beforeAll(async () => {
  world = await createApiWorld();
  await world.engine.services.traits.apply([{ name: 'city', description: '', edge: true }]);
  await world.defineFeatures([aFeature('events')]);
  await world.accept([
    anIdentify({ member: 'Ann.A' }, { city: 'Graz' }),
    anIdentify({ email: 'wim@blocked.example' }, { city: 'Linz' }),
  ]);
  await world.drain();
  await world.data('mutation ($rules: String!) { applyIdentityRules(rules: $rules) { __typename } }', { rules: RULES });
  await world.drain();
});

afterAll(() => world.close());

it.each([
  ['by a value that is written otherwise by now', ANN, 'Graz'],
  ['by one that is blocked by now', WIM, 'Linz'],
])('somebody known %s is found by pages, filters and label files, as by profile', async (_, known, city) => {
  const asked = await world.data<{ profile: { id: string; traits: unknown } }>(
    'query ($identifier: IdentifierInput!) { profile(identifier: $identifier) { id traits } }',
    { identifier: known },
  );
  expect(asked).toMatchObject({ profile: { traits: { city } } });
  const { profile } = asked;

  const filter = { identifier: { namespace: known.namespace, in: [known.value, NOBODY.value] } };
  expect(
    await world.data('query ($filter: ProfileFilter) { profiles(filter: $filter) { edges { node { id } } } }', {
      filter,
    }),
  ).toEqual({ profiles: { edges: [{ node: { id: profile.id } }] } });

  const page = 'query ($i: EdgeIdentifierInput!) { edgeProfile(identifier: $i, deadlineMs: 2000) { known traits } }';
  expect(await world.data(page, { i: known })).toEqual({ edgeProfile: { known: true, traits: { city } } });
  expect(await world.data(page, { i: NOBODY })).toEqual({ edgeProfile: { known: false, traits: {} } });

  expect(await labelled(known)).toMatchObject([{ status: 'FOUND', profileId: profile.id, values: [{ value: 1 }] }]);
});

it('a label of somebody who never was is not found, and one that nobody can have is invalid', async () => {
  expect(await labelled(NOBODY)).toMatchObject([{ status: 'NOT_FOUND' }]);
  expect(await labelled({ namespace: 'email', value: 'jo@blocked.example' })).toMatchObject([{ status: 'INVALID' }]);
});

async function labelled({ namespace, value }: typeof ANN): Promise<TrainingRow[]> {
  const events = new EventHistoryReader();
  const { db, clock, engine } = world;
  const { policy } = engine;
  const identity = new IdentityHistoryReader({ rules: DEFAULT_IDENTITY_RULES, events });
  const labels: LabelRow[] = [{ ns: namespace, value, timeMs: clock.now(), cells: [] }];
  const { rows } = await new TrainingSetService({ db, clock, policy, identity, events }).exportTrainingSet({
    labels,
    features: ['events'],
  });
  const all: TrainingRow[] = [];
  for await (const row of rows) all.push(row);
  return all;
}

it('a key that may read is told why nobody is known by an identifier', async () => {
  const query = '($i: IdentifierInput!) { profile(identifier: $i) { id } identifierRefusal(identifier: $i) }';
  const refusal = async (namespace: string, value: string) => world.data(`query ${query}`, { i: { namespace, value } });
  expect(await refusal('email', 'noreply@example.com')).toEqual({
    profile: null,
    identifierRefusal: 'blocked, by the rule: blocked mailbox "noreply"',
  });
  expect(await refusal('email', 'nobody.yet@example.com')).toEqual({ profile: null, identifierRefusal: null });
});
