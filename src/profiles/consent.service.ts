import type { EventAcceptor, EventSource } from '../events/accept.model.js';
import type { ConsentWord } from '../events/consent-context.model.js';
import type { RawIdentifier } from '../events/event.model.js';
import { WeftError } from '../platform/errors.js';
import { consentTrait } from './consent.model.js';

const MAX_IDENTIFIERS = 1_000;

/** A name of a person. */
export interface ConsentTarget extends RawIdentifier {
  /** Whether the person is known by it as it is written here: former rules may have made it. */
  readonly isStanding: boolean;
}

/** Somebody's word on a purpose. */
export interface ConsentGiven extends ConsentWord {
  readonly purpose: string;
  /** Names of the person, the one that the word is to hang on first; at least one. */
  readonly identifiers: readonly ConsentTarget[];
}

/** Writes consents, by events: so they take part in merges, unmerges and rebuilds as all else does. */
export class ConsentService {
  readonly #accept: EventAcceptor;

  constructor({ accept }: { readonly accept: EventAcceptor }) {
    this.#accept = accept;
  }

  /** Events that it takes. A no hangs on every identifier, so that no unmerge brings a yes back; a yes on the first. */
  static eventCount({ status, identifiers }: Pick<ConsentGiven, 'status' | 'identifiers'>): number {
    return status === 'denied' ? identifiers.length : Math.min(1, identifiers.length);
  }

  /**
   * @returns how many events were accepted
   * @throws WeftError BAD_REQUEST (an event is refused; others may be taken), CONFLICT (the person has more identifiers than one call writes to)
   */
  async give(source: EventSource, given: ConsentGiven): Promise<number> {
    const { purpose, status, expiresAt, identifiers } = given;
    const targets = identifiers.slice(0, ConsentService.eventCount(given));
    if (targets.length > MAX_IDENTIFIERS) {
      throw new WeftError('CONFLICT', `the profile has ${String(targets.length)} identifiers`, {
        where: 'identifier',
        hint: `consents of profiles with at most ${String(MAX_IDENTIFIERS)} can be taken back at once`,
      });
    }
    const results = await this.#accept.accept(
      // A denial counts for all names, also those that events of the source could not speak for: it lets nobody in.
      status === 'denied' ? { ...source, authenticated: true } : source,
      targets.map(({ ns, value, isStanding }) => ({
        type: 'identify' as const,
        identifiers: [{ ns, value }],
        // A denial hangs on whatever the person is known by, also where events could not name it any more.
        areStanding: isStanding,
        reserved: { [consentTrait(purpose)]: { status, expiresAt } },
      })),
      { historical: false },
    );
    const refused = results.find((result) => result.status === 'refused');
    if (refused?.status === 'refused') {
      const isPart = results.some((result) => result.status !== 'refused');
      throw new WeftError('BAD_REQUEST', `the consent is refused${isPart ? ' in part' : ''}: ${refused.reason}`, {
        where: 'identifier',
        ...(refused.hint === undefined ? {} : { hint: refused.hint }),
      });
    }
    return results.filter((result) => result.status === 'accepted').length;
  }
}
