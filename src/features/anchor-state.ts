import { CountTiles } from './count-tiles.js';
import { DistinctValues } from './distinct-values.js';
import { ExtremeTiles } from './extreme-tiles.js';
import { LatestTimes } from './latest-times.js';
import { MomentTiles } from './moment-tiles.js';
import { corruptState, PackedReader } from './packed-bytes.js';
import { FirstRows, LastRow } from './row-tiles.js';
import { PackedStream, type StreamState } from './stream-state.js';
import type { StreamSpec } from './stream.model.js';

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
  readonly #slots: number[] = [];
  readonly #parts: (StreamState | PackedStream)[] = [];

  /** @param set what made it; the slots of another set mean other streams */
  constructor(readonly set: object) {}

  get size(): number {
    return this.#slots.length;
  }

  slotAt(position: number): number {
    return this.#slots[position] ?? -1;
  }

  partAt(position: number): StreamState | PackedStream | undefined {
    return this.#parts[position];
  }

  /** Adds a stream whose slot is greater than all that are here. */
  append(slot: number, part: StreamState | PackedStream): void {
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
    const fresh = emptyStream(stream.spec);
    this.#slots.splice(position, 0, stream.slot);
    this.#parts.splice(position, 0, fresh);
    return fresh;
  }

  /** Puts a stream in its place, where there is none yet. */
  place(slot: number, part: StreamState | PackedStream): void {
    const position = this.#locate(slot);
    this.#slots.splice(position, 0, slot);
    this.#parts.splice(position, 0, part);
  }

  has(slot: number): boolean {
    return this.#slots[this.#locate(slot)] === slot;
  }

  unpackAt(position: number, stream: StreamSlot): StreamState {
    const part = this.#parts[position];
    if (!(part instanceof PackedStream)) return part ?? emptyStream(stream.spec);
    const state = unpackStream(part, stream);
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

export function emptyStream(spec: StreamSpec): StreamState {
  switch (spec.kind) {
    case 'count':
      return new CountTiles(spec.hopMs);
    case 'moments':
      return new MomentTiles(spec.hopMs);
    case 'min':
    case 'max':
      return new ExtremeTiles(spec.hopMs, spec.kind);
    case 'first':
      return new FirstRows(spec.hopMs);
    case 'last':
      return new LastRow(spec.hopMs);
    case 'distinct':
      return new DistinctValues(spec.hopMs);
    case 'times':
      return new LatestTimes(spec.capacity);
  }
}

export function unpackStream(part: PackedStream, stream: StreamSlot): StreamState {
  const reader = new PackedReader(part.bytes, part.start, part.end);
  const state = readStream(reader, stream.spec);
  if (!reader.done) throw corruptState(`stream ${String(stream.id)} goes on after its end`, reader.at);
  state.packed = part;
  return state;
}

function readStream(reader: PackedReader, spec: StreamSpec): StreamState {
  switch (spec.kind) {
    case 'count':
      return CountTiles.unpack(reader, spec.hopMs);
    case 'moments':
      return MomentTiles.unpack(reader, spec.hopMs);
    case 'min':
    case 'max':
      return ExtremeTiles.unpack(reader, spec.hopMs, spec.kind);
    case 'first':
      return FirstRows.unpack(reader, spec.hopMs);
    case 'last':
      return LastRow.unpack(reader, spec.hopMs);
    case 'distinct':
      return DistinctValues.unpack(reader, spec.hopMs);
    case 'times':
      return LatestTimes.unpack(reader, spec.capacity);
  }
}
