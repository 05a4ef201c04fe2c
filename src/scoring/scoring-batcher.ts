import { WeftError } from '../platform/errors.js';
import { faceOf, type FeatureRow, type Prediction, type RowScorer } from './prediction.model.js';

const DEFAULT_MAX_QUEUED_ROWS = 10_000;
const RETRY_AFTER_MS = 100;
const UNAVAILABLE_RETRY_MS = 10_000;

export interface ScoringBatcherOptions {
  /** Rows that wait at most; more are refused as OVERLOADED. Default 10,000. */
  readonly maxQueuedRows?: number;
}

interface Request {
  readonly row: FeatureRow;
  readonly asOf: number;
  readonly resolve: (prediction: Prediction) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Coalesces single rows that are asked for in one turn of the event loop, of however many requests, into one batch per
 * model: a hundred single runs cost as much as a dozen batches of a hundred. Nothing waits for a timer.
 */
export class ScoringBatcher {
  /** By scorer, then model: rows are laid out for the set of models that their caller holds. */
  readonly #waiting = new Map<RowScorer, Map<string, Request[]>>();
  readonly #maxQueuedRows: number;
  #queuedRows = 0;
  #scheduled = false;

  constructor(options: ScoringBatcherOptions = {}) {
    this.#maxQueuedRows = options.maxQueuedRows ?? DEFAULT_MAX_QUEUED_ROWS;
  }

  /**
   * @param asOf the instant that the row was read for, ms
   * @throws WeftError OVERLOADED; UNAVAILABLE where the model gives no answer; NOT_FOUND and BAD_REQUEST as {@link RowScorer.predict}, for this row alone.
   */
  async predict(scorer: RowScorer, modelKey: string, row: FeatureRow, asOf: number): Promise<Prediction> {
    const features = faceOf(scorer, modelKey)?.features.length;
    // What would fail the whole batch is asked alone, so that it fails alone.
    if (features !== row.length) return only(modelKey, await scorer.predict(modelKey, [row], [asOf]));
    if (this.#queuedRows >= this.#maxQueuedRows) {
      throw new WeftError('OVERLOADED', 'more scores are asked for than can be computed', {
        where: 'scoring',
        hint: 'ask again later',
        retryAfterMs: RETRY_AFTER_MS,
      });
    }
    return new Promise<Prediction>((resolve, reject) => {
      this.#queue(scorer, modelKey).push({ row, asOf, resolve, reject });
      this.#queuedRows++;
      if (this.#scheduled) return;
      this.#scheduled = true;
      setImmediate(() => {
        this.#flush();
      });
    });
  }

  #queue(scorer: RowScorer, modelKey: string): Request[] {
    let models = this.#waiting.get(scorer);
    if (models === undefined) this.#waiting.set(scorer, (models = new Map<string, Request[]>()));
    let queue = models.get(modelKey);
    if (queue === undefined) models.set(modelKey, (queue = []));
    return queue;
  }

  #flush(): void {
    this.#scheduled = false;
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const [scorer, models] of waiting) {
      for (const [modelKey, requests] of models) void this.#answer(scorer, modelKey, requests);
    }
  }

  async #answer(scorer: RowScorer, modelKey: string, requests: readonly Request[]): Promise<void> {
    try {
      const rows = requests.map((request) => request.row);
      const times = requests.map((request) => request.asOf);
      const predictions = await scorer.predict(modelKey, rows, times);
      requests.forEach((request, i) => {
        const prediction = predictions[i] ?? null;
        if (prediction === null) request.reject(unavailable(modelKey));
        else request.resolve(prediction);
      });
    } catch (error) {
      for (const request of requests) request.reject(error);
    } finally {
      this.#queuedRows -= requests.length;
    }
  }
}

function only(modelKey: string, [prediction]: readonly (Prediction | null)[]): Prediction {
  if (prediction === undefined || prediction === null) throw unavailable(modelKey);
  return prediction;
}

/** In the form of the API: what is asked of a model may be asked again. */
function unavailable(modelKey: string): WeftError {
  return new WeftError('UNAVAILABLE', `model ${modelKey} gives no answer`, {
    where: 'model',
    hint: 'ask again later; weft_model_unanswered_rows_total counts how often that was so',
    retryAfterMs: UNAVAILABLE_RETRY_MS,
  });
}
