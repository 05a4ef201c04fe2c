import type { Identifier } from '../events/event.model.js';
import type { AnchorState } from '../features/anchor-state.model.js';
import type { FeatureSet } from '../features/feature-set.model.js';
import type { SearchedValue } from '../features/search-feature.model.js';
import type { Uuid } from '../platform/ids.js';
import type { SearchedTrait } from '../profiles/search-field.model.js';
import { mergeTraits } from '../profiles/traits.model.js';
import type { Traits } from '../profiles/trait.model.js';
import type { Prediction } from '../scoring/prediction.model.js';
import type { Membership } from './segment.model.js';

/** What one anchor contributes to whatever profile it stands for. */
export interface AnchorWork {
  readonly id: Uuid;
  readonly part: number;
  traits: Traits;
  state: AnchorState;
  /** Differs from what the database holds. */
  dirty: boolean;
  /** `state` as it was packed last; stale while `dirty`. Null: not packed with these features yet. */
  packedState: Buffer | null;
  /** `traits`, packed; null where they changed since. */
  packedTraits: Buffer | null;
  /** The hop of time for which tiles were dropped last. */
  prunedHop: number;
}

/** A profile as it can be found. */
export interface IndexedProfile {
  /** In the order of the fields. */
  readonly traits: readonly SearchedTrait[];
  /** `updatedHop` of its last change; -1: not known. */
  readonly hop: number;
  /** In the order of the features that are searched by; null: not known. */
  readonly features: readonly SearchedValue[] | null;
}

/** An anchor as the database holds it. */
export function newAnchorWork({
  id,
  part,
  traits,
  state,
}: Pick<AnchorWork, 'id' | 'part' | 'traits' | 'state'>): AnchorWork {
  return { id, part, traits, state, dirty: false, packedState: null, packedTraits: null, prunedHop: 0 };
}

export interface Timer {
  readonly dueAt: number;
  /**
   * Set where a change of definitions asked for it: their version; negative where it is one of models alone. Where somebody
   * did: `RECOMPUTE_SWEEP`.
   */
  readonly sweep: number | null;
  /** Segments that could not be judged, rising: {@link ProfileWork.stale}. */
  readonly stale: readonly number[];
}

/** As a change of definitions sets it, whichever version that made, where people are evaluated by trial. */
export function timerOfEdit(dueAt: number): Timer {
  return { dueAt, sweep: 1, stale: [] };
}

/**
 * A profile while the pipeline works on it. A profile is a set of anchors and reads the merge of their states: with one
 * anchor `merged` *is* that anchor's state, so that an event is folded in once.
 */
export interface ProfileWork {
  readonly id: Uuid;
  readonly part: number;
  readonly createdAt: number;
  /** By id; the anchors are among them. */
  readonly identifiers: Map<Uuid, Identifier>;
  readonly anchors: Map<Uuid, AnchorWork>;
  merged: AnchorState;
  traits: Traits;
  readonly memberships: Map<number, Membership>;
  /** Scores of earlier evaluations, by model key, as long as no event changes an input: they spare scoring anew. */
  readonly scores: Map<string, Prediction>;
  /** Models that were asked last and gave no answer. */
  readonly unscored: Set<string>;
  /** Segments that could not be judged when they were last looked at: whether it is in them is as of before. */
  readonly stale: Set<number>;
  /** The next instant at which time alone may flip a segment. */
  dueAt: number;
  /** The timer row as the database holds it. */
  timer: Timer | null;
  /** False while it has no anchor, and until all segments were evaluated since it has one: some are true of nothing. */
  evaluated: boolean;
  /** What the index has of it; null: nothing. */
  indexed: IndexedProfile | null;
  /** The next instant at which time alone may change the features that it is found by, as far as known. */
  searchedUntil: number;
  /** Set for an alias, which is in no segment: the profile that it became part of. */
  mergedInto: Uuid | null;
}

export function newProfileWork(
  { id, part, createdAt }: Pick<ProfileWork, 'id' | 'part' | 'createdAt'>,
  features: FeatureSet,
): ProfileWork {
  return {
    id,
    part,
    createdAt,
    identifiers: new Map(),
    anchors: new Map(),
    merged: features.empty(),
    traits: new Map(),
    memberships: new Map(),
    scores: new Map(),
    unscored: new Set(),
    stale: new Set(),
    dueAt: Number.POSITIVE_INFINITY,
    timer: null,
    evaluated: false,
    indexed: null,
    searchedUntil: Number.POSITIVE_INFINITY,
    mergedInto: null,
  };
}

/** Makes `merged` and `traits` the merge of the anchors, after the set of anchors changed. */
export function remerge(profile: ProfileWork, features: FeatureSet): void {
  const anchors = [...profile.anchors.values()];
  const [only] = anchors;
  if (only !== undefined && anchors.length === 1) {
    profile.merged = only.state;
    profile.traits = only.traits;
  } else {
    profile.merged = features.empty();
    for (const anchor of anchors) features.mergeInto(profile.merged, anchor.state);
    profile.traits = mergeTraits(anchors.map((a) => a.traits));
  }
  profile.scores.clear();
  profile.unscored.clear();
}

/**
 * What a profile is as of, ms, by when the newest event that each partition has applied was accepted: not before anything
 * that is folded in, nor before a timer that has fired.
 */
export function appliedUntil(work: ProfileWork, appliedAt: ReadonlyMap<number, number>): number {
  let asOf = Math.max(work.createdAt, appliedAt.get(work.part) ?? 0);
  for (const anchor of work.anchors.values()) asOf = Math.max(asOf, appliedAt.get(anchor.part) ?? 0);
  for (const membership of work.memberships.values()) asOf = Math.max(asOf, membership.since);
  return asOf;
}
