/** What is known of a trait beside its values. Traits need no definition. */
export interface TraitDefinition {
  readonly name: string;
  /** For people. */
  readonly description: string;
  /** Whether edge keys, which sit in browsers, may be told it. */
  readonly edge: boolean;
}

/** Lengths in UTF-16 units. */
export const TRAIT_LIMITS = {
  maxDefinitions: 1_000,
  maxNameLength: 200,
  maxDescriptionLength: 4_000,
} as const;

/** What applying definitions of traits would do; names. */
export interface TraitPlan {
  readonly added: readonly string[];
  readonly changed: readonly string[];
  readonly removed: readonly string[];
}

/** @param prune also removes the definitions that are not among those given */
export function planTraits(
  standing: readonly TraitDefinition[],
  given: readonly TraitDefinition[],
  prune: boolean,
): TraitPlan {
  const before = new Map(standing.map((trait) => [trait.name, trait]));
  const names = new Set(given.map(({ name }) => name));
  const differs = given.filter((trait) => !isSame(trait, before.get(trait.name)));
  return {
    added: differs.map(({ name }) => name).filter((name) => !before.has(name)),
    changed: differs.map(({ name }) => name).filter((name) => before.has(name)),
    removed: prune ? standing.map(({ name }) => name).filter((name) => !names.has(name)) : [],
  };
}

function isSame(given: TraitDefinition, standing: TraitDefinition | undefined): boolean {
  return standing?.edge === given.edge && standing.description === given.description;
}
