import type { Database } from './platform/postgres.js';
import { MODEL_LIMITS } from './scoring/model-manifest.model.js';
import { GraphRunner } from './scoring/graph-runner.js';
import { ModelProcess } from './scoring/model-process.js';
import { ModelReader } from './scoring/model.reader.js';
import { Scorer } from './scoring/scorer.js';
import type { ScoringObserver } from './scoring/scoring-observer.model.js';

/** For the process of a model to start and to load it, on a busy machine, too, ms. */
const LOAD_TIMEOUT_MS = 10_000;

/** Scores by models of a database; quick ones here, others in processes that are started for them. */
export function createScorer(db: Database, observer: ScoringObserver, runTimeoutMs?: number): Scorer {
  return new Scorer({
    loadBytes: (digest) => new ModelReader(db).bytes(digest),
    startHost,
    observer,
    ...(runTimeoutMs === undefined ? {} : { runTimeoutMs }),
  });
}

/** Asks the graphs of a database with tensors. */
export function createGraphRunner(db: Database, observer: ScoringObserver): GraphRunner {
  return new GraphRunner({
    find: (key, version) => new ModelReader(db).find(key, version),
    loadBytes: (digest) => new ModelReader(db).bytes(digest),
    startHost,
    observer,
    now: () => performance.now(),
  });
}

function startHost(): ModelProcess {
  return new ModelProcess({ ...MODEL_LIMITS, loadTimeoutMs: LOAD_TIMEOUT_MS });
}
