import { appendFile, mkdtemp, readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { parquetWriteBuffer } from 'hyparquet-writer';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseTimestamp } from '../../src/api/parse-timestamp.js';
import { createLabelReaders } from '../../src/create-label-readers.js';
import { EventHistoryReader } from '../../src/events/event-history.reader.js';
import { exportCommand } from '../../src/features/export.command.js';
import type { TrainingSetManifest } from '../../src/features/training-set-file.js';
import type { TrainingSetRequest } from '../../src/features/training-set-request.model.js';
import { TrainingSetService } from '../../src/features/training-set.service.js';
import { DEFAULT_IDENTITY_RULES } from '../../src/identity/identity-rules.model.js';
import { IdentityHistoryReader } from '../../src/identity/identity-history.reader.js';
import { aFeature } from '../support/a-feature.js';
import { runWith, type CommandOutcome } from '../support/command-runner.js';
import { aTrack, createWorld, HOUR_MS, type World } from '../support/world.js';

const ROWS = 60;
const BLOCK_ROWS = 20;
/** An hour each. */
const FIRST_MS = Date.parse('2023-10-25T12:00:00Z');

let world: World;
let folder: string;
let sets: TrainingSetService;
let csv: TrainingSetManifest;

beforeAll(async () => {
  world = await createWorld();
  folder = await mkdtemp(join(tmpdir(), 'weft-labels-'));
  await world.defineFeatures([aFeature('views', { events: ['view'] })]);
  await world.accept(
    Array.from({ length: 30 }, (_, i) => aTrack('view', { user_id: `u${String(i % 7)}` }, { timestampMs: timeOf(i) })),
  );
  await world.drain();
  world.clock.advance(HOUR_MS);
  const events = new EventHistoryReader();
  const identity = new IdentityHistoryReader({ rules: DEFAULT_IDENTITY_RULES, events });
  const { db, clock, engine } = world;
  sets = new TrainingSetService({ db, clock, policy: engine.policy, identity, events, chunkRows: 7 });
  const rows = LABELS.map((row) => Object.values(row).map((cell) => `"${String(cell).replaceAll('"', '""')}"`));
  await writeFile(join(folder, 'labels.csv'), ['ns,value,time,label,note', ...rows].join('\n'));
  csv = manifestOf(await run(['-l', 'labels.csv', '-o', 'csv.parquet']));
  // A warehouse is another database: here it is other tables of the same.
  await world.test.database.execute(
    'CREATE TABLE warehouse_orders (id int8, who text, paid_at timestamptz, n int, note text)',
  );
  await fillOrders();
});
afterAll(async () => {
  await world.close();
  await rm(folder, { recursive: true });
});

function timeOf(i: number): number {
  return FIRST_MS + i * HOUR_MS;
}

const LABELS = Array.from({ length: ROWS }, (_, i) => ({
  ns: 'user_id',
  value: `u${String(i % 11)}`,
  time: new Date(timeOf(i)).toISOString(),
  label: i % 2,
  note: i % 3 === 0 ? 'Grüße, "Ünï" 🙂' : `plain ${String(i)}`,
}));

async function fillOrders(): Promise<void> {
  await world.test.database.execute(
    `INSERT INTO warehouse_orders SELECT * FROM unnest($1::int8[], $2::text[], $3::timestamptz[], $4::int[], $5::text[])`,
    [
      LABELS.map((_, i) => i),
      LABELS.map(({ value }) => value),
      LABELS.map(({ time }) => time),
      LABELS.map(({ label }) => label),
      LABELS.map(({ note }) => note),
    ],
  );
}

const QUERY = `SELECT 'user_id' AS ns, who AS value, paid_at AS time, n AS label, note FROM warehouse_orders ORDER BY id`;

async function aQuery(name: string, query = QUERY, more = ''): Promise<void> {
  const from = `from:\n  postgres: { url_env: SHOP_URL, query: ${JSON.stringify(query)} }\n`;
  await writeFile(join(folder, name), `${from}${more}`);
}

/** @param dieAfter label rows after which the run is torn down */
function run(args: readonly string[], dieAfter = Infinity): Promise<CommandOutcome> {
  const controller = new AbortController();
  const dying = {
    planSplit: sets.planSplit.bind(sets),
    erasureMark: sets.erasureMark.bind(sets),
    exportTrainingSet: (request: TrainingSetRequest) =>
      sets.exportTrainingSet({
        ...request,
        onProgress: (progress) => {
          request.onProgress?.(progress);
          if (progress.rows >= dieAfter) controller.abort();
        },
      }),
  };
  const inFolder = args.map((arg) => (/\.\w{2,7}$/.test(arg) ? join(folder, arg) : arg));
  const variables: Readonly<Record<string, string>> = { SHOP_URL: world.test.url };
  return runWith(
    (io) =>
      exportCommand({
        ...io,
        withTrainingSets: (use) => use(dying),
        withLabels: () => Promise.reject(new Error('no labels are made here')),
        withTables: () => Promise.reject(new Error('not asked for')),
        ...createLabelReaders(world.clock, (name) => variables[name]),
        keptBlockRows: BLOCK_ROWS,
        signal: controller.signal,
        clock: world.clock,
        parseTime: parseTimestamp,
      }),
    ['training-set', ...(args.includes('--reproduce') ? [] : ['-f', 'views']), '--json', ...inFolder],
  );
}

