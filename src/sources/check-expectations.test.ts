import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { FeatureDefinition, FeatureView } from '../features/feature.model.js';
import { ExpectationCheck } from './check-expectations.js';
import type { LoadUnit } from './group-rows.js';
import { expectationsOfViews } from './load-expectation.model.js';
import { findingText } from './load-report.js';
import { parseMapping } from './parse-mapping.js';

const MAPPING = `
source: shop
format: csv
key: '{id}'
identifiers: { user_id: user }
event: { type: track, name: order }
properties: { total: { column: total, type: double }, plan: plan }
`;

function expectationsOf(expect: string) {
  return parseMapping(`${MAPPING}expect: ${expect}`).expectations;
}

function aUnit(number: number, properties: Record<string, unknown>, name = 'order'): LoadUnit {
  const event = { type: 'track', name, identifiers: [], properties } as unknown as LoadUnit['event'];
  return { event, refusal: null, row: { number } as LoadUnit['row'], rows: 1 };
}

function findingsOf(expect: string, totals: readonly unknown[], isWhole = true) {
  const check = new ExpectationCheck(expectationsOf(expect));
  totals.forEach((total, i) => {
    check.add(aUnit(i + 1, total === undefined ? {} : { total }));
  });
  return check.findings(isWhole);
}

describe('what is expected of the events of a file', () => {
  it('is not met by what a look at all of them finds', () => {
    const values = fc.array(fc.option(fc.integer({ min: -5, max: 5 }), { nil: undefined }), { maxLength: 40 });
    fc.assert(
      fc.property(values, (totals) => {
        const found = findingsOf(
          '{ events: { min: 5, max: 30 }, properties.total: { min: -2, max: 3, null_share: 0.2, distinct_min: 4, one_of: [0, 1, 2, -4] } }',
          totals,
        );
        const there = totals.filter((total) => total !== undefined);
        const rowsWhere = (isBlamed: (total: number | undefined) => boolean): number[] =>
          totals.flatMap((total, i) => (isBlamed(total) ? [i + 1] : []));
        const rules: [string, boolean, readonly number[] | null][] = [
          ['min', totals.length < 5, null],
          ['max', totals.length > 30, null],
          ['min', there.some((t) => t < -2), rowsWhere((t) => t !== undefined && t < -2)],
          ['max', there.some((t) => t > 3), rowsWhere((t) => t !== undefined && t > 3)],
          [
            'null_share',
            totals.length > 0 && totals.length - there.length > 0.2 * totals.length,
            rowsWhere((t) => t === undefined),
          ],
          ['distinct_min', new Set(there).size < 4, null],
          [
            'one_of',
            there.some((t) => ![0, 1, 2, -4].includes(t)),
            rowsWhere((t) => t !== undefined && ![0, 1, 2, -4].includes(t)),
          ],
        ];
        const expected = rules.filter(([, isBroken]) => isBroken);
        expect(found.map(({ kind, events, rows }) => [kind, events, rows])).toEqual(
          expected.map(([kind, , rows]) => [kind, rows?.length ?? null, (rows ?? []).slice(0, 5)]),
        );
      }),
    );
  });

  it('is told without values, but for the number that is beyond', () => {
    const [finding] = findingsOf('{ properties.total: { max: 10, otherwise: stop } }', [5, 1_000, 20]);
    expect(finding).toEqual({
      ...{ name: 'properties.total', kind: 'max', value: 1_000, bound: 10, events: 2, rows: [2, 3], otherwise: 'stop' },
    });
    expect(finding && findingText(finding)).toBe(
      'properties.total: 1000, at most 10 is expected (2 events; rows 2, 3)',
    );
    const texts = findingsOf('{ properties.plan: { one_of: [free] } }', []);
    expect(texts).toEqual([]);
  });

  it('tells nothing of the whole where only a part was read', () => {
    expect(
      findingsOf('{ events: { min: 9 }, properties.total: { null_share: 0, distinct_min: 5 } }', [1, undefined], false),
    ).toEqual([]);
    expect(findingsOf('{ properties.total: { min: 2 } }', [1], false)).toHaveLength(1);
  });

  it.each([
    ['{ properties.totl: { min: 1 } }', 'did you mean "properties.total"?'],
    ['{ properties.total: { min: 3, max: 1 } }', 'is less than "min"'],
    ['{ properties.total: { otherwise: stop } }', 'expects nothing'],
    ['{ properties.total: { null_share: 2 } }', 'from 0 to 1'],
    ['{ properties.total: { otherwise: fail } }', 'must be one of warn, stop'],
    ['{ events: { null_share: 0.1 } }', 'unknown field'],
    ['{ properties.plan: { one_of: [] } }', '1 to 1000 items'],
  ])('is refused where it is wrong: %s', (expect_, message) => {
    expect(() => expectationsOf(expect_)).toThrow(message);
  });

  it('makes no other events of a file', () => {
    const [plain, expecting] = [MAPPING, `${MAPPING}expect: { events: { min: 1 } }`].map((text) => parseMapping(text));
    expect(expecting?.hash).toBe(plain?.hash);
  });
});

describe('what batch views expect', () => {
  it('is asked of the rows of their source and event', () => {
    const feature = { name: 'tier', view: 'crm', events: ['customer'], source: 'shop', value: 'properties.tier' };
    const view = {
      ...{ name: 'crm', kind: 'batch', source: 'shop', features: [feature as unknown as FeatureDefinition] },
      expect: { tier: { null_share: 0.1, psi: 0.2, on_load: 'stop' } },
    } as unknown as FeatureView;
    const expectations = expectationsOfViews([view], 'shop', null);
    expect(expectations).toMatchObject([{ name: 'crm.tier', event: 'customer', nullShare: 0.1, otherwise: 'stop' }]);
    expect(expectationsOfViews([view], 'other', null)).toEqual([]);
    // Records of an entity may come by the same source.
    expect(expectationsOfViews([view], 'shop', 'item')).toEqual([]);
    expect(expectationsOfViews([{ ...view, entity: 'item' }], 'shop', 'item')).toEqual(expectations);
    expect(expectationsOfViews([{ ...view, expect: { tier: { psi: 0.2 } } }], 'shop', null)).toEqual([]);
    const check = new ExpectationCheck(expectations);
    check.add(aUnit(1, {}));
    check.add(aUnit(2, {}, 'customer'));
    expect(check.findings(true)).toMatchObject([{ value: 1, events: 1, rows: [2] }]);
  });

  it('asks of mended rows what each has to be, and not how many there are', () => {
    const text =
      '{ properties.total: { min: 0, null_share: 0.1, distinct_min: 2, otherwise: stop }, events: { min: 3, max: 3 } }';
    const kindsOf = (formers: number) => {
      const check = new ExpectationCheck(expectationsOf(text), ({ number }) => number <= formers);
      [-1, undefined].forEach((total, i) => {
        check.add(aUnit(i + 1, total === undefined ? {} : { total }));
      });
      return check.findings(true).map(({ kind }) => kind);
    };
    expect(kindsOf(0)).toEqual(['min', 'null_share', 'distinct_min', 'min']);
    expect(kindsOf(1)).toEqual(['min']);
  });
});
