import { beforeEach, describe, expect, test } from 'vitest';

import type { ModelManifest, TensorInfo } from './model-manifest.model.js';
import { ModelProcessEnded, type ProcessEnd } from './model-process.model.js';
import type { FeatureRow } from './prediction.model.js';
import { ModelUnavailable, RemoteModel, type ModelHost } from './remote-model.js';

const MANIFEST: ModelManifest = {
  ...{ key: 'm', version: '1', description: '', missing: 0, fill: {}, metrics: {}, tolerance: 0, goldenVectors: [] },
  featureService: { name: 'm_v1', features: ['amount'] },
  inputs: [{ tensor: 'amounts', type: 'float', features: ['amount'] }],
  outputs: { score: { output: 'score', index: 0 } },
};
const TENSOR: TensorInfo = { name: 'amounts', type: 'float32', shape: [null, 1] };
const ROW: FeatureRow = [{ status: 'PRESENT', value: 1, eventTs: null, validUntil: Infinity, approximate: false }];

let nowMs: number;
let started: number;
let ended: string[];
/** What the next runs do: answer, or end the process. */
let script: (ProcessEnd | 'answer')[];
let loads: (ProcessEnd | 'well')[];

beforeEach(() => {
  [nowMs, started, ended, script, loads] = [1_000_000, 0, [], [], []];
});

function startHost(): ModelHost {
  started++;
  let end: ModelProcessEnded | null = null;
  const ending = (reason: ProcessEnd): Promise<never> => {
    end = new ModelProcessEnded(reason, `by ${reason}`);
    return Promise.reject(end);
  };
  return {
    get ended() {
      return end;
    },
    load: () => {
      const does = loads.shift() ?? 'well';
      if (does !== 'well') return ending(does);
      return Promise.resolve({ graph: { inputs: [TENSOR], outputs: [], opsets: {}, unboundedOps: [] }, loadMs: 1 });
    },
    run: () => {
      const does = script.shift() ?? 'answer';
      if (does !== 'answer') return ending(does);
      return Promise.resolve({ score: { data: Float32Array.of(0.5, 0.5), dims: [2, 1] } });
    },
    close: () => undefined,
  };
}

function aRemoteModel(): RemoteModel {
  return new RemoteModel({
    ...{ manifest: MANIFEST, mixesRows: false, runTimeoutMs: 1_000, startHost },
    loadBytes: () => Promise.resolve(Buffer.alloc(1)),
    now: () => nowMs,
    onEnded: (reason) => ended.push(reason),
  });
}

const ask = async (model: RemoteModel): Promise<string> =>
  model.answer([ROW], 0, 1).then(
    ([answer]) => String(answer?.score),
    (error: unknown) => (error instanceof ModelUnavailable ? 'unavailable' : (error as Error).message),
  );

describe('a model in a process of its own', () => {
  test('is started when it is first asked, once, and stays', async () => {
    const model = aRemoteModel();
    expect(await Promise.all([ask(model), ask(model), ask(model)])).toEqual(['0.5', '0.5', '0.5']);
    expect(started).toBe(1);
    await model.close();
    expect(await ask(model)).toBe('0.5');
    expect(started).toBe(2);
    expect(ended).toEqual([]);
  });

  test('is started again at once after it ended, six times, and then after waits that double', async () => {
    const model = aRemoteModel();
    for (let i = 1; i <= 7; i++) {
      script = ['TIME'];
      expect(await ask(model)).toBe('by TIME');
      expect(started).toBe(i);
    }
    // The seventh is noted by whoever asks next.
    for (const waitMs of [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]) {
      expect(await ask(model)).toBe('unavailable');
      nowMs += waitMs - 1;
      expect(await ask(model)).toBe('unavailable');
      nowMs += 1;
      script = ['MEMORY'];
      expect(await ask(model)).toBe('by MEMORY');
    }
    expect(await ask(model)).toBe('unavailable');
    nowMs += 60_000;
    expect(await ask(model)).toBe('0.5');
    // Well for a minute and longer: what was is forgotten.
    nowMs += 200_000;
    script = ['CRASH'];
    expect(await ask(model)).toBe('by CRASH');
    expect(await ask(model)).toBe('0.5');
    expect(ended).toEqual([...Array<string>(7).fill('TIME'), ...Array<string>(8).fill('MEMORY'), 'CRASH']);
  });

  test('whose process cannot be started is served all the same, and tried again', async () => {
    const model = aRemoteModel();
    loads = ['START'];
    await model.start();
    expect(ended).toEqual(['START']);
    expect(await ask(model)).toBe('0.5');
  });

  test('asks again what another run took down, thrice at most', async () => {
    const model = aRemoteModel();
    script = ['CLOSED', 'CLOSED', 'answer'];
    expect(await ask(model)).toBe('0.5');
    script = ['CLOSED', 'CLOSED', 'CLOSED'];
    expect(await ask(model)).toBe('unavailable');
  });
});
