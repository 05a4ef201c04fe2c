import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { createLoads } from '../../src/create-loads.js';
import { LoadJobKind } from '../../src/sources/load-job.js';
import { ScheduleReader } from '../../src/schedules/schedule.reader.js';
import { ScheduleRunner } from '../../src/schedules/schedule-runner.js';
import {
  describeSchedule,
  scheduleCommand,
  toJson,
  type ScheduleCommandServices,
} from '../../src/schedules/schedule.command.js';
import { addScheduleLoadCommand } from '../../src/sources/schedule-load.command.js';
import { createApiWorld, type ApiWorld } from '../support/api-world.js';
import { runWith, type CommandOutcome } from '../support/command-runner.js';

const MAPPING = `
source: visits
format: csv
time: at
identifiers: { user_id: who }
event: { type: track, name: visited }
`;

let world: ApiWorld;
let folder: string;
let runner: ScheduleRunner;

beforeAll(async () => {
  world = await createApiWorld();
  folder = await mkdtemp(join(tmpdir(), 'weft-schedules-'));
  await writeFile(join(folder, 'visits.yaml'), MAPPING);
  const { db, clock } = world;
  runner = new ScheduleRunner({
    db,
    clock,
    kinds: [new LoadJobKind(createLoads(world.engine, world.services.sources, world.engine.accept, { db, clock }))],
    observer: { ended: () => undefined, missed: () => undefined, defect: (error) => world.defects.push(error) },
    onError: (error) => world.defects.push(error),
  });
});
afterAll(async () => {
  await runner.stop();
  expect(world.defects).toEqual([]);
  await world.close();
  await rm(folder, { recursive: true });
});

/** `weft schedule …`; a word for the test's folder in arguments. */
function weft(...args: string[]): Promise<CommandOutcome> {
  const { db, services, clock } = world;
  clock.advance(1_000);
  const commandServices: ScheduleCommandServices = {
    schedules: services.schedules,
    reader: new ScheduleReader(db),
    ended: async (run) => {
      await runner.look();
      await runner.settled();
      return (await new ScheduleReader(db).run(run.id)) ?? run;
    },
  };
  return runWith(
    (io) =>
      addScheduleLoadCommand(
        scheduleCommand({
          ...io,
          signal: new AbortController().signal,
          withSchedules: (use) => use(commandServices),
          withRunner: (use) => use(commandServices),
        }),
        {
          ...io,
          add: async (schedule) => {
            const made = await services.schedules.add(schedule);
            return { text: describeSchedule(commandServices, made), json: toJson(commandServices, made) };
          },
        },
      ),
    args.map((arg) => arg.replace('FOLDER', folder)),
  );
}

describe('weft schedule', () => {
  it('loads the files that fit a pattern, and each of them once', async () => {
    const added = await weft('add', 'visits', '--cron', '@daily', '--mapping', 'FOLDER/visits.yaml', 'FOLDER/in-*.csv');
    expect(added).toMatchObject({ code: 0, stderr: '' });
    expect(added.stdout).toContain(`does      load ${folder}/in-*.csv into visits`);
    await writeFile(join(folder, 'in-1.csv'), 'who,at\nann,2025-06-01T00:00:00Z\nbob,2025-06-01T00:00:00Z\n');
    const first = await weft('run', 'visits');
    expect(first.stdout).toContain('rows 2: 2 accepted, 0 duplicates, 0 refused');
    expect(first.code).toBe(0);
    await writeFile(join(folder, 'in-2.csv'), 'who,at\ncid,2025-06-01T00:00:00Z\n');
    expect((await weft('run', 'visits')).stdout).toContain('rows 1: 1 accepted');
    expect((await weft('run', 'visits')).stdout).toContain('nothing new');
    const shown = await weft('show', 'visits', '--json');
    expect(JSON.parse(shown.stdout)).toMatchObject({
      key: 'visits',
      runs: [
        { status: 'done', result: { outcome: 'already_loaded', files: 2, loads: 0 } },
        { status: 'done', result: { outcome: 'loaded', files: 2, loads: 1, accepted: 1 } },
        { status: 'done', result: { files: 1, accepted: 2 } },
      ],
    });
    expect((await weft('list')).stdout).toMatch(/visits {2}@daily {2}UTC .* done /);
  });

  it('says why a run failed, with an exit code of its own', async () => {
    await weft('add', 'gone', '--cron', '@daily', '--mapping', 'FOLDER/visits.yaml', 'FOLDER/none-*.csv');
    const ran = await weft('run', 'gone');
    expect(ran.code).toBe(1);
    expect(ran.stdout).toMatch(/^Failed .*BAD_REQUEST: no file fits the pattern/);
    expect((await weft('show', 'gone')).stdout).toContain('asked for');
    expect((await weft('pause', 'gone')).stdout).toContain('next      paused');
    expect((await weft('resume', 'gone')).stdout).not.toContain('paused');
    expect(await weft('remove', 'gone')).toMatchObject({ code: 0, stdout: 'Removed gone.\n' });
    expect(await weft('show', 'gone')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('no schedule gone') as string,
    });
  });

  it.each([
    [['FOLDER/visits.yaml', 'in.csv'], 'absolute paths'],
    [['FOLDER/visits.yaml'], 'nothing says what to load'],
    [['FOLDER/crm.yaml', 'FOLDER/in-1.csv'], 'files are given'],
    [['FOLDER/visits.yaml', 'FOLDER/in-1.csv', '--max-errors', 'few'], 'no limit of errors'],
    [['FOLDER/visits.yaml', 'FOLDER/in-1.csv', '--attempts', 'many'], 'attempts'],
  ])('refuses what cannot be done: %j', async ([mapping = '', ...files], message) => {
    const crm = `${MAPPING.replace('format: csv', 'from: { postgres: { url_env: CRM, query: SELECT 1 } }')}key: '{who}'\n`;
    await writeFile(join(folder, 'crm.yaml'), crm);
    const { code, stderr } = await weft('add', 'wrong', '--cron', '@daily', '--mapping', mapping, ...files);
    expect(stderr).toContain(message);
    expect(code).toBe(2);
  });
});

