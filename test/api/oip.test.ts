import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';

import { aFeature } from '../support/a-feature.js';
import { createApiWorld, type ApiWorld } from '../support/api-world.js';
import { readModelFixture, type FixtureModel } from '../support/model-fixtures.js';

/* The Open Inference Protocol, by hand; with its own client where WEFT_TEST_OIP_PYTHON names a Python with tritonclient. */

const PYTHON = process.env['WEFT_TEST_OIP_PYTHON'];
const SCRIPT = new URL('../fixtures/oip/oip_client.py', import.meta.url).pathname;
const FLOWERS = [5.1, 3.5, 1.4, 0.2, 6.7, 3.1, 5.6, 2.4];

let world: ApiWorld;

beforeAll(async () => {
  world = await createApiWorld();
  await world.accept([]);
  const doubles = ['sepal_length_cm', 'sepal_width_cm', 'petal_length_cm', 'petal_width_cm', 'amount'];
  const last = (name: string) =>
    aFeature(name, { aggregate: 'last', events: ['seen'], value: `properties.${name}`, type: 'double' });
  await world.defineFeatures([
    ...doubles.map(last),
    aFeature('petal_length_tenths', { aggregate: 'last', events: ['seen'], value: 'properties.t', type: 'int' }),
    aFeature('petal_width_class', { aggregate: 'last', events: ['seen'], value: 'properties.c', type: 'string' }),
  ]);
  const { models } = world.engine.services;
  const active: FixtureModel[] = ['iris_clusters', 'iris_named', 'never_ends'];
  for (const name of [...active, 'refuses_rows'] as const) {
    const { bytes, manifest } = await readModelFixture(name);
    const { model } = await models.register(bytes, manifest);
    if (active.includes(name)) await models.promote(model.key, model.version);
  }
  // Of this process's definitions, which are looked at now and then.
  await vi.waitFor(async () => expect((await call('/v2/models/never_ends/ready')).status).toBe(200), 5_000);
});

afterAll(async () => {
  expect(world.defects).toEqual([]);
  await world.close();
});

async function call(
  path: string,
  body?: unknown,
  { key = world.keys.read, headers = {} }: { key?: string; headers?: Record<string, string> } = {},
) {
  const answer = await fetch(`${world.url}${path}`, {
    method: body === undefined ? 'GET' : 'POST',
    headers: { authorization: `Bearer ${key}`, ...headers },
    ...(body === undefined ? {} : { body: Buffer.isBuffer(body) ? new Uint8Array(body) : JSON.stringify(body) }),
  });
  const bytes = Buffer.from(await answer.arrayBuffer());
  const length = Number(answer.headers.get('inference-header-content-length') ?? bytes.length);
  const json = JSON.parse(bytes.toString('utf8', 0, length)) as Record<string, unknown>;
  return { status: answer.status, json, bytes: bytes.subarray(length) };
}

const flowers = (more: object = {}) => ({
  inputs: [{ name: 'features', shape: [2, 4], datatype: 'FP32', data: FLOWERS, ...more }],
});

