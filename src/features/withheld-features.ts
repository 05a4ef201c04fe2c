import type { CanonicalKey, LoggedEvent } from '../events/event.model.js';
import {
  compareWords,
  consentTrait,
  isAllowed,
  UNDECLARED,
  wordGiven,
  type ConsentMapping,
  type ConsentTerms,
  type HeldConsent,
} from '../profiles/consent.model.js';
import type { OutlivedWord } from '../profiles/removed-word.model.js';
import type { FeatureValue } from './feature.model.js';

/** What features need people to allow. */
export interface FeatureGates {
  /** Keys of purposes, for each feature in the order of the set. */
  readonly needed: readonly (readonly string[])[];
  /** By key. */
  readonly terms: ReadonlyMap<string, ConsentTerms>;
  /** Where in events words on purposes are; null: no purpose is declared. */
  readonly mapping: ConsentMapping | null;
}

/** Keys of all purposes that features need. */
export function purposesOf({ needed }: FeatureGates): string[] {
  return [...new Set(needed.flat())];
}

/** What the log does not tell of somebody's consents. */
export interface PersonWords {
  /** Words whose events a retention removed, by when they begin to count. */
  readonly outlived: readonly OutlivedWord[];
  /** Purposes that they do not allow now, which therefore count as not allowed at any time. */
  readonly deniedNow: ReadonlySet<string>;
}

/** What an event has to say of itself for its words to be taken in. */
export type ConsentEvent = Pick<LoggedEvent, 'context' | 'traits' | 'sourceId' | 'occurredAt' | 'messageId'>;

const WITHHELD: FeatureValue = Object.freeze({
  status: 'NOT_FOUND',
  value: null,
  eventTs: null,
  validUntil: Infinity,
  approximate: false,
});

const NOTHING_MORE: PersonWords = { outlived: [], deniedNow: new Set() };

/**
 * What one person has said of the purposes that features need, as events bring it in any order: of all words the
 * greatest by `compareWords` counts, as online. To them come those that profiles hold and the log does not any more.
 */
export class HeldWords {
  readonly #gates: FeatureGates;
  readonly #purposes: readonly string[];
  readonly #held = new Map<string, HeldConsent & CanonicalKey>();
  readonly #more: PersonWords;
  /** How many of the outlived words are in. */
  #taken = 0;

  constructor(gates: FeatureGates, more: PersonWords = NOTHING_MORE) {
    this.#gates = gates;
    this.#purposes = purposesOf(gates);
    this.#more = more;
  }

  add(event: ConsentEvent): void {
    for (const purpose of this.#purposes) {
      const word = wordGiven(event, purpose, this.#gates.mapping);
      if (word === null) continue;
      const { occurredAt, sourceId, messageId } = event;
      this.#hear(purpose, { value: { ...word }, occurredAt, sourceId, messageId });
    }
  }

  /** Values without those that the person does not allow to be told at `t`, ms and rising, and whether there are any. */
  withhold(values: readonly FeatureValue[], t: number): { values: readonly FeatureValue[]; isWithheld: boolean } {
    const { needed, terms } = this.#gates;
    this.#hearOutlived(t);
    const isTold = (purpose: string): boolean =>
      !this.#more.deniedNow.has(purpose) && isAllowed(terms.get(purpose) ?? UNDECLARED, this.#held.get(purpose), t);
    const told = values.map((value, i) => (needed[i]?.every(isTold) === false ? WITHHELD : value));
    return { values: told, isWithheld: told.includes(WITHHELD) };
  }
  #hearOutlived(t: number): void {
    const { outlived } = this.#more;
    for (let word = outlived[this.#taken]; word !== undefined && word.fromMs < t; word = outlived[++this.#taken]) {
      const { trait } = word;
      const purpose = this.#purposes.find((key) => consentTrait(key) === trait);
      if (purpose !== undefined) this.#hear(purpose, word);
    }
  }

  #hear(purpose: string, word: HeldConsent & CanonicalKey): void {
    const held = this.#held.get(purpose);
    if (held === undefined || compareWords(word, held) > 0) this.#held.set(purpose, word);
  }
}
