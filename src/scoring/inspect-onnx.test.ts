import { readFile } from 'node:fs/promises';

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { FIXTURE_MODELS, readModelFixture } from '../../test/support/model-fixtures.js';
import { inspectOnnx } from './inspect-onnx.js';
import { OnnxSession } from './onnx-session.js';

async function onnxFixture(name: string): Promise<Buffer> {
  return readFile(new URL(`../../test/fixtures/models/${name}.onnx`, import.meta.url));
}

describe('inspecting ONNX bytes', () => {
  test.each(FIXTURE_MODELS)('%s is self-contained, and says which operators it needs', async (name) => {
    const { kind, opsets, unboundedOps } = inspectOnnx((await readModelFixture(name)).bytes);
    expect(kind).toBe('self-contained');
    expect(opsets['ai.onnx']).toBeGreaterThan(8);
    expect(unboundedOps).toEqual([]);
  });

  test.each(['external_top', 'external_branch'])('weights in another file are found: %s', async (name) => {
    const bytes = await onnxFixture(name);
    expect(inspectOnnx(bytes).kind).toBe('external');
    await expect(OnnxSession.load(bytes)).rejects.toMatchObject({
      code: 'MODEL_INVALID',
      message: 'the model keeps weights in another file',
    });
  });

  test.each([
    ['never_ends', ['Loop']],
    ['eats_memory', ['ConstantOfShape']],
    ['quantised', []],
  ] as const)('of %s it is told whether the values of rows decide what a run takes', async (name, ops) => {
    expect(inspectOnnx((await readModelFixture(name)).bytes).unboundedOps).toEqual(ops);
  });

  test('any bytes come to an end, and a cut file is never taken for a whole one', async () => {
    const { bytes } = await readModelFixture('iris_named');
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(bytes.length - 1), (noise, at) => {
        inspectOnnx(noise);
        inspectOnnx(Buffer.concat([bytes.subarray(0, at), noise, bytes.subarray(at)]));
      }),
    );
    expect(inspectOnnx(bytes.subarray(0, bytes.length - 40))).toMatchObject({ kind: 'malformed', opsets: {} });
    expect(inspectOnnx(Buffer.from('not a model'))).toMatchObject({ kind: 'malformed', opsets: {} });
  });
});
