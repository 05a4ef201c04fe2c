import type { RawIdentifier } from '../../src/events/event.model.js';
import type { RevisionInputOf } from '../../src/identity/identity-revision.model.js';
import type { Uuid } from '../../src/platform/ids.js';
import { byPriority, idOfName, type NaiveIdentity } from './naive-identity.js';
import type { Step } from './random-identities.js';

/** What a decision names by ids, as they stand before it. */
export interface StandingIds {
  /** By identifier. */
  readonly profileIds: ReadonlyMap<Uuid, Uuid>;
  readonly links: readonly { readonly id: Uuid; readonly kind: string; readonly a: Uuid; readonly b: Uuid }[];
  /** Those that ended a profile, in the order in which they did. */
  readonly merges: readonly { readonly id: Uuid; readonly pos: number; readonly identifierIds: readonly Uuid[] }[];
}

export interface RandomDecision {
  readonly revision: RevisionInputOf;
  /** Has the oracle know of it. */
  readonly tell: () => void;
}

export function rawOf(name: string): RawIdentifier {
  const colon = name.indexOf(':');
  return { ns: name.slice(0, colon), value: name.slice(colon + 1) };
}

export function pickOf<T>(items: readonly T[], n: number): T | undefined {
  return items[n % Math.max(1, items.length)];
}

/**
 * The decision that a step picks, given what there is; null where there is nothing to decide.
 * @param pos the place that it is taken at: that of the last event
 */
export function decisionOf(
  step: Exclude<Step, { kind: 'batch' }>,
  oracle: NaiveIdentity,
  { profileIds, links, merges }: StandingIds,
  pos: number,
): RandomDecision | null {
  const known = [...oracle.profileOf.keys()].sort();
  if (known.length < 2) return null;
  const profileIdOf = (name: string): Uuid => profileIds.get(idOfName(name)) ?? '';
  switch (step.kind) {
    case 'merge':
      return mergeOf(step, oracle, { known, profileIdOf }, pos);
    case 'unmerge': {
      const own = oracle.namesOf(oracle.profileOf.get(pickOf(known, step.pick) ?? '') ?? '').sort();
      if (own.length < 2) return null;
      const from = step.taken % own.length;
      const taken = own.slice(from, from + 1 + (step.taken % 2)).slice(0, own.length - 1);
      const left = own.filter((name) => !taken.includes(name));
      const input = { profile: profileIdOf(own[0] ?? ''), identifiers: taken.map(rawOf) };
      return { revision: { kind: 'unmerge', input }, tell: () => oracle.unmerge(taken, left, pos) };
    }
    case 'unmergeMove': {
      const move = pickOf(oracle.merges, step.pick);
      if (move === undefined) return null;
      const { taken, left } = oracle.sidesOf(move);
      // The same may have been merged again at one place: it is the one that came as the picked one did.
      const placeOf = (pos: number, ids: readonly Uuid[]): string => [String(pos), ...[...ids].sort()].join(' ');
      const place = placeOf(move.pos, move.names.map(idOfName));
      const alike = oracle.merges.filter(({ pos: at, names }) => placeOf(at, names.map(idOfName)) === place);
      const stored = merges.filter((each) => placeOf(each.pos, each.identifierIds) === place)[alike.indexOf(move)];
      if (taken.length === 0 || left.length === 0 || stored === undefined) return null;
      return {
        revision: { kind: 'unmerge', input: { move: stored.id } },
        tell: () => oracle.unmerge(taken, left, pos),
      };
    }
    case 'unlink': {
      const { must, cannot } = oracle.links;
      const pairs = [
        ...must.map((pair) => ['must', pair] as const),
        ...cannot.map((pair) => ['cannot', pair] as const),
      ];
      const link = pickOf(pairs, step.pick);
      if (link === undefined) return null;
      const [kind, pair] = link;
      const ids = pair.map(idOfName).sort().join();
      const stored = links.find((each) => each.kind === kind && [each.a, each.b].sort().join() === ids);
      if (stored === undefined) throw new Error(`the link of ${pair.join(' and ')} is not there`);
      return {
        revision: { kind: 'unlink', input: { link: stored.id } },
        tell: () => oracle.unlink(kind, pair, pos),
      };
    }
    default:
      return null;
  }
}

function mergeOf(
  { picks, byProfile }: Step & { kind: 'merge' },
  oracle: NaiveIdentity,
  { known, profileIdOf }: { readonly known: readonly string[]; readonly profileIdOf: (name: string) => Uuid },
  pos: number,
): RandomDecision | null {
  const names = [...new Set(picks.map((pick) => pickOf(known, pick) ?? ''))];
  const profiles = [...new Set(names.map((name) => oracle.profileOf.get(name) ?? ''))];
  if (byProfile && profiles.length > 1) {
    const firsts = profiles.map((profile) => oracle.namesOf(profile).sort(byPriority(oracle.rules))[0] ?? '');
    const input = { profiles: firsts.map(profileIdOf) };
    return { revision: { kind: 'merge', input }, tell: () => oracle.merge(firsts, pos) };
  }
  if (names.length < 2) return null;
  const input = { identifiers: names.map(rawOf) };
  return { revision: { kind: 'merge', input }, tell: () => oracle.merge(names, pos) };
}
