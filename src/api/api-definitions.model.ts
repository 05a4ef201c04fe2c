import type { EntityFeatures } from '../features/entity-features.js';
import type { StoredFeatureService, StoredFeatureView } from '../features/feature.reader.js';
import type { PurposeDefinition } from '../profiles/purpose.model.js';
import type { TraitDefinition } from '../profiles/trait-definition.model.js';
import type { TraitSealer } from '../profiles/trait-seal.model.js';
import type { RowScorer } from '../scoring/prediction.model.js';
import type { Definitions } from '../segments/definitions.model.js';
import type { StoredSegment } from '../segments/segment.reader.js';

/** What reads need of the definitions in force; one consistent whole. */
export interface ApiDefinitions extends Definitions {
  readonly sourceKeys: ReadonlyMap<number, string>;
  /** Drafts and active segments, by key. */
  readonly stored: ReadonlyMap<string, StoredSegment>;
  /** Those of people, by name. */
  readonly views: ReadonlyMap<string, StoredFeatureView>;
  /** Features of other entities, by the name of the entity. */
  readonly entities: ReadonlyMap<string, EntityFeatures>;
  readonly services: ReadonlyMap<string, StoredFeatureService>;
  readonly traits: readonly TraitDefinition[];
  /** What values of sealed traits are opened by. */
  readonly traitSealer: TraitSealer;
  /** Whether values of traits may be sealed. */
  readonly hasSealedTraits: boolean;
  /** By key. */
  readonly purposes: ReadonlyMap<string, PurposeDefinition>;
  /** What somebody has to allow to be scored by a model, by its key; models that need nothing are left out. */
  readonly modelPurposes: ReadonlyMap<string, readonly string[]>;
  /** Keys of active models of which edge keys may be told. */
  readonly edgeModels: readonly string[];
  readonly scorer: RowScorer;
  isReady(featureIndex: number): boolean;
}

export interface DefinitionsSource {
  current(): Promise<ApiDefinitions>;
  /** Makes the next `current` load anew. */
  invalidate(): void;
}
