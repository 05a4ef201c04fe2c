import type { Identifier, JsonValue } from '../events/event.model.js';
import type { RevisionInputOf, RevisionResult } from '../identity/identity-revision.model.js';
import type { Uuid } from '../platform/ids.js';
import type { Definitions } from './definitions.model.js';
import type { ChangeKind } from './segment.model.js';

/** What somebody may decide about who is who. */
export type PreviewedDecision = Extract<RevisionInputOf, { readonly kind: 'merge' | 'unmerge' | 'unlink' }>;

/** Says what a decision would do, without doing it. */
export interface IdentityPreviewer {
  /** @throws WeftError NOT_FOUND, CONFLICT, BAD_REQUEST, PAYLOAD_TOO_LARGE */
  preview(definitions: Definitions, asked: PreviewedDecision): Promise<IdentityPreview>;
}

/** A profile as it would be. */
export interface PreviewedProfile {
  readonly id: Uuid;
  /** Whether there has never been one with this id. */
  readonly isNew: boolean;
  /** Set where it would end: the profile that it becomes part of. */
  readonly mergedInto: Uuid | null;
  readonly identifiers: readonly Identifier[];
  /** Traits that it would have other values of. */
  readonly traits: readonly PreviewedTrait[];
}

export interface PreviewedTrait {
  readonly name: string;
  /** Undefined: it has none. */
  readonly before: JsonValue | undefined;
  readonly after: JsonValue | undefined;
  /** The source and the time, ms, of the value that would stand; null where none would. */
  readonly sourceId: number | null;
  readonly occurredAt: number | null;
}

export interface PreviewedChange {
  readonly profileId: Uuid;
  readonly segmentId: number;
  readonly kind: ChangeKind;
}

/** A limit that a profile would be beyond, because somebody says so. */
export interface BrokenLimit {
  readonly namespace: string;
  readonly limit: number;
  /** The sliding window in which it holds, ms; null: ever. */
  readonly windowMs: number | null;
  /** Distinct values that the profile would hold. */
  readonly count: number;
}

export interface IdentityPreview {
  readonly result: RevisionResult;
  readonly profiles: readonly PreviewedProfile[];
  readonly changes: readonly PreviewedChange[];
  readonly brokenLimits: readonly BrokenLimit[];
}
