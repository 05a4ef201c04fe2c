import type { Uuid } from '../platform/ids.js';
import type { CompiledSegment } from './compile-segment.js';
import type { Definitions } from './definitions.model.js';
import type { ProfileWork } from './profile-work.model.js';
import type { Membership } from './segment.model.js';

/*
 * What segments with an exit condition or a minimum dwell remember is whether, and since when, a profile is in them; its
 * membership is that memory. Where identifiers go from one profile to another, it goes along: the profile that takes them
 * over is, for that one evaluation, held for a member of what the other was in. If it then is in, it has entered, and
 * its own membership is the memory from there on.
 */

/** Since when others were in segments, ms, by segment id. */
export type InheritedMemory = ReadonlyMap<number, number>;

export const NO_MEMORY: InheritedMemory = new Map();
export const NOTHING_INHERITED: ReadonlyMap<Uuid, InheritedMemory> = new Map();

/** Who is becoming part of whom. */
export interface Takeovers {
  readonly moves: readonly { readonly from: Uuid | null; readonly to: Uuid | null }[];
  /** Profiles that end, each with its survivor. */
  readonly merged: ReadonlyMap<Uuid, Uuid>;
}

/** By profile that takes something over; of several memberships in a segment the one that began last. To be asked before anything moves. */
export function inheritMemory(
  { segments }: Pick<Definitions, 'segments'>,
  profiles: (id: Uuid) => Pick<ProfileWork, 'memberships'>,
  { moves, merged }: Takeovers,
): ReadonlyMap<Uuid, InheritedMemory> {
  const remembering = segments.ordered.filter(({ remembers }) => remembers);
  if (remembering.length === 0) return NOTHING_INHERITED;
  const inheritedBy = new Map<Uuid, Map<number, number>>();
  const take = (from: Uuid | null, to: Uuid | null): void => {
    if (from === null || to === null || from === to) return;
    const { memberships } = profiles(from);
    const inherited = inheritedBy.get(to) ?? new Map<number, number>();
    inheritedBy.set(to, inherited);
    for (const { segmentId } of remembering) {
      const since = memberships.get(segmentId)?.since;
      if (since !== undefined) inherited.set(segmentId, Math.max(since, inherited.get(segmentId) ?? since));
    }
  };
  for (const { from, to } of moves) take(from, to);
  for (const [from, into] of merged) take(from, into);
  return inheritedBy;
}

/** What a segment is told of a profile's membership before: since when, ms; null: it was not in it. */
export function heldSince(
  { segmentId }: Pick<CompiledSegment, 'segmentId'>,
  { inherited, forgets = false }: { readonly inherited?: InheritedMemory; readonly forgets?: boolean },
  standing: Membership | undefined,
): number | null {
  if (forgets) return null;
  return standing?.since ?? inherited?.get(segmentId) ?? null;
}
