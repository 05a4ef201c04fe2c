import fc from 'fast-check';
import pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';

import { WeftError } from '../../src/platform/errors.js';
import { loadWarehouse } from '../../src/sources/load-warehouse.command.js';
import { parseMapping } from '../../src/sources/parse-mapping.js';
import type {
  WarehouseLoadRequest,
  WarehouseLoadResult,
  WarehouseLoadService,
} from '../../src/sources/warehouse/warehouse-load.service.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { createLoadWorld, type LoadOverrides, type LoadWorld } from '../support/load-world.js';
import { readLog } from '../support/tracking-server.js';

let world: LoadWorld;
/** The database of somebody else. */
let crm: TestDatabase;

beforeAll(async () => {
  [world, crm] = await Promise.all([createLoadWorld(), createTestDatabase({ empty: true })]);
});
afterAll(async () => {
  await Promise.all([world.close(), crm.drop()]);
});

let sourceNumber = 0;
beforeEach(async () => {
  sourceNumber++;
  await crm.database.execute('DROP TABLE IF EXISTS people CASCADE');
  await crm.database.execute(
    `CREATE TABLE people (id int8 PRIMARY KEY, email text, plan text, score numeric, tags text[], updated_at timestamptz)`,
  );
});

const FROM = `
  postgres: { url_env: CRM_DATABASE_URL, query: "SELECT * FROM people;" }
  cursor: updated_at`;

/** A mapping into a source of its own for each test. */
function mappingOf(from = FROM, key = '{id}-{updated_at}') {
  return parseMapping(`
source: crm${String(sourceNumber)}
from: ${from}
key: "${key}"
time: updated_at
identifiers: { crm_id: id }
event: { type: identify }
traits: { plan: plan, score: score, tags: tags }
`);
}

function service(variables: Record<string, string> = { CRM_DATABASE_URL: crm.url }, overrides?: LoadOverrides) {
  return world.warehouseLoads({ readVariable: (name) => variables[name] }, overrides);
}

function load(from?: string, more?: Partial<WarehouseLoadRequest>): Promise<WarehouseLoadResult> {
  return service().load({ mapping: mappingOf(from), ...more });
}

/** People from and to these numbers, a second between the changes of one and the next. */
async function change(from: number, to: number, at = '2025-06-01T00:00:00Z', everySeconds = 1): Promise<void> {
  await crm.database.execute(
    `INSERT INTO people
     SELECT i, 'p' || i || '@example.com', 'free', i + 0.25, ARRAY['a', 'b'], $3::timestamptz + i * $4 * interval '1 s'
     FROM generate_series($1::int8, $2::int8) AS i
     ON CONFLICT (id) DO UPDATE SET updated_at = excluded.updated_at, plan = 'paid'`,
    [from, to, at, everySeconds],
  );
}

async function loggedOfThisTest(): Promise<string[]> {
  const source = await world.services.sources.findByKey(`crm${String(sourceNumber)}`);
  const events = await readLog(world.services.log, 0);
  return events.flatMap(({ sourceId, messageId }) => (sourceId === source?.id ? [messageId] : [])).sort();
}

async function refusal(work: Promise<unknown>): Promise<WeftError> {
  const error: unknown = await work.then(
    () => null,
    (reason: unknown) => reason,
  );
  if (error instanceof WeftError) return error;
  throw new Error(`no refusal: ${String(error)}`);
}

