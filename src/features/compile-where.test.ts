import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { JsonValue } from '../events/event.model.js';
import { compileWhere, pathsOfWhere, interpretWhere } from './compile-where.js';
import type { FeatureEvent } from './feature.model.js';

function anEvent(properties: Record<string, JsonValue>, rest: Partial<FeatureEvent> = {}): FeatureEvent {
  return {
    type: 'track',
    name: 'order_completed',
    sourceId: 1,
    messageId: 'm',
    occurredAt: 0,
    properties,
    traits: {},
    context: {},
    ...rest,
  };
}

const leaf = fc.constantFrom<JsonValue[]>(
  0,
  1,
  5,
  -2.5,
  'a',
  'b',
  '',
  'ß',
  true,
  false,
  null,
  [1, 'a'],
  { x: 1 },
  { x: 'a' },
);
const bag = fc.dictionary(fc.constantFrom('a', 'b', 'c'), leaf, { maxKeys: 3 });
const someEvent = fc
  .record({ properties: bag, traits: bag, type: fc.constantFrom('track', 'page'), name: fc.constantFrom('a', 'b') })
  .map(({ properties, ...rest }) => anEvent(properties, rest));

const path = fc.constantFrom(
  'properties.a', 'properties.b', 'properties.c.x', "properties['a']", 'traits.a', 'traits.b.x', 'context.a', 'name', 'type',
); // prettier-ignore
const literal = fc.constantFrom('0', '1', '5', '-2.5', '1.0', '-1', "'a'", '"b"', "''", "'ß'", 'true', 'false', 'null');
const operator = fc.constantFrom('==', '!=', '<', '<=', '>', '>=');

const { condition } = fc.letrec<{ condition: string }>((tie) => ({
  condition: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.tuple(path, operator, literal).map((parts) => parts.join(' ')),
    fc.tuple(literal, operator, path).map((parts) => parts.join(' ')),
    fc.tuple(path, fc.constantFrom("['a', 'b']", '[1, 5]', '[true]', '[]')).map(([p, list]) => `${p} in ${list}`),
    fc.constantFrom('has(properties.a)', 'has(properties.a.x)', 'has(traits.b)', 'has(context.c.d)'),
    path,
    fc.tuple(path, fc.constantFrom('.size() > 0', '.startsWith("a")', ' + 1 > 2')).map((parts) => parts.join('')),
    tie('condition').map((inner) => `!(${inner})`),
    fc
      .tuple(tie('condition'), fc.constantFrom('&&', '||'), tie('condition'))
      .map(([a, op, b]) => `(${a}) ${op} (${b})`),
  ),
}));

describe('filters', () => {
  it('mean the same compiled as interpreted', () => {
    let compared = 0;
    fc.assert(
      fc.property(condition, fc.array(someEvent, { minLength: 5, maxLength: 5 }), (text, events) => {
        let interpreted;
        try {
          interpreted = interpretWhere(text);
        } catch {
          expect(() => compileWhere(text)).toThrow();
          return;
        }
        const compiled = compileWhere(text);
        for (const event of events)
          expect(compiled(event), `${text} on ${JSON.stringify(event)}`).toBe(interpreted(event));
        compared++;
      }),
      { numRuns: 3_000 },
    );
    expect(compared).toBeGreaterThan(1_000);
  });

  it.each([
    ['properties.total > 100', { total: 100.5 }, true],
    ['properties.total > 100', { total: '200' }, false],
    ['properties.total > 100', {}, false],
    ['!(properties.total > 100)', {}, false],
    ['properties.missing == 1 || properties.total == 5', { total: 5 }, true],
    ["type == 'track' && name == 'order_completed'", {}, true],
    ["properties.tags.exists(tag, tag == 'sale')", { tags: ['new', 'sale'] }, true],
    ["properties.tags.exists(tag, tag == 'sale')", { tags: 5 }, false],
    ["properties.country in ['DE', 'FR']", { country: 'FR' }, true],
    ["has(properties.coupon) && properties.coupon != ''", { coupon: 'X' }, true],
    ['properties.constructor == null', {}, false],
    ["properties.name.startsWith('a')", { name: 'abc' }, true],
  ])('%s on %j is %s', (text, properties, want) => {
    expect(compileWhere(text)(anEvent(properties as Record<string, JsonValue>))).toBe(want);
  });

  it.each([
    ['properties.total >', 'column'],
    ['total > 1', 'Unknown variable: total'],
    ['_typ == "track"', 'Unknown variable: _typ'],
    ['type == 5', 'string == int'],
    ['properties.s.matches("(a+)+$")', 'matches() is not available'],
    ['properties.a.exists(x, properties.b.exists(y, x == y))', 'holds another loop'],
    ['"a"', 'a filter must be true or false'],
    [Array.from({ length: 120 }, () => 'name == "a"').join(' || '), 'maxAstNodes'],
    ['properties.kind = "review"', 'unexpected = column 17 write == for ='],
    ['properties.total > 5 and name == "a"', 'column 22 write && for and'],
    ['name == “a”', 'write plain quotation marks "…" for “'],
    ['(name == "a"', 'add ) to close (name == "a"'],
    ['name name', 'a filter is CEL over properties, traits, context, type and name'],
    [`name == "${'a'.repeat(4_000)}"`, 'is too long'],
  ])('%s is refused', (text, what) => {
    try {
      compileWhere(text);
      expect.unreachable();
    } catch (error) {
      const { code, message, where, hint } = error as Record<string, string>;
      expect(code).toBe('EXPRESSION_INVALID');
      expect(`${String(message)} ${String(where)} ${String(hint)}`).toContain(what);
    }
  });

  it('name the paths that they read, and what leads there, each once', () => {
    const text =
      'properties.b.c == 1 && (traits["a"] == 2 || has(context.d)) && properties.b != 3 && name == "properties.x"';
    expect(pathsOfWhere(text)).toEqual(['context.d', 'properties.b', 'properties.b.c', 'traits.a']);
  });

  it('give the column of a fault as it was written', () => {
    expect(() => compileWhere('type == "track" && type == 5')).toThrow(
      expect.objectContaining({ where: 'column 20', message: 'no such overload: string == int' }),
    );
  });
});
