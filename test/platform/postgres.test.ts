import type { EventEmitter } from 'node:events';
import type pg from 'pg';
import { DataSource, type QueryRunner } from 'typeorm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WeftError } from '../../src/platform/errors.js';
import { createDataSource, Database } from '../../src/platform/postgres.js';
import { isRetryable, isUniqueViolation, type SqlError } from '../../src/platform/sql-errors.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';

let test: TestDatabase;
let db: Database;

beforeAll(async () => {
  test = await createTestDatabase();
  db = test.database;
  await db.query('CREATE TABLE things (id bigint PRIMARY KEY, name text UNIQUE, bytes bytea)');
});

afterAll(() => test.drop());

async function failure(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => undefined,
    (error: unknown) => error,
  );
}

async function codeOf(promise: Promise<unknown>): Promise<string | undefined> {
  const error = await failure(promise);
  return error instanceof WeftError ? error.code : undefined;
}

/** As of ES2024, which the oldest supported Node lacks. */
function withResolvers<T = void>(): { promise: Promise<T>; resolve: (value: T) => void } {
  let resolve: (value: T) => void = () => undefined;
  const promise = new Promise<T>((done) => (resolve = done));
  return { promise, resolve };
}

describe('values', () => {
  it('reads int8 and int8[] as numbers and bytea as a Buffer', async () => {
    const [row] = await db.query(
      `SELECT 9007199254740991::int8 AS big, '{1,-2}'::int8[] AS bigs, '{}'::int8[] AS none, '\\x00ff'::bytea AS bytes`,
    );
    expect(row).toEqual({ big: Number.MAX_SAFE_INTEGER, bigs: [1, -2], none: [], bytes: Buffer.from([0, 255]) });
  });

  it('refuses an int8 that a number cannot hold exactly', async () => {
    await expect(db.query('SELECT 9007199254740993::int8 AS big')).rejects.toThrow(/outside the range/);
    // The connection is still of use.
    expect(await db.query('SELECT 1 AS one')).toEqual([{ one: 1 }]);
  });
});

