import { Command } from 'commander';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { MembershipExplanation } from '../../src/api/graphql/explain-membership.js';
import { hashId } from '../../src/platform/ids.js';
import { addExplainCommand } from '../../src/segment-explain.command.js';
import { MembershipExplainer } from '../../src/segment-explainer.js';
import type { ExplainedCondition } from '../../src/segments/explain-condition.js';
import { aFeature } from '../support/a-feature.js';
import { aPurpose } from '../support/a-purpose.js';
import { createApiWorld, type ApiWorld } from '../support/api-world.js';
import { runWith } from '../support/command-runner.js';
import { readModelFixture } from '../support/model-fixtures.js';
import { anIdentify, aTrack, HOUR_MS, MINUTE_MS, START_MS } from '../support/world.js';

/** By key; what else the rule says stands in `MORE`. */
const SEGMENTS: Readonly<Record<string, string>> = {
  abandoned: 'since("cart") >= "5m" && since("cart") < "24h" && count("buy", "24h") == 0',
  leeds: 'traits.city == "Leeds" || (!has(traits.city) && performed("view", "1h"))',
  spender: 'f.spend > 100.0',
  mailed: 'performed("view")',
  hot: 'score("iris_named") >= 0.5 && segment("leeds")',
  bought: 'sequence(["view", step("cart", "!has(properties.test)"), "buy"], "1h", "30m")',
  in_order: 'funnel(["cart", "buy"], "1h") == 1',
  at_night: 'time_between("22:00", "23:00", "UTC") || hour(traits.zone) < 6',
  waiting: '!segment("abandoned") && performed("cart")',
  chosen: 'performed("view") ? count("view", "1h") * 2 > 3 : sample("x") < 0.9',
};

let world: ApiWorld;
let explainer: MembershipExplainer;
const shown: string[] = [];

beforeAll(async () => {
  world = await createApiWorld();
  const { db, clock, engine } = world;
  const last = (name: string, type: 'double' | 'int' | 'string') =>
    aFeature(name, { aggregate: 'last', events: ['flower'], value: `properties.${name}`, type });
  await world.defineFeatures([
    aFeature('spend', {
      aggregate: 'sum',
      events: ['buy'],
      value: 'properties.total',
      windowMs: 24 * HOUR_MS,
      type: 'double',
    }),
    ...[last('sepal_length_cm', 'double'), last('sepal_width_cm', 'double')],
    ...[last('petal_length_tenths', 'int'), last('petal_width_class', 'string')],
  ]);
  const { bytes, manifest } = await readModelFixture('iris_named');
  const half = (feature: string, value: number) => ({
    statistics: { feature, numbers: { quantiles: [{ p: 0.5, value }] } },
  });
  const trainingSet = { statistics: { features: [half('petal_length_tenths', 14), half('sepal_width_cm', 3)] } };
  const { model } = await world.services.models.register(bytes, { ...manifest, trainingSet });
  await world.services.models.promote(model.key, model.version);
  await engine.services.purposes.apply([aPurpose('mail')]);
  for (const [key, expression] of Object.entries(SEGMENTS)) {
    const more = {
      ...(key === 'spender' ? { exitExpression: 'f.spend < 50.0', minDwellMs: 10 * MINUTE_MS } : {}),
      ...(key === 'mailed' ? { purposes: ['mail'] } : {}),
    };
    await world.defineSegment(key, expression, more);
  }
  const [ann, bob] = [{ user_id: 'ann' }, { user_id: 'bob' }];
  await world.accept([
    anIdentify(ann, { city: 'Leeds' }),
    aTrack('cart', ann),
    aTrack('buy', bob, { properties: { total: 120 } }),
    aTrack('view', bob),
    aTrack('flower', ann, {
      properties: { sepal_length_cm: 6.7, sepal_width_cm: 3.1, petal_length_tenths: 56, petal_width_class: 'wide' },
    }),
  ]);
  await world.drain();
  clock.advance(3 * MINUTE_MS);
  await world.drain();
  explainer = new MembershipExplainer({
    ...{ db, clock, definitions: engine.definitions },
    snapshots: world.services.snapshots,
    profileOf: (target) => engine.erasures.profileOf(target),
    onShown: (id) => shown.push(id),
  });
});

