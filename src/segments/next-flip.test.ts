import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FeatureSet } from '../features/feature-set.model.js';
import type { FeatureDefinition } from '../features/feature.model.js';
import { streamsOf } from '../features/stream.model.js';
import { LEAST_ID } from '../platform/ids.js';
import { compileSegment, type CompiledSegment } from './compile-segment.js';
import type { EvalContext, FeatureIndexOf } from './eval-context.model.js';
import {
  inTiles,
  naiveDepth,
  NaiveProfile,
  tileDeparture,
  type NaiveEvent,
  type NaiveFacts,
  type NaiveStep,
} from '../../test/support/naive-profile.js';
import { parseSegment } from './parse-segment.js';
import { SCORE_STEP_MS } from './score-steps.model.js';

/*
 * Random conditions over random histories. Each leaf comes with its text, its truth by definition, and every instant
 * at which time alone could possibly change it; so the whole course of a segment's truth is known by brute force.
 */

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const NOW = Date.UTC(2026, 2, 1, 12, 0, 0);

type Truth = boolean | null;

interface Oracle {
  readonly text: string;
  /** Whether every instant but the true flips is known to the leaf itself. */
  readonly exact: boolean;
  readonly usesScore: boolean;
  truth(facts: NaiveFacts, t: number): Truth;
  instants(events: readonly NaiveEvent[]): number[];
}

const OPS = {
  '<': (a: number, b: number) => a < b,
  '<=': (a: number, b: number) => a <= b,
  '>': (a: number, b: number) => a > b,
  '>=': (a: number, b: number) => a >= b,
  '==': (a: number, b: number) => a === b,
  '!=': (a: number, b: number) => a !== b,
} as const;
type Op = keyof typeof OPS;

const anOp = fc.constantFrom(...(Object.keys(OPS) as Op[]));
const anEvent = fc.constantFrom('a', 'b', 'c');
const exactWindow = fc.constantFrom(['1m', MINUTE], ['5m', 5 * MINUTE], ['1h', HOUR], ['1d', DAY]) as fc.Arbitrary<
  [string, number]
>;
const tiledWindow = fc.constantFrom(
  ['5m', 5 * MINUTE],
  ['1h', HOUR],
  ['13h', 13 * HOUR],
  ['13d', 13 * DAY],
) as fc.Arbitrary<[string, number]>;

function leaf(text: string, parts: Pick<Oracle, 'truth' | 'instants'> & Partial<Oracle>): Oracle {
  return { exact: true, usesScore: false, ...parts, text };
}

const named = (facts: NaiveFacts, name: string): NaiveEvent[] =>
  (facts.events ?? []).filter((event) => event.name === name);

const exactCount = fc
  .tuple(anEvent, exactWindow, anOp, fc.integer({ min: 0, max: 4 }), fc.boolean())
  .map(([name, [text, windowMs], op, n, mirrored]) =>
    leaf(
      mirrored
        ? `${String(n)} ${mirror(op)} count("${name}", "${text}")`
        : `count("${name}", "${text}") ${op} ${String(n)}`,
      {
        truth: (facts, t) => OPS[op](named(facts, name).filter((e) => t - e.ts < windowMs).length, n),
        instants: (events) => events.map((e) => e.ts + windowMs),
      },
    ),
  );

function mirror(op: Op): Op {
  return ({ '<': '>', '<=': '>=', '>': '<', '>=': '<=', '==': '==', '!=': '!=' } as const)[op];
}

const performed = fc.tuple(anEvent, exactWindow).map(([name, [text, windowMs]]) =>
  leaf(`performed("${name}", "${text}")`, {
    truth: (facts, t) => named(facts, name).some((e) => t - e.ts < windowMs),
    instants: (events) => events.map((e) => e.ts + windowMs),
  }),
);

const aStep = fc.tuple(anEvent, fc.constantFrom(null, null, 2)) as fc.Arbitrary<NaiveStep>;

