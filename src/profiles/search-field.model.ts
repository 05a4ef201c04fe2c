import type { JsonValue } from '../events/event.model.js';
import type { Uuid } from '../platform/ids.js';
import { instantKey, searchKeys } from './search-key.model.js';
import type { TraitSealer } from './trait-seal.model.js';

/** A field of the index by which profiles are found. */
export interface SearchField {
  readonly id: number;
  /** The trait, the feature, or `UPDATED_FIELD`. */
  readonly name: string;
  /** Whether its keys are HMACs, which are equal or not and nothing else. */
  readonly sealed: boolean;
}

/** What is to be written of each profile whose traits change. */
export interface SearchFields {
  /** By rising id; empty while only what once was searchable is still to be deleted. */
  readonly traits: readonly SearchField[];
  /** The field of when what is known of a profile changed last; null if nothing is searchable any more. */
  readonly updatedId: number | null;
  /** By what the keys of sealed traits are made. */
  readonly sealer: TraitSealer;
}

/** Named as no trait of an event is. It is there while anything is searchable. */
export const UPDATED_FIELD = '$updated';
/** To what a profile's time of change is exact: one who is on the site is not written anew with each page. */
export const UPDATED_EXACT_TO_MS = 5 * 60_000;

/** Of all traits. */
export const MAX_SEARCHABLE_TRAITS = 50;

/** Of all features. */
export const MAX_SEARCHABLE_FEATURES = 20;

/** A feature that is searched by, and what it means: one that means something else is another field. */
export interface SearchableFeature {
  readonly name: string;
  readonly meaning: string;
}

/** A row of the index. */
export interface SearchEntry {
  readonly profileId: Uuid;
  readonly fieldId: number;
  readonly key: Buffer;
}

/** In place of a key, which is never empty: what the profile has of the field stays as it is. */
export const KEPT_KEY = Buffer.alloc(0);

/** A trait as far as it is searched by: values do not change, so another value is another object. */
export type SearchedTrait = { readonly value: JsonValue | undefined } | undefined;

/** The traits that are searched by, in the order of the fields. */
export function searchedTraits(
  { traits: fields }: SearchFields,
  traits: ReadonlyMap<string, NonNullable<SearchedTrait>>,
): SearchedTrait[] {
  return fields.map(({ name }) => traits.get(name));
}

export function isSameSearched(a: readonly SearchedTrait[], b: readonly SearchedTrait[]): boolean {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return a.length === b.length;
}

/** The rows of a profile's traits. @param searched in the order of the fields */
export function traitEntries(
  { traits: fields, sealer }: SearchFields,
  profileId: Uuid,
  searched: readonly SearchedTrait[],
): SearchEntry[] {
  return fields.flatMap((field, i) =>
    keysOf(field, searched[i]?.value, sealer).map((key) => ({ profileId, fieldId: field.id, key })),
  );
}

function keysOf({ name, sealed }: SearchField, value: JsonValue | undefined, sealer: TraitSealer): Buffer[] {
  if (!sealed || value === undefined) return searchKeys(value);
  return searchKeys(sealer.open(name, value)).map((key) => sealer.searchKey(name, key));
}

/** When something changed, ms, as exactly as it is kept. */
export function updatedKey(ms: number): Buffer {
  return keyOfHop(updatedHop(ms));
}

export function keyOfHop(hop: number): Buffer {
  return instantKey(hop * UPDATED_EXACT_TO_MS);
}

export function updatedHop(ms: number): number {
  return Math.floor(ms / UPDATED_EXACT_TO_MS);
}
