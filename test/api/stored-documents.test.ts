import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ApolloServer } from '@apollo/server';
import { createClient as createSseClient } from 'graphql-sse';
import { createClient } from 'graphql-ws';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { WebSocket } from 'ws';
import { API_SCOPES, type ApiScope } from '../../src/api/auth/api-key.model.js';
import { documentsCommand } from '../../src/api/documents/documents.command.js';
import { documentId } from '../../src/api/documents/stored-document.model.js';
import { StoredDocumentService } from '../../src/api/documents/stored-document.service.js';
import { EDGE_PROFILE_DOCUMENT } from '../../src/api/graphql/edge-documents.js';
import { createApiWorld, type ApiWorld } from '../support/api-world.js';
import { runWith } from '../support/command-runner.js';
import { anIdentify } from '../support/world.js';

const ANN = '7c05542a-a638-43fd-b185-e15b72e2fa6b';
const identifier = { namespace: 'anonymous_id', value: ANN };

/** Stored: what each scope may, what some may not, and what ends in errors beside data. */
const DOCUMENTS: readonly { readonly text: string; readonly variables?: Record<string, unknown> }[] = [
  { text: EDGE_PROFILE_DOCUMENT, variables: { identifier, deadlineMs: 2_000 } },
  { text: EDGE_PROFILE_DOCUMENT, variables: { identifier: { ...identifier, value: 'ann' }, deadlineMs: 2_000 } },
  { text: EDGE_PROFILE_DOCUMENT, variables: {} },
  {
    text: 'query P($v: String!) { profile(identifier: { namespace: "anonymous_id", value: $v }) { id traits } }',
    variables: { v: ANN },
  },
  { text: 'query T { __typename }' },
  { text: 'query K { apiKeys { edges { node { name } } } }' },
  { text: 'query M { a: profile { id } b: segments { edges { node { key } } } }' },
  { text: 'query I { __schema { queryType { name } } }' },
  {
    text: 'query X { p: profile(identifier: { namespace: "user_id", value: "x" }) { membership(segment: "no") { isMember } } }',
  },
  { text: 'mutation A { activateSegment(key: "none") { __typename } }' },
];

let world: ApiWorld;

beforeAll(async () => {
  world = await createApiWorld();
  await world.accept([anIdentify({ user_id: 'x', anonymous_id: ANN }, { first_name: 'Änn' })]);
  await world.drain();
  const texts = [...new Set(DOCUMENTS.map(({ text }) => text))];
  const stored = await world.data<{ storeDocuments: { documents: { id: string; isStandard: boolean }[] } }>(
    `mutation ($documents: [StoredDocumentInput!]!) {
       storeDocuments(documents: $documents) { ... on StoredDocuments { documents { id isStandard } } }
     }`,
    { documents: texts.map((text) => ({ text })) },
  );
  expect(stored.storeDocuments.documents).toEqual(
    texts.map((text) => ({ id: documentId(text), isStandard: text === EDGE_PROFILE_DOCUMENT })),
  );
});

afterAll(() => world.close());

interface ListedDocument {
  readonly id: string;
  readonly text: string;
  readonly problem: string | null;
}

interface DocumentsPage {
  readonly edges: readonly { readonly node: ListedDocument }[];
  readonly pageInfo: { readonly hasNextPage: boolean; readonly endCursor: string };
}

interface Answer {
  readonly status: number;
  readonly type: string | null;
  readonly body: string;
}

type Form = (text: string) => Record<string, unknown>;

const FORMS: Readonly<Record<string, Form>> = {
  text: (query) => ({ query }),
  documentId: (text) => ({ documentId: `sha256:${documentId(text)}` }),
  persistedQuery: (text) => ({ extensions: { persistedQuery: { version: 1, sha256Hash: documentId(text) } } }),
};

async function send(method: string, key: string, body: Record<string, unknown>): Promise<Answer> {
  const headers: Record<string, string> = { authorization: `Bearer ${key}` };
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(body)) {
    if (value !== undefined) search.set(name, typeof value === 'string' ? value : JSON.stringify(value));
  }
  const response = await (method === 'GET'
    ? fetch(`${world.url}/graphql?${search.toString()}`, { headers })
    : fetch(`${world.url}/graphql`, {
        method,
        headers: { ...headers, 'content-type': 'application/json' },
        body: JSON.stringify(body),
      }));
  const text = await response.text();
  return { status: response.status, type: response.headers.get('content-type'), body: text };
}

