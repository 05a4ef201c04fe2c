import type { LinkageModel, LinkageValue } from './linkage-model.model.js';
import {
  bytesOf,
  codePointsOf,
  lengthIn,
  mostCommon,
  PROFILE_LENGTH,
  writeProfile,
  type Units,
} from './text-distance.js';

/** Of a missing value. */
export const MISSING = -1;

const FIRST_CAPACITY = 16;

/**
 * Every distinct value once, under a number: equal values have equal numbers, so that equality is one comparison and
 * what is worked out of a value is worked out once.
 */
export class ValueStore {
  readonly #unitsOf: (text: string) => Units;
  readonly #ids = new Map<string, number>();
  readonly #texts: string[] = [];
  readonly #lists: (readonly number[] | null)[] = [];
  readonly #units: (Units | undefined)[] = [];
  #profiles = new Int32Array(PROFILE_LENGTH * FIRST_CAPACITY);

  constructor(textUnits: LinkageModel['textUnits']) {
    this.#unitsOf = textUnits === 'bytes' ? bytesOf : codePointsOf;
  }

  get size(): number {
    return this.#texts.length;
  }

  intern(value: LinkageValue | undefined): number {
    if (value === null || value === undefined) return MISSING;
    return typeof value === 'string' ? this.internText(value) : this.internList(value);
  }

  internText(text: string): number {
    const found = this.#ids.get(text);
    return found ?? this.#add(text, text, null);
  }

  /** A list is the set of its items; without items it is missing. */
  internList(items: readonly string[]): number {
    const distinct = [...new Set(items)].sort();
    if (distinct.length === 0) return MISSING;
    // No text begins so: values come out of files and JSON, where U+0000 marks nothing.
    const key = `\u0000${JSON.stringify(distinct)}`;
    const found = this.#ids.get(key);
    if (found !== undefined) return found;
    const list = distinct.map((item) => this.internText(item));
    return this.#add(key, distinct.join(' '), list);
  }

  /** The text; of a list its items with spaces between. */
  text(id: number): string {
    return this.#texts[id] as string;
  }

  /** Items of a list; null of a text. */
  list(id: number): readonly number[] | null {
    return this.#lists[id] ?? null;
  }

  /** What the text is compared by. */
  units(id: number): Units {
    let units = this.#units[id];
    if (units === undefined) {
      units = this.#unitsOf(this.text(id));
      this.#units[id] = units;
      writeProfile(units, this.#profiles, PROFILE_LENGTH * id);
    }
    return units;
  }

  /** How many units the text has. */
  length(id: number): number {
    const known = lengthIn(this.#profiles, PROFILE_LENGTH * id);
    return known >= 0 ? known : this.units(id).length;
  }

  /** How many units two texts have in common at most, which touches neither. Their lengths must have been asked for. */
  mostCommon(a: number, b: number): number {
    return mostCommon(this.#profiles, PROFILE_LENGTH * a, PROFILE_LENGTH * b);
  }

  #add(key: string, text: string, list: readonly number[] | null): number {
    const id = this.#texts.length;
    this.#ids.set(key, id);
    this.#texts.push(text);
    this.#lists.push(list);
    this.#units.push(undefined);
    if (this.#profiles.length < PROFILE_LENGTH * this.#texts.length) {
      const grown = new Int32Array(2 * this.#profiles.length);
      grown.set(this.#profiles);
      this.#profiles = grown;
    }
    return id;
  }
}
