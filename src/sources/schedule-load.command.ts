import { InvalidArgumentError, Option, type Command } from 'commander';

import { EXIT_CODES, jsonText, runCommand, type CommandIo } from '../platform/command-line.js';
import { durationMs } from '../platform/duration.js';
import { SCHEDULE_LIMITS, type NewSchedule } from '../schedules/schedule.model.js';
import { LOAD_JOB, loadJobSettings } from './load-job.js';
import { readMappingFile } from './read-mapping-file.js';

export interface ScheduleLoadDeps extends CommandIo {
  /** Makes a schedule; how it is told: as text, and as JSON. */
  add(schedule: NewSchedule): Promise<{ readonly text: string; readonly json: unknown }>;
}

interface AddOptions {
  readonly cron: string;
  readonly zone: string;
  readonly mapping: string;
  readonly emit?: true;
  readonly timeShift?: number;
  readonly maxErrors?: string;
  readonly attempts: number;
  readonly timeout: number;
  readonly json?: true;
}

const HELP = `
The mapping is kept with the schedule: a file that is changed later changes nothing before the schedule is made anew.
Files are loaded each by itself; those that are in already are skipped.

Examples:
  weft schedule add crm_hourly --cron "15 * * * *" --mapping crm.yaml
  weft schedule add orders --cron "0 6 * * 1-5" --zone Europe/Berlin --mapping orders.yaml "/data/in/*.csv.gz"

Exit codes: 0 done, 1 failed (the key is taken), 2 wrong use, or a mapping that is not right.`;

/** `weft schedule add`: loads by the clock. */
export function addScheduleLoadCommand(schedule: Command, deps: ScheduleLoadDeps): Command {
  schedule
    .command('add')
    .description('make a schedule that loads files, or rows of a database, by a mapping file')
    .argument('<key>', 'what it is called, such as crm_hourly')
    .argument('[files...]', 'absolute paths, or patterns in quotes; none: the rows that "from" of the mapping names')
    .requiredOption(
      '--cron <expression>',
      'minute, hour, day, month and weekday, or @hourly, @daily, @weekly, @monthly',
    )
    .option('--zone <name>', 'the time zone of --cron, as in Europe/Berlin', 'UTC')
    .requiredOption('-m, --mapping <yaml>', 'what a row becomes, as for weft load')
    .option('--emit', 'emit the segment changes that the events cause; without it they are history')
    .addOption(new Option('--time-shift <duration>', 'add to all times, such as 7d').argParser(parseDuration))
    .option('--max-errors <limit>', 'stop beyond so many refusals: a count, or a share such as 30%')
    .addOption(
      new Option('--attempts <n>', 'of one run, the first included')
        .argParser((text) => (/^\d{1,3}$/.test(text) ? Number(text) : NaN))
        .default(SCHEDULE_LIMITS.defaultAttempts),
    )
    .addOption(
      new Option('--timeout <duration>', 'after which an attempt is stopped, to be gone on with by the next')
        .argParser(parseDuration)
        .default(SCHEDULE_LIMITS.defaultTimeoutMs, '6h'),
    )
    .option('--json', 'the schedule as JSON')
    .addHelpText('after', HELP)
    .action((key: string, files: string[], options: AddOptions) =>
      runCommand(deps, () => add(deps, key, files, options)),
    );
  return schedule;
}

async function add(
  deps: ScheduleLoadDeps,
  key: string,
  files: readonly string[],
  options: AddOptions,
): Promise<number> {
  const { cron, zone, emit, timeShift, maxErrors, attempts, timeout, json } = options;
  const job = loadJobSettings({
    mapping: await readMappingFile(options.mapping),
    files,
    ...(emit === undefined ? {} : { emit }),
    ...(timeShift === undefined ? {} : { timeShiftMs: timeShift }),
    ...(maxErrors === undefined ? {} : { maxErrors }),
  });
  const made = await deps.add({ key, kind: LOAD_JOB, job, cron, zone, maxAttempts: attempts, timeoutMs: timeout });
  deps.stdout.write(json === true ? jsonText(made.json) : made.text);
  return EXIT_CODES.ok;
}

function parseDuration(text: string): number {
  try {
    return durationMs(text);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new InvalidArgumentError('Write a duration such as 6h or 30m.');
  }
}
