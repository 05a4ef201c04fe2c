import { createClient } from 'graphql-ws';
import { getNamedType, isObjectType, isScalarType } from 'graphql';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { buildApiSchema } from '../../src/api/graphql/build-schema.js';
import { CHANGE_CURSOR, PROFILE_CURSOR } from '../../src/api/graphql/cursors.js';
import { isPersonal } from '../../src/api/graphql/personal.js';
import { parseFeatures } from '../../src/features/parse-features.js';
import { aFeature } from '../support/a-feature.js';
import { createApiWorld, type ApiWorld } from '../support/api-world.js';
import { aGroup, anIdentify, aTrack } from '../support/world.js';

const EMAIL = 'anna.canary@example.com';
const BIRTHDAY = '1984-02-03';
/** No part of it may be told. */
const SECRETS = ['anna.canary', 'example.com', BIRTHDAY, '4711', 'canary-why'];

/** Fields whose value may be anything, and is no personal data by what it is for. */
const NOT_PERSONAL = [
  // Of traits that are marked as edge-safe, which no personal one can be.
  'EdgeProfile.traits',
  // Records of entities are no personal data, and whoever defines one is told so.
  'EntityRecord.properties',
  'FeatureDefinitionVersion.definition',
  'FeatureImputation.value',
  'FieldChange.after',
  'FieldChange.before',
  'IdentityRules.rules',
  'Model.fairness',
  'Model.metrics',
  'Model.trainingSet',
  'Purpose.categories',
  // How many rows, and how far: for those who may load.
  'ScheduleRun.result',
  'TrackingPlan.plan',
  'TrackingPlanDraft.plan',
  'TraitRule.answers',
];

const ITEMS = `
entities: [{ name: item, join_key: item_id }]
views:
  - name: item_answers
    entity: item
    key: properties.sku
    features:
      - { name: item_answers, aggregate: count }
      - { name: item_birthday, aggregate: last, value: properties.birthday }
      - { name: item_town, aggregate: last, value: context.enriched.location.city }
`;

const ALL_OF_A_PROFILE = `id traits groups { id traits } identifiers { namespace value }
  traitDetails { edges { node { name value history { edges { node { value } } } } } }
  timeline { edges { node { ... on TimelineEvent { properties identifiers { value } } ... on TimelineMerge { merge { identifiers { value } event { identifiers { value } } } } } } }
  mergeHistory { edges { node { reason identifiers { value } event { identifiers { value } } } } }
  identityExplanation(from: { namespace: "email", value: "${EMAIL}" }, to: { namespace: "user_id", value: "crm-4711" }) {
    steps { from { value } to { value } evidence { identifiers { value } } }
  }`;

let world: ApiWorld;

beforeAll(async () => {
  world = await createApiWorld();
  await world.engine.services.traits.apply([
    { name: 'birthday', description: '', edge: false, pii: true },
    { name: 'city', description: '', edge: false, pii: true },
  ]);
  await world.defineFeatures([
    aFeature('born', {
      ...{ aggregate: 'last', events: ['identify'], value: 'traits.birthday', type: 'string', searchable: true },
    }),
    aFeature('said', { aggregate: 'last', events: ['survey'], value: 'properties.birthday', type: 'string' }),
    aFeature('sku', {
      aggregate: 'last',
      events: ['survey'],
      value: 'properties.sku',
      type: 'string',
      searchable: true,
    }),
    aFeature('born_by', { events: ['survey'], type: 'int_map', options: { by: 'properties.birthday' } }),
    aFeature('born_last', {
      ...{ aggregate: 'last_n', events: ['survey'], value: 'properties.birthday' },
      limit: 2,
      type: 'string_list',
    }),
    aFeature('town', {
      ...{ aggregate: 'last', events: ['survey'], value: 'context.enriched.location.city', type: 'string' },
    }),
    aFeature('land', {
      ...{ aggregate: 'last', events: ['survey'], value: 'context.enriched.location.country', type: 'string' },
    }),
    aFeature('sku_by', { events: ['survey'], type: 'int_map', options: { by: 'properties.sku' } }),
  ]);
  await world.engine.services.features.apply(parseFeatures(ITEMS, 'items.yaml'));
  await world.defineSegment('keen', 'count("product_view", "1h") >= 1');
  await world.accept([
    anIdentify(
      { email: EMAIL, user_id: 'crm-4711' },
      { birthday: BIRTHDAY, plan: 'gold', email: EMAIL, crm: 'crm-4711' },
    ),
    aTrack('product_view', { user_id: 'crm-4711' }, { properties: { note: `mail ${EMAIL} on monday` } }),
    aGroup({ user_id: 'crm-4711' }, `household of ${EMAIL}`, { birthday: BIRTHDAY, contact: EMAIL, seats: 4 }),
    aGroup({ user_id: 'crm-4711' }, 'crm-4711', { url: '/of/crm-4711/' }),
    aTrack('product_view', { anonymous_id: 'cookie' }),
    aTrack(
      'survey',
      { user_id: 'crm-4711' },
      {
        properties: { birthday: BIRTHDAY, sku: 'a-1', who: 'CRM-4711' },
        context: { enriched: { location: { city: 'Hull', country: 'GB' } } },
      },
    ),
  ]);
  await world.drain();
  const identifiers = [
    { ns: 'user_id', value: 'crm-4711' },
    { ns: 'anonymous_id', value: 'cookie' },
  ];
  await world.engine.identity.revisions.request(
    { kind: 'merge', input: { identifiers } },
    { actor: 'test', reason: 'canary-why: she called' },
  );
  await world.drain();
});

