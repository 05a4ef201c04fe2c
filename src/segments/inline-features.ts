import { hash } from 'node:crypto';
import { durationText } from '../platform/duration.js';
import type {
  Aggregate,
  FeatureDefinition,
  FeatureOptions,
  FeatureType,
  FunnelStep,
} from '../features/feature.model.js';
import { MAX_RING } from '../features/stream.model.js';
import type { FeatureReference } from './segment-expression.model.js';

/** View of the features that expressions define by themselves. */
export const INLINE_VIEW = '_inline';

/** The most event times a `times` feature keeps; counts up to one less are exact to the millisecond. */
export const MAX_EXACT_TIMES = 32;

const MAX_SLUG_LENGTH = 20;

/** Aggregates that an expression may write as `sum("event", "properties.total", "30d")`, with the type they give. */
export const INLINE_AGGREGATES = {
  count: 'int',
  sum: 'double',
  avg: 'double',
  min: 'double',
  max: 'double',
  distinct: 'int',
} as const satisfies Partial<Record<Aggregate, FeatureType>>;
export type InlineAggregate = keyof typeof INLINE_AGGREGATES;

interface InlineSpec {
  readonly aggregate: Aggregate;
  readonly event: string;
  readonly value: string | null;
  readonly windowMs: number | null;
  readonly limit: number | null;
  readonly type: FeatureType;
  /** Of a funnel. */
  readonly options?: FeatureOptions;
}

function slug(text: string): string {
  const plain = text.toLowerCase().replace(/[^a-z0-9]+/g, '_');
  return plain.slice(0, MAX_SLUG_LENGTH).replace(/^_+|_+$/g, '');
}

/**
 * The name says what the feature is, and the hash of its whole definition keeps it unique. The leading underscore,
 * which registered names cannot have, keeps it apart from those.
 */
function inlineFeature(spec: InlineSpec): FeatureReference {
  const { aggregate, event, value, windowMs, limit, type, options } = spec;
  const told = [aggregate, event, value, windowMs, limit, ...(options === undefined ? [] : [options])];
  const digest = hash('sha256', JSON.stringify(told), 'hex').slice(0, 8);
  const isOfTimes = aggregate === 'times' && limit !== null;
  const scope = isOfTimes ? String(limit) : windowMs === null ? 'ever' : durationText(windowMs);
  const subject = value === null ? [slug(event)] : [slug(event), slug(value.slice(value.lastIndexOf('.') + 1))];
  const name = ['', aggregate, ...subject, scope, digest].filter((part, i) => i === 0 || part !== '').join('_');
  const inline: FeatureDefinition = {
    name,
    view: INLINE_VIEW,
    description: '',
    aggregate,
    events: options?.steps === undefined ? [event] : [...new Set(options.steps.map((step) => step.event))],
    source: null,
    where: null,
    value,
    windowMs,
    unitMs: null,
    limit,
    type,
    ...(options === undefined ? {} : { options }),
  };
  return { name, inline };
}

/** The latest `limit` times of an event. It has no window: every condition over the event reads the same times. */
export function timesFeature(event: string, limit: number): FeatureReference {
  return inlineFeature({ aggregate: 'times', event, value: null, windowMs: null, limit, type: 'times' });
}

/** An aggregate over a window of whole hops, or over the lifetime where `windowMs` is null. */
export function aggregateFeature(
  aggregate: InlineAggregate,
  event: string,
  value: string | null,
  windowMs: number | null,
): FeatureReference {
  return inlineFeature({ aggregate, event, value, windowMs, limit: null, type: INLINE_AGGREGATES[aggregate] });
}

/**
 * How many of the steps were done in their order, as `read-funnel.ts` says, told from the latest {@link MAX_RING} events
 * that can be steps.
 *
 * @param windowMs events count for so long, to the millisecond; null: for ever
 * @param withinMs the last step comes at most so long after the first; undefined: whenever it comes
 */
export function funnelFeature(
  steps: readonly FunnelStep[],
  windowMs: number | null,
  withinMs: number | undefined,
): FeatureReference {
  const options = withinMs === undefined ? { steps } : { steps, withinMs };
  const event = steps.at(-1)?.event ?? '';
  return inlineFeature({ aggregate: 'funnel', event, value: null, windowMs, limit: MAX_RING, type: 'int', options });
}
