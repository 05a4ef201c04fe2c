import { createHash } from 'node:crypto';
import type { FeatureDefinition } from '../../src/features/feature.model.js';
import { naiveInstants, naiveValue } from './naive-features.js';
import type { NaiveSegment, NaiveView, Truth } from './naive-fold.js';
import type { NaiveModel } from './naive-model.js';
import { aFeature } from './a-feature.js';
import { naiveAllowed, naiveExpiries, PURPOSE_KEYS } from './naive-consents.js';
import { LIST_KEYS, naiveListed } from './naive-lists.js';
import { NAMES, pick, type LogStep, type Random } from './random-log.js';
import { TIMED_LABELS } from './timed-model.js';
import { isSameRule, type SegmentRule } from '../../src/segments/segment-rule.model.js';
import { DAY_MS, HOUR_MS, MINUTE_MS, START_MS } from './world.js';

/** A condition as its text, its truth by definition, and the instants at which time alone could change it. */
interface Condition {
  readonly text: string;
  truth(view: NaiveView, t: number): Truth;
  instants(view: NaiveView, t: number): readonly number[];
}

export interface RandomDefinitions {
  readonly features: readonly FeatureDefinition[];
  readonly segments: readonly RandomSegment[];
}

export type RandomSegment = NaiveSegment & { readonly rule: SegmentRule };

const OPS: Readonly<Record<string, (a: number, b: number) => boolean>> = {
  '<': (a, b) => a < b,
  '<=': (a, b) => a <= b,
  '>': (a, b) => a > b,
  '>=': (a, b) => a >= b,
  '==': (a, b) => a === b,
};
const EXACT: readonly [string, number][] = [
  ['1m', MINUTE_MS],
  ['5m', 5 * MINUTE_MS],
  ['1h', HOUR_MS],
  ['1d', DAY_MS],
];
const TILED: readonly [string, number][] = [
  ['5m', 5 * MINUTE_MS],
  ['2h', 2 * HOUR_MS],
  ['13h', 13 * HOUR_MS],
  ['13d', 13 * DAY_MS],
];

/** What a condition may refer to. */
interface Scope {
  readonly features: readonly FeatureDefinition[];
  /** Of segments. */
  readonly keys: readonly string[];
  readonly model: NaiveModel;
}

/** A few segments over windows, ages, counts, sums, traits, consents, a model's labels and each other. */
export function randomDefinitions(random: Random, count: number, model: NaiveModel): RandomDefinitions {
  const features = ['a', 'b', 'c'].map((name) => randomFeature(random, `feature_${name}`));
  const segments: RandomSegment[] = [];
  for (let i = 0; i < count; i++) {
    const keys = segments.map((segment) => segment.key);
    segments.push(randomSegment(random, { features, keys, model }, `segment_${String(i)}`, 1));
  }
  return { features, segments };
}

/** The same segments, of which one has another rule, as its next version. */
export function edited(
  random: Random,
  { features, segments }: RandomDefinitions,
  model: NaiveModel,
): { readonly changed: RandomSegment; readonly segments: readonly RandomSegment[] } {
  const at = Math.floor(random() * segments.length);
  const keys = segments.slice(0, at).map((segment) => segment.key);
  const { key, version, rule } = segments[at] as RandomSegment;
  for (;;) {
    const changed = randomSegment(random, { features, keys, model }, key, version + 1);
    if (isSameRule(changed.rule, rule)) continue;
    return { changed, segments: segments.map((segment, i) => (i === at ? changed : segment)) };
  }
}

