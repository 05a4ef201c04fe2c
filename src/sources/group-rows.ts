import type { IncomingEvent, JsonObject, JsonValue } from '../events/event.model.js';
import { RowRefusal, roundToMicro, type RowMapper } from './compile-mapping.js';
import type { FieldValue, Grouping, Mapping, NamedValue } from './mapping.model.js';
import type { SourceRow } from './row.model.js';

/** An event made of rows, or rows that became none. */
export interface LoadUnit {
  readonly event: IncomingEvent | null;
  /** Set where there is no event. */
  readonly refusal: RowRefusal | null;
  /** The row that a dead letter names; of a group the first, or the first faulty one. No two units have the same. */
  readonly row: SourceRow;
  /** Rows that it is made of. */
  readonly rows: number;
}

/** Turns rows to units, in an order that is a function of the rows and the mapping alone: every run gives the same. */
export interface UnitMaker {
  /** Rows that `when` left out. */
  readonly skipped: number;
  push(row: SourceRow, out: LoadUnit[]): void;
  end(out: LoadUnit[]): void;
}

export function createUnitMaker(mapping: Mapping, mapper: RowMapper): UnitMaker {
  return mapping.group === null ? new SingleRows(mapper) : new GroupedRows(mapping, mapping.group, mapper);
}

/** One row, one event. */
class SingleRows implements UnitMaker {
  skipped = 0;

  constructor(private readonly mapper: RowMapper) {}

  push(row: SourceRow, out: LoadUnit[]): void {
    const unit = { row, rows: 1 };
    try {
      if (row.fault !== null) throw new RowRefusal(row.fault.code, row.fault.reason);
      if (!this.mapper.isWanted(row)) {
        this.skipped++;
        return;
      }
      if (row.invalid !== undefined) throw new RowRefusal(row.invalid.code, row.invalid.reason);
      this.mapper.enter(row);
      out.push({ ...unit, event: this.mapper.event(row), refusal: null });
    } catch (error) {
      if (!(error instanceof RowRefusal)) throw error;
      out.push({ ...unit, event: null, refusal: error });
    }
  }

  end(): void {
    // Nothing is held between rows.
  }
}

/** Lines that all open groups hold together, at most. Reached, the group that has waited longest is closed. */
const MAX_OPEN_LINES = 200_000;
/** Closed groups that are remembered at least; of an older one, a late row looks like a duplicate of its event. */
const MIN_REMEMBERED = 1_000_000;
/** How often open groups are looked through, in rows. By row number, so that it is the same in every run. */
const CLOSE_EVERY_ROWS = 256;

interface OpenGroup {
  readonly key: string;
  readonly first: SourceRow;
  readonly event: IncomingEvent | null;
  readonly lines: JsonValue[];
  readonly totals: number[];
  lastRow: number;
  rows: number;
  /** The first fault; the group is refused as one, because a sum over some of its lines would be wrong. */
  fault: { readonly row: SourceRow; readonly refusal: RowRefusal } | null;
}

/**
 * Rows with the same group key make one event. They need not follow each other: a group closes when `withinRows` rows
 * have passed since its last one. A row that comes later still is refused (GROUP_SPLIT), for its event is out already.
 *
 * 1. Memory is bounded: by `withinRows` groups, MAX_OPEN_LINES lines, and the remembered keys.
 * 2. Column values, time and identifiers are those of the group's first row; sums, counts and lines are over all.
 * 3. One faulty row refuses its group. Each unit names a row of its own group, so units and rows stay one to one.
 */
class GroupedRows implements UnitMaker {
  skipped = 0;
  /** By the row seen last, the longest ago first. */
  readonly #open = new Map<string, OpenGroup>();
  readonly #closed = new RecentKeys(MIN_REMEMBERED);
  readonly #aggregates: readonly NamedValue<FieldValue & { kind: 'sum' | 'count' }>[];
  #openLines = 0;
  #newest: OpenGroup | null = null;

