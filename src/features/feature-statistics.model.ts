import { pathsOf } from './feature-questions.model.js';
import { isList, type FeatureDefinition, type FeatureValue } from './feature.model.js';
import { looksPersonal } from '../profiles/personal-name.model.js';
import { histogramOf, momentsOf, quantileOf, type HistogramBin } from './quantiles.js';

export const STATISTICS_DAY_MS = 86_400_000;
/** The latest of each day is kept so long. */
export const STATISTICS_KEPT_DAYS = 60;

const QUANTILES = [0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99] as const;
const BINS = 20;
export const MAX_TOP_VALUES = 20;
export const MAX_TEXT_LENGTH = 100;
/** Different texts that are told apart; further ones count as others. */
const MAX_TEXTS = 50_000;
/** A value that fewer people have is not kept, so that nobody is known by it; likewise of items. */
export const MIN_PEOPLE = 5;
/** Numbers that are kept of a feature, to compare days by. */
export const MAX_SAMPLE = 512;

/** Of numbers; of lists and maps: of how many items they have. */
export interface NumberStatistics {
  readonly min: number;
  readonly max: number;
  readonly mean: number;
  /** Of the population: divided by n. */
  readonly stddev: number;
  readonly quantiles: readonly { readonly p: number; readonly value: number }[];
  readonly histogram: readonly HistogramBin[];
}

/** How values of a feature are spread over people, or over the items of an entity. */
export interface FeatureStatistics {
  readonly feature: string;
  /** What it is a feature of; left out: people. */
  readonly entity?: string;
  /** How many people's values were read; of another entity, how many items'. */
  readonly profiles: number;
  /** Those without a value. */
  readonly nulls: number;
  /** Values that are marked as estimates. */
  readonly approximate: number;
  /** Different values; of more than 50,000 no more. */
  readonly distinct: number;
  /** Null where the feature has none, fewer than 5 people have a value, or it looks personal. */
  readonly numbers: NumberStatistics | null;
  /** Of texts, truth values and items of lists: those that at least 5 people have, the most frequent first. */
  readonly topValues: readonly { readonly value: string; readonly count: number }[];
  /** When the newest event of anybody's value happened, ms; null: there is none. */
  readonly newestEventAt: number | null;
  /** Half of the values have an event that is as new, ms; null: none has one. */
  readonly medianAgeMs: number | null;
}

/** What is kept of one feature. */
export interface TalliedFeature {
  readonly statistics: FeatureStatistics;
  /** Some of its numbers, ascending, evenly by rank; null where none may be told. */
  readonly sample: readonly number[] | null;
}

/** The same as it was computed. */
export interface StoredStatistics extends FeatureStatistics {
  /** `profile`, or another. */
  readonly entity: string;
  /** ms. */
  readonly computedAt: number;
}

/** Whether values of a feature may say who somebody is, by what it reads. @param personal names of traits that are so */
export function isPersonalFeature(definition: FeatureDefinition, personal: ReadonlySet<string>): boolean {
  const keys = pathsOf(definition).flatMap((path) => path.split('.').slice(1));
  return [...keys, definition.name].some((key) => personal.has(key) || looksPersonal(key));
}

/** Whether a text that many people have may be told: addresses and telephone numbers may not. */
export function mayTellText(text: string): boolean {
  return !/@|\d{7,}/.test(text);
}

/** Adds up values of one feature; holds a number or a text of each person. */
export class FeatureTally {
  readonly #definition: FeatureDefinition;
  readonly #isPersonal: boolean;
  readonly #entity: string | undefined;
  readonly #numbers: number[] = [];
  readonly #texts = new Map<string, number>();
  /** The first few people who had a text, or any value; empty where each value is of another person. */
  readonly #peopleOf = new Map<string, string[]>();
  readonly #people: string[] = [];
  #arePeopleTold = false;
  readonly #ages: number[] = [];
  #profiles = 0;
  #nulls = 0;
  #approximate = 0;
  #newestEventAt: number | null = null;

  /** @param entity what it is a feature of; left out: people */
  constructor(definition: FeatureDefinition, isPersonal: boolean, entity?: string) {
    this.#definition = definition;
    this.#isPersonal = isPersonal;
    this.#entity = entity;
  }

