import type { RawIdentifier } from '../events/event.model.js';
import type { ErrorCode } from '../platform/errors.js';
import type { Uuid } from '../platform/ids.js';

export const REVISION_KINDS = ['merge', 'unmerge', 'unlink', 'apart', 'rules', 'generic', 'model'] as const;
export type RevisionKind = (typeof REVISION_KINDS)[number];

export const REVISION_STATUSES = ['waiting', 'running', 'done', 'failed'] as const;
export type RevisionStatus = (typeof REVISION_STATUSES)[number];

/** Whom a merge joins: profiles by any id that they have had, or identifiers, of which some may not have been seen yet. */
export type MergeInput = { readonly profiles: readonly Uuid[] } | { readonly identifiers: readonly RawIdentifier[] };

/** Who is taken out of a profile: these identifiers, or those that a past move brought to it. */
export type UnmergeInput =
  { readonly profile: Uuid; readonly identifiers: readonly RawIdentifier[] } | { readonly move: Uuid };

/** Two sides that are not one person, each by all of its identifiers. */
export interface ApartInput {
  readonly identifiers: readonly RawIdentifier[];
  readonly others: readonly RawIdentifier[];
}

/** What a revision is about, by its kind. Identifiers are normalised. */
export type RevisionInputOf =
  | ({ readonly kind: 'merge' } & { readonly input: MergeInput })
  | ({ readonly kind: 'unmerge' } & { readonly input: UnmergeInput })
  | { readonly kind: 'unlink'; readonly input: { readonly link: Uuid } }
  /** That those of one side are nobody of the other. */
  | ({ readonly kind: 'apart' } & { readonly input: ApartInput })
  /** Links that a model made and took back; done at once. */
  | { readonly kind: 'model'; readonly input: { readonly version: string | null } }
  /** All components; or those that the change from an older version of the rules to that in force reaches. */
  | { readonly kind: 'rules'; readonly input: { readonly since?: number } }
  /** Components of these identifiers. */
  | { readonly kind: 'generic'; readonly input: { readonly ids: readonly Uuid[] } };

/** What came of a revision. */
export interface RevisionResult {
  /** Who the profile is now that it was about; null for revisions of many. */
  readonly profileId: Uuid | null;
  /** Profiles that ended as part of another. */
  readonly merged: readonly Uuid[];
  /** Profiles that others were taken out into. */
  readonly apart: readonly Uuid[];
  /** Identifiers that stand for another profile than before. */
  readonly moved: number;
  /** Of a merge: those whom it names and nobody has seen yet, so that links wait for them; absent in others. */
  readonly unseen?: number;
  /** Links that were made and removed. */
  readonly linksAdded: number;
  readonly linksRemoved: number;
  /** Components that have too much evidence to be resolved. */
  readonly contested: number;
  /** Components that could not be resolved, and are as they were; absent in results of before. */
  readonly failed?: number;
  /** Blocked values that count all the same, because as many as may be do not count already; absent in results of before. */
  readonly beyondBound?: number;
  /** Components that were resolved, of those that were looked at; absent in results of before. */
  readonly resolved?: number;
}

export interface RevisionFailure {
  readonly code: ErrorCode;
  readonly message: string;
  readonly where: string | null;
  readonly hint: string | null;
}

/** Something that no event brought and that changes who is who, and how far that is. */
export type IdentityRevisionRecord = RevisionInputOf & {
  readonly id: Uuid;
  /** Who asked for it, and why. */
  readonly actor: string;
  readonly reason: string;
  /** ms */
  readonly createdAt: number;
  readonly status: RevisionStatus;
  /** Failures since the last step that went well. */
  readonly failures: number;
  /** Why it last failed; null where nothing failed since. */
  readonly failure: RevisionFailure | null;
  /** Of the steps so far; null before the first. */
  readonly result: RevisionResult | null;
  /** Components that are done, and about how many there are; null where that is not known. */
  readonly stepsDone: number;
  readonly stepsTotal: number | null;
  /** Where the next step goes on; null: at the start. */
  readonly place: string | null;
  readonly finishedAt: number | null;
};

export const NO_RESULT: RevisionResult = {
  profileId: null,
  merged: [],
  apart: [],
  moved: 0,
  linksAdded: 0,
  linksRemoved: 0,
  contested: 0,
  failed: 0,
  beyondBound: 0,
  resolved: 0,
};

/** Failures in a row after which a revision is given up. */
export const MAX_REVISION_FAILURES = 5;
/** From the first failure to the next try; twice that after each that follows. */
export const FIRST_RETRY_MS = 1_000;
export const MAX_REASON_LENGTH = 1_000;
/** Profiles or identifiers of one merge. */
export const MAX_MERGED = 20;
/** Links that one revision may make. */
export const MAX_NEW_LINKS = 5_000;
/** Waiting for workers, at most. */
export const MAX_OPEN_REVISIONS = 1_000;