function manifestOf({ stdout, stderr }: CommandOutcome): TrainingSetManifest {
  expect(stderr).not.toContain('error');
  return JSON.parse(stdout) as TrainingSetManifest;
}

/** A zstd frame (RFC 8878) with its content as it is. */
function zstdOf(content: Buffer): Buffer {
  const head = Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0xa0, 0, 0, 0, 0, 0, 0, 0]);
  head.writeUInt32LE(content.length, 5);
  head.writeUIntLE((content.length << 3) | 1, 9, 3);
  return Buffer.concat([head, content]);
}

const filesOf = async (name: string): Promise<string[]> =>
  (await readdir(folder)).filter((file) => file.startsWith(name)).sort();

describe('labels of a file', () => {
  it.each(['labels.jsonl', 'labels.ndjson.gz', 'labels.csv.zst', 'labels.parquet'])(
    'give the same set as %s as they do as CSV',
    async (name) => {
      const lines = `${LABELS.map((row) => JSON.stringify(row)).join('\n')}\n`;
      const column = (key: keyof (typeof LABELS)[number]) => LABELS.map((row) => row[key]);
      const bytes = {
        'labels.jsonl': () => Buffer.from(lines),
        'labels.ndjson.gz': () => gzipSync(lines),
        'labels.csv.zst': async () => zstdOf(await readFile(join(folder, 'labels.csv'))),
        'labels.parquet': () =>
          Buffer.from(
            parquetWriteBuffer({
              columnData: [
                { name: 'ns', data: column('ns'), type: 'STRING' },
                { name: 'value', data: column('value'), type: 'STRING' },
                { name: 'time', data: column('time').map((time) => new Date(time)), type: 'TIMESTAMP' },
                { name: 'label', data: column('label'), type: 'INT32' },
                { name: 'note', data: column('note'), type: 'STRING' },
              ],
            }),
          ),
      }[name];
      await writeFile(join(folder, name), (await bytes?.()) ?? '');
      const made = manifestOf(await run(['-l', name, '-o', 'other.parquet', '--force']));
      expect(made).toMatchObject({ sha256: csv.sha256, rows: ROWS, labels: { file: name } });
      const again = await run(['--reproduce', 'other.parquet.manifest.json', '-o', 'again.parquet', '--force']);
      expect(again).toMatchObject({ code: 0, stderr: expect.stringContaining('to the byte') as string });
    },
  );

  it.each([
    ['a line that is no JSON', 'bad.jsonl', `${JSON.stringify(LABELS[0])}\n{"ns":\n`, 'bad.jsonl, row 2'],
    ['a time that is none', 'bad.jsonl', JSON.stringify({ ...LABELS[0], time: 'soon' }), '"soon" is no time'],
    ['a column that is missing', 'bad.jsonl', '{"ns":"a","value":"b"}', 'there is no column time'],
    ['CSV that says it is Parquet', 'bad.parquet', 'ns,value,time\n', 'end the name with'],
    ['no file', 'none.parquet', null, 'cannot be opened'],
  ])('is refused by place for %s', async (_, name, content, message) => {
    if (content !== null) await writeFile(join(folder, name), content);
    const { code, stderr } = await run(['-l', name, '-o', 'refused.csv']);
    expect(code).not.toBe(0);
    expect(stderr).toContain(message);
    expect(await filesOf('refused')).toEqual([]);
  });
});

