import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LEAST_ID } from '../platform/ids.js';
import type { JsonValue } from '../events/event.model.js';
import { compileSegment } from './compile-segment.js';
import type { EvalContext } from './eval-context.model.js';
import { parseSegment } from './parse-segment.js';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** Around changes of the clocks: by an hour, by half of one, at midnight, over the date line, and where there are none. */
const PLACES: readonly (readonly [zone: string, near: number])[] = [
  ['Europe/Paris', Date.UTC(2026, 2, 29, 1)],
  ['Europe/Paris', Date.UTC(2026, 9, 25, 1)],
  ['America/New_York', Date.UTC(2026, 2, 8, 7)],
  ['America/New_York', Date.UTC(2026, 10, 1, 6)],
  ['Australia/Lord_Howe', Date.UTC(2026, 3, 4, 15)],
  ['Australia/Lord_Howe', Date.UTC(2026, 9, 3, 15, 30)],
  ['America/Sao_Paulo', Date.UTC(2018, 10, 4, 3)],
  ['America/Sao_Paulo', Date.UTC(2019, 1, 17, 2)],
  ['Africa/Cairo', Date.UTC(2026, 3, 23, 22)],
  ['Pacific/Apia', Date.UTC(2011, 11, 30, 10)],
  ['Asia/Kathmandu', Date.UTC(2026, 0, 1)],
  ['UTC', Date.UTC(2028, 1, 29)],
  ['-03:30', Date.UTC(2026, 11, 31)],
];

const formats = new Map<string, Intl.DateTimeFormat>();

type Shown = ReturnType<typeof read>;

const minutes = new Map<string, Shown>();

/** What the calendar of Intl says, minute by minute. */
function shown(zone: string, t: number): Shown {
  const minute = `${zone} ${String(Math.floor(t / MINUTE))}`;
  const known = minutes.get(minute) ?? read(zone, t);
  minutes.set(minute, known);
  return known;
}

function read(zone: string, t: number) {
  const name = /^[+-]/.test(zone) ? 'UTC' : zone;
  const shift = zone === '-03:30' ? -3.5 * HOUR : 0;
  const format =
    formats.get(name) ??
    new Intl.DateTimeFormat('en-GB', {
      ...{ timeZone: name, hourCycle: 'h23', weekday: 'short', year: 'numeric', month: 'numeric' },
      ...{ day: 'numeric', hour: 'numeric', minute: 'numeric' },
    });
  formats.set(name, format);
  const parts = Object.fromEntries(format.formatToParts(t + shift).map(({ type, value }) => [type, value]));
  const number = (part: string): number => Number(parts[part]);
  return {
    weekday: (parts['weekday'] ?? '').toLowerCase(),
    ...{ hour: number('hour'), day: number('day'), month: number('month'), year: number('year') },
    time: number('hour') * 60 + number('minute'),
  };
}

interface Leaf {
  readonly text: (zone: string) => string;
  readonly truth: (now: Shown) => boolean;
}

const COMPARE: Readonly<Record<string, (a: number, b: number) => boolean>> = {
  '<': (a, b) => a < b,
  '<=': (a, b) => a <= b,
  '==': (a, b) => a === b,
  '!=': (a, b) => a !== b,
  '>=': (a, b) => a >= b,
  '>': (a, b) => a > b,
};
const anOp = fc.constantFrom(...Object.keys(COMPARE));
const number = fc
  .oneof(
    fc.tuple(fc.constant('hour' as const), fc.nat(23)),
    fc.tuple(fc.constant('day' as const), fc.integer({ min: 1, max: 31 })),
    fc.tuple(fc.constant('month' as const), fc.integer({ min: 1, max: 12 })),
  )
  .chain(([field, n]) => fc.tuple(fc.constant(field), fc.constant(n), anOp, fc.nat(3)))
  .map(([field, n, op, form]): Leaf => {
    const direct = { truth: (now: Shown) => COMPARE[op]?.(now[field], n) ?? false };
    const [other] = [field === 'hour' ? (n + 5) % 24 : n];
    if (form === 0) {
      return {
        text: (zone) => `${field}(${zone}) in [${String(n)}, ${String(other)}]`,
        truth: (now) => now[field] === n || now[field] === other,
      };
    }
    // In arithmetic only what it shows is known, and not what is asked of it.
    if (form === 1) return { text: (zone) => `${field}(${zone}) + 1 ${op} ${String(n + 1)}`, ...direct };
    if (form === 2) {
      const mirrored = op.startsWith('<') ? op.replace('<', '>') : op.replace('>', '<');
      return { text: (zone) => `${String(n)} ${mirrored} ${field}(${zone})`, ...direct };
    }
    return { text: (zone) => `${field}(${zone}) ${op} ${String(n)}`, ...direct };
  });
