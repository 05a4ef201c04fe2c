import { WeftError } from '../../platform/errors.js';

/**
 * The part of SQL that conditions and blocking rules of linkage models are written in, as a tree. Names of functions
 * and types are in lower case; `at` is the offset in the text.
 */
export type SqlNode =
  | { readonly kind: 'number'; readonly at: number; readonly value: number }
  | { readonly kind: 'text'; readonly at: number; readonly value: string }
  | { readonly kind: 'null'; readonly at: number }
  /** `table` is what stands before the dot of `l.name`; null where there is none. */
  | { readonly kind: 'name'; readonly at: number; readonly table: string | null; readonly name: string }
  /** Functions, and what is written otherwise: operators by their sign, `cast`, `case`, `[]`, `list`, `->`. */
  | { readonly kind: 'call'; readonly at: number; readonly name: string; readonly args: readonly SqlNode[] };

const MAX_LENGTH = 10_000;
const MAX_DEPTH = 100;

type TokenKind = 'number' | 'text' | 'quoted' | 'word' | 'sign' | 'end';

interface Token {
  readonly kind: TokenKind;
  readonly at: number;
  /** Words in lower case; the content of quoted names and texts. */
  readonly text: string;
  /** As it was written. */
  readonly raw: string;
}

const TOKEN =
  /\s+|(?<number>\d+(?:\.\d+)?(?:e[+-]?\d+)?|\.\d+)|'(?<text>(?:[^']|'')*)'|"(?<quoted>(?:[^"]|"")*)"|`(?<tick>[^`]*)`|(?<word>[\p{L}_][\p{L}\p{N}_]*)|(?<sign>->|<=|>=|<>|!=|::|\|\||[-+*/%=<>(),.[\]])/iuy;

function tokensOf(sql: string): Token[] {
  const tokens: Token[] = [];
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < sql.length) {
    const at = TOKEN.lastIndex;
    const match = TOKEN.exec(sql);
    if (match === null) throw refused(sql, at, `"${Array.from(sql.slice(at))[0] ?? ''}" is not understood`);
    const { number, text, quoted, tick, word, sign } = match.groups ?? {};
    if (number !== undefined) tokens.push({ kind: 'number', at, text: number, raw: number });
    else if (text !== undefined) tokens.push({ kind: 'text', at, text: text.replaceAll("''", "'"), raw: text });
    else if (quoted !== undefined) tokens.push({ kind: 'quoted', at, text: quoted.replaceAll('""', '"'), raw: quoted });
    else if (tick !== undefined) tokens.push({ kind: 'quoted', at, text: tick, raw: tick });
    else if (word !== undefined) tokens.push({ kind: 'word', at, text: word.toLowerCase(), raw: word });
    else if (sign !== undefined) tokens.push({ kind: 'sign', at, text: sign === '!=' ? '<>' : sign, raw: sign });
  }
  tokens.push({ kind: 'end', at: sql.length, text: '', raw: 'the end' });
  return tokens;
}

/** @throws WeftError MODEL_INVALID that says where in `sql` */
export function refused(sql: string, at: number, what: string, hint?: string): WeftError {
  const excerpt = sql.length <= 200 ? sql : sql.slice(Math.max(0, at - 60), at + 60);
  return new WeftError('MODEL_INVALID', `${what}, at character ${at + 1} of: ${excerpt.trim()}`, {
    hint: hint ?? 'docs/identity.md lists what conditions may say',
  });
}

/**
 * Parses one expression.
 * @throws WeftError MODEL_INVALID with the position
 */
export function parseSql(sql: string): SqlNode {
  if (sql.length > MAX_LENGTH) throw refused(sql, 0, `it is longer than ${MAX_LENGTH} characters`);
  const parser = new SqlParser(sql);
  return parser.whole();
}

const COMPARISONS: ReadonlySet<string> = new Set(['=', '<>', '<', '<=', '>', '>=']);

class SqlParser {
  readonly #sql: string;
  readonly #tokens: readonly Token[];
  #next = 0;
  #depth = 0;

  constructor(sql: string) {
    this.#sql = sql;
    this.#tokens = tokensOf(sql);
  }

  whole(): SqlNode {
    const node = this.#or();
    if (this.#peek().kind !== 'end') throw this.#unexpected('the end');
    return node;
  }

  #peek(): Token {
    return this.#tokens[this.#next] as Token;
  }