describe.each(API_SCOPES)('with the scope %s', (scope: ApiScope) => {
  it.each(['POST', 'GET'])(
    'a stored document is answered as its text is, first and when it is known: %s',
    async (method) => {
      for (const { text, variables } of DOCUMENTS) {
        // A text of its own, for an answer that was never asked for before. An edge key may not ask by it.
        const distinct = `${text} # ${method} ${scope}`;
        const ask = (form: Form, of: string) => send(method, world.keys[scope], { ...form(of), variables });
        const known = scope === 'edge' ? text : distinct;
        const first = await ask((query) => ({ query }), known);
        for (const [name, form] of Object.entries(FORMS)) {
          for (let run = 0; run < 3; run++) expect(await ask(form, text), `${name} ${text}`).toEqual(first);
        }
      }
    },
  );
});

describe('a document that is stored', () => {
  it('is answered past Apollo once it is known, for whoever may ask it', async () => {
    const body = { ...FORMS['documentId']?.(EDGE_PROFILE_DOCUMENT), variables: { identifier, deadlineMs: 2_000 } };
    for (let run = 0; run < 3; run++) await send('GET', world.keys.read, body);
    const calls = vi.spyOn(ApolloServer.prototype, 'executeHTTPGraphQLRequest');
    for (const scope of ['edge', 'read', 'admin'] as const) {
      expect((await send('GET', world.keys[scope], body)).body).toContain('"known":true');
    }
    expect(calls).not.toHaveBeenCalled();
    expect((await send('GET', world.keys.ingest, body)).body).toContain('FORBIDDEN');
    expect(calls).toHaveBeenCalledTimes(1);
    calls.mockRestore();
  });

  it('can be asked for over WebSocket and server-sent events', async () => {
    const payload = {
      query: '',
      extensions: { persistedQuery: { version: 1, sha256Hash: documentId(EDGE_PROFILE_DOCUMENT) } },
      variables: { identifier, deadlineMs: 2_000 },
    };
    const first = async (results: AsyncIterableIterator<unknown>): Promise<unknown> => (await results.next()).value;
    const expected = { data: { edgeProfile: { known: true, degraded: false } } };
    const socket = createClient({
      url: `${world.url.replace('http', 'ws')}/graphql`,
      webSocketImpl: WebSocket,
      connectionParams: { apiKey: world.keys.read },
    });
    expect(await first(socket.iterate(payload))).toMatchObject(expected);
    await socket.dispose();
    const headers = { authorization: `Bearer ${world.keys.read}` };
    const stream = createSseClient({ url: `${world.url}/graphql/stream`, headers });
    expect(await first(stream.iterate(payload))).toMatchObject(expected);
    stream.dispose();
  });

  it('cannot be smuggled another text, nor another operation beside', async () => {
    const { edge } = world.keys;
    const text = 'query A { segments { edges { node { key } } } }';
    const name = FORMS['documentId']?.(EDGE_PROFILE_DOCUMENT) ?? {};
    const variables = { identifier, deadlineMs: 2_000 };
    expect((await send('POST', edge, { ...name, query: text, variables })).body).toContain('edgeProfile');
    for (const method of ['POST', 'GET']) {
      const other = await send(method, edge, { ...name, query: text, operationName: 'A', variables });
      expect(other.body).toContain('Unknown operation named');
    }
    const search = new URLSearchParams({
      documentId: String(name['documentId']),
      variables: JSON.stringify(variables),
    });
    for (const twice of [`&query=a&query=${encodeURIComponent(text)}`, '&documentId=x']) {
      const response = await fetch(`${world.url}/graphql?${search.toString()}${twice}`, {
        headers: { authorization: `Bearer ${edge}` },
      });
      expect(response.status).toBe(400);
    }
    expect((await send('POST', edge, { query: `${EDGE_PROFILE_DOCUMENT} ${text}` })).status).toBe(403);
  });
});