describe('a transaction', () => {
  it('keeps what it wrote when the callback resolves, and nothing when it throws', async () => {
    await db.transaction((tx) => tx.execute(`INSERT INTO things VALUES (1, 'kept')`));
    const own = new Error('mine');
    const thrown = await failure(
      db.transaction(async (tx) => {
        await tx.execute(`INSERT INTO things VALUES (2, 'lost')`);
        throw own;
      }),
    );
    expect(thrown).toBe(own);
    expect(await db.query('SELECT id FROM things WHERE id < 10')).toEqual([{ id: 1 }]);
  });

  it('does not resolve when a statement in it failed and the callback swallowed the error', async () => {
    const work = db.transaction(async (tx) => {
      await tx.execute(`INSERT INTO things VALUES (11, 'swallowed')`);
      await failure(tx.query('SELECT 1/0'));
    });
    await expect(work).rejects.toMatchObject({ code: 'INTERNAL', message: 'the transaction was rolled back' });
    expect(await db.query('SELECT FROM things WHERE id = 11')).toHaveLength(0);
  });

  it('refuses statements once it is over', async () => {
    const leaked = await db.transaction((tx) => Promise.resolve(tx));
    await expect(leaked.query('SELECT 1')).rejects.toThrow(/transaction is over/);
  });

  it('runs prepared statements and tells how many rows they changed', async () => {
    const insert = { name: 'insert-thing', text: 'INSERT INTO things (id, name) SELECT unnest($1::int8[]), NULL' };
    const changed = await db.transaction(async (tx) => {
      await tx.run({ ...insert, values: [[20, 21]] });
      return (await tx.run({ ...insert, values: [[22, 23, 24]] })).rowCount;
    });
    expect(changed).toBe(3);
  });

  it('runs statements that do not wait for each other in the order they were begun', async () => {
    const rows = await db.transaction(async (tx) => {
      const step = { name: 'things-next', text: 'INSERT INTO things SELECT coalesce(max(id), 0) + 1, $1 FROM things' };
      await Promise.all(['first', 'second', 'third'].map((name) => tx.run({ ...step, values: [name] })));
      return tx.query<{ name: string }>('SELECT name FROM things ORDER BY id DESC LIMIT 3');
    });
    expect(rows.map((row) => row.name)).toEqual(['third', 'second', 'first']);
  });

  it('fails with the first error of statements begun together, writes nothing, and leaves the connection usable', async () => {
    const before = await db.query('SELECT id FROM things');
    const work = db.transaction((tx) =>
      Promise.all([
        tx.execute(`INSERT INTO things VALUES (700, 'x')`),
        tx.run({ name: 'divide', text: 'SELECT 1 / $1::int', values: [0] }),
        tx.run({ name: 'never-reached', text: 'INSERT INTO things VALUES ($1, NULL)', values: [701] }),
      ]),
    );
    await expect(work).rejects.toMatchObject({ sqlState: '22012' });
    expect(await db.query('SELECT id FROM things')).toEqual(before);
    const again = { name: 'never-reached', text: 'INSERT INTO things VALUES ($1, NULL)', values: [702] };
    expect((await db.run(again)).rowCount).toBe(1);
    await db.execute('DELETE FROM things WHERE id = 702');
  });

  it('is rolled back and its connection closed when it takes too long, and fails once its work has ended', async () => {
    const goesOn = withResolvers();
    const started = withResolvers<number>();
    let later: Promise<unknown> | undefined;
    let isOver = false;
    const work = db.transaction(
      async (tx) => {
        await tx.execute(`INSERT INTO things VALUES (30, 'slow')`);
        const [row] = await tx.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
        started.resolve(row?.pid ?? 0);
        await goesOn.promise;
        later = tx.execute(`INSERT INTO things VALUES (31, 'late')`);
        await later;
      },
      { timeoutMs: 500 },
    );
    void work.catch(() => (isOver = true));
    const pid = await started.promise;
    while ((await db.query('SELECT FROM pg_stat_activity WHERE pid = $1', [pid])).length > 0);
    expect(isOver).toBe(false);
    goesOn.resolve();
    expect(await codeOf(work)).toBe('UNAVAILABLE');
    await expect(later).rejects.toThrow('over');
    expect(await db.query('SELECT FROM things WHERE id IN (30, 31)')).toHaveLength(0);
  });

  it('ends at its limit also where a statement goes on', async () => {
    const startedAt = performance.now();
    const work = db.transaction((tx) => tx.query('SELECT pg_sleep(20)'), { timeoutMs: 100 });
    expect(await codeOf(work)).toBe('UNAVAILABLE');
    expect(performance.now() - startedAt).toBeLessThan(10_000);
  });

  it('survives an error that comes with the very packet that made its connection ready', async () => {
    const { master: pool } = db.dataSource.driver as unknown as { master: pg.Pool };
    // Microtasks of the pool's event come before those of who asked for the connection.
    pool.once('acquire', (client: EventEmitter) => {
      queueMicrotask(() => client.emit('error', new Error('farewell')));
    });
    await expect(db.transaction((tx) => tx.query('SELECT 1 AS one'))).resolves.toEqual([{ one: 1 }]);
  });

  it('survives that the server closes its connection, and says that the database is unavailable', async () => {
    const other = await test.connect({ poolSize: 1 });
    const error = await failure(
      other.transaction(async (tx) => {
        const [row] = await tx.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
        await db.query('SELECT pg_terminate_backend($1)', [row?.pid]);
        await tx.query('SELECT 1');
      }),
    );
    expect(error).toMatchObject({ code: 'UNAVAILABLE', retryable: true });
    expect(await other.query('SELECT 1 AS one')).toEqual([{ one: 1 }]);
  });
});

