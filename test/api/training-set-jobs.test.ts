import { hash, randomUUID } from 'node:crypto';
import { cp, link, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { parquetWriteBuffer } from 'hyparquet-writer';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { createTrainingSetExports } from '../../src/create-training-set-exports.js';
import { ExportFolder } from '../../src/features/export-folder.js';
import { giveUpExports } from '../../src/features/give-up-exports.js';
import { TrainingSetJobStore } from '../../src/features/training-set-job.store.js';
import { checkErasures } from '../../src/monitoring/check-erasures.js';
import { checkExports } from '../../src/monitoring/check-exports.js';
import { aFeature } from '../support/a-feature.js';
import { createApiWorld, type ApiWorld } from '../support/api-world.js';
import { aTrack, DAY_MS, HOUR_MS, START_MS } from '../support/world.js';

let world: ApiWorld;
/** Failures of erasures that a test is about. */
let expected: { readonly error: Error; readonly heard: number[] } | null = null;

beforeAll(async () => {
  world = await createApiWorld({
    observers: {
      choreFailed: (chore, error, failures) => {
        if (chore !== 'erasures' || expected === null || error !== expected.error) throw error as Error;
        expected.heard.push(failures);
      },
    },
  });
  await world.defineFeatures([
    aFeature('visits', { events: ['visit'] }),
    aFeature('page', { aggregate: 'last', value: 'properties.page', type: 'string' }),
  ]);
  const visit = (user: string, page: string) => aTrack('visit', { user_id: user }, { properties: { page } });
  await world.accept([visit('ann', 'home'), visit('bob', 'shop'), visit('bob', 'friend carol-the-friend')]);
  await world.accept([visit('carol-the-friend', 'home')]);
  await world.drain();
  world.clock.advance(HOUR_MS);
});
afterAll(async () => {
  expect(world.defects).toEqual([]);
  await world.close();
});

interface Answer {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
}

interface Job {
  readonly id: string;
  readonly status: string;
  readonly path: string | null;
  readonly manifestPath: string | null;
  readonly doneRows: number;
  readonly attempts: number;
  readonly sha256: string | null;
  readonly errorCode: string | null;
  readonly errorMessage: string | null;
}

const bearer = (key = world.keys.admin) => ({ authorization: `Bearer ${key}` });

async function send(name: string, body: string | Uint8Array, key?: string): Promise<Answer> {
  const url = `${world.url}/label-files/${encodeURIComponent(name)}`;
  const response = await fetch(url, { method: 'POST', headers: bearer(key), body: Buffer.from(body) });
  return { status: response.status, body: (await response.json()) as Answer['body'] };
}

async function sendOk(name: string, body: string | Uint8Array): Promise<string> {
  const { status, body: answer } = await send(name, body);
  expect(answer).not.toHaveProperty('reason');
  expect(status).toBe(201);
  return String(answer['id']);
}

const FIELDS = `id labelFileId status path manifestPath totalRows doneRows events bytes sha256 attempts errorCode
  errorMessage askedBy createdAt startedAt finishedAt expiresAt`;

async function ask(input: object): Promise<Job & { readonly code?: string; readonly message?: string }> {
  const query = `mutation ($input: TrainingSetInput!) { exportTrainingSet(input: $input) {
    ... on TrainingSetJob { ${FIELDS} } ... on Failure { code message hint } } }`;
  return (await world.data<{ exportTrainingSet: Job }>(query, { input })).exportTrainingSet;
}

async function jobOf(id: string): Promise<Job> {
  const query = `query ($id: ID!) { trainingSetJob(id: $id) { ${FIELDS} } }`;
  return (await world.data<{ trainingSetJob: Job }>(query, { id })).trainingSetJob;
}

/** Everything that can be made now, by a process of its own. */
async function makeAll(): Promise<void> {
  const { runner } = createTrainingSetExports(partsOf());
  for (let isOver = false; !isOver;) {
    await runner.look();
    await runner.settled();
    const rows = await world.db.query(
      `SELECT FROM training_set_jobs WHERE status IN ('waiting', 'running') AND not_before <= $1`,
      [world.clock.now()],
    );
    isOver = rows.length === 0;
  }
  await runner.look();
  await runner.stop();
}

const fetched = (path: string | null, headers: Record<string, string> = {}): Promise<Response> =>
  fetch(`${world.url}${path ?? ''}`, { headers: { ...bearer(), ...headers } });

const at = (ms: number): string => new Date(START_MS + ms).toISOString();
const ROWS = [
  ['user_id', 'ann', at(0), '1'],
  ['user_id', 'bob', at(1), '0'],
  ['user_id', 'nobody', at(2), '1'],
] as const;
const csvOf = (rows: readonly (readonly string[])[]): string =>
  ['ns,value,time,label', ...rows.map((row) => row.join(','))].join('\n');
/** A zstd frame (RFC 8878) with its content as it is. */
const zstdOf = (text: string): Buffer => {
  const content = Buffer.from(text);
  const head = Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0xa0, 0, 0, 0, 0, 0, 0, 0]);
  head.writeUInt32LE(content.length, 5);
  head.writeUIntLE((content.length << 3) | 1, 9, 3);
  return Buffer.concat([head, content]);
};
const many = (n: number): string =>
  csvOf(Array.from({ length: n }, (_, i) => ['user_id', i % 2 === 0 ? 'ann' : 'bob', at(i), String(i % 2)]));

