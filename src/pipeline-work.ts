import type { Transaction } from './platform/postgres.js';
import type { ReanchoredEvent, Retraction, RewrittenEvent } from './events/retraction.model.js';
import type { Evidence } from './identity/evidence.model.js';
import type { StandingEvidence } from './identity/standing-evidence.js';
import type { LinkDecision } from './identity/identity-decision.model.js';
import type { IdentityRevision, RevisionInput } from './identity/revised-identity.model.js';
import type { Uuid } from './platform/ids.js';
import type { RebuiltAnchor } from './segments/fold-revision.js';
import type { AnchorGiven, GroupDelivery } from './profiles/group.store.js';
import type { Traits } from './profiles/trait.model.js';

/** The place of a step in acceptance order: after this position, at this instant, ms. */
export interface Place {
  readonly pos: number;
  readonly acceptedAt: number;
}

/** What was read of anchors of the held partitions before the transaction that writes over it. */
interface ReadBefore {
  /** Of these partitions, before anything was read (`PartitionLeases.moves`). */
  readonly moves: number;
}

/** Events of a retraction that are to be taken back now, all of some anchors, and what is left of those. */
export interface TakenBack extends ReadBefore {
  readonly retraction: Retraction;
  readonly anchors: readonly RebuiltAnchor[];
  /** What the anchors give groups, with what is left of them. */
  readonly given: readonly AnchorGiven[];
  readonly evidence: readonly Evidence[];
  /** Events of the anchors that stay and say less. */
  readonly rewritten: readonly RewrittenEvent[];
  /** Positions of events of the anchors that belong to who is erased, and are not moved there yet. */
  readonly misplaced: readonly number[];
}

/** Events that hang on other anchors from now on, with those anchors folded anew. */
export interface Reanchored {
  /** The values because of which they do. */
  readonly valueIds: readonly Uuid[];
  /** Who is resolved anew, beside whom the evidence names. */
  readonly ids: readonly Uuid[];
  readonly moved: readonly ReanchoredEvent[];
  readonly anchors: readonly RebuiltAnchor[];
  readonly given: readonly AnchorGiven[];
  /** All that the anchors have; rows of others are added to what these have. */
  readonly evidence: readonly Evidence[];
  /** What they had until now. */
  readonly standing: StandingEvidence;
}

export interface Reanchoring {
  readonly revisionId: Uuid;
  readonly areRulesNew?: RevisionInput['areRulesNew'];
  /** With nobody else at work. */
  readonly find: (tx: Transaction, place: Place) => Promise<Reanchored>;
  /** Notes what came of it. */
  readonly note: (tx: Transaction, found: IdentityRevision) => Promise<void>;
}

/** Components to be resolved anew. */
export interface RevisionWork {
  /** Null: it is none of those that are on record. */
  readonly revisionId: Uuid | null;
  /** With nobody else at work, or those of `linked` locked: which components, and what changes. */
  readonly decide: (tx: Transaction, place: Place) => Promise<RevisionTask>;
  /**
   * The links of a model change, and nothing else: the ends of all that may be decided on. Their components are locked, and
   * all others go on. Default: anything may change, and nobody else is at work.
   */
  readonly linked?: readonly Uuid[];
  /** Notes what came of it. */
  readonly note: (tx: Transaction, found: IdentityRevision) => Promise<void>;
}

interface RevisionTask extends Pick<RevisionInput, 'ids' | 'links' | 'amend' | 'cause' | 'areRulesNew'> {
  /** Groups that stand already, of a component that is contested; then `ids` counts not. */
  readonly groups?: readonly (readonly Uuid[])[];
  /** Null where nobody decided anything: no link changes. */
  readonly decision: LinkDecision | null;
}

/** Anchors whose traits are others by the rules as they are now. */
export interface RefoldedTraits extends ReadBefore {
  /** By anchor. */
  readonly traits: ReadonlyMap<Uuid, Traits>;
  /** What these anchors give groups. */
  readonly given: readonly AnchorGiven[];
  /** Notes in the transaction that this is done. */
  readonly note: (tx: Transaction) => Promise<void>;
  readonly owners: (tx: Transaction, anchorIds: readonly Uuid[]) => Promise<readonly Uuid[]>;
}

/** Members of groups that are to know what the traits of these are. */
export interface ToldGroups extends GroupDelivery, Pick<RefoldedTraits, 'owners'> {}

/** Profiles to be written into the index by which they are found. */
export interface IndexedProfiles {
  /** Locks them, writes what is not known of them here, and tells which they are: those are written by features. */
  readonly build: (tx: Transaction) => Promise<readonly Uuid[]>;
}