const weekday = fc
  .subarray(['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'], { minLength: 1, maxLength: 6 })
  .map((days): Leaf => {
    const list = days.map((day) => `"${day}"`).join(', ');
    return { text: (zone) => `weekday(${zone}) in [${list}]`, truth: (now) => days.includes(now.weekday) };
  });
const clockText = (minutes: number): string =>
  `${String(Math.floor(minutes / 60)).padStart(2, '0')}:${String(minutes % 60).padStart(2, '0')}`;
/** Many times that are skipped, and that come twice. */
const minuteOfDay = fc.oneof(fc.nat(1439), fc.nat(240), fc.constantFrom(0, 60, 90, 120, 121, 150, 180, 1410, 1439));
const between = fc
  .tuple(minuteOfDay, minuteOfDay)
  .filter(([from, to]) => from !== to)
  .map(([from, to]): Leaf => ({
    text: (zone) => `time_between("${clockText(from)}", "${clockText(to)}", ${zone})`,
    truth: ({ time }) => (from < to ? time >= from && time < to : time >= from || time < to),
  }));
const leaf = fc.oneof(number, weekday, between, between);

interface Facts {
  readonly traits?: Readonly<Record<string, JsonValue>>;
}

function compiled(text: string, { traits = {} }: Facts = {}) {
  const parsed = parseSegment(text, { features: new Map() });
  const segment = compileSegment(parsed, { key: 's', segmentId: 1, version: 1 }, () => undefined);
  const nothing = {
    status: 'NOT_FOUND',
    value: null,
    eventTs: null,
    validUntil: Infinity,
    approximate: false,
  } as const;
  const ctx: EvalContext = {
    profileId: () => LEAST_ID,
    feature: () => nothing,
    flipAt: () => Infinity,
    lastTimes: () => [],
    trait: (name) => traits[name],
    groups: () => [],
    consent: () => undefined,
    model: () => undefined,
    membership: () => false,
  };
  return { segment, ctx };
}

describe('a condition about the wall clock', () => {
  it('is true when the calendar says so, minute by minute, and every change comes by its timer at its millisecond', () => {
    const start = fc.tuple(fc.integer({ min: -36 * 60, max: 12 * 60 }), fc.constantFrom(0, 1, 31_007));
    fc.assert(
      fc.property(fc.constantFrom(...PLACES), leaf, start, fc.boolean(), ([zone, near], { text, truth }, at, own) => {
        const traits = { zone };
        const { segment, ctx } = compiled(text(own ? 'traits.zone' : `"${zone}"`), { traits });
        const t0 = near + at[0] * MINUTE + at[1];
        const end = t0 + 2 * DAY;
        const expected: [number, boolean][] = [];
        let before = truth(shown(zone, t0));
        expect(segment.evaluate(ctx, t0)).toBe(before);
        for (let t = Math.floor(t0 / MINUTE + 1) * MINUTE; t < end; t += MINUTE) {
          const now = truth(shown(zone, t));
          if (now !== before) expected.push([t, now]);
          before = now;
        }
        const seen: [number, boolean][] = [];
        let [t, current] = [t0, segment.evaluate(ctx, t0)];
        for (let steps = 0; steps < 60; steps++) {
          const next = segment.nextFlip(ctx, t, current);
          expect(next).toBeGreaterThan(t);
          if (next >= end) break;
          const now = segment.evaluate(ctx, next);
          if (now !== current) seen.push([next, now]);
          [t, current] = [next, now];
        }
        expect(seen).toEqual(expected);
      }),
      { numRuns: 100 },
    );
  });

  it('wakes nobody in vain, however far away the next change is', () => {
    const change = (text: string, t: number): number => {
      const { segment, ctx } = compiled(text);
      const next = segment.nextFlip(ctx, t, segment.evaluate(ctx, t));
      if (next < Infinity) expect(segment.evaluate(ctx, next)).not.toBe(segment.evaluate(ctx, t));
      return next;
    };
    const t = Date.UTC(2026, 3, 10, 7, 30);
    expect(change('month("Europe/Paris") == 12', t)).toBe(Date.UTC(2026, 10, 30, 23));
    expect(change('month("Europe/Paris") in [1, 4, 5, 6]', t)).toBe(Date.UTC(2026, 5, 30, 22));
    expect(change('weekday("America/New_York") == "mon"', t)).toBe(Date.UTC(2026, 3, 13, 4));
    expect(change('day("UTC") == 31', t)).toBe(Date.UTC(2026, 4, 31));
    expect(change('hour("Asia/Kolkata") >= 0', t)).toBe(Infinity);
    expect(change('days_until_anniversary(timestamp("2020-01-01T00:00:00Z") + 0, "UTC") <= 365', t)).toBe(Infinity);
  });

  it('is unknown for whoever has no zone, or one that there is not', () => {
    for (const zone of [undefined, 'Europe/Atlantis', 7, '', '+99:00', 'x'.repeat(5_000)]) {
      const facts = zone === undefined ? {} : { traits: { zone } };
      const { segment, ctx } = compiled('hour(traits.zone) >= 0 || !(hour(traits.zone) >= 0)', facts);
      expect(segment.evaluate(ctx, 0), String(zone)).toBe(false);
      expect(segment.nextFlip(ctx, 0, false)).toBe(Infinity);
    }
  });
});

