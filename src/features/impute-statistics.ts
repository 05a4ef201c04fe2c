import { WeftError } from '../platform/errors.js';
import { nameHint } from '../platform/near-names.js';
import {
  isItemType,
  type FeatureDefinition,
  type Imputation,
  type Imputations,
  type ImputeStatistic,
  type Item,
} from './feature.model.js';
import { NOBODY, personOf, type Splitter } from './split.model.js';
import type { PlannedFeature, WrittenRow } from './training-set.model.js';

/** Which statistic is wanted of which feature. */
export interface StatisticChoice {
  /** Of features that are not named. */
  readonly others: ImputeStatistic;
  readonly byFeature: ReadonlyMap<string, ImputeStatistic>;
}

/** Values and different values that are held, of all features together. */
const MAX_HELD = 1_000_000;
/** A text that fewer people had says too much of them. */
const MIN_PEOPLE = 3;

interface Tally {
  add(value: Item, person: string): void;
  result(): Item | undefined;
  /** Values that did not count, because as many are held as may be. */
  uncounted(): number;
}

/** What came of one feature; no imputation: it had no value, or none that can be told. */
export interface FoundStatistic {
  readonly feature: string;
  readonly imputation: Imputation | null;
  /** How many of its values did not count, because as many are held as may be. */
  readonly uncounted: number;
}

/**
 * Statistics of the rows of a training set, of those alone that a model is fitted on: where rows are parted, the part
 * `train`, so that nothing of validation and test leaks; never rows of whom values are withheld. Missing values do not count.
 *
 * Mean: of running means. Median: the middle, of an even number the mean of both; exact for as many values as are held
 * (1,000,000, of all features together), beyond of every second row, every fourth, and so on. Most frequent: of equally
 * frequent ones the least, among as many different ones as are held; of texts only one that three people had.
 */
export class ImputeStatistics {
  readonly #tallies: readonly {
    readonly name: string;
    readonly statistic: ImputeStatistic;
    readonly tally: Tally | null;
  }[];
  readonly #splitter: Splitter | null;
  #rows = 0;

  /** @throws WeftError BAD_REQUEST for a feature that is not exported, or whose type has no such statistic */
  constructor(
    features: readonly Pick<PlannedFeature, 'definition'>[],
    choice: StatisticChoice,
    splitter: Splitter | null,
  ) {
    demandKnown(features, choice);
    const held = Math.max(1, Math.floor(MAX_HELD / Math.max(1, features.length)));
    this.#splitter = splitter;
    this.#tallies = features.map(({ definition }) => {
      const statistic = statisticOf(definition, choice);
      return { name: definition.name, statistic, tally: tallyOf(definition, statistic, held) };
    });
  }

  /** Rows that counted. */
  get rows(): number {
    return this.#rows;
  }

  add({ label: { ns, value, timeMs }, profileId, status, values }: WrittenRow): void {
    const person = personOf(profileId, ns, value);
    if (status === 'WITHHELD' || (this.#splitter !== null && this.#splitter.of({ timeMs, person }) !== 'train')) return;
    this.#rows++;
    // That several items have a text does not say that several people have it.
    const teller = profileId === null ? NOBODY : person;
    this.#tallies.forEach(({ tally }, i) => {
      const found = values[i]?.value ?? null;
      if (found !== null && typeof found !== 'object') tally?.add(found, teller);
    });
  }

  /** In the order of the features, without lists and maps. */
  found(): FoundStatistic[] {
    return this.#tallies.flatMap(({ name, statistic, tally }) => {
      if (tally === null) return [];
      const value = tally.result();
      const imputation = value === undefined ? null : { statistic, value };
      return [{ feature: name, imputation, uncounted: tally.uncounted() }];
    });
  }
}

/** @param of SHA-256 of the manifest of their training set, in hex */
export function imputationsOf(found: readonly FoundStatistic[], of: string): Imputations {
  return Object.fromEntries(
    found.flatMap(({ feature, imputation }) =>
      imputation === null ? [] : [[feature, { ...imputation, of }] as const],
    ),
  );
}

