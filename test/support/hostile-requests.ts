import {
  getNamedType,
  isCompositeType,
  isEnumType,
  isInputObjectType,
  isInterfaceType,
  isListType,
  isNonNullType,
  isObjectType,
  isRequiredArgument,
  isRequiredInputField,
  isUnionType,
  type GraphQLCompositeType,
  type GraphQLField,
  type GraphQLInputType,
  type GraphQLSchema,
} from 'graphql';
import { randomFrom } from './random-log.js';

/** The body of a request as it is sent, and the query in it where there is one. */
export interface HostileRequest {
  readonly kind: string;
  readonly body: Buffer;
  readonly query: string | null;
}

const MAX_INPUT_DEPTH = 2;
const NASTY_TEXTS = [
  '',
  'keen',
  'web',
  'ann',
  '__proto__',
  'constructor',
  '\u0000',
  '\u202e\ud83d\ude00',
  '\ud800',
  "' OR 1=1 --",
  '${7*7}',
  'a'.repeat(3_000),
  '../../etc/passwd',
  '2026-01-31T12:00:00.000Z',
  '9'.repeat(400),
  '01900000-0000-7000-8000-000000000000',
  'WyJjaGFuZ2VzLjEiLDBd',
  '\u{1F468}\u200D\u{1F469}\u200D\u{1F467}',
  '%00%ff',
  'NaN',
];
const NASTY_NUMBERS = [
  '0',
  '-1',
  '1',
  '500',
  '501',
  '2147483647',
  '2147483648',
  '-9007199254740993',
  '1e308',
  '1e999',
  '-0',
  '0.1',
  '9'.repeat(200),
];

/** Requests made to break a server, from its own schema; each is the same for the same seed. */
export class HostileRequests {
  readonly #random: () => number;

  constructor(
    private readonly schema: GraphQLSchema,
    seed: number,
  ) {
    this.#random = randomFrom(seed);
  }

  make(): HostileRequest {
    const kinds: Readonly<Record<string, () => HostileRequest>> = {
      walk: () => this.#query('walk', this.#walk(1 + this.#int(5), 1 + this.#int(6))),
      deep: () => this.#query('deep', this.#deep(5 + this.#int(300))),
      wide: () => this.#query('wide', this.#wide()),
      fragments: () => this.#query('fragments', this.#fragments()),
      directives: () => this.#query('directives', this.#directives()),
      lists: () => this.#query('lists', this.#lists()),
      introspection: () => this.#query('introspection', this.#introspection()),
      malformed: () => this.#malformed(),
      bytes: () => this.#bytes(),
      variables: () => this.#variables(),
      bodies: () => this.#bodies(),
    };
    const names = Object.keys(kinds);
    // Half of them are queries of the schema's own fields with odd arguments: those get furthest.
    const name = this.#random() < 0.5 ? 'walk' : this.#pick(names);
    return kinds[name]?.() ?? this.#bodies();
  }

  // --- documents ----------------------------------------------------------------------------------------------------