describe('an anniversary', () => {
  it('comes on the day and month of a date, on the wall clock, day by day through leap years', () => {
    const date = fc.tuple(fc.integer({ min: 1900, max: 2030 }), fc.integer({ min: 0, max: 365 })).map(([year, day]) => {
      return new Date(Date.UTC(year, 0, 1 + day)).toISOString().slice(0, 10);
    });
    const bound = fc.tuple(anOp, fc.oneof(fc.nat(8), fc.nat(365)));
    const zone = fc.constantFrom('Europe/Paris', 'America/Sao_Paulo', 'Pacific/Apia', 'UTC');
    const from = fc.integer({ min: Date.UTC(2010, 0), max: Date.UTC(2027, 0) });
    fc.assert(
      fc.property(fc.oneof(date, fc.constant('2000-02-29')), bound, zone, from, (born, [op, n], name, t0) => {
        const [, month = 1, day = 1] = born.split('-').map(Number);
        const isDay = (at: number): boolean => {
          const { year, month: m, day: d } = shown(name, at);
          const isLeap = new Date(year, 1, 29).getMonth() === 1;
          return m === month && d === (month === 2 && day === 29 && !isLeap ? 28 : day);
        };
        const call = `days_until_anniversary(traits.born, "${name}")`;
        // As a list, too, and in arithmetic, where each day is another.
        const texts = [`${call} ${op} ${String(n)}`, `${call} + 0 ${op} ${String(n)}`];
        const text = op === '==' ? `${call} in [${String(n)}]` : (texts[n % 2] ?? '');
        const { segment, ctx } = compiled(text, { traits: { born } });
        const today = compiled(`anniversary(traits.born, "${name}")`, { traits: { born } });
        expect(today.segment.evaluate(today.ctx, t0)).toBe(isDay(t0));
        // By dates, so that a day that a zone left out or had twice does not count otherwise.
        const { year, month: m, day: d } = shown(name, t0);
        const dateOf = (add: number): Date => new Date(Date.UTC(year, m - 1, d + add));
        let days = 0;
        for (; ; days++) {
          const on = dateOf(days);
          const isLeap = new Date(on.getUTCFullYear(), 1, 29).getMonth() === 1;
          const due = month === 2 && day === 29 && !isLeap ? 28 : day;
          if (on.getUTCMonth() + 1 === month && on.getUTCDate() === due) break;
        }
        const truth = segment.evaluate(ctx, t0);
        expect(truth).toBe(COMPARE[op]?.(days, n));
        let next = segment.nextFlip(ctx, t0, truth);
        // In arithmetic every eighth day wakes in vain.
        while (text.includes('+ 0') && next < t0 + 400 * DAY && segment.evaluate(ctx, next) === truth) {
          next = segment.nextFlip(ctx, next, truth);
        }
        if (next === Infinity || next >= t0 + 400 * DAY) return;
        expect(segment.evaluate(ctx, next)).toBe(!truth);
        expect(segment.evaluate(ctx, next - 1)).toBe(truth);
        for (let t = t0; t < next; t += 7 * HOUR) expect(segment.evaluate(ctx, t)).toBe(truth);
      }),
      { numRuns: 150 },
    );
  });

  it.each([
    ['1990-05-31', true],
    ['1990-05-31T23:59:59Z', true],
    ['--05-31', true],
    ['19900531', false],
    [Date.UTC(2020, 4, 31, 12), true],
    ['1990-05-30', false],
    ['1990-02-30', false],
    ['31.05.1990', false],
    ['', false],
    [NaN, false],
    [1e17, false],
    [true, false],
  ])('of %s is on 31 May: %s', (born, isIt) => {
    const { segment, ctx } = compiled('anniversary(traits.born, "UTC")', { traits: { born } });
    expect(segment.evaluate(ctx, Date.UTC(2026, 4, 31, 12))).toBe(isIt);
  });
});
