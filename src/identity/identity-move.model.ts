import type { Uuid } from '../platform/ids.js';

export const MOVE_CAUSES = ['event', 'retraction', 'revision', 'contested'] as const;

/** Identifiers that went over from one profile to another, together. */
export interface IdentifierMove extends MovePlace {
  readonly id: Uuid;
  /** `merge`: the profile that they left ended with it. */
  readonly kind: 'merge' | 'split';
  readonly from: Uuid;
  readonly to: Uuid;
  readonly identifierIds: readonly Uuid[];
}

interface MovePlace {
  /** ms */
  readonly at: number;
  /** Log position of the event that did it; of others their place in acceptance order: after that position. */
  readonly pos: number;
  readonly cause: (typeof MOVE_CAUSES)[number];
  /** Null unless a revision did it. */
  readonly revisionId: Uuid | null;
}

interface MovedIdentifier {
  readonly identifierId: Uuid;
  /** Null: it was new. */
  readonly from: Uuid | null;
  /** Null: it is gone. */
  readonly to: Uuid | null;
}

/**
 * Moves by the pair of profiles that they are between; those of new identifiers, and of identifiers that went, are none.
 *
 * @param ended profiles that are aliases since
 */
export function movesOf(
  moves: readonly MovedIdentifier[],
  ended: ReadonlySet<Uuid>,
  place: MovePlace,
  newId: (nowMs: number) => Uuid,
): IdentifierMove[] {
  const between = new Map<string, { from: Uuid; to: Uuid; identifierIds: Uuid[] }>();
  for (const { identifierId, from, to } of moves) {
    if (from === null || to === null || from === to) continue;
    const key = `${from} ${to}`;
    const move = between.get(key);
    if (move === undefined) between.set(key, { from, to, identifierIds: [identifierId] });
    else move.identifierIds.push(identifierId);
  }
  return [...between.values()].map((move) => ({
    id: newId(place.at),
    kind: ended.has(move.from) ? 'merge' : 'split',
    ...move,
    ...place,
  }));
}