afterAll(() => world.close());

const explain = (who: string, key: string): Promise<MembershipExplanation> =>
  explainer.explain({ identifier: { ns: 'user_id', value: who } }, key);

const QUERY = `query ($who: String!, $key: String!) {
  profile(identifier: { namespace: "user_id", value: $who }) {
    membership(segment: $key, evaluate: NOW) { isMember }
    membershipExplanation(segment: $key) {
      version isMember isLiveMember decidedBy since dwellUntil isAdmitted purposes holdsUntil
      conditions { text parent value decides holdsUntil comparison { value op threshold margin } reads { kind name value eventAt } }
      exitConditions { text value }
      models { key method score contributions { feature value reference referenceFrom contribution } }
    }
  }
}`;

interface Answer {
  readonly profile: {
    readonly membership: { readonly isMember: boolean };
    readonly membershipExplanation: MembershipExplanation;
  };
}

/** What a whole is by its parts, where they say it: parts agree with what decides. */
function valueByParts(conditions: readonly ExplainedCondition[], place: number): boolean | null {
  const whole = conditions[place];
  const parts = [...conditions.keys()].filter((i) => conditions[i]?.parent === place);
  const values = parts.map((i) => valueByParts(conditions, i));
  const text = whole?.text ?? '';
  if (parts.length === 0 || whole === undefined) return whole?.value ?? null;
  if (parts.length === 1) return values[0] == null ? null : !values[0];
  if (text.includes('?')) return values[0] == null ? null : (values[values[0] ? 1 : 2] ?? null);
  const decisive = text.includes('||');
  return values.includes(decisive) ? decisive : values.includes(null) ? null : !decisive;
}

