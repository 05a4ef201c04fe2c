import type { JsonValue } from '../events/event.model.js';
import { CellTiles } from './cell-tiles.js';
import type { FeatureReading } from './stream-state.js';
import type { FeatureEvent } from './feature.model.js';
import type { CellKind } from './keyed-cells.js';
import { corruptState, type PackedReader, type PackedWriter } from './packed-bytes.js';
import { hashValue } from './value-hash.js';

/** Keys of a tile that are kept exactly. */
export const MAX_TILE_KEYS = 1_000;
/** Cells of all tiles together; the oldest tiles go first. */
const MAX_CELLS = 10_000;
/** UTF-16 units of a key; of a longer one its beginning stands for it, and the tile is approximate. */
const MAX_KEY_LENGTH = 100;
/** Items of a list that one event is counted under. */
const MAX_EVENT_KEYS = 32;

/** The keys of one tile and what is known of each. */
export interface KeyedTile<Cell> {
  readonly cells: Map<string, Cell>;
  /** Keys whose hash is not below it are left out; Infinity: all are here. */
  hashBound: number;
  /** Something in the tile could not be counted: a value that is no number, a key that is too long. */
  hasIgnored: boolean;
  /** The tile and all before it were given up. */
  isLost: boolean;
}

const [CUT, IGNORED, LOST] = [1, 2, 4];
const FLAGS = 8;

/**
 * Partial aggregates by key. Bounded without regard to order:
 *
 *  1. A tile keeps the {@link MAX_TILE_KEYS} keys with the least hashes. A key that is kept in the end was never left
 *     out on the way, since the bound on hashes only falls: what is known of it is complete, and whether a key is
 *     among them follows from the set of keys.
 *  2. Let C(i) be how many cells tiles i and later have. The newest tile with C > {@link MAX_CELLS} and all before it
 *     are *lost*: an empty tile stands for them. C only grows by adding and merging, and is fully known above it.
 */
export abstract class KeyedTiles<Cell> extends CellTiles<KeyedTile<Cell>> {
  readonly kind: CellKind<Cell>;
  #size = 0;
  /** While packing: places of the keys, or the keys by place, in the order in which they come up first. */
  #places = new Map<string, number>();
  #keys: string[] = [];

  constructor(hopMs: number | null, kind: CellKind<Cell>) {
    super(hopMs);
    this.kind = kind;
  }

  protected unpackFrom(reader: PackedReader): this {
    this.readTiles(reader);
    this.#keys = [];
    this.#recount();
    return this;
  }

  override add(tile: number, event: FeatureEvent, value: JsonValue | undefined, by: JsonValue | undefined): boolean {
    const { keys, isCut } = keysOf(by);
    if (keys.length === 0 || this.#isLost(tile)) return false;
    const cell = this.kind.of(event, value);
    if (cell === undefined) return false;
    this.packed = null;
    const keyed = this.cellAt(tile);
    if (cell === null) {
      keyed.hasIgnored = true;
      return true;
    }
    keyed.hasIgnored ||= isCut;
    for (const key of keys) this.#size += put(keyed, key, cell, this.kind);
    if (event.occurredAt > this.newestTs) this.newestTs = event.occurredAt;
    this.#giveUpOldest();
    return true;
  }

  override merge(other: this): void {
    super.merge(other);
    const lost = this.cells.findLastIndex(({ isLost }) => isLost);
    if (lost > 0) this.cut(lost);
    if (lost >= 0) this.cells[0] = lostTile();
    this.#recount();
    this.#giveUpOldest();
  }

  override dropBefore(tile: number): void {
    super.dropBefore(tile);
    this.#recount();
  }

  override write(writer: PackedWriter): void {
    this.#places = new Map();
    super.write(writer);
    this.#places.clear();
  }

  protected fresh(): KeyedTile<Cell> {
    return { cells: new Map(), hashBound: Infinity, hasIgnored: false, isLost: false };
  }

  protected fold(into: KeyedTile<Cell>, from: KeyedTile<Cell>): void {
    into.hasIgnored ||= from.hasIgnored;
    into.isLost ||= from.isLost;
    if (from.hashBound < into.hashBound) bound(into, from.hashBound);
    for (const [key, cell] of from.cells) put(into, key, cell, this.kind);
  }

  /** The tiles that a feature reads may have more keys together than one of them. */
  protected override addUp(total: KeyedTile<Cell>, tile: KeyedTile<Cell>, feature: FeatureReading): void {
    const key = feature.definition.options?.key;
    const lacks = key === undefined ? tile.hashBound !== Infinity : isLeftOut(tile, key);
    total.hasIgnored ||= tile.hasIgnored || tile.isLost || lacks;
    if (key === undefined) {
      for (const [each, cell] of tile.cells) addTo(total.cells, each, cell, this.kind);
      return;
    }
    const cell = tile.cells.get(key);
    if (cell !== undefined) addTo(total.cells, key, cell, this.kind);
  }

  protected counts({ cells }: KeyedTile<Cell>): boolean {
    return cells.size > 0;
  }

  protected writeCell(writer: PackedWriter, tile: KeyedTile<Cell>): void {
    const { cells, hashBound, hasIgnored, isLost } = tile;
    const isCut = hashBound !== Infinity;
    writer.varint(cells.size * FLAGS + (isCut ? CUT : 0) + (hasIgnored ? IGNORED : 0) + (isLost ? LOST : 0));
    if (isCut) writer.hash(hashBound);
    for (const key of [...cells.keys()].sort()) {
      const place = this.#places.get(key);
      writer.varint(place ?? 0);
      if (place === undefined) {
        this.#places.set(key, this.#places.size + 1);
        writer.text(key);
      }
      this.kind.write(writer, cells.get(key) as Cell);
    }
  }

  protected readCell(reader: PackedReader): KeyedTile<Cell> {
    const head = reader.varint();
    const count = Math.floor(head / FLAGS);
    if (count > MAX_TILE_KEYS) throw corruptState('a tile has too many keys', reader.at);
    const hashBound = (head & CUT) === 0 ? Infinity : reader.hash();
    const tile = { ...this.fresh(), hashBound, hasIgnored: (head & IGNORED) !== 0, isLost: (head & LOST) !== 0 };
    for (let i = 0; i < count; i++) {
      const place = reader.varint();
      if (place === 0) this.#keys.push(reader.text());
      const key = this.#keys[place === 0 ? this.#keys.length - 1 : place - 1];
      if (key === undefined) throw corruptState('a key has no text', reader.at);
      tile.cells.set(key, this.kind.read(reader));
    }
    return tile;
  }

  #isLost(tile: number): boolean {
    return this.cells[0]?.isLost === true && tile <= (this.tiles[0] ?? 0);
  }

