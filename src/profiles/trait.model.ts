import type { CanonicalKey, JsonValue } from '../events/event.model.js';
import type { HeldValues } from './held-values.js';

/**
 * A trait's value and the event it came from. Of two values the one with the greater canonical key stands, unless the
 * trait has a rule, or how the values came to be known decides: then `held` says what there is to choose from.
 */
export interface Trait extends CanonicalKey {
  /** Undefined: it was deleted. */
  readonly value: JsonValue | undefined;
  /** Null: a single value that was observed. */
  readonly held: HeldValues | null;
}

/** Traits by name. Merging is commutative, associative and idempotent, so neither order nor batching can show. */
export type Traits = Map<string, Trait>;
