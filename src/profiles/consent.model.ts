import {
  CATEGORIES_FIELD,
  CONSENT_FIELD,
  isJsonObject,
  PURPOSES_FIELD,
  wordOf,
  type ConsentWord,
} from '../events/consent-context.model.js';
import {
  compareCanonical,
  type CanonicalKey,
  type JsonObject,
  type JsonValue,
  type LoggedEvent,
} from '../events/event.model.js';
import { ANY_SOURCE, type PurposeDefinition } from './purpose.model.js';

/*
 * Consents: what a person has said of the purposes that data may be used for.
 *
 * The word on a purpose is a reserved trait, `$consent.<purpose>`. So it hangs on the anchor of the event that brought it,
 * and of all words that the anchors of a profile hold the greatest by `compareWords` counts: in whatever order they
 * arrive, through merges, unmerges and events that are taken back.
 */

/** A word as it is held: a trait is one. */
export interface HeldConsent {
  readonly value: JsonValue | undefined;
  /** When it was given, ms. */
  readonly occurredAt: number;
}

/** How a purpose decides. */
export type ConsentTerms = Pick<PurposeDefinition, 'default' | 'expiresAfterDays'>;

/** A purpose that is not declared is not allowed. */
export const UNDECLARED: ConsentTerms = { default: 'denied', expiresAfterDays: null };

const PREFIX = '$consent.';
const DAY_MS = 86_400_000;

/** The reserved trait under which the word on a purpose is kept. */
export function consentTrait(purpose: string): string {
  return `${PREFIX}${purpose}`;
}

/** The purpose whose word a trait of this name is; null: it is none. */
export function purposeOf(trait: string): string | null {
  return trait.startsWith(PREFIX) ? trait.slice(PREFIX.length) : null;
}

/** Whether a trait is the word on a purpose. */
export function isConsentTrait(name: string): boolean {
  return name.startsWith(PREFIX);
}

/** The value of a reserved trait as a word; null: it is none. */
export function wordIn(value: JsonValue | undefined): ConsentWord | null {
  if (!isJsonObject(value)) return null;
  const { status, expiresAt } = value;
  if (status !== 'granted' && status !== 'denied') return null;
  return { status, expiresAt: typeof expiresAt === 'number' ? expiresAt : null };
}

/**
 * Total order of words on one purpose: by when they were given. Of those of one instant denials come last, since nobody
 * can tell what was said last, and nothing is guessed against the person; then by canonical key.
 */
export function compareWords(a: HeldConsent & CanonicalKey, b: HeldConsent & CanonicalKey): number {
  if (a.occurredAt !== b.occurredAt) return a.occurredAt - b.occurredAt;
  return Number(isDenial(a)) - Number(isDenial(b)) || compareCanonical(a, b);
}

function isDenial({ value }: HeldConsent): boolean {
  return wordIn(value)?.status === 'denied';
}

/** When a word stops counting, ms; Infinity: never. */
export function expiryOf({ expiresAfterDays }: ConsentTerms, held: HeldConsent): number {
  const expiresAt = wordIn(held.value)?.expiresAt ?? null;
  if (expiresAt !== null) return expiresAt;
  return expiresAfterDays === null ? Infinity : held.occurredAt + expiresAfterDays * DAY_MS;
}

/** Whether a profile may be used for the purpose at `t`, ms. A word counts before the instant at which it runs out. */
export function isAllowed(terms: ConsentTerms, held: HeldConsent | undefined, t: number): boolean {
  const byDefault = terms.default;
  if (byDefault === 'not_required') return true;
  const word = held === undefined ? null : wordIn(held.value);
  if (word === null || held === undefined || t >= expiryOf(terms, held)) return byDefault === 'granted';
  return word.status === 'granted';
}

/** The next instant after `t`, ms, at which time alone changes `isAllowed`; Infinity if it does not. */
export function allowedUntil(terms: ConsentTerms, held: HeldConsent | undefined, t: number): number {
  if (held === undefined || terms.default === 'not_required') return Infinity;
  const expiresAt = expiryOf(terms, held);
  if (t >= expiresAt) return Infinity;
  return isAllowed(terms, held, t) === (terms.default === 'granted') ? Infinity : expiresAt;
}

// --- what events say ------------------------------------------------------------------------------------------------

