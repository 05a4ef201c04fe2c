import type { JsonValue } from '../events/event.model.js';
import { CellTiles } from './cell-tiles.js';
import type { CompareOp, Constant } from './compare-value.model.js';
import { DECAY_HALF_LIVES, factorOfTile, fadesUntil, flipOfFading, weightInTile } from './decay.model.js';
import { addendOf, readBig, writeBig } from './exact-number.js';
import type { FeatureEvent, FeatureValue } from './feature.model.js';
import type { PackedReader, PackedWriter } from './packed-bytes.js';
import { present, type FeatureReading } from './stream-state.js';

interface Decayed {
  count: number;
  /** Values that were no numbers within the bound. */
  ignored: number;
  /** Sum of value · weight in the tile, in units of 1 / {@link ONE}. */
  sum: bigint;
}

/** Fixed point with 50 bits after the point: a millionth is still kept to 1 in 10⁹. */
const ONE = 2 ** 50;

/** Sums of values that fade, exact in each tile of one half-life. */
export class DecayTiles extends CellTiles<Decayed> {
  readonly #halfLifeMs: number;
  readonly #valued: boolean;

  /** @param valued whether values are summed; else each event counts 1 */
  constructor(halfLifeMs: number, valued: boolean) {
    super(halfLifeMs);
    this.#halfLifeMs = halfLifeMs;
    this.#valued = valued;
  }

  static unpack(reader: PackedReader, halfLifeMs: number, valued: boolean): DecayTiles {
    const state = new DecayTiles(halfLifeMs, valued);
    state.readTiles(reader);
    return state;
  }

  add(tile: number, event: FeatureEvent, value: JsonValue | undefined): boolean {
    const addend = this.#valued ? addendOf(value) : 1;
    if (addend === undefined) return false;
    const cell = this.cellAt(tile);
    this.packed = null;
    if (addend === null) {
      cell.ignored++;
      return true;
    }
    cell.count++;
    cell.sum += BigInt(Math.round(addend * weightInTile(event.occurredAt, this.#halfLifeMs) * ONE));
    if (event.occurredAt > this.newestTs) this.newestTs = event.occurredAt;
    return true;
  }

  override read(feature: FeatureReading, t: number): FeatureValue {
    const start = this.firstInWindow(feature, t);
    let sum = 0;
    let count = 0;
    let ignored = 0;
    for (let i = this.cells.length - 1; i >= start; i--) {
      const cell = this.cells[i] as Decayed;
      sum += (Number(cell.sum) / ONE) * factorOfTile(this.tiles[i] ?? 0, t, this.#halfLifeMs);
      count += cell.count;
      ignored += cell.ignored;
    }
    if (start === this.cells.length) return feature.empty;
    const until = Math.min(this.departureAt(start, feature), fadesUntil(t, this.#halfLifeMs));
    return present(sum, count === 0 ? null : this.newestTs, until, ignored > 0);
  }

  override flipAt(feature: FeatureReading, t: number, op: CompareOp, constant: Constant): number {
    return flipOfFading(
      (at) => this.read(feature, at),
      (at) => this.departureAfter(feature, at),
      { t, op, constant, halfLifeMs: this.#halfLifeMs },
    );
  }

  protected override windowOf(): number {
    return DECAY_HALF_LIVES * this.#halfLifeMs;
  }

  protected fresh(): Decayed {
    return { count: 0, ignored: 0, sum: 0n };
  }

  protected fold(into: Decayed, from: Decayed): void {
    into.count += from.count;
    into.ignored += from.ignored;
    into.sum += from.sum;
  }

  protected counts({ count }: Decayed): boolean {
    return count > 0;
  }

  protected valueOver(): never {
    throw new TypeError('decayed tiles are read one by one');
  }

  protected writeCell(writer: PackedWriter, { count, ignored, sum }: Decayed): void {
    writer.varint(count * 2 + (ignored > 0 ? 1 : 0));
    if (ignored > 0) writer.varint(ignored);
    writeBig(writer, sum);
  }

  protected readCell(reader: PackedReader): Decayed {
    const head = reader.varint();
    const ignored = head % 2 === 1 ? reader.varint() : 0;
    return { count: Math.floor(head / 2), ignored, sum: readBig(reader) };
  }
}
