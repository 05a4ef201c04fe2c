import { appendFile, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createLabelReaders } from '../../src/create-label-readers.js';
import { parseTimestamp } from '../../src/api/parse-timestamp.js';
import { EventHistoryReader } from '../../src/events/event-history.reader.js';
import { exportCommand } from '../../src/features/export.command.js';
import type { TrainingSets } from '../../src/features/make-training-set.js';
import type { LabelManifest } from '../../src/features/label-file.js';
import { sampleInstants } from '../../src/features/label.model.js';
import { LabelService, type LabelRequest, type LabelSet } from '../../src/features/label.service.js';
import { partEnding } from '../../src/features/part-files.js';
import type { LabelRow } from '../../src/features/training-set.model.js';
import { TrainingSetService } from '../../src/features/training-set.service.js';
import { DEFAULT_IDENTITY_RULES } from '../../src/identity/identity-rules.model.js';
import { IdentityHistoryReader } from '../../src/identity/identity-history.reader.js';
import { aFeature } from '../support/a-feature.js';
import { runWith, type CommandOutcome } from '../support/command-runner.js';
import { anIdentify, aTrack, createWorld, DAY_MS, HOUR_MS, MINUTE_MS, START_MS, type World } from '../support/world.js';

const DAYS = 20;
const SINCE_MS = START_MS - DAYS * DAY_MS;

let world: World;
let folder: string;
let labels: LabelService;
let sets: TrainingSetService;
/** What happened, by person: views, and orders with their totals. */
const people = Array.from({ length: 40 }, (_, person) => ({
  id: `p${String(person)}`,
  events: Array.from({ length: 1 + ((person * 7) % 11) }, (__, i) => ({
    atMs: SINCE_MS + (((person + 1) * 7_919 + i * 104_729) % (DAYS * 24)) * HOUR_MS,
    name: (person + i) % 3 === 0 ? 'order' : 'view',
    total: (person * 13 + i * 29) % 100,
  })).sort((a, b) => a.atMs - b.atMs),
}));
const happened = people.flatMap((person) => person.events);
const lastMs = Math.max(...happened.map(({ atMs }) => atMs));
const firstMs = Math.min(...happened.map(({ atMs }) => atMs));

beforeAll(async () => {
  world = await createWorld();
  folder = await mkdtemp(join(tmpdir(), 'weft-labels-'));
  await world.defineFeatures([aFeature('views', { events: ['view'] })]);
  for (const { id, events } of people) {
    await world.accept(
      events.map(({ atMs, name, total }) =>
        aTrack(name, { user_id: id }, { timestampMs: atMs, properties: { total } }),
      ),
      { historical: true },
    );
  }
  await world.drain();
  const events = new EventHistoryReader();
  const identity = new IdentityHistoryReader({ rules: DEFAULT_IDENTITY_RULES, events });
  const { db, clock, engine } = world;
  labels = new LabelService({ db, clock, identity, events, pagePeople: 7 });
  sets = new TrainingSetService({ db, clock, policy: engine.policy, identity, events });
});
afterAll(async () => {
  await world.close();
  await rm(folder, { recursive: true });
});

const BASE: LabelRequest = { events: ['order'], where: null, withinMs: 3 * DAY_MS, samples: 20, seed: 1 };

async function made(more: Partial<LabelRequest> = {}): Promise<{ rows: LabelRow[]; set: LabelSet }> {
  const set = await labels.makeLabels({ ...BASE, ...more });
  const rows: LabelRow[] = [];
  for await (const row of set.rows) rows.push(row);
  return { rows, set };
}

async function profileIds(): Promise<Map<string, string>> {
  const rows = await world.db.query<{ value: string; profile_id: string }>('SELECT value, profile_id FROM identifiers');
  return new Map(rows.map((row) => [row.value, row.profile_id]));
}

