import { Composer, isAlias, isMap, isScalar, isSeq, Lexer, LineCounter, Parser, type CST, type Node } from 'yaml';

/*
 * YAML 1.2 with bounds, for texts that come from elsewhere.
 *
 *  1. A text that is nested too deep is refused while it is read, token by token: what makes a tree of it is recursive,
 *     and a stack that overflows there can end the process.
 *  2. What aliases repeat is counted before anybody follows them: a few lines can stand for billions of values.
 *  3. Keys are compared by a set; the library compares each key of a map with all of the others.
 *  4. Texts hold what a database can hold.
 */

/** Collections inside one another. */
const MAX_DEPTH = 64;
/** Values that aliases repeat, aliases inside of these followed, too. */
const MAX_REPEATED_VALUES = 100_000;
const HALF_PAIR = /\p{Surrogate}/u;
/** Told at most. */
const MAX_FAULTS = 100;

/** Why a text is not usable. */
export interface YamlFault {
  /** Of the character, from 0. */
  readonly offset: number;
  readonly message: string;
}

interface Anchored {
  readonly node: Node;
  /** Values in it, itself included; null while it is being counted. */
  size: number | null;
}

/** A parsed text. Where there are faults, what it holds is not to be relied on, but may be read without harm. */
export class YamlText {
  /** A node of the tree; null for an empty text, and one that exceeds a bound. */
  readonly contents: unknown;
  readonly faults: readonly YamlFault[];
  readonly #text: string;
  readonly #lines = new LineCounter();
  readonly #targets = new Map<unknown, unknown>();
  readonly #anchors = new Map<string, Anchored>();
  readonly #faults: YamlFault[] = [];
  #repeated = 0;

  constructor(text: string) {
    this.faults = this.#faults;
    this.#text = text;
    const tokens = this.#tokens(text);
    const contents = tokens === null ? null : this.#compose(tokens, text.length);
    this.#count(contents);
    const isBomb = this.#repeated > MAX_REPEATED_VALUES;
    if (isBomb) this.#fault(0, `its aliases repeat more than ${String(MAX_REPEATED_VALUES)} values`);
    this.contents = isBomb ? null : contents;
  }

  /** Line and column, both from 1. */
  position(offset: number): { line: number; col: number } {
    return this.#lines.linePos(offset);
  }

  /** Where what is wrong with a value as a whole is told: at its key, if it is a map or a list that begins on a later line. */
  placeOf(node: unknown, keyOffset: number): number {
    const offset = offsetOf(node) ?? keyOffset;
    const isLater = this.position(offset).line > this.position(keyOffset).line;
    return isLater && (isMap(node) || isSeq(node)) ? keyOffset : offset;
  }

  /** Where a character of a scalar's value stands, however the scalar is written; behind escapes, about where. */
  offsetWithin(node: unknown, index: number): number {
    const start = offsetOf(node) ?? 0;
    if (!isScalar(node) || typeof node.value !== 'string') return start;
    const isBlock = node.type === 'BLOCK_LITERAL' || node.type === 'BLOCK_FOLDED';
    const isQuoted = node.type === 'QUOTE_DOUBLE' || node.type === 'QUOTE_SINGLE';
    const content = isBlock ? this.#text.indexOf('\n', start) + 1 : start + (isQuoted ? 1 : 0);
    // White space is folded and indented; all else of the value comes in its order.
    const char = node.value.charAt(index);
    let [at, next] = [content, content];
    for (const each of node.value.slice(0, index + 1).replace(/\s+/g, '')) {
      const found = this.#text.indexOf(each, next);
      if (found === -1) break;
      [at, next] = [found, found + each.length];
    }
    return char.trim() === '' ? next : at;
  }

  /** What an alias stands for; other nodes as they are. */
  resolve(node: unknown): unknown {
    return isAlias(node) ? this.#targets.get(node) : node;
  }

