import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { EventHistoryReader } from '../../src/events/event-history.reader.js';
import type { FeatureDefinition, FeatureEvent, FeatureValue } from '../../src/features/feature.model.js';
import { FeatureSet } from '../../src/features/feature-set.model.js';
import { linkOnDemand } from '../../src/features/link-on-demand.js';
import { parseFeatures } from '../../src/features/parse-features.js';
import { streamsOf } from '../../src/features/stream.model.js';
import { HistoryFold } from '../../src/features/training-set-fold.js';
import { TrainingSetService } from '../../src/features/training-set.service.js';
import { IdentityHistoryReader } from '../../src/identity/identity-history.reader.js';
import { DEFAULT_IDENTITY_RULES } from '../../src/identity/identity-rules.model.js';
import { FEATURE_EXPRESSIONS } from '../../src/segments/feature-expression.js';
import { createApiWorld, type ApiWorld } from '../support/api-world.js';
import { drainUntil } from '../support/drain-until.js';
import { aTrack, HOUR_MS } from '../support/world.js';

const YAML = `views:
  - name: orders
    features:
      - { name: spend, aggregate: sum, events: [order], value: properties.total, window: 7d }
      - { name: orders, aggregate: count, events: [order], window: 7d }
      - { name: last_total, aggregate: last, events: [order], value: properties.total, type: double }
  - name: derived
    kind: on_demand
    features:
      - { name: mean_order, type: double, expression: "f.orders > 0 ? f.spend / double(f.orders) : f.last_total" }
  - name: checkout
    kind: on_demand
    request:
      - { name: amount, type: double }
      - { name: threshold, type: double, default: 2.0 }
    features:
      - { name: amount_to_mean, type: double, expression: request.amount / f.mean_order }
      - { name: is_unusual, type: bool, expression: request.amount > request.threshold * f.mean_order }
`;
const FEATURES = ['mean_order', 'amount_to_mean', 'is_unusual'];
const AT = Date.UTC(2026, 0, 20);
const DAY = 86_400_000;

function linked(text: string): FeatureDefinition[] {
  return linkOnDemand(parseFeatures(text, 'f.yaml').views, FEATURE_EXPRESSIONS).flatMap((view) => view.features);
}

