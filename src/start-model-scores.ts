import type { Lifecycle } from './platform/lifecycle.js';
import type { Clock } from './platform/clock.js';
import { newId } from './platform/ids.js';
import type { Metrics } from './platform/metrics.js';
import { Periodic } from './platform/periodic.js';
import type { Database } from './platform/postgres.js';
import type { RepeatedLog } from './platform/repeated-log.js';
import { ScoreHourStore } from './scoring/score-hour.store.js';
import type { ScoreTally } from './scoring/score-tally.js';

export interface ModelScoresParts {
  readonly lifecycle: Lifecycle;
  readonly db: Database;
  readonly clock: Clock;
  readonly metrics: Metrics;
  readonly log: RepeatedLog;
  readonly engine: { readonly scores: ScoreTally };
}

const KEEP_EVERY_MS = 60_000;

/** Starts to keep by the hour what models say of live traffic. */
export async function startModelScores({
  lifecycle,
  db,
  clock,
  metrics,
  log,
  engine,
}: ModelScoresParts): Promise<void> {
  const { scores } = engine;
  const store = new ScoreHourStore(db);
  const id = newId(clock.now());
  const keep = async (): Promise<void> => {
    const now = clock.now();
    await store.save(id, scores.take());
    scores.forget(now);
    await store.sweep(now);
  };
  const periodic = new Periodic(keep, KEEP_EVERY_MS, (error) => {
    log.warn(error, 'scores of models could not be kept; it is tried again');
  });
  metrics.gauge(
    'model_scores_left_out',
    'Scores of live traffic that are in no hour that is kept, as there was no room or they came too late.',
    () => scores.left,
  );
  await lifecycle.start(
    'model scores',
    () => {
      periodic.start();
    },
    {
      drain: async () => {
        await periodic.run();
        await periodic.stop();
      },
    },
  );
}
