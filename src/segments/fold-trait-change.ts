import type { Uuid } from '../platform/ids.js';
import type { Traits } from '../profiles/trait.model.js';
import type { Definitions } from './definitions.model.js';
import {
  compareIds,
  evaluateOnce,
  fireDue,
  runAll,
  type FoldChange,
  type ProfileLookup,
  type StepProgram,
} from './fold-batch.js';
import { FoldContext } from './fold-context.js';
import { remerge, type ProfileWork } from './profile-work.model.js';
import type { ChangeCause } from './segment.model.js';

/** Anchors whose traits are to be others, because of no event of theirs, as a step of the fold. */
export interface TraitChangeStep {
  /** The step's place in acceptance order, ms: after all that is applied, before all that is not. */
  readonly acceptedAt: number;
  /** The profiles that the anchors belong to. */
  readonly involved: readonly Uuid[];
  /** By anchor. */
  readonly traits: ReadonlyMap<Uuid, Traits>;
  /** What the feed says of it: that rules changed, or that a group did. */
  readonly cause: 'edit' | 'group';
  /** Only loaded history is behind it: what changes is not emitted, as in F4. Timers that are due are. */
  readonly isSilent?: boolean;
}

/**
 * Gives anchors other traits: a step like an event's (`fold-batch.ts`). Timers that are due fire before it; then every
 * profile concerned is evaluated at `acceptedAt + 1`, and what changes is emitted with the cause.
 */
export async function foldTraitChange(
  definitions: Definitions,
  profiles: ProfileLookup,
  { acceptedAt, involved, traits, cause: kind, isSilent = false }: TraitChangeStep,
): Promise<FoldChange[]> {
  const context = new FoldContext(definitions);
  const cause: ChangeCause = { kind, pos: null };
  const running = [...involved].sort(compareIds).map((id) => {
    const out: FoldChange[] = [];
    return {
      involved: [id],
      out,
      program: program(definitions, profiles(id), { acceptedAt, traits, cause, emit: !isSilent }, out),
    };
  });
  await runAll(context, running);
  return running.flatMap(({ out }) => out);
}

function* program(
  definitions: Definitions,
  profile: ProfileWork,
  {
    acceptedAt,
    traits,
    cause,
    emit,
  }: Pick<TraitChangeStep, 'acceptedAt' | 'traits'> & { readonly cause: ChangeCause; readonly emit: boolean },
  out: FoldChange[],
): StepProgram {
  yield* fireDue(profile, acceptedAt, out);
  for (const anchor of profile.anchors.values()) {
    const changed = traits.get(anchor.id);
    if (changed === undefined) continue;
    anchor.traits = changed;
    anchor.packedTraits = null;
    anchor.dirty = true;
  }
  remerge(profile, definitions.features);
  yield* evaluateOnce({ profile, t: acceptedAt + 1, cause, emit, segments: null, out });
}
