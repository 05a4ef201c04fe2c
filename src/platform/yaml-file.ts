import { isMap, isScalar, isSeq } from 'yaml';
import { WeftError } from './errors.js';
import { nearestName } from './near-names.js';
import { offsetOf, YamlText } from './yaml-text.js';

/** Problems told at most; the number of the others is told. */
const MAX_PROBLEMS = 50;

interface Problem {
  readonly where: string;
  readonly what: string;
  readonly hint: string;
}

/** A parsed file whose values know where they stand, and the problems found in it so far. */
export class YamlFile {
  readonly root: YamlValue;
  readonly #file: string;
  readonly #text: YamlText;
  readonly #problems: Problem[] = [];

  /** @param file how messages call it */
  constructor(text: string, file: string) {
    this.#file = file;
    this.#text = new YamlText(text);
    for (const { offset, message } of this.#text.faults) this.problem(offset, message, 'write valid YAML 1.2');
    this.root = new YamlValue(this, this.#text.contents, 0);
  }

  /** All of the file without its places. */
  toJs(): unknown {
    return this.#text.toJs();
  }

  /** A part of the file without its places. */
  jsOf(node: unknown): unknown {
    return this.#text.toJs(node);
  }

  problem(offset: number, what: string, hint: string): void {
    const { line, col } = this.#text.position(offset);
    this.#problems.push({ where: `${this.#file}:${String(line)}:${String(col)}`, what, hint });
  }

  placeOf(node: unknown, keyOffset: number): number {
    return this.#text.placeOf(node, keyOffset);
  }

  resolve(node: unknown): unknown {
    return this.#text.resolve(node);
  }

  /** @throws WeftError DEFINITION_INVALID with all problems; its `where` and `hint` are the first one's */
  throwProblems(): void {
    const [first] = this.#problems;
    if (first === undefined) return;
    const told = this.#problems.slice(0, MAX_PROBLEMS).map(({ where, what, hint }) => `${where}: ${what}; ${hint}`);
    const others = this.#problems.length - told.length;
    if (others > 0) told.push(`and ${String(others)} more`);
    throw new WeftError('DEFINITION_INVALID', told.join('\n'), { where: first.where, hint: first.hint });
  }
}

/** One value of the file. Readers return the value, or undefined after they have noted the problem. */
export class YamlValue {
  readonly offset: number;
  readonly #file: YamlFile;
  readonly #node: unknown;

  /** @param fallback where its key stands; of an item, where the item does, or else its list */
  constructor(file: YamlFile, node: unknown, fallback: number) {
    this.#file = file;
    this.#node = file.resolve(node);
    this.offset = file.placeOf(node, fallback);
  }

  problem(what: string, hint: string): undefined {
    this.#file.problem(this.offset, what, hint);
    return undefined;
  }

  /** The value of a scalar; undefined for lists and maps. */
  get scalar(): unknown {
    return isScalar(this.#node) ? this.#node.value : undefined;
  }

  /** Fields by name; null values are left out. */
  fields(what: string, known: readonly string[]): Map<string, YamlValue> | undefined {
    if (!isMap(this.#node)) return this.problem(`${what} must be a map`, `write ${known.slice(0, 2).join(': …, ')}: …`);
    const fields = new Map<string, YamlValue>();
    for (const { key, value } of this.#node.items) {
      const name = isScalar(key) ? String(key.value) : '';
      const at = offsetOf(key) ?? this.offset;
      if (!known.includes(name)) {
        const near = nearestName(name, known);
        const hint = near === undefined ? `it may have ${known.join(', ')}` : `did you mean "${near}"?`;
        this.#file.problem(at, `${what} has no field "${name}"`, hint);
      } else if (!(isScalar(value) && value.value === null) && value !== null) {
        fields.set(name, new YamlValue(this.#file, value, at));
      }
    }
    return fields;
  }

  /** Names that the file chooses, in its order, with their values, null ones too. */
  entries(what: string): [name: string, value: YamlValue][] | undefined {
    if (!isMap(this.#node)) return this.problem(`${what} must be a map`, 'write a name and what it stands for');
    return this.#node.items.map(({ key, value }) => {
      const name = this.#file.jsOf(key);
      const at = offsetOf(key) ?? this.offset;
      return [typeof name === 'string' ? name : JSON.stringify(name), new YamlValue(this.#file, value, at)];
    });
  }

  /** The value as JSON; null for what is none, as a date. */
  json(): unknown {
    return this.#file.jsOf(this.#node);
  }

  items(what: string): YamlValue[] | undefined {
    if (!isSeq(this.#node))
      return this.problem(`${what} must be a list`, 'write [a, b], or one line with a dash for each');
    return this.#node.items.map((item) => new YamlValue(this.#file, item, offsetOf(item) ?? this.offset));
  }

  text(what: string, maxLength: number): string | undefined {
    const value = this.scalar;
    if (typeof value !== 'string' || value.trim() === '')
      return this.problem(`${what} must be a text`, 'quote it if it looks like a number');
    if (value.length > maxLength)
      return this.problem(`${what} is too long`, `use at most ${String(maxLength)} characters`);
    return value;
  }

  integer(what: string, least: number, most: number): number | undefined {
    const value = this.scalar;
    if (typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most) return value;
    return this.problem(`${what} must be a whole number`, `from ${String(least)} to ${String(most)}`);
  }

  bool(what: string): boolean | undefined {
    const value = this.scalar;
    return typeof value === 'boolean' ? value : this.problem(`${what} must be true or false`, 'write true or false');
  }

  oneOf<T extends string>(what: string, known: readonly T[]): T | undefined {
    const value = this.scalar;
    const found = known.find((name) => name === value);
    if (found !== undefined) return found;
    const near = typeof value === 'string' ? nearestName(value, known) : undefined;
    return this.problem(
      `${what} cannot be ${typeof value === 'string' ? `"${value}"` : 'that'}`,
      near === undefined ? `use one of ${known.join(', ')}` : `did you mean "${near}"?`,
    );
  }
}
