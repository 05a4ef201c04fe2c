import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { IncomingEvent, JsonObject } from '../../src/events/event.model.js';
import { parseFeatures } from '../../src/features/parse-features.js';
import { createApiWorld, type ApiWorld } from '../support/api-world.js';
import { aTrack, anIdentify, DAY_MS, HOUR_MS } from '../support/world.js';

const VIEW = `views:
  - name: customer
    kind: batch
    source: crm
    event: customer
    created: properties.updated_at
    ttl: 2d
    features:
      - { name: tier, value: properties.tier }
      - { name: credit, value: properties.credit, type: double }
`;

let world: ApiWorld;

beforeAll(async () => {
  world = await createApiWorld();
  await world.accept([], { source: 'crm' });
});
afterAll(() => world.close());

function record(user: string, occurredAt: number, properties: JsonObject): IncomingEvent {
  return aTrack('customer', { user_id: user }, { properties, timestampMs: occurredAt });
}

async function load(...records: readonly IncomingEvent[]): Promise<void> {
  await world.accept(records, { source: 'crm', historical: true });
  await world.drain();
}

/** Status and value of each of the features. */
async function online(user: string, maxAgeMs: number | null = null): Promise<Record<string, [string, unknown]>> {
  const { data } = await world.ask(
    `query ($user: String!, $age: Float) {
      onlineFeatures(
        entities: [{ namespace: "user_id", value: $user }], features: ["tier", "credit"], maxAgeMs: $age
      ) { features { name status value } }
    }`,
    { user, age: maxAgeMs },
  );
  const [row] = (
    data as unknown as { onlineFeatures: { features: { name: string; status: string; value: unknown }[] }[] }
  ).onlineFeatures;
  return Object.fromEntries((row?.features ?? []).map(({ name, status, value }) => [name, [status, value]]));
}

describe('features of a batch view', () => {
  it('are columns of the newest record of the source, null ones too, also where it is loaded before the view', async () => {
    const now = world.clock.now();
    await load(
      record('early', now - HOUR_MS, { tier: 'gold', credit: 5 }),
      record('early', now - 2 * HOUR_MS, { tier: 'silver', credit: 7 }),
      record('early', now - 30 * 60_000, { tier: null, credit: 9 }),
    );
    await world.accept([aTrack('customer', { user_id: 'early' }, { properties: { tier: 'of another source' } })]);
    await world.engine.services.features.apply(parseFeatures(VIEW, 'f.yaml'));
    await world.drain();
    world.clock.advance(1);
    await world.drain();
    expect(await online('early')).toEqual({ tier: ['NULL_VALUE', null], credit: ['PRESENT', 9] });
    const { data } = await world.ask('{ featureViews { edges { node { name kind } } } }');
    expect(data).toEqual({ featureViews: { edges: [{ node: { name: 'customer', kind: 'BATCH' } }] } });
  });

  it('take of two records of one time the one that was created later, whichever is loaded first', async () => {
    const at = world.clock.now() - HOUR_MS;
    const [older, newer] = ['2026-01-01T00:00:00Z', '2026-01-02T00:00:00Z'];
    await load(
      record('tie', at, { tier: 'new', updated_at: newer }),
      record('tie', at, { tier: 'old', updated_at: older }),
    );
    expect((await online('tie'))['tier']).toEqual(['PRESENT', 'new']);
  });

  it('are shared by people who turn out to be one, by the newest record of either', async () => {
    const now = world.clock.now();
    await load(record('a', now - 3 * HOUR_MS, { tier: 'of a' }), record('b', now - 2 * HOUR_MS, { tier: 'of b' }));
    await load(
      anIdentify({ user_id: 'a', email: 'ab@example.com' }),
      anIdentify({ crm_id: 'c', email: 'ab@example.com' }),
    );
    await load(aTrack('customer', { crm_id: 'c' }, { properties: { tier: 'of c' }, timestampMs: now - HOUR_MS }));
    expect((await online('a'))['tier']).toEqual(['PRESENT', 'of c']);
    expect((await online('b'))['tier']).toEqual(['PRESENT', 'of b']);
  });

  it('are too old once the ttl is past, to the millisecond, and segments are left then', async () => {
    await world.defineSegment('gold', 'f.tier == "gold"');
    await world.drain();
    const at = world.clock.now();
    await load(record('aging', at, { tier: 'gold', credit: 1 }));
    world.clock.advance(1);
    await world.drain();
    expect(await online('aging')).toMatchObject({ tier: ['PRESENT', 'gold'] });
    expect(await online('aging', 0)).toMatchObject({ tier: ['PRESENT', 'gold'] });
    world.clock.advance(HOUR_MS);
    expect(await online('aging', HOUR_MS)).toMatchObject({ tier: ['PRESENT', 'gold'] });
    world.clock.advance(1);
    expect(await online('aging', HOUR_MS)).toMatchObject({ tier: ['OUTSIDE_MAX_AGE', null] });
    world.clock.set(at + 2 * DAY_MS + 1);
    await world.drain();
    expect(await online('aging')).toMatchObject({ tier: ['PRESENT', 'gold'] });
    world.clock.advance(1);
    await world.drain();
    expect(await online('aging')).toEqual({ tier: ['OUTSIDE_MAX_AGE', null], credit: ['OUTSIDE_MAX_AGE', null] });
    const { data } = await world.ask(
      '{ profile(identifier: { namespace: "user_id", value: "aging" }) { membership(segment: "gold") { isMember } } }',
    );
    expect(data).toEqual({ profile: { membership: { isMember: false } } });
  });
});

describe('a batch view', () => {
  it('is told what is wrong with it, line by line', () => {
    const text = `views:
  - name: bad
    kind: batch
    ttl: soon
    features:
      - { name: x, aggregate: count }
  - name: worse
    event: customer
    features:
      - { name: y, aggregate: row, value: properties.a }
`;
    expect(() => parseFeatures(text, 'f.yaml')).toThrow(
      [
        'f.yaml:2:5: a batch view needs a source; add source: the key that its records come by',
        'f.yaml:2:5: a batch view needs an event; add event: the name that its records have, as in event: customer',
      ].join('\n'),
    );
    for (const part of [
      'ttl must be a duration; write a whole number and s, m, h or d, as in 30d',
      'a feature of a batch view has no field "aggregate"',
      'only batch views have event; take it out, or add kind: batch to the view',
      'the aggregate cannot be "row"',
    ]) {
      expect(() => parseFeatures(text, 'f.yaml')).toThrow(part);
    }
  });
});
