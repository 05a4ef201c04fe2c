import type { FeatureSet } from '../features/feature-set.model.js';
import type { SearchFields } from '../profiles/search-field.model.js';
import type { IdentityRules } from '../identity/identity-rules.model.js';
import type { MatchedInputs } from '../identity/matching/matching.model.js';
import type { ConsentTerms } from '../profiles/consent.model.js';
import type { TraitRules } from '../profiles/trait-rule.model.js';
import type { FeatureRow, Prediction } from '../scoring/prediction.model.js';
import type { ActiveModel, AskedVersion } from './asked-version.model.js';
import type { CompiledSegment } from './compile-segment.js';
import type { SearchedFeature } from './searched-features.js';

/** What the fold was told of some profiles. */
export interface LiveScores {
  readonly version: AskedVersion;
  readonly rows: readonly FeatureRow[];
  /** When each was evaluated, ms. */
  readonly times: readonly number[];
  readonly predictions: readonly (Prediction | null)[];
}

/** Scores many rows of one version (`AskedVersion.scoredAs`) in one go; row i of the answer belongs to row i of the input, null where there is none. */
export type ScoreRows = (
  scoredAs: string,
  rows: readonly FeatureRow[],
  asOf: readonly number[],
) => Promise<(Prediction | null)[]>;

/** The segments that the fold evaluates, indexed by what they depend on. */
export interface SegmentIndex {
  /** References before those that refer to them. */
  readonly ordered: readonly CompiledSegment[];
  readonly byId: ReadonlyMap<number, CompiledSegment>;
  readonly byKey: ReadonlyMap<string, CompiledSegment>;
  /**
   * The segments whose truth may change when these features and traits do, directly, through a model's inputs or
   * through another segment; in `ordered` order.
   */
  affectedBy(featureIndexes: readonly number[], traits: readonly string[]): readonly CompiledSegment[];
}

/** Everything that decides what a profile's values and memberships are, at one version. Immutable. */
export interface Definitions {
  readonly version: number;
  readonly features: FeatureSet;
  readonly models: ReadonlyMap<string, ActiveModel>;
  readonly segments: SegmentIndex;
  readonly score: ScoreRows;
  /** Told of what is said of live traffic; left out where nothing but a trial is evaluated. */
  readonly onScored?: ((scored: LiveScores) => void) | undefined;
  /** False: nobody has ever said who is, or is not, the same person, so nobody need look for it. */
  readonly hasIdentityLinks: boolean;
  /** Who is who. */
  readonly identityRules: IdentityRules;
  /** What the active model of record linkage reads; null: none is active, and nobody need note what changes. */
  readonly matching: MatchedInputs | null;
  /** How values of traits are taken in. */
  readonly traitRules: TraitRules;
  /** By what profiles are found; null: nothing is kept of that. */
  readonly search: SearchFields | null;
  /** By what features; there are none where `search` is null. */
  readonly searchedFeatures: readonly SearchedFeature[];
  /** What profiles may be used for, by key. */
  readonly purposes: ReadonlyMap<string, ConsentTerms>;
}
