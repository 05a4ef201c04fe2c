import { isReservedTrait, type JsonValue } from '../events/event.model.js';
import { PROVENANCES, type Provenance, type TraitRules } from './trait-rule.model.js';
import { answersOf, DELETE_TRAITS, provenanceIn, type TraitEvent } from './traits.model.js';

/** A value that an event gave for a trait, or that it deleted it. */
export interface GivenValue {
  /** As it was sent; undefined: the event deleted the trait. */
  readonly value: JsonValue | undefined;
  readonly provenance: Provenance;
}

/** What an event says of a trait, by the rules as they are now: mostly nothing. */
export function valuesGiven(event: TraitEvent, name: string, { byName, answers }: TraitRules): GivenValue[] {
  if (event.type === 'group' || isReservedTrait(name)) return [];
  const given: GivenValue[] = [];
  const deleted = event.traits[DELETE_TRAITS];
  if (Array.isArray(deleted) && deleted.includes(name)) given.push({ value: undefined, provenance: 'observed' });
  const value = Object.hasOwn(event.traits, name) ? event.traits[name] : undefined;
  if (value !== undefined) {
    const isDeclared = byName.get(name)?.declaredBy.has(event.sourceId) === true;
    given.push({ value, provenance: isDeclared ? 'declared' : (PROVENANCES[provenanceIn(event)] ?? 'observed') });
  }
  const matchers = event.type === 'track' ? (answers?.get(event.name) ?? []) : [];
  const answer = answersOf(event, matchers)?.[name];
  if (answer !== undefined) given.push({ value: answer, provenance: 'declared' });
  return given;
}
