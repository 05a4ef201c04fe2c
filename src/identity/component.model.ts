import type { CanonicalKey } from '../events/event.model.js';
import type { Uuid } from '../platform/ids.js';
import type { Evidence } from './evidence.model.js';

/** Stands where an identifier has been met and locked but not yet resolved; never outlives its transaction. */
export const NO_PROFILE: Uuid = '00000000-0000-0000-0000-000000000000';

/** An identifier as the database knows it. `componentId` and `profileId` change, the rest never does. */
export interface KnownIdentifier {
  readonly id: Uuid;
  readonly ns: string;
  readonly value: string;
  componentId: Uuid;
  profileId: Uuid;
  /** Log position of the first event that carried it. */
  readonly firstPos: number;
}

/** A profile, alive (`mergedInto` null) or an alias. */
export interface KnownProfile {
  readonly id: Uuid;
  /** The identifier whose part of the component keeps this id. */
  readonly foundingId: Uuid;
  readonly foundedPos: number;
  readonly createdAt: number;
  readonly part: number;
  mergedInto: Uuid | null;
}

/**
 * A raw component: every identifier that any chain of evidence joins, limits ignored. While it stays within limits it
 * is one profile; beyond them its evidence decides (`resolve-component.ts`).
 */
export interface Component {
  readonly id: Uuid;
  readonly members: Map<Uuid, KnownIdentifier>;
  /** Distinct values per namespace. */
  readonly counts: Map<string, number>;
  /** Profiles founded by a member, alive or not. */
  readonly profiles: Map<Uuid, KnownProfile>;
  /** All of its evidence, by {@link evidenceKey}; null while nobody had to know. */
  evidence: Map<string, Evidence> | null;
  /** Least canonical keys already written, so that repetitions cost nothing; a subset of all evidence. */
  readonly written: Map<string, Evidence>;
  /** The same for members that were seen by themselves, by id: most events are of that kind, and need no hash. */
  readonly seenAlone: Map<Uuid, CanonicalKey>;
}

export function newComponent(id: Uuid): Component {
  return {
    id,
    members: new Map(),
    counts: new Map(),
    profiles: new Map(),
    evidence: null,
    written: new Map(),
    seenAlone: new Map(),
  };
}

export function addMember(component: Component, identifier: KnownIdentifier): void {
  if (component.members.has(identifier.id)) return;
  identifier.componentId = component.id;
  component.members.set(identifier.id, identifier);
  component.counts.set(identifier.ns, (component.counts.get(identifier.ns) ?? 0) + 1);
}

/** Moves everything of `from` into `into`. Evidence is known for the union only if it was for both. */
export function absorb(into: Component, from: Component): void {
  for (const identifier of from.members.values()) addMember(into, identifier);
  for (const profile of from.profiles.values()) into.profiles.set(profile.id, profile);
  for (const [key, evidence] of from.written) into.written.set(key, evidence);
  for (const [id, key] of from.seenAlone) into.seenAlone.set(id, key);
  if (into.evidence !== null && from.evidence !== null) {
    for (const [key, evidence] of from.evidence) into.evidence.set(key, evidence);
  } else {
    into.evidence = null;
  }
}

/** One row of the evidence table: a set of identifiers on a day. */
export function evidenceKey(evidence: Pick<Evidence, 'setId' | 'day'>): string {
  return `${evidence.setId} ${String(evidence.day)}`;
}