/** Where in events to look for consents. */
export interface ConsentMapping {
  readonly purposes: ReadonlySet<string>;
  /** Purposes by category: of each source that has its own, and of all others. */
  readonly categories: ReadonlyMap<number, CategoryMap>;
  readonly anyCategories: CategoryMap;
}

type CategoryMap = ReadonlyMap<string, readonly string[]>;

/** @param sourceIds ids of sources by key; sources that are not there are waited for. @returns null: nothing is declared */
export function compileConsents(
  purposes: readonly PurposeDefinition[],
  sourceIds: ReadonlyMap<string, number>,
): ConsentMapping | null {
  if (purposes.length === 0) return null;
  const named = new Set(purposes.flatMap(({ categories }) => Object.keys(categories)));
  const categories = new Map<number, CategoryMap>();
  for (const key of named) {
    const id = sourceIds.get(key);
    if (id !== undefined) categories.set(id, categoriesOf(purposes, key));
  }
  return {
    purposes: new Set(purposes.map(({ key }) => key)),
    categories,
    anyCategories: categoriesOf(purposes, ANY_SOURCE),
  };
}

/** A purpose that says nothing of the source is asked for as in all others. */
function categoriesOf(purposes: readonly PurposeDefinition[], source: string): CategoryMap {
  const found = new Map<string, string[]>();
  for (const { key, categories } of purposes) {
    const own = Object.hasOwn(categories, source) ? source : ANY_SOURCE;
    for (const category of categories[own] ?? []) {
      found.set(category, [...(found.get(category) ?? []), key]);
    }
  }
  return found;
}

/**
 * The words in an event's context, as reserved traits; null: there are none. Of a purpose that several categories ask for
 * all have to be granted. What names a purpose goes before what names a category; what cannot be read says nothing.
 */
export function consentsIn(
  { context, sourceId }: Pick<LoggedEvent, 'context' | 'sourceId'>,
  mapping: ConsentMapping,
): JsonObject | null {
  const said = context[CONSENT_FIELD];
  if (!isJsonObject(said)) return null;
  const words = new Map<string, ConsentWord>();
  const preferences = said[CATEGORIES_FIELD];
  if (isJsonObject(preferences)) {
    const categories = mapping.categories.get(sourceId) ?? mapping.anyCategories;
    for (const [category, preference] of Object.entries(preferences)) {
      if (typeof preference !== 'boolean') continue;
      for (const purpose of categories.get(category) ?? []) {
        const isGranted = preference && words.get(purpose)?.status !== 'denied';
        words.set(purpose, { status: isGranted ? 'granted' : 'denied', expiresAt: null });
      }
    }
  }
  const purposes = said[PURPOSES_FIELD];
  if (isJsonObject(purposes)) {
    for (const [purpose, value] of Object.entries(purposes)) {
      const word = mapping.purposes.has(purpose) ? wordOf(value) : null;
      if (word !== null) words.set(purpose, word);
    }
  }
  if (words.size === 0) return null;
  return Object.fromEntries([...words].map(([purpose, word]) => [consentTrait(purpose), { ...word }]));
}

/** All that an event says of purposes, in its own traits and in its context. */
export function wordsGiven(
  event: Pick<LoggedEvent, 'context' | 'sourceId' | 'traits'>,
  mapping: ConsentMapping | null,
): [purpose: string, word: ConsentWord][] {
  const said = mapping === null || event.context[CONSENT_FIELD] === undefined ? null : consentsIn(event, mapping);
  return [...Object.entries(event.traits), ...Object.entries(said ?? {})].flatMap(([name, value]) => {
    const [purpose, word] = [purposeOf(name), wordIn(value)];
    return purpose === null || word === null ? [] : [[purpose, word]];
  });
}

/** What an event says of a purpose; null: nothing. */
export function wordGiven(
  event: Pick<LoggedEvent, 'context' | 'sourceId' | 'traits'>,
  purpose: string,
  mapping: ConsentMapping | null,
): ConsentWord | null {
  const name = consentTrait(purpose);
  const reserved = wordIn(Object.hasOwn(event.traits, name) ? event.traits[name] : undefined);
  if (reserved !== null || mapping === null || event.context[CONSENT_FIELD] === undefined) return reserved;
  return wordIn(consentsIn(event, mapping)?.[name]);
}
