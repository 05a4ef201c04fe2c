import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { EventSampleReader } from '../../src/events/event-sample.reader.js';
import { featuresCommand } from '../../src/features/features.command.js';
import { VocabularyCount, type SampledEvent } from '../../src/features/vocabulary.model.js';
import { VocabularyReader } from '../../src/features/vocabulary.reader.js';
import { parseTraits } from '../../src/profiles/parse-traits.js';
import { maskPayload } from '../../src/privacy/mask.model.js';
import { createApiWorld, type ApiWorld } from '../support/api-world.js';
import { runWith } from '../support/command-runner.js';
import { aTrack, anIdentify } from '../support/world.js';

describe('a count of the vocabulary', () => {
  const event = fc.record({
    name: fc.constantFrom('view', 'order', 'other'),
    person: fc.constantFrom('p1', 'p2', 'p3', 'p4'),
    properties: fc.record({ sku: fc.constantFrom('a', 'b', 'c') }),
    traits: fc.constant({}),
  });

  it('has what was found out about events, where it was, and nothing that a sender put beside it', () => {
    const seen = { events: new Map([['view', new Set<string>()]]), isComplete: true };
    const count = new VocabularyCount(seen, (name) => name !== 'campaign.name');
    const facts = { device: { type: 'mobile' }, bot: false, campaign: { name: 'spring' }, os: null, other: { x: 1 } };
    for (const person of ['p1', 'p2', 'p3']) {
      const context = { enriched: facts, page: { url: 'https://a.example' } };
      count.add({ name: 'view', person, properties: {}, traits: {}, context });
    }
    count.add({ name: 'view', person: 'p4', properties: {}, traits: {}, context: { enriched: 'mobile' } });
    count.add({ name: 'never', person: 'p4', properties: {}, traits: {}, context: { enriched: facts } });
    const shared = { kind: 'fact', count: 3, events: ['view'] };
    expect(count.entries()).toEqual([
      { kind: 'event', name: 'view', count: 4, events: [], values: [] },
      { ...shared, name: 'context.enriched.bot', values: [{ value: 'false', count: 3 }] },
      { ...shared, name: 'context.enriched.campaign.name', values: [] },
      { ...shared, name: 'context.enriched.device.type', values: [{ value: 'mobile', count: 3 }] },
    ]);
  });

  it('has of each value how often it was sent, and only those that three people had', () => {
    const seen = {
      events: new Map([
        ['view', new Set(['properties.sku'])],
        ['order', new Set<string>()],
      ]),
      isComplete: true,
    };
    fc.assert(
      fc.property(fc.array(event, { maxLength: 40 }), (events: SampledEvent[]) => {
        const count = new VocabularyCount(seen, () => true);
        for (const each of events) count.add(each);
        const known = events.filter(({ name }) => name !== 'other');
        const values = ['a', 'b', 'c'].flatMap((value) => {
          const having = known.filter(({ properties }) => properties['sku'] === value);
          return new Set(having.map(({ person }) => person)).size < 3 ? [] : [{ value, count: having.length }];
        });
        const numberOf = (name: string): number => events.filter((each) => each.name === name).length;
        expect(count.entries()).toEqual([
          { kind: 'event', name: 'order', count: numberOf('order'), events: [], values: [] },
          { kind: 'event', name: 'view', count: numberOf('view'), events: [], values: [] },
          {
            kind: 'property',
            name: 'properties.sku',
            count: known.length,
            events: ['view'],
            values: values.sort((a, b) => b.count - a.count || (a.value < b.value ? -1 : 1)),
          },
        ]);
      }),
    );
  });
});

describe('the vocabulary', () => {
  let world: ApiWorld;
  beforeAll(async () => {
    world = await createApiWorld();
    await world.engine.services.traits.apply(parseTraits('traits: [{ name: nickname, pii: true }]', 't.yaml'));
    for (const user of ['u1', 'u2', 'u3']) {
      const properties = {
        category: 'running shoes',
        sku: `sku-of-${user}`,
        note: 'ask a@example.com',
        ref: '20260101',
      };
      await world.accept([
        aTrack('product_view', { user_id: user }, { properties: { ...properties, who: user, tags: ['new', 'red'] } }),
        anIdentify({ user_id: user }, { country: 'NL', nickname: 'Bee', email: 'shared@example.com' }),
      ]);
    }
    await world.drain();
  });
  afterAll(() => world.close());

  const ASK = `query ($search: String, $kind: VocabularyKind) {
    vocabulary(search: $search, kind: $kind) { edges { node { kind name count events values { value count } } } }
  }`;

  it('tells names with counts and frequent values, and no value that is personal or that few people had', async () => {
    const { vocabulary } = await world.data<{ vocabulary: { edges: { node: { name: string; values: unknown[] } }[] } }>(
      ASK,
    );
    const valuesOf = new Map(vocabulary.edges.map(({ node: { name, values } }) => [name, values]));
    expect(valuesOf.get('properties.category')).toEqual([{ value: 'running shoes', count: 3 }]);
    expect(valuesOf.get('properties.tags')).toEqual([
      { value: 'new', count: 3 },
      { value: 'red', count: 3 },
    ]);
    expect(valuesOf.get('traits.country')).toEqual([{ value: 'NL', count: 3 }]);
    for (const name of [
      'properties.sku',
      'properties.note',
      'properties.ref',
      'properties.who',
      'traits.nickname',
      'traits.email',
    ]) {
      expect([name, valuesOf.get(name)]).toEqual([name, []]);
    }
  });

  it('is searched by name and by value, and by kind', async () => {
    const named = async (search: string | null, kind: string | null): Promise<string[]> =>
      (
        await world.data<{ vocabulary: { edges: { node: { name: string } }[] } }>(ASK, { search, kind })
      ).vocabulary.edges.map(({ node }) => node.name);
    expect(await named('SHOES', null)).toEqual(['properties.category']);
    expect(await named('product', null)).toEqual(['product_view']);
    expect(await named(null, 'EVENT')).toEqual(['identify', 'product_view']);
    expect(await named('nothing of that', null)).toEqual([]);
  });

  it('is told by the command line', async () => {
    const { db, clock, engine } = world;
    const samples = new EventSampleReader(db, engine.sealer);
    const reader = new VocabularyReader({ db, clock, samples, mask: maskPayload });
    const run = (...args: string[]) =>
      runWith(
        (io) =>
          featuresCommand({
            ...io,
            withFeatures: () => Promise.reject(new Error('not asked for')),
            withVocabulary: (use) => use(() => reader.entries()),
          }),
        args,
      );
    const text = await run('vocabulary', '--search', 'shoes');
    expect(text.stdout).toContain('properties.category');
    expect(text.stdout).toContain('running shoes (3)');
    const json = await run('vocabulary', '--kind', 'event', '--limit', '1', '--json');
    expect(JSON.parse(json.stdout)).toMatchObject([{ kind: 'event', name: 'identify', count: 3 }]);
    expect(json.stderr).toContain('1 more');
  });
});
