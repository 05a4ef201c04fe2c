import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { figure, type Section } from './report.js';

const TIMEOUT_MS = 120_000;

type Costs = Readonly<Record<string, unknown>>;

/** Single functions, each file of them in a process of its own, so that none inherits another's heap. */
export async function measureCosts(signal: AbortSignal): Promise<Section> {
  const features = await costsOf('feature-state.bench.ts', signal);
  const identity = await costsOf('identity.bench.ts', signal);
  const scoring = await costsOf('scoring.bench.ts', signal);
  const sealing = await costsOf('sealing.bench.ts', signal);
  const of = (costs: Costs, field: string, name: string, unit = 'µs') => figure(name, unit, [Number(costs[field])]);
  return {
    title: 'Single steps, on one thread',
    notes: [
      `features: a profile of ${String(features['events'])} events, ${String(features['features'])} features in ${String(features['streams'])} streams;`,
      `the model: ${String(scoring['model'])}. Medians of many repeats within one process;`,
      `events that are sealed: ${String(sealing['events'])}, their keys in memory.`,
    ],
    figures: [
      of(features, 'bytes', 'features: packed state', 'bytes'),
      of(features, 'applyHotUs', 'features: apply an event to a state in memory'),
      of(features, 'decodeApplyPruneEncodeUs', 'features: decode, apply, prune, encode'),
      of(features, 'valueUs', 'features: read a value'),
      of(features, 'unpackAllUs', 'features: decode and read all values'),
      of(features, 'mergeThreeAnchorsReadAllUs', 'features: merge three anchors and read all values'),
      of(identity, 'policyResolveThreeKnownUs', 'identity: normalise three known identifiers'),
      of(identity, 'policyResolveThreeNewUs', 'identity: normalise three new identifiers'),
      of(identity, 'evidenceOfUs', 'identity: evidence of an event'),
      of(identity, 'replay1000ContestedRowsMs', 'identity: replay 1,000 contested rows', 'ms'),
      of(identity, 'replayAtBoundMs', 'identity: replay 10,000 contested rows', 'ms'),
      of(scoring, 'predict1Us', 'scoring: one row'),
      of(scoring, 'predict100Us', 'scoring: 100 rows in a call'),
      of(scoring, 'coalesced100Us', 'scoring: 100 callers in a tick'),
      of(scoring, 'predict1024Us', 'scoring: 1,024 rows in a call'),
      of(sealing, 'sealUs', 'sealing: an event, by CPU'),
      of(sealing, 'openUs', 'opening: an event, by CPU'),
    ],
  };
}

async function costsOf(file: string, signal: AbortSignal): Promise<Costs> {
  const path = fileURLToPath(new URL(file, import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, ['--import', 'tsx', path], {
    signal,
    timeout: TIMEOUT_MS,
  });
  return JSON.parse(stdout) as Costs;
}