describe('labels', () => {
  it.each([
    ['of an event', {}],
    [
      'with a condition, and a range that goes on after what is known',
      { where: 'properties.total > 40', toMs: lastMs },
    ],
    ['of either of two events', { events: ['order', 'view'], withinMs: 6 * HOUR_MS, seed: 9 }],
  ] satisfies [string, Partial<LabelRequest>][])('%s are what a look through all events says', async (_, more) => {
    const { rows, set } = await made(more);
    const { events, where, withinMs } = { ...BASE, ...more };
    const { plan } = set;
    expect(plan).toMatchObject({ fromMs: firstMs, observedUntilMs: lastMs, profiles: people.length });
    const ids = await profileIds();
    const counts = { beforeFirstEvent: 0, unfinished: 0 };
    const expected = people.flatMap(({ id, events: own }) =>
      sampleInstants(ids.get(id) ?? '', plan).flatMap((timeMs) => {
        if (timeMs + withinMs > lastMs) counts.unfinished++;
        else if (!own.some(({ atMs }) => atMs <= timeMs)) counts.beforeFirstEvent++;
        else {
          const isNext = own.some(
            ({ atMs, name, total }) =>
              events.includes(name) && (where === null || total > 40) && atMs > timeMs && atMs <= timeMs + withinMs,
          );
          return [{ ns: 'user_id', value: id, timeMs, cells: [isNext ? '1' : '0'] }];
        }
        return [];
      }),
    );
    const byPerson = (a: LabelRow, b: LabelRow): number => a.value.localeCompare(b.value) || a.timeMs - b.timeMs;
    expect([...rows].sort(byPerson)).toEqual([...expected].sort(byPerson));
    expect(set.counts).toMatchObject({ ...counts, rows: rows.length, people: people.length });
    const positive = rows.filter(({ cells }) => cells[0] === '1').length;
    expect(set.counts.positive).toBe(positive);
    expect([positive > 0, positive < rows.length]).toEqual([true, true]);
  });

  it('know nothing that was accepted later than what may be known, of events as of people', async () => {
    const knownAsOf = world.clock.now();
    const before = await made({ knownAsOf, toMs: lastMs - BASE.withinMs });
    world.clock.advance(MINUTE_MS);
    await world.accept([
      // Enough for labels of nearly all that is known of these ten.
      ...people
        .slice(0, 10)
        .flatMap(({ id }) =>
          Array.from({ length: DAYS }, (_, day) =>
            aTrack('order', { user_id: id }, { timestampMs: SINCE_MS + day * DAY_MS }),
          ),
        ),
      ...[1, 2].map((i) => anIdentify({ user_id: `p${String(i)}`, email: `p${String(i)}@x.org` })),
      anIdentify({ user_id: 'p3', anonymous_id: 'cookie' }),
      aTrack('view', { anonymous_id: 'cookie' }, { timestampMs: SINCE_MS }),
    ]);
    await world.drain();
    const after = await made({ knownAsOf, toMs: lastMs - BASE.withinMs });
    expect(after.rows).toEqual(before.rows);
    expect(after.set.plan.observedUntilMs).toBe(before.set.plan.observedUntilMs);
    const now = await made({ toMs: lastMs - BASE.withinMs, fromMs: firstMs });
    expect(now.rows).not.toEqual(before.rows);
  });

  it('are refused of an event that nobody ever sent, of the future, and of a range without instants', async () => {
    await expect(made({ events: ['ordre'] })).rejects.toMatchObject({ code: 'NOT_FOUND', hint: 'did you mean order?' });
    await expect(made({ knownAsOf: world.clock.now() + 1 })).rejects.toMatchObject({ where: 'known-as-of' });
    await expect(made({ knownAsOf: 1 })).rejects.toThrow('no events');
    await expect(made({ withinMs: 300 * DAY_MS })).rejects.toMatchObject({ code: 'BAD_REQUEST', where: 'from' });
    await expect(made({ where: 'properties.total >' })).rejects.toMatchObject({ code: 'EXPRESSION_INVALID' });
  });
});