describe('a load of the rows of a PostgreSQL query', () => {
  it('brings in all rows at first, and then what is new or changed', async () => {
    await change(1, 250);
    const first = await load(`${FROM}\n  window: 100`);
    expect(first).toMatchObject({ outcome: 'loaded', loads: 3, rows: 250, accepted: 250, duplicates: 0, refused: 0 });
    expect(first.position).toBe('2025-06-01 00:04:10+00');

    await change(7, 7, '2025-06-02T00:00:00.123456Z');
    await change(251, 260, '2025-06-02T00:00:00Z');
    const second = await load(`${FROM}\n  window: 100`);
    expect(second.accepted).toBe(11);
    expect(second.position).toBe('2025-06-02 00:04:20+00');
    expect(await loggedOfThisTest()).toContain('7-2025-06-02T00:00:07.123456Z');
  });

  it('sends nothing where there is nothing new, and all again when asked to, which doubles nothing', async () => {
    await change(1, 20);
    await load();
    const idle = await load();
    expect(idle).toMatchObject({
      outcome: 'already_loaded',
      accepted: 0,
      refused: 0,
      position: '2025-06-01 00:00:20+00',
    });
    const full = await load(FROM, { full: true });
    expect(full).toMatchObject({ rows: 20, accepted: 0, duplicates: 20 });
    expect(await loggedOfThisTest()).toHaveLength(20);
  });

  it('finds rows whose transactions ended after later ones were loaded, within the overlap', async () => {
    await change(1, 10, '2025-06-01T00:00:00Z');
    await load();
    await change(101, 101, '2025-05-31T23:58:00Z');
    expect((await load()).accepted).toBe(1);
    await change(102, 102, '2025-05-30T00:00:00Z');
    expect((await load()).accepted).toBe(0);
    expect((await load(`${FROM}\n  overlap: 3d`)).accepted).toBe(1);
  });

  it('keeps rows of one cursor value together, however small windows are', async () => {
    await change(1, 120, '2025-06-01T00:00:00Z', 0);
    await change(121, 130);
    const result = await load(`${FROM}\n  window: 1`);
    expect(result).toMatchObject({ loads: 11, rows: 130, accepted: 130 });
  });

  it('goes on after a stop as if there had been none', async () => {
    await change(1, 300);
    const abort = new AbortController();
    let batches = 0;
    const { accept } = world.services;
    const stopping = service(undefined, {
      acceptor: {
        accept: (source, events, options) => {
          batches++;
          if (batches === 2) abort.abort();
          return accept.accept(source, events, options);
        },
      },
    });
    const mapping = mappingOf(`${FROM}\n  window: 100`);
    const stopped = await stopping.load({ mapping, signal: abort.signal });
    expect(stopped.outcome).toBe('interrupted');
    expect(['2025-06-01 00:01:40+00', '2025-06-01 00:03:20+00']).toContain(stopped.position);
    const resumed = await service().load({ mapping });
    expect(resumed.outcome).toBe('loaded');
    expect(await loggedOfThisTest()).toHaveLength(300);
  });

  it('is not blinded by a row that is dated ahead', async () => {
    await change(1, 3);
    await change(999, 999, '2999-01-01T00:00:00Z');
    const first = await load();
    expect(first.accepted).toBe(4);
    expect(Date.parse(first.position ?? '')).toBeLessThanOrEqual(Date.now() + 60_000);
    await crm.database.execute(`INSERT INTO people (id, updated_at) VALUES (5, now())`);
    expect((await load()).accepted).toBe(1);
  });

  it('reads on by numbers, and leaves out rows without one', async () => {
    const from = `{ postgres: { url_env: CRM_DATABASE_URL, query: SELECT * FROM people }, cursor: score, overlap: 5 }`;
    await change(1, 9);
    await crm.database.execute(
      `INSERT INTO people (id, score, updated_at) VALUES (50, NULL, now()), (51, 'NaN', now())`,
    );
    expect(await load(from)).toMatchObject({ rows: 9, position: '9.25' });
    await change(10, 12);
    expect(await load(from)).toMatchObject({ accepted: 3, position: '12.25' });
  });

  it('reads all rows each time without a cursor, and knows those that it has', async () => {
    const from = `{ postgres: { url_env: CRM_DATABASE_URL, query: SELECT * FROM people ORDER BY id } }`;
    await change(1, 5);
    expect(await load(from)).toMatchObject({ outcome: 'loaded', accepted: 5, position: null });
    expect(await load(from)).toMatchObject({ outcome: 'already_loaded', accepted: 0, duplicates: 5 });
    await change(6, 6);
    expect(await load(from)).toMatchObject({ outcome: 'loaded', accepted: 1, duplicates: 5 });
  });

  it('shows rows of a group to one load, however small windows are', async () => {
    await change(1, 40);
    const from = `${FROM.replace('SELECT *', 'SELECT id % 4 + 11 AS team, *')}\n  window: 1`;
    const mapping = parseMapping(`
source: crm${String(sourceNumber)}
from: ${from}
group: { by: [team] }
key: "{team}"
identifiers: { crm_id: team }
event: { type: track, name: counted }
properties: { people: { count: true } }
`);
    expect(await service().load({ mapping })).toMatchObject({ loads: 1, rows: 40, accepted: 4 });
  });

  it('tells on the command line what came of it', async () => {
    await change(1, 15);
    let output = '';
    const command = {
      withWarehouseLoads: <T>(_isDryRun: boolean, use: (loads: WarehouseLoadService) => Promise<T>) => use(service()),
      stdout: { write: (text: string) => (output += text) },
    };
    const request = { mapping: mappingOf(`${FROM}\n  window: 10`) };
    expect(await loadWarehouse(command, request, { dryRun: true }, null)).toBe(0);
    expect(output).toContain('There are more rows');
    expect(await loadWarehouse(command, request, {}, null)).toBe(0);
    expect(output).toContain('rows        15, in 2 loads');
    expect(output).toContain('up to       2025-06-01 00:00:15+00');
    output = '';
    expect(await loadWarehouse(command, request, {}, null)).toBe(0);
    expect(output).toContain('Nothing new.');
    await expect(loadWarehouse(command, request, { replace: 'x' }, null)).rejects.toThrow('--replace loads a file');
  });

  it('says in a dry run what the first window would become, and writes nothing', async () => {
    await change(1, 30);
    const { checked, hasMore } = await service().dryRun({ mapping: mappingOf(`${FROM}\n  window: 10`) });
    expect(hasMore).toBe(true);
    expect(checked).toMatchObject({ rows: 10, refused: 0 });
    expect(checked?.firstEvents[0]).toMatchObject({
      messageId: '1-2025-06-01T00:00:01Z',
      identifiers: [{ ns: 'crm_id', value: '1' }],
      traits: { plan: 'free', score: 1.25, tags: ['a', 'b'] },
    });
    expect(await loggedOfThisTest()).toEqual([]);
  });

  it('loads whatever order changes come in what one load of the last state would, for each change that it saw', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.record({
            id: fc.integer({ min: 1, max: 8 }),
            at: fc.integer({ min: 0, max: 20 }),
            thenLoad: fc.boolean(),
          }),
          { maxLength: 12 },
        ),
        fc.integer({ min: 1, max: 4 }),
        async (changes, window) => {
          sourceNumber++;
          await crm.database.execute('TRUNCATE people');
          const seen = new Set<string>();
          const state = new Map<number, number>();
          const loadNow = async (): Promise<void> => {
            await load(`${FROM}\n  overlap: 1h\n  window: ${String(window)}`);
            for (const [id, at] of state) seen.add(`${String(id)}-${secondsText(at)}`);
          };
          for (const { id, at, thenLoad } of changes) {
            state.set(id, at);
            await change(id, id, new Date(Date.UTC(2025, 0, 1) + at * 1_000).toISOString(), 0);
            if (thenLoad) await loadNow();
          }
          await loadNow();
          expect(await loggedOfThisTest()).toEqual([...seen].sort());
        },
      ),
      { numRuns: 8 },
    );
  });
});

