import type { FeatureType } from '../features/feature.model.js';

/** The names that an expression may use. Where a set is left out, any key is taken. */
export interface SegmentSchema {
  readonly features: ReadonlyMap<string, FeatureType>;
  readonly models?: ReadonlySet<string>;
  readonly segments?: ReadonlySet<string>;
}
