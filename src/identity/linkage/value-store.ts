import type { LinkageModel, LinkageValue } from './linkage-model.model.js';
import { bytesOf, codePointsOf, unitMask, type Units } from './text-distance.js';

/** Of a missing value. */
export const MISSING = -1;

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
  readonly #masks: number[] = [];

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
      this.#masks[id] = unitMask(units);
    }
    return units;
  }

  /** Which units the text has, roughly: see {@link unitMask}. Those of the text must have been asked for. */
  mask(id: number): number {
    return this.#masks[id] as number;
  }

  #add(key: string, text: string, list: readonly number[] | null): number {
    const id = this.#texts.length;
    this.#ids.set(key, id);
    this.#texts.push(text);
    this.#lists.push(list);
    this.#units.push(undefined);
    this.#masks.push(0);
    return id;
  }
}