/** Sequences and funnels, whose windows are exact; a funnel alone and in arithmetic, where only `validUntil` helps. */
const ordered = fc
  .tuple(
    fc.array(aStep, { minLength: 2, maxLength: 3 }),
    fc.option(exactWindow),
    fc.option(exactWindow),
    fc.option(fc.tuple(anOp, fc.nat(2), fc.boolean())),
  )
  .map(([steps, window, within, compared]) => {
    const list = steps.map(([name, moreThan]) =>
      moreThan === null ? `"${name}"` : `step("${name}", "properties.total > ${String(moreThan)}")`,
    );
    const args = [`[${list.join(', ')}]`, window?.[0] ?? '3650d', ...(within === null ? [] : [within[0]])];
    const call = args.map((arg, i) => (i === 0 ? arg : `"${arg}"`)).join(', ');
    const windowMs = window?.[1] ?? 3650 * DAY;
    const depth = (facts: NaiveFacts, t: number): number =>
      naiveDepth(
        (facts.events ?? []).filter(({ ts }) => t - ts < windowMs),
        steps,
        within?.[1] ?? Infinity,
      );
    const instants = (events: readonly NaiveEvent[]): number[] => events.map(({ ts }) => ts + windowMs);
    if (compared === null) {
      return leaf(`sequence(${call})`, { instants, truth: (facts, t) => depth(facts, t) >= steps.length });
    }
    const [op, n, isDirect] = compared;
    return leaf(`${isDirect ? `funnel(${call})` : `(funnel(${call}) + 0)`} ${op} ${String(n)}`, {
      ...{ exact: isDirect, instants, truth: (facts, t) => OPS[op](depth(facts, t), n) },
    });
  });

const age = fc.tuple(anEvent, exactWindow, fc.constantFrom<Op>('<', '<=', '>', '>=')).map(([name, [text, ageMs], op]) =>
  leaf(`since("${name}") ${op} "${text}"`, {
    truth: (facts, t) => {
      const times = named(facts, name).map((e) => e.ts);
      return times.length === 0 ? null : OPS[op](t - Math.max(...times), ageMs);
    },
    instants: (events) => events.flatMap((e) => [e.ts + ageMs, e.ts + ageMs + 1]),
  }),
);

const later = fc.tuple(anEvent, anEvent).map(([a, b]) =>
  leaf(`last("${a}") < last("${b}")`, {
    truth: (facts) => {
      const [as, bs] = [named(facts, a), named(facts, b)];
      if (as.length === 0 || bs.length === 0) return null;
      return Math.max(...as.map((e) => e.ts)) < Math.max(...bs.map((e) => e.ts));
    },
    instants: () => [],
  }),
);

/** Aggregates over whole hops; in a comparison with a constant, and in arithmetic, where only `validUntil` helps. */
const tiled = fc
  .tuple(
    anEvent,
    tiledWindow,
    anOp,
    fc.integer({ min: 0, max: 8 }),
    fc.constantFrom('count', 'sum', 'avg', 'max'),
    fc.boolean(),
  )
  .map(([name, [text, windowMs], op, n, aggregate, direct]) => {
    const call =
      aggregate === 'count' ? `count("${name}", "${text}")` : `${aggregate}("${name}", "properties.total", "${text}")`;
    const zero = aggregate === 'count' ? '0' : '0.0';
    // A small count compared directly is an exact one; adding zero makes it the tiled feature.
    const plain = direct && aggregate !== 'count';
    return leaf(`${plain ? call : `(${call} + ${zero})`} ${op} ${String(n)}`, {
      exact: false,
      truth: (facts, t) => {
        const totals = inTiles(named(facts, name), t, windowMs).map((e) => e.total);
        const sum = totals.reduce((x, y) => x + y, 0);
        if (aggregate === 'count') return OPS[op](totals.length, n);
        if (aggregate === 'sum') return OPS[op](sum, n);
        if (totals.length === 0) return null;
        return OPS[op](aggregate === 'avg' ? sum / totals.length : Math.max(...totals), n);
      },
      instants: (events) => events.map((e) => tileDeparture(e, windowMs)),
    });
  });

const timeless = fc.constantFrom(
  leaf('traits.x == 1', {
    truth: (f) => (f.traits?.['x'] === undefined ? null : f.traits['x'] === 1),
    instants: () => [],
  }),
  leaf('has(traits.x)', { truth: (f) => f.traits?.['x'] !== undefined, instants: () => [] }),
  leaf('true', { truth: () => true, instants: () => [] }),
);

const score = fc.constantFrom(2, 5, 8).map((n) =>
  leaf(`score("m") >= 0.${String(n)}`, {
    usesScore: true,
    truth: (facts) => {
      const value = facts.models?.['m']?.score;
      return value === undefined ? null : value >= n / 10;
    },
    instants: () => [],
  }),
);

function combine(text: string, parts: readonly Oracle[], truth: Oracle['truth']): Oracle {
  return {
    text,
    exact: false,
    usesScore: parts.some((part) => part.usesScore),
    truth,
    instants: (events) => parts.flatMap((part) => part.instants(events)),
  };
}

