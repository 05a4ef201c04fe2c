import { insertAt } from './insert-at.js';
import { corruptState, PackedReader } from './packed-bytes.js';
import { STREAM_KINDS } from './stream-kinds.js';
import { PackedStream, UnmergedStream, type StreamState } from './stream-state.js';
import type { StreamSpec } from './stream.model.js';

/** A stream in any of its forms. The packed ones cannot change, and so may be shared between states. */
type StreamPart = StreamState | PackedStream | UnmergedStream;

/** A stream of a compiled set. Its slot is its place among them by rising id. */
export interface StreamSlot {
  readonly slot: number;
  readonly id: number;
  readonly spec: StreamSpec;
}

/**
 * All streams of one anchor, or of one profile after merging those of its anchors. Made and read by one `FeatureSet`.
 * Streams stay packed until they are needed: an event touches a few of them.
 */
export class AnchorState {
  /** Slots of the streams that are here, ascending, and beside them their content. */
  #slots: number[] = [];
  #parts: StreamPart[] = [];

  /** @param set what made it; the slots of another set mean other streams */
  constructor(readonly set: object) {}

  get size(): number {
    return this.#slots.length;
  }

  slotAt(position: number): number {
    return this.#slots[position] ?? -1;
  }

  partAt(position: number): StreamPart | undefined {
    return this.#parts[position];
  }

  /** Adds a stream whose slot is greater than all that are here. */
  append(slot: number, part: StreamPart): void {
    this.#slots.push(slot);
    this.#parts.push(part);
  }

  removeAt(position: number): void {
    this.#slots.splice(position, 1);
    this.#parts.splice(position, 1);
  }

  /** The stream, unpacked; undefined if it has no events. */
  find(stream: StreamSlot): StreamState | undefined {
    const position = this.#locate(stream.slot);
    return this.#slots[position] === stream.slot ? this.unpackAt(position, stream) : undefined;
  }

  /** The stream, unpacked, made if need be. */
  open(stream: StreamSlot): StreamState {
    const position = this.#locate(stream.slot);
    if (this.#slots[position] === stream.slot) return this.unpackAt(position, stream);
    const fresh = STREAM_KINDS[stream.spec.kind].empty(stream.spec);
    this.#slots = insertAt(this.#slots, position, stream.slot);
    this.#parts = insertAt(this.#parts, position, fresh);
    return fresh;
  }

  /** Folds in what another state knows of the stream. Packed forms are only put together, to be merged when needed. */
  merge(stream: StreamSlot, part: StreamPart): void {
    const position = this.#locate(stream.slot);
    const here = this.#slots[position] === stream.slot ? this.#parts[position] : undefined;
    const packed = packedParts(part);
    if (packed === null) {
      this.open(stream).merge(part as StreamState);
    } else if (here === undefined) {
      this.#slots = insertAt(this.#slots, position, stream.slot);
      this.#parts = insertAt(this.#parts, position, packed.length === 1 ? (packed[0] ?? part) : part);
    } else if (here instanceof PackedStream || here instanceof UnmergedStream) {
      this.#parts[position] = new UnmergedStream([...(packedParts(here) ?? []), ...packed]);
    } else {
      for (const other of packed) here.merge(unpackStream(other, stream));
    }
  }

  unpackAt(position: number, stream: StreamSlot): StreamState {
    const part = this.#parts[position];
    if (!(part instanceof PackedStream || part instanceof UnmergedStream))
      return part ?? STREAM_KINDS[stream.spec.kind].empty(stream.spec);
    const [first, ...others] = packedParts(part) ?? [];
    const state = first === undefined ? STREAM_KINDS[stream.spec.kind].empty(stream.spec) : unpackStream(first, stream);
    for (const other of others) state.merge(unpackStream(other, stream));
    this.#parts[position] = state;
    return state;
  }

  #locate(slot: number): number {
    const slots = this.#slots;
    let low = 0;
    let high = slots.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((slots[middle] ?? 0) < slot) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** The packed forms that together are the stream; null if it has changed since it was unpacked. */
export function packedParts(part: StreamPart): readonly PackedStream[] | null {
  if (part instanceof UnmergedStream) return part.parts;
  if (part instanceof PackedStream) return [part];
  return part.packed === null ? null : [part.packed];
}

function unpackStream(part: PackedStream, stream: StreamSlot): StreamState {
  const reader = new PackedReader(part.bytes, part.start, part.end);
  const state = STREAM_KINDS[stream.spec.kind].unpack(reader, stream.spec);
  if (!reader.done) throw corruptState(`stream ${String(stream.id)} goes on after its end`, reader.at);
  state.packed = part;
  return state;
}
