import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { Command, InvalidArgumentError, Option } from 'commander';

import { durationMs } from '../features/duration.model.js';
import type { Clock } from '../platform/clock.js';
import { WeftError } from '../platform/errors.js';
import { createProgressView, grouped, type ProgressStream, type ProgressView } from './load-progress.js';
import { parseErrorLimit, type DryRunResult, type LoadResult } from './load.model.js';
import type { LoadRequest, LoadService } from './load.service.js';
import type { ErrorLimit, Mapping } from './mapping.model.js';
import { compileTime } from './mapping-time.js';
import { parseMapping } from './parse-mapping.js';

/** What `weft load` ends with. Wrong use of the command line is 2, like a mapping that is not valid. */
export const LOAD_EXIT_CODES = { ok: 0, failed: 1, usage: 2, someRefused: 3, interrupted: 130 } as const;

export interface LoadCommandDeps {
  /** Starts what a load needs, for as long as `use` runs. */
  withLoadService<T>(use: (service: LoadService) => Promise<T>): Promise<T>;
  /** Aborted by Ctrl-C. */
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly stdout: Pick<ProgressStream, 'write'>;
  readonly stderr: ProgressStream & NodeJS.WritableStream;
  setExitCode(code: number): void;
}

interface LoadOptions {
  readonly mapping: string;
  readonly dryRun?: true;
  readonly emit?: true;
  readonly again?: true;
  readonly shiftTo?: number;
  readonly timeShift?: number;
  readonly maxErrors?: ErrorLimit;
  readonly quiet?: true;
  readonly json?: true;
}

/** `weft load <file> --mapping <yaml>`. */
export function loadCommand(deps: LoadCommandDeps): Command {
  return new Command('load')
    .description('load a CSV or JSON lines file (gzip too) by a mapping file')
    .argument('<file>', 'the file; - reads standard input')
    .requiredOption('-m, --mapping <yaml>', 'what a row becomes; docs/loading.md describes the format')
    .option('--dry-run', 'map the first rows, show what would be loaded, write nothing')
    .option('--emit', 'emit the segment changes that the events cause; without it they are history')
    .addOption(
      new Option('--shift-to <time>', 'shift all times so that the last one becomes this (ISO 8601)')
        .argParser(parseInstant)
        .conflicts('timeShift'),
    )
    .addOption(
      new Option('--time-shift <duration>', 'add to all times, such as 7d, -36h or 5000d12h').argParser(parseShift),
    )
    .addOption(
      new Option('--max-errors <limit>', 'stop beyond so many refusals: a count, or a share such as 30%').argParser(
        parseLimit,
      ),
    )
    .option('--again', 'send a file again that is loaded completely')
    .option('--quiet', 'no progress')
    .option('--json', 'the result as JSON')
    .addHelpText('after', EXIT_HELP)
    .action(async (file: string, options: LoadOptions) => {
      deps.setExitCode(await runLoad(deps, file, options));
    });
}

const EXIT_HELP = `
Exit codes: 0 done, 1 failed, 2 wrong use or mapping, 3 done with refused rows, 130 interrupted.
A load that was stopped goes on when the same command is run again.`;

async function runLoad(deps: LoadCommandDeps, file: string, options: LoadOptions): Promise<number> {
  let view: ProgressView | null = null;
  try {
    const mapping = await readMapping(options.mapping);
    const request = { file, mapping, signal: deps.signal, ...timesOf(options) };
    if (options.dryRun === true) {
      const result = await deps.withLoadService((service) => service.dryRun(request));
      deps.stdout.write(options.json === true ? toJson(result) : describeDryRun(result));
      return LOAD_EXIT_CODES.ok;
    }
    if (options.quiet !== true) view = createProgressView(deps.stderr, () => deps.clock.now());
    const result = await deps.withLoadService((service) =>
      service.load({ ...request, ...loadOptions(options), onProgress: (progress) => view?.update(progress) }),
    );
    view?.stop();
    deps.stdout.write(options.json === true ? toJson(result) : describeResult(result));
    return exitCodeOf(result);
  } catch (error) {
    view?.stop();
    if (deps.signal.aborted) {
      deps.stderr.write('Interrupted before anything was sent.\n');
      return LOAD_EXIT_CODES.interrupted;
    }
    if (!(error instanceof WeftError)) throw error;
    deps.stderr.write(describeError(error));
    return error.code === 'DEFINITION_INVALID' ? LOAD_EXIT_CODES.usage : LOAD_EXIT_CODES.failed;
  }
}

async function readMapping(path: string): Promise<Mapping> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    const hint = 'give --mapping the path of a YAML file';
    throw new WeftError('DEFINITION_INVALID', 'the mapping cannot be read', { where: path, hint, cause: error });
  }
  return parseMapping(text, basename(path));
}

function timesOf({ shiftTo, timeShift }: LoadOptions): Pick<LoadRequest, 'shiftToMs' | 'timeShiftMs'> {
  return {
    ...(shiftTo === undefined ? undefined : { shiftToMs: shiftTo }),
    ...(timeShift === undefined ? undefined : { timeShiftMs: timeShift }),
  };
}