function conditions(leaves: fc.Arbitrary<Oracle>): fc.Arbitrary<Oracle> {
  const { node } = fc.letrec<{ node: Oracle }>((tie) => ({
    node: fc.oneof(
      { maxDepth: 3, withCrossShrink: true },
      leaves,
      fc.array(tie('node'), { minLength: 2, maxLength: 3 }).map((parts) =>
        combine(`(${parts.map((p) => p.text).join(' && ')})`, parts, (facts, t) => {
          const truths = parts.map((p) => p.truth(facts, t));
          return truths.includes(false) ? false : truths.includes(null) ? null : true;
        }),
      ),
      fc.array(tie('node'), { minLength: 2, maxLength: 3 }).map((parts) =>
        combine(`(${parts.map((p) => p.text).join(' || ')})`, parts, (facts, t) => {
          const truths = parts.map((p) => p.truth(facts, t));
          return truths.includes(true) ? true : truths.includes(null) ? null : false;
        }),
      ),
      tie('node').map((part) =>
        combine(`!(${part.text})`, [part], (facts, t) => {
          const truth = part.truth(facts, t);
          return truth === null ? null : !truth;
        }),
      ),
      fc.tuple(tie('node'), tie('node'), tie('node')).map(([c, a, b]) =>
        combine(`((${c.text}) ? (${a.text}) : (${b.text}))`, [c, a, b], (facts, t) => {
          const chosen = c.truth(facts, t);
          return chosen === null ? null : (chosen ? a : b).truth(facts, t);
        }),
      ),
    ),
  }));
  return node.filter((oracle) => oracle.text.length < 1200);
}

const history: fc.Arbitrary<readonly NaiveEvent[]> = fc.array(
  fc.record({
    name: anEvent,
    // Near the edges of hops and windows, where off-by-one faults live.
    ts: fc
      .tuple(fc.constantFrom(0, MINUTE, 5 * MINUTE, HOUR, 13 * HOUR, DAY), fc.nat(5), fc.integer({ min: -1, max: 1 }))
      .map(([unit, n, off]) => NOW - unit * n + off),
    total: fc.integer({ min: 0, max: 6 }),
  }),
  { maxLength: 7 },
);

const traits = fc.constantFrom<NaiveFacts['traits'] & object>({}, { x: 1 }, { x: 2 });

function compiled(text: string): { segment: CompiledSegment; definitions: readonly FeatureDefinition[] } {
  const parsed = parseSegment(text, { features: new Map() });
  const definitions = parsed.requires.inlineFeatures;
  const indexOf: FeatureIndexOf = (name) => definitions.findIndex((d) => d.name === name);
  return { segment: compileSegment(parsed, { key: 's', segmentId: 1, version: 1 }, indexOf), definitions };
}

/** All instants after `t0` at which anything could change, ascending. */
function courseOf(oracle: Oracle, facts: NaiveFacts, t0: number): number[] {
  const instants = oracle.instants(facts.events ?? []).filter((at) => at > t0);
  return [...new Set(instants)].sort((a, b) => a - b);
}

const tooLarge = (error: unknown): boolean => String(error).includes('larger than 200 nodes');

/** Runs a check on what can be written within the size of an expression. */
function within(text: string, check: (made: ReturnType<typeof compiled>) => void): void {
  let made: ReturnType<typeof compiled>;
  try {
    made = compiled(text);
  } catch (error) {
    if (tooLarge(error)) return;
    throw error;
  }
  check(made);
}

type MakeContext = (definitions: readonly FeatureDefinition[], facts: NaiveFacts, t0: number) => EvalContext;