function demandKnown(features: readonly Pick<PlannedFeature, 'definition'>[], { byFeature }: StatisticChoice): void {
  const definitions = new Map(features.map(({ definition }) => [definition.name, definition]));
  for (const [name, statistic] of byFeature) {
    const definition = definitions.get(name);
    if (definition === undefined) {
      throw new WeftError('BAD_REQUEST', `the feature ${name.slice(0, 100)} has a statistic and is not exported`, {
        where: 'impute',
        hint: nameHint(name, [...definitions.keys()], 'name features that are exported'),
      });
    }
    if (statistic === 'most_frequent' ? isItemType(definition.type) : isOfNumbers(definition)) continue;
    throw new WeftError('BAD_REQUEST', `${name} is ${definition.type} and has no ${statistic}`, {
      where: 'impute',
      hint: isItemType(definition.type) ? `write ${name}=most_frequent` : 'leave it out',
    });
  }
}

function isOfNumbers({ type }: FeatureDefinition): boolean {
  return type === 'int' || type === 'double' || type === 'timestamp';
}

function statisticOf(definition: FeatureDefinition, { others, byFeature }: StatisticChoice): ImputeStatistic {
  return byFeature.get(definition.name) ?? (isOfNumbers(definition) ? others : 'most_frequent');
}

/** Null: of lists and maps. */
function tallyOf(definition: FeatureDefinition, statistic: ImputeStatistic, held: number): Tally | null {
  const { type } = definition;
  if (!isItemType(type)) return null;
  if (statistic === 'most_frequent') return new FrequencyTally(held, type === 'string' ? MIN_PEOPLE : 1);
  const tally = statistic === 'mean' ? new MeanTally() : new MedianTally(held);
  if (type !== 'timestamp') return tally;
  return {
    add: (value) => tally.add(value),
    result: () => {
      const ms = tally.result();
      return ms === undefined ? undefined : Math.round(ms);
    },
    uncounted: () => tally.uncounted(),
  };
}

class MeanTally {
  #count = 0;
  #mean = 0;

  add(value: Item): void {
    this.#count++;
    this.#mean += (Number(value) - this.#mean) / this.#count;
  }

  result(): number | undefined {
    return this.#count === 0 ? undefined : this.#mean;
  }

  uncounted(): number {
    return 0;
  }
}

class MedianTally {
  readonly #held: number;
  #values: number[] = [];
  #seen = 0;
  #stride = 1;

  constructor(held: number) {
    this.#held = Math.max(2, held);
  }

  add(value: Item): void {
    if (this.#seen++ % this.#stride !== 0) return;
    this.#values.push(Number(value));
    if (this.#values.length < this.#held) return;
    this.#values = this.#values.filter((_, i) => i % 2 === 0);
    this.#stride *= 2;
  }

  result(): number | undefined {
    const sorted = Float64Array.from(this.#values).sort();
    const low = sorted[Math.floor((sorted.length - 1) / 2)];
    const high = sorted[Math.floor(sorted.length / 2)];
    return low === undefined || high === undefined ? undefined : low + (high - low) / 2;
  }

  uncounted(): number {
    return this.#seen - this.#values.length;
  }
}

class FrequencyTally {
  readonly #held: number;
  readonly #minPeople: number;
  readonly #counts = new Map<Item, { rows: number; readonly people: string[] }>();
  #uncounted = 0;

  constructor(held: number, minPeople: number) {
    this.#held = held;
    this.#minPeople = minPeople;
  }

  add(value: Item, person: string): void {
    let count = this.#counts.get(value);
    if (count === undefined) {
      if (this.#counts.size >= this.#held) {
        this.#uncounted++;
        return;
      }
      this.#counts.set(value, (count = { rows: 0, people: [] }));
    }
    count.rows++;
    if (count.people.length < this.#minPeople && !count.people.includes(person)) count.people.push(person);
  }

  result(): Item | undefined {
    let best: { readonly value: Item; readonly rows: number } | undefined;
    for (const [value, { rows, people }] of this.#counts) {
      if (people.length < this.#minPeople) continue;
      if (best === undefined || rows > best.rows || (rows === best.rows && value < best.value)) best = { value, rows };
    }
    return best?.value;
  }

  uncounted(): number {
    return this.#uncounted;
  }
}