  constructor(
    mapping: Mapping,
    private readonly grouping: Grouping,
    private readonly mapper: RowMapper,
  ) {
    this.#aggregates = mapping.properties.flatMap(({ name, value }) =>
      value.kind === 'sum' || value.kind === 'count' ? [{ name, value }] : [],
    );
  }

  push(row: SourceRow, out: LoadUnit[]): void {
    if (row.number % CLOSE_EVERY_ROWS === 0) this.#closeOld(row.number, out);
    let group: OpenGroup | undefined;
    try {
      if (row.fault !== null) throw new RowRefusal(row.fault.code, row.fault.reason);
      if (!this.mapper.isWanted(row)) {
        this.skipped++;
        return;
      }
      const key = this.mapper.groupKey(row);
      group = this.#open.get(key);
      if (group === undefined && this.#closed.has(key)) {
        const rows = String(this.grouping.withinRows);
        throw new RowRefusal('GROUP_SPLIT', `its group was complete: no row of it in ${rows} rows; sort the file`);
      }
      group = this.#touch(group, key, row);
      if (row.invalid !== undefined) throw new RowRefusal(row.invalid.code, row.invalid.reason);
      if (group.fault === null) this.#addLine(group, row);
    } catch (error) {
      if (!(error instanceof RowRefusal)) throw error;
      if (group === undefined) out.push({ event: null, refusal: error, row, rows: 1 });
      else group.fault ??= { row, refusal: error };
    }
    while (this.#openLines > MAX_OPEN_LINES) this.#closeFirst(out);
  }

  end(out: LoadUnit[]): void {
    while (this.#open.size > 0) this.#closeFirst(out);
  }

  #touch(found: OpenGroup | undefined, key: string, row: SourceRow): OpenGroup {
    const group = found ?? this.#openGroup(key, row);
    group.lastRow = row.number;
    group.rows++;
    if (this.#newest !== group) {
      this.#open.delete(key);
      this.#open.set(key, group);
      this.#newest = group;
    }
    return group;
  }

  #openGroup(key: string, row: SourceRow): OpenGroup {
    let event: IncomingEvent | null = null;
    let fault: OpenGroup['fault'] = null;
    try {
      this.mapper.enter(row);
      event = this.mapper.event(row);
    } catch (error) {
      if (!(error instanceof RowRefusal)) throw error;
      fault = { row, refusal: error };
    }
    const totals = this.#aggregates.map(() => 0);
    return { key, first: row, event, lines: [], totals, lastRow: row.number, rows: 0, fault };
  }

  #addLine(group: OpenGroup, row: SourceRow): void {
    this.mapper.enter(row);
    for (const [i, { value }] of this.#aggregates.entries()) {
      if (value.kind === 'count') {
        if (value.condition === null || this.mapper.evaluate(value.condition) === true) addTo(group.totals, i, 1);
      } else {
        const summand = Number(this.mapper.evaluate(value.expression));
        if (!Number.isFinite(summand)) throw new RowRefusal('BAD_EXPRESSION', 'a summand is not a number');
        addTo(group.totals, i, summand);
      }
    }
    const { lines } = this.grouping;
    if (lines !== null && group.lines.length < lines.most) {
      group.lines.push(this.mapper.line(row));
      this.#openLines++;
    }
  }

  #closeOld(rowNumber: number, out: LoadUnit[]): void {
    for (const group of this.#open.values()) {
      if (rowNumber - group.lastRow <= this.grouping.withinRows) return;
      this.#close(group, out);
    }
  }

  #closeFirst(out: LoadUnit[]): void {
    for (const group of this.#open.values()) {
      this.#close(group, out);
      return;
    }
  }

  #close(group: OpenGroup, out: LoadUnit[]): void {
    this.#open.delete(group.key);
    if (this.#newest === group) this.#newest = null;
    this.#closed.add(group.key);
    this.#openLines -= group.lines.length;
    const { first, rows, fault, event } = group;
    if (fault === null && event !== null) {
      const properties = this.#propertiesOf(group, event.properties ?? {});
      out.push({ event: { ...event, properties }, refusal: null, row: first, rows });
      return;
    }
    const code = fault?.refusal.code ?? 'ROW_MALFORMED';
    const suffix =
      rows === 1 ? '' : ` (with it its whole group of ${String(rows)} rows, from row ${String(first.number)})`;
    const refusal = new RowRefusal(code, `${fault?.refusal.reason ?? ''}${suffix}`);
    out.push({ event: null, refusal, row: fault?.row ?? first, rows });
  }

  #propertiesOf(group: OpenGroup, ofFirstRow: JsonObject): JsonObject {
    const properties: JsonObject = { ...ofFirstRow };
    for (const [i, { name }] of this.#aggregates.entries()) {
      properties[name] = roundToMicro(group.totals[i] ?? 0);
    }
    const { lines } = this.grouping;
    if (lines === null) return properties;
    properties[lines.path] = group.lines;
    const omitted = group.rows - group.lines.length;
    if (omitted > 0) properties[`${lines.path}_omitted`] = omitted;
    return properties;
  }
}

function addTo(totals: number[], index: number, summand: number): void {
  totals[index] = (totals[index] ?? 0) + summand;
}

/** Remembers between `least` and twice `least` keys, the newest. Kept as 53-bit hashes: 1 false alarm in 10^9 or so. */
class RecentKeys {
  #young = new Set<number>();
  #old = new Set<number>();

  constructor(private readonly least: number) {}

  has(key: string): boolean {
    const hashed = hash53(key);
    return this.#young.has(hashed) || this.#old.has(hashed);
  }

  add(key: string): void {
    if (this.#young.size >= this.least) {
      this.#old = this.#young;
      this.#young = new Set();
    }
    this.#young.add(hash53(key));
  }
}

/** Two FNV-1a hashes of 32 bits with different offsets and a final mix, 53 bits of them. */
function hash53(text: string): number {
  let low = 0x811c9dc5;
  let high = 0x2f0b4c47;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    low = Math.imul(low ^ unit, 0x01000193);
    high = Math.imul(high ^ unit, 0x5bd1e995);
  }
  low ^= low >>> 15;
  high = Math.imul(high ^ (high >>> 13), 0x85ebca6b);
  return (high >>> 11) * 0x100000000 + (low >>> 0);
}
