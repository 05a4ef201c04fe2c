import { CONSENT_FIELD } from '../events/consent-context.model.js';
import {
  compareCanonical,
  isReservedTrait,
  type CanonicalKey,
  type JsonObject,
  type JsonValue,
  type LoggedEvent,
} from '../events/event.model.js';
import { forgetOthers, givenBy, GROUPS, isKnownOfGroup, isMember, learn } from './groups.model.js';
import { compareWords, consentsIn, isConsentTrait, type ConsentMapping } from './consent.model.js';
import { hold, join, shown, withValues, type HeldValues, type Observation } from './held-values.js';
import type { Trait, Traits } from './trait.model.js';
import { sealedTypeOf, type SealFor, type ValueSeal } from './trait-seal.model.js';
import {
  NO_TRAIT_RULES,
  PROVENANCES,
  type AnswerMatcher,
  type CompiledTraitRule,
  type Provenance,
  type TraitConflict,
  type TraitRules,
} from './trait-rule.model.js';

/** Most traits that one anchor holds: of all names it was ever given, reserved ones, then the least by UTF-16 code unit. */
export const MAX_TRAITS_PER_ANCHOR = 500;

/** The reserved trait by which an event deletes others: a list of their names. Not kept itself. */
export const DELETE_TRAITS = '$delete';
/** The field of an event's context that says how its traits came to be known: one of `PROVENANCES`. */
const PROVENANCE_FIELD = 'provenance';

export interface AppliedTraits {
  /** The names whose value may have changed; a trait that had to give way is among them. */
  readonly changed: readonly string[];
  /** Values left out, or that had to give way, because the anchor has enough names that are less. */
  readonly dropped: number;
  /** Values of another type than declared. */
  readonly conflicts: readonly TraitConflict[];
}

/** What an event has to say of itself for its traits to be taken in. */
export type TraitEvent = Pick<
  LoggedEvent,
  | 'type'
  | 'name'
  | 'traits'
  | 'properties'
  | 'context'
  | 'groupId'
  | 'occurredAt'
  | 'acceptedAt'
  | 'sourceId'
  | 'messageId'
>;

type Changes = Map<string, 'new' | 'newer'>;

const NOTHING: AppliedTraits = Object.freeze({
  changed: Object.freeze([]),
  dropped: 0,
  conflicts: Object.freeze([]),
});
const OBSERVED = PROVENANCES.indexOf('observed');
const DECLARED = PROVENANCES.indexOf('declared');
/** As `compileTraitRules` would make it for a trait without a rule. */
const PLAIN_RULE: CompiledTraitRule = {
  survivorship: 'most_recent',
  ranks: new Map(),
  othersRank: 0,
  byTime: false,
  declaredBy: new Set(),
  fit: null,
  seal: null,
  deletedAt: 0,
};

/**
 * Folds an event in: the traits that it has, those that it answers by the rules, those that it deletes, the group that
 * somebody belongs to, and the consents that it brings. The traits of a group are not those of its members.
 */
export function foldTraits(traits: Traits, event: TraitEvent, rules: TraitRules): AppliedTraits {
  const folded = foldGiven(traits, event, rules);
  if (rules.consents === null || event.context[CONSENT_FIELD] === undefined) return folded;
  return foldConsents(traits, event, rules.consents, folded);
}

function foldConsents(
  traits: Traits,
  event: TraitEvent,
  mapping: ConsentMapping,
  folded: AppliedTraits,
): AppliedTraits {
  const words = consentsIn(event, mapping);
  // However the other traits came to be known, a word on a purpose is the person's own.
  return words === null ? folded : both(folded, applyTraits(traits, words, event));
}

function foldGiven(traits: Traits, event: TraitEvent, rules: TraitRules): AppliedTraits {
  if (event.type === 'group') return joinGroup(traits, event);
  const provenance = provenanceIn(event);
  const given = applyTraits(traits, event.traits, event, rules, provenance);
  if (rules.answers === null || event.type !== 'track') return given;
  const matchers = rules.answers.get(event.name);
  const answers = matchers === undefined ? null : answersOf(event, matchers);
  if (answers === null) return given;
  return both(given, applyTraits(traits, answers, event, rules, DECLARED));
}

