import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { ApiKeyEntity } from '../../src/api/auth/api-key.entity.js';
import { ApiKeyService } from '../../src/api/auth/api-key.service.js';
import { ApiKeyStore } from '../../src/api/auth/api-key.store.js';
import { systemClock } from '../../src/platform/clock.js';
import { NO_SECRET } from '../../src/platform/installation-secret.js';
import { SourceEntity } from '../../src/sources/source.entity.js';
import type { Database } from '../../src/platform/postgres.js';
import { compiledWeft } from './compiled-program.js';
import { createTestDatabase } from './database.js';

const ROOT = join(import.meta.dirname, '../..');

/** A process of `weft serve`. */
export interface ServedProcess {
  readonly url: string;
  /** Stops it as a crash would. */
  kill(): Promise<void>;
  /** On the port that it had. */
  start(): Promise<void>;
}

/** `weft serve` as it is deployed: a process of its own, with its worker, on a database of its own. */
export interface ServedWeft extends ServedProcess {
  /** Of the source `web`. */
  readonly writeKey: string;
  readonly adminKey: string;
  /** A key for pages of these origins. */
  createEdgeKey(
    origins: readonly string[],
    ratePerSecond?: number,
  ): Promise<{ readonly secret: string; readonly signingSecret: string }>;
  /** A segment that pages may be told of. */
  defineEdgeSegment(key: string, expression: string): Promise<void>;
  /** The data of an answer that must have no errors. */
  ask<T>(query: string, variables?: Readonly<Record<string, unknown>>): Promise<T>;
  readonly database: Database;
  /** `WEFT_SECRET` of all processes. */
  readonly secret: string;
  /** Runs a command on the same installation; what it wrote to standard output. @throws where it fails */
  run(...args: readonly string[]): Promise<string>;
  /** Another process of the same installation, which applies no events itself. */
  join(): Promise<ServedProcess>;
  close(): Promise<void>;
}

/**
 * @param redisUrl of the online store; default: in the memory of the process, which no other can join then
 * @param more environment of all processes
 */
export async function serveWeft(redisUrl = '', more: Readonly<Record<string, string>> = {}): Promise<ServedWeft> {
  const test = await createTestDatabase({ entities: [SourceEntity, ApiKeyEntity] });
  const secret = randomBytes(32).toString('base64');
  const environment = { WEFT_DATABASE_URL: test.url, WEFT_REDIS_URL: redisUrl, WEFT_SECRET: secret, ...more };
  const { url, kill, start } = await newProcess(environment, []);
  const joined: ServedProcess[] = [];
  const keys = new ApiKeyService({
    store: new ApiKeyStore(test.database.dataSource),
    clock: systemClock,
    secret: NO_SECRET,
    randomBytes,
    onLastUsedError: () => undefined,
  });
  const adminKey = (await keys.create({ name: 'tools', scopes: ['admin'] })).secret;

  const ask = async <T>(query: string, variables: Readonly<Record<string, unknown>> = {}): Promise<T> => {
    const response = await fetch(`${url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${adminKey}` },
      body: JSON.stringify({ query, variables }),
    });
    const { data, errors } = (await response.json()) as { data: T; errors?: unknown };
    if (errors !== undefined) throw new Error(JSON.stringify(errors));
    return data;
  };
  const createKey = async (key: object): Promise<{ secret: string; signingSecret: string }> => {
    const { createApiKey } = await ask<{ createApiKey: { secret: string; signingSecret: string } }>(
      `mutation ($key: ApiKeyInput!) { createApiKey(key: $key) {
        ... on CreatedApiKey { secret signingSecret } ... on Failure { message } } }`,
      { key },
    );
    return createApiKey;
  };

  await start();
  await ask('mutation { createSource(key: "web") { ... on Source { key } } }');
  return {
    url,
    writeKey: (await createKey({ name: 'site', scopes: ['INGEST'], source: 'web' })).secret,
    adminKey,
    createEdgeKey: (origins, ratePerSecond) => createKey({ name: 'pages', scopes: ['EDGE'], origins, ratePerSecond }),
    defineEdgeSegment: async (key, expression) => {
      const outcomes = await ask<Record<string, { readonly __typename: string }>>(
        `mutation ($segment: SegmentInput!, $key: String!) {
          upsertSegment(segment: $segment) { __typename }
          activateSegment(key: $key) { __typename } }`,
        { segment: { key, name: key, expression, edge: true }, key },
      );
      const failed = Object.entries(outcomes).find(([, { __typename }]) => __typename !== 'Segment');
      if (failed !== undefined) throw new Error(`${failed[0]} ${key}: ${failed[1].__typename}`);
    },
    ask,
    database: test.database,
    secret,
    run: async (...args) => {
      const env = { ...process.env, ...environment };
      const { stdout } = await promisify(execFile)(process.execPath, [compiledWeft(), ...args], { cwd: ROOT, env });
      return stdout;
    },
    kill,
    start,
    join: async () => {
      const other = await newProcess(environment, ['--no-worker']);
      joined.push(other);
      await other.start();
      return other;
    },
    close: async () => {
      for (const other of joined) await other.kill();
      await kill();
      await test.drop();
    },
  };
}

/** Not started yet. */
async function newProcess(
  environment: Readonly<Record<string, string>>,
  flags: readonly string[],
): Promise<ServedProcess> {
  const port = String(await freePort());
  let server: ChildProcess | null = null;
  return {
    url: `http://127.0.0.1:${port}`,
    start: async () => {
      server = await startServer({ ...environment, WEFT_PORT: port }, flags);
    },
    kill: async () => {
      if (server?.exitCode !== null || server.signalCode !== null) return;
      const exited = once(server, 'exit');
      server.kill('SIGKILL');
      await exited;
    },
  };
}

/** Once it says that it is ready. */
async function startServer(
  environment: Readonly<Record<string, string>>,
  flags: readonly string[],
): Promise<ChildProcess> {
  const child = spawn(process.execPath, [compiledWeft(), 'serve', ...flags], {
    cwd: ROOT,
    env: { ...process.env, ...environment },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await new Promise<void>((resolve, reject) => {
    createInterface(child.stdout)
      .on('line', (line) => {
        if (line.includes('"ready"')) resolve();
      })
      .on('close', () => {
        reject(new Error('the server ended before it was ready'));
      });
  });
  return child;
}

/** One that nobody listens on, for a server that comes back to it. */
export async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as AddressInfo;
  await new Promise((resolve) => probe.close(resolve));
  return port;
}
