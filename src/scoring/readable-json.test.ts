import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readableLines } from './readable-json.js';

describe('what a trainer wrote, in words', () => {
  it('has words for keys, what belongs together below its heading, and a table of what has one form', () => {
    expect(
      readableLines({
        kind: 'boosting, 50 trees',
        averagePrecision: 0.41286412345,
        AUC: 0.83,
        is_calibrated: true,
        test: { rows: 2073, leftOut: null },
        span: { fromMs: 1_780_001_520_028, stepMs: 60_000 },
        seeds: [7, 8, 9],
        groups: [
          { name: 'f', selectionRate: 0.2 },
          { name: 'm', selectionRate: 0.25, rows: 12 },
        ],
        nested: [{ name: 'a', parts: [{ n: 1 }] }],
      }),
    ).toEqual([
      '  kind               boosting, 50 trees',
      '  average precision  0.412864',
      '  AUC                0.83',
      '  is calibrated      yes',
      '  test',
      '    rows      2073',
      '    left out  none',
      '  span',
      '    from ms  2026-05-28T20:52:00.028Z',
      '    step ms  60000',
      '  seeds              7, 8, 9',
      '  groups',
      '    name  selection rate  rows',
      '    f     0.2             -',
      '    m     0.25            12',
      '  nested',
      '    1',
      '      name  a',
      '      parts',
      '        n',
      '        1',
    ]);
  });

  it('is bounded and steers no terminal, whatever it is', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 8 })), (object) => {
        const lines = readableLines(object as never);
        expect(lines.length).toBeLessThanOrEqual(81);
        for (const line of lines) expect(line).not.toMatch(/\p{Cc}/u);
      }),
    );
    expect(readableLines(Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`k${String(i)}`, i]))).at(-1)).toBe(
      '  … 20 lines more; --json has all',
    );
    expect(readableLines({ text: 'x'.repeat(500), list: Array.from({ length: 14 }, (_, i) => i) })).toEqual([
      `  text  ${'x'.repeat(120)}…`,
      '  list  0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, … 2 more',
    ]);
  });
});
