import { WeftError } from '../platform/errors.js';
import type { TrainingSetService } from '../features/training-set.service.js';
import {
  definitionsHash,
  imputedRow,
  type KnownAsOf,
  type TrainingRow,
  type TrainingSetPlan,
} from '../features/training-set.model.js';

export interface HistoricalQuestion {
  /** Whom, and as of when, ms. */
  readonly rows: readonly { readonly ns: string; readonly value: string; readonly timeMs: number }[];
  readonly features: readonly string[] | undefined;
  readonly service: string | undefined;
  readonly knownAsOf: KnownAsOf;
  /** Values whose newest event is older at T are left out, ms; null: of any age. */
  readonly maxAgeMs: number | null;
  /** Whether missing values get what the service imputes. */
  readonly isImputed: boolean;
}

export interface HistoricalAnswer {
  readonly plan: TrainingSetPlan;
  readonly definitionsHash: string;
  /** In the order asked. */
  readonly rows: readonly TrainingRow[];
}

const MAX_ROWS = 500;
const MAX_VALUES = 50_000;
const MAX_AT_ONCE = 2;
const TIMEOUT_MS = 30_000;
const EXPORT_HINT = 'ask for fewer rows or features, or have a training set made: exportTrainingSet';

/**
 * Training sets of a few rows, answered at once. They read histories, which takes long for some: so there are two at a time,
 * for at most 30 s each.
 */
export class HistoricalFeatures {
  readonly #open: () => Pick<TrainingSetService, 'exportTrainingSet'>;
  #running = 0;

  /** @param open the service, with the rules of identity in force */
  constructor(open: () => Pick<TrainingSetService, 'exportTrainingSet'>) {
    this.#open = open;
  }

  /** @throws WeftError BAD_REQUEST (bounds, or it takes too long), NOT_FOUND (feature or service), OVERLOADED */
  async read(question: HistoricalQuestion): Promise<HistoricalAnswer> {
    if (question.rows.length === 0 || question.rows.length > MAX_ROWS) {
      throw new WeftError('BAD_REQUEST', `1 to ${String(MAX_ROWS)} rows are answered at once`, {
        where: 'rows',
        hint: EXPORT_HINT,
      });
    }
    if (question.maxAgeMs !== null && !(question.maxAgeMs >= 0)) {
      throw new WeftError('BAD_REQUEST', 'an age cannot be negative', { where: 'maxAgeMs', hint: 'give ms, from 0' });
    }
    if (this.#running >= MAX_AT_ONCE) {
      throw new WeftError('OVERLOADED', 'histories are being read for others', { retryAfterMs: 5_000 });
    }
    this.#running++;
    try {
      return await this.#read(question);
    } finally {
      this.#running--;
    }
  }

  async #read({
    rows,
    features,
    service,
    knownAsOf,
    maxAgeMs,
    isImputed,
  }: HistoricalQuestion): Promise<HistoricalAnswer> {
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    try {
      const set = await this.#open().exportTrainingSet({
        labels: rows.map((row) => ({ ...row, cells: [] })),
        ...(features === undefined ? undefined : { features }),
        ...(service === undefined ? undefined : { service }),
        ...(maxAgeMs === null ? undefined : { maxAges: { others: maxAgeMs, byFeature: new Map<string, number>() } }),
        knownAsOf,
        isImputed,
        signal,
      });
      const { plan } = set;
      if (plan.features.length * rows.length > MAX_VALUES) {
        throw new WeftError('BAD_REQUEST', `at most ${String(MAX_VALUES)} values are answered at once`, {
          where: 'rows',
          hint: EXPORT_HINT,
        });
      }
      const answered: TrainingRow[] = [];
      for await (const row of set.rows) answered.push(imputedRow(row, plan));
      return { plan, definitionsHash: definitionsHash(plan.features), rows: answered };
    } catch (error) {
      if (!signal.aborted) throw error;
      throw new WeftError('BAD_REQUEST', `reading these histories takes longer than ${String(TIMEOUT_MS / 1_000)} s`, {
        where: 'rows',
        hint: EXPORT_HINT,
        cause: error,
      });
    }
  }
}
