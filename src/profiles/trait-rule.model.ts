import type { JsonObject, JsonValue } from '../events/event.model.js';
import type { FieldValue } from '../platform/changed-fields.js';
import type { ConsentMapping } from './consent.model.js';
import type { SealFor, ValueSeal } from './trait-seal.model.js';
import {
  fitValue,
  type ConflictOutcome,
  type ConflictPolicy,
  type FittedValue,
  type TraitType,
} from './trait-type.model.js';

/** Which of the values that were given for a trait is shown. */
export const SURVIVORSHIPS = [
  'most_recent',
  'source_priority',
  'most_frequent',
  'longest',
  'min',
  'max',
  'union',
] as const;
export type Survivorship = (typeof SURVIVORSHIPS)[number];

/** How a value came to be known, by rising precedence: worked out, seen, or said by the person. */
export const PROVENANCES = ['inferred', 'observed', 'declared'] as const;
export type Provenance = (typeof PROVENANCES)[number];

/** Where values of the class with the highest precedence go before all others, or time alone decides. */
export const PRECEDENCES = ['provenance', 'time'] as const;
export type Precedence = (typeof PRECEDENCES)[number];

/** That a `track` event answers what a trait asks. */
export interface TraitAnswer {
  /** Name of the event, as `Survey Answered`. */
  readonly event: string;
  /** The property that holds the answer. */
  readonly property: string;
  /** Properties that have to be equal to these for the event to be about this trait. */
  readonly where: Readonly<Record<string, string | number | boolean>>;
}

/** How the values of one trait are taken in. What is null or empty is as for traits without a rule. */
export interface TraitRule {
  readonly type: TraitType | null;
  readonly onConflict: ConflictPolicy;
  readonly survivorship: Survivorship;
  /** Keys of sources, the one that is believed most first; all others come after them. */
  readonly sourcePriority: readonly string[];
  readonly precedence: Precedence;
  /** Keys of sources whose values the person has declared, as those of a preference centre. */
  readonly declaredBy: readonly string[];
  readonly answers: readonly TraitAnswer[];
}

export const DEFAULT_TRAIT_RULE: TraitRule = {
  type: null,
  onConflict: 'keep',
  survivorship: 'most_recent',
  sourcePriority: [],
  precedence: 'provenance',
  declaredBy: [],
  answers: [],
};

/** Whether two rules take the same values in the same way. */
export function isSameRule(a: TraitRule, b: TraitRule): boolean {
  return JSON.stringify(inOrder(a)) === JSON.stringify(inOrder(b));
}

/** The fields of a rule as a file has them; lists as JSON, null where there is nothing in them. */
export function ruleFields(rule: TraitRule): Record<string, FieldValue> {
  const { type, onConflict, survivorship, sourcePriority, precedence, declaredBy, answers } = inOrder(rule);
  const listed = (items: readonly unknown[]): string | null => (items.length === 0 ? null : JSON.stringify(items));
  return {
    type,
    on_conflict: onConflict,
    survivorship: sourcePriority.length === 0 ? survivorship : `${survivorship} ${JSON.stringify(sourcePriority)}`,
    precedence,
    declared_by: listed(declaredBy),
    answers: listed(answers),
  };
}

/** The rule as it is stored: without what is as for all. */
export function storedRule(rule: TraitRule): JsonObject {
  const standard: Readonly<Record<string, unknown>> = { ...DEFAULT_TRAIT_RULE };
  const stored: JsonObject = {};
  for (const [field, value] of Object.entries<unknown>({ ...inOrder(rule) })) {
    if (JSON.stringify(value) !== JSON.stringify(standard[field])) stored[field] = value as JsonValue;
  }
  return stored;
}

function inOrder(rule: TraitRule): TraitRule {
  const { type, onConflict, survivorship, sourcePriority, precedence, declaredBy, answers } = rule;
  return {
    type,
    onConflict: type === null ? 'keep' : onConflict,
    survivorship,
    sourcePriority,
    precedence,
    declaredBy,
    answers: answers.map(({ event, property, where }) => ({
      event,
      property,
      where: Object.fromEntries(Object.entries(where).sort(([a], [b]) => (a < b ? -1 : 1))),
    })),
  };
}