function loadOptions({ emit, again, maxErrors }: LoadOptions): Pick<LoadRequest, 'emit' | 'again' | 'errorLimit'> {
  return {
    emit: emit === true,
    again: again === true,
    ...(maxErrors === undefined ? undefined : { errorLimit: maxErrors }),
  };
}

function exitCodeOf({ outcome, refused }: LoadResult): number {
  if (outcome === 'interrupted') return LOAD_EXIT_CODES.interrupted;
  if (outcome === 'too_many_refused') return LOAD_EXIT_CODES.failed;
  return refused > 0 ? LOAD_EXIT_CODES.someRefused : LOAD_EXIT_CODES.ok;
}

const HEADLINES: Readonly<Record<LoadResult['outcome'], string>> = {
  loaded: 'Loaded',
  already_loaded: 'Already loaded: nothing was sent (--again sends it all the same)',
  interrupted: 'Interrupted: what was accepted stays; run the same command again to go on from here',
  too_many_refused:
    'Stopped: too many rows are refused; mend the mapping or the file, or run again with a larger --max-errors',
};

/** The result as lines for people. */
export function describeResult(result: LoadResult): string {
  const lines = [
    `${HEADLINES[result.outcome]}.`,
    `  source      ${result.source}${result.resumed ? ' (went on from an earlier run)' : ''}`,
    `  rows        ${grouped(result.rows)}${result.skipped > 0 ? `, ${grouped(result.skipped)} left out by "when"` : ''}`,
    `  events      ${grouped(result.events)}: ${grouped(result.accepted)} accepted, ${grouped(result.duplicates)} duplicates`,
    `  refused     ${grouped(result.refused)}${codesOf(result.refusedByCode)}`,
  ];
  if (result.timeShiftMs !== 0 || result.shiftKept) {
    const kept = result.shiftKept ? ' (as when this load began; the one given now is not used)' : '';
    lines.push(`  time shift  ${(result.timeShiftMs / 86_400_000).toFixed(3)} days${kept}`);
  }
  const megabytes = (result.bytes / 1_000_000).toFixed(1);
  lines.push(
    `  took        ${result.seconds.toFixed(1)} s for ${megabytes} MB, ${grouped(result.rowsPerSecond)} rows/s`,
  );
  return `${lines.join('\n')}\n`;
}

function describeDryRun(result: DryRunResult): string {
  const events = result.firstEvents.map((event) => JSON.stringify(event, null, 2)).join('\n');
  const time = (ms: number | null): string => (ms === null ? 'none' : new Date(ms).toISOString());
  const whole = result.complete
    ? []
    : [`  whole file  about ${grouped(result.estimatedRows)} rows, ${grouped(result.estimatedEvents)} events`];
  const lines = [
    'Dry run: nothing was written.',
    `  source      ${result.source}`,
    `  rows        ${grouped(result.rows)}${result.complete ? '' : ' (the first ones)'}, ${grouped(result.skipped)} left out by "when"`,
    `  events      ${grouped(result.events)}`,
    ...whole,
    `  refused     ${grouped(result.refused)}${codesOf(result.refusedByCode)}`,
    ...result.firstRefusals.map(({ rowNumber, reason }) => `              row ${String(rowNumber)}: ${reason}`),
    `  times       ${time(result.firstTimeMs)} to ${time(result.lastTimeMs)}`,
  ];
  return `${events}\n${lines.join('\n')}\n`;
}

function codesOf(byCode: Readonly<Record<string, number>>): string {
  const codes = Object.entries(byCode).map(([code, count]) => `${grouped(count)} ${code}`);
  return codes.length === 0 ? '' : ` (${codes.join(', ')}); see dead_letters`;
}

function describeError({ message, where, hint }: WeftError): string {
  const lines = [
    `error: ${message}`,
    ...(where === undefined ? [] : [`  at: ${where}`]),
    ...(hint === undefined ? [] : [`  hint: ${hint}`]),
  ];
  return `${lines.join('\n')}\n`;
}

function toJson(result: LoadResult | DryRunResult): string {
  return `${JSON.stringify(result, null, 2)}\n`;
}

const readIso = compileTime({ format: 'iso', zone: 'UTC' });

function parseInstant(text: string): number {
  const ms = readIso(text);
  if (Number.isNaN(ms)) throw new InvalidArgumentError('Write an ISO 8601 time such as 2026-01-31T12:00:00Z.');
  return ms;
}

function parseShift(text: string): number {
  const [, sign, parts] = /^([+-]?)((?:\d+[a-z])+)$/.exec(text) ?? [];
  try {
    const ms = (parts?.match(/\d+[a-z]/g) ?? ['']).reduce((sum, part) => sum + durationMs(part), 0);
    return sign === '-' ? -ms : ms;
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new InvalidArgumentError('Write a duration such as 7d, -36h or 5000d12h (units d, h, m, s).');
  }
}

function parseLimit(text: string): ErrorLimit {
  const limit = parseErrorLimit(text);
  if (limit === undefined) throw new InvalidArgumentError('Write a count such as 500, or a share such as 30%.');
  return limit;
}