function secondsText(at: number): string {
  return new Date(Date.UTC(2025, 0, 1) + at * 1_000).toISOString().replace('.000Z', 'Z');
}

describe('what a load of rows refuses', () => {
  const withQuery = (query: string, more = ''): string =>
    `\n  postgres: { url_env: CRM_DATABASE_URL, query: "${query}" }\n  cursor: updated_at${more}`;

  it('a query that changes anything, in whatever way it is written', async () => {
    await change(1, 2);
    const writing = 'WITH gone AS (DELETE FROM people RETURNING *) SELECT * FROM gone';
    expect((await refusal(load(withQuery(writing)))).code).toBe('BAD_REQUEST');
    const two = 'SELECT * FROM people) AS a; DELETE FROM people; SELECT * FROM (SELECT * FROM people';
    expect((await refusal(load(withQuery(two)))).code).toBe('BAD_REQUEST');
    await crm.database.execute(
      `CREATE OR REPLACE FUNCTION sneak() RETURNS SETOF people LANGUAGE sql AS 'DELETE FROM people RETURNING *'`,
    );
    expect((await refusal(load(withQuery('SELECT * FROM sneak()')))).message).toBe(
      'the query writes, and a load only reads',
    );
    expect(await crm.database.query('SELECT id FROM people')).toHaveLength(2);
  });

  it('a query that the database refuses, by its message; a column that there is not; a cursor of no order', async () => {
    expect((await refusal(load(withQuery('SELECT nam FROM people')))).message).toContain('column "nam" does not exist');
    expect((await refusal(load(withQuery('SELECT id, updated_at FROM people')))).message).toContain('no column "plan"');
    const twice = withQuery('SELECT p.*, 7 AS id FROM people p');
    expect((await refusal(load(twice))).message).toContain('column "id" occurs more than once');
    const cursor = FROM.replace('cursor: updated_at', 'cursor: email');
    expect((await refusal(load(cursor))).message).toContain('it is of the type text');
    expect((await refusal(load(`${FROM}\n  overlap: 5`))).hint).toContain('10m');
  });

  it('a database that cannot be reached or a variable that is not set, without its password', async () => {
    const unset = await refusal(service({}).load({ mapping: mappingOf() }));
    expect(unset).toMatchObject({ code: 'NOT_CONFIGURED', where: 'CRM_DATABASE_URL' });
    const secret = 'hidden-password';
    const url = new URL(crm.url);
    url.password = secret;
    url.pathname = '/no_such_database';
    for (const wrong of [url.href, `postgres://u:${secret}@127.0.0.1:1/db`, `mysql://u:${secret}@host/db`, secret]) {
      const error = await refusal(service({ CRM_DATABASE_URL: wrong }).load({ mapping: mappingOf() }));
      expect(error.where).toContain('CRM_DATABASE_URL');
      expect(`${error.message} ${error.where ?? ''} ${error.hint ?? ''} ${String(error.cause)}`).not.toContain(secret);
    }
  });

  it('to wait longer than its time-out, and to quote values', async () => {
    const slow = `\n  postgres: { url_env: CRM_DATABASE_URL, query: "SELECT *, pg_sleep(60) FROM people", timeout: 1s }`;
    await change(1, 1);
    expect((await refusal(load(slow))).message).toBe('the database took longer for the query than it may');
    const error = await refusal(load(withQuery('SELECT email::int8 AS id, plan, score, tags, updated_at FROM people')));
    expect(`${error.message} ${error.hint ?? ''}`).not.toContain('p1@example.com');
  });

  it('to run on when it is stopped while the database works', async () => {
    await change(1, 1);
    const abort = new AbortController();
    const mapping = mappingOf(
      `\n  postgres: { url_env: CRM_DATABASE_URL, query: "SELECT *, pg_sleep(60) FROM people" }`,
    );
    const running = service().load({ mapping, signal: abort.signal });
    const watcher = new pg.Client({ connectionString: crm.url });
    await watcher.connect();
    for (;;) {
      const { rowCount } = await watcher.query(
        `SELECT FROM pg_stat_activity WHERE application_name = 'weft load' AND query LIKE 'FETCH%' AND wait_event = 'PgSleep'`,
      );
      if (rowCount === 1) break;
    }
    abort.abort();
    expect((await running).outcome).toBe('interrupted');
    for (;;) {
      const { rowCount } = await watcher.query(
        `SELECT FROM pg_stat_activity WHERE application_name = 'weft load' AND wait_event = 'PgSleep'`,
      );
      if (rowCount === 0) break;
    }
    await watcher.end();
  });
});

describe('the "from" of a mapping', () => {
  const problemsOf = (text: string): string => {
    try {
      parseMapping(`source: crm\nidentifiers: { crm_id: id }\nevent: { type: identify }\n${text}`);
      return '';
    } catch (error) {
      return String(error);
    }
  };

  it('says all that is wrong, where, and repeats no URL', () => {
    const url = 'postgres://u:hidden-password@host/db';
    const problems = problemsOf(`
format: csv
from: { postgres: { url_env: "${url}", query: DELETE FROM people }, overlap: 10 minutes }`);
    expect(problems).toContain('must be the name of an environment variable');
    expect(problems).toContain('begins with SELECT');
    expect(problems).toContain('it needs "cursor"');
    expect(problems).toContain('write 10m');
    expect(problems).toContain('is of files');
    expect(problems).toContain('"key" is missing');
    expect(problems).not.toContain('hidden-password');
    expect(problemsOf('from: { postgres: { url_env: WEFT_DATABASE_URL, query: SELECT 1 } }')).toContain("Weft's own");
  });
});
