import { compareValue, type CompareOp, type Constant } from './compare-value.model.js';
import type { FeatureValue } from './feature.model.js';
import type { PackedReader, PackedWriter } from './packed-bytes.js';
import type { FeatureReading } from './stream-state.js';
import { departureOf, firstTileSeen } from './stream.model.js';
import { TileStream } from './tile-stream.js';

/** A stream whose tiles each hold one partial aggregate as an object. Folding two of them is exact and in any order. */
export abstract class CellTiles<Cell> extends TileStream {
  protected cells: Cell[] = [];

  protected abstract fresh(): Cell;
  /** Folds into a tile what another state knows of it. */
  protected abstract fold(into: Cell, from: Cell): void;
  /** Whether an event counts in it, and not only that some could not be counted. */
  protected abstract counts(cell: Cell): boolean;
  protected abstract writeCell(writer: PackedWriter, cell: Cell): void;
  protected abstract readCell(reader: PackedReader): Cell;
  /** The feature's value over all that `total` was folded from. */
  protected abstract valueOver(total: Cell, feature: FeatureReading, validUntil: number): FeatureValue;

  merge(other: this): void {
    for (const [i, cell] of other.cells.entries()) this.fold(this.cellAt(other.tiles[i] ?? 0), cell);
    this.newestTs = Math.max(this.newestTs, other.newestTs);
    this.packed = null;
  }

  override dropBefore(tile: number): void {
    super.dropBefore(tile);
    this.#forgetNewestIfNothingCounts();
  }

  read(feature: FeatureReading, t: number): FeatureValue {
    const start = this.firstInWindow(feature, t);
    if (start === this.tiles.length) return feature.empty;
    const total = this.fresh();
    for (let i = start; i < this.cells.length; i++) this.addUp(total, this.cells[i] as Cell, feature);
    return this.valueOver(total, feature, this.departureAt(start, feature));
  }

  /** As the general one, adding the window up once, from its newest tile to its oldest. */
  override flipAt(feature: FeatureReading, t: number, op: CompareOp, constant: Constant): number {
    const start = this.firstInWindow(feature, t);
    const answers: (boolean | null)[] = [];
    const total = this.fresh();
    for (let i = this.cells.length - 1; i >= start; i--) {
      this.addUp(total, this.cells[i] as Cell, feature);
      answers[i] = compareValue(this.valueOver(total, feature, this.departureAt(i, feature)), op, constant);
    }
    const atLast = compareValue(feature.empty, op, constant);
    const before = answers[start] ?? null;
    for (let i = start; i < this.cells.length; i++) {
      const at = this.departureAt(i, feature);
      if (at === Infinity) return Infinity;
      if ((i + 1 < this.cells.length ? (answers[i + 1] ?? null) : atLast) !== before) return at;
    }
    return Infinity;
  }

  /** Adds a tile to what a feature reads of several. */
  protected addUp(total: Cell, tile: Cell, _feature: FeatureReading): void {
    this.fold(total, tile);
  }

  /** Position of the oldest tile that the feature's window sees. */
  protected firstInWindow(feature: FeatureReading, t: number): number {
    return this.firstFrom(firstTileSeen(t, this.windowOf(feature), this.hopMs));
  }

  protected departureAt(position: number, feature: FeatureReading): number {
    return departureOf(this.tiles[position] ?? 0, this.windowOf(feature), this.hopMs);
  }

  /** When the next tile that the window sees at `t` leaves it; Infinity if none does. */
  protected departureAfter(feature: FeatureReading, t: number): number {
    const position = this.firstInWindow(feature, t);
    return position === this.tiles.length ? Infinity : this.departureAt(position, feature);
  }

  /** Length of the feature's window, ms; null: lifetime. */
  protected windowOf(feature: FeatureReading): number | null {
    return feature.definition.windowMs;
  }

  /** The tile's cell, made if need be. */
  protected cellAt(tile: number): Cell {
    const position = this.locate(tile);
    if (position >= 0) return this.cells[position] as Cell;
    const cell = this.fresh();
    this.tiles.splice(~position, 0, tile);
    this.cells.splice(~position, 0, cell);
    return cell;
  }

  protected override readTiles(reader: PackedReader): void {
    super.readTiles(reader);
    this.#forgetNewestIfNothingCounts();
  }

  protected cut(count: number): void {
    this.tiles.splice(0, count);
    this.cells.splice(0, count);
  }

  protected writeTile(writer: PackedWriter, position: number, gap: number): void {
    writer.varint(gap);
    this.writeCell(writer, this.cells[position] as Cell);
  }

  protected readTile(reader: PackedReader, next: number): number {
    const tile = next + reader.varint();
    this.cells.push(this.readCell(reader));
    return tile;
  }

  #forgetNewestIfNothingCounts(): void {
    if (!this.cells.some((cell) => this.counts(cell))) this.newestTs = -Infinity;
  }
}
