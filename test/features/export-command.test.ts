import { hash } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { createLabelReaders } from '../../src/create-label-readers.js';
import { parseTimestamp } from '../../src/api/parse-timestamp.js';
import { EventHistoryReader } from '../../src/events/event-history.reader.js';
import { exportCommand } from '../../src/features/export.command.js';
import type { TrainingSetManifest } from '../../src/features/training-set-file.js';
import { parseFeatures } from '../../src/features/parse-features.js';
import { TrainingSetService } from '../../src/features/training-set.service.js';
import { DEFAULT_IDENTITY_RULES } from '../../src/identity/identity-rules.model.js';
import { IdentityHistoryReader } from '../../src/identity/identity-history.reader.js';
import { runWith, type CommandOutcome } from '../support/command-runner.js';
import { anIdentify, aTrack, createWorld, HOUR_MS, START_MS, type World } from '../support/world.js';

const FEATURES = `
views:
  - name: web
    features:
      - { name: views_1h, aggregate: count, events: [view], window: 1h }
      - { name: last_page, aggregate: last, events: [view], value: properties.page, type: string }
      - { name: views, aggregate: count, events: [view] }
services:
  - { name: intent, features: [views_1h, last_page] }
`;

let world: World;
let folder: string;
let sets: TrainingSetService;

beforeAll(async () => {
  world = await createWorld();
  await world.engine.services.features.apply(parseFeatures(FEATURES, 'features.yaml'));
  await world.accept([aTrack('view', { anonymous_id: 'a1' }, { properties: { page: 'home' } })]);
  await world.drain();
  world.clock.advance(2 * HOUR_MS);
  folder = await mkdtemp(join(tmpdir(), 'weft-export-'));
  const events = new EventHistoryReader();
  const identity = new IdentityHistoryReader({ rules: DEFAULT_IDENTITY_RULES, events });
  const { db, clock, engine } = world;
  sets = new TrainingSetService({ db, clock, policy: engine.policy, identity, events });
  await writeFile(join(folder, 'labels.csv'), labels(START_MS, START_MS + 2 * HOUR_MS));
});
afterAll(async () => {
  await world.close();
  await rm(folder, { recursive: true });
});

function labels(...times: readonly number[]): string {
  const rows = times.map((ms) => `anonymous_id,a1,${new Date(ms).toISOString()},1`);
  return ['ns,value,time,label', ...rows, `anonymous_id,nobody,${String(START_MS)},0`].join('\n');
}

function run(args: readonly string[], signal = new AbortController().signal): Promise<CommandOutcome> {
  const inFolder = args.map((arg) => (/\.(csv|parquet|json)$/.test(arg) ? join(folder, arg) : arg));
  return runWith(
    (io) =>
      exportCommand({
        ...io,
        withTrainingSets: (use) => use(sets),
        withLabels: () => Promise.reject(new Error('not asked for')),
        withTables: () => Promise.reject(new Error('not asked for')),
        ...createLabelReaders(world.clock),
        signal,
        clock: world.clock,
        parseTime: parseTimestamp,
      }),
    ['training-set', ...inFolder],
  );
}

