import {
  compareCanonical,
  isReservedTrait,
  type CanonicalKey,
  type JsonObject,
  type JsonValue,
} from '../events/event.model.js';
import { WeftError } from '../platform/errors.js';

/** A trait's value and the event it came from. Of two values the one with the greater canonical key stands. */
export interface Trait extends CanonicalKey {
  readonly value: JsonValue;
}

/** Traits by name. Merging is commutative, associative and idempotent, so neither order nor batching can show. */
export type Traits = Map<string, Trait>;

/** Most traits that one anchor holds: of all names it was ever given, reserved ones, then the least by UTF-16 code unit. */
export const MAX_TRAITS_PER_ANCHOR = 500;

export interface AppliedTraits {
  /** The names whose value changed; a trait that had to give way is among them. */
  readonly changed: readonly string[];
  /** Values left out, or that had to give way, because the anchor has enough names that are less. */
  readonly dropped: number;
}

const NOTHING: AppliedTraits = Object.freeze({ changed: Object.freeze([]), dropped: 0 });

/**
 * Folds an event's traits in. A JSON null is a value: it says that the trait is known to be empty.
 *
 * Which names stay is a function of all names given, not of their order: a name that is dropped has enough others
 * before it for ever.
 */
export function applyTraits(traits: Traits, incoming: JsonObject, key: CanonicalKey): AppliedTraits {
  let changed: Map<string, 'new' | 'newer'> | null = null;
  for (const name in incoming) {
    const value = incoming[name];
    if (value === undefined) continue;
    const standing = traits.get(name);
    if (standing !== undefined && compareCanonical(key, standing) <= 0) continue;
    traits.set(name, { value, occurredAt: key.occurredAt, sourceId: key.sourceId, messageId: key.messageId });
    (changed ??= new Map<string, 'new' | 'newer'>()).set(name, standing === undefined ? 'new' : 'newer');
  }
  if (changed === null) return NOTHING;
  const surplus =
    traits.size <= MAX_TRAITS_PER_ANCHOR ? [] : [...traits.keys()].sort(reservedFirst).slice(MAX_TRAITS_PER_ANCHOR);
  for (const name of surplus) {
    traits.delete(name);
    if (changed.get(name) === 'new') changed.delete(name);
    else changed.set(name, 'newer');
  }
  return { changed: [...changed.keys()], dropped: surplus.length };
}

function reservedFirst(a: string, b: string): number {
  const [x, y] = [isReservedTrait(a), isReservedTrait(b)];
  if (x !== y) return x ? -1 : 1;
  return a < b ? -1 : 1;
}

/** The traits of a profile: of each name the greatest over its anchors. */
export function mergeTraits(all: Iterable<Traits>): Traits {
  const merged: Traits = new Map();
  for (const traits of all) {
    for (const [name, trait] of traits) {
      const standing = merged.get(name);
      if (standing === undefined || compareCanonical(trait, standing) > 0) merged.set(name, trait);
    }
  }
  return merged;
}

type PackedTrait = [name: string, value: JsonValue, occurredAt: number, sourceId: number, messageId: string];

/** One format byte (0), then JSON rows sorted by name: equal traits give equal bytes. Empty traits give no bytes. */
export function encodeTraits(traits: Traits): Buffer {
  if (traits.size === 0) return Buffer.alloc(0);
  const rows: PackedTrait[] = [];
  for (const [name, t] of traits) rows.push([name, t.value, t.occurredAt, t.sourceId, t.messageId]);
  rows.sort((a, b) => (a[0] < b[0] ? -1 : 1));
  return Buffer.from(`\0${JSON.stringify(rows)}`);
}

/** @throws WeftError INTERNAL on a format this version does not know. */
export function decodeTraits(bytes: Buffer): Traits {
  const traits: Traits = new Map();
  if (bytes.length === 0) return traits;
  if (bytes[0] !== 0) throw new WeftError('INTERNAL', `unknown format ${String(bytes[0])} of packed traits`);
  for (const [name, value, occurredAt, sourceId, messageId] of JSON.parse(bytes.toString('utf8', 1)) as PackedTrait[]) {
    traits.set(name, { value, occurredAt, sourceId, messageId });
  }
  return traits;
}
