import type { FeatureDefinition } from '../features/feature.model.js';
import type { FeatureSet } from '../features/feature-set.model.js';
import { searchedKey, searchedUntil, searchedValueOf, type SearchedValue } from '../features/search-feature.model.js';
import type { Uuid } from '../platform/ids.js';
import { allowedUntil, consentTrait, isAllowed, UNDECLARED, type ConsentTerms } from '../profiles/consent.model.js';
import type { SearchEntry, SearchField } from '../profiles/search-field.model.js';
import type { ProfileWork } from './profile-work.model.js';

/** A feature by which profiles are found. */
export interface SearchedFeature {
  readonly fieldId: number;
  /** In the feature set. */
  readonly index: number;
  readonly definition: FeatureDefinition;
  /** What somebody has to allow for its value to be told: the words on it, and its terms. */
  readonly needed: readonly { readonly trait: string; readonly terms: ConsentTerms }[];
}

/** What is known of a profile's features as of an instant. */
export interface SearchedValues {
  /** In the order of the features. */
  readonly values: readonly SearchedValue[];
  /** The next instant, ms, at which time alone can change one of them; Infinity if never. */
  readonly until: number;
}

const NOTHING: SearchedValues = { values: [], until: Infinity };

/** @param purposesOf what somebody has to allow for a feature to be used, by its name */
export function bindSearchedFeatures(
  fields: readonly SearchField[],
  features: FeatureSet,
  purposesOf: ReadonlyMap<string, readonly string[]>,
  purposes: ReadonlyMap<string, ConsentTerms>,
): SearchedFeature[] {
  return fields.flatMap(({ id: fieldId, name }) => {
    const index = features.indexOf(name);
    const definition = index === undefined ? undefined : features.definitions[index];
    if (index === undefined || definition === undefined) return [];
    const needed = (purposesOf.get(name) ?? []).map((purpose) => ({
      trait: consentTrait(purpose),
      terms: purposes.get(purpose) ?? UNDECLARED,
    }));
    return [{ fieldId, index, definition, needed }];
  });
}

/**
 * What the index has to hold of a profile from `t`, ms, on: what reading the features at `t` gives. One that is withheld
 * is not there.
 */
export function searchedValues(
  searched: readonly SearchedFeature[],
  features: FeatureSet,
  { merged, traits }: Pick<ProfileWork, 'merged' | 'traits'>,
  t: number,
): SearchedValues {
  if (searched.length === 0) return NOTHING;
  let until = Infinity;
  const values = searched.map(({ index, definition, needed }) => {
    let isTold = true;
    for (const { trait, terms } of needed) {
      const word = traits.get(trait);
      isTold &&= isAllowed(terms, word, t);
      until = Math.min(until, allowedUntil(terms, word, t));
    }
    if (!isTold) return undefined;
    const value = features.value(merged, index, t);
    until = Math.min(until, searchedUntil(definition, value));
    return searchedValueOf(definition, value);
  });
  return { values, until };
}

export function isSameValues(a: readonly SearchedValue[], b: readonly SearchedValue[]): boolean {
  return a.length === b.length && a.every((value, i) => value === b[i]);
}

/** The rows of a profile's features. @param values in the order of the features */
export function featureEntries(
  searched: readonly SearchedFeature[],
  profileId: Uuid,
  values: readonly SearchedValue[],
): SearchEntry[] {
  return searched.flatMap(({ fieldId, definition }, i) => {
    const key = searchedKey(definition, values[i]);
    return key === null ? [] : [{ profileId, fieldId, key }];
  });
}
