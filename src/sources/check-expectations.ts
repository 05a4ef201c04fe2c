import type { JsonValue } from '../events/event.model.js';
import type { LoadUnit } from './group-rows.js';
import type { LoadExpectation, LoadExpectationKind, LoadFinding } from './load-expectation.model.js';
import type { SourceRow } from './row.model.js';

/** Rows that are named, of each expectation. */
const MAX_EXAMPLES = 5;
/** Different values that are told apart, of each expectation; enough for any bound that may be given. */
export const MAX_DISTINCT = 50_000;
const MAX_DISTINCT_LENGTH = 200;

/** Holds the events of a file against what is expected of them. Memory is bounded, whatever the size of the file. */
export class ExpectationCheck {
  readonly #tallies: readonly Tally[];
  readonly #isFormer: (row: SourceRow) => boolean;
  #hasFormer = false;

  /** @param isFormer whether a row is one that was refused in another file; default: of none */
  constructor(expectations: readonly LoadExpectation[], isFormer: (row: SourceRow) => boolean = () => false) {
    this.#tallies = expectations.map((expectation) => new Tally(expectation));
    this.#isFormer = isFormer;
  }

  /** Rows that were refused do not count. */
  add({ event, row }: LoadUnit): void {
    this.#hasFormer ||= this.#isFormer(row);
    if (event === null) return;
    const { number } = row;
    for (const tally of this.#tallies) {
      if (tally.isAbout(event.name)) tally.add(tally.valueOf(event as unknown as JsonValue), number);
    }
  }

  /**
   * What is not met, in the order of the expectations. Mended rows are a part of the file that they were refused in.
   * @param isWhole false: of a part of the file, of which no share and no least number of events or values is told
   */
  findings(isWhole: boolean): LoadFinding[] {
    return this.#tallies.flatMap((tally) => tally.findings(isWhole && !this.#hasFormer));
  }
}

interface Blamed {
  count: number;
  readonly rows: number[];
}

class Tally {
  readonly #expected: LoadExpectation;
  #events = 0;
  #least = Infinity;
  #greatest = -Infinity;
  readonly #less: Blamed = { count: 0, rows: [] };
  readonly #greater: Blamed = { count: 0, rows: [] };
  readonly #missing: Blamed = { count: 0, rows: [] };
  readonly #others: Blamed = { count: 0, rows: [] };
  readonly #distinct = new Set<string>();

  constructor(expected: LoadExpectation) {
    this.#expected = expected;
  }

  isAbout(name: string | undefined): boolean {
    return this.#expected.event === null || this.#expected.event === name;
  }

  /** Undefined: it is about the number of events. */
  valueOf(event: JsonValue): JsonValue | undefined {
    const { path } = this.#expected;
    if (path === null) return undefined;
    let found: JsonValue | undefined = event;
    for (const part of path) {
      const isMap: boolean = typeof found === 'object' && found !== null && !Array.isArray(found);
      found = isMap && Object.hasOwn(found as object, part) ? (found as Record<string, JsonValue>)[part] : undefined;
    }
    return found ?? null;
  }

  add(value: JsonValue | undefined, row: number): void {
    this.#events++;
    if (value === undefined) return;
    if (value === null || value === '') {
      blame(this.#missing, row);
      return;
    }
    const { min, max, oneOf, distinctMin } = this.#expected;
    const number = numberOf(value);
    if (number !== null) {
      this.#least = Math.min(this.#least, number);
      this.#greatest = Math.max(this.#greatest, number);
      if (min !== null && number < min) blame(this.#less, row);
      if (max !== null && number > max) blame(this.#greater, row);
    }
    if (oneOf !== null && !oneOf.has(value)) blame(this.#others, row);
    if (distinctMin !== null && this.#distinct.size < MAX_DISTINCT) this.#distinct.add(textOf(value));
  }

  findings(isWhole: boolean): LoadFinding[] {
    const { name, path, min, max, nullShare, distinctMin, oneOf, otherwise } = this.#expected;
    const found: LoadFinding[] = [];
    const tell = (kind: LoadExpectationKind, value: number, bound: number, blamed: Blamed | null): void => {
      found.push({ name, kind, value, bound, events: blamed?.count ?? null, rows: blamed?.rows ?? [], otherwise });
    };
    if (path === null) {
      if (isWhole && min !== null && this.#events < min) tell('min', this.#events, min, null);
      if (max !== null && this.#events > max) tell('max', this.#events, max, null);
      return found;
    }
    if (min !== null && this.#less.count > 0) tell('min', this.#least, min, this.#less);
    if (max !== null && this.#greater.count > 0) tell('max', this.#greatest, max, this.#greater);
    const share = this.#events === 0 ? 0 : this.#missing.count / this.#events;
    if (isWhole && nullShare !== null && share > nullShare) tell('null_share', share, nullShare, this.#missing);
    if (isWhole && distinctMin !== null && this.#distinct.size < distinctMin) {
      tell('distinct_min', this.#distinct.size, distinctMin, null);
    }
    if (oneOf !== null && this.#others.count > 0) tell('one_of', this.#others.count, 0, this.#others);
    return found;
  }
}

function blame(blamed: Blamed, row: number): void {
  blamed.count++;
  if (blamed.rows.length < MAX_EXAMPLES) blamed.rows.push(row);
}

/** Of lists and maps how many items they have; null: it is no number. */
function numberOf(value: JsonValue): number | null {
  if (typeof value === 'number') return value;
  if (typeof value !== 'object' || value === null) return null;
  return Array.isArray(value) ? value.length : Object.keys(value).length;
}

function textOf(value: JsonValue): string {
  return (typeof value === 'string' ? value : JSON.stringify(value)).slice(0, MAX_DISTINCT_LENGTH);
}
