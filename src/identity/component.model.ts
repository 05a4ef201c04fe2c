import type { CanonicalKey } from '../events/event.model.js';
import type { Uuid } from '../platform/ids.js';
import { ComponentReplay } from './component-replay.js';
import type { Evidence } from './evidence.model.js';
import { hasLinks, NO_LINKS, unionOfLinks, type IdentityLinks } from './identity-links.model.js';
import type { IdentityRules } from './identity-rules.model.js';

/** Stands where an identifier has been met and locked but not yet resolved; never outlives its transaction. */
export const NO_PROFILE: Uuid = '00000000-0000-0000-0000-000000000000';

/** Rows of evidence remembered per component between batches, to skip writes that would change nothing. */
const MAX_WRITTEN_ROWS = 256;

/** An identifier as the database knows it. `componentId`, `profileId` and what it founded change, the rest never does. */
export interface KnownIdentifier {
  readonly id: Uuid;
  readonly ns: string;
  readonly value: string;
  componentId: Uuid;
  profileId: Uuid;
  /** Log position of the first event that carried it. */
  readonly firstPos: number;
  /** When that was accepted, ms; null: it was known before that was kept. */
  readonly firstAt: number | null;
  /** The profile, alive or not, that keeps its id where this identifier is. */
  founded: KnownProfile | null;
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
 * A raw component: every identifier that any chain of evidence and must-links joins, limits ignored. While it stays
 * within limits it is one profile; beyond them, and where people said who is not who, its evidence decides
 * (`component-replay.ts`).
 */
export interface Component {
  readonly id: Uuid;
  readonly members: Map<Uuid, KnownIdentifier>;
  /** Distinct values per namespace. */
  readonly counts: Map<string, number>;
  /** Links by hand with an end among its members. */
  links: IdentityLinks;
  /** Whether they were looked for. */
  areLinksKnown: boolean;
  /** All of its evidence; null while nobody had to know. */
  replay: ComponentReplay | null;
  /**
   * More evidence than is replayed between two events: who is here stays where they are, and whoever comes stands alone,
   * until it is resolved by the way (`contested-chore`). Read anew, `members` are those alone that a batch names.
   */
  isContested: boolean;
  /** Whether its members stand where the rules in force have them; false once it was read anew. */
  isResolved: boolean;
  /** Evidence that is written already, so that repetitions cost nothing, by `writtenKey`. */
  readonly written: Map<string, Evidence>;
  /** Whether `written` is all of its evidence. */
  isWrittenAll: boolean;
  /**
   * The least keys of members that were seen by themselves, by id: most events are of that kind, and need no hash. Null:
   * none was.
   */
  seenAlone: Map<Uuid, CanonicalKey> | null;
}

/** @param isNew true: no evidence of it is stored yet */
export function newComponent(id: Uuid, isNew: boolean): Component {
  return {
    id,
    members: new Map(),
    counts: new Map(),
    links: NO_LINKS,
    areLinksKnown: isNew,
    replay: null,
    isContested: false,
    isResolved: isNew,
    written: new Map(),
    isWrittenAll: isNew,
    seenAlone: null,
  };
}

export function addMember(component: Component, identifier: KnownIdentifier): void {
  if (component.members.has(identifier.id)) return;
  identifier.componentId = component.id;
  component.members.set(identifier.id, identifier);
  component.counts.set(identifier.ns, (component.counts.get(identifier.ns) ?? 0) + 1);
}

/** @param key the least of the events that carried this member alone */
export function noteAlone(component: Component, id: Uuid, key: CanonicalKey): void {
  (component.seenAlone ??= new Map()).set(id, key);
}

/** Whether all members stand for one profile. */
export function isOneProfile({ members }: Component): boolean {
  let profileId: Uuid | null = null;
  for (const member of members.values()) {
    if (profileId !== null && member.profileId !== profileId) return false;
    profileId = member.profileId;
  }
  return true;
}

/** Moves everything of `from` into `into`. The evidence is known for the union only if it was for both. */
export function absorb(into: Component, from: Component, rules: IdentityRules): void {
  const links = unionOfLinks(into.links, from.links);
  if (into.replay !== null || from.replay !== null) {
    const [a, b] = [replayOf(into, rules), replayOf(from, rules)];
    into.replay = a === null || b === null ? null : joined(a, b);
    if (hasLinks(links)) into.replay?.relink(links);
  }
  into.links = links;
  into.areLinksKnown &&= from.areLinksKnown;
  into.isContested ||= from.isContested;
  into.isResolved &&= from.isResolved;
  for (const identifier of from.members.values()) addMember(into, identifier);
  for (const [key, evidence] of from.written) into.written.set(key, evidence);
  into.isWrittenAll &&= from.isWrittenAll;
  for (const [id, key] of from.seenAlone ?? []) noteAlone(into, id, key);
}

/** Adds links to those that the component has. */
export function linkComponent(component: Component, links: IdentityLinks): void {
  const all = unionOfLinks(component.links, links);
  if (all === component.links) return;
  component.links = all;
  component.replay?.relink(all);
}

function joined(a: ComponentReplay, b: ComponentReplay): ComponentReplay {
  const [into, from] = a.size >= b.size ? [a, b] : [b, a];
  into.absorb(from);
  return into;
}

/** All of the component's evidence, made from what is written if that is all; null if it has to be read first. */
export function replayOf(component: Component, rules: IdentityRules): ComponentReplay | null {
  if (component.replay !== null || component.isContested || !component.isWrittenAll) return component.replay;
  component.replay = new ComponentReplay(rules, component.links);
  for (const row of component.written.values()) component.replay.add(row);
  return component.replay;
}

/** Forgets what of the written evidence is beyond the bound, the oldest first; between batches only. */
export function trimWritten(component: Component): void {
  if (component.written.size <= MAX_WRITTEN_ROWS) return;
  component.isWrittenAll = false;
  let excess = component.written.size - MAX_WRITTEN_ROWS;
  for (const key of component.written.keys()) {
    if (excess-- === 0) return;
    component.written.delete(key);
  }
}

/** What the component takes in memory, in identifiers and rows of evidence; each is about a kilobyte at most. */
export function sizeOf({ members, seenAlone, written, replay }: Component): number {
  return 1 + members.size + (seenAlone?.size ?? 0) + written.size + (replay?.size ?? 0);
}
