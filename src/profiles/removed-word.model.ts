import type { ConsentWord } from '../events/consent-context.model.js';
import type { CanonicalKey, LoggedEvent } from '../events/event.model.js';
import type { Uuid } from '../platform/ids.js';
import { consentTrait, wordsGiven, type ConsentMapping, type HeldConsent } from './consent.model.js';

/*
 * What is kept of words on purposes whose events a retention removes.
 *
 * An anchor's traits hold the newest word alone, so once its event is taken back the one before counts, which the log may
 * not have any more. Words in the log and these together say who allows what, as if none had been removed.
 *
 * Invariants
 * W1  Of an anchor and a purpose the newest removed word of each status is kept, so there are two at most. Which they are
 *     is a function of the set of removed words, not of the order of removal.
 * W2  Ids of messages are not kept, since they may name somebody. Of grants of one instant the one that runs out first is
 *     kept, of denials the one that runs out last.
 * W3  As of instants between the first and the newest of an anchor's removed denials a purpose counts as denied, whatever
 *     was granted meanwhile, and of removed grants none before the newest is known: nothing is told that was denied,
 *     though some may be withheld that was not.
 */

/** The newest word of its status on a purpose, among those of an anchor whose events were removed. */
export interface RemovedWord extends ConsentWord {
  readonly anchorId: Uuid;
  readonly purpose: string;
  /** When it was given, ms. */
  readonly occurredAt: number;
  readonly sourceId: number;
  /** When the first of its status was given, ms. */
  readonly sinceMs: number;
}

/** A word under the trait that it is kept as. */
export interface OutlivedWord extends HeldConsent, CanonicalKey {
  readonly trait: string;
  /** As of earlier instants it does not count, ms. */
  readonly fromMs: number;
}

/** What an event has to say of itself for its words to be kept. */
type WordEvent = Pick<LoggedEvent, 'identifiers' | 'context' | 'traits' | 'occurredAt' | 'sourceId'>;

/** @param mapping null: no purpose is declared */
export function removedWords(events: readonly WordEvent[], mapping: ConsentMapping | null): RemovedWord[] {
  const words = events.flatMap((event) => {
    const anchorId = event.identifiers[0]?.id;
    if (anchorId === undefined) return [];
    const { occurredAt, sourceId } = event;
    return wordsGiven(event, mapping).map(([purpose, word]) => ({
      ...word,
      ...{ anchorId, purpose, occurredAt, sourceId, sinceMs: occurredAt },
    }));
  });
  return newestRemoved(words);
}

/** One for each anchor, purpose and status. */
export function newestRemoved(words: readonly RemovedWord[]): RemovedWord[] {
  const newest = new Map<string, RemovedWord>();
  for (const word of words) {
    const key = JSON.stringify([word.anchorId, word.purpose, word.status]);
    const known = newest.get(key);
    if (known === undefined) newest.set(key, word);
    else {
      const sinceMs = Math.min(known.sinceMs, word.sinceMs);
      newest.set(key, { ...(compareRemoved(word, known) > 0 ? word : known), sinceMs });
    }
  }
  return [...newest.values()];
}

/** Of words of one status, that on conflict in `RemovedWordStore.add` is the same order. */
function compareRemoved(a: RemovedWord, b: RemovedWord): number {
  return a.occurredAt - b.occurredAt || cautionOf(a) - cautionOf(b) || a.sourceId - b.sourceId;
}

function cautionOf({ status, expiresAt }: ConsentWord): number {
  const until = expiresAt ?? Number.MAX_SAFE_INTEGER;
  return status === 'denied' ? until : -until;
}

/** A removed word as an event would bring it. */
export function heldRemoved({ purpose, status, expiresAt, occurredAt, sourceId }: RemovedWord): OutlivedWord {
  const key = { occurredAt, sourceId, messageId: '' };
  return { ...key, trait: consentTrait(purpose), value: { status, expiresAt }, fromMs: occurredAt };
}

/** A denial that goes before all grants until the newest one, and stands for those before it; null: there is none. */
export function earlierDenials(word: RemovedWord): OutlivedWord | null {
  if (word.status !== 'denied' || word.sinceMs >= word.occurredAt) return null;
  const value = { status: 'denied', expiresAt: null };
  return { ...heldRemoved(word), value, occurredAt: word.occurredAt - 1, fromMs: word.sinceMs };
}
