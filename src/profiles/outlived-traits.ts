import { canonicalText, type CanonicalKey } from '../events/event.model.js';
import { isConsentTrait } from './consent.model.js';
import { GROUPS, isKnownOfGroup, isOfGroups } from './groups.model.js';
import { earlierDenials, heldRemoved, type OutlivedWord, type RemovedWord } from './removed-word.model.js';
import type { Trait, Traits } from './trait.model.js';
import { NO_TRAIT_RULES, type TraitRules } from './trait-rule.model.js';
import type { SealFor, ValueSeal } from './trait-seal.model.js';
import { applyTraits, GROUP_RULES, heldOf, traitOf } from './traits.model.js';

/** Of which events what came of them is kept. */
export interface KeptEvents {
  readonly isKept: (event: CanonicalKey) => boolean;
  readonly withDeletions: boolean;
}

/** Traits that began or ceased to be sealed since they were folded, and what opens their values. */
export interface Resealed {
  readonly names: readonly string[];
  readonly sealFor: SealFor;
}

/**
 * An anchor's traits as they stood before it is folded anew from a log that may not have all of its events any more: what
 * came of events that a retention removed stays.
 */
export class OutlivedTraits {
  readonly #standing: Traits;
  readonly #inLog: Set<string>;
  readonly #removed: RemovedWord[] = [];

  /** @param inLog canonical texts of events that the log has, beside those that are noted */
  constructor(standing: Traits, inLog = new Set<string>()) {
    this.#standing = standing;
    this.#inLog = inLog;
  }

  get hasGroups(): boolean {
    return this.#standing.has(GROUPS);
  }

  /** The log has this event. */
  note(event: CanonicalKey): void {
    this.#inLog.add(canonicalText(event));
  }

  /** A retention removed the event of this word, and another one may have hidden it since. */
  hear(word: RemovedWord): void {
    this.#removed.push(word);
  }

  /**
   * Adds to what the log gives what came of other events, and puts back what is not to change.
   * @param names the traits whose rules changed, of which only the log counts; null: any may have
   */
  keepIn(traits: Traits, names: readonly string[] | null, rules: TraitRules, resealed: Resealed): void {
    const isToChange = (name: string): boolean => names === null || names.includes(name);
    if (names !== null)
      for (const name of traits.keys()) if (!isToChange(name) && !isOfGroups(name)) traits.delete(name);
    for (const [name, trait] of this.#standing) {
      if (isOfGroups(name) || !isToChange(name)) traits.set(name, trait);
      else if (isConsentTrait(name)) this.#keepOne(traits, name, trait, NO_TRAIT_RULES, null);
      else if (names === null) this.#keepOne(traits, name, trait, rules, sealOf(name, rules, resealed));
    }
    this.#keepRemoved(traits, isToChange);
  }

  /**
   * Adds to what the log gives what came of other events, but for words on purposes, and for what is known of groups: of
   * those everybody is told.
   * @param only of these events, and with deletions of traits or without; default: all
   */
  keepEvents(traits: Traits, rules: TraitRules, sealFor: SealFor, only?: KeptEvents): void {
    for (const [name, standing] of this.#standing) {
      if (isConsentTrait(name) || isKnownOfGroup(name)) continue;
      const trait = only === undefined ? standing : partOf(standing, only);
      if (trait === null) continue;
      if (name === GROUPS) this.#keepOne(traits, name, trait, GROUP_RULES, null);
      else this.#keepOne(traits, name, trait, rules, sealOf(name, rules, { names: [], sealFor }));
    }
  }

  /** The events that the other traits came with, each once for each value. */
  keys(): CanonicalKey[] {
    return [...this.#standing].flatMap(([name, trait]) => (isConsentTrait(name) ? [] : heldOf(trait).kept));
  }

  /** The words on purposes. */
  words(): Traits {
    return new Map([...this.#standing].filter(([name]) => isConsentTrait(name)));
  }

  /** The events that the words on purposes came with. */
  wordKeys(): CanonicalKey[] {
    return [...this.#standing].flatMap(([name, trait]) => (isConsentTrait(name) ? heldOf(trait).kept : []));
  }

  /** Adds the words on purposes that did not come of events of the log. */
  keepWords(traits: Traits): void {
    for (const [name, trait] of this.#standing) {
      if (isConsentTrait(name)) this.#keepOne(traits, name, trait, NO_TRAIT_RULES, null);
    }
    this.#keepRemoved(traits, () => true);
  }

  /** The words on purposes that did not come of events of the log, one by one. */
  wordsApart(): OutlivedWord[] {
    const standing = [...this.#standing].flatMap(([trait, held]) =>
      isConsentTrait(trait) ? heldOf(held).kept.map((word) => ({ ...word, trait, fromMs: word.occurredAt })) : [],
    );
    const removed = this.#removed.flatMap((word) => [heldRemoved(word), earlierDenials(word)]);
    return [
      ...standing.filter((word) => !this.#inLog.has(canonicalText(word))),
      ...removed.filter((word) => word !== null),
    ];
  }

  #keepRemoved(traits: Traits, isToChange: (name: string) => boolean): void {
    for (const { trait, value, occurredAt, sourceId, messageId } of this.#removed.map(heldRemoved)) {
      if (value === undefined || !isToChange(trait)) continue;
      applyTraits(traits, { [trait]: value }, { occurredAt, sourceId, messageId });
    }
  }

  #keepOne(traits: Traits, name: string, trait: Trait, rules: TraitRules, seal: ValueSeal | null): void {
    const { kept, deletedAt } = heldOf(trait);
    for (const { value, provenance, ...key } of kept) {
      if (this.#inLog.has(canonicalText(key))) continue;
      const given = seal === null ? value : seal.open(value);
      applyTraits(traits, { [name]: given }, key, rules, provenance);
    }
    if (deletedAt === 0) return;
    const now = traits.get(name);
    const held = now === undefined ? { ...heldOf(trait), kept: [], overflow: false } : heldOf(now);
    if (held.deletedAt === deletedAt && now !== undefined) return;
    const since = held.kept.filter(({ occurredAt }) => occurredAt > deletedAt);
    traits.set(name, traitOf({ ...held, kept: since, deletedAt: Math.max(held.deletedAt, deletedAt) }));
  }
}

/** A trait with what came of some of its events; null: nothing did. */
function partOf(trait: Trait, { isKept, withDeletions }: KeptEvents): Trait | null {
  const held = heldOf(trait);
  const kept = held.kept.filter(isKept);
  const deletedAt = withDeletions ? held.deletedAt : 0;
  return kept.length === 0 && deletedAt === 0 ? null : traitOf({ ...held, kept, deletedAt });
}

/** What opens the standing values of a trait; null: they cannot be sealed. */
function sealOf(name: string, { byName }: TraitRules, { names, sealFor }: Resealed): ValueSeal | null {
  return byName.get(name)?.seal ?? (names.includes(name) ? sealFor(name) : null);
}