describe('an explanation', () => {
  it('agrees with membership as it is evaluated, and its parts with the whole', async () => {
    const texts = new Set<string>();
    for (const who of ['ann', 'bob']) {
      for (const key of Object.keys(SEGMENTS)) {
        const { profile } = await world.data<Answer>(QUERY, { who, key });
        const { isMember, decidedBy, conditions } = profile.membershipExplanation;
        expect(isMember, `${who} ${key}`).toBe(profile.membership.isMember);
        expect(valueByParts(conditions, 0), `${who} ${key}`).toBe(conditions[0]?.value);
        if (decidedBy === ('CONDITION' as string))
          expect(isMember, `${who} ${key}`).toBe(conditions[0]?.value === true);
        expect(conditions[0]).toMatchObject({ text: SEGMENTS[key], parent: null, decides: true });
        for (const { text } of conditions) texts.add(text);
      }
    }
    const alternative = '!has(traits.city) && performed("view", "1h")';
    expect([...texts]).toEqual(expect.arrayContaining([alternative, '!has(traits.city)', 'has(traits.city)']));
  });

  it('tells how far each part is from its threshold, of what, and when time alone will change it', async () => {
    const { isMember, holdsUntil, conditions } = await explain('ann', 'abandoned');
    expect([isMember, holdsUntil]).toEqual([false, START_MS + 5 * MINUTE_MS]);
    const [whole, since, young, none] = conditions;
    expect(whole).toMatchObject({ value: false, comparison: null, reads: [], holdsUntil: START_MS + 5 * MINUTE_MS });
    expect(since).toEqual({
      ...{
        text: 'since("cart") >= "5m"',
        parent: 0,
        value: false,
        decides: true,
        holdsUntil: START_MS + 5 * MINUTE_MS,
      },
      // As of now is an instant later: what happens now counts.
      comparison: { value: 3 * MINUTE_MS + 1, op: '>=', threshold: 5 * MINUTE_MS, margin: 1 - 2 * MINUTE_MS },
      reads: [{ kind: 'event', name: 'cart', value: 1, eventAt: START_MS }],
    });
    expect(young).toMatchObject({
      value: true,
      decides: false,
      comparison: { margin: 3 * MINUTE_MS + 1 - 24 * HOUR_MS },
    });
    expect(none).toMatchObject({ value: true, decides: false, comparison: { value: 0, threshold: 0 } });
  });

  it('changes by time where a segment changes that it refers to', async () => {
    const { isMember, holdsUntil, conditions } = await explain('ann', 'waiting');
    expect([isMember, holdsUntil]).toEqual([true, START_MS + 5 * MINUTE_MS]);
    const reference = conditions.find(({ text }) => text === 'segment("abandoned")');
    expect(reference).toMatchObject({ value: false, holdsUntil: START_MS + 5 * MINUTE_MS });
  });

  it('tells which steps were reached, and when', async () => {
    const { isMember, holdsUntil, conditions } = await explain('ann', 'in_order');
    expect([isMember, holdsUntil]).toEqual([true, START_MS + HOUR_MS]);
    expect(conditions[0]?.comparison).toEqual({ value: 1, op: '==', threshold: 1, margin: 0 });
    expect(conditions[0]?.reads[0]).toMatchObject({ kind: 'feature', name: 'funnel(["cart", "buy"], "1h")', value: 1 });
    expect(conditions[0]?.reads.slice(1)).toEqual([
      { kind: 'step', name: 'cart', value: 1, eventAt: START_MS },
      { kind: 'step', name: 'buy', value: 2, eventAt: null },
    ]);
    const none = await explain('ann', 'bought');
    expect(none.conditions[0]?.comparison).toEqual({ value: 0, op: '>=', threshold: 3, margin: -3 });
    expect(none.conditions[0]?.reads.slice(1).map(({ eventAt }) => eventAt)).toEqual([null, null, null]);
  });

  it('tells what the wall clock shows, and when it will show something else', async () => {
    const { isMember, holdsUntil, conditions } = await explain('ann', 'at_night');
    const eleven = Date.UTC(2023, 10, 14, 23);
    expect([isMember, holdsUntil]).toEqual([true, eleven]);
    expect(conditions[1]).toMatchObject({
      ...{ value: true, holdsUntil: eleven },
      reads: [{ kind: 'clock', name: 'time of day in UTC', value: '22:16', eventAt: null }],
    });
    // Nobody knows her zone.
    expect(conditions[2]).toMatchObject({
      value: null,
      reads: [{ kind: 'clock', name: 'hour', value: null }, { name: 'zone' }],
    });
  });

  it('tells unknown from not true', async () => {
    const { isMember, conditions } = await explain('bob', 'leeds');
    const city = conditions.find(({ text }) => text === 'traits.city == "Leeds"');
    expect(city).toMatchObject({ value: null, reads: [{ kind: 'trait', name: 'city', value: null, eventAt: null }] });
    expect(isMember).toBe(true);
  });

  it('says which rule decides: the dwell, what is remembered, the exit condition, consent', async () => {
    const before = await explain('bob', 'spender');
    expect(before).toMatchObject({ isMember: true, isLiveMember: true, decidedBy: 'dwell' });
    expect(before.dwellUntil).toBe((before.since ?? 0) + 10 * MINUTE_MS);
    expect(before.exitConditions[0]).toMatchObject({
      text: 'f.spend < 50.0',
      value: false,
      comparison: { margin: 70 },
    });
    expect(await explain('bob', 'mailed')).toMatchObject({
      ...{ isMember: false, isAdmitted: false, decidedBy: 'admission', purposes: ['mail'] },
      conditions: [{ value: true }],
    });
    world.clock.advance(8 * MINUTE_MS);
    await world.drain();
    expect(await explain('bob', 'spender')).toMatchObject({ isMember: true, decidedBy: 'memory', dwellUntil: null });
  });

  it('tells what a score owes to each feature, against what the model was trained on', async () => {
    const { models, conditions } = await explain('ann', 'hot');
    const [model] = models;
    const byFeature = new Map(model?.contributions.map((each) => [each.feature, each]));
    expect(byFeature.get('petal_length_tenths')).toMatchObject({ value: 56, reference: 14, referenceFrom: 'training' });
    expect(byFeature.get('petal_width_class')).toMatchObject({
      value: 'wide',
      reference: null,
      referenceFrom: 'missing',
    });
    // What it is said to owe is what it loses: asked of somebody whose petal is as short, and else the same.
    const properties = {
      sepal_length_cm: 6.7,
      sepal_width_cm: 3.1,
      petal_length_tenths: 14,
      petal_width_class: 'wide',
    };
    await world.accept([aTrack('flower', { user_id: 'short' }, { properties })]);
    await world.drain();
    const short = await world.data<{ profile: { score: { score: number } } }>(
      '{ profile(identifier: { namespace: "user_id", value: "short" }) { score(model: "iris_named") { score } } }',
    );
    const lost = (model?.score ?? NaN) - short.profile.score.score;
    expect(byFeature.get('petal_length_tenths')?.contribution).toBeCloseTo(lost, 9);
    expect(conditions.find(({ text }) => text === 'score("iris_named") >= 0.5')?.comparison?.value).toBe(model?.score);
  });

  it('is refused for who and what there is not', async () => {
    await expect(explain('nobody', 'leeds')).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await expect(explain('ann', 'leds')).rejects.toMatchObject({ code: 'NOT_FOUND', where: 'segment' });
    await world.engine.services.segments.upsert({
      ...{ key: 'a_draft', name: 'x', description: '', tags: [], expression: 'performed("view")' },
    });
    world.engine.definitions.invalidate();
    await expect(explain('ann', 'a_draft')).rejects.toMatchObject({
      code: expect.stringMatching(/CONFLICT|NOT_FOUND/) as string,
    });
  });

  it('is for admins alone', async () => {
    const { errors } = await world.ask(QUERY, { who: 'ann', key: 'leeds' }, { key: world.keys.read });
    expect(errors?.map(({ extensions }) => extensions['code'])).toEqual(['FORBIDDEN']);
  });
});