  #walk(depth: number, width: number): string {
    const kind = this.#random() < 0.75 ? 'query' : 'mutation';
    const root = kind === 'query' ? this.schema.getQueryType() : this.schema.getMutationType();
    return root ? `${kind} ${this.#selection(root, depth, width)}` : '{ __typename }';
  }

  #selection(type: GraphQLCompositeType, depth: number, width: number): string {
    if (isUnionType(type)) {
      const parts = type.getTypes().map((part) => `... on ${part.name} ${this.#selection(part, depth, width)}`);
      return `{ __typename ${parts.join(' ')} }`;
    }
    const fields = Object.values(type.getFields());
    const chosen = Array.from({ length: 1 + this.#int(width) }, (_, i) => {
      const field = this.#pick(fields);
      const below = getNamedType(field.type);
      if (isCompositeType(below) && depth <= 0) return '__typename';
      const call = `${this.#random() < 0.4 ? `a${i}_${this.#int(9)}: ` : ''}${this.#call(field)}`;
      return isCompositeType(below) ? `${call} ${this.#selection(below, depth - 1, width)}` : call;
    });
    return `{ ${chosen.join(' ')} }`;
  }

  #call(field: GraphQLField<unknown, unknown>): string {
    const args = field.args.filter((arg) => isRequiredArgument(arg) || this.#random() < 0.4);
    const given = args.map((arg) => `${arg.name}: ${this.#literal(arg.type)}`);
    return given.length === 0 ? field.name : `${field.name}(${given.join(', ')})`;
  }

  /** Mostly of the right kind: what is of the wrong one gets no further than validation. */
  #literal(type: GraphQLInputType, depth = 0): string {
    if (this.#random() < 0.02)
      return this.#pick(['null', '{}', '[]', 'ENUM', '"x"', '1', 'true', '$undeclared', '[[[[1]]]]']);
    if (isNonNullType(type)) return this.#literal(type.ofType, depth);
    if (isListType(type)) {
      return `[${Array.from({ length: this.#int(4) }, () => this.#literal(type.ofType, depth + 1)).join(', ')}]`;
    }
    if (isEnumType(type)) return this.#pick(type.getValues()).name;
    if (isInputObjectType(type)) {
      // Inputs that hold their own kind, as conditions do, would go on for ever.
      const odds = depth < MAX_INPUT_DEPTH ? 0.5 : 0;
      const fields = Object.values(type.getFields()).filter((f) => isRequiredInputField(f) || this.#random() < odds);
      return `{ ${fields.map((field) => `${field.name}: ${this.#literal(field.type, depth + 1)}`).join(', ')} }`;
    }
    if (type.name === 'Int') return this.#pick(['0', '1', '2', '50', '500', '501', '-1', '2147483647']);
    if (type.name === 'Float') return this.#pick(NASTY_NUMBERS.slice(0, 10));
    if (type.name === 'Boolean') return this.#pick(['true', 'false']);
    if (type.name === 'JSON')
      return this.#pick(['{}', '[]', 'null', '{ __proto__: { a: 1 } }', '"x"', '1e308', '[[[[[[[[[[1]]]]]]]]]]']);
    return JSON.stringify(this.#pick(NASTY_TEXTS));
  }

  #deep(levels: number): string {
    const around = [
      ['profiles(first: 1) { edges { node { segments { segment {', '}}}}}'],
      ['segments(first: 500) { edges { node { members(first: 500) { edges { node { segments { segment {', '}}}}}}}}'],
    ] as const;
    const loop = ['members(first: 2) { edges { node { segments { segment {', '}}}}}'] as const;
    const [open, close] = this.#pick(around);
    const count = Math.floor(levels / 5);
    return `{ ${open} ${loop[0].repeat(count)} key ${loop[1].repeat(count)} ${close} }`;
  }

  #wide(): string {
    const count = 10 + this.#int(800);
    const field = this.#pick([
      '__typename',
      'statistics { profiles }',
      'segments(first: 500) { edges { node { key } } }',
      'profiles(first: 500) { edges { node { id traits } } }',
    ]);
    return `{ ${Array.from({ length: count }, (_, i) => `a${i}: ${field}`).join(' ')} }`;
  }

  #fragments(): string {
    const count = 1 + this.#int(60);
    const names = Array.from({ length: count }, (_, i) => `F${i}`);
    const isCycle = this.#random() < 0.3;
    const definitions = names.map((name, i) => {
      const next = names[i + 1] ?? (isCycle ? 'F0' : null);
      const spread = next === null ? 'key' : `...${next} `.repeat(1 + this.#int(3));
      return `fragment ${name} on Segment { name ${spread} }`;
    });
    return `{ segment(key: "keen") { ...F0 } } ${definitions.join(' ')}`;
  }

  #directives(): string {
    const directive = this.#pick([
      '@include(if: true)',
      '@skip(if: false)',
      '@nothing',
      '@deprecated',
      '@include',
      '@include(if: $x)',
    ]);
    return `query ($x: Boolean = true) { segment(key: "keen") { key ${directive.repeat(1 + this.#int(1_000))} } }`;
  }

  #lists(): string {
    const item = this.#pick(['{ namespace: "user_id", value: "ann" }', '{}', 'null', '1', '[[[]]]']);
    const count = this.#pick([1, 20, 60, 501]);
    return `{ onlineFeatures(entities: [${Array.from({ length: count }, () => item).join(',')}]) { features { ${'value '.repeat(1 + this.#int(3))} } } }`;
  }

  #introspection(): string {
    const levels = this.#int(40);
    const type = `type { fields { `.repeat(levels);
    return `{ __schema { types { fields { ${type} name ${'} }'.repeat(levels)} } } ${'a: __typename '.repeat(this.#int(3))} } }`;
  }

  // --- bodies -------------------------------------------------------------------------------------------------------

  #query(kind: string, query: string, variables?: unknown): HostileRequest {
    return { kind, query, body: Buffer.from(JSON.stringify({ query, variables })) };
  }

  #malformed(): HostileRequest {
    const text = Array.from(this.#walk(3, 4));
    for (let i = 1 + this.#int(6); i > 0; i--) {
      const place = this.#int(text.length);
      const change = this.#random();
      if (change < 0.4) text.splice(place, 1 + this.#int(5));
      else
        text.splice(
          place,
          change < 0.7 ? 1 : 0,
          this.#pick(['{', '}', '(', ')', '"', '"""', '$', '@', '...', '\u0000', '\ufeff', '#', '\ud83d', '&', '|']),
        );
    }
    return this.#query('malformed', text.join(''));
  }

  #bytes(): HostileRequest {
    const body = Buffer.from(JSON.stringify({ query: this.#walk(2, 3) }));
    for (let i = 1 + this.#int(8); i > 0; i--) body[this.#int(body.length)] = this.#int(256);
    return { kind: 'bytes', query: null, body };
  }

  #variables(): HostileRequest {
    const query = `query ($first: Int! $names: [String!] $id: IdentifierInput) {
      profiles(first: $first) { edges { node { features(names: $names) { name } } } } profile(identifier: $id) { id } }`;
    const value = (): unknown =>
      this.#pick<unknown>([
        null,
        0,
        1,
        -1,
        501,
        1e21,
        1.5,
        true,
        '',
        '1',
        [],
        [1],
        {},
        { a: 1 },
        NASTY_TEXTS,
        this.#nested(200),
      ]);
    const variables = JSON.stringify({ first: value(), names: value(), id: { namespace: value(), value: value() } });
    const polluted = variables.replace(
      '{',
      `{"__proto__":{"first":1,"admin":true},"constructor":{"prototype":{"x":1}},`,
    );
    const body = `{"query":${JSON.stringify(query)},"variables":${this.#random() < 0.5 ? variables : polluted}}`;
    return { kind: 'variables', query: null, body: Buffer.from(body) };
  }

  #nested(levels: number): unknown {
    let value: unknown = 1;
    for (let i = 0; i < levels; i++) value = this.#random() < 0.5 ? [value] : { a: value };
    return value;
  }

  #bodies(): HostileRequest {
    const body = this.#pick([
      '',
      'null',
      '[]',
      '7',
      '"{ __typename }"',
      '{}',
      '{"query":null}',
      '{"query":7}',
      '{"query":{"a":1}}',
      '{"query":"{ __typename }","query":"mutation { archiveSegment(key: \\"keen\\") { __typename } }"}',
      '{"query":"{ __typename }","operationName":["a"]}',
      '{"query":"{ __typename }","variables":[1]}',
      '{"query":"{ __typename }","extensions":"x"}',
      '{"query":"{ __typename }","extensions":{"persistedQuery":{"version":1,"sha256Hash":"x"}}}',
      '{"query":"{ __typename }","extensions":{"persistedQuery":{"version":99}}}',
      `[${'{"query":"{ __typename }"},'.repeat(50)}{}]`,
      `${'['.repeat(20_000)}${']'.repeat(20_000)}`,
      `{"query":"{ __typename }","variables":${'{"a":'.repeat(5_000)}1${'}'.repeat(5_000)}}`,
      '\ufeff{"query":"{ __typename }"}',
      '{"query":"{ __typename }"}}',
    ]);
    return { kind: 'bodies', query: null, body: Buffer.from(body) };
  }

  #int(below: number): number {
    return Math.floor(this.#random() * below);
  }

  #pick<T>(items: readonly T[]): T {
    return items[this.#int(items.length)] as T;
  }
}

/** Whether it is of a type that has fields; for the measure of what a document asks for. */
export function fieldsOf(type: unknown): Readonly<Record<string, GraphQLField<unknown, unknown>>> {
  return isObjectType(type) || isInterfaceType(type) ? type.getFields() : {};
}