function randomSegment(random: Random, scope: Scope, key: string, version: number): RandomSegment {
  const condition = randomCondition(random, scope, 2);
  const exit = random() < 0.3 ? randomCondition(random, scope, 1) : null;
  const dwellMs = random() < 0.3 ? pick(random, EXACT)[1] : 0;
  const from = random() < 0.2 ? START_MS + pick(random, [HOUR_MS, 7 * HOUR_MS, DAY_MS + 1]) : -Infinity;
  const until = random() < 0.2 ? START_MS + pick(random, [DAY_MS + 2, 30 * HOUR_MS, 50 * HOUR_MS]) : Infinity;
  const purposes = random() < 0.5 ? [] : PURPOSE_KEYS.filter(() => random() < 0.6);
  return {
    ...{ key, version, dwellMs, from, until, truth: condition.truth, exit: exit === null ? null : exit.truth },
    rule: {
      expression: condition.text,
      exitExpression: exit?.text ?? null,
      minDwellMs: dwellMs === 0 ? null : dwellMs,
      activeFrom: Number.isFinite(from) ? from : null,
      activeUntil: Number.isFinite(until) ? until : null,
      purposes,
    },
    isOpen: (view, t) => purposes.every((purpose) => naiveAllowed(view, purpose, t)),
    instants: (view, t) => [
      ...condition.instants(view, t),
      ...(exit?.instants(view, t) ?? []),
      ...[from, until].filter(Number.isFinite),
      ...(purposes.length === 0 ? [] : naiveExpiries(view)),
    ],
  };
}

function randomFeature(random: Random, name: string): FeatureDefinition {
  const kind = pick(random, ['count', 'sum', 'avg', 'min', 'max', 'distinct', 'recency'] as const);
  const value = kind === 'distinct' ? 'properties.sku' : 'properties.total';
  return aFeature(name, {
    aggregate: kind,
    events: random() < 0.2 ? [] : [pick(random, NAMES)],
    source: random() < 0.2 ? 'crm' : null,
    value: kind === 'count' || kind === 'recency' ? null : value,
    windowMs: random() < 0.3 ? null : pick(random, TILED)[1],
    unitMs: kind === 'recency' ? pick(random, [MINUTE_MS, HOUR_MS]) : null,
    type: kind === 'count' || kind === 'distinct' || kind === 'recency' ? 'int' : 'double',
  });
}

function randomCondition(random: Random, scope: Scope, depth: number): Condition {
  const roll = random();
  if (depth === 0 || roll < 0.25) return randomLeaf(random, scope);
  const inner = (): Condition => randomCondition(random, scope, depth - 1);
  if (roll < 0.4) return not(inner());
  return random() < 0.5 ? and(inner(), inner()) : or(inner(), inner());
}

function not(a: Condition): Condition {
  return {
    text: `!(${a.text})`,
    truth: (view, t) => {
      const truth = a.truth(view, t);
      return truth === null ? null : !truth;
    },
    instants: (view, t) => a.instants(view, t),
  };
}

/** An unknown side is absorbed where the other decides. */
function and(a: Condition, b: Condition): Condition {
  return {
    text: `(${a.text} && ${b.text})`,
    truth: (view, t) => {
      const sides = [a.truth(view, t), b.truth(view, t)];
      return sides.includes(false) ? false : sides.includes(null) ? null : true;
    },
    instants: (view, t) => [...a.instants(view, t), ...b.instants(view, t)],
  };
}

function or(a: Condition, b: Condition): Condition {
  return {
    text: `(${a.text} || ${b.text})`,
    truth: (view, t) => {
      const sides = [a.truth(view, t), b.truth(view, t)];
      return sides.includes(true) ? true : sides.includes(null) ? null : false;
    },
    instants: (view, t) => [...a.instants(view, t), ...b.instants(view, t)],
  };
}

function randomLeaf(random: Random, scope: Scope): Condition {
  const references = scope.keys.length > 0 ? [reference] : [];
  const leaves = [
    exactCount,
    performed,
    since,
    aggregate,
    aggregate,
    label,
    trait,
    consent,
    sample,
    listed,
    near,
    ordered,
    wallClock,
    ...references,
  ];
  return pick(random, leaves)(random, scope);
}

const timesOf = (view: NaiveView, name: string): number[] =>
  view.events.filter((event) => event.name === name).map((event) => event.occurredAt);

