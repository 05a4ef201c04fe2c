import type { EventIdentity } from '../identity/identity-outcome.model.js';
import type { MatchedInputs } from '../identity/matching/matching.model.js';
import type { Uuid } from '../platform/ids.js';
import type { TraitRules } from './trait-rule.model.js';
import { DELETE_TRAITS } from './traits.model.js';

/**
 * The anchors of events that may change what the active model of record linkage reads of their profiles: an event that has
 * one of its traits, answers or deletes some, or has to do with who somebody is. A visitor who is seen for the first time,
 * alone and by a name that the model does not read, is none.
 */
export function matchedAnchors(
  inputs: MatchedInputs,
  outcomes: readonly EventIdentity[],
  { answers }: Pick<TraitRules, 'answers'>,
): Uuid[] {
  const found = new Set<Uuid>();
  for (const outcome of outcomes) {
    const id = outcome.event.identifiers[0]?.id ?? '';
    if (found.has(id)) continue;
    if (changesWho(outcome, inputs) || changesTraits(outcome, inputs, answers)) found.add(id);
  }
  return [...found];
}

function changesWho({ event, moves, merged }: EventIdentity, { namespaces }: MatchedInputs): boolean {
  if (moves.length === 0) return merged.size > 0;
  return event.identifiers.length > 1 || event.identifiers.some(({ ns }) => namespaces.has(ns));
}

function changesTraits({ event }: EventIdentity, { traits }: MatchedInputs, answers: TraitRules['answers']): boolean {
  for (const name in event.traits) if (name === DELETE_TRAITS || traits.has(name)) return true;
  return answers !== null && event.type === 'track' && answers.has(event.name);
}
