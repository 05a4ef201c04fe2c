import { hash } from 'node:crypto';
import { FeatureTally, type TalliedFeature } from './feature-statistics.model.js';
import { NOBODY, personOf, type Splitter } from './split.model.js';
import type { PlannedFeature, WrittenRow } from './training-set.model.js';

/** How values of a training set are spread, for what is served later to be compared with. */
export interface TrainingSetStatistics {
  /** Rows that these are of. */
  readonly rows: number;
  /** Which rows they were chosen from: `train`, or all of a set that is not parted; never `WITHHELD` ones. */
  readonly of: 'train' | 'all';
  /** Where there were too many to hold: the share of the rows that was taken, by hash; 1: all. */
  readonly share: number;
  readonly features: readonly TalliedFeature[];
}

/** Rows that are held, at most, and values of all features together; of larger sets some rows, by hash. */
const MAX_ROWS = 100_000;
const MAX_VALUES = 2_000_000;
/** Numbers that are kept of a feature, to compare by; of many features fewer, of each at least as many as percents. */
const MAX_SAMPLE = 512;
const MIN_SAMPLE = 101;
const MAX_SAMPLES = 100_000;
const HASH_SPAN = 2 ** 32;

/**
 * Adds up the rows that a model is fitted on, before anything is imputed. Of features that look personal no value is kept,
 * and of others none that fewer than 5 people had. Memory is bounded, whatever the size of the set.
 */
export class TrainingStatistics {
  readonly #tallies: readonly FeatureTally[];
  readonly #splitter: Splitter | null;
  readonly #share: number;
  #rows = 0;

  /** @param rows of the whole set */
  constructor(
    features: readonly Pick<PlannedFeature, 'definition' | 'isPersonal'>[],
    splitter: Splitter | null,
    rows: number,
  ) {
    const most = Math.min(MAX_ROWS, Math.floor(MAX_VALUES / Math.max(1, features.length)));
    this.#share = Math.min(1, most / Math.max(1, rows));
    this.#splitter = splitter;
    this.#tallies = features.map(({ definition, isPersonal }) => new FeatureTally(definition, isPersonal === true));
  }

  add({ label: { ns, value, timeMs }, profileId, status, values }: WrittenRow): void {
    const person = personOf(profileId, ns, value);
    if (status === 'WITHHELD' || (this.#splitter !== null && this.#splitter.of({ timeMs, person }) !== 'train')) return;
    if (!this.#isTaken(`${person}\n${String(timeMs)}`)) return;
    this.#rows++;
    // That several items have a text does not say that several people have it.
    const teller = profileId === null ? NOBODY : person;
    this.#tallies.forEach((tally, i) => {
      tally.add({ value: values[i]?.value ?? null, eventTs: null, approximate: false }, timeMs, person, teller);
    });
  }

  finish(): TrainingSetStatistics {
    const most = Math.max(
      MIN_SAMPLE,
      Math.min(MAX_SAMPLE, Math.floor(MAX_SAMPLES / Math.max(1, this.#tallies.length))),
    );
    return {
      rows: this.#rows,
      of: this.#splitter === null ? 'all' : 'train',
      share: this.#share,
      features: this.#tallies.map((tally) => tally.finish(most)),
    };
  }

  #isTaken(row: string): boolean {
    return this.#share === 1 || hash('sha256', row, 'buffer').readUInt32BE(0) < this.#share * HASH_SPAN;
  }
}
