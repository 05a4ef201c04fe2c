import { WeftError } from '../../platform/errors.js';
import type { OutputData, TensorData } from '../../scoring/bind-features.js';

/*
 * Tensors of the Open Inference Protocol, version 2: in JSON, lists of values in row-major order, nested or flat; in the
 * binary tensor data extension, little-endian numbers one after the other, and texts each behind its length in four bytes.
 * https://github.com/kserve/open-inference-protocol
 */

/** What the runtime calls element types, and what the protocol does. */
const DATATYPES: Readonly<Record<string, string>> = {
  ...{ float32: 'FP32', float64: 'FP64', float16: 'FP16', string: 'BYTES', bool: 'BOOL' },
  ...{ int8: 'INT8', int16: 'INT16', int32: 'INT32', int64: 'INT64' },
  ...{ uint8: 'UINT8', uint16: 'UINT16', uint32: 'UINT32', uint64: 'UINT64' },
};

/** Values of a request or an answer in all. */
export const MAX_VALUES = 1_000_000;
const MAX_DEPTH = 8;
const TEXT_LENGTH_BYTES = 4;

/** Null: it is not a tensor that goes over. */
export function datatypeOf(type: string | null): string | null {
  return (type === null ? undefined : DATATYPES[type]) ?? null;
}

/** How many values a shape has; dimensions are counts. @throws WeftError BAD_REQUEST */
export function sizeOf(shape: unknown, where: string): { dims: number[]; size: number } {
  const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) >= 0;
  if (!Array.isArray(shape) || shape.length === 0 || shape.length > MAX_DEPTH || !shape.every(isCount)) {
    throw refused(where, 'is not a shape', 'give a list of counts, as [1, 4]');
  }
  const size = shape.reduce((product, count) => product * count, 1);
  if (size <= MAX_VALUES) return { dims: shape, size };
  throw new WeftError('PAYLOAD_TOO_LARGE', `${where} has ${String(size)} values`, {
    where,
    hint: `at most ${String(MAX_VALUES)} are taken`,
  });
}

/**
 * A tensor of values in JSON.
 * @throws WeftError BAD_REQUEST
 */
export function tensorOfValues(datatype: string, dims: readonly number[], data: unknown, where: string): TensorData {
  const values: unknown[] = [];
  flatten(data, values, 0, where);
  const size = dims.reduce((product, count) => product * count, 1);
  if (values.length !== size) {
    throw refused(where, `has ${String(values.length)} values, and its shape ${String(size)}`, 'give as many');
  }
  switch (datatype) {
    case 'FP32':
      return { type: 'float', data: Float32Array.from(values, (value) => numberOf(value, where)), dims };
    case 'FP64':
      return { type: 'double', data: Float64Array.from(values, (value) => numberOf(value, where)), dims };
    case 'INT64':
      return { type: 'int64', data: BigInt64Array.from(values, (value) => integerOf(value, where)), dims };
    default:
      return { type: 'string', data: values.map((value) => textOf(value, where)), dims };
  }
}

function flatten(data: unknown, values: unknown[], depth: number, where: string): void {
  if (!Array.isArray(data)) throw refused(where, 'is not a list of values', 'give data: [...]');
  if (depth > MAX_DEPTH) throw refused(where, 'is nested too deep', 'give its values in one list');
  for (const item of data) {
    if (Array.isArray(item)) flatten(item, values, depth + 1, where);
    else values.push(item);
  }
}

function numberOf(value: unknown, where: string): number {
  // JSON has no NaN, which stands for a missing value in many graphs.
  if (value === null || value === 'NaN') return Number.NaN;
  if (typeof value === 'number') return value;
  throw refused(where, 'has a value that is not a number', 'give numbers; null stands for NaN');
}

function integerOf(value: unknown, where: string): bigint {
  if (Number.isSafeInteger(value)) return BigInt(value as number);
  throw refused(
    where,
    'has a value that is not a whole number',
    'give whole numbers up to 2^53, or send them as bytes',
  );
}

function textOf(value: unknown, where: string): string {
  if (typeof value === 'string') return value;
  throw refused(where, 'has a value that is not a text', 'give texts');
}

/**
 * A tensor of bytes as the binary extension has them.
 * @throws WeftError BAD_REQUEST
 */
export function tensorOfBytes(datatype: string, dims: readonly number[], bytes: Buffer, where: string): TensorData {
  const size = dims.reduce((product, count) => product * count, 1);
  if (datatype === 'BYTES') return { type: 'string', data: textsIn(bytes, size, where), dims };
  const width = datatype === 'FP32' ? 4 : 8;
  if (bytes.length !== size * width) {
    throw refused(where, `has ${String(bytes.length)} bytes, and its shape ${String(size * width)}`, 'give as many');
  }
  // Aligned, and no part of the request's memory.
  const own = new Uint8Array(bytes).buffer;
  if (datatype === 'FP32') return { type: 'float', data: new Float32Array(own), dims };
  if (datatype === 'FP64') return { type: 'double', data: new Float64Array(own), dims };
  return { type: 'int64', data: new BigInt64Array(own), dims };
}

function textsIn(bytes: Buffer, size: number, where: string): string[] {
  const texts: string[] = [];
  let at = 0;
  while (at + TEXT_LENGTH_BYTES <= bytes.length && texts.length < size) {
    const end = at + TEXT_LENGTH_BYTES + bytes.readUInt32LE(at);
    if (end > bytes.length) break;
    texts.push(bytes.toString('utf8', at + TEXT_LENGTH_BYTES, end));
    at = end;
  }
  if (texts.length === size && at === bytes.length) return texts;
  throw refused(where, 'is not as many texts as its shape has', 'give each behind its length in four bytes');
}

/** The values as JSON text. What JSON cannot hold is null. */
export function jsonOfOutput({ data }: OutputData, datatype: string): string {
  if (datatype === 'BYTES') return JSON.stringify(Array.from(data, String));
  if (datatype === 'BOOL') return JSON.stringify(Array.from(data, Boolean));
  // Integers of 64 bits to the last digit, which JSON can hold and numbers here cannot.
  return `[${Array.from(data, (value) => (typeof value === 'bigint' || Number.isFinite(value) ? String(value) : 'null')).join()}]`;
}

/** The values as the binary extension has them. */
export function bytesOfOutput({ data }: OutputData, datatype: string): Buffer {
  if (datatype === 'BYTES') {
    return Buffer.concat(
      Array.from(data, (value) => {
        const text = Buffer.from(String(value));
        const length = Buffer.alloc(TEXT_LENGTH_BYTES);
        length.writeUInt32LE(text.length);
        return Buffer.concat([length, text]);
      }),
    );
  }
  if (ArrayBuffer.isView(data)) return Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  return Buffer.from(Array.from(data, (value) => (value === true ? 1 : 0)));
}

function refused(where: string, message: string, hint: string): WeftError {
  return new WeftError('BAD_REQUEST', `${where} ${message}`, { where, hint });
}
