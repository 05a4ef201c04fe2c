import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { JsonValue } from '../events/event.model.js';
import { WeftError } from '../platform/errors.js';
import { diffPlans } from './diff-plans.js';
import { parsePlan } from './parse-plan.js';
import { planYaml } from './plan-yaml.js';
import { checkStoredPlan } from './schema-budget.js';
import {
  DEFAULT_POLICY,
  PLAN_ACTIONS,
  POSSIBLE_ACTIONS,
  type EventRule,
  type JsonSchema,
  type TrackingPlan,
} from './tracking-plan.model.js';

const SHOP = `
tracking_plan: shop
description: What the pages of the shop send
policy:
  invalid_value: drop
events:
  - name: order_completed
    policy: { missing_property: refuse }
    required: [order_id, total]
    properties:
      order_id: { type: string, maxLength: 40, pattern: "^o-[0-9]+$" }
      total: { type: number, minimum: 0 }
      note:
  - type: identify
    traits:
      plan: { enum: [free, pro] }
  - type: group
    traits: { size: { type: integer } }
  - { type: page, name: Pricing, additionalProperties: true }
  - { type: page }
`;

async function problemsOf(text: string): Promise<string> {
  try {
    await parsePlan(text, 'plan.yaml');
  } catch (error) {
    if (error instanceof WeftError && error.code === 'DEFINITION_INVALID') return error.message;
    throw error;
  }
  return '';
}

const withProperty = (schema: string): string =>
  `tracking_plan: shop\nevents:\n  - name: a\n    properties:\n      p: ${schema}\n`;

/** Events with properties that refer to a definition, which stands for 21 schemas, as often as told. */
function planOf(events: number, properties: number, references: number): string {
  const lines = ['tracking_plan: shop', 'events:'];
  for (let e = 0; e < events; e++) {
    lines.push(`  - name: e${String(e)}`, '    properties:');
    for (let p = 0; p < properties; p++) {
      const definition = `d${String(e)}_${String(p)}`;
      const fields = Array.from({ length: 20 }, (_, i) => `f${String(i)}: { type: string }`).join(', ');
      const refers = Array.from({ length: references }, (_, i) => `r${String(i)}: { $ref: "#/$defs/${definition}" }`);
      lines.push(
        `      p${String(p)}: { type: object, $defs: { ${definition}: { type: object, properties: { ${fields} } } }, ` +
          `properties: { ${refers.join(', ')} } }`,
      );
    }
  }
  return `${lines.join('\n')}\n`;
}