describe('errors', () => {
  it('names the violated unique constraint, and quotes no data', async () => {
    await db.execute(`INSERT INTO things VALUES (40, 'ann@example.com')`);
    const error = await failure(db.execute(`INSERT INTO things VALUES (41, 'ann@example.com')`));
    expect(error).toMatchObject({ code: 'CONFLICT', constraint: 'things_name_key', retryable: false });
    expect(isUniqueViolation(error, 'things_name_key')).toBe(true);
    expect(isUniqueViolation(error, 'things_pkey')).toBe(false);
    expect((error as SqlError).message).not.toContain('ann');
  });

  it('calls the victim of a deadlock retryable', async () => {
    await db.execute(`INSERT INTO things VALUES (50, 'a'), (51, 'b')`);
    const meet = barrier(2);
    const lockBoth = (first: number, second: number): Promise<void> =>
      db.transaction(async (tx) => {
        await tx.query('SELECT FROM things WHERE id = $1 FOR UPDATE', [first]);
        await meet();
        await tx.query('SELECT FROM things WHERE id = $1 FOR UPDATE', [second]);
      });
    const [a, b] = await Promise.all([failure(lockBoth(50, 51)), failure(lockBoth(51, 50))]);
    expect([a, b].filter((error) => error === undefined)).toHaveLength(1);
    expect(isRetryable(a ?? b)).toBe(true);
  });

  it('tells an unreachable server, a wrong password and a missing database apart, without the password', async () => {
    const open = async (change: (url: URL) => void): Promise<WeftError> => {
      const url = new URL(test.url);
      change(url);
      const error = await failure(createDataSource(url.href).then((source) => Database.open(source)));
      expect(error).toBeInstanceOf(WeftError);
      expect(JSON.stringify(error)).not.toContain('canary');
      return error as WeftError;
    };
    expect((await open((url) => (url.port = '1'))).code).toBe('UNAVAILABLE');
    expect((await open((url) => ([url.username, url.password] = ['nobody', 'canary']))).message).toMatch(
      /user or the password/,
    );
    expect((await open((url) => (url.pathname = '/nowhere'))).message).toMatch(/does not exist/);
  });
});

describe('migrations', () => {
  it('run up, down and up again, and leave the same schema', async () => {
    const fresh = await createTestDatabase({ empty: true });
    try {
      const count = fresh.database.dataSource.migrations.length;
      expect(await fresh.database.runMigrations()).toHaveLength(count);
      const before = await schemaOf(fresh.database);
      for (let i = 0; i < count; i += 1) await fresh.database.dataSource.undoLastMigration();
      expect((await schemaOf(fresh.database)).filter((line) => !line.startsWith('migrations.'))).toEqual([]);
      expect(await fresh.database.runMigrations()).toHaveLength(count);
      expect(await schemaOf(fresh.database)).toEqual(before);
    } finally {
      await fresh.drop();
    }
  });

  it('may take longer than any other statement', async () => {
    class Slow1800000000000 {
      readonly name = 'Slow1800000000000';
      up = (runner: QueryRunner): Promise<unknown> => runner.query('SELECT pg_sleep(0.3)');
      down = (): Promise<void> => Promise.resolve();
    }
    const fresh = await createTestDatabase({ empty: true });
    try {
      const { options } = await createDataSource(fresh.url, { statementTimeoutMs: 100 });
      const impatient = await Database.open(new DataSource({ ...options, migrations: [Slow1800000000000] }));
      await expect(impatient.query('SELECT pg_sleep(0.3)')).rejects.toMatchObject({ code: 'UNAVAILABLE' });
      // One transaction may take its time, and nobody after it.
      await impatient.transaction((tx) => tx.query('SELECT pg_sleep(0.3)'), { statementTimeoutMs: 20_000 });
      await expect(impatient.query('SELECT pg_sleep(0.3)')).rejects.toMatchObject({ code: 'UNAVAILABLE' });
      expect(await impatient.runMigrations()).toEqual(['Slow1800000000000']);
      await impatient.close();
    } finally {
      await fresh.drop();
    }
  });

  it('run once when two processes start together', async () => {
    const fresh = await createTestDatabase({ empty: true });
    try {
      const other = await fresh.connect();
      const ran = await Promise.all([fresh.database.runMigrations(), other.runMigrations()]);
      expect(ran.map((names) => names.length).sort()).toEqual([0, fresh.database.dataSource.migrations.length]);
    } finally {
      await fresh.drop();
    }
  });
});

/** Resolves for all callers once `size` of them wait. */
function barrier(size: number): () => Promise<void> {
  const waiting: (() => void)[] = [];
  return () =>
    new Promise((resolve) => {
      waiting.push(resolve);
      if (waiting.length === size) for (const go of waiting) go();
    });
}

async function schemaOf(database: Database): Promise<string[]> {
  const rows = await database.query<{ line: string }>(
    `SELECT table_name || '.' || column_name || ' ' || data_type || ' ' || is_nullable AS line
     FROM information_schema.columns WHERE table_schema = 'public'
     UNION ALL SELECT tablename || '.' || indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1`,
  );
  return rows.map((row) => row.line);
}
