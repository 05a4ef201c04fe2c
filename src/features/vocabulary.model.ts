import { ENRICHED_FIELD, FACT_PATHS } from '../events/enrichment.model.js';
import type { JsonObject, JsonValue } from '../events/event.model.js';
import { FIELD_NAME, type SeenNames } from '../events/seen-names.model.js';

export const VOCABULARY_KINDS = ['event', 'fact', 'property', 'trait'] as const;
export type VocabularyKind = (typeof VOCABULARY_KINDS)[number];

/** A value that several people had, and how often it was sent. */
export interface FrequentValue {
  readonly value: string;
  readonly count: number;
}

/** A name that a definition can refer to. */
export interface VocabularyEntry {
  readonly kind: VocabularyKind;
  /** As definitions write it: `order_completed`, `properties.total`, `traits.country`, `context.enriched.os.name`. */
  readonly name: string;
  /** Events of the sample that have it. */
  readonly count: number;
  /** Names of the events that have carried it, of an event itself none; at most 20, by name. */
  readonly events: readonly string[];
  /** The most frequent first; none that few people had, or that look personal. */
  readonly values: readonly FrequentValue[];
}

/** What the vocabulary needs of an event. */
export interface SampledEvent {
  readonly name: string;
  /** Who it is of: tells people apart, and is not kept. */
  readonly person: string;
  readonly properties: JsonObject;
  readonly traits: JsonObject;
  /** What was found out about it is in here; left out: nothing was. */
  readonly context?: JsonObject;
}

/** What can be found out about events, by where definitions find it. */
const FACTS = Object.values(FACT_PATHS)
  .flat()
  .map((path) => ({ path, keys: path.split('.'), name: `context.${ENRICHED_FIELD}.${path}` }));

/** Whether a value that stood under a name may be shown. */
export type MayShow = (name: string, value: string, event: SampledEvent) => boolean;

const MAX_EVENTS = 20;
const MAX_VALUES = 10;
/** Different values of one name that are counted; further ones are left out. */
const MAX_COUNTED_VALUES = 1_000;
const MAX_VALUE_LENGTH = 60;
const MAX_ITEMS = 20;
/** Values that fewer people had are about these people. */
export const LEAST_PEOPLE = 3;

interface CountedValue {
  count: number;
  /** Up to {@link LEAST_PEOPLE}. */
  readonly people: Set<string>;
}

interface Counted {
  count: number;
  readonly events: Set<string>;
  readonly values: Map<string, CountedValue>;
}

/** Counts names and values of sampled events. Bounded by the names that are kept and the values of each. */
export class VocabularyCount {
  readonly #counted = new Map<string, Counted>();
  readonly #mayShow: MayShow;

  /** @param seen the names that there are: others are not counted */
  constructor(seen: SeenNames, mayShow: MayShow) {
    this.#mayShow = mayShow;
    for (const [event, fields] of seen.events) {
      this.#entryOf('event', event);
      for (const field of fields)
        this.#entryOf(field.startsWith('traits.') ? 'trait' : 'property', field).events.add(event);
    }
  }

  add(event: SampledEvent): void {
    const own = this.#counted.get(keyOf('event', event.name));
    if (own === undefined) return;
    own.count++;
    this.#addFields('property', 'properties', event.properties, event);
    this.#addFields('trait', 'traits', event.traits, event);
    const facts = event.context?.[ENRICHED_FIELD];
    if (facts !== undefined) this.#addFacts(facts, event);
  }

  /** By kind and name. */
  entries(): VocabularyEntry[] {
    return [...this.#counted]
      .map(([key, { count, events, values }]): VocabularyEntry => {
        const [kind, name] = JSON.parse(key) as [VocabularyKind, string];
        const shown = [...values].filter(([, { people }]) => people.size >= LEAST_PEOPLE);
        return {
          kind,
          name,
          count,
          events: [...events].sort().slice(0, MAX_EVENTS),
          values: shown
            .map(([value, counted]) => ({ value, count: counted.count }))
            .sort((a, b) => b.count - a.count || (a.value < b.value ? -1 : 1))
            .slice(0, MAX_VALUES),
        };
      })
      .sort((a, b) => (vocabularyKey(a) < vocabularyKey(b) ? -1 : 1));
  }

  #addFields(kind: VocabularyKind, object: 'properties' | 'traits', fields: JsonObject, event: SampledEvent): void {
    for (const [field, value] of Object.entries(fields)) {
      const name = `${object}.${field}`;
      const counted = FIELD_NAME.test(field) ? this.#counted.get(keyOf(kind, name)) : undefined;
      if (counted === undefined) continue;
      counted.count++;
      for (const text of textsOf(value)) {
        if (this.#mayShow(field, text, event)) addValue(counted.values, text, event.person);
      }
    }
  }

  /** Names of facts are given: those are entries that the sample has. */
  #addFacts(facts: JsonValue, event: SampledEvent): void {
    for (const { path, keys, name } of FACTS) {
      const value = keys.reduce<JsonValue | undefined>(fieldOf, facts);
      if (value === undefined || value === null) continue;
      const counted = this.#entryOf('fact', name);
      counted.count++;
      counted.events.add(event.name);
      for (const text of textsOf(value)) {
        if (this.#mayShow(path, text, event)) addValue(counted.values, text, event.person);
      }
    }
  }

  #entryOf(kind: VocabularyKind, name: string): Counted {
    const key = keyOf(kind, name);
    const entry = this.#counted.get(key) ?? { count: 0, events: new Set(), values: new Map() };
    this.#counted.set(key, entry);
    return entry;
  }
}

function fieldOf(value: JsonValue | undefined, key: string): JsonValue | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  return Object.hasOwn(value, key) ? value[key] : undefined;
}

function addValue(values: Map<string, CountedValue>, text: string, person: string): void {
  let counted = values.get(text);
  if (counted === undefined) {
    if (values.size >= MAX_COUNTED_VALUES) return;
    values.set(text, (counted = { count: 0, people: new Set() }));
  }
  counted.count++;
  if (counted.people.size < LEAST_PEOPLE) counted.people.add(person);
}

/** The value, or the items of a list, each once; long texts and objects are none. */
function textsOf(value: JsonValue): string[] {
  const items = Array.isArray(value) ? value.slice(0, MAX_ITEMS) : [value];
  const texts = items.flatMap((item) =>
    typeof item === 'string' || typeof item === 'number' || typeof item === 'boolean' ? [String(item)] : [],
  );
  return [...new Set(texts)].filter((text) => text !== '' && text.length <= MAX_VALUE_LENGTH);
}

function keyOf(kind: VocabularyKind, name: string): string {
  return JSON.stringify([kind, name]);
}

/** What entries are put in order by. */
export function vocabularyKey({ kind, name }: Pick<VocabularyEntry, 'kind' | 'name'>): string {
  return `${kind} ${name}`;
}

/** Those of a kind in whose name, or in one of whose values, a text stands; in any case. */
export function searchVocabulary(
  entries: readonly VocabularyEntry[],
  search: string | null,
  kind: VocabularyKind | null,
): VocabularyEntry[] {
  const wanted = search?.trim().toLowerCase() ?? '';
  return entries.filter(
    (entry) =>
      (kind === null || entry.kind === kind) &&
      (wanted === '' ||
        [entry.name, ...entry.values.map(({ value }) => value)].some((text) => text.toLowerCase().includes(wanted))),
  );
}
