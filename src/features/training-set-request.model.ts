import type { ConsentAsOf, ExportCut, KnownAsOf, LabelRow } from './training-set.model.js';

/** Versions to take instead of those in force, by name. */
export interface PinnedVersions {
  readonly views: ReadonlyMap<string, number>;
  /** Of the feature service that is asked for. */
  readonly service: number | null;
}

/** How old a value may be at T, ms; older ones are left out. */
export interface MaxAges {
  /** Of features that are not named; null: any age. */
  readonly others: number | null;
  readonly byFeature: ReadonlyMap<string, number>;
}

export interface TrainingSetRequest {
  readonly labels: AsyncIterable<LabelRow> | Iterable<LabelRow>;
  /** Names of the cells that labels hand through, where on-demand features read a request. */
  readonly columns?: readonly string[];
  /** A feature service whose features come first, in its order. */
  readonly service?: string;
  /** Names of features; those that the service has already are not repeated. */
  readonly features?: readonly string[];
  /** Default: `now`. */
  readonly knownAsOf?: KnownAsOf;
  /** Default: `now`. */
  readonly consentAsOf?: ConsentAsOf;
  /** How old values may be; default: of any age. */
  readonly maxAges?: MaxAges;
  /** Whether columns are called by view and feature, as `customer__tier`; default: by feature alone. */
  readonly fullNames?: boolean;
  /** Whether rows get what the service imputes, where values are missing; default: they stay missing. */
  readonly isImputed?: boolean;
  /** Of views and the service; default: those in force. */
  readonly versions?: PinnedVersions;
  /** Where an export that this one goes on with cut the log, and when; default: here and now. */
  readonly cut?: ExportCut;
  readonly onProgress?: (progress: TrainingSetProgress) => void;
  readonly signal?: AbortSignal;
}

export interface TrainingSetProgress {
  readonly rows: number;
  /** Events folded so far. */
  readonly events: number;
  /** Rows by what became of their entity. */
  readonly notFound: number;
  readonly invalid: number;
  /** Rows whose T lies in the future: what happens until then is not known. */
  readonly future: number;
}
