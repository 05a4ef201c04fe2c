import { createHash } from 'node:crypto';

import { InferenceSession, Tensor } from 'onnxruntime-node';

import { WeftError } from '../platform/errors.js';
import type { Feeds, OutputData, TensorData } from './bind-features.js';
import { inspectOnnx } from './inspect-onnx.js';

/** An input or output of a graph. `type` is ONNX Runtime's word (`float32`, `int64`, …); null: not a tensor. */
export interface TensorInfo {
  readonly name: string;
  readonly type: string | null;
  /** A number where the size is fixed, null where it is free. */
  readonly shape: readonly (number | null)[];
}

export function sha256Hex(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/**
 * A loaded ONNX graph. A run executes on the calling thread: small batches take microseconds and are meant to be run
 * inline; the caller bounds the rows.
 */
export class OnnxSession {
  readonly inputs: readonly TensorInfo[];
  readonly outputs: readonly TensorInfo[];
  readonly #session: InferenceSession;

  private constructor(session: InferenceSession) {
    this.#session = session;
    this.inputs = session.inputMetadata.map(tensorInfo);
    this.outputs = session.outputMetadata.map(tensorInfo);
  }

  /** @throws WeftError MODEL_INVALID if the bytes are not a graph that the runtime can load. */
  static async load(bytes: Uint8Array): Promise<OnnxSession> {
    checkSelfContained(bytes);
    try {
      const session = await InferenceSession.create(bytes, {
        executionProviders: ['cpu'],
        intraOpNumThreads: 1,
        interOpNumThreads: 1,
        executionMode: 'sequential',
        graphOptimizationLevel: 'all',
        logSeverityLevel: 4,
      });
      return new OnnxSession(session);
    } catch (error) {
      throw new WeftError('MODEL_INVALID', `the model cannot be loaded: ${reasonOf(error)}`, {
        where: 'model',
        hint: 'export one self-contained ONNX file with standard operators (opset 21 or lower, ai.onnx.ml 5 or lower)',
        cause: error,
      });
    }
  }

  /** @throws WeftError MODEL_INVALID if the runtime refuses the tensors or a result is not a tensor. */
  async run(feeds: Feeds, outputs: readonly string[]): Promise<Record<string, OutputData>> {
    const tensors: Record<string, Tensor> = {};
    for (const [name, tensor] of Object.entries(feeds)) tensors[name] = toTensor(tensor);
    try {
      const results: Record<string, OutputData> = await this.#session.run(tensors, outputs);
      return results;
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

function checkSelfContained(bytes: Uint8Array): void {
  const found = inspectOnnx(bytes);
  if (found === 'self-contained') return;
  const external = found === 'external';
  throw new WeftError(
    'MODEL_INVALID',
    external ? 'the model keeps weights in another file' : 'this is not an ONNX model',
    {
      where: 'model',
      hint: external
        ? 'save it as one file: onnx.save_model(model, path, save_as_external_data=False)'
        : 'give an .onnx file',
    },
  );
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
