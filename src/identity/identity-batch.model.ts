import type { Uuid } from '../platform/ids.js';
import type { Assignment } from './assignment.store.js';
import type { KnownIdentifier, KnownProfile } from './component.model.js';
import type { Evidence } from './evidence.model.js';
import type { LinkIndex } from './identity-links.model.js';
import type { IdentifierMove } from './identity-move.model.js';
import type { EventIdentity } from './identity-outcome.model.js';

/** What a batch changed, to be saved and published once the rest of the batch is known. */
export interface IdentityBatch {
  readonly outcomes: EventIdentity[];
  readonly identifiers: Set<KnownIdentifier>;
  readonly profiles: Map<Uuid, KnownProfile>;
  /** Of both, those that are not in the database yet, whatever becomes of them in the batch. */
  readonly added: { readonly identifiers: Set<KnownIdentifier>; readonly profiles: Set<KnownProfile> };
  /** Of the others, those that are to be written yet. */
  readonly unsaved: { readonly identifiers: Set<KnownIdentifier>; readonly profiles: Set<KnownProfile> };
  /** To be written yet. */
  readonly evidence: Map<string, Evidence>;
  /** But for those that `assignedFirst` says. */
  readonly assignments: Map<string, Assignment>;
  /**
   * Identifiers that stand for one profile since they were first seen, in this batch: of these no row is written. Those of
   * `added` need not be here.
   */
  readonly assignedFirst: Set<Uuid>;
  readonly moves: IdentifierMove[];
  /** Links by hand of all that the batch touches; null where there are none at all. */
  readonly links: LinkIndex | null;
  /** Events of components too large to be replayed in place: their new identifiers stand alone. */
  contested: number;
  /** Those components, as far as they have anything new. */
  readonly contestedIds: Set<Uuid>;
  /** Contested components that became part of others. */
  readonly rejoined: { readonly from: Uuid; readonly into: Uuid }[];
  /** Components that may have generic values that are not known yet. */
  readonly suspects: Set<Uuid>;
  /** Generic values that events hang on which carry others: accepted where that was not known yet. */
  readonly misplaced: Set<Uuid>;
  /** Values that count again, and anchors of events that name them and belong to them: accepted where they did not count. */
  readonly late: (readonly [value: Uuid, anchor: Uuid])[];
  /** Writes under way. */
  readonly saving: Promise<void>[];
}

/** A batch before its first event. */
export function newBatch(links: LinkIndex | null): IdentityBatch {
  return {
    outcomes: [],
    identifiers: new Set(),
    profiles: new Map(),
    added: { identifiers: new Set(), profiles: new Set() },
    unsaved: { identifiers: new Set(), profiles: new Set() },
    evidence: new Map(),
    assignments: new Map(),
    assignedFirst: new Set(),
    moves: [],
    links,
    contested: 0,
    contestedIds: new Set(),
    rejoined: [],
    suspects: new Set(),
    misplaced: new Set(),
    late: [],
    saving: [],
  };
}

export function noteChanged(batch: IdentityBatch, identifier: KnownIdentifier): void {
  if (batch.added.identifiers.has(identifier)) return;
  batch.identifiers.add(identifier);
  batch.unsaved.identifiers.add(identifier);
}

/** Of an identifier that the database does not have. */
export function noteAdded(batch: IdentityBatch, identifier: KnownIdentifier): void {
  batch.identifiers.add(identifier);
  batch.added.identifiers.add(identifier);
}

export function noteChangedProfile(batch: IdentityBatch, profile: KnownProfile): void {
  if (batch.added.profiles.has(profile)) return;
  batch.profiles.set(profile.id, profile);
  batch.unsaved.profiles.add(profile);
}

/** Of a profile that the database does not have. */
export function noteAddedProfile(batch: IdentityBatch, profile: KnownProfile): void {
  batch.profiles.set(profile.id, profile);
  batch.added.profiles.add(profile);
}
