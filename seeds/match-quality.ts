/** One row of the truth table: a person and an identifier of theirs, normalised. */
export interface TruthRow {
  readonly personId: string;
  readonly ns: string;
  readonly value: string;
}

/** How well a partition of identifiers into profiles matches the truth, counted over pairs of identifiers. */
export interface MatchQuality {
  /** Of the pairs that stand in one profile, the share that belongs to one person. 1 where there is no such pair. */
  readonly precision: number;
  /** Of the pairs that belong to one person, the share that stands in one profile. 1 where there is no such pair. */
  readonly recall: number;
  readonly people: number;
  readonly profiles: number;
  readonly identifiers: number;
  readonly linkedPairs: number;
  readonly wrongPairs: number;
  readonly missedPairs: number;
}

/**
 * Pairwise precision and recall (Menestrina, Whang, Garcia-Molina, "Evaluating Entity Resolution Results", VLDB 2010).
 * A pair of identifiers belongs together if at least one person has both. An identifier that `profileOf` does not know
 * stands alone.
 */
export function matchQuality(
  truth: readonly TruthRow[],
  profileOf: (ns: string, value: string) => string | undefined,
): MatchQuality {
  const people = new Map<string, string[]>();
  const owners = new Map<string, Set<string>>();
  const profiles = new Map<string, string[]>();
  for (const { personId, ns, value } of truth) {
    const identifier = `${ns}:${value}`;
    const known = owners.get(identifier);
    if (known?.has(personId) === true) continue;
    append(people, personId, identifier);
    if (known !== undefined) known.add(personId);
    else {
      owners.set(identifier, new Set([personId]));
      append(profiles, profileOf(ns, value) ?? `alone ${identifier}`, identifier);
    }
  }
  const isOnePerson = (a: string, b: string): boolean => {
    const ownersOfB = owners.get(b);
    return [...(owners.get(a) ?? [])].some((person) => ownersOfB?.has(person) === true);
  };
  let linkedPairs = 0;
  let wrongPairs = 0;
  for (const [a, b] of pairs(profiles.values())) {
    linkedPairs += 1;
    if (!isOnePerson(a, b)) wrongPairs += 1;
  }
  const truePairs = new Set<string>();
  for (const [a, b] of pairs(people.values())) truePairs.add(a < b ? `${a}\n${b}` : `${b}\n${a}`);
  const correctPairs = linkedPairs - wrongPairs;
  return {
    precision: linkedPairs === 0 ? 1 : correctPairs / linkedPairs,
    recall: truePairs.size === 0 ? 1 : correctPairs / truePairs.size,
    people: people.size,
    profiles: profiles.size,
    identifiers: owners.size,
    linkedPairs,
    wrongPairs,
    missedPairs: truePairs.size - correctPairs,
  };
}

function append(lists: Map<string, string[]>, key: string, item: string): void {
  const list = lists.get(key);
  if (list === undefined) lists.set(key, [item]);
  else list.push(item);
}

function* pairs(groups: Iterable<readonly string[]>): Generator<readonly [string, string]> {
  for (const group of groups) {
    for (const [i, a] of group.entries()) for (const b of group.slice(i + 1)) yield [a, b];
  }
}