describe('on-demand features', () => {
  const definitions = linked(YAML);
  const set = FeatureSet.compile(
    definitions,
    new Map(streamsOf(definitions).map(({ key }, i) => [key, i + 1])),
    new Map(),
    FEATURE_EXPRESSIONS,
  );
  const order = fc.record({ total: fc.integer({ min: 1, max: 500 }), at: fc.integer({ min: -20, max: 0 }) });

  it('are the same function of their inputs and the request online and in training sets, and hold as they say', () => {
    fc.assert(
      fc.property(
        fc.array(order, { maxLength: 6 }),
        fc.option(fc.integer({ min: 1, max: 900 })),
        fc.option(fc.constantFrom(1, 1.5, 3)),
        fc.nat(9),
        (orders, amount, threshold, days) => {
          const events = orders
            .map(({ total, at }, i) => anOrder(String(i), AT + at * DAY, total))
            .sort((a, b) => a.occurredAt - b.occurredAt);
          const t = AT + days * DAY;
          const request = new Map<string, number>();
          if (amount !== null) request.set('amount', amount);
          if (threshold !== null) request.set('threshold', threshold);
          const state = set.empty();
          for (const event of events) set.apply(state, event);
          const readAt = (at: number): FeatureValue[] =>
            FEATURES.map((name) => set.value(state, set.indexOf(name) ?? -1, at, request));
          const values = readAt(t + 1);

          const answers: (readonly FeatureValue[])[] = [];
          const fold = new HistoryFold(set, [{ index: 0, timeMs: t, request }], (_, answer) => {
            answers.push(answer.values);
          });
          for (const event of events) fold.add(event, event.occurredAt);
          fold.finish();
          expect(FEATURES.map((name) => answers[0]?.[set.indexOf(name) ?? -1])).toEqual(values);

          const [spend, count, last] = ['spend', 'orders', 'last_total'].map(
            (name) => set.value(state, set.indexOf(name) ?? -1, t + 1).value as number | null,
          );
          const mean = (count ?? 0) > 0 ? (spend ?? 0) / (count ?? 0) : (last ?? null);
          const known =
            mean === null || amount === null ? null : { ratio: amount / mean, limit: (threshold ?? 2) * mean };
          expect(values.map(({ value }) => value)).toEqual([
            mean,
            known?.ratio ?? null,
            known === null ? null : (amount ?? 0) > known.limit,
          ]);
          const until = Math.min(...values.map(({ validUntil }) => validUntil));
          if (until < Infinity) expect(readAt(until - 1).map(({ value }) => value)).toEqual(values.map((v) => v.value));
        },
      ),
      { numRuns: 200 },
    );
  });

  it('say whether nothing is known of somebody, or what is known gives no value', () => {
    const definition = linked(`${YAML}  - name: more
    kind: on_demand
    features:
      - { name: of_nobody, type: double, expression: f.last_total * 2.0 }
      - { name: odd, type: double, expression: f.spend / 0.0 }
      - { name: known, type: bool, expression: has(f.last_total) }
`);
    const more = FeatureSet.compile(
      definition,
      new Map(streamsOf(definition).map(({ key }, i) => [key, i + 1])),
      new Map(),
      FEATURE_EXPRESSIONS,
    );
    const read = (name: string): unknown[] => {
      const { status, value } = more.value(more.empty(), more.indexOf(name) ?? -1, AT);
      return [status, value];
    };
    expect(read('of_nobody')).toEqual(['NOT_FOUND', null]);
    expect(read('odd')).toEqual(['NULL_VALUE', null]);
    expect(read('known')).toEqual(['PRESENT', false]);
  });

  it.each([
    ['f.spent * 2.0', 'unknown feature f.spent; did you mean f.spend?'],
    ['request.sum', 'unknown request.sum'],
    ['f.b + f.spend', 'features are computed from one another in a circle: a → b → a'],
    ['f.a', 'features are computed from one another in a circle: a → a'],
    ['request.amount', 'feature a reads no feature'],
    ['traits.age * 2.0 + f.spend', 'on-demand features read no traits by themselves'],
    ['f.spend > 1.0', 'the expression gives bool, and the feature is double'],
    ['double(count("order", "7d")) + f.spend', 'on-demand features read no events by themselves'],
    ['f.consented', 'for which somebody has to allow ads'],
    ['f.spend +', 'feature a: '],
  ])('refuse %s, and say why', (expression, message) => {
    const text = `${YAML}  - name: gated
    purposes: [ads]
    features: [{ name: consented, aggregate: sum, value: properties.total, events: [order] }]
  - name: bad
    kind: on_demand
    request: [{ name: amount, type: double }]
    features:
      - { name: a, type: double, expression: '${expression}' }
      - { name: b, type: double, expression: f.a + f.spend }
`;
    expect(() => linked(text)).toThrow(message);
  });

  it('are told what is wrong with how they are written, by line', () => {
    const text = `views:
  - name: bad
    kind: on_demand
    source: web
    request: [{ name: amount, type: double, default: much }]
    features: [{ name: a, aggregate: count }]
  - name: worse
    request: [{ name: amount }]
    features: [{ name: b, aggregate: count }]
`;
    for (const message of [
      'f.yaml:4:13: on-demand views read features, and no events; take the source out',
      'the default is not of type double',
      'a feature of an on-demand view has no field "aggregate"',
      'f.yaml:8:14: only on-demand views read a request',
    ]) {
      expect(() => parseFeatures(text, 'f.yaml')).toThrow(message);
    }
  });
});