  /**
   * @param t the instant that the value is as of, ms
   * @param person whose it is, where people may have several values, null: nobody can say; left out: each is of another person
   * @param teller whom texts are counted for, where that is somebody else
   */
  add(
    { value, eventTs, approximate }: Omit<FeatureValue, 'status' | 'validUntil'>,
    t: number,
    person?: string | null,
    teller: string | null | undefined = person,
  ): void {
    this.#profiles += 1;
    if (approximate) this.#approximate += 1;
    if (eventTs !== null) {
      this.#newestEventAt = Math.max(this.#newestEventAt ?? eventTs, eventTs);
      this.#ages.push(Math.max(0, t - eventTs));
    }
    if (value !== null && person !== undefined) {
      this.#arePeopleTold = true;
      if (person !== null) note(this.#people, person);
    }
    if (value === null) {
      this.#nulls += 1;
    } else if (typeof value === 'number') {
      this.#numbers.push(value);
    } else if (typeof value === 'object') {
      const items = isList(value) ? value : Object.keys(value);
      this.#numbers.push(items.length);
      // Times are no values that people share.
      if (this.#definition.type !== 'times') for (const item of new Set(items)) this.#count(String(item), teller);
    } else {
      this.#count(String(value), teller);
    }
  }

  /** @param maxSample numbers that are kept, at most */
  finish(maxSample = MAX_SAMPLE): TalliedFeature {
    const sorted = Float64Array.from(this.#numbers).sort();
    const people = this.#arePeopleTold ? this.#people.length : this.#profiles - this.#nulls;
    const mayShow = !this.#isPersonal && people >= MIN_PEOPLE;
    const ages = Float64Array.from(this.#ages).sort();
    return {
      statistics: {
        feature: this.#definition.name,
        ...(this.#entity === undefined ? undefined : { entity: this.#entity }),
        profiles: this.#profiles,
        nulls: this.#nulls,
        approximate: this.#approximate,
        distinct: this.#texts.size > 0 ? this.#texts.size : distinctOf(sorted),
        numbers: mayShow && sorted.length > 0 ? numbersOf(sorted) : null,
        topValues: mayShow ? this.#top() : [],
        newestEventAt: this.#newestEventAt,
        medianAgeMs: ages.length === 0 ? null : Math.round(quantileOf(ages, 0.5)),
      },
      sample: mayShow && sorted.length > 0 ? spread(sorted, maxSample) : null,
    };
  }

  #count(text: string, person: string | null | undefined): void {
    const known = this.#texts.get(text);
    if (known === undefined && this.#texts.size >= MAX_TEXTS) return;
    this.#texts.set(text, (known ?? 0) + 1);
    if (person === undefined) return;
    const people = this.#peopleOf.get(text) ?? [];
    this.#peopleOf.set(text, people);
    if (person !== null) note(people, person);
  }

  #top(): FeatureStatistics['topValues'] {
    return [...this.#texts]
      .filter(([text, count]) => (this.#peopleOf.get(text)?.length ?? count) >= MIN_PEOPLE)
      .sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1))
      .slice(0, MAX_TOP_VALUES)
      .filter(([text]) => mayTellText(text))
      .map(([text, count]) => ({ value: text.slice(0, MAX_TEXT_LENGTH), count }));
  }
}

/** Names somebody once, and no more people than are asked for. */
function note(people: string[], person: string): void {
  if (people.length < MIN_PEOPLE && !people.includes(person)) people.push(person);
}

function numbersOf(sorted: Float64Array): NumberStatistics {
  return {
    min: sorted[0] ?? NaN,
    max: sorted.at(-1) ?? NaN,
    ...momentsOf(sorted),
    quantiles: QUANTILES.map((p) => ({ p, value: quantileOf(sorted, p) })),
    histogram: histogramOf(sorted, BINS),
  };
}

function distinctOf(sorted: Float64Array): number {
  return sorted.reduce((count, value, i) => (i === 0 || value !== sorted[i - 1] ? count + 1 : count), 0);
}

/** At most so many of the numbers, evenly from the least to the greatest by rank. */
function spread(sorted: Float64Array, most: number): number[] {
  if (sorted.length <= most) return [...sorted];
  return Array.from({ length: most }, (_, i) => sorted[Math.round((i * (sorted.length - 1)) / (most - 1))] ?? 0);
}