describe('parsePlan', () => {
  it('reads events, traits, policies and schemas', async () => {
    const { source, plan } = await parsePlan(SHOP, 'plan.yaml');
    expect(source).toBe('shop');
    expect(plan.policy).toEqual({ ...DEFAULT_POLICY, invalid_value: 'drop' });
    expect(plan.events.map(({ type, name }) => [type, name])).toEqual([
      ['track', 'order_completed'],
      ['identify', null],
      ['group', null],
      ['page', 'Pricing'],
      ['page', null],
    ]);
    expect(plan.events[0]).toMatchObject({ policy: { missing_property: 'refuse' }, required: ['order_id', 'total'] });
    expect(plan.events[0]?.properties['note']).toBe(true);
    expect(plan.events[2]?.properties).toEqual({ size: { type: 'integer' } });
  });

  it.each([
    [
      'an unknown keyword',
      '{ type: string, maxLenght: 3 }',
      '5:10',
      'maxLenght is no keyword',
      'did you mean "maxLength"?',
    ],
    ['a mistyped type', '{ type: strng }', '5:10', 'type is no type: strng', 'did you mean string?'],
    [
      'a type of another language',
      '{ type: [string, uuid] }',
      '5:10',
      'is no type: uuid',
      'write one of string, number',
    ],
    ['a reference to elsewhere', '{ $ref: "https://example.com/a.json" }', '5:10', '$ref leads nowhere'],
    ['a reference to all of it', '{ $ref: "#" }', '5:10', '$ref leads nowhere'],
    ['a circle', '{ $ref: "#/$defs/a", $defs: { a: { items: { $ref: "#/$defs/a" } } } }', '5:10', 'leads in a circle'],
    ['an id, which others could refer to', '{ $id: "https://example.com/a.json" }', '5:10', '$id is no keyword'],
    ['a pattern that could hang', '{ type: string, pattern: "(?=a)b" }', '5:10', 'pattern is no RE2 pattern'],
    ['a pattern as a name', '{ type: object, patternProperties: { "(a)\\\\1": true } }', '5:10', 'no RE2 pattern'],
    ['a format that is not checked', '{ type: string, format: idn-email }', '5:10', 'format is no format'],
    ['a value that a keyword cannot have', '{ type: number, minimum: low }', '5:10', 'minimum must be number'],
    ['a keyword for another type', '{ type: string, minimum: 3 }', '5:10', 'strict mode'],
    ['no schema', '3', '5:10', 'the schema is no schema'],
    [
      'a reserved name',
      '{ type: object, properties: { __proto__: true } }',
      '5:10',
      'is a name that no event can have',
    ],
  ])('refuses %s, and says where', async (_what, schema, place, ...words) => {
    const message = await problemsOf(withProperty(schema));
    expect(message).toContain(`plan.yaml:${place.split(':')[0] ?? ''}:`);
    for (const word of words) expect(message).toContain(word);
  });

  it.each([
    ['a track event without a name', 'tracking_plan: shop\nevents: [{ type: track }]', 'needs a name'],
    ['an identify with a name', 'tracking_plan: shop\nevents: [{ type: identify, name: a }]', 'has no name'],
    [
      'an identify with properties',
      'tracking_plan: shop\nevents: [{ type: identify, properties: {} }]',
      'traits to be',
    ],
    ['an event twice', 'tracking_plan: shop\nevents: [{ name: a }, { name: a }]', 'described twice'],
    ['dropping what is missing', 'tracking_plan: shop\npolicy: { missing_property: drop }', 'cannot be "drop"'],
    ['no source', 'events: []', 'which source'],
    ['a source that cannot be', 'tracking_plan: Shop', 'no key'],
    ['an unknown field', 'tracking_plan: shop\nevent: []', 'did you mean "events"?'],
  ])('refuses %s', async (_what, text, word) => {
    expect(await problemsOf(text)).toContain(word);
  });

  it('refuses schemas that stand for more checks than they show', async () => {
    const levels = Array.from({ length: 9 }, (_, i) => {
      const next = `{ $ref: "#/$defs/d${String(i + 1)}" }`;
      return `d${String(i)}: { allOf: [${next}, ${next}, ${next}] }`;
    });
    const bomb = `{ $ref: "#/$defs/d0", $defs: { ${levels.join(', ')}, d9: { type: string } } }`;
    expect(await problemsOf(withProperty(bomb))).toContain('more than 100 schemas');
  });

  it('refuses a property that refers to many schemas many times', async () => {
    expect(await problemsOf(planOf(1, 1, 20))).toContain('the schema holds more than 100 schemas');
  });

  it('counts the schemas of an event and of a plan, those behind each $ref too, and names the event', async () => {
    expect(await problemsOf(planOf(1, 11, 4))).toBe('');
    expect(await problemsOf(planOf(1, 20, 4))).toContain('track e0 holds more than 1000 schemas in all');
    expect(await problemsOf(planOf(12, 11, 4))).toContain('the plan holds more than 10000 schemas in all');
  });

  it('counts long lists of names and large patterns, which take as long to compile or to match', async () => {
    const listOf = (count: number) => `[${Array.from({ length: count }, (_, i) => `n${String(i)}`).join(', ')}]`;
    expect(await problemsOf(withProperty(`{ type: object, dependentRequired: { a: ${listOf(10)} } }`))).toBe('');
    for (const schema of [
      `{ type: object, dependentRequired: { a: ${listOf(200)} } }`,
      `{ allOf: [${Array.from({ length: 12 }, (_, i) => `{ type: string, pattern: "a{${String(180 + i)}}" }`).join(', ')}] }`,
    ]) {
      expect(await problemsOf(withProperty(schema))).toContain('more than 100 schemas');
    }
    const large = withProperty('{ type: string, pattern: "(a?){900}(a?){900}" }');
    expect(await problemsOf(large)).toContain('pattern is a pattern that repeats too much');
  });

  it('refuses definitions that are nested too deep together, in whatever order they stand', async () => {
    const chain = Array.from({ length: 13 }, (_, i) =>
      i === 0 ? 'd0: { type: string }' : `d${String(i)}: { items: { $ref: "#/$defs/d${String(i - 1)}" }, type: array }`,
    );
    for (const definitions of [chain, [...chain].reverse()]) {
      const schema = (last: number) => `{ $defs: { ${definitions.join(', ')} }, $ref: "#/$defs/d${String(last)}" }`;
      expect(await problemsOf(withProperty(schema(12)))).toContain('is nested deeper than 12 levels');
    }
    const flat = `{ $defs: { ${chain.slice(0, 4).join(', ')} }, $ref: "#/$defs/d3" }`;
    expect(await problemsOf(withProperty(flat))).toBe('');
  });

  it('refuses a plan that takes long to compile, and names the event and the property', async () => {
    let ms = 0;
    const slow = parsePlan(withProperty('{ type: string }'), 'plan.yaml', () => (ms += 600));
    await expect(slow).rejects.toThrow(/plan\.yaml:5:10: property p of track a takes more than 500 ms to compile/);
    const many = parsePlan(planOf(1, 60, 0), 'plan.yaml', () => (ms += 400));
    await expect(many).rejects.toThrow('the plan up to property p50 of track e0 takes more than 20000 ms to compile');
    await expect(parsePlan(planOf(1, 40, 0), 'plan.yaml', () => (ms += 400))).resolves.toBeDefined();
  });

  it('holds stored plans, which may be older than the limits, against them', async () => {
    const { plan } = await parsePlan(planOf(1, 11, 4), 'plan.yaml');
    await expect(checkStoredPlan(plan)).resolves.toBeUndefined();
    const [rule] = plan.events;
    if (rule === undefined) throw new Error('the plan has an event');
    const wide = Object.fromEntries(Array.from({ length: 1_001 }, (_, i) => [`p${String(i)}`, { const: i }]));
    const larger = { ...plan, events: [{ ...rule, properties: wide }] };
    await expect(checkStoredPlan(larger)).rejects.toThrow('track e0 holds more than 1000 schemas in all');
  });

  it('reads back what it is written as, with remarks or without', async () => {
    await fc.assert(
      fc.asyncProperty(aPlan, async (plan) => {
        const remarks = new Map(plan.events.map((rule) => [`${rule.type} ${rule.name ?? ''}`, 'seen # often: yes']));
        for (const text of [planYaml('shop', plan), planYaml('shop', plan, remarks, ' a head: of it')]) {
          const parsed = await parsePlan(text, 'plan.yaml');
          expect(parsed).toEqual({ source: 'shop', plan });
          expect(diffPlans(plan, parsed.plan)).toEqual([]);
        }
      }),
      { numRuns: 20 },
    );
  });
});

