import { createClient as createSseClient } from 'graphql-sse';
import { createClient } from 'graphql-ws';
import {
  GraphQLObjectType,
  GraphQLSchema,
  GraphQLString,
  isInterfaceType,
  isIntrospectionType,
  isObjectType,
  OperationTypeNode,
  type GraphQLError,
} from 'graphql';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { API_SCOPES, type ApiScope } from '../../src/api/auth/api-key.model.js';
import { buildApiSchema } from '../../src/api/graphql/build-schema.js';
import { CHANGE_CURSOR } from '../../src/api/graphql/cursors.js';
import { enforceScopes, scopesOf } from '../../src/api/graphql/scopes.js';
import { createApiWorld, type ApiWorld } from '../support/api-world.js';
import { fieldOperations, type FieldOperation } from '../support/schema-operations.js';
import { aGroup, aTrack } from '../support/world.js';

/*
 * Every field of every type × every kind of key × every transport. The rows come from the schema and the scopes that its
 * fields declare, so a new field has its row by itself; what is expected of a cell is computed from the declaration.
 *
 * Who is not let in at all is refused before fields matter, and some transports hand operations to the same code as others:
 * there, root fields alone are asked.
 */

type Outcome = 'allowed' | 'forbidden' | 'unauthenticated' | 'not on this transport';

interface Answer {
  readonly status?: number;
  readonly data?: Readonly<Record<string, unknown>> | null | undefined;
  readonly errors?: readonly { readonly message?: string; readonly extensions?: unknown }[] | undefined;
}

interface Transport {
  /** Whether connections stay open, which edge keys may not hold. */
  readonly isHeld?: true;
  /** Another transport whose operations are executed by the same code. */
  readonly like?: string;
  readonly carries: readonly OperationTypeNode[];
  readonly ask: (query: string, secret: string | null) => Promise<Answer>;
}

type Iterate = (payload: { query: string }) => AsyncIterableIterator<unknown>;

interface Principal {
  readonly name: string;
  readonly secret: string | null;
  /** Null: not to be let in at all. */
  readonly scopes: readonly ApiScope[] | null;
}

const { QUERY, MUTATION, SUBSCRIPTION } = OperationTypeNode;
const CONCURRENCY = 16;

/** Where not any value does: what is there, so that fields below a field are reached. */
const LITERALS = {
  'Query.profile.identifier': '{ namespace: "user_id", value: "ann" }',
  'Query.segment.key': '"keen"',
  'Query.modelPromotionPreview.key': '"iris"',
  'Query.segmentPreview.segment': '{ key: "keen" }',
  'Query.segmentFromTemplate.template': '"active"',
  'Query.segmentFromTemplate.values': '[]',
  'Query.group.id': '"acme"',
  'Query.historicalFeatures.rows': '[{ namespace: "user_id", value: "ann", time: "2026-01-31T12:00:00Z" }]',
  'Query.onlineFeatures.entities': '[{ namespace: "user_id", value: "ann" }]',
  'Query.edgeProfile.identifier': '{ namespace: "anonymous_id", value: "7c05542a-a638-43fd-b185-e15b72e2fa6b" }',
  'Profile.membership.segment': '"keen"',
  'Profile.membershipExplanation.segment': '"keen"',
  'Mutation.ingest.source': '"web"',
  'Mutation.setConsent.source': '"web"',
  'Subscription.segmentChanges.after': `"${CHANGE_CURSOR.encode({ seq: 0 })}"`,
};

let world: ApiWorld;
let principals: readonly Principal[];
const sockets = new Map<string | null, ReturnType<typeof createClient>>();
const streams = new Map<string | null, { iterate: Iterate; dispose: () => void }>();

beforeAll(async () => {
  world = await createApiWorld();
  await world.defineSegment('keen', 'count("product_view", "1h") >= 1');
  await world.drain();
  await world.accept([aTrack('product_view', { user_id: 'ann' }), aGroup({ user_id: 'ann' }, 'acme')]);
  await world.drain();
  const { keys } = world.services;
  const revoked = await keys.create({ name: 'revoked', scopes: ['admin'] });
  await keys.revoke(revoked.key.id);
  const expired = await keys.create({ name: 'expired', scopes: ['admin'], expiresAt: world.clock.now() + 1 });
  world.clock.advance(2);
  principals = [
    ...API_SCOPES.map((scope) => ({
      name: scope,
      secret: world.keys[scope],
      scopes: scope === 'pii' ? (['read', 'pii'] as const) : [scope],
    })),
    { name: 'no key', secret: null, scopes: null },
    { name: 'a revoked key', secret: revoked.secret, scopes: null },
    { name: 'an expired key', secret: expired.secret, scopes: null },
  ];
});

