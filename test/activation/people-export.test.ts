import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import fc from 'fast-check';
import { parquetReadObjects } from 'hyparquet';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';

import { addPeopleExport, type PeopleExportRequest } from '../../src/activation/export-people.command.js';
import { exportPeople } from '../../src/create-people-exports.js';
import type { IncomingEvent } from '../../src/events/event.model.js';
import { aFeature } from '../support/a-feature.js';
import { aPurpose } from '../support/a-purpose.js';
import { runWith, type CommandOutcome } from '../support/command-runner.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { anIdentify, aTrack, createWorld, HOUR_MS, MINUTE_MS, START_MS, type World } from '../support/world.js';

let world: World;
let crm: TestDatabase;
let folder: string;

beforeAll(async () => {
  crm = await createTestDatabase({ empty: true });
});
afterAll(() => crm.drop());

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'weft-people-'));
  world = await createWorld(START_MS, { sealed: true });
  await world.engine.services.purposes.apply([aPurpose('ads')]);
  await world.engine.services.traits.apply([
    { name: 'passport', description: '', edge: false, searchable: false, sealed: true },
  ] as never);
  await world.defineFeatures([aFeature('views_1h', { events: ['view'], windowMs: HOUR_MS })]);
  await world.defineSegment('pro', 'traits.plan == "pro"');
  await world.drain();
  await crm.database.execute('DROP TABLE IF EXISTS people');
});
afterEach(async () => {
  await world.close();
  await rm(folder, { recursive: true });
});

const PARTS = () => ({
  db: world.db,
  clock: world.clock,
  definitions: world.engine.definitions,
  sealer: world.engine.sealer,
});
const CRM = (name: string): string | undefined => (name === 'CRM_URL' ? crm.url : undefined);

/** `weft export people …`; FOLDER stands for the test's folder. */
function weft(line: string): Promise<CommandOutcome> {
  return runWith(
    (io) => {
      const exported = new Command('export');
      addPeopleExport(exported, {
        ...io,
        exportPeople: (request) => exportPeople(PARTS(), request, CRM),
        view: () => ({ update: () => undefined, stop: () => undefined }),
        signal: new AbortController().signal,
      });
      return exported;
    },
    ['people', ...line.replaceAll('FOLDER', folder).split(' ')],
  );
}

async function live(...events: IncomingEvent[]): Promise<void> {
  world.clock.advance(MINUTE_MS);
  await world.accept(events);
  await world.drain();
}

const read = (name: string): Promise<string> => readFile(join(folder, name), 'utf8');
type Row = Record<string, unknown> & { profile_id: string; _change?: string };
const rowsOf = async (name: string): Promise<Row[]> =>
  (await read(name))
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as Row);
const byId = (rows: readonly Row[]): Row[] => [...rows].sort((a, b) => (a.profile_id < b.profile_id ? -1 : 1));

const COLUMNS = '--identifiers user_id --traits plan --segments pro --features views_1h';

