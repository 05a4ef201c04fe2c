/**
 * Walks the bytes of an ONNX file without loading it, to see whether all its weights are inside, of which versions its
 * sets of operators are, and whether what a run takes is known beforehand.
 *
 * An ONNX tensor may name a file to read its data from. The runtime resolves such names against the working directory,
 * so a model sent over the network could read files of the server, and its digest would not tell what it computes.
 *
 * The format is Protocol Buffers (https://protobuf.dev/programming-guides/encoding): fields of a message in any order,
 * each a tag (field number × 8 + wire type) and a payload. Field numbers are those of onnx.proto3.
 */
type MessageName = 'model' | 'graph' | 'node' | 'attribute' | 'tensor' | 'sparseTensor' | 'function' | 'training';

/** Fields that hold messages in which tensors may be. */
const CHILDREN: Record<MessageName, Readonly<Record<number, MessageName>>> = {
  model: { 7: 'graph', 20: 'training', 25: 'function' },
  graph: { 1: 'node', 5: 'tensor', 15: 'sparseTensor' },
  node: { 5: 'attribute' },
  attribute: { 5: 'tensor', 6: 'graph', 10: 'tensor', 11: 'graph', 22: 'sparseTensor', 23: 'sparseTensor' },
  tensor: {},
  sparseTensor: { 1: 'tensor', 2: 'tensor' },
  function: { 7: 'node', 11: 'attribute' },
  training: { 1: 'graph', 2: 'graph' },
};

/**
 * Operators by which the values of a row decide how long a run takes or how much memory: rounds of a loop, sizes of a
 * tensor. What other operators take follows from the number of rows.
 */
const UNBOUNDED_OPS: ReadonlySet<string> = new Set([
  ...[
    'Loop',
    'ConstantOfShape',
    'Expand',
    'Tile',
    'Range',
    'OneHot',
    'Pad',
    'Resize',
    'Upsample',
    'MaxUnpool',
    'Col2Im',
  ],
  ...['SequenceMap', 'EyeLike', 'HannWindow', 'HammingWindow', 'BlackmanWindow', 'MelWeightMatrix'],
]);
const NODE_OP_TYPE = 4;
const MODEL_OPSET_IMPORT = 8;
const OPSET_DOMAIN = 1;
const OPSET_VERSION = 2;
/** Bytes of a name that are looked at. */
const MAX_TEXT = 200;
/** A model names a handful; what more there are is not looked at. */
const MAX_OPSETS = 100;
const TENSOR_EXTERNAL_DATA = 13;
const TENSOR_DATA_LOCATION = 14;
/** Graphs nest in the branches and bodies of control flow; nobody nests them this deep. */
const MAX_DEPTH = 64;

/** What a file says of itself. */
export interface OnnxFacts {
  /** `self-contained`: no tensor refers to a file. `external`: one does. `malformed`: not the encoding of an ONNX model. */
  readonly kind: 'self-contained' | 'external' | 'malformed';
  /** Version of each set of operators that it uses, by domain; that of standard operators is `ai.onnx`. */
  readonly opsets: Readonly<Record<string, number>>;
  /** Operators that it uses by which the values of a row decide what a run takes, as `Loop`; by name. */
  readonly unboundedOps: readonly string[];
}

export function inspectOnnx(bytes: Uint8Array): OnnxFacts {
  const walk = new OnnxWalk(bytes);
  try {
    walk.message('model', bytes.length, 0);
  } catch (error) {
    if (error instanceof RangeError) return { kind: 'malformed', opsets: {}, unboundedOps: [] };
    throw error;
  }
  return {
    kind: walk.isExternal ? 'external' : 'self-contained',
    opsets: Object.fromEntries(walk.opsets),
    unboundedOps: [...walk.unboundedOps].sort(),
  };
}

class OnnxWalk {
  isExternal = false;
  readonly opsets = new Map<string, number>();
  readonly unboundedOps = new Set<string>();
  readonly #bytes: Uint8Array;
  readonly #cursor: WireCursor;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#cursor = new WireCursor(bytes);
  }

  message(message: MessageName, end: number, depth: number): void {
    const cursor = this.#cursor;
    if (depth > MAX_DEPTH) throw new RangeError('nested too deep');
    while (cursor.offset < end) {
      const tag = cursor.tag();
      const field = Math.floor(tag / 8);
      const wireType = tag % 8;
      if (message === 'tensor' && (field === TENSOR_EXTERNAL_DATA || field === TENSOR_DATA_LOCATION)) {
        // The location is a varint: 0 is inside, anything else is a file. External data is always a file.
        if (wireType === 0 ? cursor.varint() !== 0 : true) this.isExternal = true;
        if (wireType !== 0) cursor.skip(wireType);
        continue;
      }
      if (message === 'node' && field === NODE_OP_TYPE && wireType === 2) {
        const op = this.#text(end);
        if (UNBOUNDED_OPS.has(op)) this.unboundedOps.add(op);
        continue;
      }
      const isOpset = message === 'model' && field === MODEL_OPSET_IMPORT;
      const child = CHILDREN[message][field];
      if (wireType !== 2 || (child === undefined && !isOpset)) {
        cursor.skip(wireType);
        continue;
      }
      const length = cursor.varint();
      if (length > end - cursor.offset) throw new RangeError('runs over its end');
      if (isOpset) this.#opset(cursor.offset + length);
      else if (child !== undefined) this.message(child, cursor.offset + length, depth + 1);
    }
    if (cursor.offset !== end) throw new RangeError('runs over its end');
  }

  #text(end: number): string {
    const cursor = this.#cursor;
    const length = cursor.varint();
    if (length > end - cursor.offset) throw new RangeError('runs over its end');
    const from = cursor.offset;
    cursor.offset += length;
    return Buffer.from(this.#bytes.buffer, this.#bytes.byteOffset + from, Math.min(length, MAX_TEXT)).toString('utf8');
  }

  #opset(end: number): void {
    const cursor = this.#cursor;
    let domain = '';
    let version = 0;
    while (cursor.offset < end) {
      const tag = cursor.tag();
      const field = Math.floor(tag / 8);
      if (field === OPSET_VERSION && tag % 8 === 0) version = cursor.varint();
      else if (field === OPSET_DOMAIN && tag % 8 === 2) {
        domain = this.#text(end);
      } else cursor.skip(tag % 8);
    }
    if (cursor.offset !== end) throw new RangeError('runs over its end');
    if (this.opsets.size < MAX_OPSETS) this.opsets.set(domain === '' ? 'ai.onnx' : domain, version);
  }
}

class WireCursor {
  offset = 0;
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** Exact up to 2^53; what exceeds it is no length or field number. */
  varint(): number {
    let value = 0;
    for (let scale = 1, i = 0; i < 10; i++, scale *= 128) {
      const byte = this.#bytes[this.offset++];
      if (byte === undefined) throw new RangeError('ends early');
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
    throw new RangeError('a varint has at most ten bytes');
  }

  tag(): number {
    const tag = this.varint();
    if (tag >= 2 ** 32) throw new RangeError('a tag has at most 32 bits');
    return tag;
  }

  skip(wireType: number): void {
    if (wireType === 0) this.varint();
    else if (wireType === 1) this.offset += 8;
    else if (wireType === 2) this.#skipPayload();
    else if (wireType === 5) this.offset += 4;
    else throw new RangeError(`wire type ${String(wireType)} is not in use`);
  }

  #skipPayload(): void {
    const length = this.varint();
    this.offset += length;
  }
}
