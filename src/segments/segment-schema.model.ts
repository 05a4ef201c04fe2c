import type { FeatureType, ItemType } from '../features/feature.model.js';

/** The names that an expression may use. Where a set is left out, any key is taken. */
export interface SegmentSchema {
  readonly features: ReadonlyMap<string, FeatureType>;
  readonly models?: ReadonlySet<string>;
  /** Keys of models that are registered and do not answer, each with its newest version. */
  readonly waitingModels?: ReadonlyMap<string, number>;
  /** Keys of models that need what a request says, which segments cannot ask, each with what that is. */
  readonly requestModels?: ReadonlyMap<string, string>;
  readonly segments?: ReadonlySet<string>;
  readonly purposes?: ReadonlySet<string>;
  readonly lists?: ReadonlySet<string>;
  /** What comes with a request, read as `request.name`; left out: nothing does. */
  readonly request?: ReadonlyMap<string, ItemType>;
}