function exactCount(random: Random): Condition {
  const [name, [text, windowMs]] = [pick(random, NAMES), pick(random, EXACT)];
  const [op, n] = [pick(random, Object.keys(OPS)), Math.floor(random() * 4)];
  return {
    text: `count("${name}", "${text}") ${op} ${String(n)}`,
    truth: (view, t) => OPS[op]?.(timesOf(view, name).filter((ts) => t - ts < windowMs).length, n) ?? null,
    instants: (view) => timesOf(view, name).map((ts) => ts + windowMs),
  };
}

function performed(random: Random): Condition {
  const name = pick(random, NAMES);
  const [text, windowMs] = random() < 0.4 ? ['', Infinity] : pick(random, EXACT);
  return {
    text: text === '' ? `performed("${name}")` : `performed("${name}", "${text}")`,
    truth: (view, t) => timesOf(view, name).some((ts) => t - ts < windowMs),
    instants: (view) =>
      timesOf(view, name)
        .map((ts) => ts + windowMs)
        .filter(Number.isFinite),
  };
}

function since(random: Random): Condition {
  const [name, [text, ageMs], op] = [pick(random, NAMES), pick(random, EXACT), pick(random, ['<', '<=', '>', '>='])];
  return {
    text: `since("${name}") ${op} "${text}"`,
    truth: (view, t) => {
      const times = timesOf(view, name);
      return times.length === 0 ? null : (OPS[op]?.(t - Math.max(...times), ageMs) ?? null);
    },
    instants: (view) => timesOf(view, name).flatMap((ts) => [ts + ageMs, ts + ageMs + 1]),
  };
}

/** A feature of the store, or one defined in the condition itself. */
function aggregate(random: Random, { features }: Scope): Condition {
  const n = Math.floor(random() * 6) * (random() < 0.3 ? 10 : 1);
  const op = pick(
    random,
    Object.keys(OPS).filter((o) => o !== '=='),
  );
  if (random() < 0.6) {
    const definition = pick(random, features);
    return featureCondition(definition, `f.${definition.name}`, op, n);
  }
  const [name, [text, windowMs]] = [pick(random, NAMES), pick(random, TILED)];
  const kind = pick(random, ['sum', 'max', 'distinct'] as const);
  const value = kind === 'distinct' ? 'properties.sku' : 'properties.total';
  const definition = aFeature('inline', { aggregate: kind, events: [name], value, windowMs, type: 'double' });
  return featureCondition(definition, `${kind}("${name}", "${value}", "${text}")`, op, n);
}

function featureCondition(definition: FeatureDefinition, text: string, op: string, n: number): Condition {
  const world = (view: NaiveView) => ({ events: view.events, sourceIds: SOURCE_IDS, filters: new Map() });
  return {
    text: `${text} ${op} ${String(n)}`,
    truth: (view, t) => {
      const { status, value } = naiveValue(definition, world(view), t);
      return status === 'PRESENT' && typeof value === 'number' ? (OPS[op]?.(value, n) ?? null) : null;
    },
    instants: (view, t) => naiveInstants(definition, world(view), t, 60),
  };
}

/** Steps in their order, as a feature of the store would have them, or as a condition by itself. */
function ordered(random: Random): Condition {
  const [text, windowMs] = pick(random, EXACT);
  const [withinText, withinMs] = pick(random, EXACT);
  const steps = [pick(random, NAMES), pick(random, NAMES), ...(random() < 0.5 ? [pick(random, NAMES)] : [])];
  const definition = aFeature('inline', {
    ...{ aggregate: 'funnel', events: [...new Set(steps)], windowMs, limit: 256 },
    options: { steps: steps.map((event) => ({ event, where: null })), withinMs },
  });
  const args = `[${steps.map((step) => `"${step}"`).join(', ')}], "${text}", "${withinText}"`;
  if (random() < 0.3) return featureCondition(definition, `funnel(${args})`, pick(random, Object.keys(OPS)), 1);
  const whole = featureCondition(definition, '', '>=', steps.length);
  return { ...whole, text: `sequence(${args})` };
}

