import { createHash } from 'node:crypto';
import type { HostileRequest, HostileRequests } from './hostile-requests.js';

/** A request by one of the ways that lead to `/graphql`; a path, and a body for a `POST`. */
export interface DoorRequest {
  readonly door: string;
  readonly path: string;
  readonly body: string | null;
  /** As a header; null: none, or in the path. */
  readonly key: string | null;
  readonly isEdge: boolean;
  /** The text that could be executed, where it is of the attacker's own making; null: stored documents only. */
  readonly query: string | null;
}

export interface DoorKeys {
  readonly edge: string;
  readonly read: string;
}

const NASTY_AFTER = [
  '',
  'x',
  '\0',
  '\ud800',
  ...[0, -1, 1, 2 ** 31, 2 ** 53 - 1, -(2 ** 53) + 1, 1e300, 'x', '1\0', null, [], {}].map((value) =>
    Buffer.from(JSON.stringify(['applied.1', value])).toString('base64url'),
  ),
  Buffer.from('["applied.1"]').toString('base64url'),
  Buffer.from('["applied.2",1]').toString('base64url'),
  'A'.repeat(3_000),
];
const NASTY: readonly unknown[] = [
  null,
  0,
  -1,
  1,
  2001,
  2 ** 31,
  1e308,
  0.5,
  true,
  '',
  '\0',
  '\ud800',
  '__proto__',
  'x'.repeat(5_000),
  [],
  [[]],
  {},
  { a: 1 },
  ['__proto__'],
  { toString: 1 },
  '7c05542a-a638-43fd-b185-e15b72e2fa6b',
  '1893456000.AAAA',
  'NaN.x',
  '9'.repeat(400),
];

const hashOf = (text: string): string => createHash('sha256').update(text).digest('hex');

/** What attackers try at each door, from random hostile queries and mutated variables. */
export class HostileDoors {
  constructor(
    private readonly requests: HostileRequests,
    private readonly random: () => number,
    private readonly keys: DoorKeys,
    /** Texts of stored documents. */
    private readonly stored: readonly string[],
  ) {}

  make(): DoorRequest {
    const doors = [
      () => this.#storedByGet(),
      () => this.#storedByGet(),
      () => this.#storedByPost(),
      () => this.#ownTextByEdgeKey(),
      () => this.#automatic(),
      () => this.#textByGet(),
      () => this.#garbledAddress(),
    ];
    return this.#pick(doors)();
  }