  #take(): Token {
    const token = this.#peek();
    if (token.kind !== 'end') this.#next++;
    return token;
  }

  #takeIf(kind: TokenKind, text: string): Token | undefined {
    const token = this.#peek();
    return token.kind === kind && token.text === text ? this.#take() : undefined;
  }

  #expect(kind: TokenKind, text: string): Token {
    const token = this.#takeIf(kind, text);
    if (token === undefined) throw this.#unexpected(text.toUpperCase());
    return token;
  }

  #unexpected(wanted: string): WeftError {
    const { at, raw } = this.#peek();
    return refused(this.#sql, at, `${wanted} is expected and not "${raw}"`);
  }

  #or(): SqlNode {
    if (++this.#depth > MAX_DEPTH) throw refused(this.#sql, this.#peek().at, 'it is nested too deeply');
    const node = this.#leftToRight(['or'], 'word', () => this.#and());
    this.#depth--;
    return node;
  }

  #and(): SqlNode {
    return this.#leftToRight(['and'], 'word', () => this.#not());
  }

  #not(): SqlNode {
    const token = this.#takeIf('word', 'not');
    if (token === undefined) return this.#comparison();
    return { kind: 'call', at: token.at, name: 'not', args: [this.#not()] };
  }

  #comparison(): SqlNode {
    const left = this.#sum();
    const { kind, text, at } = this.#peek();
    if (kind === 'sign' && COMPARISONS.has(text)) {
      this.#take();
      return { kind: 'call', at, name: text, args: [left, this.#sum()] };
    }
    if (this.#takeIf('word', 'is') === undefined) return left;
    const isNot = this.#takeIf('word', 'not') !== undefined;
    this.#expect('word', 'null');
    return { kind: 'call', at, name: isNot ? 'is not null' : 'is null', args: [left] };
  }

  #sum(): SqlNode {
    return this.#leftToRight(['+', '-', '||'], 'sign', () => this.#product());
  }

  #product(): SqlNode {
    return this.#leftToRight(['*', '/', '%'], 'sign', () => this.#signed());
  }

  #leftToRight(names: readonly string[], kind: TokenKind, operand: () => SqlNode): SqlNode {
    let left = operand();
    for (;;) {
      const token = this.#peek();
      if (token.kind !== kind || !names.includes(token.text)) return left;
      this.#take();
      left = { kind: 'call', at: token.at, name: token.text, args: [left, operand()] };
    }
  }

  #signed(): SqlNode {
    const token = this.#takeIf('sign', '-');
    if (token === undefined) return this.#postfix();
    const operand = this.#signed();
    if (operand.kind === 'number') return { ...operand, at: token.at, value: -operand.value };
    return { kind: 'call', at: token.at, name: 'negative', args: [operand] };
  }

  #postfix(): SqlNode {
    let node = this.#primary();
    for (;;) {
      const { at } = this.#peek();
      if (this.#takeIf('sign', '[') !== undefined) {
        node = { kind: 'call', at, name: '[]', args: [node, this.#or()] };
        this.#expect('sign', ']');
      } else if (this.#takeIf('sign', '::') !== undefined) {
        node = { kind: 'call', at, name: 'cast', args: [node, this.#type()] };
      } else return node;
    }
  }

  #primary(): SqlNode {
    const token = this.#take();
    const { kind, at, text } = token;
    if (kind === 'number') return { kind, at, value: Number(text) };
    if (kind === 'text') return { kind, at, value: text };
    if (kind === 'quoted') return this.#named(token);
    if (kind === 'word') return this.#word(token);
    if (kind === 'sign' && text === '(') {
      const node = this.#or();
      this.#expect('sign', ')');
      return node;
    }
    if (kind === 'sign' && text === '[') return { kind: 'call', at, name: 'list', args: this.#list(']') };
    if (kind !== 'end') this.#next--;
    throw this.#unexpected('a value');
  }

  #word(token: Token): SqlNode {
    const { at, text } = token;
    if (text === 'null') return { kind: 'null', at };
    if (text === 'case') return this.#case(at);
    if (text === 'cast' || text === 'try_cast') return this.#cast(at);
    if (this.#takeIf('sign', '(') !== undefined) return { kind: 'call', at, name: text, args: this.#list(')') };
    if (this.#takeIf('sign', '->') !== undefined) {
      return { kind: 'call', at, name: '->', args: [{ kind: 'name', at, table: null, name: text }, this.#or()] };
    }
    return this.#named(token);
  }

  #named({ at, raw, text, kind }: Token): SqlNode {
    const first = kind === 'quoted' ? text : raw;
    if (this.#takeIf('sign', '.') === undefined) return { kind: 'name', at, table: null, name: first };
    const second = this.#take();
    if (second.kind !== 'quoted' && second.kind !== 'word') {
      this.#next--;
      throw this.#unexpected('a column');
    }
    return { kind: 'name', at, table: first, name: second.kind === 'quoted' ? second.text : second.raw };
  }

  #list(end: string): SqlNode[] {
    const items: SqlNode[] = [];
    if (this.#takeIf('sign', end) !== undefined) return items;
    do items.push(this.#or());
    while (this.#takeIf('sign', ',') !== undefined);
    this.#expect('sign', end);
    return items;
  }

  #cast(at: number): SqlNode {
    this.#expect('sign', '(');
    const node = this.#or();
    this.#expect('word', 'as');
    const type = this.#type();
    this.#expect('sign', ')');
    return { kind: 'call', at, name: 'cast', args: [node, type] };
  }

  #type(): SqlNode {
    const { kind, at, text } = this.#take();
    if (kind !== 'word') throw this.#unexpected('a type');
    return { kind: 'text', at, value: text };
  }

  /** Conditions and values in turn, the value of ELSE last. */
  #case(at: number): SqlNode {
    const args: SqlNode[] = [];
    while (this.#takeIf('word', 'when') !== undefined) {
      args.push(this.#or());
      this.#expect('word', 'then');
      args.push(this.#or());
    }
    if (this.#takeIf('word', 'else') !== undefined) args.push(this.#or());
    this.#expect('word', 'end');
    return { kind: 'call', at, name: 'case', args };
  }
}

/** Whether two trees say the same, wherever they stand. */
export function isSameSql(a: SqlNode, b: SqlNode): boolean {
  if (a.kind === 'call') {
    if (b.kind !== 'call' || a.name !== b.name || a.args.length !== b.args.length) return false;
    return a.args.every((arg, i) => isSameSql(arg, b.args[i] as SqlNode));
  }
  if (a.kind === 'name') return b.kind === 'name' && a.table === b.table && a.name === b.name;
  if (a.kind === 'null') return b.kind === 'null';
  return a.kind === b.kind && a.value === b.value;
}
