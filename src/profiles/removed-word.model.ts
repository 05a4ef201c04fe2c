import type { ConsentWord } from '../events/consent-context.model.js';
import type { LoggedEvent } from '../events/event.model.js';
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
 * W3  As of an instant in the past a removed denial counts from `sinceMs` on, unless a newer grant is known: nothing is
 *     told that was denied, though a little may be withheld that was not.
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
export interface OutlivedWord extends HeldConsent {
  readonly trait: string;
  readonly sourceId: number;
  readonly messageId: string;
}

/** @param mapping null: no purpose is declared */
export function removedWords(events: readonly LoggedEvent[], mapping: ConsentMapping | null): RemovedWord[] {
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
  return { trait: consentTrait(purpose), value: { status, expiresAt }, occurredAt, sourceId, messageId: '' };
}

/** What stands for the denials before the newest; null: there is none. */
export function earlierDenials(word: RemovedWord): OutlivedWord | null {
  if (word.status !== 'denied' || word.sinceMs >= word.occurredAt) return null;
  const { occurredAt, sinceMs } = word;
  return { ...heldRemoved(word), value: { status: 'denied', expiresAt: occurredAt }, occurredAt: sinceMs };
}