/** All that an edge key may ask but for its being stored. */
beforeAll(async () => {
  const texts = fieldOperations(buildApiSchema(), LITERALS)
    .filter(({ needs }) => needs.every((some) => some.includes('edge')))
    .map(({ text }) => ({ text }));
  const query =
    'mutation ($documents: [StoredDocumentInput!]!) { storeDocuments(documents: $documents) { __typename } }';
  expect(await world.data(query, { documents: texts })).toEqual({ storeDocuments: { __typename: 'StoredDocuments' } });
});

afterAll(async () => {
  for (const client of sockets.values()) await client.dispose();
  for (const client of streams.values()) client.dispose();
  await world.close();
});

const headersOf = (secret: string | null): Record<string, string> =>
  secret === null ? {} : { authorization: `Bearer ${secret}` };

async function overHttp(url: string, init: RequestInit): Promise<Answer> {
  const response = await fetch(url, init);
  return { status: response.status, ...((await response.json()) as object) };
}

function firstOf(results: AsyncIterableIterator<unknown>): Promise<Answer> {
  return results.next().then(async ({ value }) => {
    await results.return?.();
    return value as Answer;
  });
}

/** What a client throws where a connection was refused, as an answer. */
function refusal(error: unknown): Answer {
  if (Array.isArray(error)) return { errors: error as GraphQLError[] };
  const { code, response } = error as { code?: number; response?: { status?: number } };
  if (code === 4401 || response?.status === 401) return { status: 401 };
  if (code === 4403 || response?.status === 403) return { errors: [{ extensions: { code: 'FORBIDDEN' } }] };
  throw error;
}

const TRANSPORTS: Readonly<Record<string, Transport>> = {
  'HTTP POST': {
    carries: [QUERY, MUTATION],
    ask: (query, secret) =>
      overHttp(`${world.url}/graphql`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...headersOf(secret) },
        body: JSON.stringify({ query }),
      }),
  },
  'HTTP GET': {
    like: 'HTTP POST',
    carries: [QUERY],
    ask: (query, secret) =>
      overHttp(`${world.url}/graphql?query=${encodeURIComponent(query)}`, { headers: headersOf(secret) }),
  },
  WebSocket: {
    isHeld: true,
    carries: [QUERY, MUTATION, SUBSCRIPTION],
    ask: (query, secret) => {
      let client = sockets.get(secret);
      if (client === undefined) {
        client = createClient({
          url: `${world.url.replace('http', 'ws')}/graphql`,
          webSocketImpl: WebSocket,
          connectionParams: secret === null ? {} : { apiKey: secret },
          retryAttempts: 0,
          lazyCloseTimeout: 10_000,
        });
        sockets.set(secret, client);
      }
      return firstOf(client.iterate({ query })).catch(refusal);
    },
  },
  'SSE, distinct connections': {
    isHeld: true,
    carries: [QUERY, MUTATION, SUBSCRIPTION],
    ask: (query, secret) => {
      const url = `${world.url}/graphql/stream`;
      const client = createSseClient({ url, headers: headersOf(secret), retryAttempts: 0 });
      return firstOf(client.iterate({ query }))
        .catch(refusal)
        .finally(() => client.dispose());
    },
  },
  'SSE, single connection': {
    isHeld: true,
    like: 'SSE, distinct connections',
    carries: [QUERY, MUTATION, SUBSCRIPTION],
    ask: (query, secret) => {
      let client = streams.get(secret);
      if (client === undefined) {
        const url = `${world.url}/graphql/stream`;
        const headers = headersOf(secret);
        client = createSseClient({ singleConnection: true, url, headers, retryAttempts: 0, lazyCloseTimeout: 10_000 });
        streams.set(secret, client);
      }
      return firstOf(client.iterate({ query })).catch(refusal);
    },
  },
};

function expectedOf({ needs, kind }: FieldOperation, { scopes }: Principal, { carries, isHeld }: Transport): Outcome {
  if (scopes === null) return 'unauthenticated';
  const isMet = needs.every((some) => some.some((scope) => scopes.includes(scope) || scopes.includes('admin')));
  // Whatever it is, it has to be a stored document first; those that an edge key may ask are.
  if (scopes.includes('edge') && (!isMet || isHeld === true)) return 'forbidden';
  if (!carries.includes(kind)) return 'not on this transport';
  return isMet ? 'allowed' : 'forbidden';
}

/** @throws Error for an answer that says neither yes nor no: the operation was no good */
function outcomeOf(answer: Answer, { root, text }: FieldOperation, carries: boolean): Outcome {
  const codes = (answer.errors ?? []).map(({ extensions }) => (extensions as { code?: string } | undefined)?.code);
  const rootValue = answer.data?.[root.split('.')[1] ?? ''] ?? null;
  if (answer.status === 401 || codes.includes('UNAUTHENTICATED')) return 'unauthenticated';
  if (!carries && answer.data == null && (answer.status === 405 || codes.includes('BAD_REQUEST'))) {
    return 'not on this transport';
  }
  if (codes.includes('FORBIDDEN')) {
    if (rootValue !== null && codes.length > 1) throw new Error(`${text} tells something beside being forbidden`);
    return 'forbidden';
  }
  const isRefused = answer.data === undefined || codes.some((code) => code === undefined || isFaultOfTest(code));
  if (isRefused) throw new Error(`${text} says neither yes nor no: ${JSON.stringify(answer)}`);
  return 'allowed';
}

