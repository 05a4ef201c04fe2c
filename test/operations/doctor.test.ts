import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readConfig } from '../../src/config.js';
import { doctorCommand } from '../../src/doctor.command.js';
import { PartitionLeases } from '../../src/events/partition-lease.store.js';
import type { CheckResult } from '../../src/monitoring/doctor.js';
import { demandServerVersion } from '../../src/platform/connect-errors.js';
import { checkSecret, RootSecret } from '../../src/platform/installation-secret.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';

let folder: string;
let test: TestDatabase | undefined;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'weft-doctor-'));
});

afterEach(async () => {
  await test?.drop();
  test = undefined;
  await rm(folder, { recursive: true, force: true });
});

interface Visit {
  readonly code: number;
  readonly text: string;
  /** By the name of the check. */
  readonly of: Readonly<Record<string, CheckResult>>;
}

async function visit(env: Readonly<Record<string, string>>): Promise<Visit> {
  let text = '';
  let code = 0;
  const command = doctorCommand({
    stdout: { write: (part) => (text += part) },
    setExitCode: (given) => (code = given),
    readConfig: () => readConfig({ WEFT_DATA_DIR: join(folder, 'data'), WEFT_PORT: '0', ...env }),
  });
  await command.parseAsync(['--json'], { from: 'user' });
  const results = JSON.parse(text) as CheckResult[];
  return { code, text, of: Object.fromEntries(results.map((result) => [result.name, result])) };
}

