import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import type { PlannedContent } from '../events/event-plan.model.js';
import type { JsonObject, JsonValue } from '../events/event.model.js';
import { compilePlan } from './compile-plan.js';
import { parsePlan } from './parse-plan.js';
import { SchemaCompiler } from './schema-compiler.js';
import { DEFAULT_POLICY, type TrackingPlan } from './tracking-plan.model.js';

async function aPlan(text: string): Promise<TrackingPlan> {
  return (await parsePlan(`tracking_plan: shop\n${text}`, 'plan.yaml')).plan;
}

function anEvent(properties: JsonObject, more: Partial<PlannedContent> = {}): PlannedContent {
  return { type: 'track', name: 'order', properties, traits: {}, ...more };
}

const ORDER = `
events:
  - name: order
    required: [id]
    properties:
      id: { type: string }
      total: { type: number, minimum: 0 }
      when: { type: string, format: date-time }
`;

describe('a compiled plan', () => {
  it('has nothing to say of an event that is as planned', async () => {
    const plan = compilePlan(await aPlan(ORDER));
    expect(plan?.check(anEvent({ id: 'a', total: 3, when: '2026-01-31T12:00:00Z' }))).toBeNull();
  });

  it('compiles nothing when an event comes that it is prepared for', async () => {
    const plan = compilePlan(await aPlan(`${ORDER}    allOf: [{ type: object, minProperties: 1 }]\n`));
    const steps = [...(plan?.prepare() ?? [])].length;
    const compile = vi.spyOn(SchemaCompiler.prototype, 'compile');
    try {
      expect(plan?.check(anEvent({ id: 'a', total: -1 }))?.violations).toHaveLength(1);
      expect(compile).not.toHaveBeenCalled();
      expect(steps).toBe(4);
    } finally {
      compile.mockRestore();
    }
  });

  it('names each violation by rule and place, and takes the event', async () => {
    const plan = compilePlan(await aPlan(ORDER));
    const event = anEvent({ total: -1, when: '2026-02-31T12:00:00Z', note: 'x', 'ann@example.com': 1 });
    expect(plan?.check(event)).toEqual({
      properties: event.properties,
      traits: {},
      violations: [
        { rule: 'invalid_value', path: 'properties.total' },
        { rule: 'invalid_value', path: 'properties.when' },
        { rule: 'unplanned_property', path: 'properties.note' },
        { rule: 'unplanned_property', path: 'properties.*' },
        { rule: 'missing_property', path: 'properties.id' },
      ],
      refusal: null,
    });
  });

  it('drops what it is told to drop, and nothing else', async () => {
    const plan = compilePlan(await aPlan(`policy: { invalid_value: drop, unplanned_property: drop }\n${ORDER}`));
    const verdict = plan?.check(anEvent({ id: 'a', total: 'free', note: 'x', when: '2026-01-31T12:00:00Z' }));
    expect(verdict?.properties).toEqual({ id: 'a', when: '2026-01-31T12:00:00Z' });
    expect(verdict?.violations).toHaveLength(2);
  });

  it('refuses with the rule, the place and what is wrong, and never with a value', async () => {
    const plan = compilePlan(await aPlan(`policy: { invalid_value: refuse, missing_property: refuse }\n${ORDER}`));
    const refusal = plan?.check(anEvent({ total: 'ann@example.com' }))?.refusal;
    expect(refusal).toMatchObject({
      code: 'SCHEMA',
      reason:
        'track order violates the tracking plan of the source: properties.total must be number (invalid_value); ' +
        'properties.id is missing (missing_property)',
    });
    expect(JSON.stringify(refusal)).not.toContain('ann@');
  });

  it('knows only the kinds of calls that it mentions, and all track events', async () => {
    const plan = compilePlan(await aPlan(`${ORDER}  - { type: page, name: Pricing }\n`));
    const violationsOf = (more: Partial<PlannedContent>) => plan?.check(anEvent({}, more))?.violations;
    expect(violationsOf({ type: 'identify', name: 'identify' })).toBeUndefined();
    expect(violationsOf({ name: 'other' })).toEqual([{ rule: 'unplanned_event', path: '' }]);
    expect(violationsOf({ type: 'page', name: 'page', properties: { name: 'Pricing' } })).toEqual([
      { rule: 'unplanned_property', path: 'properties.name' },
    ]);
    expect(violationsOf({ type: 'page', name: 'page', properties: { name: 'Jobs' } })).toEqual([
      { rule: 'unplanned_event', path: '' },
    ]);
  });

  it('looks at traits for identify, and lets one event have a policy of its own', async () => {
    const plan = compilePlan(
      await aPlan(`
policy: { invalid_value: refuse }
events:
  - type: identify
    policy: { invalid_value: drop }
    traits: { plan: { enum: [free, pro] } }
`),
    );
    const verdict = plan?.check(anEvent({}, { type: 'identify', name: 'identify', traits: { plan: 'x' } }));
    expect(verdict).toMatchObject({ traits: {}, refusal: null });
    expect(verdict?.violations).toEqual([{ rule: 'invalid_value', path: 'traits.plan' }]);
  });

  it('holds all properties together against allOf', async () => {
    const plan = compilePlan(
      await aPlan(`
policy: { invalid_value: drop }
events:
  - name: order
    properties: { coupon:, discount: }
    allOf: [{ type: object, dependentRequired: { coupon: [discount] } }]
`),
    );
    expect(plan?.check(anEvent({ coupon: 'a', discount: 1 }))).toBeNull();
    const verdict = plan?.check(anEvent({ coupon: 'a' }));
    expect(verdict?.violations).toEqual([{ rule: 'invalid_value', path: 'properties' }]);
    expect(verdict?.properties).toEqual({ coupon: 'a' });
  });

  it('is nothing where every violation is ignored', async () => {
    const policy = Object.fromEntries(Object.keys(DEFAULT_POLICY).map((rule) => [rule, 'ignore']));
    const plan = await aPlan(ORDER);
    expect(compilePlan({ ...plan, policy: { ...DEFAULT_POLICY, ...policy } })).toBeNull();
  });

  it('is not confused by names that objects have by themselves', async () => {
    const plan = compilePlan(await aPlan('events: [{ name: order, required: [toString, valueOf] }]'));
    const event = JSON.parse('{"hasOwnProperty": 1, "__proto__": {"id": 1}, "valueOf": 2}') as JsonObject;
    expect(plan?.check(anEvent(event))?.violations).toEqual([
      { rule: 'unplanned_property', path: 'properties.hasOwnProperty' },
      { rule: 'missing_property', path: 'properties.toString' },
    ]);
    expect(plan?.check(anEvent({}, { name: 'constructor' }))?.violations).toHaveLength(1);
  });

  it('takes a time that grows no faster than the text, whatever the pattern and the format', async () => {
    const plan = compilePlan(
      await aPlan(`
events:
  - name: order
    properties:
      a: { type: string, pattern: "^(a+)+$" }
      b: { type: string, pattern: "(x+x+)+y" }
      e: { type: string, format: email }
      u: { type: string, format: uri }
      h: { type: string, format: hostname }
      l: { type: array, uniqueItems: true }
`),
    );
    const long = 'a'.repeat(30_000);
    const event = anEvent({
      a: `${'a'.repeat(1_000)}!`,
      b: 'x'.repeat(1_000),
      e: `${'a.'.repeat(15_000)}@`,
      u: `a:${long} `,
      h: 'a-'.repeat(15_000),
      l: Array.from({ length: 8_000 }, (_, i) => ({ i })),
    });
    const startedMs = performance.now();
    expect(plan?.check(event)?.violations.map(({ path }) => path)).toEqual(
      ['a', 'b', 'e', 'u', 'h'].map((name) => `properties.${name}`),
    );
    // Backtracking would take years.
    expect(performance.now() - startedMs).toBeLessThan(5_000);
  });

  it('agrees with rules that are read one by one', () => {
    fc.assert(
      fc.property(
        fc.array(aProperty, { maxLength: 5 }),
        fc.dictionary(aKey, aValue, { maxKeys: 5 }),
        (planned, sent) => {
          const names = new Map<string, (typeof planned)[number]>(planned.map((each) => [each.name, each]));
          const plan: TrackingPlan = {
            description: '',
            policy: { ...DEFAULT_POLICY, invalid_value: 'drop', unplanned_property: 'drop' },
            events: [
              {
                type: 'track',
                name: 'order',
                description: '',
                policy: {},
                required: [...names.values()].filter(({ required }) => required).map(({ name }) => name),
                properties: Object.fromEntries([...names].map(([name, { type }]) => [name, { type }])),
                additionalProperties: false,
                allOf: [],
              },
            ],
          };
          const verdict = compilePlan(plan)?.check(anEvent(sent));
          const expected = new Set<string>();
          const kept: JsonObject = {};
          for (const [name, value] of Object.entries(sent)) {
            const rule = names.get(name);
            if (rule === undefined) expected.add(`unplanned_property ${name}`);
            else if (!hasType(value, rule.type)) expected.add(`invalid_value ${name}`);
            else kept[name] = value;
          }
          for (const { name, required } of names.values()) {
            if (required && !Object.hasOwn(sent, name)) expected.add(`missing_property ${name}`);
          }
          const found = verdict?.violations.map(({ rule, path }) => `${rule} ${path.replace('properties.', '')}`) ?? [];
          expect(new Set(found)).toEqual(expected);
          expect(verdict?.properties ?? sent).toEqual(kept);
        },
      ),
    );
  });
});

const aKey = fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f');
const TYPES = ['string', 'number', 'integer', 'boolean', 'null', 'array', 'object'] as const;
const aProperty = fc.record({ name: aKey, type: fc.constantFrom(...TYPES), required: fc.boolean() });
const aValue: fc.Arbitrary<JsonValue> = fc.oneof(
  fc.string(),
  fc.integer(),
  fc.constantFrom(0.5, true, false, null),
  fc.constantFrom<JsonValue>([], [1], {}, { a: 1 }),
);

function hasType(value: JsonValue, type: (typeof TYPES)[number]): boolean {
  if (type === 'null') return value === null;
  if (type === 'array') return Array.isArray(value);
  if (type === 'object') return typeof value === 'object' && value !== null && !Array.isArray(value);
  return type === 'integer' ? Number.isInteger(value) : typeof value === type;
}