function run(
  args: readonly string[],
  { sets: made = sets, aborts = new AbortController(), keptBlockRows }: RunParts = {},
): Promise<CommandOutcome> {
  const inFolder = args.map((arg) => (/\.(csv|json)$/.test(arg) ? join(folder, arg) : arg));
  return runWith(
    (io) =>
      exportCommand({
        ...io,
        withTrainingSets: (use) => use(made),
        withLabels: (use) => use(labels),
        withTables: () => Promise.reject(new Error('not asked for')),
        ...createLabelReaders(world.clock),
        ...(keptBlockRows === undefined ? {} : { keptBlockRows }),
        signal: aborts.signal,
        clock: world.clock,
        parseTime: parseTimestamp,
      }),
    inFolder,
  );
}

interface RunParts {
  readonly sets?: TrainingSets;
  readonly aborts?: AbortController;
  readonly keptBlockRows?: number;
}

/** A run that keeps 20 rows at a time, and is interrupted once so many are done. */
function runInParts(args: readonly string[], { dieAfter = Infinity, erasures = '' } = {}): Promise<CommandOutcome> {
  const aborts = new AbortController();
  const events = new EventHistoryReader();
  const identity = new IdentityHistoryReader({ rules: DEFAULT_IDENTITY_RULES, events });
  const { db, clock, engine } = world;
  const inner = new TrainingSetService({ db, clock, policy: engine.policy, identity, events, chunkRows: 7 });
  const dying: TrainingSets = {
    planSplit: inner.planSplit.bind(inner),
    erasureMark: async () => (await inner.erasureMark()) + erasures,
    exportTrainingSet: (request) =>
      inner.exportTrainingSet({
        ...request,
        onProgress: (progress) => {
          request.onProgress?.(progress);
          if (progress.rows >= dieAfter) aborts.abort();
        },
      }),
  };
  return run(args, { sets: dying, aborts, keptBlockRows: 20 });
}

describe('weft export labels', () => {
  it('writes the same file for the same question, and a manifest that tells it', async () => {
    const to = ['--to', new Date(lastMs - 2 * DAY_MS).toISOString()];
    const args = ['labels', '-e', 'order', '--within', '2d', '--samples', '4', '--seed', '7', ...to];
    expect(await run([...args, '--out', 'one.csv'])).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('positive') as string,
    });
    const { stdout } = await run([...args, '--out', 'two.csv', '--json']);
    const [one, two] = await Promise.all(['one.csv', 'two.csv'].map((name) => readFile(join(folder, name), 'utf8')));
    expect(two).toBe(one);
    const [header, ...lines] = (one ?? '').trimEnd().split('\r\n');
    expect(header).toBe('ns,value,time,label');
    const manifest = JSON.parse(stdout) as LabelManifest;
    expect(manifest).toMatchObject({ rows: lines.length, events: ['order'], within: '2d', samples: 4, seed: 7 });
    expect(manifest.positiveRows).toBe(lines.filter((line) => line.endsWith(',1')).length);
    expect(JSON.parse(await readFile(join(folder, 'two.csv.manifest.json'), 'utf8'))).toEqual(manifest);
  });

  it('refuses what makes no sense, and leaves no file', async () => {
    const base = ['labels', '-e', 'order', '--out', 'x.csv'];
    expect((await run([...base, '--within', '7'])).stderr).toContain('7d is 7 days');
    expect((await run([...base, '--samples', '0'])).stderr).toContain('from 1 to 100');
    expect(await run(['labels', '-e', 'order', '--out', 'x.json'])).toMatchObject({ code: 2 });
    expect((await run(['labels', '-e', 'ordre', '--out', 'x.csv'])).stderr).toContain('did you mean order?');
    expect((await readdir(folder)).filter((name) => name.startsWith('x.'))).toEqual([]);
  });
});

