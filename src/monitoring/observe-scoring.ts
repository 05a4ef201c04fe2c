import type { Metrics } from '../platform/metrics.js';
import type { RepeatedLog } from '../platform/repeated-log.js';
import { PROCESS_ENDS } from '../scoring/model-process.model.js';
import type { ScoringObserver } from '../scoring/scoring-observer.model.js';

const MAX_MODELS = 100;
/** Of all models: a version that is over is not seen again. */
const MAX_VERSIONS = 200;

/** Turns what models do into metrics and log lines. None holds a value of a row. */
export function observeScoring(metrics: Metrics, log: RepeatedLog): Required<ScoringObserver> {
  const help = 'Duration of model runs, by model and version.';
  const runs = metrics.histogram('model_run_seconds', help, {
    model: MAX_MODELS,
    version: MAX_VERSIONS,
  });
  const unanswered = metrics.counter(
    'model_unanswered_rows_total',
    'Rows that a model gave no answer for, because it failed on them or could not be asked.',
    { model: MAX_MODELS },
  );
  const ended = metrics.counter('model_processes_ended_total', 'Processes of models that ended, by why they did.', {
    model: MAX_MODELS,
    reason: PROCESS_ENDS,
  });
  return {
    onRun: (modelKey, _rows, durationMs, version) => {
      runs.observe(durationMs / 1_000, modelKey, String(version));
    },
    onUnanswered: (modelKey, rows) => {
      unanswered.add(rows, modelKey);
    },
    onHostEnded: (modelKey, reason, message) => {
      ended.add(1, modelKey, reason);
      log.warn(new Error(message), 'the process of a model ended; it is started again when it is asked', {
        model: modelKey,
        reason,
      });
    },
  };
}
