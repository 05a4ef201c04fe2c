import { trimmed } from './insert-at.js';
import { corruptState, type PackedReader, type PackedWriter } from './packed-bytes.js';
import { StreamState } from './stream-state.js';

/** A stream of tiles, each a partial aggregate over one hop. Tiles without events do not exist. */
export abstract class TileStream extends StreamState {
  readonly hopMs: number | null;
  /** Numbers of the tiles, ascending. Subclasses hold their content in arrays beside it. */
  protected tiles: number[] = [];
  /** Time of the newest event that counts. It lies in the last tile that counts, so that any window that counts an event sees it. */
  protected newestTs = -Infinity;

  constructor(hopMs: number | null) {
    super();
    this.hopMs = hopMs;
  }

  get isEmpty(): boolean {
    return this.tiles.length === 0;
  }

  dropBefore(tile: number): void {
    const count = this.firstFrom(tile);
    if (count === 0) return;
    this.packed = null;
    this.cut(count);
    if (this.tiles.length === 0) this.newestTs = -Infinity;
  }

  /** After events were taken out: of the newest one that is left no more is known than the tile that it is in. */
  protected boundNewest(): void {
    const last = this.tiles.at(-1);
    if (last === undefined) this.newestTs = -Infinity;
    else if (this.hopMs !== null) this.newestTs = Math.min(this.newestTs, (last + 1) * this.hopMs - 1);
  }

  /** Removes the oldest `count` tiles and their content. */
  protected abstract cut(count: number): void;
  /** Takes room that nothing needs from the content of all tiles. */
  protected trim(): void {
    // Most content is no array of its own.
  }
  /** @param gap how many tiles are missing before this one */
  protected abstract writeTile(writer: PackedWriter, position: number, gap: number): void;
  /**
   * Appends one tile and its content.
   *
   * @param next number of the tile that follows the one read before; what is read is this one or a newer one
   * @returns number of the tile read
   */
  protected abstract readTile(reader: PackedReader, next: number): number;

  write(writer: PackedWriter): void {
    const tiles = this.tiles;
    const first = tiles[0] ?? 0;
    const last = tiles[tiles.length - 1] ?? 0;
    writer.signed(first);
    writer.signed(Number.isFinite(this.newestTs) ? this.newestTs - last * (this.hopMs ?? 0) : 0);
    let next = first;
    for (let i = 0; i < tiles.length; i++) {
      const tile = tiles[i] ?? 0;
      this.writeTile(writer, i, tile - next);
      next = tile + 1;
    }
  }

  /** Reads what {@link write} wrote into this empty state. */
  protected readTiles(reader: PackedReader): void {
    let next = reader.signed();
    const newestOffsetMs = reader.signed();
    do {
      const tile = this.readTile(reader, next);
      this.tiles.push(tile);
      next = tile + 1;
      if (!Number.isSafeInteger(next)) throw corruptState('a tile is too far ahead', reader.at);
    } while (!reader.done);
    this.tiles = trimmed(this.tiles);
    this.trim();
    this.newestTs = (next - 1) * (this.hopMs ?? 0) + newestOffsetMs;
  }

  /** Position of the tile, or `~position` of where it belongs. Most events belong to the last tile or to a newer one. */
  protected locate(tile: number): number {
    const last = this.tiles.length - 1;
    const lastTile = this.tiles[last];
    if (lastTile === tile) return last;
    if (lastTile === undefined || lastTile < tile) return ~(last + 1);
    const position = this.firstFrom(tile);
    return this.tiles[position] === tile ? position : ~position;
  }

  /** Position of the first tile that is not older than `tile`. */
  protected firstFrom(tile: number): number {
    let low = 0;
    let high = this.tiles.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.tiles[middle] ?? 0) < tile) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
