import type { JsonValue } from '../../src/events/event.model.js';
import type { CompareOp } from '../../src/features/compare-value.model.js';
import type { FeatureDefinition, FeatureValue } from '../../src/features/feature.model.js';
import type { HeldConsent } from '../../src/profiles/consent.model.js';
import { LEAST_ID, type Uuid } from '../../src/platform/ids.js';
import type { EvalContext, FeatureIndexOf, ModelOutput } from '../../src/segments/eval-context.model.js';

/*
 * A profile as the list of its events, with every feature computed from that list by its definition. Slow
 * and obvious on purpose.
 */

export interface NaiveEvent {
  readonly ts: number;
  readonly name: string;
  /** `properties.total`. */
  readonly total: number;
}

export interface NaiveFacts {
  readonly id?: Uuid;
  readonly events?: readonly NaiveEvent[];
  readonly traits?: Readonly<Record<string, JsonValue>>;
  readonly groups?: readonly { readonly id: string; readonly traits: Readonly<Record<string, JsonValue>> }[];
  readonly models?: Readonly<Record<string, ModelOutput>>;
  readonly segments?: readonly string[];
  /** By the reserved trait. */
  readonly consents?: Readonly<Record<string, HeldConsent>>;
  /** Values that stand whatever the events are, by feature name. */
  readonly values?: Readonly<Record<string, NonNullable<FeatureValue['value']>>>;
}

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

function naiveHop(windowMs: number): number {
  return windowMs < 12 * HOUR ? 5 * MINUTE : windowMs < 12 * DAY ? HOUR : DAY;
}

/** Events of a window of whole hops that ends at `t`. */
export function inTiles(events: readonly NaiveEvent[], t: number, windowMs: number | null): NaiveEvent[] {
  if (windowMs === null) return [...events];
  const hop = naiveHop(windowMs);
  return events.filter((event) => event.ts >= Math.floor((t - windowMs) / hop) * hop);
}

/** The instant from which on such a window no longer holds the event. */
export function tileDeparture(event: NaiveEvent, windowMs: number): number {
  const hop = naiveHop(windowMs);
  return (Math.floor(event.ts / hop) + 1) * hop + windowMs;
}

/** A step by the name of its event, with the least `properties.total` that it must have more than; null: any. */
export type NaiveStep = readonly [name: string, moreThan: number | null];

/** How many of the steps were done in their order, by trying every chain. Those of one instant are in the best order. */
export function naiveDepth(events: readonly NaiveEvent[], steps: readonly NaiveStep[], withinMs: number): number {
  const fits = ({ name, total }: NaiveEvent, i: number): boolean => {
    const [event, moreThan] = steps[i] ?? ['', null];
    return event === name && (moreThan === null || total > moreThan);
  };
  const mark = (event: NaiveEvent): number => steps.reduce((sum, _, i) => sum + (fits(event, i) ? 2 ** i : 0), 0);
  const sorted = [...events].sort((a, b) => a.ts - b.ts || mark(a) - mark(b));
  const deepest = (reached: number, from: number, until: number): number => {
    let best = reached;
    for (const [i, event] of sorted.entries()) {
      if (i < from || event.ts > until || reached === steps.length || !fits(event, reached)) continue;
      best = Math.max(best, deepest(reached + 1, i + 1, reached === 0 ? event.ts + withinMs : until));
    }
    return best;
  };
  return deepest(0, 0, Infinity);
}

const STEP_CONDITION = /^properties\.total > (\d+)$/;

const HOLDS: Readonly<Record<CompareOp, (a: number, b: number) => boolean>> = {
  '<': (a, b) => a < b,
  '<=': (a, b) => a <= b,
  '>': (a, b) => a > b,
  '>=': (a, b) => a >= b,
  '==': (a, b) => a === b,
  '!=': (a, b) => a !== b,
};

export class NaiveProfile implements EvalContext {
  readonly indexOf: FeatureIndexOf;
  readonly #definitions: readonly FeatureDefinition[];
  readonly #facts: NaiveFacts;