describe('schedules in GraphQL', () => {
  it('are made as the page on loading shows, run, paused, resumed and removed', async () => {
    const page = await readFile(new URL('../../docs/loading.md', import.meta.url), 'utf8');
    const [, create = ''] = /```graphql\n(mutation \{\n {2}createLoadSchedule.*?)```/s.exec(page) ?? [];
    expect(await world.data(create)).toEqual({
      createLoadSchedule: {
        key: 'crm_nightly',
        nextDueAt: expect.stringMatching(/:30:00\.000Z$/) as string,
        does: 'load rows of a database into crm',
      },
    });
    expect(await world.data(create)).toMatchObject({ createLoadSchedule: { where: 'key' } });
    const ran =
      'mutation { runSchedule(key: "crm_nightly") { ... on ScheduleRun { status } ... on Failure { code } } }';
    expect(await world.data(ran)).toEqual({ runSchedule: { status: 'WAITING' } });
    expect(await world.data(ran)).toEqual({ runSchedule: { code: 'CONFLICT' } });
    await runner.look();
    await runner.settled();
    // The variable is not set: nothing that another attempt would change.
    expect(
      await world.data(
        '{ scheduleRuns(key: "crm_nightly") { edges { node { status errorCode errorMessage attempts trigger } } } }',
      ),
    ).toMatchObject({
      scheduleRuns: {
        edges: [
          {
            node: {
              status: 'FAILED',
              errorCode: 'NOT_CONFIGURED',
              errorMessage: expect.stringContaining('CRM_DATABASE_URL') as string,
              attempts: 1,
              trigger: 'MANUAL',
            },
          },
        ],
      },
    });
    const change = (field: string): string =>
      `mutation { ${field}(key: "crm_nightly") { ... on Schedule { paused lastRun { status } } } }`;
    expect(await world.data(change('pauseSchedule'))).toMatchObject({ pauseSchedule: { paused: true } });
    expect(await world.data(change('resumeSchedule'))).toEqual({
      resumeSchedule: { paused: false, lastRun: { status: 'FAILED' } },
    });
    const keys = '{ schedules { edges { node { key } } } schedule(key: "crm_nightly") { timeoutSeconds maxAttempts } }';
    expect(await world.data(keys)).toMatchObject({ schedule: { timeoutSeconds: 21_600, maxAttempts: 3 } });
    const removed =
      'mutation { removeSchedule(key: "crm_nightly") { ... on ScheduleRemoved { key } ... on Failure { code } } }';
    expect(await world.data(removed)).toEqual({ removeSchedule: { key: 'crm_nightly' } });
    expect(await world.data(removed)).toEqual({ removeSchedule: { code: 'NOT_FOUND' } });
  });

  it('read no files of the server', async () => {
    const create = `mutation ($mapping: String!) {
      createLoadSchedule(schedule: { key: "files", cron: "@daily", mapping: $mapping }) { ... on Failure { message hint } } }`;
    expect(await world.data(create, { mapping: MAPPING })).toMatchObject({
      createLoadSchedule: { hint: expect.stringContaining('weft schedule add') as string },
    });
  });
});
