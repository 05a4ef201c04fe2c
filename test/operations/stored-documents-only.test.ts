import { createHash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createClient as createSseClient } from 'graphql-sse';
import { createClient as createWsClient } from 'graphql-ws';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { startApp, type App } from '../../src/app.js';
import { readConfig } from '../../src/config.js';
import { createLogger } from '../../src/platform/logger.js';
import { serve } from '../../src/serve.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';

/** One by a reader, stored, and the same question in words that nobody has stored. */
const STORED = 'query Stored { segments { edges { node { key } } } }';
const UNKNOWN = 'query Unknown { segments { edges { node { key } } } }';

let folder: string;
let database: TestDatabase;
let app: App;
let url: string;
let readKey: string;
let adminKey: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'weft-stored-only-'));
  database = await createTestDatabase();
  const config = readConfig({
    WEFT_DATABASE_URL: database.url,
    WEFT_DATA_DIR: folder,
    WEFT_PORT: '0',
    WEFT_STORED_DOCUMENTS_ONLY: 'true',
  });
  app = await startApp({ config, logger: createLogger({ level: 'silent' }), worker: 'no' });
  ({ url } = await serve(app));
  ({ secret: readKey } = await app.keys.create({ name: 'reader', scopes: ['read'] }));
  ({ secret: adminKey } = await app.keys.create({ name: 'admin', scopes: ['admin'] }));
  const stored = await overHttp(adminKey, {
    query: `mutation { storeDocuments(documents: [{ text: ${JSON.stringify(STORED)} }]) { __typename } }`,
  });
  expect(stored).toEqual({ data: { storeDocuments: { __typename: 'StoredDocuments' } } });
});

afterAll(async () => {
  await app.stop();
  await database.drop();
  await rm(folder, { recursive: true, force: true });
});

interface Asked {
  readonly query: string;
  readonly extensions?: Record<string, unknown>;
}

type Ask = (key: string, asked: Asked) => Promise<unknown>;

const overHttp: Ask = async (key, asked) => {
  const response = await fetch(`${url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${key}` },
    body: JSON.stringify(asked),
  });
  return response.json();
};

const overSocket: Ask = async (key, asked) => {
  const client = createWsClient({
    url: `${url.replace('http', 'ws')}/graphql`,
    webSocketImpl: WebSocket,
    connectionParams: { apiKey: key },
    retryAttempts: 0,
  });
  try {
    return await new Promise((resolve) => {
      client.subscribe(asked, {
        next: resolve,
        error: (errors) => {
          resolve({ errors });
        },
        complete: () => undefined,
      });
    });
  } finally {
    await client.dispose();
  }
};

const overSse: Ask = async (key, asked) => {
  const client = createSseClient({
    url: `${url}/graphql/stream`,
    headers: { authorization: `Bearer ${key}` },
    retryAttempts: 0,
  });
  try {
    return await new Promise((resolve, reject) => {
      client.subscribe(asked, { next: resolve, error: reject, complete: () => undefined });
    });
  } finally {
    client.dispose();
  }
};

const ANSWER = { data: { segments: { edges: [] } } };
const REFUSAL = {
  errors: [
    {
      message: 'this key may only ask by stored documents',
      extensions: { code: 'FORBIDDEN' },
    },
  ],
};

describe.each([
  ['HTTP', overHttp],
  ['WebSocket', overSocket],
  ['server-sent events', overSse],
])('with WEFT_STORED_DOCUMENTS_ONLY, over %s', (_name, ask) => {
  it('a read key is refused a text that nobody stored', async () => {
    expect(await ask(readKey, { query: UNKNOWN })).toMatchObject(REFUSAL);
  });

  it('a read key asks by a stored document, named by its text or its id', async () => {
    const sha256Hash = createHash('sha256').update(STORED).digest('hex');
    const named = { query: '', extensions: { persistedQuery: { version: 1, sha256Hash } } };
    expect(await ask(readKey, { query: STORED })).toMatchObject(ANSWER);
    expect(await ask(readKey, named)).toMatchObject(ANSWER);
  });

  it('an admin key asks by any text', async () => {
    expect(await ask(adminKey, { query: UNKNOWN })).toMatchObject(ANSWER);
  });
});