function both(a: AppliedTraits, b: AppliedTraits): AppliedTraits {
  return {
    changed: [...new Set([...a.changed, ...b.changed])],
    dropped: a.dropped + b.dropped,
    conflicts: [...a.conflicts, ...b.conflicts],
  };
}

/** How the groups are taken in that somebody is named in. */
export const GROUP_RULES: TraitRules = {
  byName: new Map([[GROUPS, { ...PLAIN_RULE, survivorship: 'union', byTime: true }]]),
  answers: null,
  consents: null,
};

function joinGroup(traits: Traits, event: TraitEvent): AppliedTraits {
  const { groupId } = event;
  if (groupId === null) return NOTHING;
  const joined = applyTraits(traits, { [GROUPS]: [{ id: groupId }] }, event, GROUP_RULES);
  if (traits.get(GROUPS)?.held?.overflow === true) forgetOthers(traits);
  if (!isMember(traits, groupId)) return joined;
  const { given, dropped } = givenBy(event);
  const hasLearnt = learn(traits, groupId, given);
  return { changed: hasLearnt ? [GROUPS] : joined.changed, dropped: joined.dropped + dropped, conflicts: [] };
}

/** Index into `PROVENANCES`: what an event says of its traits. */
export function provenanceIn({ context }: Pick<TraitEvent, 'context'>): number {
  if (context[PROVENANCE_FIELD] === undefined) return OBSERVED;
  const index = PROVENANCES.indexOf(context[PROVENANCE_FIELD] as Provenance);
  return index === -1 ? OBSERVED : index;
}

/** The values of the traits that an event answers; null: it answers none. */
export function answersOf(
  { properties }: Pick<TraitEvent, 'properties'>,
  matchers: readonly AnswerMatcher[],
): JsonObject | null {
  let answers: [name: string, value: JsonValue][] | null = null;
  for (const { name, property, where } of matchers) {
    const value = Object.hasOwn(properties, property) ? properties[property] : undefined;
    if (value === undefined || !where.every(([field, wanted]) => properties[field] === wanted)) continue;
    (answers ??= []).push([name, value]);
  }
  // Not by assignment: a trait that is called __proto__ would bring in the names within its value, reserved ones too.
  return answers === null ? null : Object.fromEntries(answers);
}

/**
 * Folds values in. A JSON null is a value: it says that the trait is known to be empty.
 *
 * Which names stay is a function of all names given, not of their order: a name that is dropped has enough others
 * before it for ever.
 *
 * @param provenance index into `PROVENANCES`
 */
export function applyTraits(
  traits: Traits,
  incoming: JsonObject,
  key: CanonicalKey & { readonly acceptedAt?: number },
  { byName }: TraitRules = NO_TRAIT_RULES,
  provenance: number = OBSERVED,
): AppliedTraits {
  let changed: Changes | null = null;
  let conflicts: TraitConflict[] | null = null;
  const hasRules = byName.size > 0;
  for (const name in incoming) {
    const value = incoming[name];
    if (value === undefined) continue;
    if (name === DELETE_TRAITS) {
      for (const deleted of deleteNames(traits, value, key)) (changed ??= new Map()).set(deleted, 'newer');
      continue;
    }
    const standing = traits.get(name);
    const rule = hasRules ? byName.get(name) : undefined;
    if (rule === undefined && provenance === OBSERVED && (standing === undefined || standing.held === null)) {
      if (standing !== undefined && !isNewer(name, value, key, standing)) continue;
      traits.set(name, {
        value,
        occurredAt: key.occurredAt,
        sourceId: key.sourceId,
        messageId: key.messageId,
        held: null,
      });
    } else {
      const fitted = rule === undefined || rule.fit === null ? null : rule.fit(value);
      if (fitted !== null && fitted.conflict !== null) (conflicts ??= []).push({ name, outcome: fitted.conflict });
      const fit = fitted === null ? value : fitted.value;
      const next = fit === undefined ? null : observe(standing, fit, key, provenance, rule ?? PLAIN_RULE);
      if (next === null) continue;
      traits.set(name, next);
    }
    (changed ??= new Map()).set(name, standing === undefined ? 'new' : 'newer');
  }
  if (changed === null) return conflicts === null ? NOTHING : { ...NOTHING, conflicts };
  const dropped = dropSurplus(traits, changed);
  return { changed: [...changed.keys()], dropped, conflicts: conflicts ?? NOTHING.conflicts };
}

