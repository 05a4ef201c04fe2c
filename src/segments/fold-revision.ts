import type { Uuid } from '../platform/ids.js';
import type { Traits } from '../profiles/trait.model.js';
import type { AnchorState } from '../features/anchor-state.model.js';
import type { Definitions } from './definitions.model.js';
import {
  compareIds,
  endProfile,
  evaluateOnce,
  fireDue,
  runAll,
  type FoldChange,
  type ProfileLookup,
} from './fold-batch.js';
import { FoldContext } from './fold-context.js';
import { inheritMemory, NO_MEMORY, NOTHING_INHERITED } from './inherit-memory.js';
import { newAnchorWork, remerge, type ProfileWork } from './profile-work.model.js';
import type { ChangeCause } from './segment.model.js';

/** An anchor of which events were taken back, with what is left of it. */
export interface RebuiltAnchor {
  readonly id: Uuid;
  readonly part: number;
  /** Null: no event hangs on it any more. */
  readonly rebuilt: { readonly traits: Traits; readonly state: AnchorState } | null;
}

/** Something that no event brought and that changed who is who, or what is known of them, as a step of the fold. */
export interface RevisionStep {
  /** The step's place in acceptance order, ms: after all that is applied, before all that is not. */
  readonly acceptedAt: number;
  /** Every profile that the rest names. */
  readonly involved: readonly Uuid[];
  readonly anchors: readonly RebuiltAnchor[];
  /** What the feed says of it: that events were taken back, that somebody was erased, that profiles were merged or split. */
  readonly cause: 'revert' | 'erasure' | 'identity';
  /** Identifiers that stand for another profile than before; to null: for nobody. */
  readonly moves: readonly { readonly identifierId: Uuid; readonly from: Uuid; readonly to: Uuid | null }[];
  /** Profiles that ended and live on as part of another. */
  readonly merged: ReadonlyMap<Uuid, Uuid>;
}

/**
 * A step like an event's (`fold-batch.ts`), with all profiles concerned at once. Timers that are due fire before it; then
 * the anchors are what is left of them, stand where they belong, and every profile concerned is evaluated at
 * `acceptedAt + 1`. What that changes is always emitted: nothing of the feed's past is rewritten, so whoever was told, or
 * has read, that somebody is in a segment has to be told that they are not.
 */
export async function foldRevision(
  definitions: Definitions,
  profiles: ProfileLookup,
  step: RevisionStep,
): Promise<FoldChange[]> {
  const context = new FoldContext(definitions);
  const { acceptedAt, merged } = step;
  const involved = [...step.involved].sort(compareIds);
  const running = (programOf: (profile: ProfileWork, out: FoldChange[]) => ReturnType<typeof fireDue>) =>
    involved.map((id) => {
      const out: FoldChange[] = [];
      return { involved: [id], out, program: programOf(profiles(id), out) };
    });
  const due = running((profile, out) => fireDue(profile, acceptedAt, out));
  await runAll(context, due);

  // What came of events that are taken back must not outlast them, and which did cannot be told.
  const forgets = step.cause !== 'identity';
  const inheritedBy = forgets ? NOTHING_INHERITED : inheritMemory(definitions, profiles, step);
  const ended: FoldChange[] = [];
  const causeOf = causesOf(step);
  replaceAnchors(profiles, involved, step);
  moveIdentifiers(profiles, step);
  for (const [from, into] of merged) {
    const cause = { ...causeOf(from), profileId: into };
    endProfile(profiles(from), into, { at: acceptedAt + 1, emit: true, cause }, ended);
  }
  for (const id of involved) remerge(profiles(id), definitions.features);

  const evaluated = running((profile, out) => {
    const inherited = inheritedBy.get(profile.id) ?? NO_MEMORY;
    const cause = causeOf(profile.id);
    return evaluateOnce({ profile, t: acceptedAt + 1, cause, emit: true, segments: null, inherited, forgets, out });
  });
  await runAll(context, evaluated);
  return [...due.flatMap(({ out }) => out), ...ended, ...evaluated.flatMap(({ out }) => out)];
}

/**
 * By profile: a merge where it ended or took in one that did, else an unmerge, each with the other profile. Of several
 * others the one with the least id is named.
 */
function causesOf({ cause, moves, merged }: RevisionStep): (profileId: Uuid) => ChangeCause {
  if (cause !== 'identity') return () => ({ kind: cause, pos: null });
  const causes = new Map<Uuid, ChangeCause>();
  const note = (profileId: Uuid, kind: 'merge' | 'unmerge', other: Uuid): void => {
    const known = causes.get(profileId);
    if (known?.kind === 'merge' && kind === 'unmerge') return;
    if (known?.kind === kind && (known.profileId ?? '') <= other) return;
    causes.set(profileId, { kind, pos: null, profileId: other });
  };
  for (const [from, into] of merged) {
    note(from, 'merge', into);
    note(into, 'merge', from);
  }
  for (const { from, to } of moves) {
    if (to === null) continue;
    note(from, 'unmerge', to);
    note(to, 'unmerge', from);
  }
  return (profileId) => causes.get(profileId) ?? UNMERGE;
}

/** Of a profile that nobody left and nobody joined: time alone may have changed it. */
const UNMERGE: ChangeCause = { kind: 'unmerge', pos: null };

function replaceAnchors(profiles: ProfileLookup, involved: readonly Uuid[], { anchors }: RevisionStep): void {
  const ownerOf = new Map<Uuid, ProfileWork>();
  for (const id of involved) {
    const profile = profiles(id);
    for (const identifierId of profile.identifiers.keys()) ownerOf.set(identifierId, profile);
  }
  for (const { id, part, rebuilt } of anchors) {
    const owner = ownerOf.get(id);
    if (rebuilt === null) {
      owner?.anchors.delete(id);
      continue;
    }
    if (owner === undefined) throw new Error('an anchor with events stands for nobody');
    const anchor = newAnchorWork({ id, part, ...rebuilt });
    anchor.dirty = true;
    owner.anchors.set(id, anchor);
  }
}

function moveIdentifiers(profiles: ProfileLookup, { moves }: RevisionStep): void {
  for (const { identifierId, from: fromId, to: toId } of moves) {
    const from = profiles(fromId);
    const identifier = from.identifiers.get(identifierId);
    const anchor = from.anchors.get(identifierId);
    if (identifier === undefined) throw new Error('an identifier moved that its profile does not have');
    from.identifiers.delete(identifierId);
    from.anchors.delete(identifierId);
    if (toId === null) continue;
    const to = profiles(toId);
    to.mergedInto = null;
    to.identifiers.set(identifierId, identifier);
    if (anchor !== undefined) to.anchors.set(identifierId, anchor);
  }
}
