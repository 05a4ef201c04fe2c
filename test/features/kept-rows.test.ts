import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { access, cp, mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { createLabelReaders } from '../../src/create-label-readers.js';
import { parseTimestamp } from '../../src/api/parse-timestamp.js';
import { EventHistoryReader } from '../../src/events/event-history.reader.js';
import { exportCommand } from '../../src/features/export.command.js';
import type { TrainingSetManifest } from '../../src/features/training-set-file.js';
import type { TrainingSetRequest } from '../../src/features/training-set-request.model.js';
import { TrainingSetService } from '../../src/features/training-set.service.js';
import { DEFAULT_IDENTITY_RULES } from '../../src/identity/identity-rules.model.js';
import { IdentityHistoryReader } from '../../src/identity/identity-history.reader.js';
import { compiled } from '../support/compiled-program.js';
import { aFeature } from '../support/a-feature.js';
import { aPurpose } from '../support/a-purpose.js';
import { runWith, type CommandOutcome } from '../support/command-runner.js';
import { aTrack, createWorld, DAY_MS, MINUTE_MS, START_MS, type World } from '../support/world.js';

const BLOCK_ROWS = 20;
const ROWS = 130;

let world: World;
let folder: string;
let sets: TrainingSetService;
/** Label rows that were answered, over all runs of a test. */
let answered = 0;

beforeAll(async () => {
  world = await createWorld();
  folder = await mkdtemp(join(tmpdir(), 'weft-kept-'));
  await world.defineFeatures([
    aFeature('views', { events: ['view'] }),
    aFeature('share', { aggregate: 'avg', value: 'properties.x', type: 'double' }),
    aFeature('times', { aggregate: 'times', limit: 2, type: 'times' }),
  ]);
  const who = (i: number) => ({ user_id: `u${String(i % 30)}` });
  await world.accept(Array.from({ length: 90 }, (_, i) => aTrack('view', who(i), { properties: { x: i / 7 } })));
  await world.drain();
  world.clock.advance(MINUTE_MS);
  const events = new EventHistoryReader();
  const identity = new IdentityHistoryReader({ rules: DEFAULT_IDENTITY_RULES, events });
  const { db, clock, engine } = world;
  sets = new TrainingSetService({ db, clock, policy: engine.policy, identity, events, chunkRows: 7 });
  const rows = Array.from(
    { length: ROWS },
    (_, i) => `user_id,u${String(i % 40)},${String(START_MS + i)},${String(i % 2)}`,
  );
  await writeFile(join(folder, 'labels.csv'), ['ns,value,time,label', ...rows].join('\n'));
});
afterAll(async () => {
  await world.close();
  await rm(folder, { recursive: true });
});

/** @param dieAfter label rows after which the run is torn down; default: never */
function run(args: readonly string[], dieAfter = Infinity, keptBlockRows = BLOCK_ROWS): Promise<CommandOutcome> {
  const controller = new AbortController();
  const dying = {
    planSplit: sets.planSplit.bind(sets),
    erasureMark: sets.erasureMark.bind(sets),
    exportTrainingSet: (request: TrainingSetRequest) =>
      sets.exportTrainingSet({
        ...request,
        onProgress: (progress) => {
          answered += 7;
          request.onProgress?.(progress);
          if (progress.rows >= dieAfter) controller.abort();
        },
      }),
  };
  const labels = args.includes('-l') ? [] : ['-l', 'labels.csv'];
  const all = ['training-set', ...labels, '-f', 'views,share,times', '--json', ...args];
  const inFolder = all.map((arg) => (/\.(csv|parquet)$/.test(arg) ? join(folder, arg) : arg));
  return runWith(
    (io) =>
      exportCommand({
        ...io,
        withTrainingSets: (use) => use(dying),
        withLabels: () => Promise.reject(new Error('no labels are made here')),
        withTables: () => Promise.reject(new Error('not asked for')),
        ...createLabelReaders(world.clock),
        keptBlockRows,
        signal: controller.signal,
        clock: world.clock,
        parseTime: parseTimestamp,
      }),
    inFolder,
  );
}

/** Whether this user may mount a disk of a size. */
function canMount(): boolean {
  return spawnSync('unshare', ['--mount', 'mount', '-t', 'tmpfs', 'tmpfs', tmpdir()]).status === 0;
}

const filesOf = async (name: string): Promise<string[]> =>
  (await readdir(folder)).filter((file) => file.startsWith(name) && !file.endsWith('.json'));

/** Until the receipt says that they are gone. */
async function erase(value: string): Promise<void> {
  const { erasures, worker } = world.engine;
  const { id } = await erasures.request({ identifier: { ns: 'user_id', value } }, { reason: 'asked', actor: 'test' });
  await worker.drain();
  expect(await erasures.find(id)).toMatchObject({ status: 'logical' });
}

/** Something happens once all rows of a set are made, before the last of them is written. */
function beforeTheLast(happens: () => Promise<void>): { restore(): void } {
  const { exportTrainingSet } = sets;
  const spy = vi.spyOn(sets, 'exportTrainingSet').mockImplementation(async (request) => {
    const set = await exportTrainingSet.call(sets, request);
    const rows = async function* () {
      yield* set.rows;
      await happens();
    };
    return { ...set, rows: rows() };
  });
  return {
    restore: () => {
      spy.mockRestore();
    },
  };
}

/** What a set says of the rows of somebody, without doubles. */
async function statusesOf(out: string, value: string): Promise<(string | undefined)[]> {
  const lines = (await readFile(join(folder, out), 'utf8')).trimEnd().split('\n');
  const place = lines[0]?.trim().split(',').indexOf('entity_status') ?? -1;
  const theirs = lines.map((line) => line.split(',')).filter((cells) => cells[1] === value);
  return [...new Set(theirs.map((cells) => cells[place]))];
}

describe('an export that was torn down', () => {
  it.each(['csv', 'parquet'])('goes on where it was, and gives the same %s to the byte', async (ending) => {
    const whole = await run(['-o', `whole.${ending}`, '--split', 'profile']);
    expect(whole.code).toBe(0);
    expect(await filesOf(`whole.${ending}.kept`)).toEqual([]);

    answered = 0;
    const args = ['-o', `torn.${ending}`, '--split', 'profile'];
    const first = await run(args, 50);
    expect(first.code).toBe(130);
    expect(first.stderr).toContain('rows are kept for a day');
    expect(await filesOf(`torn.${ending}`)).toEqual([`torn.${ending}.kept`]);
    // What comes meanwhile is after the cut.
    await world.accept([aTrack('view', { user_id: 'u1' }, { timestampMs: START_MS })]);
    await world.drain();
    expect((await run(args, 30)).code).toBe(130);
    const last = await run(args);
    expect(last).toMatchObject({ code: 0, stderr: expect.stringContaining('goes on after') as string });
    expect(await filesOf(`torn.${ending}`)).toEqual([`torn.${ending}`]);
    const manifests = [whole, last].map(({ stdout }) => JSON.parse(stdout) as TrainingSetManifest);
    expect(manifests[1]?.sha256).toBe(manifests[0]?.sha256);
    expect(await readFile(join(folder, `torn.${ending}`))).toEqual(await readFile(join(folder, `whole.${ending}`)));
    // Of each block at most once, and of those that were not whole once more.
    expect(answered).toBeLessThan(ROWS + 3 * BLOCK_ROWS + 3 * 7);
  });

  it('goes on after its process was killed, and gives the same to the byte', { timeout: 180_000 }, async () => {
    const who = (i: number): string => `u${String(i % 40)}`;
    const rows = Array.from({ length: 2_000 }, (_, i) => `user_id,${who(i)},${String(START_MS + i)},${String(i % 2)}`);
    const labels = join(folder, 'many.csv');
    await writeFile(labels, ['ns,value,time,label', ...rows].join('\n'));
    const worker = compiled(new URL('../support/export-worker.ts', import.meta.url));
    const start = (out: string) =>
      spawn(
        process.execPath,
        [worker, world.test.url, String(world.clock.now()), String(BLOCK_ROWS)].concat([
          '-l',
          labels,
          '-f',
          'views,share,times',
          '-o',
          join(folder, out),
          '--quiet',
        ]),
        { stdio: ['ignore', 'ignore', 'inherit'] },
      );
    const killed = start('killed.csv');
    const closed = once(killed, 'close');
    const isKept = (): Promise<boolean> => access(join(folder, 'killed.csv.kept', '3')).then(() => true, () => false); // prettier-ignore
    while (killed.exitCode === null && !(await isKept())) await setImmediate();
    killed.kill('SIGKILL');
    await closed;
    expect(killed.signalCode).toBe('SIGKILL');
    expect(await filesOf('killed.csv')).toEqual(['killed.csv.kept']);
    for (const out of ['killed.csv', 'undisturbed.csv']) {
      const [code] = (await once(start(out), 'close')) as [number | null];
      expect(code).toBe(0);
    }
    const [after, undisturbed] = await Promise.all(
      ['killed.csv', 'undisturbed.csv'].map((name) => readFile(join(folder, name))),
    );
    expect(after).toEqual(undisturbed);
    expect(await filesOf('killed.csv')).toEqual(['killed.csv']);
  });

  it('is made in one piece to the same bytes, also where one person has most of the labels', async () => {
    const who = (i: number): string => (i % 3 === 0 ? `u${String(i % 40)}` : 'u1');
    const rows = Array.from({ length: ROWS }, (_, i) => `user_id,${who(i)},${String(START_MS + i)},${String(i % 2)}`);
    await writeFile(join(folder, 'skewed.csv'), ['ns,value,time,label', ...rows].join('\n'));
    const made = async (out: string, keptBlockRows: number): Promise<Buffer> => {
      expect((await run(['-l', 'skewed.csv', '-o', out], Infinity, keptBlockRows)).code).toBe(0);
      return readFile(join(folder, out));
    };
    expect(await made('sorted.csv', 7)).toEqual(await made('straight.csv', ROWS));
  });

  it('is of no use to other labels, and refuses those that change while it runs', async () => {
    const labels = (shift: number): string =>
      ['ns,value,time,label', ...Array.from({ length: ROWS }, (_, i) => `user_id,u${String(i % 40)},${String(START_MS + i + shift)},1`)].join('\n'); // prettier-ignore
    const path = join(folder, 'moving.csv');
    const args = ['-l', 'moving.csv', '-o', 'moved.csv'];
    await writeFile(path, labels(0));
    expect((await run(args, 50)).code).toBe(130);
    await writeFile(path, labels(1));
    const anew = await run(args, 50);
    expect(anew).toMatchObject({ code: 130, stderr: expect.not.stringContaining('goes on after') as string });
    // Read for the rows as it is kept, and by others as it is written meanwhile.
    const { exportTrainingSet } = sets;
    const changing = vi.spyOn(sets, 'exportTrainingSet').mockImplementation(async (request) => {
      await writeFile(path, labels(2));
      return exportTrainingSet.call(sets, request);
    });
    const refused = await run(args);
    changing.mockRestore();
    expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining('the labels changed') as string });
    expect(await filesOf('moved')).toEqual([]);
    expect((await run(args)).code).toBe(0);
    expect(await filesOf('moved')).toEqual(['moved.csv']);
  });

  it.skipIf(!canMount())(
    'says that the disk is full, leaves nothing half, and goes on once there is room',
    async () => {
      const disk = join(folder, 'disk');
      await mkdir(disk);
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=52k', 'tmpfs', disk]);
      try {
        const args = ['-o', 'disk/set.csv'];
        const full = await run(args);
        expect(full.code).toBe(1);
        expect(full.stderr).toContain('there is no space left on the disk');
        expect(full.stderr).toMatch(/rows are kept for a day/);
        expect(await readdir(disk)).toEqual(['set.csv.kept']);
        execFileSync('mount', ['-o', 'remount,size=1m', disk]);
        const done = await run(args);
        expect(done).toMatchObject({ code: 0, stderr: expect.stringContaining('goes on after') as string });
        expect((await readdir(disk)).sort()).toEqual(['set.csv', 'set.csv.manifest.json']);
      } finally {
        execFileSync('umount', [disk]);
      }
    },
  );

  it('begins anew where something else is asked, after a day, and when it is told to', async () => {
    const args = ['-o', 'anew.csv'];
    const goesOn = async (more: readonly string[]): Promise<boolean> =>
      (await run([...args, ...more], 50)).stderr.includes('goes on after');
    expect(await goesOn([])).toBe(false);
    expect(await goesOn([])).toBe(true);
    expect(await goesOn(['--consent-as-of', 'time'])).toBe(false);
    expect(await goesOn([])).toBe(false);
    expect(await goesOn(['--restart'])).toBe(false);
    expect(await goesOn([])).toBe(true);
    world.clock.advance(DAY_MS);
    expect(await goesOn([])).toBe(false);
    await world.defineFeatures([
      aFeature('views', { events: ['view', 'other'] }),
      aFeature('share', { aggregate: 'avg', value: 'properties.x', type: 'double' }),
      aFeature('times', { aggregate: 'times', limit: 2, type: 'times' }),
    ]);
    expect(await goesOn([])).toBe(false);
    expect(await goesOn([])).toBe(true);
    expect((await run(args)).code).toBe(0);
    expect(await filesOf('anew')).toEqual(['anew.csv']);
  });
});

