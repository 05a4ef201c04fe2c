import type { FeatureExpectations } from './expectation.model.js';
import type { Aggregate, Imputation, Item, ItemType } from './feature.model.js';

/** A view as a file writes it; what else an aggregate takes is checked when it is applied. */
interface ViewDocument {
  readonly name: string;
  readonly kind?: 'stream' | 'batch' | 'on_demand';
  readonly description?: string;
  readonly owner?: string;
  readonly tags?: readonly string[];
  readonly source?: string;
  /** Of a batch or stream view: what its features are of; left out: people. */
  readonly entity?: string;
  /** Of a stream view of an entity: the path of the item's key in an event, as `properties.article`. */
  readonly key?: string;
  /** Of a batch view: the name of its records, the path of their time of creation, and how long one counts. */
  readonly event?: string;
  readonly created?: string;
  readonly ttl?: string;
  /** Of an on-demand view: what whoever asks may say. */
  readonly request?: readonly {
    readonly name: string;
    readonly type?: ItemType;
    readonly default?: string | number | boolean;
  }[];
  readonly purposes?: readonly string[];
  readonly features: readonly FeatureDocument[];
  /** By name of the feature. */
  readonly expect?: FeatureExpectations;
}

interface FeatureDocument {
  readonly name: string;
  /** Not of features of batch and on-demand views. */
  readonly aggregate?: Exclude<Aggregate, 'row' | 'on_demand'>;
  /** Of features of on-demand views. */
  readonly expression?: string;
  readonly description?: string;
  readonly events?: readonly string[];
  readonly where?: string;
  readonly value?: string;
  readonly type?: ItemType;
  readonly window?: string;
  readonly searchable?: boolean;
  /** Fields that only some aggregates take. */
  readonly [field: string]: unknown;
}

interface EntityDocument {
  readonly name: string;
  readonly join_key: string;
  readonly description?: string;
  readonly owner?: string;
  readonly tags?: readonly string[];
  readonly retention?: string;
}

interface ServiceDocument {
  readonly name: string;
  readonly description?: string;
  readonly owner?: string;
  readonly tags?: readonly string[];
  readonly features: readonly string[];
  /** What stands for missing values, by feature: a constant, or a statistic that an export found. */
  readonly impute?: Readonly<Record<string, Item | Imputation>>;
}

/** What a module of definitions exports by default. */
interface DefinitionDocument {
  readonly entities?: readonly EntityDocument[];
  readonly views?: readonly ViewDocument[];
  readonly services?: readonly ServiceDocument[];
}

/** Gives the document back as it is: so that an editor knows what may stand in it. */
export function defineFeatures(document: DefinitionDocument): DefinitionDocument {
  return document;
}
