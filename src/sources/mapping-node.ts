import { isMap, isScalar, isSeq } from 'yaml';

import type { JsonValue } from '../events/event.model.js';
import { nearestName } from '../platform/near-names.js';
import { offsetOf, YamlText } from '../platform/yaml-text.js';

export interface MappingProblem {
  /** `line:column`, both from 1. */
  readonly position: string;
  /** Path in the file, such as `time.zone`. */
  readonly path: string;
  readonly message: string;
}

/** A parsed YAML text whose nodes know where they stand, and the problems found in it so far. */
export class MappingText {
  readonly problems: MappingProblem[] = [];
  readonly root: MappingNode;
  readonly #text: YamlText;

  constructor(text: string) {
    this.#text = new YamlText(text);
    for (const { offset, message } of this.#text.faults) this.#add(offset, '', message);
    this.root = new MappingNode(this, this.#text.contents, '', 0);
  }

  /** The whole text as JSON. */
  toJson(): JsonValue {
    return this.#text.toJs() as JsonValue;
  }

  add(node: MappingNode, message: string, offset: number): void {
    this.#add(offset, node.path, message);
  }

  placeOf(raw: unknown, keyOffset: number): number {
    return this.#text.placeOf(raw, keyOffset);
  }

  offsetWithin(raw: unknown, index: number): number {
    return this.#text.offsetWithin(raw, index);
  }

  resolve(raw: unknown): unknown {
    return this.#text.resolve(raw);
  }

  #add(offset: number, path: string, message: string): void {
    const { line, col } = this.#text.position(offset);
    this.problems.push({ position: `${String(line)}:${String(col)}`, path, message });
  }
}

/**
 * One value of the text. Readers return the value, or undefined after they have noted the problem, so that all
 * problems are told at once.
 */
export class MappingNode {
  readonly #raw: unknown;
  /** As it is written: an alias is not followed. */
  readonly #written: unknown;
  readonly #keyOffset: number;

  /** @param keyOffset where its key stands; of an item, where its list does */
  constructor(
    readonly text: MappingText,
    raw: unknown,
    readonly path: string,
    keyOffset: number,
  ) {
    this.#raw = text.resolve(raw);
    this.#written = raw;
    this.#keyOffset = keyOffset;
  }

  problem(message: string): undefined {
    this.text.add(this, message, this.text.placeOf(this.#written, this.#keyOffset));
    return undefined;
  }

  /** Of a character of its text. */
  problemWithin(message: string, index: number): undefined {
    this.text.add(this, message, this.text.offsetWithin(this.#written, index));
    return undefined;
  }

  problemOfKey(message: string): undefined {
    this.text.add(this, message, this.#keyOffset);
    return undefined;
  }

  get isMap(): boolean {
    return isMap(this.#raw);
  }

  get isList(): boolean {
    return isSeq(this.#raw);
  }

  get isText(): boolean {
    return isScalar(this.#raw) && typeof this.#raw.value === 'string';
  }

  /** Fields of a map by name, in their order; undefined where it is none. */
  fields(): Map<string, MappingNode> | undefined {
    if (!isMap(this.#raw)) return this.problem('must be a map');
    const found = new Map<string, MappingNode>();
    for (const pair of this.#raw.items) {
      const name = isScalar(pair.key) ? String(pair.key.value) : '';
      found.set(
        name,
        this.#child(
          pair.value,
          this.path === '' ? name : `${this.path}.${name}`,
          offsetOf(pair.key) ?? this.#keyOffset,
        ),
      );
    }
    return found;
  }

  /** Fields of a map that may hold these names only. */
  knownFields(names: readonly string[]): Map<string, MappingNode> | undefined {
    const found = this.fields();
    for (const [name, node] of found ?? []) {
      if (names.includes(name)) continue;
      const near = nearestName(name, names);
      const hint = near === undefined ? `known are ${names.join(', ')}` : `did you mean "${near}"?`;
      node.problemOfKey(`unknown field; ${hint}`);
    }
    return found;
  }

  items(): MappingNode[] | undefined {
    if (!isSeq(this.#raw)) return this.problem('must be a list');
    return this.#raw.items.map((item, i) => {
      return this.#child(item, `${this.path}[${String(i)}]`, offsetOf(item) ?? this.#keyOffset);
    });
  }

  string(): string | undefined {
    const value = isScalar(this.#raw) ? this.#raw.value : undefined;
    return typeof value === 'string' && value !== '' ? value : this.problem('must be a text');
  }

  strings(): string[] | undefined {
    const found = this.items()?.map((item) => item.string());
    return found?.every((item) => item !== undefined) === true ? found : undefined;
  }

  oneOf<T extends string>(allowed: readonly T[]): T | undefined {
    const value = isScalar(this.#raw) ? this.#raw.value : undefined;
    const found = allowed.find((name) => name === value);
    return found ?? this.problem(`must be one of ${allowed.join(', ')}`);
  }

  integer(least: number, most: number): number | undefined {
    const value = isScalar(this.#raw) ? this.#raw.value : undefined;
    const isValid = typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most;
    return isValid ? value : this.problem(`must be an integer from ${String(least)} to ${String(most)}`);
  }

  number(least: number, most: number): number | undefined {
    const value = isScalar(this.#raw) ? this.#raw.value : undefined;
    const isValid = typeof value === 'number' && value >= least && value <= most;
    return isValid ? value : this.problem(`must be a number from ${String(least)} to ${String(most)}`);
  }

  json(): JsonValue {
    if (isScalar(this.#raw)) return this.#raw.value as JsonValue;
    if (isMap(this.#raw)) {
      return Object.fromEntries([...(this.fields() ?? [])].map(([name, node]) => [name, node.json()]));
    }
    return (this.items() ?? []).map((item) => item.json());
  }

  #child(raw: unknown, path: string, keyOffset: number): MappingNode {
    return new MappingNode(this.text, raw, path, keyOffset);
  }
}
