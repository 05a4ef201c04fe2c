import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { compileTime } from '../mapping-time.js';
import { inferTime } from './infer-time.js';

const pad = (n: number): string => String(n).padStart(2, '0');
const instants = fc.array(fc.integer({ min: Date.UTC(2000, 0, 1), max: Date.UTC(2060, 0, 1) }), {
  minLength: 3,
  maxLength: 40,
});

/** Ways of writing an instant to the second, in UTC. */
const WAYS: Readonly<Record<string, (date: Date) => string>> = {
  iso: (d) => d.toISOString(),
  'iso, a space': (d) => d.toISOString().slice(0, 19).replace('T', ' '),
  epoch_s: (d) => String(d.getTime() / 1_000),
  epoch_ms: (d) => String(d.getTime()),
  german: (d) => `${pad(d.getUTCDate())}.${pad(d.getUTCMonth() + 1)}.${String(d.getUTCFullYear())} ${clock(d)}`,
  american: (d) => `${String(d.getUTCMonth() + 1)}/${String(d.getUTCDate())}/${String(d.getUTCFullYear())} ${clock(d)}`,
  slashes: (d) => `${String(d.getUTCFullYear())}/${pad(d.getUTCMonth() + 1)}/${pad(d.getUTCDate())} ${clock(d)}`,
};

function clock(d: Date): string {
  return `${pad(d.getUTCHours())}:${pad(d.getUTCMinutes())}:${pad(d.getUTCSeconds())}`;
}

describe('times of a column', () => {
  it.each(Object.entries(WAYS))(
    'written as %s are read as they were meant, or the other reading is named',
    (_, write) => {
      fc.assert(
        fc.property(instants, (times) => {
          const whole = times.map((ms) => Math.floor(ms / 1_000) * 1_000);
          const texts = whole.map((ms) => write(new Date(ms)));
          const inferred = inferTime('created_at', texts);
          const readings = [inferred?.format, inferred?.other].flatMap((format) => format ?? []);
          const read = readings.map((format) => texts.map(compileTime({ format, zone: 'UTC' })));
          expect(read).toContainEqual(whole);
        }),
        { numRuns: 60 },
      );
    },
  );

  it('are days first where rows are closer in time that way', () => {
    const days = Array.from({ length: 12 }, (_, i) => `${pad(i + 1)}/02/2025`);
    expect(inferTime('d', days)).toEqual({ format: 'd/M/yyyy', other: 'M/d/yyyy', hasOffset: false });
    const months = Array.from({ length: 12 }, (_, i) => `02/${pad(i + 1)}/2025`);
    expect(inferTime('d', months)).toMatchObject({ format: 'M/d/yyyy', other: 'd/M/yyyy' });
    expect(inferTime('d', [...days, '13/02/2025'])).toMatchObject({ format: 'd/M/yyyy', other: null });
  });

  it('are none where words, amounts or numbers of other columns stand', () => {
    for (const texts of [
      ['12', '13'],
      ['a1b2', 'c3d4'],
      ['1.50', '2.75'],
      ['1700000000', '1800000000'],
      ['10-20', '5-7'],
    ]) {
      expect(inferTime('amount', texts)).toBeNull();
    }
    expect(inferTime('created', ['1700000000', '1800000000'])).toMatchObject({ format: 'epoch_s' });
  });
});
