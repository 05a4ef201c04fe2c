import type { ErasedPerson } from './events/retraction.model.js';
import type { AnchorState } from './features/anchor-state.model.js';
import type { LoadedDefinitions } from './definitions.js';
import { addEvidence, evidenceOf } from './identity/evidence.model.js';
import type { FoldedAnchors } from './outlived-anchors.js';
import { hashId, type Uuid } from './platform/ids.js';
import type { Trait, Traits } from './profiles/trait.model.js';
import { openTrait } from './profiles/traits.model.js';

/**
 * Takes a person who is erased out of what is kept of anchors of others, of which the log does not have all events any
 * more: evidence and traits that name the person, or states of features.
 * @param logged states by what the log has, which stand where those that are kept name the person
 */
export function spareOthers(
  person: ErasedPerson,
  { rebuilt, given, evidence }: FoldedAnchors,
  logged: ReadonlyMap<Uuid, AnchorState>,
  {
    features,
    identityRules,
    traitSealer,
    hasSealedTraits,
  }: Pick<LoadedDefinitions, 'features' | 'identityRules' | 'traitSealer' | 'hasSealedTraits'>,
): void {
  const unnamed = (messageId: string): string =>
    person.isNamedIn(messageId) ? hashId('erased', messageId) : messageId;
  const spare = (traits: Traits): void => {
    for (const [name, trait] of traits) {
      const own: Trait = trait.held === null ? { ...trait, messageId: unnamed(trait.messageId) } : trait;
      const said = hasSealedTraits ? openTrait(own, traitSealer.for(name)) : own;
      if (person.isNamedIn(JSON.stringify([name, said]))) traits.delete(name);
      else traits.set(name, own);
    }
  };
  for (const [id, anchor] of rebuilt) {
    spare(anchor.traits);
    if (person.isNamedIn(features.encode(anchor.state).toString())) anchor.state = logged.get(id) ?? features.empty();
  }
  for (const groups of given.values()) {
    for (const [group, traits] of groups) {
      if (person.isNamedIn(JSON.stringify([group]))) groups.delete(group);
      else spare(traits);
    }
  }
  const rows = [...evidence.values()];
  evidence.clear();
  for (const { identifiers, uncounted = [], key, knownAt } of rows) {
    const others = [...identifiers, ...uncounted].filter((identifier) => !person.isOf(identifier));
    const event = { ...key, messageId: unnamed(key.messageId), acceptedAt: knownAt, identifiers: others };
    addEvidence(evidence, evidenceOf(event, identityRules));
  }
}