const isFaultOfTest = (code: string): boolean => code.startsWith('GRAPHQL_') || code === 'BAD_USER_INPUT';

async function forEachConcurrently<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const left = [...items];
  const workers = Array.from({ length: CONCURRENCY }, async () => {
    for (let item = left.shift(); item !== undefined; item = left.shift()) await work(item);
  });
  await Promise.all(workers);
}

/** Mutations of those who send events or take changes: all others are acts of administration. */
const FOR_CLIENTS = new Set(['ingest', 'setConsent', 'acknowledgeChanges']);

describe('the matrix of scopes', () => {
  const operations = fieldOperations(buildApiSchema(), LITERALS);
  const ofRoots = operations.filter(({ field, root }) => field === root);

  it('has a row for every field of every type of the schema', () => {
    const rows = new Set(operations.map(({ field }) => field));
    const fields = Object.values(buildApiSchema().getTypeMap())
      .filter((type) => (isObjectType(type) || isInterfaceType(type)) && !isIntrospectionType(type))
      .flatMap((type) => Object.keys((type as GraphQLObjectType).getFields()).map((field) => `${type.name}.${field}`));
    expect(fields.filter((field) => !rows.has(field))).toEqual([]);
    expect(rows.size).toBeGreaterThan(150);
  });

  for (const [name, transport] of Object.entries(TRANSPORTS)) {
    it(`holds in each cell over ${name}`, async () => {
      const asked = transport.like === undefined ? operations : ofRoots;
      const cells = principals.flatMap((principal) =>
        (principal.scopes === null ? ofRoots : asked).map((operation) => ({ principal, operation })),
      );
      const wrong: string[] = [];
      const counts: Partial<Record<Outcome, number>> = {};
      await forEachConcurrently(cells, async ({ principal, operation }) => {
        const expected = expectedOf(operation, principal, transport);
        const answer = await transport.ask(operation.text, principal.secret);
        const outcome = outcomeOf(answer, operation, transport.carries.includes(operation.kind));
        counts[outcome] = (counts[outcome] ?? 0) + 1;
        if (outcome !== expected) {
          wrong.push(`${operation.field} with ${principal.name}: ${outcome}, not ${expected}: ${operation.text}`);
        }
      });
      expect(wrong).toEqual([]);
      expect(Object.values(counts).reduce((sum, count) => sum + count, 0)).toBe(cells.length);
      expect(counts.allowed).toBeGreaterThan(asked.length / 2);
      expect(counts.forbidden).toBeGreaterThan(asked.length / 2);
      expect(counts.unauthenticated).toBe(ofRoots.length * 3);
    }, 240_000);
  }

  it('asks what a key may do also where the compiled query is known already', async () => {
    const ask = TRANSPORTS['HTTP POST']?.ask;
    const queries = operations.filter(({ kind }) => kind === QUERY);
    await forEachConcurrently(queries, async (operation) => {
      for (let run = 0; run < 3; run++) await ask?.(operation.text, world.keys.admin);
      const answer = (await ask?.(operation.text, world.keys.ingest)) ?? {};
      expect(outcomeOf(answer, operation, true), operation.text).toBe('forbidden');
    });
  }, 120_000);
});

describe('a schema', () => {
  const type = (name: string): GraphQLObjectType =>
    new GraphQLObjectType({ name, fields: { forgotten: { type: GraphQLString, resolve: () => 'secret' } } });

  it.each(['query', 'mutation', 'subscription'])(
    'with a root field of %s that declares no scope is not built',
    (kind) => {
      const schema = new GraphQLSchema({
        query: new GraphQLObjectType({ name: 'Q', fields: {} }),
        [kind]: type('Root'),
      });
      expect(() => enforceScopes(schema)).toThrow('Root.forgotten does not say which scope it needs');
    },
  );

  it('says the scope of each root field in its description and as an extension', () => {
    const schema = buildApiSchema();
    for (const root of [schema.getQueryType(), schema.getMutationType(), schema.getSubscriptionType()]) {
      for (const field of Object.values(root?.getFields() ?? {})) {
        expect(scopesOf(field).length, field.name).toBeGreaterThan(0);
        expect(field.description).toContain(`Scope: \`${scopesOf(field).join('` or `')}\`.`);
        if (root?.name === 'Mutation' && !FOR_CLIENTS.has(field.name)) expect(scopesOf(field)).toEqual(['admin']);
      }
    }
  });
});
