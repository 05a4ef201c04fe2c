import { Command } from 'commander';

import { EXIT_CODES, jsonText, runCommand, textTable, type CommandIo } from '../platform/command-line.js';
import { durationText } from '../platform/duration.js';
import { formatInstant } from '../platform/instant.js';
import { SCHEDULE_LIMITS, type ScheduleRun } from './schedule.model.js';
import type { ListedSchedule, ScheduleReader } from './schedule.reader.js';
import type { ScheduleService } from './schedule.service.js';

export interface ScheduleCommandServices {
  readonly schedules: Pick<
    ScheduleService,
    'add' | 'demand' | 'run' | 'cancel' | 'pause' | 'resume' | 'remove' | 'describe'
  >;
  readonly reader: ScheduleReader;
  /** Resolves once the run is over, or waits for another attempt; with it as it is then. Rejects where it is stopped. */
  readonly ended: (run: ScheduleRun, signal: AbortSignal) => Promise<ScheduleRun>;
}

export interface ScheduleCommandDeps extends CommandIo {
  /** Starts what the command needs, for as long as `use` runs. */
  withSchedules<T>(use: (services: ScheduleCommandServices) => Promise<T>): Promise<T>;
  /** The same, with what runs schedules unless another process does. */
  withRunner<T>(use: (services: ScheduleCommandServices) => Promise<T>): Promise<T>;
  readonly signal: AbortSignal;
}

interface Options {
  readonly json?: true;
}

const SHOWN_RUNS = 20;

const HELP = `
Schedules are kept in the database, and what is due is run by one of the processes that apply events (weft serve, or
weft worker): its environment variables and its files count. Runs of one schedule never overlap. Times that passed while
no process ran are made up for by one run, which says how many they were; times that come while a run is not over are
left out and counted. A run that fails is tried again after 1, 2, 4… minutes, as often as --attempts says, unless that is
no use, as with a mapping that is wrong.

Examples:
  weft schedule add crm_hourly --cron "15 * * * *" --mapping crm.yaml
  weft schedule add orders --cron "0 6 * * *" --zone Europe/Berlin --mapping orders.yaml "/data/in/*.csv.gz"
  weft schedule list
  weft schedule show crm_hourly
  weft schedule run crm_hourly
  weft schedule cancel crm_hourly

Exit codes: 0 done, 1 failed (no such schedule, or a run that failed), 2 wrong use, 130 interrupted.`;

/** `weft schedule list|show|run|pause|resume|remove`; what can be scheduled adds its own `add`. */
export function scheduleCommand(deps: ScheduleCommandDeps): Command {
  const command = new Command('schedule')
    .description('do work by the clock: loads, recomputations and snapshots of segments')
    .addHelpText('after', HELP);
  withJson(
    command.command('list').description('all schedules, when they are due, and how their last run ended'),
  ).action((options: Options) => runCommand(deps, () => list(deps, options)));
  onSchedule(command, 'show', `a schedule with its latest ${String(SHOWN_RUNS)} runs`).action(
    (key: string, options: Options) => runCommand(deps, () => show(deps, key, options)),
  );
  onSchedule(command, 'run', 'run it now, beside its times, and wait until that is over').action(
    (key: string, options: Options) => runCommand(deps, () => run(deps, key, options), deps.signal),
  );
  onSchedule(command, 'cancel', 'end the run that is not over; what it has done stays').action(
    (key: string, options: Options) => runCommand(deps, () => cancel(deps, key, options)),
  );
  onSchedule(command, 'pause', 'let nothing come due until it is resumed').action((key: string, options: Options) =>
    runCommand(deps, () => change(deps, options, ({ schedules }) => schedules.pause(key))),
  );
  onSchedule(command, 'resume', 'let it come due again; what was due meanwhile is not made up for').action(
    (key: string, options: Options) =>
      runCommand(deps, () => change(deps, options, ({ schedules }) => schedules.resume(key))),
  );
  onSchedule(command, 'remove', 'remove it with its history; a run that is under way is stopped').action(
    (key: string, options: Options) => runCommand(deps, () => remove(deps, key, options)),
  );
  return command;
}

function onSchedule(command: Command, name: string, description: string): Command {
  return withJson(
    command
      .command(name)
      .argument('<key>', 'key of the schedule, as weft schedule list shows it')
      .description(description),
  );
}

function withJson(command: Command): Command {
  return command.option('--json', 'as JSON');
}

async function list(deps: ScheduleCommandDeps, { json }: Options): Promise<number> {
  return deps.withSchedules(async (services) => {
    const all = await services.reader.page(null, SCHEDULE_LIMITS.maxSchedules);
    if (json === true) deps.stdout.write(jsonText(all.map((each) => toJson(services, each))));
    else if (all.length === 0) deps.stdout.write('There are no schedules yet; weft schedule add makes them.\n');
    else {
      const rows = all.map((each) => [
        each.key,
        each.cron,
        each.zone,
        each.paused ? 'paused' : timeText(each.nextDueAt),
        each.lastRun === null ? 'never ran' : stateOf(each.lastRun),
        services.schedules.describe(each),
      ]);
      deps.stdout.write(textTable([['key', 'cron', 'zone', 'next', 'last run', 'does'], ...rows]));
    }
    return EXIT_CODES.ok;
  });
}

