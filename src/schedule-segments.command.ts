import { InvalidArgumentError, Option, type Command } from 'commander';

import { EXIT_CODES, jsonText, runCommand, type CommandIo } from './platform/command-line.js';
import { durationMs } from './platform/duration.js';
import { SCHEDULE_LIMITS, type NewSchedule } from './schedules/schedule.model.js';
import {
  RECOMPUTE_JOB,
  REFRESH_JOB,
  SNAPSHOT_JOB,
  SNAPSHOT_LIMITS,
  type SegmentJobRequests,
} from './segments/segment-jobs.model.js';

export interface ScheduleSegmentsDeps extends CommandIo {
  /** Makes a schedule; how it is told: as text, and as JSON. */
  add(schedule: NewSchedule): Promise<{ readonly text: string; readonly json: unknown }>;
}

interface Options {
  readonly cron: string;
  readonly zone: string;
  readonly attempts: number;
  readonly timeout: number;
  readonly json?: true;
}

const CODES = `
Exit codes: 0 done, 1 failed (the key is taken, no such segment or model), 2 wrong use.`;

const RECOMPUTE_HELP = `
Everybody is evaluated behind live traffic, as by weft segment recompute. Segments that are named have their changes
counted; without any all have. weft segment pause has it rest, weft schedule cancel ends it.

Example:
  weft schedule add-recompute nightly --cron "0 3 * * *" --zone Europe/Berlin
${CODES}`;

const REFRESH_HELP = `
Which segments ask a model, by themselves or through other segments, is found when it is due; if none does, nothing is
done.

Example:
  weft schedule add-refresh churn_daily --cron "30 4 * * *" churn
${CODES}`;

const SNAPSHOT_HELP = `
Each run makes a list, called by its beginning and the time in UTC, such as buyers_20260301_0400. Lists beyond --keep are
removed, the oldest first; those that a live segment asks about stay.

Example:
  weft schedule add-snapshot buyers_monthly buyers --cron @monthly --keep 12
${CODES}`;

/** `weft schedule add-recompute|add-refresh|add-snapshot`: segments by the clock. */
export function addScheduleSegmentCommands(schedule: Command, deps: ScheduleSegmentsDeps): Command {
  timed(schedule.command('add-recompute'), 'make a schedule that has everybody evaluated anew', RECOMPUTE_HELP)
    .argument('[segments...]', 'keys of the segments whose changes are counted; none: all')
    .action((key: string, segments: string[], options: Options) =>
      runCommand(deps, () => add(deps, { key, kind: RECOMPUTE_JOB, job: { segments } }, options)),
    );
  timed(schedule.command('add-refresh'), 'make a schedule that refreshes the segments that ask models', REFRESH_HELP)
    .argument('[models...]', 'keys of the models; none: all')
    .action((key: string, models: string[], options: Options) =>
      runCommand(deps, () => add(deps, { key, kind: REFRESH_JOB, job: { models } }, options)),
    );
  timed(schedule.command('add-snapshot'), 'make a schedule that keeps who is in a segment as lists', SNAPSHOT_HELP)
    .argument('<segment>', 'key of the segment')
    .option('--as <list>', "how the lists' keys begin; without it: as the segment's")
    .addOption(
      new Option('--keep <n>', 'lists that are kept').argParser(parseCount).default(SNAPSHOT_LIMITS.defaultKept),
    )
    .action((key: string, segment: string, options: Options & { as?: string; keep: number }) =>
      runCommand(deps, () =>
        add(deps, { key, kind: SNAPSHOT_JOB, job: { segment, list: options.as ?? null, keep: options.keep } }, options),
      ),
    );
  return schedule;
}

function timed(command: Command, description: string, help: string): Command {
  return command
    .description(description)
    .argument('<key>', 'what it is called, such as nightly')
    .requiredOption(
      '--cron <expression>',
      'minute, hour, day, month and weekday, or @hourly, @daily, @weekly, @monthly',
    )
    .option('--zone <name>', 'the time zone of --cron, as in Europe/Berlin', 'UTC')
    .addOption(
      new Option('--attempts <n>', 'of one run, the first included')
        .argParser(parseCount)
        .default(SCHEDULE_LIMITS.defaultAttempts),
    )
    .addOption(
      new Option('--timeout <duration>', 'after which an attempt is stopped, to be gone on with by the next')
        .argParser(parseDuration)
        .default(SCHEDULE_LIMITS.defaultTimeoutMs, '6h'),
    )
    .option('--json', 'the schedule as JSON')
    .addHelpText('after', help);
}

async function add<K extends keyof SegmentJobRequests>(
  deps: ScheduleSegmentsDeps,
  { key, kind, job }: { readonly key: string; readonly kind: K; readonly job: SegmentJobRequests[K] },
  { cron, zone, attempts, timeout, json }: Options,
): Promise<number> {
  const work = { key, kind, job: { ...job } };
  const made = await deps.add({ ...work, cron, zone, maxAttempts: attempts, timeoutMs: timeout });
  deps.stdout.write(json === true ? jsonText(made.json) : made.text);
  return EXIT_CODES.ok;
}

function parseCount(text: string): number {
  if (/^\d{1,3}$/.test(text)) return Number(text);
  throw new InvalidArgumentError('Write a count such as 12.');
}

function parseDuration(text: string): number {
  try {
    return durationMs(text);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new InvalidArgumentError('Write a duration such as 6h or 30m.');
  }
}