  #giveUpOldest(): void {
    if (this.#size <= MAX_CELLS) return;
    let size = 0;
    let position = this.cells.length;
    while (position > 0 && size <= MAX_CELLS) size += this.cells[--position]?.cells.size ?? 0;
    this.cut(position);
    this.cells[0] = lostTile();
    this.#recount();
  }

  #recount(): void {
    this.#size = this.cells.reduce((size, { cells }) => size + cells.size, 0);
  }
}

function addTo<Cell>(cells: Map<string, Cell>, key: string, cell: Cell, kind: CellKind<Cell>): void {
  const current = cells.get(key);
  cells.set(key, current === undefined ? cell : kind.add(current, cell));
}

function isLeftOut({ hashBound }: KeyedTile<unknown>, key: string): boolean {
  return hashBound !== Infinity && hashValue(key) >= hashBound;
}

function lostTile<Cell>(): KeyedTile<Cell> {
  return { cells: new Map<string, Cell>(), hashBound: Infinity, hasIgnored: false, isLost: true };
}

/** Adds to the key's cell; by how many the tile's keys have grown. */
function put<Cell>(tile: KeyedTile<Cell>, key: string, cell: Cell, kind: CellKind<Cell>): number {
  const { cells } = tile;
  const current = cells.get(key);
  if (current !== undefined) {
    cells.set(key, kind.add(current, cell));
    return 0;
  }
  if (isLeftOut(tile, key)) return 0;
  const before = cells.size;
  cells.set(key, cell);
  if (cells.size > MAX_TILE_KEYS) bound(tile, Math.max(...[...cells.keys()].map(hashValue)));
  return cells.size - before;
}

function bound<Cell>(tile: KeyedTile<Cell>, hashBound: number): void {
  tile.hashBound = hashBound;
  for (const key of tile.cells.keys()) if (hashValue(key) >= hashBound) tile.cells.delete(key);
}

/**
 * A text, number or truth value is one key; a list of them is each of them, once.
 *
 * @returns isCut: there were more, or longer ones
 */
function keysOf(by: JsonValue | undefined): { readonly keys: readonly string[]; readonly isCut: boolean } {
  const items: readonly JsonValue[] = Array.isArray(by) ? by : by === undefined ? [] : [by];
  const keys = new Set<string>();
  let isCut = items.length > MAX_EVENT_KEYS;
  for (const item of items.slice(0, MAX_EVENT_KEYS)) {
    if (typeof item !== 'string' && typeof item !== 'number' && typeof item !== 'boolean') continue;
    const key = String(item);
    isCut ||= key.length > MAX_KEY_LENGTH;
    keys.add(key.slice(0, MAX_KEY_LENGTH));
  }
  return { keys: [...keys], isCut };
}