afterAll(async () => {
  expect(world.defects).toEqual([]);
  await world.close();
});

const ask = async (key: string): Promise<string> => {
  const query = `{ profile(identifier: { namespace: "email", value: "${EMAIL}" }) { ${ALL_OF_A_PROFILE} } }`;
  const { data, errors } = await world.ask<{ profile: object }>(query, {}, { key });
  expect(errors).toBeUndefined();
  return JSON.stringify(data);
};

describe('personal data', () => {
  it('is shown to keys with the scope pii, and to admins', async () => {
    for (const key of [world.keys.pii, world.keys.admin]) {
      const shown = await ask(key);
      for (const secret of SECRETS) expect(shown).toContain(secret);
    }
  });

  it('is masked for others, wherever a profile shows it, also where the compiled query is known', async () => {
    for (let run = 0; run < 4; run++) {
      const shown = await ask(world.keys.read);
      for (const secret of SECRETS) expect(shown).not.toContain(secret);
      expect(shown).toContain('a***@***.com');
      expect(shown).toContain('"plan":"gold"');
      expect(shown).toContain('"sku":"a-1"');
      expect(shown).toContain('"birthday":"1***"');
      expect(shown).toContain('"email":"a***@***.com"');
      expect(await ask(world.keys.pii)).toContain(EMAIL);
    }
  });

  it('is masked for subscribers, too', async () => {
    const of = async (apiKey: string): Promise<string> => {
      const url = `${world.url.replace('http', 'ws')}/graphql`;
      const client = createClient({ url, webSocketImpl: WebSocket, connectionParams: { apiKey }, retryAttempts: 0 });
      const query = `subscription { segmentChanges(after: "${CHANGE_CURSOR.encode({ seq: 0 })}") { profile { ${ALL_OF_A_PROFILE} } } }`;
      const results = client.iterate({ query });
      const { value } = (await results.next()) as { value: unknown };
      await client.dispose();
      return JSON.stringify(value);
    };
    expect(await of(world.keys.pii)).toContain(EMAIL);
    const shown = await of(world.keys.read);
    expect(shown).toContain('a***@***.com');
    for (const secret of SECRETS) expect(shown).not.toContain(secret);
  });

  it('that whoever asks named is told back as it was given', async () => {
    const query = `{ onlineFeatures(entities: [{ namespace: "email", value: "${EMAIL}" }]) { entity { value } profileId } }`;
    const { data } = await world.ask(query, {}, { key: world.keys.read });
    expect(data).toMatchObject({ onlineFeatures: [{ entity: { value: EMAIL } }] });
  });
});

describe('features', () => {
  it('that keep a value of a personal trait, or what stands under its name, are masked, and no others', async () => {
    const of = async (key: string): Promise<unknown> => {
      const query = `{ profile(identifier: { namespace: "email", value: "${EMAIL}" }) {
        features(names: ["born", "said", "sku", "born_by", "born_last", "sku_by", "town", "land"]) { name value }
      } }`;
      const { data, errors } = await world.ask<{
        profile: { features: readonly { name: string; value: unknown }[] };
      }>(query, {}, { key });
      expect(errors).toBeUndefined();
      return Object.fromEntries((data?.profile.features ?? []).map(({ name, value }) => [name, value]));
    };
    expect(await of(world.keys.pii)).toEqual({
      ...{ born: BIRTHDAY, said: BIRTHDAY, sku: 'a-1', town: 'Hull', land: 'GB' },
      ...{ born_by: { [BIRTHDAY]: 1 }, born_last: [BIRTHDAY], sku_by: { 'a-1': 1 } },
    });
    expect(await of(world.keys.read)).toEqual({
      ...{ born: '1***', said: '1***', sku: 'a-1', town: 'H***', land: 'GB' },
      ...{ born_by: { '1***': null }, born_last: ['1***'], sku_by: { 'a-1': 1 } },
    });
  });
});

