import type { Uuid } from '../platform/ids.js';
import type { Traits } from '../profiles/traits.model.js';
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
import { newAnchorWork, remerge, type ProfileWork } from './profile-work.model.js';
import type { ChangeCause } from './segment.model.js';

/** An anchor of which events were taken back, with what is left of it. */
export interface RebuiltAnchor {
  readonly id: Uuid;
  readonly part: number;
  /** Null: no event hangs on it any more. */
  readonly rebuilt: { readonly traits: Traits; readonly state: AnchorState } | null;
}

/** Events that were taken back, as a step of the fold. */
export interface RetractionStep {
  /** The step's place in acceptance order, ms: after all that is applied, before all that is not. */
  readonly acceptedAt: number;
  /** Every profile that the rest names. */
  readonly involved: readonly Uuid[];
  readonly anchors: readonly RebuiltAnchor[];
  /** Identifiers that stand for another profile than before; to null: for nobody. */
  readonly moves: readonly { readonly identifierId: Uuid; readonly from: Uuid; readonly to: Uuid | null }[];
  /** Profiles that ended and live on as part of another. */
  readonly merged: ReadonlyMap<Uuid, Uuid>;
}

/**
 * Takes events back: a step like an event's (`fold-batch.ts`), with all profiles concerned at once. Timers that are due
 * fire before it; then the anchors are what is left of them, stand where they belong, and every profile concerned is
 * evaluated at `acceptedAt + 1`. What that changes is always emitted: nothing of the feed's past is rewritten, so whoever
 * was told, or has read, that somebody is in a segment has to be told that they are not.
 */
export async function foldRetraction(
  definitions: Definitions,
  profiles: ProfileLookup,
  step: RetractionStep,
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

  const ended: FoldChange[] = [];
  replaceAnchors(profiles, involved, step);
  moveIdentifiers(profiles, step);
  for (const [from, into] of merged) {
    endProfile(profiles(from), into, { at: acceptedAt + 1, emit: true, cause: { ...REVERT, profileId: into } }, ended);
  }
  for (const id of involved) remerge(profiles(id), definitions.features);

  const evaluated = running((profile, out) =>
    evaluateOnce({ profile, t: acceptedAt + 1, cause: REVERT, emit: true, segments: null, out }),
  );
  await runAll(context, evaluated);
  return [...due.flatMap(({ out }) => out), ...ended, ...evaluated.flatMap(({ out }) => out)];
}

const REVERT: ChangeCause = { kind: 'revert', pos: null };

function replaceAnchors(profiles: ProfileLookup, involved: readonly Uuid[], { anchors }: RetractionStep): void {
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

function moveIdentifiers(profiles: ProfileLookup, { moves }: RetractionStep): void {
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