describe('a training set that is asked for over the API', () => {
  it('is made of labels that were sent, and fetched with its manifest', async () => {
    const text = csvOf(ROWS);
    const sent = await send('intent.csv', text);
    expect(sent).toMatchObject({
      status: 201,
      body: { name: 'intent.csv', rows: 3, leftOutRows: 0, columns: ['ns', 'value', 'time', 'label'] },
    });
    expect(sent.body['sha256']).toBe(hash('sha256', text, 'hex'));
    const labelFile = String(sent.body['id']);
    const input = { labelFile, features: ['visits', 'page'], format: 'CSV', split: { by: 'PROFILE' } };
    const asked = await ask(input);
    expect(asked).toMatchObject({ status: 'WAITING', totalRows: 3, path: null, askedBy: 'admin' });
    await makeAll();
    const job = await jobOf(asked.id);
    expect(job).toMatchObject({ status: 'DONE', doneRows: 3, attempts: 1, errorCode: null });

    const response = await fetched(job.path);
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toContain('text/csv');
    const set = await response.text();
    expect(hash('sha256', set, 'hex')).toBe(job.sha256);
    const lines = set.trimEnd().split('\r\n');
    expect(lines[0]).toBe('ns,value,time,label,profile_id,entity_status,split,visits,page');
    expect(lines[1]).toMatch(/^user_id,ann,.*,1,.*,FOUND,.*,1,home$/);
    expect(lines[3]).toMatch(/^user_id,nobody,.*,1,,NOT_FOUND,.*,0,$/);
    const manifest = (await (await fetched(job.manifestPath)).json()) as Record<string, unknown>;
    expect(manifest).toMatchObject({ sha256: job.sha256, rows: 3, notFoundRows: 1, file: `${job.id}.csv` });
    expect(manifest['labels']).toMatchObject({ sha256: sent.body['sha256'] });
    expect(await (await fetched(`/label-files/${labelFile}`)).text()).toBe(text);
  });

  it('is fetched in ranges of bytes', async () => {
    const { id } = await ask({ labelFile: await sendOk('a.csv', csvOf(ROWS)), features: ['visits'], format: 'CSV' });
    await makeAll();
    const { path } = await jobOf(id);
    const whole = await (await fetched(path)).text();
    const etag = (await fetched(path)).headers.get('etag') ?? '';
    const part = await fetched(path, { range: 'bytes=5-9', 'if-range': etag });
    expect(part.status).toBe(206);
    expect(part.headers.get('content-range')).toBe(`bytes 5-9/${String(whole.length)}`);
    expect(await part.text()).toBe(whole.slice(5, 10));
    const others = await fetched(path, { range: 'bytes=5-9', 'if-range': '"another"' });
    expect([others.status, await others.text()]).toEqual([200, whole]);
    const beyond = await fetched(path, { range: `bytes=${String(whole.length)}-` });
    expect(beyond.status).toBe(416);
  });

  it('comes out the same of CSV, JSON lines and Parquet, packed or not', async () => {
    const objects = ROWS.map(([ns, value, time, label]) => ({ ns, value, time, label: Number(label) }));
    const jsonl = objects.map((row) => JSON.stringify(row)).join('\n');
    const column = (name: 'ns' | 'value') => ({ name, data: objects.map((row) => row[name]), type: 'STRING' as const });
    const parquet = Buffer.from(
      parquetWriteBuffer({
        columnData: [
          column('ns'),
          column('value'),
          { name: 'time', data: objects.map(({ time }) => new Date(time)), type: 'TIMESTAMP' },
          { name: 'label', data: objects.map(({ label }) => label), type: 'INT32' },
        ],
      }),
    );
    const files: [string, string | Uint8Array][] = [
      ['a.csv', csvOf(ROWS)],
      ['a.csv.gz', gzipSync(csvOf(ROWS))],
      ['a.csv.zst', zstdOf(csvOf(ROWS))],
      ['a.jsonl', jsonl],
      ['a.ndjson.gz', gzipSync(jsonl)],
      ['a.parquet', parquet],
    ];
    const ids: string[] = [];
    for (const [name, body] of files) {
      ids.push((await ask({ labelFile: await sendOk(name, body), features: ['visits', 'page'] })).id);
    }
    await makeAll();
    const hashes = await Promise.all(ids.map(async (id) => (await jobOf(id)).sha256));
    expect(hashes[0]).toMatch(/^[\da-f]{64}$/);
    expect(new Set(hashes).size).toBe(1);
  });

  it('says of labels which row is wrong, and keeps nothing of them', async () => {
    const before = await readdir(world.exportsPath);
    const torn = new Uint8Array(parquetWriteBuffer({ columnData: [{ name: 'ns', data: ['user_id'] }] }));
    torn.fill(0xff, 4, 16);
    const cases: [string, string | Uint8Array, number, RegExp][] = [
      ['late.csv', csvOf([['user_id', 'ann', 'yesterday', '1']]), 400, /late\.csv:2: "yesterday" is no time/],
      ['a.jsonl', '{"ns":"user_id","value":"ann"}', 400, /there is no column time/],
      ['a.jsonl', `{"ns":"a","value":"b","time":"${at(0)}"}\n{"ns":"a","value":"b","time":"x"}`, 400, /row 2: "x"/],
      ['a.jsonl', `{"ns":"a","value":"b","time":"${at(0)}"}\n{"n":1}`, 400, /row 2: the row has a column "n"/],
      ['a.parquet', 'no parquet', 400, /a\.parquet/],
      ['torn.parquet', torn, 400, /torn\.parquet: the Parquet file cannot be read: row group 1: /],
      ['a.csv', '', 400, /no body/],
      ['a.txt', 'x', 400, /cannot be called so/],
      ['..%2f..%2fa.csv', 'x', 400, /cannot be called so/],
      ['a.csv.gz', gzipSync(csvOf(ROWS)).subarray(0, 40), 400, /a\.csv\.gz/],
    ];
    for (const [name, body, status, reason] of cases) {
      const answer = await send(name, body);
      expect([name, answer.status, answer.body['reason']]).toEqual([name, status, expect.stringMatching(reason)]);
    }
    expect(await readdir(world.exportsPath)).toEqual(before);
    expect(await world.db.query(`SELECT FROM label_files WHERE status <> 'ready'`)).toEqual([]);
  });

  it('refuses what does not exist at once, and what is too large before it is kept', async () => {
    const labelFile = await sendOk('a.csv', csvOf(ROWS));
    expect(await ask({ labelFile, features: ['visitz'] })).toMatchObject({ code: 'NOT_FOUND' });
    expect(await ask({ labelFile: world.keys.admin, features: ['visits'] })).toMatchObject({ code: 'NOT_FOUND' });
    expect(await ask({ labelFile, features: ['visits'], knownAsOf: 'then' })).toMatchObject({ code: 'BAD_REQUEST' });
    const split = { by: 'TIME', ratios: [50, 50, 50] };
    expect(await ask({ labelFile, features: ['visits'], split })).toMatchObject({ code: 'BAD_REQUEST' });
    const large = await send('large.csv', Buffer.alloc(5_000_000, 'x'));
    expect(large).toMatchObject({ status: 413, body: { reason: expect.stringMatching(/room for \d MiB/) as string } });
  });

  it('is for keys with the scope admin alone, and noted in the audit log', async () => {
    for (const key of [world.keys.read, world.keys.pii, world.keys.ingest]) {
      expect((await send('a.csv', csvOf(ROWS), key)).status).toBe(403);
      expect((await fetch(`${world.url}/training-sets/x.csv`, { headers: bearer(key) })).status).toBe(403);
    }
    expect((await send('a.csv', csvOf(ROWS), 'nonsense')).status).toBe(401);
    await world.services.audit.writes.flush();
    const entries = await world.db.query<{ operation: string }>(
      `SELECT DISTINCT operation FROM audit_log WHERE operation ~ 'label|raining'`,
    );
    expect(entries.map(({ operation }) => operation).sort()).toEqual([
      'GET /label-files',
      'GET /training-sets',
      'Mutation.exportTrainingSet',
      'POST /label-files',
    ]);
  });

  it('is cancelled while it waits, and with its labels', async () => {
    const labelFile = await sendOk('a.csv', csvOf(ROWS));
    const cancelled = await ask({ labelFile, features: ['visits'] });
    const query = `mutation ($id: ID!) { cancelTrainingSet(id: $id) { ... on TrainingSetJob { status } ... on Failure { code } } }`;
    expect(await world.data(query, { id: cancelled.id })).toEqual({ cancelTrainingSet: { status: 'CANCELLED' } });
    expect(await world.data(query, { id: cancelled.id })).toEqual({ cancelTrainingSet: { code: 'CONFLICT' } });
    const done = await ask({ labelFile, features: ['visits'] });
    await makeAll();
    const waiting = await ask({ labelFile, features: ['visits'] });
    const removed = 'mutation ($id: ID!) { removeLabelFile(id: $id) { __typename ... on Failure { code } } }';
    expect(await world.data(removed, { id: labelFile })).toMatchObject({
      removeLabelFile: { __typename: 'LabelFileRemoved' },
    });
    expect(await world.data(removed, { id: labelFile })).toMatchObject({ removeLabelFile: { code: 'NOT_FOUND' } });
    await makeAll();
    expect(await jobOf(waiting.id)).toMatchObject({ status: 'CANCELLED', errorMessage: 'the label file was removed' });
    expect(await jobOf(done.id)).toMatchObject({ status: 'DONE', path: null });
    expect((await fetched(`/training-sets/${done.id}.parquet`)).status).toBe(404);
    expect(await readdir(world.exportsPath)).not.toContain(labelFile);
  });

  it('goes on where it was after its process is gone, and is the same to the byte', async () => {
    const labelFile = await sendOk('many.csv', many(4_001));
    const undisturbed = await ask({ labelFile, features: ['visits', 'page'] });
    await makeAll();
    const torn = await ask({ labelFile, features: ['visits', 'page'] });
    // Its process stops after some rows are kept.
    const { runner } = createTrainingSetExports(partsOf());
    await runner.look();
    const kept = join(world.exportsPath, labelFile, `${torn.id}.parquet.kept`);
    await expect.poll(() => readdir(kept).catch(() => []), { interval: 1 }).toContain('2');
    await runner.stop();
    expect(await jobOf(torn.id)).toMatchObject({ status: 'WAITING', attempts: 0 });
    expect(await readdir(kept)).toContain('0');
    // As a process leaves it that is killed while it writes the set.
    await writeFile(`${kept.replace(/\.kept$/, '')}.0123.part`, 'PAR1');
    await makeAll();
    expect((await readdir(join(world.exportsPath, labelFile))).sort()).toEqual(
      [undisturbed, torn]
        .flatMap(({ id }) => [`${id}.parquet`, `${id}.parquet.manifest.json`])
        .concat('labels.csv')
        .sort(),
    );
    const [whole, again] = [await jobOf(undisturbed.id), await jobOf(torn.id)];
    expect(again).toMatchObject({ status: 'DONE', doneRows: 4_001 });
    expect(again.sha256).toBe(whole.sha256);
  });

  it('leaves nothing when it is cancelled between two attempts', async () => {
    const labelFile = await sendOk('many.csv', many(4_001));
    const { id } = await ask({ labelFile, features: ['visits'] });
    const { runner } = createTrainingSetExports(partsOf());
    await runner.look();
    const kept = join(world.exportsPath, labelFile, `${id}.parquet.kept`);
    await expect.poll(() => readdir(kept).catch(() => []), { interval: 1 }).toContain('1');
    await runner.stop();
    const query = `mutation ($id: ID!) { cancelTrainingSet(id: $id) { ... on TrainingSetJob { id } } }`;
    expect(await world.data(query, { id })).toEqual({ cancelTrainingSet: { id } });
    await makeAll();
    expect(await jobOf(id)).toMatchObject({ status: 'CANCELLED' });
    expect(await readdir(join(world.exportsPath, labelFile))).toEqual(['labels.csv']);
  });

  it('is made again after the process that ran it died, until five attempts have failed', async () => {
    const labelFile = await sendOk('many.csv', many(15));
    const { id } = await ask({ labelFile, features: ['visits'] });
    for (let attempt = 1; attempt <= 5; attempt++) {
      await world.db.execute(`UPDATE training_set_jobs SET status = 'running', attempts = attempts + 1 WHERE id = $1`, [
        id,
      ]);
      const { runner } = createTrainingSetExports(partsOf());
      await runner.look();
      await runner.stop();
      expect(await jobOf(id)).toMatchObject({
        status: attempt < 5 ? 'WAITING' : 'FAILED',
        attempts: attempt,
        errorCode: 'UNAVAILABLE',
      });
    }
  });

  it('goes when its time is over, as its labels do, and the oldest where there is no room', async () => {
    const labelFile = await sendOk('a.csv', csvOf(ROWS));
    const first = await ask({ labelFile, features: ['visits'] });
    world.clock.advance(1);
    const second = await ask({ labelFile, features: ['page'] });
    await makeAll();
    expect(await jobOf(first.id)).toMatchObject({ status: 'DONE', path: expect.any(String) as string });
    const evicted: string[] = [];
    const { bytes } = (
      await world.db.query<{ bytes: number }>(
        'SELECT sum(bytes)::int8 AS bytes FROM (SELECT bytes FROM label_files UNION ALL SELECT bytes FROM training_set_jobs) b',
      )
    )[0] ?? { bytes: 0 };
    const parts = partsOf();
    const { runner } = createTrainingSetExports({
      ...parts,
      config: { ...parts.config, exportsMaxBytes: bytes - 1 },
      observer: { ...parts.observer, evicted: (id) => evicted.push(id) },
    });
    await runner.look();
    await runner.stop();
    expect(evicted).toHaveLength(1);
    expect(await jobOf(evicted[0] ?? '')).toMatchObject({
      path: null,
      errorMessage: expect.stringMatching(/make room/) as string,
    });
    expect(await jobOf(second.id)).toMatchObject({ path: expect.any(String) as string });
    world.clock.advance(7 * DAY_MS);
    expect(await jobOf(second.id)).toMatchObject({ path: null });
    expect((await fetched(`/training-sets/${second.id}.parquet`)).status).toBe(404);
    await makeAll();
    expect(await readdir(world.exportsPath)).toEqual(['id']);
    expect(await world.db.query('SELECT FROM label_files')).toEqual([]);
  });

  it('is removed once nobody receives it any more, within minutes, and not while somebody does', async () => {
    const [heard, unheard] = [randomUUID(), randomUUID()];
    const insert = `INSERT INTO label_files (id, name, status, created_at, heard_at, expires_at)
      VALUES ($1, 'a.csv', 'receiving', $2, $2, $3)`;
    for (const id of [heard, unheard]) {
      await world.db.execute(insert, [id, world.clock.now(), world.clock.now() + DAY_MS]);
    }
    world.clock.advance(299_000);
    await new TrainingSetJobStore(world.db).heard(heard, world.clock.now());
    world.clock.advance(1_000);
    await makeAll();
    const left = await world.db.query(`SELECT id FROM label_files WHERE status = 'receiving'`);
    expect(left).toEqual([{ id: heard }]);
    await world.db.execute('DELETE FROM label_files WHERE id = $1', [heard]);
  });

  it('is refused where the files of others are in another folder', async () => {
    await sendOk('a.csv', csvOf(ROWS));
    const parts = partsOf();
    const elsewhere = createTrainingSetExports({
      ...parts,
      config: { ...parts.config, exportsPath: `${world.exportsPath}/../${String(process.pid)}-elsewhere.exports` },
    });
    const body = Buffer.from(csvOf(ROWS));
    await expect(elsewhere.labels.receive('a.csv', [body] as never, null)).rejects.toMatchObject({
      code: 'UNAVAILABLE',
    });
  });
});