describe('storing documents', () => {
  const store = (text: string) =>
    world.data<{ storeDocuments: Record<string, unknown> }>(
      `mutation ($text: String!) { storeDocuments(documents: [{ text: $text }]) {
         ... on StoredDocuments { documents { id } } ... on Failure { code message where } } }`,
      { text },
    );

  it.each([
    ['what is no GraphQL', 'query {', /Syntax Error/],
    ['what the schema has not', '{ nothing }', /Cannot query field "nothing"/],
    [
      'what is over the limits',
      `{ ${Array.from({ length: 101 }, (_, i) => `a${String(i)}: __typename`).join(' ')} }`,
      /aliases/,
    ],
    ['what is too long', `# ${'x'.repeat(40_000)}\n{ __typename }`, /32768 characters/],
  ])('refuses %s', async (_, text, message) => {
    const { storeDocuments } = await store(text);
    expect(storeDocuments).toMatchObject({ code: 'BAD_REQUEST', where: 'documents[0]' });
    expect(storeDocuments['message']).toMatch(message);
  });

  it('lists them in pages, and says which ones a later schema broke', async () => {
    const broken = '{ gone }';
    await world.db.query(
      `INSERT INTO stored_documents (id, name, text, created_at) VALUES (decode($1, 'hex'), 'old', $2, 0)`,
      [documentId(broken), broken],
    );
    const page = `query ($after: String) { storedDocuments(first: 3, after: $after) {
      edges { node { id text problem } } pageInfo { hasNextPage endCursor } } }`;
    const all: ListedDocument[] = [];
    for (let after: string | null = null, more = true; more;) {
      const answer: { storedDocuments: DocumentsPage } = await world.data(page, { after });
      all.push(...answer.storedDocuments.edges.map(({ node }) => node));
      ({ hasNextPage: more, endCursor: after } = answer.storedDocuments.pageInfo);
    }
    expect(all.map(({ text }) => text).sort()).toEqual([...new Set(DOCUMENTS.map(({ text }) => text)), broken].sort());
    expect(all.filter(({ problem }) => problem !== null)).toEqual([
      { id: documentId(broken), text: broken, problem: expect.stringContaining('Cannot query field "gone"') as string },
    ]);
  });

  it('removes them, but for those of our own clients', async () => {
    const remove = (id: string) =>
      world.data(`mutation { removeStoredDocument(id: "${id}") { __typename ... on Failure { code } } }`);
    const text = 'query Short { __typename }';
    await store(text);
    expect((await send('POST', world.keys.edge, { query: text })).status).toBe(200);
    expect(await remove(`sha256:${documentId(text)}`)).toMatchObject({
      removeStoredDocument: { __typename: 'RemovedStoredDocument' },
    });
    expect((await send('POST', world.keys.edge, { query: text })).status).toBe(403);
    expect(await remove(documentId(text))).toMatchObject({ removeStoredDocument: { code: 'NOT_FOUND' } });
    expect(await remove(documentId(EDGE_PROFILE_DOCUMENT))).toMatchObject({
      removeStoredDocument: { code: 'CONFLICT' },
    });
  });

  it('by the command line counts in a server that runs', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'weft-documents-'));
    const service = new StoredDocumentService({ db: world.db, clock: world.clock, problemOf: () => null });
    const weft = (...args: string[]) =>
      runWith((io) => documentsCommand({ ...io, withDocuments: (use) => use(service) }), args);
    try {
      const text = 'query Told { __typename }\n';
      const manifest = { operations: [{ id: documentId(text), name: 'Told', type: 'query', body: text }] };
      await writeFile(join(folder, 'manifest.json'), JSON.stringify(manifest));
      await writeFile(join(folder, 'told.graphql'), text);
      const id = `sha256:${documentId(text)}`;
      for (const file of ['manifest.json', 'told.graphql']) {
        expect(await weft('add', join(folder, file))).toMatchObject({ code: 0, stdout: `Stored Told: ${id}\n` });
      }
      await vi.waitFor(async () => {
        expect((await send('GET', world.keys.edge, { documentId: id })).status).toBe(200);
      });
      expect((await weft('list')).stdout).toMatch(new RegExp(`${id}  2023-11-14 22:13  Told\\n`));
      expect(JSON.parse((await weft('list', '--json')).stdout)).toContainEqual(
        expect.objectContaining({ name: 'Told' }),
      );
      expect((await weft('remove', id)).stdout).toBe(`Document ${id} is removed.\n`);
      expect(await weft('remove', id)).toMatchObject({ code: 1 });
      expect(await weft('add', join(folder, 'none.graphql'))).toMatchObject({ code: 1 });
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});

describe('automatic persisted queries', () => {
  const text = 'query Automatic { __typename }';
  const named = FORMS['persistedQuery']?.(text) ?? {};

  it('are sent by name, then with their text, then by name', async () => {
    const unknown = await send('POST', world.keys.read, named);
    expect(unknown).toMatchObject({
      status: 200,
      body: expect.stringContaining('PERSISTED_QUERY_NOT_FOUND') as string,
    });
    const answers = [await send('POST', world.keys.read, { ...named, query: text })];
    for (const method of ['GET', 'POST', 'GET']) answers.push(await send(method, world.keys.read, named));
    for (const answer of answers)
      expect(answer).toMatchObject({ status: 200, body: '{"data":{"__typename":"Query"}}\n' });
  });

  it('are not for edge keys', async () => {
    expect((await send('GET', world.keys.edge, named)).status).toBe(404);
    expect((await send('POST', world.keys.edge, { ...named, query: text })).status).toBe(403);
  });
});
