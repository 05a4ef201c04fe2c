import type { CanonicalKey, LoggedEvent } from '../events/event.model.js';
import {
  compareWords,
  isAllowed,
  UNDECLARED,
  wordGiven,
  type ConsentMapping,
  type ConsentTerms,
  type HeldConsent,
} from '../profiles/consent.model.js';
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

/** What an event has to say of itself for its words to be taken in. */
export type ConsentEvent = Pick<LoggedEvent, 'context' | 'traits' | 'sourceId' | 'occurredAt' | 'messageId'>;

const WITHHELD: FeatureValue = Object.freeze({
  status: 'NOT_FOUND',
  value: null,
  eventTs: null,
  validUntil: Infinity,
  approximate: false,
});

/**
 * What one person has said of the purposes that features need, as events bring it in any order: of all words the
 * greatest by `compareWords` counts, as online.
 */
export class HeldWords {
  readonly #gates: FeatureGates;
  readonly #purposes: readonly string[];
  readonly #held = new Map<string, HeldConsent & CanonicalKey>();

  constructor(gates: FeatureGates) {
    this.#gates = gates;
    this.#purposes = [...new Set(gates.needed.flat())];
  }

  add(event: ConsentEvent): void {
    for (const purpose of this.#purposes) {
      const word = wordGiven(event, purpose, this.#gates.mapping);
      if (word === null) continue;
      const { occurredAt, sourceId, messageId } = event;
      const given = { value: { ...word }, occurredAt, sourceId, messageId };
      const held = this.#held.get(purpose);
      if (held === undefined || compareWords(given, held) > 0) this.#held.set(purpose, given);
    }
  }

  /** Values without those that the person does not allow to be told at `t`, ms, and whether there are any. */
  withhold(values: readonly FeatureValue[], t: number): { values: readonly FeatureValue[]; isWithheld: boolean } {
    const { needed, terms } = this.#gates;
    const isTold = (purpose: string): boolean =>
      isAllowed(terms.get(purpose) ?? UNDECLARED, this.#held.get(purpose), t);
    const told = values.map((value, i) => (needed[i]?.every(isTold) === false ? WITHHELD : value));
    return { values: told, isWithheld: told.includes(WITHHELD) };
  }
}