  constructor(definitions: readonly FeatureDefinition[], facts: NaiveFacts) {
    this.#definitions = definitions;
    this.#facts = facts;
    this.indexOf = (name) => {
      const index = definitions.findIndex((definition) => definition.name === name);
      return index === -1 ? undefined : index;
    };
  }

  #definition(index: number): FeatureDefinition {
    const definition = this.#definitions[index];
    if (definition === undefined) throw new Error(`no feature ${String(index)}`);
    return definition;
  }

  #matching(definition: FeatureDefinition): NaiveEvent[] {
    return (this.#facts.events ?? []).filter((event) => definition.events.includes(event.name));
  }

  profileId(): Uuid {
    return this.#facts.id ?? LEAST_ID;
  }

  feature(index: number, t: number): FeatureValue {
    const definition = this.#definition(index);
    const fixed = this.#facts.values?.[definition.name];
    const absent = {
      status: 'NOT_FOUND',
      value: null,
      eventTs: null,
      validUntil: Infinity,
      approximate: false,
    } as const;
    if (fixed !== undefined) return { ...absent, status: 'PRESENT', value: fixed };
    const { windowMs } = definition;
    if (definition.aggregate === 'funnel') return this.#funnel(definition, t);
    const events = inTiles(this.#matching(definition), t, windowMs);
    const validUntil = Math.min(...events.map((e) => (windowMs === null ? Infinity : tileDeparture(e, windowMs))));
    const value = aggregate(definition, events);
    return value === null ? absent : { ...absent, status: 'PRESENT', value, validUntil };
  }

  #funnel({ events: names, windowMs, options }: FeatureDefinition, t: number): FeatureValue {
    const window = windowMs ?? Infinity;
    const events = (this.#facts.events ?? []).filter(({ name, ts }) => names.includes(name) && t - ts < window);
    const steps = (options?.steps ?? []).map(({ event, where }): NaiveStep => {
      const moreThan = STEP_CONDITION.exec(where ?? '')?.[1];
      return [event, moreThan === undefined ? null : Number(moreThan)];
    });
    const value = naiveDepth(events, steps, options?.withinMs ?? Infinity);
    const validUntil = Math.min(...events.map(({ ts }) => ts + window));
    return { status: 'PRESENT', value, eventTs: null, validUntil, approximate: false };
  }

  flipAt(index: number, t: number, op: CompareOp, constant: number): number {
    const truthAt = (instant: number): boolean | null => {
      const { value } = this.feature(index, instant);
      return typeof value === 'number' ? HOLDS[op](value, constant) : null;
    };
    const truth = truthAt(t);
    for (let at = this.feature(index, t).validUntil; at < Infinity; at = this.feature(index, at).validUntil) {
      if (truthAt(at) !== truth) return at;
    }
    return Infinity;
  }

  lastTimes(index: number): readonly number[] {
    const definition = this.#definition(index);
    const times = this.#matching(definition).map((event) => event.ts);
    return times.sort((a, b) => b - a).slice(0, definition.limit ?? 0);
  }

  trait(name: string): JsonValue | undefined {
    return this.#facts.traits?.[name];
  }

  groups(): JsonValue {
    return (this.#facts.groups ?? []).map(({ id, traits }) => ({ id, traits: { ...traits } }));
  }

  consent(trait: string): HeldConsent | undefined {
    return this.#facts.consents?.[trait];
  }

  model(key: string): ModelOutput | undefined {
    return this.#facts.models?.[key];
  }

  membership(segmentKey: string): boolean {
    return this.#facts.segments?.includes(segmentKey) ?? false;
  }
}

function aggregate(definition: FeatureDefinition, events: readonly NaiveEvent[]): number | null {
  const totals = events.map((event) => event.total);
  const sum = totals.reduce((a, b) => a + b, 0);
  switch (definition.aggregate) {
    case 'count':
      return events.length;
    case 'sum':
      return sum;
    case 'distinct':
      return new Set(totals).size;
    case 'avg':
      return events.length === 0 ? null : sum / events.length;
    case 'min':
      return events.length === 0 ? null : Math.min(...totals);
    case 'max':
      return events.length === 0 ? null : Math.max(...totals);
    default:
      return null;
  }
}
