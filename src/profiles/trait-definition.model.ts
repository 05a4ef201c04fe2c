import { changedFields, type DefinitionChange, type FieldValue } from '../platform/changed-fields.js';
import { DEFAULT_TRAIT_RULE, isSameRule, ruleFields, type Survivorship, type TraitRule } from './trait-rule.model.js';

/** What is known of a trait beside its values. Traits need no definition. */
export interface TraitDefinition {
  readonly name: string;
  /** For people. */
  readonly description: string;
  /** Whether edge keys, which sit in browsers, may be told it. */
  readonly edge: boolean;
  /** Whether it is personal data: masked for those who lack the scope `pii`. Default: no. */
  readonly pii?: boolean;
  /** Whether profiles can be found by it, which keeps its values in an index in plain text; default: false. */
  readonly searchable?: boolean;
  /**
   * Whether its values are stored sealed only, by a key of the installation's secret: personal data that is found by
   * equality alone. Never together with `searchable`; default: no.
   */
  readonly sealed?: boolean;
  /** How its values are taken in; default: as those of traits that are not defined. */
  readonly rule?: TraitRule;
}

/** Lengths in UTF-16 units. */
export const TRAIT_LIMITS = {
  maxDefinitions: 1_000,
  maxNameLength: 200,
  maxDescriptionLength: 4_000,
  /** Traits that are deleted everywhere. */
  maxDeletions: 1_000,
} as const;

/** What applying definitions of traits would do; names. */
export interface TraitPlan {
  readonly added: readonly string[];
  readonly changed: readonly string[];
  /** In what those differ that are changed: by the names that fields have in files. */
  readonly changes: readonly DefinitionChange[];
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
  const changes = given.flatMap((trait) => {
    const was = before.get(trait.name);
    const fields = was === undefined ? [] : changedFields(fieldsOf(was), fieldsOf(trait));
    return fields.length === 0 ? [] : [{ name: trait.name, fields }];
  });
  return {
    added: given.map(({ name }) => name).filter((name) => !before.has(name)),
    changed: changes.map(({ name }) => name),
    changes,
    removed: prune ? standing.map(({ name }) => name).filter((name) => !names.has(name)) : [],
  };
}

/** The traits whose values are taken in another way than before. */
export function changedRules(standing: readonly TraitDefinition[], after: readonly TraitDefinition[]): RuleChange[] {
  const before = new Map(standing.map((trait) => [trait.name, ruleOf(trait)]));
  const now = new Map(after.map((trait) => [trait.name, ruleOf(trait)]));
  return [...new Set([...before.keys(), ...now.keys()])].flatMap((name) => {
    const [from, to] = [before.get(name) ?? DEFAULT_TRAIT_RULE, now.get(name) ?? DEFAULT_TRAIT_RULE];
    if (isSameRule(from, to)) return [];
    // What was refused, or comes from events of another kind, left no trace in the anchors.
    const findsMore = from.onConflict === 'refuse' || from.onConflict === 'coerce' || to.answers.length > 0;
    return [{ name, isTraced: !findsMore }];
  });
}

/** The traits whose values are stored sealed now and were not before, or the other way round. */
export function changedSeals(standing: readonly TraitDefinition[], after: readonly TraitDefinition[]): string[] {
  const [before, now] = [standing, after].map((all) => new Set(all.filter(isSealed).map(({ name }) => name)));
  const sealed = (names: Set<string> | undefined, name: string): boolean => names?.has(name) === true;
  const names = new Set([...(before ?? []), ...(now ?? [])]);
  return [...names].filter((name) => sealed(before, name) !== sealed(now, name));
}

/** That the values of a trait are taken in another way. */
export interface RuleChange {
  readonly name: string;
  /** False: anchors that do not have the trait may be concerned too. */
  readonly isTraced: boolean;
}

export function ruleOf({ rule }: Pick<TraitDefinition, 'rule'>): TraitRule {
  return rule ?? DEFAULT_TRAIT_RULE;
}

export function isSealed({ sealed }: Pick<TraitDefinition, 'sealed'>): boolean {
  return sealed === true;
}

/** Whether it is personal data, which all that is sealed is. */
export function isPersonal({ pii, sealed }: Pick<TraitDefinition, 'pii' | 'sealed'>): boolean {
  return pii === true || sealed === true;
}

/** Rules by which a sealed value cannot be chosen: what is sealed is equal to another value or not, and nothing else. */
const ORDERED_SURVIVORSHIPS: readonly Survivorship[] = ['longest', 'min', 'max'];

/** What a trait cannot be beside sealed, and what to do; null: it can be so. */
export function sealedProblem(trait: TraitDefinition): { readonly message: string; readonly hint: string } | null {
  if (!isSealed(trait)) return null;
  const { survivorship } = ruleOf(trait);
  const found = ({ what, hint }: { readonly what: string; readonly hint: string }) => {
    return { message: `the trait ${trait.name} is sealed and ${what}`, hint };
  };
  if (isSearchable(trait)) {
    return found({
      what: 'searchable',
      hint: 'say one of the two: people are found by a sealed trait with eq, in and exists, without its values being in an index',
    });
  }
  if (trait.edge) return found({ what: 'for pages', hint: 'say edge: false: pages would show what is sealed' });
  if (ORDERED_SURVIVORSHIPS.includes(survivorship)) {
    const hint =
      'a sealed value is equal to another one or not: use most_recent, source_priority, most_frequent or union';
    return found({ what: `shows the ${survivorship} value`, hint });
  }
  return null;
}

export function isSearchable({ searchable }: Pick<TraitDefinition, 'searchable'>): boolean {
  return searchable === true;
}

/** All that a definition says, as a file would. */
function fieldsOf(trait: TraitDefinition): Record<string, FieldValue> {
  const { description, edge, pii = false } = trait;
  const marks = { edge, pii, searchable: isSearchable(trait), sealed: isSealed(trait) };
  return { ...ruleFields(ruleOf(trait)), ...marks, description };
}
