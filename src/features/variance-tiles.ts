import type { JsonValue } from '../events/event.model.js';
import { CellTiles } from './cell-tiles.js';
import { addendOf, microsOf, readBig, writeBig } from './exact-number.js';
import type { FeatureEvent, FeatureValue } from './feature.model.js';
import type { PackedReader, PackedWriter } from './packed-bytes.js';
import { present, type FeatureReading } from './stream-state.js';

interface Moments {
  count: number;
  /** Values that were no numbers within the bound. */
  ignored: number;
  /** Micro-units. */
  sum: bigint;
  /** Sum of the squares of micro-units. */
  squares: bigint;
}

const MICROS_SQUARED = 1e12;

/**
 * Exact count, sum and sum of squares of each tile. The variance is that of the population, `(n·Σx² − (Σx)²) / n²`,
 * whose numerator is an exact integer: it does not cancel out as it does in floating point.
 */
export class VarianceTiles extends CellTiles<Moments> {
  static unpack(reader: PackedReader, hopMs: number | null): VarianceTiles {
    const state = new VarianceTiles(hopMs);
    state.readTiles(reader);
    return state;
  }

  add(tile: number, event: FeatureEvent, value: JsonValue | undefined): boolean {
    const addend = addendOf(value);
    if (addend === undefined) return false;
    const cell = this.cellAt(tile);
    this.packed = null;
    if (addend === null) {
      cell.ignored++;
      return true;
    }
    const micros = microsOf(addend);
    cell.count++;
    cell.sum += micros;
    cell.squares += micros * micros;
    if (event.occurredAt > this.newestTs) this.newestTs = event.occurredAt;
    return true;
  }

  protected fresh(): Moments {
    return { count: 0, ignored: 0, sum: 0n, squares: 0n };
  }

  protected fold(into: Moments, from: Moments): void {
    into.count += from.count;
    into.ignored += from.ignored;
    into.sum += from.sum;
    into.squares += from.squares;
  }

  protected counts({ count }: Moments): boolean {
    return count > 0;
  }

  protected valueOver({ count, ignored, sum, squares }: Moments, feature: FeatureReading, until: number): FeatureValue {
    const approximate = ignored > 0;
    if (count === 0) return { status: 'NOT_FOUND', value: null, eventTs: null, validUntil: until, approximate };
    const n = BigInt(count);
    const variance = Number(n * squares - sum * sum) / Number(n * n) / MICROS_SQUARED;
    const value = feature.definition.aggregate === 'variance' ? variance : Math.sqrt(variance);
    return present(value, this.newestTs, until, approximate);
  }

  protected writeCell(writer: PackedWriter, { count, ignored, sum, squares }: Moments): void {
    writer.varint(count * 2 + (ignored > 0 ? 1 : 0));
    if (ignored > 0) writer.varint(ignored);
    writeBig(writer, sum);
    writeBig(writer, squares);
  }

  protected readCell(reader: PackedReader): Moments {
    const head = reader.varint();
    const ignored = head % 2 === 1 ? reader.varint() : 0;
    return { count: Math.floor(head / 2), ignored, sum: readBig(reader), squares: readBig(reader) };
  }
}
