import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { aFeature } from '../support/a-feature.js';
import { createApiWorld, type ApiWorld } from '../support/api-world.js';
import { aTrack, HOUR_MS, START_MS } from '../support/world.js';

let world: ApiWorld;

beforeAll(async () => {
  world = await createApiWorld();
  await world.defineFeatures([
    aFeature('visits', { events: ['visit'] }),
    aFeature('page', { aggregate: 'last', value: 'properties.page', type: 'string' }),
  ]);
  const visit = (page: string) => aTrack('visit', { user_id: 'ann' }, { properties: { page } });
  await world.accept([visit('home')]);
  world.clock.advance(HOUR_MS);
  await world.accept([visit('shop')]);
  await world.drain();
  world.clock.advance(HOUR_MS);
});
afterAll(() => world.close());

const QUERY = `query ($rows: [HistoricalRowInput!]!, $features: [String!], $knownAsOf: String! = "now", $maxAgeMs: Float) {
  historicalFeatures(rows: $rows, features: $features, knownAsOf: $knownAsOf, maxAgeMs: $maxAgeMs) {
    logPosition definitionsHash
    rows { entity { namespace value } time status profileId features { name fullName status value ageMs version } }
  }
}`;
const rowsAt = (...offsets: readonly number[]) =>
  offsets.map((ms) => ({ namespace: 'user_id', value: 'ann', time: new Date(START_MS + ms).toISOString() }));

describe('historicalFeatures', () => {
  it('tells features as of each row, and of somebody unknown what they are before any event', async () => {
    const rows = [...rowsAt(-1, 0, HOUR_MS), { ...rowsAt(0)[0], value: 'nobody' }];
    const { data } = await world.ask(QUERY, { rows, features: ['visits', 'page'], maxAgeMs: HOUR_MS });
    expect(data).toMatchObject({
      historicalFeatures: {
        logPosition: 2,
        definitionsHash: expect.stringMatching(/^[0-9a-f]{64}$/) as string,
        rows: [
          {
            status: 'FOUND',
            features: [{ name: 'visits', fullName: 'test__visits', value: 0 }, { status: 'NOT_FOUND' }],
          },
          { features: [{ value: 1, ageMs: 0, version: 1 }, { value: 'home' }] },
          { features: [{ value: 2 }, { value: 'shop' }] },
          {
            entity: { value: 'nobody' },
            status: 'NOT_FOUND',
            profileId: null,
            features: [{ value: 0 }, { value: null }],
          },
        ],
      },
    });
    const aged = await world.ask(QUERY, { rows: rowsAt(2 * HOUR_MS), features: ['page'], maxAgeMs: HOUR_MS - 1 });
    expect(aged.data).toMatchObject({
      historicalFeatures: { rows: [{ features: [{ status: 'OUTSIDE_MAX_AGE', value: null }] }] },
    });
  });

  it('tells what was known then, where it is asked for that', async () => {
    const knownAsOf = new Date(START_MS - 1).toISOString();
    const { data } = await world.ask(QUERY, { rows: rowsAt(0), features: ['visits'], knownAsOf });
    expect(data).toMatchObject({ historicalFeatures: { rows: [{ status: 'NOT_FOUND', features: [{ value: 0 }] }] } });
  });

  it('imputes what the service says where that is asked for, as onlineFeatures does, and leaves the status', async () => {
    const yaml = `
views: [{ name: bought, features: [{ name: bought, aggregate: max, events: [buy], value: properties.total }] }]
services:
  - name: gaps
    features: [visits, bought]
    impute: { visits: 9, bought: { statistic: mean, value: 12.5 } }`;
    const apply =
      'mutation ($yaml: String!) { applyFeatures(yaml: $yaml) { __typename ... on InvalidDefinition { message } } }';
    expect((await world.ask(apply, { yaml })).data).toEqual({ applyFeatures: { __typename: 'FeaturePlan' } });
    await world.drain();
    const [row] = rowsAt(0);
    const ask = `query ($rows: [HistoricalRowInput!]!, $imputed: Boolean!) {
      historicalFeatures(rows: $rows, service: "gaps", imputed: $imputed) { rows { features { status value imputed } } }
      onlineFeatures(entities: [{ namespace: "user_id", value: "ann" }], service: "gaps", imputed: $imputed) {
        features { status value imputed }
      }
      profile(identifier: { namespace: "user_id", value: "ann" }) {
        features(service: "gaps", imputed: $imputed) { status value imputed }
      }
      featureServices { edges { node { impute { feature value statistic of } } } }
    }`;
    const answered = (visits: number, bought: object) => {
      return [
        { status: 'PRESENT', value: visits, imputed: false },
        { status: 'NOT_FOUND', ...bought },
      ];
    };
    const imputed = await world.ask(ask, { rows: [row], imputed: true });
    const filled = { value: 12.5, imputed: true };
    expect(imputed.data).toMatchObject({
      historicalFeatures: { rows: [{ features: answered(1, filled) }] },
      onlineFeatures: [{ features: answered(2, filled) }],
      profile: { features: answered(2, filled) },
    });
    expect(JSON.stringify(imputed.data)).toContain('{"feature":"bought","value":12.5,"statistic":"MEAN","of":null}');
    const plain = await world.ask(ask, { rows: [row], imputed: false });
    expect(plain.data).toMatchObject({
      historicalFeatures: { rows: [{ features: answered(1, { value: null, imputed: false }) }] },
      onlineFeatures: [{ features: answered(2, { value: null, imputed: false }) }],
      profile: { features: answered(2, { value: null, imputed: false }) },
    });
    const { errors } = await world.ask(
      '{ onlineFeatures(entities: [], features: ["visits"], imputed: true) { profileId } }',
    );
    expect(errors?.[0]?.message).toContain('what is imputed is said by a feature service');
  });

  it.each([
    ['no row', { rows: [], features: ['visits'] }, '1 to 500 rows'],
    ['a feature that there is not', { rows: rowsAt(0), features: ['visit'] }, 'no feature visit'],
    ['nothing', { rows: rowsAt(0) }, 'no feature to export'],
    ['an odd time', { rows: rowsAt(0), features: ['visits'], knownAsOf: 'soon' }, '"soon" is no time'],
  ])('refuses %s, and says so', async (_, variables, message) => {
    const { errors } = await world.ask(QUERY, variables);
    expect(errors?.[0]?.message).toContain(message);
  });
});