/** A rule bound to the sources there are. */
export interface CompiledTraitRule {
  readonly survivorship: Survivorship;
  /** Ranks of sources by id, 0 first; others have `othersRank`. */
  readonly ranks: ReadonlyMap<number, number>;
  readonly othersRank: number;
  readonly byTime: boolean;
  readonly declaredBy: ReadonlySet<number>;
  /** The value that is taken in, and whether it had another type than it should. */
  readonly fit: ((value: JsonValue) => FittedValue) | null;
  /** Its values are held sealed; null: as they are. */
  readonly seal: ValueSeal | null;
  /** What was given until then does not count: the trait was deleted everywhere, ms; 0: never. */
  readonly deletedAt: number;
}

/** A value of another type than the trait's, and what became of it. */
export interface TraitConflict {
  readonly name: string;
  readonly outcome: ConflictOutcome;
}

/** Says which trait a track event answers, and with which value. */
export interface AnswerMatcher {
  readonly name: string;
  readonly property: string;
  readonly where: readonly (readonly [property: string, value: JsonValue])[];
}

/** The rules of all traits that have one. */
export interface TraitRules {
  readonly byName: ReadonlyMap<string, CompiledTraitRule>;
  /** By name of the event; null: no trait has any. */
  readonly answers: ReadonlyMap<string, readonly AnswerMatcher[]> | null;
  /** Where events say what somebody consents to; null: no purpose is declared. */
  readonly consents: ConsentMapping | null;
}

/** Which traits are held sealed, and by what. */
export interface SealedTraits {
  readonly names: ReadonlySet<string>;
  readonly sealFor: SealFor;
}

/** For installations in which no trait has a rule. */
export const NO_TRAIT_RULES: TraitRules = { byName: new Map(), answers: null, consents: null };

/**
 * @param sourceIds ids of sources by key; sources that are not there are waited for
 * @param deletions when traits were deleted everywhere, ms, by name
 * @param sealed null: none is
 */
export function compileTraitRules(
  rules: Iterable<readonly [name: string, rule: TraitRule]>,
  sourceIds: ReadonlyMap<string, number>,
  deletions: ReadonlyMap<string, number> = new Map(),
  consents: ConsentMapping | null = null,
  sealed: SealedTraits | null = null,
): TraitRules {
  const byName = new Map<string, CompiledTraitRule>();
  const answers = new Map<string, AnswerMatcher[]>();
  for (const [name, deletedAt] of deletions) {
    byName.set(name, { ...compileRule(DEFAULT_TRAIT_RULE, sourceIds), deletedAt });
  }
  for (const [name, rule] of rules) {
    const seal = sealed?.names.has(name) === true ? sealed.sealFor(name) : null;
    if (isSameRule(rule, DEFAULT_TRAIT_RULE) && seal === null) continue;
    byName.set(name, { ...compileRule(rule, sourceIds), deletedAt: deletions.get(name) ?? 0, seal });
    for (const { event, property, where } of rule.answers) {
      answers.set(event, [...(answers.get(event) ?? []), { name, property, where: Object.entries(where) }]);
    }
  }
  if (byName.size === 0 && consents === null) return NO_TRAIT_RULES;
  return { byName, answers: answers.size === 0 ? null : answers, consents };
}

function compileRule(rule: TraitRule, sourceIds: ReadonlyMap<string, number>): CompiledTraitRule {
  const { type, onConflict, survivorship, sourcePriority, precedence, declaredBy } = rule;
  const ranks = new Map<number, number>();
  for (const [rank, key] of sourcePriority.entries()) {
    const id = sourceIds.get(key);
    if (id !== undefined) ranks.set(id, rank);
  }
  return {
    survivorship,
    ranks,
    othersRank: sourcePriority.length,
    byTime: precedence === 'time',
    declaredBy: new Set(declaredBy.flatMap((key) => sourceIds.get(key) ?? [])),
    fit: type === null ? null : (value) => fitValue(value, type, onConflict),
    seal: null,
    deletedAt: 0,
  };
}
