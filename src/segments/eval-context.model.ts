import type { JsonValue } from '../events/event.model.js';
import type { CompareOp } from '../features/compare-value.model.js';
import type { FeatureValue } from '../features/feature.model.js';
import type { Uuid } from '../platform/ids.js';
import type { HeldConsent } from '../profiles/consent.model.js';

/** What a model said about a profile; every `Prediction` is one, as it is. */
export interface ModelOutput {
  readonly score?: number;
  /** Class, by name or number. */
  readonly label?: string | number;
  readonly cluster?: number;
  /** The next instant, ms, at which time alone may change an input of the model; Infinity if never. */
  readonly validUntil: number;
}

/**
 * One profile as a segment sees it. All events that are folded in have `occurredAt < t` for every `t` asked for, and
 * `t` may lie ahead: the answer is then what holds at `t` if no more events come.
 */
export interface EvalContext {
  /** Of the profile as it is now: after a merge the survivor's. */
  profileId(): Uuid;
  /** Value of the feature at this index, as of `t`. */
  feature(index: number, t: number): FeatureValue;
  /** The next instant after `t` at which `value op constant` changes its truth; no later than it; Infinity if never. */
  flipAt(index: number, t: number, op: CompareOp, constant: number): number;
  /** Times of the latest matching events of a `times` feature, ms, newest first. */
  lastTimes(index: number): readonly number[];
  trait(name: string): JsonValue | undefined;
  /** The groups that the profile belongs to, each `{ id, traits }`. */
  groups(): JsonValue;
  /** What was said last of a purpose. @param trait the reserved trait that it is kept under */
  consent(trait: string): HeldConsent | undefined;
  /** Undefined: not scored. */
  model(key: string): ModelOutput | undefined;
  membership(segmentKey: string): boolean;
}

/** Where a feature stands in the compiled set, by name. */
export type FeatureIndexOf = (name: string) => number | undefined;