describe('the Open Inference Protocol', () => {
  it('says what runs here to everybody, and what models take to who may read', async () => {
    expect((await call('/v2', undefined, { key: '' })).json).toMatchObject({ name: 'weft' });
    expect((await call('/v2/health/live', undefined, { key: '' })).json).toEqual({ live: true });
    expect((await call('/v2/health/ready', undefined, { key: '' })).json).toEqual({ ready: true });
    const metadata = {
      ...{ name: 'iris_clusters', versions: ['1'], platform: 'onnx_onnxv1' },
      inputs: [{ name: 'features', datatype: 'FP32', shape: [-1, 4] }],
      outputs: [
        { name: 'label', datatype: 'INT64', shape: [-1] },
        { name: 'scores', datatype: 'FP32', shape: [-1, 3] },
      ],
    };
    expect((await call('/v2/models/iris_clusters')).json).toEqual(metadata);
    expect((await call('/v2/models/iris_clusters/versions/1')).json).toEqual(metadata);
    expect((await call('/v2/models/refuses_rows/versions/1/ready')).json).toEqual({
      name: 'refuses_rows',
      ready: true,
    });
    expect(await call('/v2/models/iris_clusters', undefined, { key: 'nobody' })).toMatchObject({ status: 401 });
    expect(await call('/v2/models/iris_clusters', undefined, { key: world.keys.ingest })).toMatchObject({
      status: 403,
      json: { error: 'this key may not ask models: use a key with the scope read' },
    });
    for (const [path, error] of [
      ['/v2/models/iris_cluster', 'there is no active version of model iris_cluster: did you mean iris_clusters?'],
      ['/v2/models/refuses_rows/ready', 'there is no active version of model refuses_rows'],
      ['/v2/models/iris_clusters/versions/2/ready', 'there is no version 2 of model iris_clusters'],
      ['/v2/models/iris_clusters/versions/x', 'there is no version x of model iris_clusters'],
    ]) {
      const told = await call(path ?? '');
      expect(told).toMatchObject({ status: 404, json: { error: expect.stringContaining(error ?? '') as unknown } });
    }
  });

  it('answers tensors in JSON, flat or nested, all outputs or those asked for', async () => {
    const { json } = await call('/v2/models/iris_clusters/infer', { id: 'a', ...flowers() });
    expect(json).toMatchObject({
      ...{ id: 'a', model_name: 'iris_clusters', model_version: '1' },
      outputs: [
        { name: 'label', datatype: 'INT64', shape: [2] },
        { name: 'scores', datatype: 'FP32', shape: [2, 3] },
      ],
    });
    const nested = [FLOWERS.slice(0, 4), FLOWERS.slice(4)];
    const again = await call('/v2/models/iris_clusters/versions/1/infer', {
      ...flowers({ data: nested }),
      outputs: [{ name: 'label' }],
    });
    expect(again.json['outputs']).toEqual([(json['outputs'] as unknown[])[0]]);
    const named = await call('/v2/models/iris_named/infer', {
      inputs: [
        { name: 'sepals', shape: [1, 2], datatype: 'FP32', data: [5.1, null] },
        { name: 'petal_length', shape: [1, 1], datatype: 'INT64', data: [14] },
        { name: 'petal_width', shape: [1, 1], datatype: 'BYTES', data: ['größer'] },
      ],
    });
    expect(named).toMatchObject({
      status: 200,
      json: { outputs: [{ name: 'label', datatype: 'BYTES', shape: [1] }, { name: 'probabilities' }] },
    });
  });

  it('answers tensors as bytes', async () => {
    const tensor = Buffer.from(Float32Array.from(FLOWERS).buffer);
    const head = Buffer.from(
      JSON.stringify({
        ...flowers({ data: undefined, parameters: { binary_data_size: tensor.length } }),
        outputs: [{ name: 'scores' }, { name: 'label', parameters: { binary_data: true } }],
      }),
    );
    const headers = { 'inference-header-content-length': String(head.length) };
    const { json, bytes } = await call('/v2/models/iris_clusters/infer', Buffer.concat([head, tensor]), { headers });
    expect(json['outputs']).toMatchObject([
      { name: 'scores', data: expect.any(Array) as unknown },
      { name: 'label', parameters: { binary_data_size: 16 } },
    ]);
    const plain = await call('/v2/models/iris_clusters/infer', flowers());
    const labels = (plain.json['outputs'] as { data: number[] }[])[0]?.data;
    expect([bytes.readBigInt64LE(0), bytes.readBigInt64LE(8)].map(Number)).toEqual(labels);
  });

  it.each([
    [flowers({ datatype: 'FP64' }), 'inputs[0].datatype is not that of the input: features is FP32'],
    [flowers({ shape: [2, 3] }), 'inputs[0].shape is not that of features: it is [-1, 4], where -1 is any count'],
    [flowers({ shape: [3, 4] }), 'inputs[0].data has 8 values, and its shape 12: give as many'],
    [flowers({ shape: [2, -4] }), 'inputs[0].shape is not a shape: give a list of counts, as [1, 4]'],
    [flowers({ shape: [999_999_999, 4] }), 'inputs[0].shape has 3999999996 values: at most 1000000 are taken'],
    [flowers({ data: ['a', ...FLOWERS.slice(1)] }), 'inputs[0].data has a value that is not a number: give numbers'],
    [flowers({ name: 'petals' }), 'inputs[0].name is no input of the model: the inputs are features'],
    [flowers({ data: undefined, parameters: { binary_data_size: 32 } }), 'binary_data_size is more than there is'],
    [{ inputs: [] }, 'inputs lacks features: give every input of the model'],
    [{ ...flowers(), outputs: [{ name: 'x' }] }, 'outputs[0].name is no output of the model: the outputs are label'],
    [{ ...flowers(), id: 7 }, 'id is not a text'],
    [[], 'body is not an object'],
  ])('refuses what does not fit, and says where: %#', async (body, error) => {
    const told = await call('/v2/models/iris_clusters/infer', body);
    expect([400, 413]).toContain(told.status);
    expect(told.json['error']).toContain(error);
  });

  it('refuses what a model cannot be run on, and goes on with the next', async () => {
    const amounts = (value: number) => ({
      inputs: [{ name: 'amounts', shape: [1, 1], datatype: 'FP32', data: [value] }],
    });
    const refused = await call('/v2/models/refuses_rows/versions/1/infer', amounts(9));
    expect(refused).toMatchObject({ status: 400 });
    expect(refused.json['error']).toContain('the model cannot be run');
    expect((await call('/v2/models/refuses_rows/versions/1/infer', amounts(1))).json['outputs']).toMatchObject([
      { data: [0.5] },
    ]);
  });

  it.skipIf(PYTHON === undefined)('is what its own client speaks', { timeout: 120_000 }, async () => {
    const host = new URL(world.url).host;
    const { stdout } = await promisify(execFile)(PYTHON ?? '', [SCRIPT, host, world.keys.read], { env: {} });
    const told = JSON.parse(stdout) as Record<string, unknown>;
    const plain = await call('/v2/models/iris_clusters/infer', flowers());
    const [label] = plain.json['outputs'] as { data: number[] }[];
    expect(told).toMatchObject({
      ...{ live: true, ready: true, modelReady: true, noModelReady: false },
      server: { name: 'weft', extensions: ['binary_tensor_data'] },
      metadata: { name: 'iris_clusters', versions: ['1'] },
      asBytes: { id: '7', label: label?.data },
      refused: expect.stringContaining('inputs[0].shape is not that of features') as unknown,
    });
    expect(told['asJson']).toEqual(told['asBytes']);
  });
});