describe('weft export training-set', () => {
  it('writes the features of a service as of each row, and a manifest', async () => {
    const { code, stdout } = await run(['-l', 'labels.csv', '-s', 'intent', '-o', 'intent.csv']);
    expect(code).toBe(0);
    expect(stdout).toContain('rows        3 (1 of nobody known)');
    expect(stdout).toContain('features    2 of intent version 1');
    const [header, ...rows] = (await readFile(join(folder, 'intent.csv'), 'utf8')).trimEnd().split('\r\n');
    expect(header).toBe('ns,value,time,label,profile_id,entity_status,views_1h,last_page');
    expect(rows.map((row) => row.split(',').slice(5))).toEqual([
      ['FOUND', '1', 'home'],
      ['FOUND', '0', 'home'],
      ['NOT_FOUND', '0', ''],
    ]);
    const manifest = JSON.parse(await readFile(join(folder, 'intent.csv.manifest.json'), 'utf8')) as unknown;
    expect(manifest).toMatchObject({ rows: 3, knownAsOf: 'now', service: { name: 'intent', version: 1 } });
  });

  it('finds what may stand for missing values, and gives it to rows once the service says so', async () => {
    const args = ['-l', 'labels.csv', '-s', 'gaps'];
    const services = '- { name: gaps, features: [views_1h, idle_hours, last_page]';
    const apply = (text: string) =>
      world.engine.services.features.apply(parseFeatures(text, 'f.yaml', ['views_1h', 'last_page', 'idle_hours']));
    await apply(`
views: [{ name: gaps, features: [{ name: idle_hours, aggregate: recency, events: [view], unit: 1h }] }]
services:
  ${services} }`);
    const out = join(folder, 'impute.yaml');
    expect(
      (await run([...args, '-o', 'raw.csv', '--impute-out', out, '--impute-by', 'median,views_1h=mean'])).code,
    ).toBe(0);
    const yaml = await readFile(out, 'utf8');
    const of = hash('sha256', await readFile(join(folder, 'raw.csv.manifest.json')), 'hex');
    expect(yaml).toContain(
      '# Of 3 rows of raw.csv. Put it in the feature service.\n# No value that can be told: last_page',
    );
    expect(yaml).toContain(`idle_hours:\n    statistic: median\n    value: 1\n    of: ${of}\n`);
    const { impute } = parse(yaml) as { impute: Record<string, object> };
    await apply(`services:\n  ${services}, impute: ${JSON.stringify({ ...impute, last_page: 'none' })} }`);
    const made = await run([...args, '-o', 'full.csv', '--imputed', '--json']);
    expect(JSON.parse(made.stdout)).toMatchObject({
      service: { version: 2 },
      imputed: { last_page: { value: 'none' } },
    });
    const [header, ...rows] = (await readFile(join(folder, 'full.csv'), 'utf8')).trimEnd().split('\r\n');
    expect(header).toMatch(/,views_1h,idle_hours,last_page,imputed_features$/);
    expect(rows.map((row) => row.split(',').slice(5).join())).toEqual([
      'FOUND,1,0,home,[]',
      'FOUND,0,2,home,[]',
      'NOT_FOUND,0,1,none,"[""idle_hours"",""last_page""]"',
    ]);
    const again = ['--reproduce', 'full.csv.manifest.json', '-l', 'labels.csv', '-o', 'again.csv'];
    expect(await run(again)).toMatchObject({ code: 0 });
    expect((await run(['-l', 'labels.csv', '-f', 'views', '-o', 'odd.csv', '--imputed'])).stderr).toContain(
      'what is imputed is said by a feature service',
    );
  });

  it('adds further features, and tells the manifest as JSON', async () => {
    const args = ['-l', 'labels.csv', '-s', 'intent', '-f', 'views, views_1h', '-o', 'more.parquet', '--json'];
    const { code, stdout } = await run([...args, '--known-as-of', 'event-time']);
    expect(code).toBe(0);
    const manifest = JSON.parse(stdout) as { knownAsOf: string; features: { name: string }[] };
    expect(manifest.features.map((feature) => feature.name)).toEqual(['views_1h', 'last_page', 'views']);
    expect(manifest.knownAsOf).toBe('event-time');
  });

  it('takes an instant up to which things were known', async () => {
    const time = new Date(START_MS - 1).toISOString();
    const args = ['-l', 'labels.csv', '-f', 'views', '-o', 'past.csv', '--known-as-of', time, '--json'];
    const { stdout } = await run(args);
    expect(JSON.parse(stdout)).toMatchObject({ knownAsOf: time, notFoundRows: 3 });
  });

  it.each(['now', 'event-time'])(
    'leaves out events that cannot be read, and says which (known as of %s)',
    async (known) => {
      // Two users of one cookie: who is who is told from the log, too.
      const who = { anonymous_id: `b-${known}` };
      await world.accept([
        anIdentify({ ...who, user_id: `u1-${known}` }),
        anIdentify({ ...who, user_id: `u2-${known}` }),
      ]);
      await world.accept(['one', 'two', 'three'].map((page) => aTrack('view', who, { properties: { page } })));
      await world.drain();
      const [row] = await world.db.query<{ pos: number; part: number; payload: Buffer }>(
        'SELECT pos, part, payload FROM event_log ORDER BY pos DESC LIMIT 1',
      );
      await world.db.query(`UPDATE event_log SET payload = '\\x0007' WHERE pos = $1`, [row?.pos]);
      const time = new Date(world.clock.now()).toISOString();
      const rowsOf = [who.anonymous_id, 'a1'].map((id) => `anonymous_id,${id},${time},1`);
      await writeFile(join(folder, 'b.csv'), ['ns,value,time,label', ...rowsOf].join('\n'));
      const args = ['-l', 'b.csv', '-f', 'views,last_page', '-o', `b-${known}.csv`, '--known-as-of', known];
      const { code, stderr } = await run(args);
      expect(code).toBe(0);
      expect(stderr).toContain(
        `note: 1 event of the log cannot be read and is left out, the first at position ${String(row?.pos)}, partition ${String(row?.part)}\n`,
      );
      const [, ...rows] = (await readFile(join(folder, `b-${known}.csv`), 'utf8')).trimEnd().split('\r\n');
      expect(rows.map((each) => each.split(',').slice(5))).toEqual([
        ['FOUND', '2', 'two'],
        ['FOUND', '1', 'home'],
      ]);
      const manifest = JSON.parse(await readFile(join(folder, `b-${known}.csv.manifest.json`), 'utf8')) as unknown;
      expect(manifest).toMatchObject({ damagedEvents: 1 });
      await world.db.query('UPDATE event_log SET payload = $2 WHERE pos = $1', [row?.pos, row?.payload]);
      expect((await run(args)).stderr).not.toContain('cannot be read');
    },
  );

  it.each([
    ['an ending that says no format', ['-l', 'labels.csv', '-s', 'intent', '-o', 'intent.json'], '.csv or .parquet'],
    ['no features', ['-l', 'labels.csv', '-o', 'x.csv'], 'name a feature service'],
    ['labels in the place of the set', ['-l', 'labels.csv', '-s', 'intent', '-o', './labels.csv'], 'over its labels'],
    ['labels that are wrong', ['-l', 'bad.csv', '-s', 'intent', '-o', 'x.csv'], 'at: bad.csv:3'],
  ])('ends with 2 for %s', async (_, args, message) => {
    await writeFile(join(folder, 'bad.csv'), `ns,value,time\na,b,${String(START_MS)}\na,b,soon\n`);
    const { code, stderr } = await run(args);
    expect(code).toBe(2);
    expect(stderr).toContain(message);
    expect((await readdir(folder)).filter((name) => name.startsWith('x.'))).toEqual([]);
  });

  it('leaves out values that are older than is asked, and calls columns by view where it is told to', async () => {
    const args = ['-l', 'labels.csv', '-s', 'intent', '-f', 'views', '-o', 'aged.csv', '--full-names', '--json'];
    const { stdout } = await run([...args, '--max-age', '1h,views=2h']);
    const [header, ...rows] = (await readFile(join(folder, 'aged.csv'), 'utf8')).trimEnd().split('\r\n');
    expect(header?.split(',').slice(5)).toEqual(['entity_status', 'web__views_1h', 'web__last_page', 'web__views']);
    expect(rows.map((row) => row.split(',').slice(5))).toEqual([
      ['FOUND', '1', 'home', '1'],
      ['FOUND', '0', '', '1'],
      ['NOT_FOUND', '0', '', '0'],
    ]);
    const { features, fullNames } = JSON.parse(stdout) as TrainingSetManifest;
    expect([fullNames, features.map(({ maxAgeMs }) => maxAgeMs)]).toEqual([true, [HOUR_MS, HOUR_MS, 2 * HOUR_MS]]);
    expect((await run([...args, '--max-age', 'soon'])).stderr).toContain('tier=7d,credit=90d');
    expect((await run([...args, '--max-age', '1h'])).stderr).toMatch(/there already[^]*--force/);
    const odd = await run([...args, '--force', '--max-age', 'view=7d']);
    expect(odd).toMatchObject({ code: 2, stderr: expect.stringContaining('did you mean views') as string });
  });

  it('makes a set again by its manifest, in the versions that it was made in, and tells whether it is the same', async () => {
    const now = new Date(world.clock.now()).toISOString();
    const made = ['-l', 'labels.csv', '-s', 'intent', '-o', 'first.csv', '--known-as-of', now, '--split', 'profile'];
    expect((await run([...made, '--max-age', 'last_page=1h'])).code).toBe(0);
    await world.accept([
      aTrack('view', { anonymous_id: 'a1' }, { timestampMs: START_MS, properties: { page: 'new' } }),
    ]);
    await world.engine.services.features.apply(
      parseFeatures(FEATURES.replace('last, events: [view]', 'first, events: [view]'), 'features.yaml'),
    );
    await world.drain();
    const args = ['--reproduce', 'first.csv.manifest.json', '-o', 'again.csv', '--force'];
    const again = await run(args);
    expect(again).toMatchObject({ code: 0, stderr: expect.stringContaining('The same as first.csv') as string });
    expect(await readFile(join(folder, 'again.csv'))).toEqual(await readFile(join(folder, 'first.csv')));

    await world.db.query('DELETE FROM event_log WHERE occurred_at <= $1', [START_MS]);
    expect(await run(args)).toMatchObject({
      code: 3,
      stderr: expect.stringContaining('Not the same as first.csv') as string,
    });
    const wrong = await run([...args, '-l', 'b.csv']);
    expect(wrong).toMatchObject({ code: 2, stderr: expect.stringContaining('not the labels that the set') as string });
    expect((await run([...args, '-s', 'intent'])).stderr).toContain('cannot be used with');
    expect((await run(['--reproduce', 'labels.csv', '-o', 'x.csv'])).stderr).toContain('this is no JSON');
  });

  it('ends with 1 for a service that there is not, and says which was meant', async () => {
    const { code, stderr } = await run(['-l', 'labels.csv', '-s', 'intend', '-o', 'x.csv']);
    expect(code).toBe(1);
    expect(stderr).toContain('hint: did you mean intent?');
  });

  it('refuses options that make no sense', async () => {
    const base = ['-l', 'labels.csv', '-s', 'intent', '-o', 'x.csv'];
    expect((await run([...base, '--known-as-of', 'soon'])).stderr).toContain('Write now, event-time, or an ISO 8601');
    expect((await run([...base, '-f', 'a,,b'])).stderr).toContain('one comma each');
    expect((await run(['-s', 'intent'])).stderr).toContain('--out');
  });

  it('ends with 130 when it is interrupted, and leaves no file', async () => {
    const { code } = await run(['-l', 'labels.csv', '-s', 'intent', '-o', 'x.csv'], AbortSignal.abort());
    expect(code).toBe(130);
    expect((await readdir(folder)).filter((name) => name.startsWith('x.'))).toEqual([]);
  });

  it('shows an example in its help', async () => {
    expect((await run(['--help'])).stdout).toContain('weft export training-set --labels intent.csv');
  });
});
