import type { Identifier } from '../events/event.model.js';
import type { Uuid } from '../platform/ids.js';
import type { Warning } from '../platform/warning.js';
import type { IdentifierMove } from './identity-move.model.js';

/** What some components hold. */
export interface ComponentSizes {
  readonly identifiers: number;
  readonly profiles: number;
  readonly evidenceRows: number;
}

/** Identifiers that would go from one profile to another, together. */
export interface PreviewedMove {
  /** `merge`: the profile that they leave would end with it. */
  readonly kind: IdentifierMove['kind'];
  readonly from: Uuid;
  /** Null: a profile that there has never been. */
  readonly to: Uuid | null;
  /** How many would go. */
  readonly count: number;
  /** At most {@link MAX_EXAMPLE_IDENTIFIERS} of them. */
  readonly identifiers: readonly Identifier[];
}

/** What resolving some components anew would do. */
export interface RulesOutcome extends ComponentSizes {
  /** Components that would be resolved. */
  readonly examined: number;
  /** Components that were looked at for them. */
  readonly looked: number;
  /** Profiles of which identifiers would go to others while they live on. */
  readonly profilesSplit: number;
  /** Profiles that would end as part of others. */
  readonly profilesMerged: number;
  /** Profiles that would be there and are not: new ones, and former ones that come back under their ids. */
  readonly profilesAdded: number;
  readonly identifiersMoved: number;
  /** Identifiers by which nobody would be known: events brought them beside others alone, and they would not count. */
  readonly identifiersGone: number;
  /** Values that would not count, and do now: they would be blocked, or would be seen with too many others. */
  readonly valuesUncounted: number;
  /** Components with too much evidence to be worked out here; they are resolved by the way. */
  readonly contested: number;
  /** The largest moves, at most {@link MAX_EXAMPLES}. */
  readonly examples: readonly PreviewedMove[];
}

/** The outcome for as many components as were to be looked at. */
export interface IdentityRulesPreview extends RulesOutcome {
  /** What the rules change, in lines for people. */
  readonly changes: readonly string[];
  /** Which of it concerns those who are there, as `email (limit)`. */
  readonly causes: readonly string[];
  /** What they do not do and might be taken to; empty: nothing. */
  readonly warnings: readonly Warning[];
  /**
   * About how many components are to be looked at, from the start to the end: all that there are, or none where the rules
   * concern nobody who is there. Null where that is not known.
   */
  readonly componentsTotal: number | null;
  /** Where to go on; null: all of them were looked at. */
  readonly place: Uuid | null;
}

export const MAX_EXAMPLES = 20;
export const MAX_EXAMPLE_IDENTIFIERS = 10;

export const NO_OUTCOME: RulesOutcome = {
  ...{ examined: 0, looked: 0, identifiers: 0, profiles: 0, evidenceRows: 0 },
  ...{ profilesSplit: 0, profilesMerged: 0, profilesAdded: 0, identifiersMoved: 0, contested: 0 },
  ...{ identifiersGone: 0, valuesUncounted: 0 },
  examples: [],
};

interface ResolvedPage extends Pick<
  RulesOutcome,
  'examined' | 'looked' | 'contested' | 'identifiersGone' | 'valuesUncounted'
> {
  readonly sizes: ComponentSizes;
  /** Profiles of identifiers that would be there again. */
  readonly founded: readonly Uuid[];
  /** Of whole components: in no two pages the same profile. */
  readonly moves: readonly IdentifierMove[];
  /** Of the profiles that moves go to those that there are, and whether they live. */
  readonly known: ReadonlyMap<Uuid, { readonly isAlive: boolean }>;
  readonly identifierOf: ReadonlyMap<Uuid, Identifier>;
}

/** The outcome with that of one more page of components. */
export function withPage(standing: RulesOutcome, page: ResolvedPage): RulesOutcome {
  const { moves, sizes, known } = page;
  const leaving = (kind: IdentifierMove['kind']): number =>
    new Set(moves.filter((move) => move.kind === kind).map(({ from }) => from)).size;
  const reached = [...moves.map(({ to }) => to), ...page.founded];
  const added = new Set(reached.filter((to) => known.get(to)?.isAlive !== true));
  const moved = moves.reduce((sum, { identifierIds }) => sum + identifierIds.length, 0);
  return {
    examined: standing.examined + page.examined,
    looked: standing.looked + page.looked,
    identifiers: standing.identifiers + sizes.identifiers,
    profiles: standing.profiles + sizes.profiles,
    evidenceRows: standing.evidenceRows + sizes.evidenceRows,
    profilesSplit: standing.profilesSplit + leaving('split'),
    profilesMerged: standing.profilesMerged + leaving('merge'),
    profilesAdded: standing.profilesAdded + added.size,
    identifiersMoved: standing.identifiersMoved + moved,
    identifiersGone: standing.identifiersGone + page.identifiersGone,
    valuesUncounted: standing.valuesUncounted + page.valuesUncounted,
    contested: standing.contested + page.contested,
    examples: largest([...standing.examples, ...moves.map((move) => exampleOf(move, page))]),
  };
}

function exampleOf({ kind, from, to, identifierIds }: IdentifierMove, { known, identifierOf }: ResolvedPage) {
  const told = identifierIds.slice(0, MAX_EXAMPLE_IDENTIFIERS);
  return {
    ...{ kind, from },
    to: known.has(to) ? to : null,
    count: identifierIds.length,
    identifiers: told.flatMap((id) => identifierOf.get(id) ?? []),
  };
}

function largest(moves: readonly PreviewedMove[]): PreviewedMove[] {
  return [...moves].sort((a, b) => b.count - a.count || (a.from < b.from ? -1 : 1)).slice(0, MAX_EXAMPLES);
}
