import { afterEach, describe, expect, test } from 'vitest';

import { MODEL_LIMITS, type ModelManifest } from '../../src/scoring/model-manifest.model.js';
import { ModelProcess } from '../../src/scoring/model-process.js';
import { verifyModel } from '../../src/scoring/verify-model.js';
import { LoopWatch } from '../bench/loop-watch.js';
import { fixtureCatalog, readModelFixture, type FixtureModel } from '../support/model-fixtures.js';

const open: ModelProcess[] = [];
afterEach(() => {
  for (const each of open.splice(0)) each.close();
});

function aProcess(maxGraphBytes: number = MODEL_LIMITS.maxGraphBytes): ModelProcess {
  const started = new ModelProcess({ maxGraphBytes, loadTimeoutMs: 30_000 });
  open.push(started);
  return started;
}

async function loaded(name: FixtureModel, maxGraphBytes?: number): Promise<ModelProcess> {
  const model = aProcess(maxGraphBytes);
  await model.load((await readModelFixture(name)).bytes);
  return model;
}

const amounts = (...values: number[]) => ({
  amounts: { type: 'float' as const, data: Float32Array.from(values), dims: [values.length, 1] },
});

async function register(name: FixtureModel, change: (manifest: ModelManifest) => ModelManifest = (same) => same) {
  const { bytes, manifest } = await readModelFixture(name);
  return verifyModel(bytes, change(manifest), fixtureCatalog, () => aProcess(), 1_000);
}

/** Whose golden vectors have what the model does harm for. */
function harmful(manifest: ModelManifest): ModelManifest {
  return { ...manifest, goldenVectors: [{ features: { amount: 1 }, expected: { score: 1 } }] };
}

describe('a process that holds a model', () => {
  test('answers what is asked one after the other, and refuses a run without ending', async () => {
    const model = await loaded('refuses_rows');
    const answers = await Promise.allSettled([
      model.run(amounts(0, 1, 2), ['score'], 5_000),
      model.run(amounts(3), ['score'], 5_000),
      model.run(amounts(2), ['score'], 5_000),
    ]);
    expect(answers).toMatchObject([
      { value: { score: { data: Float32Array.of(0, 0.5, 1), dims: [3, 1] } } },
      { reason: { code: 'MODEL_INVALID', message: expect.stringContaining('the model cannot be run') as unknown } },
      { value: { score: { data: Float32Array.of(1) } } },
    ]);
    expect(model.ended).toBeNull();
  });

  test('is ended with a run that takes too long, and with it what waits behind; this process goes on', async () => {
    const model = await loaded('never_ends');
    expect(await model.run(amounts(0, 0), ['score'], 5_000)).toMatchObject({ score: { data: Float32Array.of(0, 0) } });
    const { pid } = model;
    const watch = new LoopWatch();
    const answers = await Promise.allSettled([
      model.run(amounts(1), ['score'], 300),
      model.run(amounts(0), ['score'], 5_000),
    ]);
    expect(answers).toMatchObject([
      { reason: { reason: 'TIME', message: 'it took longer than 0.3 s' } },
      { reason: { reason: 'CLOSED', message: 'it ended with another call: it took longer than 0.3 s' } },
    ]);
    // It waited for nobody: a run of the model here would have held the loop for all of it.
    expect(watch.read().p99Ms).toBeLessThan(150);
    await expect.poll(() => isRunning(pid)).toBe(false);
    await expect(model.run(amounts(0), ['score'], 5_000)).rejects.toMatchObject({ reason: 'CLOSED' });
    expect(model.ended?.reason).toBe('TIME');
  });

  test('is ended with a run that takes more memory than it may', async () => {
    const model = await loaded('eats_memory', 64 * 1024 * 1024);
    await expect(model.run(amounts(1), ['score'], 20_000)).rejects.toMatchObject({
      reason: 'MEMORY',
      message: 'it took more memory than 64 MB',
    });
  });

  test('that dies says so to whoever waits', async () => {
    const model = await loaded('never_ends');
    const asked = model.run(amounts(1), ['score'], 20_000);
    process.kill(model.pid ?? 0, 'SIGSEGV');
    await expect(asked).rejects.toMatchObject({ reason: 'CRASH', message: 'it crashed (SIGSEGV)' });
  });
});

describe('registering a model that does harm', () => {
  test('tells what it can be told of one that does none', async () => {
    const probe = await register('quantised');
    expect(probe).toMatchObject({
      bytes: (await readModelFixture('quantised')).bytes.length,
      opsets: { 'ai.onnx': 20 },
      inputs: [{ name: 'sizes', type: 'float32', shape: [null, 2] }],
      outputs: [{ name: 'score', type: 'float32', shape: [null, 1] }],
      featureServiceVersion: null,
      mixesRows: true,
    });
    const { loadMs, oneRowP99Ms, rowMs } = probe.speed;
    expect(Math.min(loadMs, oneRowP99Ms, rowMs)).toBeGreaterThan(0);
    expect(rowMs).toBeLessThan(oneRowP99Ms);
    expect((await register('several_outputs')).mixesRows).toBe(false);
  });

  test('refuses one that never ends, one that takes all memory, and operators that are too new', async () => {
    const [hangs, eats, newer] = await Promise.allSettled([
      register('never_ends', harmful),
      register('eats_memory', harmful),
      register('newer_operators'),
    ]);
    expect(hangs).toMatchObject({
      reason: {
        code: 'MODEL_INVALID',
        message: 'the model was ended while it was asked the golden vectors: it took longer than 1 s',
        hint: expect.stringContaining('a loop without an end') as unknown,
      },
    });
    expect(eats).toMatchObject({
      reason: {
        code: 'MODEL_INVALID',
        message: 'the model was ended while it was asked the golden vectors: it took more memory than 1024 MB',
      },
    });
    expect(newer).toMatchObject({
      reason: {
        message: 'the model uses opset 99 of ai.onnx',
        hint: expect.stringContaining('export with target_opset=26') as unknown,
      },
    });
  }, 60_000);
});

function isRunning(pid: number | undefined): boolean {
  try {
    return process.kill(pid ?? 0, 0);
  } catch {
    return false;
  }
}
