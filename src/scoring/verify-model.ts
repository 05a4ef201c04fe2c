import type { FeatureType, FeatureValue, Imputations } from '../features/feature.model.js';
import { WeftError } from '../platform/errors.js';
import { goldenRow, type Feeds, type OutputData } from './bind-features.js';
import { checkFeatures, checkFills, checkGolden, checkGraph } from './check-model.js';
import { LoadedModel, MIN_ROWS } from './loaded-model.js';
import { MODEL_LIMITS, type GraphFacts, type ModelManifest, type ModelProbe } from './model-manifest.model.js';
import { ModelProcessEnded, type ProcessEnd } from './model-process.model.js';
import type { ModelSession } from './onnx-session.js';
import { modelInvalid } from './parse-manifest.js';
import type { FeatureRow } from './prediction.model.js';

/** What the registry of features says; handed in by the composition root. */
export interface FeatureCatalog {
  /** Undefined: there is no such feature. */
  typeOf(feature: string): FeatureType | undefined;
  /** What a feature reads of a request and has no default for, as `amount`; undefined: nothing. */
  neededFieldOf(feature: string): string | undefined;
  /** The features of a registered service, in order; undefined: there is no such service. */
  serviceFeatures(service: string): readonly string[] | undefined;
  /** Version of a registered service; undefined: there is no such service. */
  serviceVersion(service: string): number | undefined;
  /** What a registered service says stands for missing values; undefined: nothing, or there is no such service. */
  imputationsOf(service: string): Imputations | undefined;
}

/** Where an unknown graph is tried: it may be ended at any time, and takes nothing else down. See `model-process.ts`. */
export interface GraphTrial {
  load(bytes: Uint8Array): Promise<{ readonly graph: GraphFacts; readonly loadMs: number }>;
  run(feeds: Feeds, outputs: readonly string[], timeoutMs: number): Promise<Record<string, OutputData>>;
  measure(
    few: Feeds,
    many: Feeds,
    outputs: readonly string[],
    timeoutMs: number,
  ): Promise<{ readonly oneRowP99Ms: number; readonly manyMs: number }>;
  close(): void;
}

/** For a run of golden vectors, and for all runs that are timed, ms. */
const GOLDEN_TIMEOUT_MS = 10_000;
const MEASURE_TIMEOUT_MS = 20_000;
/** Golden rows that are asked alone and beside others. */
const MAX_MIXED_ROWS = 8;
/** Rows of the runs by which the time of one among many is told. */
const MANY_ROWS = 256;

/**
 * Loads the bytes, compares them with the manifest and the features, asks the golden vectors through the binding, and
 * measures how long runs take.
 * @param start begins a trial, which is closed in the end
 * @param goldenTimeoutMs for each run of golden vectors
 * @throws WeftError MODEL_INVALID; UNAVAILABLE where there can be no trial
 */
