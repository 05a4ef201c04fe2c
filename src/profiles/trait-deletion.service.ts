import type { EventAcceptor, EventSource } from '../events/accept.model.js';
import { isReservedTrait, type RawIdentifier } from '../events/event.model.js';
import { WeftError } from '../platform/errors.js';
import { OWN_SOURCE } from './own-source.model.js';
import { TRAIT_LIMITS } from './trait-definition.model.js';
import { DELETE_TRAITS } from './traits.model.js';

const MAX_NAMES = 100;
const MAX_IDENTIFIERS = 1_000;

/** Deletes traits of a profile, by events: so a deletion takes part in merges, unmerges and rebuilds as all else does. */
export class TraitDeletionService {
  constructor(
    private readonly parts: {
      readonly accept: EventAcceptor;
      readonly sources: { ensure(source: typeof OWN_SOURCE): Promise<EventSource> };
    },
  ) {}

  /**
   * Writes an event for each identifier of the profile, as values hang on identifiers. What was given for the traits until
   * now is gone once these are applied, and does not come back by events that arrive late.
   * @param identifiers of the profile, as they stand
   * @returns how many events were accepted
   * @throws WeftError BAD_REQUEST (names), CONFLICT (the profile has more identifiers than one call deletes from)
   */
  async deleteTraits(identifiers: readonly RawIdentifier[], names: readonly string[]): Promise<number> {
    checkNames(names);
    if (identifiers.length > MAX_IDENTIFIERS) {
      throw new WeftError('CONFLICT', `the profile has ${String(identifiers.length)} identifiers`, {
        where: 'profile',
        hint: `traits of profiles with at most ${String(MAX_IDENTIFIERS)} can be deleted`,
      });
    }
    const source = { ...(await this.parts.sources.ensure(OWN_SOURCE)), authenticated: true };
    const events = identifiers.map((identifier) => ({
      type: 'identify' as const,
      identifiers: [identifier],
      // Values hang on identifiers as they stand, which former rules may have made.
      areStanding: true,
      reserved: { [DELETE_TRAITS]: [...new Set(names)] },
    }));
    const results = await this.parts.accept.accept(source, events, { historical: false });
    return results.filter(({ status }) => status === 'accepted').length;
  }
}

function checkNames(names: readonly string[]): void {
  const isFine = (name: string): boolean =>
    name !== '' && name.length <= TRAIT_LIMITS.maxNameLength && !isReservedTrait(name);
  if (names.length > 0 && names.length <= MAX_NAMES && names.every(isFine)) return;
  throw new WeftError('BAD_REQUEST', 'these are no names of traits', {
    where: 'names',
    hint: `give 1 to ${String(MAX_NAMES)} names as events carry them; those that begin with $ are Weft's own`,
  });
}