/** Whether a value takes the place of one that was given for the trait. Words on purposes have an order of their own. */
function isNewer(name: string, value: JsonValue | undefined, key: CanonicalKey, standing: Trait): boolean {
  if (key.occurredAt === standing.occurredAt && isConsentTrait(name)) {
    return compareWords({ ...pick(key), value }, standing) > 0;
  }
  return compareCanonical(key, standing) > 0;
}

/** Lets those go that there are too many of; the number of them. */
function dropSurplus(traits: Traits, changed: Changes): number {
  if (traits.size <= MAX_TRAITS_PER_ANCHOR) return 0;
  // What is known of groups has bounds of its own, and costs nobody a trait.
  const names = [...traits.keys()].filter((name) => !isKnownOfGroup(name)).sort();
  const surplus = reservedFirst(names).slice(MAX_TRAITS_PER_ANCHOR);
  for (const name of surplus) {
    traits.delete(name);
    if (changed.get(name) === 'new') changed.delete(name);
    else changed.set(name, 'newer');
  }
  return surplus.length;
}

function reservedFirst(sorted: readonly string[]): string[] {
  return [...sorted.filter(isReservedTrait), ...sorted.filter((name) => !isReservedTrait(name))];
}

/** The trait with one value more; null where that changes nothing. */
function observe(
  standing: Trait | undefined,
  value: JsonValue,
  key: CanonicalKey,
  known: number,
  rule: CompiledTraitRule,
): Trait | null {
  const deletedAt = Math.max(standing?.held?.deletedAt ?? 0, rule.deletedAt);
  if (key.occurredAt <= deletedAt) return null;
  const { survivorship } = rule;
  const provenance = rule.declaredBy.has(key.sourceId) ? DECLARED : known;
  const given = hold(survivorship, bind({ ...pick(key), value, provenance, weight: 0, rank: 0 }, rule));
  const held = rule.seal === null ? given : withValues(given, rule.seal.seal);
  if (standing === undefined) return traitOf(held);
  const before = standingAs(rule, heldOf(standing));
  const after = join(before.kind === survivorship ? before : rebind(before, rule), held);
  return isSameHeld(before, after) ? null : traitOf(after);
}

/** What is held of a trait that became sealed only now, in the form that its other values have. */
function standingAs({ seal }: CompiledTraitRule, held: HeldValues): HeldValues {
  if (seal === null || held.kept.every(({ value }) => value === null || sealedTypeOf(value) !== null)) return held;
  return withValues(held, (value) => (sealedTypeOf(value) === null ? seal.seal(value) : value));
}

/** The trait with its values as they were before they were sealed. */
export function openTrait(trait: Trait, { open }: ValueSeal): Trait {
  return traitOf(withValues(heldOf(trait), open));
}

/**
 * Gives these traits the form that is stored, which is sealed where the rules say so.
 * @param names those whose form may have changed
 */
export function resealTraits(traits: Traits, names: readonly string[], { byName }: TraitRules, sealFor: SealFor): void {
  for (const name of names) {
    const trait = traits.get(name);
    if (trait === undefined) continue;
    const opened = openTrait(trait, sealFor(name));
    const seal = byName.get(name)?.seal ?? null;
    traits.set(name, seal === null ? opened : traitOf(withValues(heldOf(opened), seal.seal)));
  }
}