export async function verifyModel(
  bytes: Uint8Array,
  manifest: ModelManifest,
  catalog: FeatureCatalog,
  start: () => GraphTrial,
  goldenTimeoutMs = GOLDEN_TIMEOUT_MS,
): Promise<ModelProbe> {
  const trial = start();
  let stage = 'while it was loaded';
  try {
    const { graph, loadMs } = await trial.load(bytes);
    const { featureService, goldenVectors } = manifest;
    const problems = [
      ...checkFills(manifest),
      ...checkGraph(manifest, graph.inputs, graph.outputs),
      ...checkFeatures(manifest, (name) => catalog.typeOf(name), catalog.serviceFeatures(featureService.name)),
    ];
    if (problems.length > 0) throw modelInvalid(problems);
    const session: ModelSession = {
      ...graph,
      run: (feeds, outputs) => trial.run(feeds, outputs, goldenTimeoutMs),
      release: () => Promise.resolve(),
    };
    const rows = goldenVectors.map((vector) => goldenRow(featureService.features, vector));
    stage = 'while it was asked the golden vectors';
    const mixing = await mixesRows(new LoadedModel(session, manifest), rows);
    const model = new LoadedModel(session, manifest, mixing);
    const miss = checkGolden(manifest, await model.answer(rows));
    if (miss !== null) throw modelInvalid([miss]);
    stage = 'while its runs were timed';
    const few = model.feedsOf(rows, MIN_ROWS);
    const { oneRowP99Ms, manyMs } = await trial.measure(
      few,
      model.feedsOf(rows, MANY_ROWS),
      model.outputs,
      MEASURE_TIMEOUT_MS,
    );
    if (oneRowP99Ms > MODEL_LIMITS.maxOneRowMs) throw tooSlow(oneRowP99Ms);
    const rowMs = Number.isNaN(manyMs) ? oneRowP99Ms : manyMs / MANY_ROWS;
    return {
      ...graph,
      bytes: bytes.byteLength,
      mixesRows: mixing,
      speed: { loadMs: rounded(loadMs), oneRowP99Ms: rounded(oneRowP99Ms), rowMs: rounded(rowMs) },
      featureServiceVersion: catalog.serviceVersion(featureService.name) ?? null,
    };
  } catch (error) {
    throw error instanceof ModelProcessEnded ? endedTrial(error, stage) : error;
  } finally {
    trial.close();
  }
}

/**
 * Whether a row is answered otherwise beside others than alone. The others are golden rows too, one with values ten times
 * as large, and one with nothing: what works by the range of a batch then shows.
 */
async function mixesRows(model: LoadedModel, golden: readonly FeatureRow[]): Promise<boolean> {
  const some = golden.slice(0, MAX_MIXED_ROWS);
  const alone: string[] = [];
  for (const row of some) alone.push(JSON.stringify(await model.answer([row])));
  const differs = async (others: readonly FeatureRow[]): Promise<boolean> => {
    const beside = await model.answer([...some, ...others]);
    return alone.some((answer, i) => answer !== JSON.stringify([beside[i]]));
  };
  if (await differs([])) return true;
  try {
    return await differs(some.slice(0, 1).flatMap((row) => [row.map(tenfold), row.map(missing)]));
  } catch (error) {
    // Nobody said that it answers these.
    if (error instanceof WeftError && error.code === 'MODEL_INVALID') return false;
    throw error;
  }
}

function tenfold(feature: FeatureValue): FeatureValue {
  return typeof feature.value === 'number' ? { ...feature, value: feature.value * 10 } : feature;
}

function missing(feature: FeatureValue): FeatureValue {
  return { ...feature, status: 'NOT_FOUND', value: null };
}

/** To a tenth of a microsecond. */
function rounded(ms: number): number {
  return Math.round(ms * 10_000) / 10_000;
}

function tooSlow(ms: number): WeftError {
  return new WeftError('MODEL_INVALID', `the model takes ${String(Math.round(ms))} ms for one row`, {
    where: 'model',
    hint: `a row is answered within ${String(MODEL_LIMITS.maxOneRowMs)} ms here: use a smaller or a quantised model`,
  });
}

const HINTS: Record<Exclude<ProcessEnd, 'START'>, string> = {
  TIME: 'look for a loop without an end, or use a smaller model: it was ended, and nothing of it is kept',
  MEMORY: 'use a smaller or a quantised model, or look for a tensor whose size an input decides',
  CRASH: 'run it with onnxruntime in Python on the golden vectors to see why',
  CLOSED: 'register it again',
};

function endedTrial({ reason, message }: ModelProcessEnded, stage: string): WeftError {
  if (reason === 'START') {
    return new WeftError('UNAVAILABLE', `the process in which models are checked cannot be used: ${message}`, {
      hint: 'see that processes can be started here',
      retryAfterMs: 1_000,
    });
  }
  return new WeftError('MODEL_INVALID', `the model was ended ${stage}: ${message}`, {
    where: 'model',
    hint: HINTS[reason],
  });
}