describe('an export that goes on', () => {
  it('has nobody who was erased since, and begins anew for it', async () => {
    const args = ['-o', 'erased.csv'];
    expect((await run(args, 100)).stderr).toContain('rows are kept for a day');
    await erase('u5');
    const last = await run(args);
    expect(last).toMatchObject({ code: 0, stderr: expect.not.stringContaining('goes on after') as string });
    expect(await statusesOf('erased.csv', 'u5')).toEqual(['NOT_FOUND']);
    expect(await statusesOf('erased.csv', 'u6')).toEqual(['FOUND']);
  });

  it.each([
    ['in parts', BLOCK_ROWS, 'u6'],
    ['in one piece', ROWS, 'u7'],
  ])('is begun anew where somebody is erased while it is made %s', async (_, keptBlockRows, value) => {
    const erasing = beforeTheLast(async () => {
      erasing.restore();
      await erase(value);
    });
    const { code, stderr } = await run(['-o', `meanwhile-${value}.csv`], Infinity, keptBlockRows);
    expect(code).toBe(0);
    expect(stderr).toContain('note: people were erased meanwhile: begins anew');
    expect(await statusesOf(`meanwhile-${value}.csv`, value)).toEqual(['NOT_FOUND']);
    expect(await filesOf('meanwhile-')).not.toContain(`meanwhile-${value}.csv.kept`);
  });

  it('gives up, and leaves nothing, where people are erased each time', async () => {
    const people = ['u8', 'u9', 'u10', 'u11'];
    const erasing = beforeTheLast(() => erase(people.shift() ?? ''));
    const { code, stderr } = await run(['-o', 'often.csv']);
    erasing.restore();
    expect(code).toBe(1);
    expect(stderr).toContain('people were erased each time');
    expect(people).toEqual(['u11']);
    expect(await filesOf('often')).toEqual([]);
  });

  it('keeps no rows of features that people have to allow now, and of what they allowed at the time', async () => {
    const { purposes, features } = world.engine.services;
    await purposes.apply([aPurpose('ads', { default: 'granted' })]);
    const seen = aFeature('seen', { view: 'gated', events: ['view'] });
    const view = { name: 'gated', description: '', source: null, features: [seen], purposes: ['ads'] };
    await features.apply({ views: [view], services: [] });
    const args = ['-f', 'seen', '-o', 'gated.csv'];
    expect((await run([...args, '--consent-as-of', 'time'], 100)).stderr).toContain('rows are kept for a day');
    expect(await run(args, 100)).toMatchObject({
      code: 130,
      stderr: expect.not.stringContaining('are kept') as string,
    });
    expect(await filesOf('gated')).toEqual([]);

    // What a kill leaves: the rows that are made, before anybody takes them away.
    const kept = join(folder, 'gated.csv.kept');
    const killed = beforeTheLast(() => cp(kept, `${kept}.left`, { recursive: true }));
    expect((await run(args)).code).toBe(0);
    killed.restore();
    await rename(`${kept}.left`, kept);
    expect(await readdir(kept)).toContain('0');
    await world.accept([aTrack('choose', { user_id: 'u2' }, { context: { consent: { purposes: { ads: false } } } })]);
    await world.drain();
    const anew = await run([...args, '--force']);
    expect(anew).toMatchObject({ code: 0, stderr: expect.not.stringContaining('goes on after') as string });
    expect(await statusesOf('gated.csv', 'u2')).toEqual(['WITHHELD']);
    expect(await statusesOf('gated.csv', 'u3')).toEqual(['FOUND']);
  });
});