/** Speaks just enough of the protocol of Redis to say its version. */
async function oldRedis(): Promise<{ server: Server; url: string }> {
  const info = 'redis_version:6.2.14\r\nloading:0\r\n';
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.on('data', (data) => {
      const commands =
        data
          .toString('latin1')
          .toLowerCase()
          .match(/\r\n(info|client|quit)\r\n/g) ?? [];
      for (const command of commands) {
        socket.write(command.includes('info') ? `$${String(info.length)}\r\n${info}\r\n` : '+OK\r\n');
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { server, url: `redis://127.0.0.1:${String((server.address() as AddressInfo).port)}` };
}

describe('the doctor', () => {
  it('finds no database where none was made yet, and makes none', async () => {
    const { code, of } = await visit({});
    expect(code).toBe(0);
    expect(of['database']).toMatchObject({ outcome: 'ok', detail: expect.stringContaining('none yet') as string });
    expect(await readdir(folder)).toEqual([]);
  });

  it('names the migrations that wait, and runs none', async () => {
    test = await createTestDatabase({ empty: true });
    const { code, of } = await visit({ WEFT_DATABASE_URL: test.url });
    expect(code).toBe(0);
    expect(of['database']).toMatchObject({ outcome: 'ok' });
    expect(of['migrations']).toMatchObject({
      outcome: 'warning',
      detail: expect.stringContaining('Foundation1700000000000') as string,
    });
    expect(await test.database.query(`SELECT FROM pg_tables WHERE schemaname = 'public'`)).toEqual([]);
  });

  it('looks into a database that is there', async () => {
    test = await createTestDatabase();
    const { code, of } = await visit({ WEFT_DATABASE_URL: test.url });
    expect(code).toBe(0);
    expect(of).toMatchObject({ migrations: { outcome: 'ok' }, 'event log': { outcome: 'ok' }, 'dead letters': {} });
  });

  it('says that nobody applies events where the worker that held them was killed', async () => {
    test = await createTestDatabase();
    await test.database.execute('UPDATE log_head SET pos = 5');
    const worker = new PartitionLeases(test.database, 4711, {});
    await worker.join();
    await worker.refresh();
    expect((await visit({ WEFT_DATABASE_URL: test.url })).of['event log']).toMatchObject({ outcome: 'ok' });
    await worker.close();
    await test.database.execute('UPDATE partitions SET holder = 4711');
    expect((await visit({ WEFT_DATABASE_URL: test.url })).of['event log']).toMatchObject({
      outcome: 'warning',
      detail: '5 positions, 5 not yet applied, no worker',
    });
  });

  it('finds that clocks agree, and a log that was written by a clock that ran ahead', async () => {
    test = await createTestDatabase();
    expect((await visit({ WEFT_DATABASE_URL: test.url })).of['clock']).toMatchObject({ outcome: 'ok' });
    await test.database.execute('UPDATE log_head SET accepted_at = $1', [Date.now() + 600_000]);
    const { code, of } = await visit({ WEFT_DATABASE_URL: test.url });
    expect(code).toBe(0);
    expect(of['clock']).toMatchObject({
      outcome: 'warning',
      detail: expect.stringMatching(/^the log's clock is 10 min ahead/) as string,
    });
  });

  it('says when the secret of sealed traits is missing, or is another one', async () => {
    test = await createTestDatabase();
    const secret = 'a secret of thirty-two characters or more';
    await checkSecret(test.database, new RootSecret(Buffer.from(secret)));
    const look = (env: Readonly<Record<string, string>>) => visit({ WEFT_DATABASE_URL: test?.url ?? '', ...env });
    expect((await look({})).of['sealed traits']).toMatchObject({ outcome: 'ok', detail: 'none' });
    await test.database.execute(
      `INSERT INTO trait_definitions (name, description, edge, updated_at, sealed) VALUES ('passport', '', false, 0, true)`,
    );
    const without = await look({});
    expect(without.code).toBe(1);
    expect(without.of['sealed traits']?.detail).toBe('there is no secret for passport');
    const other = await look({ WEFT_SECRET: 'another secret of thirty-two characters' });
    expect(other.of['sealed traits']?.detail).toBe('this is not the secret for passport');
    expect((await look({ WEFT_SECRET: secret })).of['sealed traits']).toMatchObject({ outcome: 'ok' });
  });

  it('fails for a database that a newer program migrated', async () => {
    test = await createTestDatabase();
    await test.database.execute(
      `INSERT INTO migrations (timestamp, name) VALUES (1900000000000, 'Later1900000000000')`,
    );
    const { code, of } = await visit({ WEFT_DATABASE_URL: test.url });
    expect(code).toBe(1);
    expect(of['migrations']).toMatchObject({ detail: 'this program does not know Later1900000000000' });
  });

  it('blames the database with its host and without its password', async () => {
    const { code, text, of } = await visit({ WEFT_DATABASE_URL: 'postgres://u:canary@127.0.0.1:1/shop' });
    expect(code).toBe(1);
    expect(of['database']).toMatchObject({
      outcome: 'failed',
      detail: 'the database cannot be reached (WEFT_DATABASE_URL, 127.0.0.1:1/shop)',
    });
    expect(text).not.toContain('canary');
  });

  it('blames Redis where Redis is away, and goes on with the rest', async () => {
    test = await createTestDatabase();
    const { code, text, of } = await visit({
      WEFT_DATABASE_URL: test.url,
      WEFT_REDIS_URL: 'redis://u:canary@127.0.0.1:1',
    });
    expect(code).toBe(1);
    expect(of).toMatchObject({ database: { outcome: 'ok' }, Redis: { outcome: 'failed' } });
    expect(of['Redis']?.detail).toBe('127.0.0.1:1: Redis cannot be reached (WEFT_REDIS_URL)');
    expect(text).not.toContain('canary');
  });

  it('fails for servers that are too old', async () => {
    const { server, url } = await oldRedis();
    try {
      const { code, of } = await visit({ WEFT_REDIS_URL: url });
      expect(code).toBe(1);
      expect(of['Redis']?.detail).toMatch(/Redis 6\.2\.14 is too old/);
    } finally {
      server.close();
    }
    expect(() => {
      demandServerVersion({ num: 140_012, version: '14.12' });
    }).toThrow('PostgreSQL 14.12 is too old');
    expect(() => {
      demandServerVersion({ num: 150_000, version: '15.0' });
    }).not.toThrow();
  });

  it('tells every variable that is wrong, and each that means nothing', async () => {
    const wrong = await visit({ WEFT_LOG_LEVEL: 'loud' });
    expect([wrong.code, wrong.of['configuration']?.detail]).toEqual([
      1,
      'WEFT_LOG_LEVEL is "loud", which is no log level',
    ]);
    const unknown = await visit({ WEFT_PROT: '80' });
    expect([unknown.code, unknown.of['configuration']?.outcome]).toEqual([0, 'warning']);
  });
});
