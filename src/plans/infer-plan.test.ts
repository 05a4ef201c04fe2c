import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { EventType, JsonObject, JsonValue, LoggedEvent } from '../events/event.model.js';
import { compilePlan } from './compile-plan.js';
import { PlanInference } from './infer-plan.js';
import { parsePlan } from './parse-plan.js';

function anEvent(properties: JsonObject, more: Partial<LoggedEvent> & { person?: string } = {}): LoggedEvent {
  const { person = 'ann', ...rest } = more;
  return {
    pos: 1,
    part: 0,
    sourceId: 1,
    messageId: 'm',
    type: 'track',
    name: 'order',
    occurredAt: 0,
    acceptedAt: 0,
    historical: false,
    identifiers: [{ id: person, ns: 'user_id', value: person }],
    properties,
    traits: {},
    context: {},
    groupId: null,
    ...rest,
  };
}

function inferred(events: readonly LoggedEvent[]) {
  const inference = new PlanInference();
  for (const event of events) inference.add(event);
  return inference.result('shop');
}

const many = <T>(count: number, make: (i: number) => T): T[] => Array.from({ length: count }, (_, i) => make(i));

describe('PlanInference', () => {
  it('finds types, formats, what may be null and what is always there', () => {
    const { plan } = inferred(
      many(30, (i) =>
        anEvent({
          id: `6f9619ff-8b86-4011-b42d-00cf4fc964${String(10 + i)}`,
          total: i / 2,
          count: i,
          at: '2026-01-31T12:00:00Z',
          contact: `p${String(i)}@example.com`,
          link: 'https://shop.example/a',
          coupon: i % 2 === 0 ? null : i,
          items: [{ price: i, tags: ['x'] }],
          ...(i < 29 ? { rare: true } : {}),
        }),
      ),
    );
    expect(plan.events[0]).toMatchObject({
      name: 'order',
      properties: {
        id: { type: 'string', format: 'uuid' },
        total: { type: 'number' },
        count: { type: 'integer' },
        at: { type: 'string', format: 'date-time' },
        contact: { type: 'string', format: 'email' },
        link: { type: 'string', format: 'uri' },
        coupon: { type: ['integer', 'null'] },
        items: { type: 'array', items: { type: 'object', properties: { price: { type: 'integer' } } } },
        rare: { type: 'boolean' },
      },
    });
    expect(plan.events[0]?.required).not.toContain('rare');
    expect(plan.events[0]?.required).toContain('id');
  });

  it('requires nothing of what it saw a few times only', () => {
    expect(inferred(many(19, () => anEvent({ a: 1 }))).plan.events[0]?.required).toEqual([]);
  });

  it('lists values that several people sent each, many times', () => {
    const { plan } = inferred(
      many(60, (i) => anEvent({ currency: i % 2 === 0 ? 'EUR' : 'USD' }, { person: `p${String(i % 12)}` })),
    );
    expect(plan.events[0]?.properties['currency']).toEqual({ enum: ['EUR', 'USD'] });
  });

  it.each<[string, (i: number) => Record<string, string>]>([
    ['addresses', () => ({ contact: 'ann@example.com' })],
    ['a value that one person alone sends', (i) => ({ colour: i % 12 === 0 ? 'mauve' : 'red' })],
    ['names, however few', () => ({ first_name: 'Ann' })],
    ['cities, however few', () => ({ city: 'Rome' })],
    ['identifiers', (i) => ({ owner: `p${String(i % 12)}` })],
    ['numbers of telephones', () => ({ line: 'A 5550100' })],
    ['what takes many values', (i) => ({ tint: `tint-${String.fromCharCode(97 + (i % 20))}` })],
  ])('never lists %s', (_what, make) => {
    const { text, plan } = inferred(many(120, (i) => anEvent(make(i), { person: `p${String(i % 12)}` })));
    expect(JSON.stringify(plan)).not.toContain('enum');
    for (const value of Object.values(make(0))) expect(text).not.toContain(value);
  });

  it('leaves out names that may be data, and lets what bears them pass', () => {
    const events = [
      anEvent({ 'ann@example.com': 1, ok: 2 }),
      anEvent({}, { name: 'Viewed order 1234567' }),
      anEvent({}, { name: 'ann@example.com' }),
      ...many(250, (i) => anEvent({}, { name: `n${String(i)}` })),
    ];
    const { text, plan } = inferred(events);
    expect(text).not.toContain('ann@');
    expect(text).not.toContain('1234567');
    expect(plan.policy.unplanned_event).toBe('ignore');
    const compiled = compilePlan(plan);
    for (const event of events) expect(compiled?.check(event) ?? null).toBeNull();
  });

  it('writes a file with the counts beside the names, that can be applied as it is', async () => {
    const { text, plan } = inferred([
      ...many(20, () => anEvent({ a: 1, b: null })),
      anEvent({ b: 'x' }),
      anEvent({}, { type: 'page', name: 'page' }),
    ]);
    expect(text).toContain('# 21 times');
    expect(text).toMatch(/a: \{ type: integer \} # in 95 % of them/);
    expect((await parsePlan(text, 'draft.yaml')).plan).toEqual(plan);
  });

  it('fits everything that it was made of', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(anyEvent, { minLength: 1, maxLength: 60 }), async (events) => {
        const { text } = inferred(events);
        const { plan } = await parsePlan(text, 'draft.yaml');
        const compiled = compilePlan(plan);
        for (const event of events) expect(compiled?.check(event) ?? null).toBeNull();
      }),
      { numRuns: 40 },
    );
  });
});

