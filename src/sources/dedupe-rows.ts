import type { Dedupe } from './cleaning.model.js';
import { RowCleaner } from './clean-rows.js';
import type { LoadUnit, UnitMaker } from './group-rows.js';
import type { Mapping } from './mapping.model.js';
import type { SourceRow } from './row.model.js';

/** Cleans rows and leaves out repeated ones before they become units; as it is where the mapping asks for neither. */
export function withCleaning(mapping: Mapping, header: readonly string[] | null, maker: UnitMaker): UnitMaker {
  const { cleaning, dedupe } = mapping;
  if (cleaning.length === 0 && dedupe === null) return maker;
  const cleaner = cleaning.length === 0 ? null : new RowCleaner(mapping, header);
  const window = dedupe === null ? null : createWindow(dedupe, mapping.format === 'csv' ? header : null);
  return new CleaningMaker(maker, cleaner, window);
}

class CleaningMaker implements UnitMaker {
  constructor(
    private readonly maker: UnitMaker,
    private readonly cleaner: RowCleaner | null,
    private readonly window: RowWindow | null,
  ) {}

  get skipped(): number {
    return this.maker.skipped + (this.window?.repeated ?? 0);
  }

  push(row: SourceRow, out: LoadUnit[]): void {
    const cleaned = this.cleaner === null ? row : this.cleaner.clean(row);
    if (this.window === null) this.maker.push(cleaned, out);
    else this.window.push(cleaned, (kept) => { this.maker.push(kept, out); }); // prettier-ignore
  }

  end(out: LoadUnit[]): void {
    this.window?.end((kept) => { this.maker.push(kept, out); }); // prettier-ignore
    this.maker.end(out);
  }
}

/** Hands rows on in their order, but for those that repeat others. Holds `withinRows` rows or keys at most. */
interface RowWindow {
  /** Rows that were left out. */
  readonly repeated: number;
  push(row: SourceRow, handOn: (row: SourceRow) => void): void;
  end(handOn: (row: SourceRow) => void): void;
}

function createWindow({ by, keep, withinRows }: Dedupe, header: readonly string[] | null): RowWindow {
  const places = by.map((column) => header?.indexOf(column) ?? -1);
  // Rows that cannot be read repeat nothing.
  const keyOf = (row: SourceRow): string | null => {
    if (row.fault !== null) return null;
    return JSON.stringify(by.map((column, i) => row.cells?.[places[i] ?? -1] ?? row.record?.[column] ?? null));
  };
  return keep === 'first' ? new FirstRows(keyOf, withinRows) : new LastRows(keyOf, withinRows);
}

class FirstRows implements RowWindow {
  repeated = 0;
  /** Numbers of the rows that had a key last, the lowest first. */
  readonly #last = new Map<string, number>();

  constructor(
    private readonly keyOf: (row: SourceRow) => string | null,
    private readonly withinRows: number,
  ) {}

  push(row: SourceRow, handOn: (row: SourceRow) => void): void {
    for (const [key, number] of this.#last) {
      if (row.number - number <= this.withinRows) break;
      this.#last.delete(key);
    }
    const key = this.keyOf(row);
    const isRepeated = key !== null && this.#last.delete(key);
    if (key !== null) this.#last.set(key, row.number);
    if (isRepeated) this.repeated++;
    else handOn(row);
  }

  end(): void {
    this.#last.clear();
  }
}

class LastRows implements RowWindow {
  repeated = 0;
  /** Rows that may be repeated yet, in their order. */
  readonly #waiting = new Map<string | number, SourceRow>();

  constructor(
    private readonly keyOf: (row: SourceRow) => string | null,
    private readonly withinRows: number,
  ) {}

  push(row: SourceRow, handOn: (row: SourceRow) => void): void {
    for (const [key, waiting] of this.#waiting) {
      if (row.number - waiting.number <= this.withinRows) break;
      this.#waiting.delete(key);
      handOn(waiting);
    }
    const key = this.keyOf(row) ?? row.number;
    if (this.#waiting.delete(key)) this.repeated++;
    this.#waiting.set(key, row);
  }

  end(handOn: (row: SourceRow) => void): void {
    for (const row of this.#waiting.values()) handOn(row);
    this.#waiting.clear();
  }
}
