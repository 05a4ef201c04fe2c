import { WeftError } from '../../platform/errors.js';
import type { Feeds } from '../../scoring/bind-features.js';
import type { GraphFacts, TensorInfo } from '../../scoring/model-manifest.model.js';
import { datatypeOf, MAX_VALUES, sizeOf, tensorOfBytes, tensorOfValues } from './tensor-codec.js';

type Body = Readonly<Record<string, unknown>>;

/** One output that is asked for. */
export interface AskedOutput {
  readonly name: string;
  readonly datatype: string;
  readonly isBinary: boolean;
}

export interface InferRequest {
  /** What the sender calls the request; goes back with the answer. */
  readonly id: string | null;
  readonly feeds: Feeds;
  readonly outputs: readonly AskedOutput[];
}

const MAX_ID_LENGTH = 200;

/**
 * Reads an inference request against the inputs and outputs of a graph.
 * @param raw the body; where `headerLength` is given, that much of it is JSON, and tensors follow as bytes
 * @throws WeftError BAD_REQUEST, PAYLOAD_TOO_LARGE
 */
export function readInferRequest(raw: Buffer, headerLength: number | null, graph: GraphFacts): InferRequest {
  const end = headerLength ?? raw.length;
  if (end > raw.length) throw refused('body', 'is shorter than Inference-Header-Content-Length', 'send all of it');
  const body = objectOf(parsed(raw.toString('utf8', 0, end)), 'body');
  const { id = null } = body;
  if (id !== null && (typeof id !== 'string' || id.length > MAX_ID_LENGTH)) {
    throw refused('id', 'is not a text', `give at most ${String(MAX_ID_LENGTH)} characters, or leave it out`);
  }
  const isBinary = parametersOf(body)['binary_data_output'] === true;
  return {
    id,
    feeds: readInputs(body['inputs'], raw.subarray(end), graph.inputs),
    outputs: readOutputs(body['outputs'], isBinary, graph.outputs),
  };
}

function readInputs(value: unknown, bytes: Buffer, inputs: readonly TensorInfo[]): Feeds {
  if (!Array.isArray(value)) throw refused('inputs', 'is not a list', 'give one tensor for each input of the model');
  const feeds: Record<string, Feeds[string]> = {};
  let at = 0;
  let values = 0;
  value.forEach((item: unknown, i) => {
    const where = `inputs[${String(i)}]`;
    const input = objectOf(item, where);
    const info = inputs.find(({ name }) => name === input['name']);
    if (info === undefined || feeds[info.name] !== undefined) {
      const message = info === undefined ? 'is no input of the model' : 'is there twice';
      throw refused(`${where}.name`, message, `the inputs are ${inputs.map(({ name }) => name).join(', ')}`);
    }
    const datatype = datatypeOf(info.type) ?? '';
    if (input['datatype'] !== datatype) {
      throw refused(`${where}.datatype`, 'is not that of the input', `${info.name} is ${datatype}`);
    }
    const { dims, size } = sizeOf(input['shape'], `${where}.shape`);
    values += size;
    if (values > MAX_VALUES) throw tooMany();
    checkShape(dims, info, `${where}.shape`);
    const length = parametersOf(input)['binary_data_size'];
    if (length === undefined) {
      feeds[info.name] = tensorOfValues(datatype, dims, input['data'], `${where}.data`);
      return;
    }
    if (!Number.isSafeInteger(length) || Number(length) < 0 || at + Number(length) > bytes.length) {
      throw refused(`${where}.parameters.binary_data_size`, 'is more than there is', 'send the bytes behind the JSON');
    }
    feeds[info.name] = tensorOfBytes(datatype, dims, bytes.subarray(at, (at += Number(length))), where);
  });
  const missing = inputs.filter(({ name }) => feeds[name] === undefined);
  if (missing.length > 0) {
    throw refused('inputs', `lacks ${missing.map(({ name }) => name).join(', ')}`, 'give every input of the model');
  }
  return feeds;
}

function checkShape(dims: readonly number[], { name, shape }: TensorInfo, where: string): void {
  const fits = dims.length === shape.length && shape.every((size, i) => size === null || size === dims[i]);
  if (fits) return;
  const wanted = shape.map((size) => (size === null ? '-1' : String(size))).join(', ');
  throw refused(where, `is not that of ${name}`, `it is [${wanted}], where -1 is any count`);
}

function readOutputs(value: unknown, isBinary: boolean, outputs: readonly TensorInfo[]): AskedOutput[] {
  const given = outputs.flatMap(({ name, type }) => {
    const datatype = datatypeOf(type);
    return datatype === null ? [] : [{ name, datatype, isBinary }];
  });
  if (value === undefined) return given;
  if (!Array.isArray(value)) throw refused('outputs', 'is not a list', 'leave it out for all outputs');
  return value.map((item: unknown, i) => {
    const where = `outputs[${String(i)}]`;
    const asked = objectOf(item, where);
    const found = given.find(({ name }) => name === asked['name']);
    if (found === undefined) {
      const names = given.map(({ name }) => name).join(', ');
      throw refused(`${where}.name`, 'is no output of the model', `the outputs are ${names}`);
    }
    const own = parametersOf(asked)['binary_data'];
    return typeof own === 'boolean' ? { ...found, isBinary: own } : found;
  });
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw refused('body', 'is not JSON', 'send a request of the Open Inference Protocol');
  }
}

function objectOf(value: unknown, where: string): Body {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Body;
  throw refused(where, 'is not an object', 'give named fields');
}

function parametersOf(body: Body): Body {
  const { parameters } = body;
  return parameters === undefined ? {} : objectOf(parameters, 'parameters');
}

function tooMany(): WeftError {
  return new WeftError('PAYLOAD_TOO_LARGE', 'the inputs have too many values', {
    where: 'inputs',
    hint: `at most ${String(MAX_VALUES)} are taken at once`,
  });
}

function refused(where: string, message: string, hint: string): WeftError {
  return new WeftError('BAD_REQUEST', `${where} ${message}`, { where, hint });
}