describe('somebody who is erased', () => {
  const erase = async (who: string): Promise<string> => {
    const { eraseProfile } = await world.data<{ eraseProfile: { id: string } }>(
      `mutation ($who: String!) { eraseProfile(input: { identifier: { namespace: "user_id", value: $who }, reason: "asked" }) {
         ... on ErasureReceipt { id } } }`,
      { who },
    );
    return eraseProfile.id;
  };
  /** A second later, with everything done that can be. */
  const receiptOf = async (id: string, isLater = true): Promise<Record<string, unknown>> => {
    if (isLater) {
      world.clock.advance(1_000);
      await world.drain();
      await makeAll();
    }
    const asked =
      'query ($id: ID!) { erasureReceipt(id: $id) { status exports logicalAt failures failingSince retryAt failure } }';
    return (await world.data<{ erasureReceipt: Record<string, unknown> }>(asked, { id })).erasureReceipt;
  };

  it('is in no label file and no set that is kept, in none that is made later, and others stay', async () => {
    const [ann, carol] = [csvOf(ROWS.slice(0, 1)), csvOf([['user_id', 'carol-the-friend', at(5), '1']])];
    const files = { ann: await sendOk('ann.csv', ann), carol: await sendOk('carol.csv', carol) };
    const bob = await sendOk('bob.csv', csvOf([['user_id', 'bob', at(5), '1']]));
    const ofAnn = await ask({ labelFile: files.ann, features: ['visits', 'page'] });
    const ofCarol = await ask({ labelFile: files.carol, features: ['visits'] });
    // What Bob looked at last names her.
    const ofBob = await ask({ labelFile: bob, features: ['page'], format: 'CSV' });
    await makeAll();
    expect(await (await fetched((await jobOf(ofBob.id)).path)).text()).toContain('carol-the-friend');
    const erase = `mutation { eraseProfile(input: { identifier: { namespace: "user_id", value: "carol-the-friend" }, reason: "asked" }) {
      ... on ErasureReceipt { id } ... on Failure { message } } }`;
    const { eraseProfile } = await world.data<{ eraseProfile: { id: string } }>(erase);
    const receipt = async () => {
      world.clock.advance(1_000);
      await world.drain();
      await makeAll();
      const asked = 'query ($id: ID!) { erasureReceipt(id: $id) { status exports } }';
      return (await world.data<{ erasureReceipt: object }>(asked, { id: eraseProfile.id })).erasureReceipt;
    };
    await expect.poll(receipt, { timeout: 20_000 }).toEqual({ status: 'LOGICAL', exports: 2 });

    expect(await jobOf(ofCarol.id)).toMatchObject({
      path: null,
      errorMessage: expect.stringMatching(/was erased/) as string,
    });
    expect(await jobOf(ofBob.id)).toMatchObject({ path: null });
    expect(await jobOf(ofAnn.id)).toMatchObject({ path: expect.any(String) as string });
    const left = await readdir(world.exportsPath);
    expect(left).toContain(bob);
    expect(left).not.toContain(files.carol);
    for (const entry of await readdir(world.exportsPath, { recursive: true, withFileTypes: true })) {
      if (!entry.isFile()) continue;
      const path = join(entry.parentPath, entry.name);
      expect((await readFile(path)).includes('carol-the-friend')).toBe(false);
    }
    // The same labels once more: her row is left out.
    const again = await send('all.csv', `${carol}\n${ann.split('\n')[1] ?? ''}`);
    expect(again).toMatchObject({ status: 201, body: { rows: 1, leftOutRows: 1 } });
    expect(await (await fetched(`/label-files/${String(again.body['id'])}`)).text()).not.toContain('carol');
    const lines = `{"ns":"user_id","value":"bob","time":"${at(0)}","note":"carol-the-friend"}\n{"ns":"user_id","value":"bob","time":"${at(0)}","note":""}`;
    expect(await send('all.jsonl', lines)).toMatchObject({ status: 201, body: { rows: 1, leftOutRows: 1 } });
  });

  it('holds up nobody else while a file cannot be deleted, is tried for ever, and is done once it can be', async () => {
    const visit = (user: string, page: string) => aTrack('visit', { user_id: user }, { properties: { page } });
    await world.accept([visit('ivy-the-friend', 'home'), visit('joe', 'friend ivy-the-friend'), visit('kim', 'home')]);
    await world.drain();
    world.clock.advance(HOUR_MS);
    const now = new Date(world.clock.now()).toISOString();
    const labelFile = await sendOk('joe.csv', csvOf([['user_id', 'joe', now, '1']]));
    await ask({ labelFile, features: ['page'], format: 'CSV' });
    await makeAll();
    const error = Object.assign(new Error('a path with ivy-the-friend in it'), { code: 'EACCES' });
    const removing = vi.spyOn(ExportFolder.prototype, 'removeSet').mockRejectedValue(error);
    expected = { error, heard: [] };
    const doctor = () => checkErasures(world.db);
    expect(await doctor()).toMatchObject({ outcome: 'ok' });
    const failure = 'label files and training sets: INTERNAL (EACCES)';

    const ivy = await erase('ivy-the-friend');
    const soon = { timeout: 20_000 };
    await expect.poll(() => receiptOf(ivy), soon).toMatchObject({ status: 'RUNNING', failure, logicalAt: null });
    const { failingSince } = await receiptOf(ivy, false);
    expect((await doctor()).detail).toMatch(`times since ${String(failingSince)}: ${failure}`);
    expect(await doctor()).toMatchObject({
      outcome: 'failed',
      detail: expect.stringContaining(`1 cannot be brought to an end; ${ivy}, `) as string,
    });
    const kim = await erase('kim');
    await expect.poll(() => receiptOf(kim), soon).toMatchObject({ status: 'LOGICAL', failures: 0, failure: null });
    expect(await receiptOf(ivy)).toMatchObject({ status: 'RUNNING', failure, failingSince });

    const pauses: number[] = [];
    const dueAt = async () => Date.parse(String((await receiptOf(ivy, false))['retryAt']));
    for (let i = expected.heard.length; i < 15; i++) {
      world.clock.advance((await dueAt()) - world.clock.now());
      const triedAt = world.clock.now();
      await world.drain();
      const [row] = await world.db.query<{ at: number }>('SELECT retry_at AS at FROM erasures WHERE id = $1', [ivy]);
      pauses.push((row?.at ?? 0) - triedAt);
    }
    expect(expected.heard).toEqual(Array.from({ length: 15 }, (_, i) => i + 1));
    expect(pauses.slice(-4)).toEqual([2_048_000, HOUR_MS, HOUR_MS, HOUR_MS]);

    removing.mockRestore();
    expected = null;
    world.clock.advance(HOUR_MS);
    await expect
      .poll(() => receiptOf(ivy), soon)
      .toMatchObject({ status: 'LOGICAL', exports: 1, failures: 0, failingSince: null, retryAt: null, failure: null });
    expect(await doctor()).toMatchObject({ outcome: 'ok' });
  });

  it('holds up nobody else while label files wait for whoever removes them', async () => {
    const visit = (user: string) => aTrack('visit', { user_id: user }, { properties: { page: 'home' } });
    await world.accept([visit('leo-the-friend'), visit('max')]);
    await world.drain();
    world.clock.advance(HOUR_MS);
    await makeAll();
    const named = await sendOk('leo.csv', csvOf([['user_id', 'leo-the-friend', at(5), '1']]));
    const drained = async (id: string) => {
      world.clock.advance(1_000);
      await world.drain();
      return receiptOf(id, false);
    };
    const leo = await erase('leo-the-friend');
    const standing = async () => {
      await drained(leo);
      return world.db.query('SELECT status FROM label_files WHERE id = $1', [named]);
    };
    await expect.poll(standing, { timeout: 20_000 }).toEqual([{ status: 'doomed' }]);
    const max = await erase('max');
    await expect.poll(() => drained(max), { timeout: 20_000 }).toMatchObject({ status: 'LOGICAL', exports: 0 });
    expect(await drained(leo)).toMatchObject({ status: 'RUNNING', failures: 0 });
    await expect.poll(() => receiptOf(leo), { timeout: 20_000 }).toMatchObject({ status: 'LOGICAL', exports: 1 });
  });

  it('is found in the last of a thousand label files and of a thousand sets', async () => {
    const visit = (user: string, page: string) => aTrack('visit', { user_id: user }, { properties: { page } });
    await world.accept([visit('dora-the-friend', 'home'), visit('eve', 'friend dora-the-friend')]);
    await world.drain();
    world.clock.advance(HOUR_MS);
    const now = new Date(world.clock.now()).toISOString();
    const eve = await sendOk('eve.csv', csvOf([['user_id', 'eve', now, '1']]));
    const counted = await ask({ labelFile: eve, features: ['visits'] });
    await makeAll();
    const others = await world.db.query<{ id: string; kind: string }>(
      `WITH labels AS (
         INSERT INTO label_files (id, name, status, stored_as, sha256, row_count, columns, created_at, expires_at)
         SELECT gen_random_uuid(), name, status, stored_as, sha256, row_count, columns, 0, expires_at
         FROM label_files, generate_series(1, 1000) WHERE id = $1 RETURNING id),
       sets AS (
         INSERT INTO training_set_jobs (id, label_file_id, spec, status, asked_by, created_at, not_before, started_at,
                finished_at, expires_at, attempts, total_rows, done_rows, bytes, sha256)
         SELECT gen_random_uuid(), label_file_id, spec, status, asked_by, created_at, not_before, started_at,
                0, expires_at, attempts, total_rows, done_rows, 1, sha256
         FROM training_set_jobs, generate_series(1, 1000) WHERE id = $2 RETURNING id)
       SELECT id, 'labels' AS kind FROM labels UNION ALL SELECT id, 'set' FROM sets`,
      [eve, counted.id],
    );
    const folder = join(world.exportsPath, eve);
    for (const { id, kind } of others) {
      if (kind === 'labels') await cp(join(folder, 'labels.csv'), join(world.exportsPath, id, 'labels.csv'));
      else await link(join(folder, `${counted.id}.parquet.manifest.json`), join(folder, `${id}.parquet.manifest.json`));
    }
    const dora = await sendOk('dora.csv', csvOf([['user_id', 'dora-the-friend', at(5), '1']]));
    const naming = await ask({ labelFile: eve, features: ['page'] });
    await makeAll();
    const { eraseProfile } = await world.data<{ eraseProfile: { id: string } }>(
      `mutation { eraseProfile(input: { identifier: { namespace: "user_id", value: "dora-the-friend" }, reason: "asked" }) {
         ... on ErasureReceipt { id } } }`,
    );
    const receipt = async () => {
      world.clock.advance(1_000);
      await world.drain();
      await makeAll();
      const asked = 'query ($id: ID!) { erasureReceipt(id: $id) { status exports } }';
      return (await world.data<{ erasureReceipt: object }>(asked, { id: eraseProfile.id })).erasureReceipt;
    };
    await expect.poll(receipt, { timeout: 20_000 }).toEqual({ status: 'LOGICAL', exports: 2 });
    expect(await readdir(world.exportsPath)).not.toContain(dora);
    expect(await jobOf(naming.id)).toMatchObject({ status: 'DONE', path: null });
    expect(await jobOf(counted.id)).toMatchObject({ path: expect.any(String) as string });
  });

  it('is waited for in a lost folder until that is given up, or its files are over, and then new ones are taken', async () => {
    const away = `${world.exportsPath}.away`;
    const doctor = () => checkExports(world.db, { path: 'here', isOurs: () => world.trainingSets.folder.isOurs() });
    const giveUp = () => giveUpExports(world.db, world.trainingSets.folder, world.clock.now());
    const eraseNew = async (who: string) => {
      await world.accept([aTrack('visit', { user_id: who }, { properties: { page: 'home' } })]);
      await world.drain();
      return erase(who);
    };
    const statusOf = async (id: string) => {
      for (let i = 0; i < 5; i++) {
        world.clock.advance(2_000);
        await world.drain();
        const { runner } = createTrainingSetExports(partsOf());
        await runner.look();
        await runner.stop();
      }
      const asked = 'query ($id: ID!) { erasureReceipt(id: $id) { status } }';
      return (await world.data<{ erasureReceipt: { status: string } }>(asked, { id })).erasureReceipt.status;
    };
    const labelFile = await sendOk('fay.csv', csvOf([['user_id', 'ann', at(5), '1']]));
    const job = await ask({ labelFile, features: ['visits'] });
    await expect(giveUp()).rejects.toMatchObject({ code: 'CONFLICT' });
    expect(await doctor()).toMatchObject({ outcome: 'ok' });
    await rename(world.exportsPath, away);
    const fay = await eraseNew('fay');
    expect(await statusOf(fay)).not.toBe('LOGICAL');
    expect(await doctor()).toMatchObject({ outcome: 'warning' });
    await expect(ask({ labelFile, features: ['visits'] })).rejects.toThrow('UNAVAILABLE');
    expect(await giveUp()).toMatchObject({ labelFiles: expect.any(Number) as number });
    expect(await jobOf(job.id)).toMatchObject({
      status: 'FAILED',
      errorMessage: expect.stringContaining('lost') as string,
    });
    expect(await statusOf(fay)).toBe('LOGICAL');

    // A new folder; it is lost, too, and nobody gives it up.
    const other = await sendOk('guy.csv', csvOf([['user_id', 'ann', at(5), '1']]));
    await rename(world.exportsPath, `${away}.2`);
    const guy = await eraseNew('guy');
    world.clock.advance(7 * DAY_MS);
    expect(await statusOf(guy)).not.toBe('LOGICAL');
    world.clock.advance(DAY_MS);
    expect(await statusOf(guy)).toBe('LOGICAL');
    // It turns up again: what the database has forgotten is removed.
    await rename(`${away}.2`, world.exportsPath);
    expect(await readdir(world.exportsPath)).toContain(other);
    await makeAll();
    expect(await readdir(world.exportsPath)).toEqual(['id']);
    await rm(away, { recursive: true });
  });
});

function partsOf() {
  const { db, clock, engine } = world;
  return {
    ...{ db, clock, engine, keptBlockRows: 500 },
    config: { exportsPath: world.exportsPath, exportsMaxBytes: 4_000_000, exportsKeptMs: 7 * DAY_MS },
    observer: {
      ended: () => undefined,
      defect: (error: unknown) => world.defects.push(error),
      evicted: () => undefined,
      foldersDiffer: () => undefined,
    } as Parameters<typeof createTrainingSetExports>[0]['observer'],
    onError: (error: unknown) => {
      world.defects.push(error);
    },
  };
}
