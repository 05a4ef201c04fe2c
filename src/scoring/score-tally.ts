import { ThinnedSample } from '../platform/thinned-sample.js';
import type { FeatureRow, Prediction } from './prediction.model.js';
import { HOUR_MS, type ScoreHour } from './score-hour.model.js';

/** What a version said of rows of live traffic. */
export interface ScoredRows {
  readonly key: string;
  readonly version: number;
  /** Names of the features of a row. */
  readonly features: () => readonly string[];
  readonly rows: readonly FeatureRow[];
  /** When each was asked about, ms. */
  readonly times: readonly number[];
  /** One a row; null: no answer. */
  readonly predictions: readonly (Prediction | null)[];
}

/** Scores that are kept of an hour and a version. */
const MAX_SAMPLE = 512;
const MAX_CLASSES = 100;
const OTHER_CLASS = '(other)';
/** Hours of versions at once; rows of others are counted and left out. */
const MAX_HOURS = 1_000;

interface Hour {
  readonly key: string;
  readonly version: number;
  readonly start: number;
  readonly features: readonly string[];
  answered: number;
  unanswered: number;
  total: number;
  readonly scores: ThinnedSample<number>;
  readonly classes: Map<string, number>;
  /** By place in the row. */
  readonly missing: Uint32Array;
}

/**
 * Adds up what versions of models say of live traffic, by hour. It is called while a batch is folded: some nanoseconds a
 * value, nothing that waits, and memory for a thousand hours of versions at most.
 */
export class ScoreTally {
  readonly #hours = new Map<string, Hour>();
  /** Earlier hours are kept already, ms. */
  #since = Number.NEGATIVE_INFINITY;
  #left = 0;

  /** Rows of which nothing was kept, as there was no room or their hour was over for long. */
  get left(): number {
    return this.#left;
  }

  add(scored: ScoredRows): void {
    scored.predictions.forEach((prediction, i) => {
      const hour = this.#hourOf(scored, scored.times[i] ?? 0);
      if (hour === null) this.#left++;
      else if (prediction === null) hour.unanswered++;
      else addAnswer(hour, scored.rows[i] ?? [], prediction);
    });
  }

  /** All hours that are held, each as a whole. */
  take(): ScoreHour[] {
    return [...this.#hours.values()].map(
      ({ key, version, start, features, answered, unanswered, total, scores, classes, missing }): ScoreHour => ({
        ...{ key, version, start, answered, unanswered, total },
        ...{ scored: scores.added, sample: scores.values, classes: Object.fromEntries(classes) },
        missing: Object.fromEntries(
          features.flatMap((name, i) => ((missing[i] ?? 0) === 0 ? [] : [[name, missing[i] ?? 0] as const])),
        ),
      }),
    );
  }

  /**
   * Forgets the hours that are over for an hour: what comes of them later is left out, or it would stand in place of all.
   * To be called once what {@link take} gave is kept.
   * @param nowMs when that was taken
   */
  forget(nowMs: number): void {
    this.#since = Math.floor(nowMs / HOUR_MS - 1) * HOUR_MS;
    for (const [id, { start }] of this.#hours) if (start < this.#since) this.#hours.delete(id);
  }

  #hourOf({ key, version, features }: ScoredRows, atMs: number): Hour | null {
    const start = Math.floor(atMs / HOUR_MS) * HOUR_MS;
    const id = `${key} ${String(version)} ${String(start)}`;
    const known = this.#hours.get(id);
    if (known !== undefined) return known;
    if (start < this.#since || this.#hours.size >= MAX_HOURS) return null;
    const names = features();
    const hour: Hour = {
      ...{ key, version, start, features: names, answered: 0, unanswered: 0, total: 0 },
      ...{ scores: new ThinnedSample<number>(MAX_SAMPLE), classes: new Map<string, number>() },
      missing: new Uint32Array(names.length),
    };
    this.#hours.set(id, hour);
    return hour;
  }
}

function addAnswer(hour: Hour, row: FeatureRow, { score, label, cluster }: Prediction): void {
  const { missing, classes, scores } = hour;
  hour.answered++;
  row.forEach((value, at) => {
    if (value.status !== 'PRESENT') missing[at] = (missing[at] ?? 0) + 1;
  });
  if (score !== undefined) {
    scores.add(score);
    hour.total += score;
  }
  const told = label ?? cluster;
  if (told === undefined) return;
  const name = String(told);
  const counted = classes.has(name) || classes.size < MAX_CLASSES ? name : OTHER_CLASS;
  classes.set(counted, (classes.get(counted) ?? 0) + 1);
}
