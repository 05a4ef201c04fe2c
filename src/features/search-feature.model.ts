import { instantKey, scalarKey } from '../profiles/search-key.model.js';
import type { SearchableFeature } from '../profiles/search-field.model.js';
import { isFading } from './aggregate.model.js';
import { isItemType, type FeatureDefinition, type FeatureValue } from './feature.model.js';
import { definitionsHash } from './training-set.model.js';

/*
 * Features by which profiles are found, and what the index keeps of them.
 *
 * Most values stay put until an event or the end of a window changes them, so the value itself is kept. A recency changes
 * with every unit of time that passes, but follows from the time of the latest event, so that is kept: the later it is,
 * the less the recency. Lists and maps are no values to compare.
 */

/** What is kept of a value: times in ms; undefined: nothing, since there is no value. */
export type SearchedValue = string | number | boolean | undefined;

export function canBeSearchable(definition: FeatureDefinition): boolean {
  return isItemType(definition.type) && !isFading(definition);
}

/** Whether what is kept is the time of the latest event rather than the value. */
export function isKeptAsTime({ aggregate }: Pick<FeatureDefinition, 'aggregate'>): boolean {
  return aggregate === 'recency';
}

export function searchedValueOf(definition: FeatureDefinition, { value, eventTs }: FeatureValue): SearchedValue {
  if (value === null || typeof value === 'object') return undefined;
  return isKeptAsTime(definition) ? (eventTs ?? undefined) : value;
}

/** The next instant, ms, at which time alone can change what is kept; Infinity if never. */
export function searchedUntil(definition: FeatureDefinition, { value, eventTs, validUntil }: FeatureValue): number {
  if (!isKeptAsTime(definition)) return validUntil;
  return value === null || eventTs === null ? Infinity : eventTs + (definition.windowMs ?? Infinity);
}

/** The key of what is kept. Null: there is none. */
export function searchedKey(definition: FeatureDefinition, kept: SearchedValue): Buffer | null {
  if (kept === undefined) return null;
  const isTime = isKeptAsTime(definition) || definition.type === 'timestamp';
  return isTime && typeof kept === 'number' ? instantKey(kept) : scalarKey(kept);
}

/** The features that are declared searchable. What has to be allowed for them is part of what they mean. */
export function searchableFeatures(
  views: readonly { readonly features: readonly FeatureDefinition[]; readonly purposes?: readonly string[] }[],
): SearchableFeature[] {
  return views.flatMap(({ features, purposes = [] }) =>
    features
      .filter(({ searchable }) => searchable === true)
      .map((definition) => ({
        name: definition.name,
        meaning: [definitionsHash([{ definition, viewVersion: 0 }]), ...purposes].join(' '),
      })),
  );
}