describe('features of items', () => {
  it('are masked where they keep what stood under the name of a personal trait, in GraphQL and by Feast’s interface', async () => {
    const names = ['item_answers', 'item_birthday', 'item_town'];
    const of = async (key: string): Promise<unknown[]> => {
      const query = `query ($names: [String!]) { onlineFeatures(entity: "item", keys: ["a-1"], features: $names) { features { value } } }`;
      const { data } = await world.ask<{ onlineFeatures: { features: { value: unknown }[] }[] }>(
        query,
        { names },
        { key },
      );
      const response = await fetch(`${world.url}/get-online-features`, {
        method: 'POST',
        headers: { authorization: `Bearer ${key}` },
        body: JSON.stringify({ features: names.map((name) => `item_answers:${name}`), entities: { item_id: ['a-1'] } }),
      });
      const { results } = (await response.json()) as { results: { values: unknown[] }[] };
      const told = (data?.onlineFeatures[0]?.features ?? []).map(({ value }) => value);
      expect(results.slice(1).map(({ values }) => values[0])).toEqual(told);
      return told;
    };
    expect(await of(world.keys.pii)).toEqual([1, BIRTHDAY, 'Hull']);
    expect(await of(world.keys.read)).toEqual([1, '1***', 'H***']);
  });
});

describe('finding people by features that are masked', () => {
  const QUERY = `query ($filter: ProfileFilter, $orderBy: ProfileOrder) {
    profiles(filter: $filter, orderBy: $orderBy) {
      edges { cursor node { features(names: ["sku"]) { value } } } pageInfo { endCursor } totalCount { value }
    }
  }`;
  const FORBIDDEN = { code: 'FORBIDDEN', hint: 'finding people by it takes the scope pii' };

  it.each([
    ['in a filter', { filter: { not: { feature: { name: 'born', prefix: '198' } } } }, 'filter.not.feature.name'],
    ['by whether there is one', { filter: { feature: { name: 'born', exists: true } } }, 'filter.feature.name'],
    ['in an order', { orderBy: { by: 'FEATURE', feature: 'born' } }, 'orderBy.feature'],
  ])('takes the scope pii, %s', async (_, asked, where) => {
    const { data, errors } = await world.ask<object>(QUERY, asked, { key: world.keys.read });
    expect(errors).toMatchObject([{ extensions: { ...FORBIDDEN, where } }]);
    expect(JSON.stringify({ data, errors })).not.toContain('198');
    expect((await world.ask(QUERY, asked, { key: world.keys.pii })).errors).toBeUndefined();
  });

  it('keeps cursors of their values from those who may not see them', async () => {
    const of = async (key: string): Promise<string> => {
      const { data } = await world.ask<{ profiles: { pageInfo: { endCursor: string } } }>(
        QUERY,
        { orderBy: { by: 'FEATURE', feature: 'born' } },
        { key },
      );
      return String(data?.profiles.pageInfo.endCursor);
    };
    const cursor = await of(world.keys.pii);
    const keys = PROFILE_CURSOR.decode(cursor).key;
    expect(Buffer.from(keys, 'base64url').length).toBeGreaterThan(1);
    expect(await of(world.keys.read)).toBe('undefined');
  });

  it('is open to all for others', async () => {
    const asked = { filter: { feature: { name: 'sku', eq: 'a-1' } }, orderBy: { by: 'FEATURE', feature: 'sku' } };
    const { data } = await world.ask(QUERY, asked, { key: world.keys.read });
    expect(data).toMatchObject({ profiles: { edges: [{ node: { features: [{ value: 'a-1' }] } }] } });
  });
});

describe('the schema', () => {
  it('has no field for any value that is neither masked nor known to be impersonal', () => {
    const anything = Object.values(buildApiSchema().getTypeMap()).flatMap((type) =>
      isObjectType(type)
        ? Object.values(type.getFields())
            .filter((field) => isScalarType(getNamedType(field.type)) && getNamedType(field.type).name === 'JSON')
            .map((field) => `${type.name}.${field.name}`)
        : [],
    );
    expect(anything.filter((name) => !isPersonal(name)).sort()).toEqual(NOT_PERSONAL);
    expect(isPersonal('Identifier.value')).toBe(true);
  });
});