  /** The values without their places. */
  toJs(node: unknown = this.contents): unknown {
    const found = this.resolve(node);
    if (isScalar(found)) return found.value;
    if (isSeq(found)) return found.items.map((item) => this.toJs(item));
    if (!isMap(found)) return null;
    return Object.fromEntries(found.items.map(({ key, value }) => [this.#nameOf(key), this.toJs(value)]));
  }

  #nameOf(key: unknown): string {
    const found = this.resolve(key);
    return isScalar(found) && found.value !== null ? `${found.value as string | number | boolean}` : '';
  }

  /** Null for a text that is nested too deep. */
  #tokens(text: string): CST.Token[] | null {
    const parser = new Parser(this.#lines.addNewLine);
    const tokens: CST.Token[] = [];
    this.#lines.addNewLine(0);
    for (const lexeme of new Lexer().lex(text)) {
      for (const token of parser.next(lexeme)) tokens.push(token);
      // The document itself and the value that is being read are on the stack, too.
      if (parser.stack.length <= MAX_DEPTH + 2) continue;
      this.#fault(parser.offset, `it is nested deeper than ${String(MAX_DEPTH)} levels`);
      return null;
    }
    return [...tokens, ...parser.end()];
  }

  #compose(tokens: readonly CST.Token[], length: number): unknown {
    const composer = new Composer({ prettyErrors: false, uniqueKeys: false });
    const [first, second] = [...composer.compose(tokens, true, length)];
    for (const { pos, message } of first?.errors ?? []) this.#fault(pos[0], message);
    if (second !== undefined) this.#fault(second.range[0], 'there is more than one document');
    return first?.contents;
  }

  /** Values that the node stands for, itself included. */
  #count(node: unknown): number {
    if (isAlias(node)) return this.#countAlias(node.source, node, node.range?.[0] ?? 0);
    const isNode = isScalar(node) || isMap(node) || isSeq(node);
    const anchored: Anchored | null = isNode && node.anchor !== undefined ? { node, size: null } : null;
    if (anchored?.node.anchor !== undefined) this.#anchors.set(anchored.node.anchor, anchored);
    let size = 1;
    if (isScalar(node) && typeof node.value === 'string') this.#checkCharacters(node.value, offsetOf(node) ?? 0);
    if (isSeq(node)) for (const item of node.items) size += this.#count(item);
    if (isMap(node)) {
      const names = new Set<string>();
      for (const { key, value } of node.items) {
        size += this.#count(key) + this.#count(value);
        const name = this.#nameOf(key);
        if (names.has(name)) this.#fault(offsetOf(key) ?? 0, 'Map keys must be unique');
        names.add(name);
      }
    }
    if (anchored !== null) anchored.size = size;
    return size;
  }

  #countAlias(name: string, alias: unknown, offset: number): number {
    const anchored = this.#anchors.get(name);
    if (anchored?.size == null) {
      this.#fault(
        offset,
        anchored === undefined ? `there is no anchor &${name} above` : `*${name} stands inside &${name}`,
      );
      return 1;
    }
    this.#targets.set(alias, anchored.node);
    this.#repeated += anchored.size;
    return anchored.size;
  }

  /** Escapes can stand for what no text of the database holds. */
  #checkCharacters(value: string, offset: number): void {
    if (value.includes('\0')) this.#fault(offset, 'the character U+0000 cannot be stored');
    else if (HALF_PAIR.test(value)) this.#fault(offset, 'half of a surrogate pair is no character');
  }

  #fault(offset: number, message: string): void {
    if (this.#faults.length < MAX_FAULTS) this.#faults.push({ offset, message });
  }
}

/** Where a node begins; undefined for what has no place of its own. */
export function offsetOf(node: unknown): number | undefined {
  if (typeof node !== 'object' || node === null || !('range' in node) || !Array.isArray(node.range)) return undefined;
  const [start] = node.range as unknown[];
  return typeof start === 'number' ? start : undefined;
}
