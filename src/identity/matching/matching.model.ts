import type { Uuid } from '../../platform/ids.js';
import type { LinkageModel } from '../linkage/linkage-model.model.js';

/** Where the values of a column of records are from. */
export interface ColumnSource {
  readonly kind: 'trait' | 'identifier';
  /** Of the trait, or the namespace. */
  readonly name: string;
}

/** By column of the records that a model reads. */
export type ColumnMapping = Readonly<Record<string, ColumnSource>>;

/** What the active model reads of profiles; part of the definitions, so that all workers agree from when on. */
export interface MatchedInputs {
  /** Of the model. */
  readonly version: string;
  /** When it was activated, ms: its mapping and thresholds are of then. */
  readonly activatedAt: number;
  readonly traits: ReadonlySet<string>;
  readonly namespaces: ReadonlySet<string>;
}

export function inputsOf(version: string, activatedAt: number, mapping: ColumnMapping): MatchedInputs {
  const of = (kind: ColumnSource['kind']): Set<string> =>
    new Set(Object.values(mapping).flatMap((source) => (source.kind === kind ? [source.name] : [])));
  return { version, activatedAt, traits: of('trait'), namespaces: of('identifier') };
}

/** A model as it is applied to profiles. */
export interface AppliedModel {
  readonly model: LinkageModel;
  readonly mapping: ColumnMapping;
  /** Match weights, log2 of the odds: from `link` on pairs are linked, from `review` on a person is to look. */
  readonly link: number;
  readonly review: number;
}

export const LINKAGE_MODEL_STATUSES = ['added', 'active', 'retired'] as const;
export type LinkageModelStatus = (typeof LINKAGE_MODEL_STATUSES)[number];

/** A model as it is stored, without its content. */
export interface StoredLinkageModel {
  /** SHA-256 of what decides on weights, hex. */
  readonly version: string;
  readonly name: string;
  readonly status: LinkageModelStatus;
  /** Null of one that was never active. */
  readonly mapping: ColumnMapping | null;
  /** Match probabilities, 0 to 1. */
  readonly linkThreshold: number;
  readonly reviewThreshold: number;
  /** ms */
  readonly addedAt: number;
  readonly addedBy: string;
  readonly activatedAt: number | null;
  readonly activatedBy: string | null;
}

/**
 * Where the comparison of all profiles stands: nothing to do, putting records in their blocks, comparing them, and done,
 * with whatever changes being compared as it comes.
 */
export const MATCHING_PHASES = ['idle', 'keying', 'scoring', 'live'] as const;
export type MatchingPhase = (typeof MATCHING_PHASES)[number];

export interface MatchingState {
  readonly phase: MatchingPhase;
  /** Where the next page of components begins; null: at the start. */
  readonly place: Uuid | null;
  readonly componentsDone: number;
  /** About how many there are; null where that is not known. */
  readonly componentsTotal: number | null;
  /** ms */
  readonly startedAt: number | null;
  readonly finishedAt: number | null;
}

/** Records of one block beyond which its pairs are not compared. */
export const MAX_BLOCK_RECORDS = 500;

/** Two records, the lesser id first. */
export interface RecordPairIds {
  readonly a: Uuid;
  readonly b: Uuid;
}

export function pairKey({ a, b }: RecordPairIds): string {
  return `${a} ${b}`;
}
