import type { IdentityHistoryReader } from '../identity/identity-history.reader.js';
import type { Uuid } from '../platform/ids.js';
import type { Transaction } from '../platform/postgres.js';
import { consentTrait, isAllowed, UNDECLARED } from '../profiles/consent.model.js';
import { readStandingWords, type WordsOfAnchor } from '../profiles/standing-words.reader.js';
import type { OutlivedWord } from '../profiles/removed-word.model.js';
import { mergeTraits } from '../profiles/traits.model.js';
import { purposesOf, type FeatureGates, type PersonWords } from './withheld-features.js';

export interface PersonWordsAsk {
  readonly gates: FeatureGates;
  readonly identity: IdentityHistoryReader;
  /** Words that were given later are not known, ms. */
  readonly knownUntilMs: number;
  /** When it is, ms; null: what is allowed now does not matter. */
  readonly nowMs: number | null;
}

/**
 * Of people, each the anchors of their events, what profiles hold and the log does not.
 *
 * Where anchors that were one person at some time are several people now, all of these have to allow a purpose.
 */
export async function readPersonWords(
  tx: Transaction,
  people: readonly { readonly anchorIds: readonly Uuid[] }[],
  { gates, identity, knownUntilMs, nowMs }: PersonWordsAsk,
): Promise<PersonWords[]> {
  const anchorIds = [...new Set(people.flatMap((person) => person.anchorIds))];
  const owners = nowMs === null ? null : await identity.now(tx, anchorIds);
  const owned = [...new Set(owners?.values())].flatMap(({ identifierIds }) => identifierIds);
  const held = await readStandingWords(tx, [...new Set([...anchorIds, ...owned])], { areAllKept: false });
  const standing = new Map(held.map(({ anchor, standing: words }) => [anchor.id, words]));
  const purposes = purposesOf(gates);
  const deniedBy = new Map<string, readonly string[]>();
  for (const { key, identifierIds } of owners?.values() ?? []) {
    if (nowMs === null || deniedBy.has(key)) continue;
    const words = mergeTraits(identifierIds.flatMap((id) => standing.get(id)?.words() ?? []));
    const denied = purposes.filter(
      (purpose) => !isAllowed(gates.terms.get(purpose) ?? UNDECLARED, words.get(consentTrait(purpose)), nowMs),
    );
    deniedBy.set(key, denied);
  }
  return people.map((person) => ({
    outlived: outlivedOf(person.anchorIds, standing).filter(({ fromMs }) => fromMs <= knownUntilMs),
    deniedNow: new Set(person.anchorIds.flatMap((id) => deniedBy.get(owners?.get(id)?.key ?? '') ?? [])),
  }));
}

function outlivedOf(
  anchorIds: readonly Uuid[],
  standing: ReadonlyMap<Uuid, WordsOfAnchor['standing']>,
): OutlivedWord[] {
  const outlived = anchorIds.flatMap((id) => standing.get(id)?.wordsApart() ?? []);
  return outlived.sort((a, b) => a.fromMs - b.fromMs);
}