describe('diffPlans', () => {
  it('says what is added, taken away and changed', async () => {
    const { plan } = await parsePlan(SHOP, 'plan.yaml');
    const edited = SHOP.replace('invalid_value: drop', 'invalid_value: refuse')
      .replace('required: [order_id, total]', 'required: [order_id, note]')
      .replace('minimum: 0', 'minimum: 1')
      .replace('      note:\n', '')
      .replace('  - { type: page }\n', '  - { name: refunded }\n');
    expect(diffPlans(plan, (await parsePlan(edited, 'plan.yaml')).plan)).toEqual([
      '~ policy: invalid_value drop -> refuse',
      '~ track order_completed: properties.total',
      '- track order_completed: properties.note',
      '~ track order_completed: properties.note is required',
      '~ track order_completed: properties.total is no longer required',
      '+ track refunded',
      '- page',
    ]);
  });
});

const aText = fc.string({ minLength: 1, maxLength: 12, unit: 'grapheme' }).filter((text) => text.trim() !== '');
const aName = aText.filter((name) => !['__proto__', 'constructor', 'prototype'].includes(name));
const aSchema: fc.Arbitrary<JsonSchema> = fc.oneof(
  fc.constant(true),
  fc.record({ type: fc.constantFrom('string', 'number', 'boolean') }),
  fc.record({ enum: fc.uniqueArray(fc.oneof(aText, fc.integer(), fc.constant(null)), { minLength: 1, maxLength: 4 }) }),
  fc.record({ type: fc.constant<JsonValue>(['string', 'null']), maxLength: fc.nat(100), description: aText }),
);

const aRule: fc.Arbitrary<EventRule> = fc.record({
  type: fc.constant('track' as const),
  name: aName,
  description: fc.oneof(fc.constant(''), aText),
  policy: fc.oneof(fc.constant({}), fc.record({ invalid_value: fc.constantFrom(...PLAN_ACTIONS) })),
  required: fc.uniqueArray(aName, { maxLength: 3 }),
  properties: fc
    .uniqueArray(fc.tuple(aName, aSchema), { selector: ([name]) => name, maxLength: 4 })
    .map((entries) => Object.fromEntries(entries)),
  additionalProperties: fc.boolean(),
  allOf: fc.constantFrom<JsonSchema[]>([], [{ type: 'object', minProperties: 1 }]),
});

const aPlan: fc.Arbitrary<TrackingPlan> = fc.record({
  description: fc.oneof(fc.constant(''), aText),
  policy: fc.record({
    unplanned_event: fc.constantFrom(...POSSIBLE_ACTIONS.unplanned_event),
    missing_property: fc.constantFrom(...POSSIBLE_ACTIONS.missing_property),
    invalid_value: fc.constantFrom(...POSSIBLE_ACTIONS.invalid_value),
    unplanned_property: fc.constantFrom(...POSSIBLE_ACTIONS.unplanned_property),
  }),
  events: fc.uniqueArray(aRule, { selector: ({ name }) => name, maxLength: 4 }),
});