describe('labels of a query', () => {
  it('are kept beside the set, which is that of the same rows in a file, and names the query', async () => {
    await aQuery('orders.yaml');
    const outcome = await run(['--label-query', 'orders.yaml', '-o', 'asked.parquet']);
    expect(outcome.stderr).toContain('note: asked.parquet.labels.csv has 60 labels of SHOP_URL, ');
    expect(manifestOf(outcome)).toMatchObject({
      sha256: csv.sha256,
      labels: {
        file: 'asked.parquet.labels.csv',
        query: { text: QUERY, answeredAt: new Date(world.clock.now()).toISOString() },
      },
    });
    const kept = await readFile(join(folder, 'asked.parquet.labels.csv.manifest.json'), 'utf8');
    expect(JSON.parse(kept)).toMatchObject({ file: 'asked.parquet.labels.csv', rows: ROWS, query: { text: QUERY } });
    expect(kept).not.toContain(new URL(world.test.url).password || 'postgres://');

    await world.test.database.execute('DELETE FROM warehouse_orders');
    const again = await run(['--reproduce', 'asked.parquet.manifest.json', '-o', 'again.parquet', '--force']);
    expect(manifestOf(again)).toMatchObject({ sha256: csv.sha256, labels: { query: { text: QUERY } } });
    await fillOrders();
  });

  it('reads local times in the zone that is named, and refuses to guess one', async () => {
    const local = QUERY.replace('paid_at AS', "paid_at AT TIME ZONE 'Asia/Kolkata' AS");
    await aQuery('local.yaml', local);
    const refused = await run(['--label-query', 'local.yaml', '-o', 'local.parquet']);
    expect(refused.code).toBe(2);
    expect(refused.stderr).toContain('the time "2023-10-25T17:30:00" names no time zone\n  at: local.yaml, row 1');
    expect(await filesOf('local.')).toEqual(['local.yaml']);
    await aQuery('local.yaml', local, 'zone: Asia/Kolkata\n');
    expect(manifestOf(await run(['--label-query', 'local.yaml', '-o', 'local.parquet']))).toMatchObject({
      sha256: csv.sha256,
      labels: { query: { zone: 'Asia/Kolkata' } },
    });
    await aQuery('texts.yaml', QUERY.replace('paid_at AS', '(extract(epoch FROM paid_at) * 1000)::int8::text AS'));
    expect(manifestOf(await run(['--label-query', 'texts.yaml', '-o', 'texts.parquet'])).sha256).toBe(csv.sha256);
  });

  it('goes on with the labels that it had where it was torn down, whatever the database answers by then', async () => {
    await aQuery('torn.yaml');
    const args = ['--label-query', 'torn.yaml', '-o', 'torn.parquet'];
    expect((await run(args, 30)).code).toBe(130);
    await world.test.database.execute(`UPDATE warehouse_orders SET n = 1 - n, note = 'changed'`);
    const last = await run(args);
    expect(last.stderr).toContain('--restart asks again');
    expect(manifestOf(last).sha256).toBe(csv.sha256);
    const anew = manifestOf(await run([...args, '--force']));
    expect(anew.sha256).not.toBe(csv.sha256);

    expect((await run([...args, '--force'], 30)).code).toBe(130);
    await world.test.database.execute('DELETE FROM warehouse_orders');
    expect(manifestOf(await run([...args, '--force', '--restart'])).rows).toBe(0);
    await fillOrders();
  });

  it('asks again once what a torn run kept is older than a day', async () => {
    await aQuery('old.yaml');
    const args = ['--label-query', 'old.yaml', '-o', 'old.parquet'];
    expect((await run(args, 30)).code).toBe(130);
    await world.test.database.execute('DELETE FROM warehouse_orders WHERE id > 40');
    world.clock.advance(25 * HOUR_MS);
    expect(manifestOf(await run(args)).rows).toBe(41);
    await world.test.database.execute('DELETE FROM warehouse_orders');
    await fillOrders();
  });

  it('writes over no labels of somebody else', async () => {
    await aQuery('mine.yaml');
    await writeFile(join(folder, 'mine.csv.labels.csv'), 'precious');
    const args = ['--label-query', 'mine.yaml', '-o', 'mine.csv'];
    expect((await run(args)).stderr).toMatch(/there already\n {2}at: .*mine\.csv\.labels\.csv/);
    expect(await readFile(join(folder, 'mine.csv.labels.csv'), 'utf8')).toBe('precious');
    expect((await run([...args, '--force'])).code).toBe(0);
    await aQuery('mine.yaml', `${QUERY} LIMIT 1`);
    await rm(join(folder, 'mine.csv'));
    expect((await run(args)).stderr).toContain('there already');
  });

  it('writes over no labels of a finished set, and none that were edited', async () => {
    await aQuery('twice.yaml');
    const args = ['--label-query', 'twice.yaml', '-o', 'twice.csv'];
    expect((await run(args)).code).toBe(0);
    const labels = join(folder, 'twice.csv.labels.csv');
    const answered = await readFile(labels, 'utf8');
    // A set of another ending has labels of its own.
    expect((await run(['--label-query', 'twice.yaml', '-o', 'twice.parquet'])).code).toBe(0);
    await world.test.database.execute('DELETE FROM warehouse_orders');
    await rm(join(folder, 'twice.csv'));
    expect((await run(args)).stderr).toMatch(/there already\n {2}at: .*twice\.csv\.labels\.csv/);
    expect(await readFile(labels, 'utf8')).toBe(answered);
    await rm(join(folder, 'twice.csv.manifest.json'));
    await appendFile(labels, 'user_id,u1,2023-10-25T12:00:00Z,1,by hand\r\n');
    expect((await run(args)).stderr).toContain('there already');
    expect(await readFile(labels, 'utf8')).toContain('by hand');
    expect((await run([...args, '--force'])).code).toBe(0);
    await fillOrders();
  });

  it('are for the user alone to read, and go where the set fails and no rows are kept', async () => {
    await aQuery('left.yaml');
    const args = ['--label-query', 'left.yaml', '-o', 'left.csv'];
    const parts = ['left.csv.labels.csv.0123456789ab.part', 'left.csv.labels.csv.manifest.json.0123456789ab.part'];
    const day = new Date(world.clock.now() - 24 * HOUR_MS);
    for (const part of parts) {
      await writeFile(join(folder, part), 'of a run that was killed');
      await utimes(join(folder, part), day, day);
    }
    expect((await run(args, 7)).code).toBe(130);
    expect(await filesOf('left.csv')).toEqual([]);
    expect((await run(args, 30)).code).toBe(130);
    const labels = ['left.csv.labels.csv', 'left.csv.labels.csv.manifest.json'];
    expect(await filesOf('left.csv')).toEqual(['left.csv.kept', ...labels]);
    for (const name of labels) expect((await stat(join(folder, name))).mode & 0o777).toBe(0o600);
    await aQuery('vain.yaml', 'SELECT * FROM nowhere');
    for (const [told, ...more] of [
      ['nothing_like_it', '-f', 'nothing_like_it'],
      ['the feature other has a greatest age', '--max-age', 'other=7d'],
      ['by a feature service, and none is named', '--imputed'],
      ['give --impute-out a path in a folder', '--impute-out', 'nowhere/impute.yaml'],
    ]) {
      const vain = await run(['--label-query', 'vain.yaml', '-o', 'vain.csv', ...more]);
      expect(vain.code).not.toBe(0);
      expect(vain.stderr).toContain(told);
    }
    expect(await filesOf('vain.csv')).toEqual([]);
  });

  const query = (text: string) => `from: { postgres: { url_env: SHOP_URL, query: ${JSON.stringify(text)} } }`;
  it.each([
    ['a column is missing', query(`SELECT 'a' AS ns, 'b' AS value`), 'there is no column time'],
    ['a time is null', query(`SELECT 'a' AS ns, 'b' AS value, NULL AS time`), 'row 1'],
    ['a time is seconds', query(`SELECT 'a' AS ns, 'b' AS value, 1769860800 AS time`), 'are these seconds'],
    ['a column comes twice', query(`SELECT 'a' AS ns, 'b' AS value, now() AS time, 1 AS x, 2 AS x`), '"x"'],
    ['there is no such table', query('SELECT * FROM nowhere'), 'relation "nowhere" does not exist'],
    ['it is no query', query('DELETE FROM warehouse_orders'), 'must be a query that begins with SELECT'],
    ['it writes', query(`WITH d AS (SELECT setval('event_log_pos', 1)) SELECT * FROM d`), 'error'],
    ['it reads on by a cursor', `${query(QUERY)}\n`.replace('} }', '}, cursor: time }'), 'from.cursor: unknown field'],
    ['it has another field', `${query(QUERY)}\nlabels: x`, 'labels: unknown field'],
    ['its zone is none', `${query(QUERY)}\nzone: Mars/Base`, 'unknown zone'],
    ['nothing says where', 'zone: UTC', '"from" is missing'],
    ['its variable is not set', query(QUERY).replace('SHOP_URL', 'NO_URL'), 'NO_URL'],
    [
      'the database goes away while it is read',
      query(`SELECT 'user_id' AS ns, i::text AS value, '2023-10-25T12:00Z' AS time,
               CASE WHEN i = 9000 THEN pg_terminate_backend(pg_backend_pid()) END AS label FROM generate_series(1, 20000) i`),
      'SHOP_URL',
    ],
  ])('are refused where %s, and leave nothing behind', async (_, yaml, message) => {
    await writeFile(join(folder, 'bad.yaml'), yaml);
    const { code, stderr } = await run(['--label-query', 'bad.yaml', '-o', 'refused.csv']);
    expect(stderr).toContain(message);
    expect([1, 2]).toContain(code);
    expect(await filesOf('refused')).toEqual([]);
  });

  it('takes names in capitals, as some stores write them', async () => {
    await aQuery(
      'loud.yaml',
      QUERY.replace(/AS (ns|value|time|label)/g, (_, name: string) => `AS "${name.toUpperCase()}"`),
    );
    expect(manifestOf(await run(['--label-query', 'loud.yaml', '-o', 'loud.parquet'])).sha256).toBe(csv.sha256);
  });
});
