import { AnchorState, type StreamSlot } from './anchor-state.model.js';
import { corruptState, PackedReader, PackedWriter } from './packed-bytes.js';
import { PackedStream } from './stream-state.js';

/*
 * The bytes of an anchor's state. Numbers as in packed-bytes.ts: v varint, s signed, n number, t text, h hash.
 *
 *   state     +--------+---------------------------------------+ - - -
 *             | format | v id step | v length | length bytes   |  next stream
 *             |  0x01  | ≥ 1       |          | of the stream  |
 *             +--------+---------------------------------------+ - - -
 *             Streams by rising id; the id step of the first is its id. Empty streams are not written.
 *             No bytes at all are an empty state, too.
 *
 *   stream    All but `times`, `ring` and `row` begin with  s oldest tile,  so that it is known without unpacking whether a stream holds
 *             anything that has become invisible. A tile's times are relative to its start (0 for lifetimes).
 *
 *   count     s oldest   s newest time, from the start of the newest tile   tile { tile }
 *                           tile:  v gap·8 + min(count, 8) − 1   [v count − 8]
 *   moments   as count      tile:  v gap   v count·16 + negative·8 + some ignored·4 + scale   [v ignored]   v sum   [v low]
 *                           scale 0: sum in micro-units, 1: in 10⁻², 2: in units, 3: high part, with low part after it
 *   min, max  as count      tile:  v gap   n value
 *   first     as count      tile:  v gap   row        (its newest time is 0)
 *                           row:   s time   s source   t message   v tag 0 null 1 false 2 true 3 number 4 text 5 cut text
 *                                  [n | t value]
 *             gap           tile − previous tile − 1; 0 for the oldest
 *   last      s tile   row
 *   distinct  s oldest   s newest time, from the start of the oldest tile   v floor − oldest + 1, 0: no floor
 *             v entries { h value   [v latest tile − oldest] }   [sketch]
 *             sketch { v ((register step − 1)·64 + rank)·2 + another for this register   [v tile − oldest] }
 *             [] tiles are left out where there is but one, in lifetimes.
 *   times     s newest   { v step back to the next }
 *   ring      v events·2 + overflowed   s newest   [v mark]   { v step back to the next   [v mark] }
 *             [] marks are left out where events are not told apart.
 *   row       s created   row, its time from then on
 *   variance  as count      tile:  v gap   v count·2 + some ignored   [v ignored]   big sum   big sum of squares
 *   sketch    as count      tile:  v gap   v buckets·2 + some ignored   [v ignored]   { s bucket step   v count }
 *   decayed   as count      tile:  v gap   v count·2 + some ignored   [v ignored]   big sum
 *   rows      s tile of the oldest   { row }   oldest first, each one's time from that before it
 *   keyed, weights   as count   tile:  v gap   v keys·8 + lost·4 + some ignored·2 + cut   [h bound]   { key cell }
 *             key            v its place among the keys so far, from 1; or v 0   t text, which becomes the next place
 *             cell           count, weight: v;  moments: v count  big sum;  min, max: n
 *   big       v limbs·2 + negative   { v limb of 48 bits, low first }
 */
const FORMAT = 1;

/** One writer for all: packing is synchronous and copies its result out. */
const writer = new PackedWriter();

/** @param streams by slot */
export function encodeState(state: AnchorState, streams: readonly StreamSlot[]): Buffer {
  writer.reset();
  writer.varint(FORMAT);
  let previousId = 0;
  for (let position = 0; position < state.size; position++) {
    const stream = streams[state.slotAt(position)];
    if (stream === undefined) continue;
    const part = state.partAt(position);
    const unpacked = part instanceof PackedStream ? null : state.unpackAt(position, stream);
    const packed = part instanceof PackedStream ? part : unpacked?.packed;
    if (unpacked?.isEmpty === true) continue;
    writer.varint(stream.id - previousId);
    if (packed != null) {
      writer.varint(packed.end - packed.start);
      writer.bytes(packed.bytes, packed.start, packed.end);
    } else {
      const start = writer.openFrame();
      unpacked?.write(writer);
      writer.closeFrame(start);
    }
    previousId = stream.id;
  }
  return writer.slice(0);
}

/**
 * Reads the frame alone; streams are unpacked when they are needed. Streams that no feature reads any more are dropped.
 *
 * @param slotOf slot by stream id, −1 where there is none
 * @throws WeftError INTERNAL if the bytes are damaged, also later when the damaged stream is unpacked
 */
export function decodeState(bytes: Buffer, set: object, slotOf: Int16Array): AnchorState {
  const state = new AnchorState(set);
  if (bytes.length === 0) return state;
  const own = Buffer.from(bytes);
  const reader = new PackedReader(own, 0, own.length);
  const format = reader.varint();
  if (format !== FORMAT) throw corruptState(`its format is ${String(format)}, not ${String(FORMAT)}`, 0);
  let id = 0;
  while (!reader.done) {
    const step = reader.varint();
    if (step === 0) throw corruptState('its streams are out of order', reader.at);
    id += step;
    const length = reader.varint();
    if (length === 0) throw corruptState(`stream ${String(id)} is empty`, reader.at);
    const start = reader.skip(length);
    const slot = slotOf[id] ?? -1;
    if (slot >= 0) state.append(slot, new PackedStream(own, start, start + length));
  }
  return state;
}

/** The oldest tile of a packed stream that is neither `times` nor `ring`. */
export function oldestTileOf(packed: PackedStream): number {
  return new PackedReader(packed.bytes, packed.start, packed.end).signed();
}