describe('a draft of more than a plan may hold', () => {
  /** Each property of each event has names of its own; the first ones come in each event, the last ones seldom. */
  function wideTraffic({ names, properties, fields, inner, nameLength }: Width): LoggedEvent[] {
    const padded = (name: string): string => name.padEnd(nameLength, 'x');
    const value = (prefix: string): JsonValue => ({
      ...Object.fromEntries(
        many(fields, (f) => [
          padded(`${prefix}f${String(f)}`),
          inner === 0 ? f : Object.fromEntries(many(inner, (g) => [padded(`${prefix}g${String(g)}`), 'x'])),
        ]),
      ),
    });
    return many(2, (round) =>
      many(names, (n) => {
        const sent = round === 0 ? properties : Math.ceil(properties / 2);
        const prefix = (p: number): string => `a${String(n)}b${String(p)}`;
        const content = Object.fromEntries(many(sent, (p) => [padded(prefix(p)), value(prefix(p))]));
        return anEvent(content, { name: `n${String(n)}` });
      }),
    ).flat();
  }

  interface Width {
    readonly names: number;
    readonly properties: number;
    readonly fields: number;
    readonly inner: number;
    readonly nameLength: number;
  }

  const widths: fc.Arbitrary<Width> = fc
    .record({
      names: fc.integer({ min: 1, max: 200 }),
      properties: fc.integer({ min: 1, max: 120 }),
      fields: fc.integer({ min: 0, max: 32 }),
      inner: fc.integer({ min: 0, max: 32 }),
      nameLength: fc.integer({ min: 1, max: 90 }),
    })
    // Of what is wide in all ways at once there is too much to send.
    .filter(({ names, properties, fields, inner }) => names * properties * (1 + fields * (1 + inner)) < 60_000);

  it('can be applied, and all that it was made of fits it', async () => {
    await fc.assert(
      fc.asyncProperty(widths, async (width) => {
        const events = wideTraffic(width);
        const { text, plan } = inferred(events);
        expect((await parsePlan(text, 'draft.yaml', () => 0)).plan).toEqual(plan);
        const compiled = compilePlan(plan);
        for (const event of events) expect(compiled?.check(event) ?? null).toBeNull();
      }),
      {
        numRuns: 12,
        examples: [
          [{ names: 1, properties: 1, fields: 30, inner: 30, nameLength: 90 }],
          [{ names: 2, properties: 100, fields: 20, inner: 0, nameLength: 9 }],
          [{ names: 20, properties: 60, fields: 12, inner: 0, nameLength: 9 }],
          [{ names: 200, properties: 100, fields: 0, inner: 0, nameLength: 90 }],
        ],
      },
    );
  }, 120_000);

  it('describes what came most often, and says what it leaves out of the rest', () => {
    const { text, plan } = inferred(wideTraffic({ names: 1, properties: 100, fields: 20, inner: 0, nameLength: 9 }));
    const properties = plan.events[0]?.properties ?? {};
    expect(properties['a0b0xxxxx']).toHaveProperty('properties');
    expect(properties['a0b99xxxx']).toEqual({ type: 'object' });
    expect(text).toContain('its kind alone is described, since a plan has no room for more');
  });

  it('lets properties pass that it has no room for, and names some of them', () => {
    const { text, plan } = inferred(wideTraffic({ names: 200, properties: 100, fields: 0, inner: 0, nameLength: 90 }));
    expect(Buffer.byteLength(text)).toBeLessThanOrEqual(512 * 1024);
    expect(text).toMatch(/# 2 times; \w+(, \w+){4} and \d+ more left out, since a plan has no room for more/);
    expect(plan.events[0]?.additionalProperties).toBe(true);
  });

  it('has every kind of call, however many events there are', () => {
    const events = [
      ...many(250, (i) => anEvent({}, { name: `n${i.toString(36)}` })),
      anEvent({}, { type: 'page', name: 'page' }),
    ];
    expect(inferred(events).plan.events.map(({ type }) => type)).toContain('page');
  });
});

const aText = fc.oneof(
  fc.string({ maxLength: 8 }),
  fc.constantFrom('red', 'blue', '2026-01-31T12:00:00Z', '2026-01-31', 'ann@example.com', 'https://a.example/b'),
  fc.uuid(),
);
const aScalar = fc.oneof(
  aText,
  fc.integer(),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.boolean(),
  fc.constant(null),
);
const aValue: fc.Arbitrary<JsonValue> = fc.oneof(
  aScalar,
  fc.array(aScalar, { maxLength: 3 }),
  fc.dictionary(fc.string({ maxLength: 4 }), fc.oneof(aScalar, fc.array(aScalar, { maxLength: 2 })), { maxKeys: 3 }),
);
const aContent = fc.dictionary(fc.oneof(fc.constantFrom('a', 'b', 'c', 'plan'), fc.string({ maxLength: 6 })), aValue, {
  maxKeys: 4,
});
const anyEvent = fc
  .record({
    type: fc.constantFrom<EventType>('track', 'identify', 'page', 'group'),
    name: fc.oneof(fc.constantFrom('order', 'seen'), fc.string({ minLength: 1, maxLength: 6 })),
    properties: aContent,
    traits: aContent,
    person: fc.constantFrom('ann', 'bob', 'eve'),
  })
  .map(({ type, name, ...rest }) => anEvent(rest.properties, { ...rest, type, name: type === 'track' ? name : type }));