describe('weft export training-set --label-event', () => {
  it('makes labels beside the set, every one of which is of somebody known', async () => {
    const { code, stdout } = await run([
      'training-set',
      '--label-event',
      'order',
      '-f',
      'views',
      '-o',
      's.csv',
      '--json',
    ]);
    expect(code).toBe(0);
    const made = (await readFile(join(folder, 's.csv.labels.csv'), 'utf8')).trimEnd().split('\r\n');
    expect(JSON.parse(stdout)).toMatchObject({ rows: made.length - 1, notFoundRows: 0 });
    const [header, first] = (await readFile(join(folder, 's.csv'), 'utf8')).split('\r\n');
    expect(header).toBe('ns,value,time,label,profile_id,entity_status,views');
    expect(first?.startsWith(made[1] ?? '-')).toBe(true);
  });

  const beside = async (name: string): Promise<string[]> =>
    (await readdir(folder)).filter((each) => each.startsWith(name)).sort();

  it('keeps them for the user alone, and writes over none but those of a run that was killed', async () => {
    const args = ['training-set', '--label-event', 'order', '-f', 'views', '-o', 'o.csv'];
    const file = join(folder, 'o.csv.labels.csv');
    expect((await run(['labels', '-e', 'order', '-o', 'o.csv.labels.csv'])).code).toBe(0);
    const own = await readFile(file, 'utf8');
    expect((await run(args)).stderr).toMatch(/there already\n {2}at: .*o\.csv\.labels\.csv/);
    expect(await readFile(file, 'utf8')).toBe(own);
    expect((await run([...args, '--force'])).code).toBe(0);
    for (const path of [file, `${file}.manifest.json`]) expect((await stat(path)).mode & 0o777).toBe(0o600);
    await rm(join(folder, 'o.csv'));
    expect((await run(args)).stderr).toContain('there already');
    // As a run leaves it that is killed before its set is whole.
    await rm(join(folder, 'o.csv.manifest.json'));
    expect((await run(args)).code).toBe(0);
    for (const name of ['o.csv', 'o.csv.manifest.json']) await rm(join(folder, name));
    await appendFile(file, 'user_id,p1,2023-10-25T12:00:00Z,1\r\n');
    expect((await run(args)).stderr).toContain('there already');
    expect(await readFile(file, 'utf8')).toContain('2023-10-25T12:00:00Z,1\r\n');
  });

  it('leaves none where the set fails, and takes away what a run that was killed has left of either', async () => {
    const args = ['training-set', '--label-event', 'order', '-o', 'l.csv', '-f'];
    expect((await run([...args, 'nothing_like_it'])).code).not.toBe(0);
    expect(await beside('l.csv')).toEqual([]);
    const alive = `l.csv${partEnding()}`;
    const dead = (name: string): string => name.replace(`.${String(process.pid)}.`, '.999999999.');
    const ofOther = `l.csv.${String(process.pid)}.${'0'.repeat(12)}.part`;
    const left = [dead(`l.csv${partEnding()}`), dead(`l.csv.manifest.json${partEnding()}`)];
    const leftLabels = dead(`l.csv.labels.csv${partEnding()}`);
    for (const name of [alive, ofOther, ...left, leftLabels]) await writeFile(join(folder, name), 'torn');
    expect((await run([...args, 'views'])).code).toBe(0);
    const made = ['l.csv', 'l.csv.labels.csv'].flatMap((name) => [name, `${name}.manifest.json`]);
    // Somebody is writing these still, here or elsewhere.
    expect(await beside('l.csv')).toEqual([...made, alive, ofOther].sort());
  });

  it('does not take labels from a file as well, nor none', async () => {
    const args = ['training-set', '-f', 'views', '-o', 'y.csv'];
    expect((await run([...args, '--labels', 'a.csv', '--label-event', 'order'])).stderr).toContain(
      'cannot be used with',
    );
    expect((await run(args)).stderr).toContain('--label-event');
  });
});