describe('an on-demand view', () => {
  let world: ApiWorld;
  beforeAll(async () => {
    world = await createApiWorld();
    await world.engine.services.features.apply(parseFeatures(YAML, 'f.yaml'));
    const at = world.clock.now() - HOUR_MS;
    await world.accept([
      aTrack('order', { user_id: 'u' }, { properties: { total: 30 }, timestampMs: at }),
      aTrack('order', { user_id: 'u' }, { properties: { total: 50 }, timestampMs: at + 1 }),
    ]);
    await world.drain();
    world.clock.advance(1);
  });
  afterAll(() => world.close());

  const ASK = `query ($request: JSON) {
    onlineFeatures(
      entities: [{ namespace: "user_id", value: "u" }], features: ["mean_order", "amount_to_mean", "is_unusual"],
      request: $request
    ) { features { status value } }
    profile(identifier: { namespace: "user_id", value: "u" }) {
      features(names: ["mean_order", "amount_to_mean", "is_unusual"], request: $request) { status value }
    }
  }`;

  it('answers what the request says, and without it what needs none', async () => {
    const asked = async (request: unknown): Promise<unknown> => {
      const data = await world.data<{
        onlineFeatures: { features: unknown }[];
        profile: { features: unknown };
      }>(ASK, { request });
      expect(data.onlineFeatures[0]?.features).toEqual(data.profile.features);
      return data.profile.features;
    };
    expect(await asked({ amount: 100 })).toEqual([
      { status: 'PRESENT', value: 40 },
      { status: 'PRESENT', value: 2.5 },
      { status: 'PRESENT', value: true },
    ]);
    expect(await asked({ amount: 100, threshold: 3 })).toMatchObject([{}, {}, { value: false }]);
    expect(await asked(null)).toEqual([
      { status: 'PRESENT', value: 40 },
      { status: 'NULL_VALUE', value: null },
      { status: 'NULL_VALUE', value: null },
    ]);
  });

  it('answers what request_context says of each entity, beside the join key too, by Feast’s interface', async () => {
    const post = async (body: object): Promise<{ status: number; body: Record<string, unknown> }> => {
      const features = ['derived:mean_order', 'checkout:amount_to_mean', 'checkout:is_unusual'];
      const response = await fetch(`${world.url}/get-online-features`, {
        method: 'POST',
        headers: { authorization: `Bearer ${world.keys.read}` },
        body: JSON.stringify({ features, ...body }),
      });
      return { status: response.status, body: (await response.json()) as Record<string, unknown> };
    };
    const columns = async (body: object): Promise<unknown[]> => {
      const answer = await post({ entities: { user_id: ['u', 'u', 'nobody'] }, ...body });
      return (answer.body['results'] as { values: unknown[] }[]).slice(1).map(({ values }) => values);
    };
    const none = [
      [40, 40, null],
      [null, null, null],
      [null, null, null],
    ];
    // Served once the process has seen that everybody is written with these definitions.
    const served = vi.waitFor(async () => expect(await columns({})).toEqual(none), { timeout: 60_000 });
    await drainUntil(world, served);
    const amounts = [100, 60, 1];
    const said = [
      [40, 40, null],
      [2.5, 1.5, null],
      [true, false, null],
    ];
    expect(await columns({ request_context: { amount: amounts } })).toEqual(said);
    expect(await columns({ entities: { amount: amounts, user_id: ['u', 'u', 'nobody'] } })).toEqual(said);
    expect((await columns({ request_context: { amount: amounts, threshold: 3 } }))[2]).toEqual([false, false, null]);
    // What was computed from a request is remembered for nobody.
    expect(await columns({})).toEqual(none);
    const named = await post({ entities: { user_id: ['u'] }, full_feature_names: true });
    expect(named.body['metadata']).toEqual({
      feature_names: ['user_id', 'derived__mean_order', 'checkout__amount_to_mean', 'checkout__is_unusual'],
    });
    for (const [body, message] of [
      [{ request_context: { sum: [1] } }, 'the features asked for read no request.sum'],
      [{ request_context: { amount: ['much'] } }, 'request.amount is not of type double'],
      [{ request_context: { amount: [1, 2] } }, 'this column has 2 values, and user_id has 1'],
      [{ request_context: [1] }, 'request_context is not an object'],
      [{ entities: { user_id: ['u'], sum: [1] } }, 'people are named by more than one join key'],
    ] as const) {
      const answer = await post({ entities: { user_id: ['u'] }, ...body });
      expect([answer.status, JSON.stringify(answer.body)]).toEqual([422, expect.stringContaining(message)]);
    }
  });

  it('is called by its view, too, where that is asked for', async () => {
    const data = await world.data(
      `{ profile(identifier: { namespace: "user_id", value: "u" }) { features(names: ["spend"]) { name fullName } } }`,
    );
    expect(data).toEqual({ profile: { features: [{ name: 'spend', fullName: 'orders__spend' }] } });
  });

  it('refuses values that nothing reads or that are of another type', async () => {
    for (const [request, message] of [
      [{ sum: 1 }, 'the features asked for read no request.sum'],
      [{ amount: 'much' }, 'request.amount is not of type double'],
      [[1], 'the request is no object'],
    ] as const) {
      const { errors } = await world.ask(ASK, { request });
      expect(errors?.[0]?.message).toBe(message);
    }
  });

  it('exports columns of what each row says of the request, as they are served', async () => {
    const { db, clock, engine } = world;
    const events = new EventHistoryReader();
    const identity = new IdentityHistoryReader({ rules: DEFAULT_IDENTITY_RULES, events });
    const sets = new TrainingSetService({
      db,
      clock,
      policy: engine.policy,
      identity,
      events,
      language: FEATURE_EXPRESSIONS,
    });
    const label = (value: string, cells: string[]) => ({ ns: 'user_id', value, timeMs: clock.now() - 1, cells });
    const labels = [label('u', ['1', '100']), label('u', ['0', '60.5']), label('nobody', ['0', '5'])];
    const { rows } = await sets.exportTrainingSet({ labels, columns: ['label', 'amount'], features: FEATURES });
    const values: unknown[] = [];
    for await (const row of rows) values.push(row.values.map(({ value }) => value));
    expect(values).toEqual([
      [40, 2.5, true],
      [40, 1.5125, false],
      [null, null, null],
    ]);
    await expect(sets.exportTrainingSet({ labels, columns: ['label', 'sum'], features: FEATURES })).rejects.toThrow(
      'the labels have no column amount',
    );
    const bad = await sets.exportTrainingSet({
      labels: [label('u', ['1', 'much'])],
      columns: ['label', 'amount'],
      features: FEATURES,
    });
    await expect(bad.rows.next()).rejects.toThrow('"much" is not of type double');
  });

  it('is read by segments where it reads no request, and not where it does', async () => {
    await world.defineSegment('spender', 'f.mean_order >= 40.0');
    await world.drain();
    world.clock.advance(1);
    await world.drain();
    const data = await world.data(
      '{ profile(identifier: { namespace: "user_id", value: "u" }) { membership(segment: "spender") { isMember } } }',
    );
    expect(data).toEqual({ profile: { membership: { isMember: true } } });
    await expect(world.engine.services.segments.check('f.is_unusual')).rejects.toThrow('unknown feature f.is_unusual');
    const asking = YAML.replace('f.last_total"', 'request.other"').replace(
      'name: derived\n    kind: on_demand\n',
      'name: derived\n    kind: on_demand\n    request: [{ name: other, type: double }]\n',
    );
    await expect(world.engine.services.features.apply(parseFeatures(asking, 'f.yaml'))).rejects.toThrow(
      'feature mean_order reads request.other, and segment spender reads it',
    );
  });

  it('is a version of its own once what it reads means something else', async () => {
    const [orders] = YAML.split('  - name: derived');
    const plan = await world.engine.services.features.apply(
      parseFeatures((orders ?? '').replace('properties.total, window: 7d', 'properties.total, window: 30d'), 'f.yaml'),
      { dryRun: true },
    );
    expect(plan.changed).toEqual(['amount_to_mean', 'is_unusual', 'mean_order', 'spend'].sort());
    const gone = (orders ?? '').replace(/ {6}- \{ name: spend.*\n/, '');
    await expect(world.engine.services.features.apply(parseFeatures(gone, 'f.yaml'))).rejects.toThrow(
      'unknown feature f.spend',
    );
  });
});

function anOrder(messageId: string, occurredAt: number, total: number): FeatureEvent {
  const rest = { type: 'track', name: 'order', sourceId: 1, traits: {}, context: {} };
  return { ...rest, messageId, occurredAt, properties: { total } };
}