/** Weight and rank by the rule. */
function bind(observation: Observation, rule: CompiledTraitRule): Observation {
  const { sourceId, provenance } = observation;
  return {
    ...observation,
    weight: rule.byTime ? OBSERVED : provenance,
    rank: rule.survivorship === 'source_priority' ? (rule.ranks.get(sourceId) ?? rule.othersRank) : 0,
  };
}

/** What was held by another rule, until the anchor is folded anew by this one. */
function rebind({ kept, deletedAt }: HeldValues, rule: CompiledTraitRule): HeldValues {
  const empty: HeldValues = { kind: rule.survivorship, kept: [], overflow: false, deletedAt };
  return kept.reduce((held, each) => join(held, hold(rule.survivorship, bind(each, rule))), empty);
}

function isSameHeld(a: HeldValues, b: HeldValues): boolean {
  if (a.kind !== b.kind || a.overflow !== b.overflow || a.deletedAt !== b.deletedAt) return false;
  return a.kept.length === b.kept.length && a.kept.every((each, i) => isSameObservation(each, b.kept[i]));
}

function isSameObservation(a: Observation, b: Observation | undefined): boolean {
  return (
    b !== undefined &&
    compareCanonical(a, b) === 0 &&
    a.provenance === b.provenance &&
    JSON.stringify(a.value) === JSON.stringify(b.value)
  );
}

/** All that there is to choose a trait's value from. */
export function heldOf(trait: Trait): HeldValues {
  if (trait.held !== null) return trait.held;
  const value = trait.value ?? null;
  const only = { ...pick(trait), value, provenance: OBSERVED, weight: OBSERVED, rank: 0 };
  return { kind: 'most_recent', kept: [only], overflow: false, deletedAt: 0 };
}

/** In its plain form where nothing is lost by that: one value has one form, whatever it was joined with. */
export function traitOf(held: HeldValues): Trait {
  const best = shown(held);
  if (best === null) return { value: undefined, occurredAt: held.deletedAt, sourceId: 0, messageId: '', held };
  const isPlain =
    held.kind === 'most_recent' &&
    held.deletedAt === 0 &&
    best.provenance === OBSERVED &&
    best.weight === OBSERVED &&
    !held.overflow;
  return { ...pick(best), value: best.value, held: isPlain ? null : held };
}

function pick({ occurredAt, sourceId, messageId }: CanonicalKey): CanonicalKey {
  return { occurredAt, sourceId, messageId };
}

/** Takes back what was given before the event was accepted; the names of which there was something. */
function deleteNames(
  traits: Traits,
  names: JsonValue,
  { occurredAt, acceptedAt = occurredAt }: { readonly occurredAt: number; readonly acceptedAt?: number },
): string[] {
  const deleted: string[] = [];
  for (const name of Array.isArray(names) ? names : []) {
    if (typeof name !== 'string' || isReservedTrait(name)) continue;
    const held = traits.get(name)?.held ?? null;
    if (held !== null && held.deletedAt >= acceptedAt) continue;
    const kind = held?.kind ?? 'most_recent';
    traits.set(name, traitOf({ kind, kept: [], overflow: false, deletedAt: acceptedAt }));
    deleted.push(name);
  }
  return deleted;
}

/** The traits of a profile: of each name what its anchors hold, joined. */
export function mergeTraits(all: Iterable<Traits>): Traits {
  const merged: Traits = new Map();
  for (const traits of all) {
    for (const [name, trait] of traits) {
      const standing = merged.get(name);
      if (standing === undefined) merged.set(name, trait);
      else if (standing.held !== null || trait.held !== null) {
        merged.set(name, traitOf(join(heldOf(standing), heldOf(trait))));
      } else if (isNewer(name, trait.value, trait, standing)) merged.set(name, trait);
    }
  }
  return merged;
}

/** How the value that is shown came to be known. */
export function provenanceOfTrait({ held }: Pick<Trait, 'held'>): Provenance {
  const best = held === null ? null : shown(held);
  return PROVENANCES[best?.provenance ?? OBSERVED] ?? 'observed';
}