describe('weft export training-set --split', () => {
  /** Columns of a set by name, one object a row. */
  async function setOf(name: string): Promise<Record<string, string>[]> {
    const [header = '', ...lines] = (await readFile(join(folder, name), 'utf8')).trimEnd().split('\r\n');
    const names = header.split(',');
    return lines.map((line) => Object.fromEntries(line.split(',').map((cell, i) => [names[i] ?? '', cell])));
  }
  const base = ['training-set', '--label-event', 'order', '--within', '2d', '--samples', '20', '-f', 'views', '--json'];

  it('by profile keeps the rows of a person together, and tells in the manifest how many are where', async () => {
    const { stdout } = await run([...base, '-o', 'p.csv', '--split', 'profile', '--split-ratios', '60/20/20']);
    const rows = await setOf('p.csv');
    const sides = new Map<string, Set<string>>();
    for (const { profile_id: id = '', split = '' } of rows) sides.set(id, (sides.get(id) ?? new Set()).add(split));
    expect([...sides.values()].every((each) => each.size === 1)).toBe(true);
    const rowsIn = (part: string): number => rows.filter(({ split }) => split === part).length;
    expect(JSON.parse(stdout)).toMatchObject({
      split: {
        by: 'profile',
        ratios: [60, 20, 20],
        seed: 1,
        strata: 2,
        rows: { train: rowsIn('train'), validation: rowsIn('validation'), test: rowsIn('test') },
        embargoedRows: 0,
      },
    });
    const people = [...sides.values()].filter((each) => each.has('train')).length;
    expect(Math.abs(people - sides.size * 0.6)).toBeLessThanOrEqual(1);
  });

  it('by time leaves out rows whose label looks into a later part, as far as the label that was made looks', async () => {
    const { stdout } = await run([...base, '-o', 't.csv', '--split', 'time']);
    const rows = await setOf('t.csv');
    interface Told {
      split: { horizonMs: number; validationFrom: string; testFrom: string; embargoedRows: number };
    }
    const { split } = JSON.parse(stdout) as Told;
    expect(split.horizonMs).toBe(2 * DAY_MS);
    expect(split.embargoedRows).toBe(rows.filter((row) => row['split'] === '').length);
    expect(split.embargoedRows).toBeGreaterThan(0);
    for (const { time = '', split: part } of rows) {
      const ends = Date.parse(time) + 2 * DAY_MS;
      if (part === 'train') expect(ends).toBeLessThan(Date.parse(split.validationFrom));
      else if (part === 'validation') expect(ends).toBeLessThan(Date.parse(split.testFrom));
      else if (part === 'test') expect(time >= split.testFrom).toBe(true);
    }
  });

  it('refuses ratios that are not 100 together', async () => {
    expect((await run([...base, '-o', 'z.csv', '--split', 'time', '--split-ratios', '70/20/20'])).stderr).toContain(
      '70/15/15',
    );
  });
});

describe('labels beside a set that goes on', () => {
  const args = (name: string, feature = 'views'): string[] => [
    ...['training-set', '--label-event', 'order', '--within', '2d', '--samples', '10', '-f', feature, '-o', name],
  ];
  const labelsOf = (name: string): Promise<string> => readFile(join(folder, `${name}.labels.csv`), 'utf8');

  it('stay what they are, whatever happens meanwhile, until somebody is erased or all is made anew', async () => {
    expect((await runInParts(args('g.csv'), { dieAfter: 60 })).code).toBe(130);
    const before = await labelsOf('g.csv');
    // By it more instants are over.
    world.clock.advance(12 * HOUR_MS);
    await world.accept([aTrack('order', { user_id: 'p1' }, { timestampMs: world.clock.now() })]);
    await world.drain();
    const last = await runInParts(args('g.csv'), { dieAfter: 100 });
    expect(last.code).toBe(130);
    expect(last.stderr).toContain('goes on after');
    expect(last.stderr).toContain('has labels as made at');
    expect(await labelsOf('g.csv')).toBe(before);
    const anew = await runInParts(args('g.csv'), { erasures: 'one more' });
    expect(anew.code).toBe(0);
    expect(anew.stderr).not.toContain('goes on after');
    expect(await labelsOf('g.csv')).not.toBe(before);
  });

  it('are replaced by no run that cannot be', async () => {
    expect((await run(args('h.csv'))).code).toBe(0);
    const before = await labelsOf('h.csv');
    const bad = await run([...args('h.csv', 'viewz'), '--seed', '7', '--force']);
    expect(bad.code).not.toBe(0);
    expect(bad.stderr).toContain('viewz');
    expect(await labelsOf('h.csv')).toBe(before);
  });
});
