import type { Uuid } from '../platform/ids.js';
import { sampleNumber } from './sample-number.js';

/** A version of a model, bound to the features of a set. */
export interface AskedVersion {
  readonly key: string;
  readonly version: number;
  /** What scorers know it by. */
  readonly scoredAs: string;
  /** Indexes into the feature set, in the order of the model's feature service. */
  readonly featureIndexes: readonly number[];
}

/** A version that answers for some of the people. */
export interface CanaryVersion extends AskedVersion {
  /** Of all profiles, above 0 and below 1. */
  readonly share: number;
}

/** A model that segments read: its active version, and the one beside it, if any. */
export interface ActiveModel extends AskedVersion {
  readonly canary: CanaryVersion | null;
}

/**
 * The version that answers for a profile: a function of the model's key and of the profile's id, so that nobody goes back
 * when the share grows, and after a merge the survivor's counts.
 */
export function versionFor(model: ActiveModel, profileId: Uuid): AskedVersion {
  const { canary, key } = model;
  return canary !== null && sampleNumber(`canary of ${key}`, profileId) < canary.share ? canary : model;
}

/** All features that either version reads. */
export function featuresOfModel({ featureIndexes, canary }: ActiveModel): readonly number[] {
  return canary === null ? featureIndexes : [...new Set([...featureIndexes, ...canary.featureIndexes])];
}