describe('weft export people', () => {
  it('writes a row for each profile as CSV, JSON lines and Parquet, with a manifest', async () => {
    await live(anIdentify({ user_id: 'ann' }, { plan: 'pro', note: 'a, "b"' }), aTrack('view', { user_id: 'bob' }));
    for (const ending of ['csv', 'jsonl', 'parquet']) {
      const { code, stderr } = await weft(
        `${COLUMNS},views_1h --traits plan,note --out FOLDER/p.${ending}`.replace(',views_1h', ''),
      );
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    }
    const rows = await rowsOf('p.jsonl');
    expect(
      rows
        .map(({ profile_id: _, ...row }) => row)
        .sort((a, b) => (String(a['user_id']) < String(b['user_id']) ? -1 : 1)),
    ).toEqual([
      { user_id: 'ann', plan: 'pro', note: 'a, "b"', pro: true, views_1h: 0 },
      { user_id: 'bob', plan: null, note: null, pro: false, views_1h: 1 },
    ]);
    const csv = (await read('p.csv')).split('\r\n');
    expect(csv[0]).toBe('profile_id,user_id,plan,note,pro,views_1h');
    expect(csv.slice(1).some((line) => line.endsWith(',ann,pro,"a, ""b""",true,0'))).toBe(true);
    const bytes = await readFile(join(folder, 'p.parquet'));
    const file = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length);
    const parquet = (await parquetReadObjects({ file })) as Row[];
    expect(parquet.map(({ views_1h, ...row }) => ({ ...row, views_1h: Number(views_1h) }))).toEqual(rows);
    expect(JSON.parse(await read('p.csv.manifest.json'))).toMatchObject({
      rows: 2,
      file: 'p.csv',
      sha256: expect.stringMatching(/^[0-9a-f]{64}$/) as string,
      export: null,
    });
  });

  it('says by what each is in a segment, as the feed told when they entered', async () => {
    await world.defineSegment('idle', 'since("view") >= "5m"');
    await world.settle();
    const [joins, views] = [anIdentify({ user_id: 'ann' }, { plan: 'pro' }), aTrack('view', { user_id: 'bob' })];
    await live(joins, views);
    const at = world.clock.now();
    world.clock.advance(5 * MINUTE_MS);
    await world.drain();
    expect((await weft('--identifiers user_id --evidence pro,idle --out FOLDER/e.jsonl')).code).toBe(0);
    const [ann, bob] = (await rowsOf('e.jsonl')).sort((a, b) => (String(a['user_id']) < String(b['user_id']) ? -1 : 1));
    const nothing = (key: string) =>
      Object.fromEntries(
        ['since', 'version', 'cause', 'event', 'event_id', 'event_source', 'event_at', 'due_at', 'models'].map(
          (name) => [`${key}_${name}`, null],
        ),
      );
    const instant = (ms: number): string => new Date(ms).toISOString();
    expect(ann).toEqual({
      ...{ profile_id: ann?.profile_id, user_id: 'ann', ...nothing('pro'), ...nothing('idle') },
      ...{ pro_since: instant(at + 1), pro_version: 1, pro_cause: 'event', pro_event: 'identify' },
      ...{ pro_event_id: joins.messageId, pro_event_source: 'web', pro_event_at: instant(at) },
    });
    const due = instant(at + 5 * MINUTE_MS);
    expect(bob).toEqual({
      ...{ profile_id: bob?.profile_id, user_id: 'bob', ...nothing('pro'), ...nothing('idle') },
      ...{ idle_since: due, idle_version: 1, idle_cause: 'timer', idle_due_at: due },
    });
    // Of an event that is gone nothing is told but that it was one.
    await world.db.execute('DELETE FROM event_log');
    expect((await weft('--identifiers user_id --evidence pro --out FOLDER/gone.jsonl')).code).toBe(0);
    const gone = (await rowsOf('gone.jsonl')).find((row) => row['user_id'] === 'ann');
    expect(gone).toMatchObject({ pro_cause: 'event', pro_event: null, pro_event_id: null, pro_event_at: null });
    const wrong = await weft('--evidence pre --out FOLDER/wrong.jsonl');
    expect(wrong.stderr).toMatch(/no segment pre[^]*--evidence/);
  });

  it('names the versions of models that were asked when somebody entered', async () => {
    await live(anIdentify({ user_id: 'ann' }, { plan: 'pro' }));
    const models = [{ key: 'intent', version: 3, digest: 'ab' }];
    await world.db.execute('UPDATE changes SET models = $1::jsonb', [JSON.stringify(models)]);
    expect((await weft('--evidence pro --out FOLDER/m.jsonl')).code).toBe(0);
    expect((await rowsOf('m.jsonl')).map((row) => row['pro_models'])).toEqual([JSON.stringify(models)]);
  });

  it('holds members of segments alone, and nobody who does not allow what it is for', async () => {
    const says = (ads: boolean) => ({ context: { consent: { purposes: { ads } } } });
    await live(
      anIdentify({ user_id: 'ann' }, { plan: 'pro' }, says(true)),
      anIdentify({ user_id: 'bob' }, { plan: 'pro' }, says(false)),
      anIdentify({ user_id: 'cid' }, { plan: 'free' }, says(true)),
    );
    const line = '--within pro --purposes ads --identifiers user_id --name ads --out';
    const first = await weft(`${line} FOLDER/a.jsonl`);
    expect(first.stdout).toContain('left out   1 who do not allow it');
    expect((await rowsOf('a.jsonl')).map((row) => row['user_id'])).toEqual(['ann']);
    await live(anIdentify({ user_id: 'ann' }, {}, says(false)));
    const changes = await weft(`${line} FOLDER/b.jsonl --changes`);
    expect(changes.stdout).toContain('removed    1');
    expect(await rowsOf('b.jsonl')).toMatchObject([{ _change: 'removed', user_id: null }]);
  });

  it('tells by change what a copy needs to be as the whole is, in files and in a table, whatever happens', async () => {
    const people = ['a', 'b', 'c', 'd', 'e'];
    const step = fc.oneof(
      fc.record({
        kind: fc.constant('plan' as const),
        who: fc.constantFrom(...people),
        plan: fc.constantFrom('pro', 'free'),
      }),
      fc.record({ kind: fc.constant('view' as const), who: fc.constantFrom(...people) }),
      fc.record({ kind: fc.constant('merge' as const), who: fc.constantFrom(...people) }),
      fc.record({ kind: fc.constant('wait' as const) }),
      fc.record({ kind: fc.constant('lost' as const) }),
      fc.record({ kind: fc.constant('export' as const) }),
    );
    let number = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 14 }), async (steps) => {
        number++;
        const [name, table] = [`copy${String(number)}`, `copy${String(number)}`];
        const id = (who: string): string => `${who}${String(number)}`;
        const copy = new Map<string, Row>();
        const exportAll = async (): Promise<void> => {
          expect(await weft(`${COLUMNS} --name ${name} --changes --force --out FOLDER/c.jsonl`)).toMatchObject({
            code: 0,
          });
          for (const { _change, ...row } of await rowsOf('c.jsonl')) {
            if (_change === 'removed') copy.delete(row.profile_id);
            else copy.set(row.profile_id, row);
          }
          const sql = `${COLUMNS} --name sql_${name} --changes --table ${table} --url-env CRM_URL`;
          expect(await weft(sql)).toMatchObject({ code: 0, stderr: '' });
          await weft(`${COLUMNS} --force --out FOLDER/whole.jsonl`);
          const whole = byId(await rowsOf('whole.jsonl'));
          expect(byId([...copy.values()])).toEqual(whole);
          const rows = await crm.database.query<Row>(`SELECT * FROM ${table} ORDER BY profile_id::text`);
          expect(rows.map(({ _exported_at: _, ...row }) => row)).toEqual(whole);
          // What was exported already is not exported again.
          const again = await weft(`${COLUMNS} --name ${name} --changes --force --out FOLDER/c.jsonl --json`);
          expect(JSON.parse(again.stdout)).toMatchObject({ rows: 0, removed: 0 });
        };
        for (const each of [...steps, { kind: 'export' as const }]) {
          if (each.kind === 'plan') await live(anIdentify({ user_id: id(each.who) }, { plan: each.plan }));
          if (each.kind === 'view') await live(aTrack('view', { user_id: id(each.who) }));
          if (each.kind === 'merge')
            await live(anIdentify({ user_id: id(each.who), email: `x${String(number)}@example.org` }));
          if (each.kind === 'wait') world.clock.advance(HOUR_MS);
          if (each.kind === 'lost') {
            // A file that is never put in its place: its rows are exported again.
            const lost = {
              ...REQUEST,
              name,
              onlyChanges: true,
              to: { kind: 'file', path: join(folder, 'no', 'c.jsonl') },
            };
            await expect(exportPeople(PARTS(), lost as PeopleExportRequest, CRM)).rejects.toThrow();
            await expect(
              exportPeople(
                PARTS(),
                {
                  ...(lost as PeopleExportRequest),
                  to: { kind: 'file', path: join(folder, 'l.jsonl') },
                  onProgress: () => {
                    throw new Error('killed');
                  },
                },
                CRM,
              ),
            ).rejects.toThrow('killed');
          }
          if (each.kind === 'export') await exportAll();
        }
      }),
      { numRuns: 4 },
    );
    expect((await readdir(folder)).filter((file) => file.includes('.part'))).toEqual([]);
  });

  it('writes a table as a whole: other rows go, and a table of other columns is told of', async () => {
    await live(anIdentify({ user_id: 'ann' }, { plan: 'pro' }));
    const line = '--identifiers user_id --traits plan --table people --url-env CRM_URL';
    expect(await weft(line)).toMatchObject({ code: 0, stderr: '' });
    await crm.database.execute(
      `INSERT INTO people (profile_id, user_id, _exported_at) VALUES (gen_random_uuid(), 'other', now() - interval '9 y')`,
    );
    const again = await weft(`${line} --json`);
    expect(JSON.parse(again.stdout)).toMatchObject({ rows: 1, others: 1 });
    expect(await crm.database.query('SELECT user_id, plan FROM people')).toEqual([{ user_id: 'ann', plan: 'pro' }]);
    expect((await weft(`${line} --segments pro`)).stderr).toContain('has no column pro');
  });

  it('tells that somebody who was erased is gone, and keeps nothing of what was exported of them', async () => {
    await live(anIdentify({ user_id: 'ann' }, { plan: 'pro' }), anIdentify({ user_id: 'bob' }, { plan: 'pro' }));
    await weft(`${COLUMNS} --name gone --out FOLDER/a.jsonl`);
    const ann = (await rowsOf('a.jsonl')).find((row) => row['user_id'] === 'ann')?.profile_id ?? '';
    const hashes = () =>
      world.db.query<{ length: number }>(
        'SELECT length(pending_hash)::int8 AS length FROM export_rows WHERE profile_id = $1',
        [ann],
      );
    expect(await hashes()).toEqual([{ length: 16 }]);
    await world.engine.erasures.request({ profileId: ann }, { reason: 'asked', actor: 'test' });
    await world.drain();
    expect(await hashes()).toEqual([{ length: 0 }]);
    await weft(`${COLUMNS} --name gone --changes --out FOLDER/b.jsonl`);
    expect(await rowsOf('b.jsonl')).toMatchObject([{ profile_id: ann, _change: 'removed', plan: null }]);
  });

  it('refuses what cannot be exported, and says what to do', async () => {
    const wrong = [
      ['--traits passport --out FOLDER/x.csv', 2, 'is sealed'],
      ['--traits $groups --out FOLDER/x.csv', 2, 'no trait $groups'],
      ['--features views --out FOLDER/x.csv', 1, 'no feature views'],
      ['--service intent --out FOLDER/x.csv', 1, 'no feature service intent'],
      ['--within pri --out FOLDER/x.csv', 1, 'did you mean pro?'],
      ['--purposes ad --out FOLDER/x.csv', 1, 'ads'],
      ['--traits plan,plan --out FOLDER/x.csv', 2, 'two columns would be called plan'],
      ['--traits plan --out FOLDER/x.txt', 2, '.parquet'],
      ['--traits plan --changes --out FOLDER/x.csv', 2, 'give --name'],
      ['--traits plan --table people', 2, '--url-env'],
      ['--traits plan --table people --url-env WEFT_DATABASE_URL', 2, 'environment variable'],
      ['--traits plan --table people;drop --url-env CRM_URL', 2, 'no name of a table'],
      ['--traits plan --table people --url-env OTHER_URL', 2, 'OTHER_URL is not set'],
    ] as const;
    for (const [line, code, message] of wrong) {
      const outcome = await weft(line);
      expect(outcome.stderr, line).toContain(message);
      expect(outcome.code, line).toBe(code);
    }
  });

  it('does what the page on exporting shows', async () => {
    const page = await readFile(new URL('../../docs/exporting.md', import.meta.url), 'utf8');
    const [, block = ''] = /```sh\n(.*?)```/s.exec(page) ?? [];
    await world.engine.services.features.apply({
      views: [],
      services: [{ name: 'purchase_intent_v1', description: '', features: ['views_1h'] }] as never,
    });
    await world.defineSegment('champions', 'traits.city == "Oslo"');
    await world.drain();
    await live(anIdentify({ email: 'ann@example.org' }, { city: 'Oslo' }));
    await crm.database.execute('DROP TABLE IF EXISTS weft_people');
    for (const line of block.trim().split('\n')) {
      const args = line
        .replace('weft export people ', '')
        .replace('--out ', '--out FOLDER/')
        .replace('CRM_DATABASE_URL', 'CRM_URL');
      expect(await weft(args), line).toMatchObject({ code: 0, stderr: '' });
    }
    expect(await read('vip.csv')).toMatch(/^profile_id,email,city\r\n[-0-9a-f]{36},ann@example\.org,Oslo\r\n$/);
    expect(await crm.database.query('SELECT email, champions FROM weft_people')).toEqual([
      { email: 'ann@example.org', champions: true },
    ]);
  });

  it('of changes is refused where the columns or the target are others than before', async () => {
    await weft(`--traits plan --name cols --out FOLDER/a.csv`);
    expect((await weft('--traits town --name cols --changes --out FOLDER/b.csv')).stderr).toContain(
      'had other columns',
    );
    expect((await weft('--traits town --name cols --out FOLDER/b.csv')).code).toBe(0);
    const over = await weft('--traits town --name cols --changes --out FOLDER/b.csv');
    expect(over).toMatchObject({ code: 2, stderr: expect.stringMatching(/there already[^]*--force/) as unknown });
    expect((await weft('--traits town --name cols --changes --force --out FOLDER/b.csv')).code).toBe(0);
    const toTable = await weft('--traits town --name cols --changes --table people --url-env CRM_URL');
    expect(toTable.stderr).toContain('another target');
  });
});

const REQUEST: Omit<PeopleExportRequest, 'to' | 'name' | 'onlyChanges'> = {
  identifiers: ['user_id'],
  traits: ['plan'],
  segments: ['pro'],
  features: ['views_1h'],
  service: null,
  within: [],
  evidence: [],
  purposes: [],
  signal: new AbortController().signal,
  onTotal: () => undefined,
  onProgress: () => undefined,
};
