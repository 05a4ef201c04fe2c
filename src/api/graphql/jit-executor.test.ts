import { buildSchema, execute, getOperationAST, GraphQLScalarType, parse, type GraphQLSchema } from 'graphql';
import { compileQuery } from 'graphql-jit';
import { describe, expect, it, vi } from 'vitest';
import { WeftError } from '../../platform/errors.js';
import type { ApiContext } from './api-context.js';
import { JitExecutor } from './jit-executor.js';
import { WarmQueries } from './warm-queries.js';

vi.mock('graphql-jit', { spy: true });

interface Calls {
  count: number;
}

function aSchema(calls: Calls): GraphQLSchema {
  const schema = buildSchema(`
    scalar Shout
    input Tree { name: String = "ash" branches: [Branch!] }
    input Branch { trees: [Tree!]! }
    interface Named { name: String! }
    type Cat implements Named { name: String! lives: Int }
    type Dog implements Named { name: String! barks: Boolean }
    union Pet = Cat | Dog
    type Query { pets(first: Int! = 2): [Pet!]! named: [Named!] fails(hard: Boolean): String! maybe: String shout(text: Shout): Shout grow(tree: Tree): Shout }
    type Mutation { count: Int! fail: Int }
  `);
  const pets = [
    { __typename: 'Cat', name: 'Tom', lives: 9 },
    { __typename: 'Dog', name: 'Rex', barks: true },
  ];
  const query = schema.getQueryType()?.getFields() ?? {};
  const set = (field: string, resolve: (root: unknown, args: Record<string, unknown>) => unknown): void => {
    const found = query[field];
    if (found !== undefined) found.resolve = resolve;
  };
  set('pets', (_, args) => Promise.resolve(pets.slice(0, args['first'] as number)));
  set('named', () => pets);
  set('fails', () => {
    calls.count++;
    throw new WeftError('NOT_FOUND', 'gone');
  });
  set('maybe', () => Promise.reject(new Error('later')));
  set('shout', (_, { text }) => text);
  set('grow', (_, { tree }) => JSON.stringify(tree));
  const shout = schema.getType('Shout');
  if (shout instanceof GraphQLScalarType) {
    shout.serialize = (value) => `${String(value)}!`;
    shout.parseValue = (value) => String(value).toUpperCase();
  }
  const mutation = schema.getMutationType()?.getFields() ?? {};
  for (const name of ['count', 'fail']) {
    const field = mutation[name];
    if (field !== undefined) {
      field.resolve = () => {
        calls.count++;
        if (name === 'fail') throw new Error('no');
        return calls.count;
      };
    }
  }
  return schema;
}

const scopes: string[][] = [];
const context = {
  demand: (wanted: string[]) => scopes.push(wanted),
  has: () => true,
  anew: () => context,
} as unknown as ApiContext;

function aRequest(query: string, variables: Record<string, unknown> = {}) {
  const document = parse(query);
  const operation = getOperationAST(document);
  if (operation === null || operation === undefined) throw new Error('no operation');
  return { asked: { text: query, operationName: null }, document, operation, operationName: null, variables, context };
}

const QUERIES: [string, Record<string, unknown>?][] = [
  ['{ pets { ... on Cat { name lives } ... on Dog { name barks } __typename } }'],
  ['query ($n: Int!) { pets(first: $n) { ...F } } fragment F on Pet { ... on Cat { n: name } }', { n: 1 }],
  ['query ($yes: Boolean!) { named { name @include(if: $yes) __typename @skip(if: $yes) } }', { yes: true }],
  ['query ($yes: Boolean!) { named { name @include(if: $yes) __typename @skip(if: $yes) } }', { yes: false }],
  ['query ($t: Shout) { shout(text: $t) }', { t: 'hey' }],
  ['query ($n: Int!) { pets(first: $n) { __typename } }', { n: 'x' }],
  ['{ maybe fails }'],
  ['{ maybe named { name } }'],
  ['{ a: fails b: maybe }'],
];

describe('JitExecutor', () => {
  it.each(QUERIES)('answers %s as graphql-js does, each time', async (query, variables = {}) => {
    const schema = aSchema({ count: 0 });
    const executor = new JitExecutor(schema, new WarmQueries());
    const request = aRequest(query, variables);
    const expected = await execute({ schema, document: request.document, variableValues: variables });
    for (let run = 0; run < 4; run++) {
      const result = await executor.execute(request);
      expect(JSON.parse(JSON.stringify(result))).toEqual(JSON.parse(JSON.stringify(expected)));
      expect(result.errors?.map((error) => error.originalError)).toEqual(
        expected.errors?.map((error) => error.originalError),
      );
    }
  });

  it('does not try to compile what takes an input that holds itself, of which the code would have no end', async () => {
    const executor = new JitExecutor(aSchema({ count: 0 }), new WarmQueries());
    const request = aRequest('query ($tree: Tree) { grow(tree: $tree) }', { tree: { branches: [{ trees: [{}] }] } });
    vi.mocked(compileQuery).mockClear();
    for (let run = 0; run < 3; run++) {
      const { data } = await executor.execute(request);
      expect(data).toEqual({ grow: '{"name":"ash","branches":[{"trees":[{"name":"ash"}]}]}!' });
    }
    expect(compileQuery).not.toHaveBeenCalled();
    const flat = aRequest('query ($t: Shout) { shout(text: $t) }');
    for (let run = 0; run < 3; run++) await executor.execute(flat);
    expect(compileQuery).toHaveBeenCalledOnce();
  });

  it('runs a mutation once, whether it fails or not', async () => {
    const calls = { count: 0 };
    const executor = new JitExecutor(aSchema(calls), new WarmQueries());
    const request = aRequest('mutation { count fail }');
    for (let run = 1; run <= 3; run++) {
      await executor.execute(request);
      expect(calls.count).toBe(run * 2);
    }
  });

  it('demands the scope to read for questions about the schema', async () => {
    const executor = new JitExecutor(aSchema({ count: 0 }), new WarmQueries());
    scopes.length = 0;
    await executor.execute(aRequest('{ ...F } fragment F on Query { __schema { queryType { name } } }'));
    expect(scopes).toEqual([['read']]);
  });
});
