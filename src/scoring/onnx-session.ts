import { createHash } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';

import { InferenceSession, Tensor } from 'onnxruntime-node';

import { WeftError } from '../platform/errors.js';
import type { Feeds, OutputData, TensorData } from './bind-features.js';
import { inspectOnnx, type OnnxFacts } from './inspect-onnx.js';
import type { TensorInfo } from './model-manifest.model.js';

/** The newest sets of operators that the runtime has, ONNX Runtime 1.30. */
const NEWEST_OPSETS = { 'ai.onnx': 26, 'ai.onnx.ml': 5 } as const;

/** A loaded graph, wherever it runs. */
export interface ModelSession {
  readonly inputs: readonly TensorInfo[];
  readonly outputs: readonly TensorInfo[];
  run(feeds: Feeds, outputs: readonly string[]): Promise<Record<string, OutputData>>;
  /** Frees what it holds; nothing is run after. */
  release(): Promise<void>;
}

/** Hashed at a time: about a millisecond's work. */
const HASHED_BYTES = 1024 * 1024;

/** Lets others have their turn between pieces. */
export async function sha256Hex(bytes: Uint8Array): Promise<string> {
  const hash = createHash('sha256');
  for (let from = 0; from < bytes.length; from += HASHED_BYTES) {
    if (from > 0) await setImmediate();
    hash.update(bytes.subarray(from, from + HASHED_BYTES));
  }
  return hash.digest('hex');
}

/** A loaded ONNX graph. A run executes on the calling thread and holds it: the caller bounds the rows. */
export class OnnxSession implements ModelSession {
  readonly inputs: readonly TensorInfo[];
  readonly outputs: readonly TensorInfo[];
  /** Version of each set of operators that it uses, by domain. */
  readonly opsets: Readonly<Record<string, number>>;
  /** Operators that it uses by which the values of a row decide what a run takes. */
  readonly unboundedOps: readonly string[];
  readonly #session: InferenceSession;

  private constructor(session: InferenceSession, { opsets, unboundedOps }: OnnxFacts) {
    this.#session = session;
    this.opsets = opsets;
    this.unboundedOps = unboundedOps;
    this.inputs = session.inputMetadata.map(tensorInfo);
    this.outputs = session.outputMetadata.map(tensorInfo);
  }

  /** @throws WeftError MODEL_INVALID if the bytes are not a graph that the runtime can load. */
  static async load(bytes: Uint8Array): Promise<OnnxSession> {
    const facts = factsOf(bytes);
    try {
      const session = await InferenceSession.create(bytes, {
        executionProviders: ['cpu'],
        intraOpNumThreads: 1,
        interOpNumThreads: 1,
        executionMode: 'sequential',
        graphOptimizationLevel: 'all',
        logSeverityLevel: 4,
      });
      return new OnnxSession(session, facts);
    } catch (error) {
      throw new WeftError('MODEL_INVALID', `the model cannot be loaded: ${reasonOf(error)}`, {
        where: 'model',
        hint: 'export one self-contained ONNX file with standard operators (opset 21, ai.onnx.ml 3)',
        cause: error,
      });
    }
  }

  /** @throws WeftError MODEL_INVALID if the runtime refuses the tensors or a result is not a tensor. */
  async run(feeds: Feeds, outputs: readonly string[]): Promise<Record<string, OutputData>> {
    const tensors: Record<string, Tensor> = {};
    for (const [name, tensor] of Object.entries(feeds)) tensors[name] = toTensor(tensor);
    try {
      const results = await this.#session.run(tensors, outputs);
      // Plain objects: what a tensor has beside its data does not go over to another process.
      return Object.fromEntries(Object.entries(results).map(([name, { data, dims }]) => [name, { data, dims }]));
    } catch (error) {
      throw new WeftError('MODEL_INVALID', `the model cannot be run: ${reasonOf(error)}`, {
        where: 'model',
        hint: 'run it in Python on the same inputs to see why',
        cause: error,
      });
    }
  }

  /** Frees the native memory. The caller sees to it that no run is under way or comes after. */
  async release(): Promise<void> {
    await this.#session.release();
  }
}

/** Of a file that has all its weights. @throws WeftError MODEL_INVALID */
function factsOf(bytes: Uint8Array): OnnxFacts {
  const facts = inspectOnnx(bytes);
  const { kind, opsets } = facts;
  if (kind === 'malformed') {
    throw new WeftError('MODEL_INVALID', 'this is not an ONNX model', { where: 'model', hint: 'give an .onnx file' });
  }
  if (kind === 'external') {
    throw new WeftError('MODEL_INVALID', 'the model keeps weights in another file', {
      where: 'model',
      hint: 'save it as one file: onnx.save_model(model, path, save_as_external_data=False)',
    });
  }
  for (const [domain, newest] of Object.entries(NEWEST_OPSETS)) {
    const opset = opsets[domain] ?? 0;
    if (opset <= newest) continue;
    throw new WeftError('MODEL_INVALID', `the model uses opset ${String(opset)} of ${domain}`, {
      where: 'model',
      hint:
        `at most ${String(newest)} is run here; export with target_opset=${String(newest)}, ` +
        'opset_version of torch.onnx.export, or onnx.version_converter.convert_version',
    });
  }
  return facts;
}

function tensorInfo(meta: InferenceSession.ValueMetadata): TensorInfo {
  if (!meta.isTensor) return { name: meta.name, type: null, shape: [] };
  return {
    name: meta.name,
    type: meta.type,
    shape: meta.shape.map((size) => (typeof size === 'number' ? size : null)),
  };
}

function toTensor(tensor: TensorData): Tensor {
  switch (tensor.type) {
    case 'float':
      return new Tensor('float32', tensor.data, tensor.dims);
    case 'double':
      return new Tensor('float64', tensor.data, tensor.dims);
    case 'int64':
      return new Tensor('int64', tensor.data, tensor.dims);
    case 'string':
      return new Tensor('string', tensor.data, tensor.dims);
  }
}

/** The runtime's message without its source locations, which are paths of the machine that built it. */
function reasonOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  const told = message.split('\n')[0] ?? '';
  return told.replace(/\S*\/onnxruntime\/\S+\s*/g, '').slice(0, 500);
}