/** The checks, for any implementation of features. */
function followsTheOracle(makeContext: MakeContext): void {
  const timed = fc.oneof(exactCount, performed, ordered, age, later, tiled, timeless);
  const delay = fc.constantFrom(1, 2, MINUTE - 1, 5 * MINUTE, HOUR + 1, DAY);

  it('whoever sleeps until the next flip sees every change, at its very millisecond', () => {
    fc.assert(
      fc.property(conditions(timed), history, traits, delay, (oracle, events, traitValues, wait) => {
        within(oracle.text, ({ segment, definitions }) => {
          const facts = { events, traits: traitValues };
          const t0 = NOW + 1 + wait;
          const ctx = makeContext(definitions, facts, t0);
          const course = courseOf(oracle, facts, t0);
          const expected: [number, boolean][] = [];
          let truth = oracle.truth(facts, t0) === true;
          expect(segment.evaluate(ctx, t0)).toBe(truth);
          for (const at of course) {
            const now = oracle.truth(facts, at) === true;
            expect(segment.evaluate(ctx, at)).toBe(now);
            if (now !== truth) expected.push([at, now]);
            truth = now;
          }
          const seen: [number, boolean][] = [];
          let current = segment.evaluate(ctx, t0);
          let at = segment.nextFlip(ctx, t0, current);
          for (let steps = 0; at < Infinity; steps++) {
            expect(steps).toBeLessThan(200);
            const now = segment.evaluate(ctx, at);
            if (now !== current) seen.push([at, now]);
            current = now;
            const next = segment.nextFlip(ctx, at, now);
            expect(next).toBeGreaterThan(at);
            at = next;
          }
          expect(seen).toEqual(expected);
        });
      }),
      { numRuns: 600 },
    );
  });

  it('an exact condition alone wakes nobody in vain', () => {
    const exact = fc.oneof(
      exactCount,
      performed,
      ordered.filter((oracle) => oracle.exact),
      age,
    );
    fc.assert(
      fc.property(exact, history, delay, (oracle, events, wait) => {
        const { segment, definitions } = compiled(oracle.text);
        const t0 = NOW + 1 + wait;
        const ctx = makeContext(definitions, { events }, t0);
        const truth = oracle.truth({ events }, t0);
        const first = courseOf(oracle, { events }, t0).find((at) => oracle.truth({ events }, at) !== truth);
        expect(segment.nextFlip(ctx, t0, truth === true)).toBe(first ?? Infinity);
      }),
      { numRuns: 600 },
    );
  });

  it('a score may turn out as it will once it has expired: nothing changes unseen', () => {
    const leaves = fc.oneof(score, score, exactCount, age, tiled);
    const value = fc.constantFrom(0.1, 0.3, 0.6, 0.9);
    const validFor = fc.constantFrom(1, 5 * MINUTE, 6 * MINUTE, HOUR, 2 * DAY, Infinity);
    fc.assert(
      fc.property(conditions(leaves), history, delay, value, value, validFor, (oracle, events, wait, s0, s1, valid) => {
        within(oracle.text, ({ segment, definitions }) => {
          const t0 = NOW + 1 + wait;
          const before = { events, models: { m: { score: s0, validUntil: t0 + valid } } };
          const after = { events, models: { m: { score: s1, validUntil: Infinity } } };
          const expiry = Math.ceil((t0 + valid) / SCORE_STEP_MS) * SCORE_STEP_MS;
          const truthAt = (t: number): boolean => oracle.truth(t >= expiry ? after : before, t) === true;
          const ctx = makeContext(definitions, before, t0);
          const truth = segment.evaluate(ctx, t0);
          expect(truth).toBe(truthAt(t0));
          const next = segment.nextFlip(ctx, t0, truth);
          const course = [...courseOf(oracle, before, t0), ...(oracle.usesScore && expiry < Infinity ? [expiry] : [])];
          for (const at of course) if (at < next) expect(truthAt(at)).toBe(truth);
        });
      }),
      { numRuns: 600 },
    );
  });
}

describe('the next flip, over features computed by their definitions', () => {
  followsTheOracle((definitions, facts) => new NaiveProfile(definitions, facts));
});

/** The feature store's own values, as the pipeline would hand them over. */
function storeContext(definitions: readonly FeatureDefinition[], facts: NaiveFacts, t0: number): EvalContext {
  const streamIds = new Map(streamsOf(definitions).map((stream, i) => [stream.key, i + 1]));
  const set = FeatureSet.compile(definitions, streamIds, new Map());
  const folded = set.empty();
  (facts.events ?? []).forEach(({ ts, name, total }, i) => {
    const event = { type: 'track', name, sourceId: 1, messageId: String(i), occurredAt: ts };
    set.apply(folded, { ...event, properties: { total }, traits: {}, context: {} });
  });
  set.prune(folded, t0);
  const state = set.decode(set.encode(folded));
  return {
    profileId: () => LEAST_ID,
    feature: (index, t) => set.value(state, index, t),
    flipAt: (index, t, op, constant) => set.flipAt(state, index, t, op, constant),
    lastTimes: (index) => set.lastTimes(state, index),
    trait: (name) => facts.traits?.[name],
    groups: () => [],
    consent: (trait) => facts.consents?.[trait],
    model: (key) => facts.models?.[key],
    membership: () => false,
  };
}

describe('the next flip, over the feature store', () => {
  followsTheOracle(storeContext);
});