/** The clock of Calcutta is five and a half hours ahead, and never changed. */
function wallClock(random: Random): Condition {
  const ahead = 5.5 * HOUR_MS;
  const [from, hours] = [Math.floor(random() * 24), 1 + Math.floor(random() * 23)];
  const to = (from + hours) % 24;
  const two = (n: number): string => String(n).padStart(2, '0');
  const hourAt = (t: number): number => Math.floor(((t + ahead) % DAY_MS) / HOUR_MS);
  return {
    text: `time_between("${two(from)}:00", "${two(to)}:00", "Asia/Kolkata")`,
    truth: (_, t) => (hourAt(t) - from + 24) % 24 < hours,
    instants: (_, t) => {
      const next = (Math.floor((t + ahead) / HOUR_MS) + 1) * HOUR_MS - ahead;
      return Array.from({ length: 240 }, (_each, i) => next + i * HOUR_MS);
    },
  };
}

function label(random: Random, { model }: Scope): Condition {
  const name = pick(random, TIMED_LABELS);
  return {
    text: `label("${model.key}") == "${name}"`,
    truth: (view, t) => {
      const said = model.label(view, t);
      return said === null ? null : said === name;
    },
    instants: (view, t) => model.instants(view, t),
  };
}

function trait(random: Random): Condition {
  const plan = pick(random, ['free', 'pro']);
  if (random() < 0.3) {
    return { text: 'has(traits.city)', truth: (view) => view.traits.has('city'), instants: () => [] };
  }
  return {
    text: `traits.plan == "${plan}"`,
    truth: (view) => (view.traits.has('plan') ? view.traits.get('plan') === plan : null),
    instants: () => [],
  };
}

function consent(random: Random): Condition {
  const purpose = pick(random, PURPOSE_KEYS);
  return {
    text: `consent("${purpose}")`,
    truth: (view, t) => naiveAllowed(view, purpose, t),
    instants: (view) => naiveExpiries(view),
  };
}

function listed(random: Random): Condition {
  const key = pick(random, LIST_KEYS);
  return { text: `listed("${key}")`, truth: (view) => naiveListed(view, key), instants: () => [] };
}

/** The same log, in which some say where they are. */
export function withPlaces(random: Random, log: readonly LogStep[]): LogStep[] {
  return log.map((step) => ({
    ...step,
    events: step.events.map((event) =>
      event.traits === undefined || random() < 0.5
        ? event
        : { ...event, traits: { ...event.traits, longitude: Math.floor(random() * 4) } },
    ),
  }));
}

/** Along the equator a degree is 111.2 km. */
function near(random: Random): Condition {
  const km = pick(random, [50, 150, 250]);
  return {
    text: `near(0.0, traits.longitude, 0.0, 0.0, ${String(km)})`,
    truth: ({ traits }) => {
      const longitude = traits.get('longitude');
      return typeof longitude === 'number' ? Math.abs(longitude) * 111.2 <= km : null;
    },
    instants: () => [],
  };
}

function sample(random: Random): Condition {
  const [name, op] = [pick(random, ['spring', 'autumn']), pick(random, ['<', '>='])];
  const share = Math.floor(random() * 10) / 10;
  return {
    text: `sample("${name}") ${op} ${share.toFixed(1)}`,
    truth: ({ profileId }) => {
      const hash = createHash('sha256').update(`${name}:${profileId}`).digest('hex');
      return OPS[op]?.(Number.parseInt(hash.slice(0, 12), 16) / 16 ** 12, share) ?? null;
    },
    instants: () => [],
  };
}

function reference(random: Random, { keys }: Scope): Condition {
  const key = pick(random, keys);
  return { text: `segment("${key}")`, truth: (view) => view.segments.has(key), instants: () => [] };
}

/** The ids that a new database gives to the sources, in the order in which `SOURCES` are made. */
export const SOURCES = ['web', 'crm'] as const;
const SOURCE_IDS: ReadonlyMap<string, number> = new Map(SOURCES.map((key, i) => [key, i + 1]));