describe('weft segment explain', () => {
  const run = (...args: string[]) =>
    runWith(
      (io) => addExplainCommand(new Command('segment'), { ...io, withExplainer: (use) => use(explainer) }),
      ['explain', ...args],
    );

  it('shows it as text and as JSON, and notes whom it showed', async () => {
    const { code, stdout } = await run('spender', '--identifier', 'user_id:bob');
    expect(code).toBe(0);
    expect(stdout).toMatch(
      /^In spender, version 1, as of .*: members stay until the exit condition is true\.\nIn it since /,
    );
    expect(stdout).toContain('feature spend = 120');
    expect(stdout).toContain('120 > 100, margin 20');
    const ordered = (await run('in_order', '--identifier', 'user_id:ann')).stdout;
    expect(ordered).toContain('1 == 1, margin 0');
    expect(ordered).toMatch(
      / step 1, cart, at 2023-11-14T22:13:20.000Z\n *step 2, buy: no such event that counts since step 1\n/,
    );
    expect(ordered).toContain(' funnel(["cart", "buy"], "1h") = 1 at ');
    expect(ordered).not.toContain('_funnel');
    const none = (await run('bought', '--identifier', 'user_id:ann')).stdout;
    expect(none).toMatch(/step 1, view: no such event that still counts\n *step 2, cart: waits for step 1\n/);
    const asleep = (await run('at_night', '--identifier', 'user_id:ann')).stdout;
    expect(asleep).toMatch(/time of day in UTC is 22:\d\d\n *until 2023-11-14T23:00:00.000Z\n/);
    await run('spender', '--identifier', 'user_id:bob');
    const [{ profile_id: id = '' } = {}] = await world.db.query<{ profile_id?: string }>(
      'SELECT profile_id FROM identifiers WHERE id = $1',
      [hashId('user_id', 'bob')],
    );
    expect(shown.at(-1)).toBe(id);
    const json = JSON.parse(
      (await run('hot', '--identifier', 'user_id:ann', '--json')).stdout,
    ) as MembershipExplanation;
    expect(json).toMatchObject({ key: 'hot', models: [{ key: 'iris_named', method: 'ablation' }] });
    expect((await run('spender', '--identifier', 'bob')).code).toBe(2);
  });
});
