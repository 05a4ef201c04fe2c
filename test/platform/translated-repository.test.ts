import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { ApiKeyStore } from '../../src/api/auth/api-key.store.js';
import { createDataSource, Database } from '../../src/platform/postgres.js';
import { SourceStore } from '../../src/sources/source.store.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { TRACKING_ENTITIES } from '../support/tracking-server.js';

const SOURCE = {
  key: 'web',
  name: 'Web',
  kind: 'http',
  config: {},
  paused: false,
  maxEventsPerSecond: null,
  authenticated: false,
  region: null,
  retentionMs: null,
  retentionStrict: false,
  enrichment: null,
  createdAt: 0,
} as const;

let test: TestDatabase;
let relay: Relay;
let db: Database;

/** The way to the database, which can be cut. */
class Relay {
  readonly #sockets = new Set<Socket>();
  private constructor(
    private readonly server: Server,
    readonly port: number,
  ) {}

  static async to(host: string, port: number): Promise<Relay> {
    const server = createServer();
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const relay = new Relay(server, (server.address() as AddressInfo).port);
    server.on('connection', (near) => {
      const far = connect(port, host);
      near.pipe(far).pipe(near);
      for (const socket of [near, far]) relay.#sockets.add(socket.on('error', () => undefined));
    });
    return relay;
  }

  cut(): void {
    this.server.close();
    for (const socket of this.#sockets) socket.destroy();
  }
}

beforeEach(async () => {
  test = await createTestDatabase({ entities: TRACKING_ENTITIES });
  const url = new URL(test.url);
  relay = await Relay.to(url.hostname, Number(url.port));
  url.host = `127.0.0.1:${String(relay.port)}`;
  db = await Database.open(await createDataSource(url.href, { entities: TRACKING_ENTITIES }));
});

afterEach(async () => {
  relay.cut();
  await db.close();
  await test.drop();
});

const AWAY = { code: 'UNAVAILABLE', retryAfterMs: 1_000 };

it('says of keys and sources, while the database is away, that it is, and when to ask again', async () => {
  const keys = new ApiKeyStore(db.dataSource);
  const sources = new SourceStore(db.dataSource);
  expect(await keys.findByHash(randomBytes(32))).toBeNull();
  relay.cut();
  const id = '00000000-0000-0000-0000-000000000000';
  for (const attempt of [
    () => keys.findByHash(randomBytes(32)),
    () => keys.list(),
    () => keys.ofSource(1, 10),
    () => keys.findById(id),
    () => keys.revoke(id, 0),
    () => keys.setLastUsed(id, 0),
    () => sources.findByKey('web'),
    () => sources.findById(1),
    () => sources.list(),
    () => sources.update('web', { paused: true }),
    () => sources.insert(SOURCE),
  ]) {
    await expect(attempt()).rejects.toMatchObject(AWAY);
  }
});

it('tells a key that is taken from a database that refuses', async () => {
  const sources = new SourceStore(db.dataSource);
  expect(await sources.insert({ ...SOURCE })).toMatchObject({ key: 'web' });
  expect(await sources.insert({ ...SOURCE })).toBeNull();
  await test.database.execute('ALTER TABLE sources RENAME TO sources_away');
  await expect(sources.insert({ ...SOURCE, key: 'app' })).rejects.toMatchObject({ code: 'INTERNAL' });
});