  #storedByGet(): DoorRequest {
    const search = new URLSearchParams({ key: this.keys.edge, variables: this.#variablesText() });
    this.#name(search, hashOf(this.#pick(this.stored)));
    const path = `/graphql?${search.toString()}`;
    return { door: 'stored by GET', path, body: null, key: null, isEdge: true, query: null };
  }

  #storedByPost(): DoorRequest {
    const id = hashOf(this.#pick(this.stored));
    const isEdge = this.random() < 0.5;
    const named =
      this.random() < 0.5
        ? `"documentId":"sha256:${id}"`
        : `"extensions":{"persistedQuery":{"version":1,"sha256Hash":"${id}"}}`;
    const body = `{${named},"variables":${this.#variablesText()},"operationName":${JSON.stringify(this.#mostly(null, () => this.#pick(NASTY)))}}`;
    const key = isEdge ? this.keys.edge : this.keys.read;
    return { door: 'stored by POST', path: '/graphql', body, key, isEdge, query: null };
  }

  /** By every way to smuggle a text past the rule that edge keys only ask by stored documents. */
  #ownTextByEdgeKey(): DoorRequest {
    const { query } = this.#hostileQuery();
    const id = this.#pick([hashOf(query), hashOf(this.#pick(this.stored))]);
    const body = JSON.stringify({
      query,
      ...this.#pick<object>([
        {},
        { documentId: `sha256:${id}` },
        { extensions: { persistedQuery: { version: 1, sha256Hash: id } } },
        { documentId: null, extensions: { persistedQuery: null } },
      ]),
      variables: {},
    });
    const search = new URLSearchParams({ key: this.keys.edge, query });
    const isGet = this.random() < 0.4;
    const path = isGet ? `/graphql?${search.toString()}` : '/graphql';
    return {
      door: 'own text',
      path,
      body: isGet ? null : body,
      key: isGet ? null : this.keys.edge,
      isEdge: true,
      query: null,
    };
  }

  /** Now and then one that is right: how many of the hostile ones are answered depends on all that the schema has. */
  #someQuery(): string {
    return this.random() < 0.1 ? '{ segments(first: 1) { edges { node { key } } } }' : this.#hostileQuery().query;
  }

  /** Automatic persisted queries: with the text, and by the hash alone. */
  #automatic(): DoorRequest {
    const query = this.#someQuery();
    const sha256Hash = this.#mostly(hashOf(query), () =>
      this.#pick([hashOf(query).toUpperCase(), hashOf('x'), 'x', 7, null]),
    );
    const text = this.#mostly({ query }, () => this.#pick([{}, { query: '' }]));
    const body = JSON.stringify({
      ...text,
      extensions: { persistedQuery: { version: this.#mostly(1, () => this.#pick([2, '1', null])), sha256Hash } },
    });
    return { door: 'APQ', path: '/graphql', body, key: this.keys.read, isEdge: false, query };
  }

  #textByGet(): DoorRequest {
    const query = this.#someQuery();
    const search = new URLSearchParams({ query, variables: this.#variablesText() });
    return {
      door: 'text by GET',
      path: `/graphql?${search.toString()}`,
      body: null,
      key: this.keys.read,
      isEdge: false,
      query,
    };
  }

  /** Parameters twice, cut, percent-encoded wrongly, of other names. */
  #garbledAddress(): DoorRequest {
    const id = hashOf(this.#pick(this.stored));
    const parts = [
      `key=${this.keys.edge}`,
      `documentId=sha256:${id}`,
      `variables=${encodeURIComponent(this.#variablesText())}`,
    ];
    const odd = [
      '%',
      '%ff%fe',
      'key=',
      'key[]=x',
      '__proto__=1',
      'constructor=1',
      'extensions=%7B',
      'variables=%00',
      '&&',
      'a=b=c',
    ];
    for (let i = Math.floor(this.random() * 3); i >= 0; i -= 1) {
      parts.splice(
        Math.floor(this.random() * parts.length),
        this.random() < 0.3 ? 1 : 0,
        this.#pick([...odd, ...parts]),
      );
    }
    return {
      door: 'garbled address',
      path: `/graphql?${parts.join('&')}`,
      body: null,
      key: null,
      isEdge: true,
      query: null,
    };
  }

  #hostileQuery(): HostileRequest & { readonly query: string } {
    for (;;) {
      const made = this.requests.make();
      // Node takes 16 KB of address and headers.
      if (made.query !== null && made.query.length < 3_000) return { ...made, query: made.query };
    }
  }

  #variablesText(): string {
    if (this.random() < 0.05)
      return this.#pick(['', '{', 'null', '[]', '7', '"x"', '{"a":1}', '{'.repeat(500)]) || 'null';
    const variables: Record<string, unknown> = {
      identifier: this.#mostly({ namespace: 'anonymous_id', value: '7c05542a-a638-43fd-b185-e15b72e2fa6b' }, () => ({
        namespace: this.#pick(['anonymous_id', 'user_id', ...NASTY]),
        value: this.#pick(NASTY),
        signature: this.#pick([...NASTY, `${JSON.stringify(this.#pick(NASTY))}.${JSON.stringify(this.#pick(NASTY))}`]),
      })),
    };
    if (this.random() < 0.3) variables['deadlineMs'] = this.#pick([1, 50, ...NASTY]);
    if (this.random() < 0.4) variables['after'] = this.#pick([...NASTY_AFTER, ...NASTY]);
    if (this.random() < 0.3)
      variables['onMiss'] = this.#pick<unknown>([{ segments: this.#pick(NASTY), traits: this.#pick(NASTY) }, ...NASTY]);
    const text = JSON.stringify(variables);
    return this.random() < 0.1
      ? text.replace('{', '{"__proto__":{"admin":true},"constructor":{"prototype":{"x":1}},')
      : text;
  }

  #name(search: URLSearchParams, id: string): void {
    const form = this.random();
    if (form < 0.5) search.set('documentId', `sha256:${id}`);
    else if (form < 0.8) search.set('extensions', JSON.stringify({ persistedQuery: { version: 1, sha256Hash: id } }));
    else
      search.set(
        'documentId',
        this.#pick([id, `sha256:${id.slice(1)}`, `md5:${id}`, '__proto__', `sha256:${'0'.repeat(64)}`]),
      );
  }

  #mostly<T, U>(usual: T, other: () => U): T | U {
    return this.random() < 0.7 ? usual : other();
  }

  #pick<T>(items: readonly T[]): T {
    return items[Math.floor(this.random() * items.length)] as T;
  }
}