async function show(deps: ScheduleCommandDeps, key: string, { json }: Options): Promise<number> {
  return deps.withSchedules(async (services) => {
    const found = await services.schedules.demand(key);
    const runs = await services.reader.runs(key, null, SHOWN_RUNS);
    if (json === true) deps.stdout.write(jsonText({ ...toJson(services, found), runs: runs.map(runJson) }));
    else deps.stdout.write(`${describeSchedule(services, found)}${runs.length === 0 ? '' : `\n${runTable(runs)}`}`);
    return EXIT_CODES.ok;
  });
}

async function run(deps: ScheduleCommandDeps, key: string, { json }: Options): Promise<number> {
  return deps.withRunner(async ({ schedules, ended }) => {
    const over = await ended(await schedules.run(key), deps.signal);
    deps.stdout.write(json === true ? jsonText(runJson(over)) : `${capital(stateOf(over))}: ${toldOf(over)}\n`);
    if (over.status === 'waiting') deps.stderr.write(`It is tried again at ${timeText(over.notBefore)}.\n`);
    return over.status === 'done' ? EXIT_CODES.ok : EXIT_CODES.failed;
  });
}

async function cancel(deps: ScheduleCommandDeps, key: string, { json }: Options): Promise<number> {
  return deps.withSchedules(async ({ schedules }) => {
    const cancelled = await schedules.cancel(key);
    deps.stdout.write(
      json === true ? jsonText(runJson(cancelled)) : `Cancelled the run of ${timeText(cancelled.dueAt)}.\n`,
    );
    return EXIT_CODES.ok;
  });
}

async function change(
  deps: ScheduleCommandDeps,
  { json }: Options,
  made: (services: ScheduleCommandServices) => Promise<ListedSchedule>,
): Promise<number> {
  return deps.withSchedules(async (services) => {
    const schedule = await made(services);
    deps.stdout.write(json === true ? jsonText(toJson(services, schedule)) : describeSchedule(services, schedule));
    return EXIT_CODES.ok;
  });
}

async function remove(deps: ScheduleCommandDeps, key: string, { json }: Options): Promise<number> {
  return deps.withSchedules(async ({ schedules }) => {
    await schedules.remove(key);
    deps.stdout.write(json === true ? jsonText({ removed: key }) : `Removed ${key}.\n`);
    return EXIT_CODES.ok;
  });
}

/** As `show` begins, and as changes are told. */
export function describeSchedule(
  { schedules }: Pick<ScheduleCommandServices, 'schedules'>,
  schedule: ListedSchedule,
): string {
  const { key, cron, zone, paused, nextDueAt, maxAttempts, timeoutMs } = schedule;
  return [
    key,
    `  does      ${schedules.describe(schedule)}`,
    `  due       ${cron}, ${zone}`,
    `  next      ${paused ? 'paused' : timeText(nextDueAt)}`,
    `  attempts  ${String(maxAttempts)}, of ${durationText(timeoutMs)} at most`,
    '',
  ].join('\n');
}

function runTable(runs: readonly ScheduleRun[]): string {
  const rows = runs.map((each) => [
    timeText(each.dueAt),
    each.trigger === 'manual' ? 'asked for' : 'due',
    stateOf(each),
    String(each.attempts),
    each.startedAt === null || each.finishedAt === null
      ? ''
      : `${((each.finishedAt - each.startedAt) / 1_000).toFixed(1)} s`,
    toldOf(each),
  ]);
  return textTable([['of', 'why', 'state', 'attempts', 'took', ''], ...rows]);
}

function stateOf({ status, finishedAt, done, total }: ScheduleRun): string {
  if (finishedAt !== null) return `${status} ${timeText(finishedAt)}`;
  if (status !== 'running' || done === null) return status;
  return `${status}, ${done.toLocaleString('en-US')}${total === null ? '' : ` of ${total.toLocaleString('en-US')}`}`;
}

function toldOf({ note, errorCode, errorMessage, missed, overlapped }: ScheduleRun): string {
  return [
    ...(note === null ? [] : [note]),
    ...(errorCode === null ? [] : [`${errorCode}: ${errorMessage ?? ''}`]),
    ...(missed === 0 ? [] : [`${String(missed)} earlier times were missed`]),
    ...(overlapped === 0 ? [] : [`${String(overlapped)} times came while it was not over`]),
  ].join('; ');
}

function capital(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}`;
}

function timeText(ms: number | null): string {
  return ms === null ? 'never' : `${new Date(ms).toISOString().slice(0, 16).replace('T', ' ')} UTC`;
}

export function toJson(
  { schedules }: Pick<ScheduleCommandServices, 'schedules'>,
  schedule: ListedSchedule,
): Record<string, unknown> {
  const { key, kind, cron, zone, maxAttempts, timeoutMs, paused, nextDueAt, createdAt, lastRun } = schedule;
  return {
    key,
    kind,
    does: schedules.describe(schedule),
    cron,
    zone,
    paused,
    nextDueAt: instantText(nextDueAt),
    maxAttempts,
    timeoutMs,
    createdAt: instantText(createdAt),
    lastRun: lastRun === null ? null : runJson(lastRun),
  };
}

function runJson({ scheduleKey, dueAt, notBefore, startedAt, finishedAt, ...run }: ScheduleRun): object {
  return {
    schedule: scheduleKey,
    ...run,
    dueAt: instantText(dueAt),
    notBefore: instantText(notBefore),
    startedAt: instantText(startedAt),
    finishedAt: instantText(finishedAt),
  };
}

function instantText(ms: number | null): string | null {
  return ms === null ? null : formatInstant(ms);
}
