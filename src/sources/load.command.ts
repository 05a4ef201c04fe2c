import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { Command, InvalidArgumentError, Option } from 'commander';

import { durationMs } from '../platform/duration.js';
import type { Clock } from '../platform/clock.js';
import { EXIT_CODES, jsonText, runCommand } from '../platform/command-line.js';
import { unreadableFile } from '../platform/file-errors.js';
import { createProgressView, type ProgressStream, type ProgressView } from './load-progress.js';
import { addRevertCommands, confirmRevert, progressTo, type RevertCommandDeps } from './load-revert.command.js';
import { describeDryRun, describeResult } from './load-report.js';
import { parseErrorLimit, type DryRunResult, type LoadResult } from './load.model.js';
import type { LoadRequest, LoadService } from './load.service.js';
import type { ErrorLimit, Mapping } from './mapping.model.js';
import { compileTime } from './mapping-time.js';
import { parseMapping } from './parse-mapping.js';

/** Beside the {@link EXIT_CODES} of all commands: done, and some rows were refused. */
const SOME_REFUSED = 3;

export interface LoadCommandDeps extends RevertCommandDeps {
  /** Starts what a load needs, for as long as `use` runs. */
  withLoadService<T>(use: (service: LoadService) => Promise<T>): Promise<T>;
  /** The same for a dry run, which sends nothing. */
  withDryRun<T>(use: (service: LoadService) => Promise<T>): Promise<T>;
  readonly clock: Clock;
  readonly stderr: ProgressStream & NodeJS.WritableStream;
}

interface LoadOptions {
  readonly mapping?: string;
  readonly replace?: string;
  readonly dryRun?: true;
  readonly emit?: true;
  readonly again?: true;
  readonly yes?: true;
  readonly shiftTo?: number;
  readonly timeShift?: number;
  readonly maxErrors?: ErrorLimit;
  readonly quiet?: true;
  readonly json?: true;
}

/** `weft load <file> --mapping <yaml>`, `weft load list|revert`. */
export function loadCommand(deps: LoadCommandDeps): Command {
  const command = new Command('load')
    .description('load a CSV or JSON lines file (gzip too) by a mapping file')
    .argument('<file>', 'the file; - reads standard input')
    .option('-m, --mapping <yaml>', 'what a row becomes; docs/loading.md describes the format')
    .option('--dry-run', 'do all that a load does but write: show the first events, and the report')
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
    .option('--replace <load id>', 'revert this load and load the file in its place, once a dry run of it ends well')
    .option('--yes', 'with --replace: do not ask')
    .option('--again', 'send a file again that is loaded completely')
    .option('--quiet', 'no progress')
    .option('--json', 'the result as JSON')
    .addHelpText('after', EXIT_HELP)
    .action((file: string, options: LoadOptions) => {
      const { mapping } = options;
      // Not `requiredOption`: that would be asked of the subcommands too.
      if (mapping === undefined) return command.error("error: required option '-m, --mapping <yaml>' not specified");
      return runCommand(deps, () => runLoad(deps, file, { ...options, mapping }), deps.signal);
    });
  addRevertCommands(command, deps);
  return command;
}

const EXIT_HELP = `
Exit codes: 0 done, 1 failed or too many rows refused, 2 wrong use, or a mapping or a file that is not right, 3 done
with refused rows, 130 interrupted. A dry run ends as the load would.
A load that was stopped goes on when the same command is run again. A file that is named as a subcommand is: ./list`;

async function runLoad(
  deps: LoadCommandDeps,
  file: string,
  options: LoadOptions & { readonly mapping: string },
): Promise<number> {
  const mapping = await readMapping(options.mapping);
  const view = options.quiet === true ? null : createProgressView(deps.stderr, () => deps.clock.now());
  const request: LoadRequest = {
    file,
    mapping,
    signal: deps.signal,
    onProgress: (progress) => view?.update(progress),
    onNewSource: (key, { near }) => {
      if (near !== null)
        deps.stderr.write(`Made the source ${key}; did you mean ${near}? weft load revert takes its events back.\n`);
    },
    ...requestOf(options),
  };
  try {
    if (options.dryRun === true) {
      const result = await deps.withDryRun((service) => service.dryRun(request));
      view?.stop();
      deps.stdout.write(options.json === true ? jsonText(result) : describeDryRun(result));
      return exitCodeOf(result);
    }
    if (options.replace !== undefined)
      return await replaceLoad(deps, request, { ...options, loadId: options.replace }, view);
    const result = await deps.withLoadService((service) => service.load(request));
    view?.stop();
    deps.stdout.write(options.json === true ? jsonText(result) : describeResult(result));
    return exitCodeOf(result);
  } finally {
    view?.stop();
  }
}

async function replaceLoad(
  deps: LoadCommandDeps,
  request: LoadRequest,
  { loadId, json, yes }: Pick<LoadOptions, 'json' | 'yes'> & { readonly loadId: string },
  view: ProgressView | null,
): Promise<number> {
  const told = progressTo(deps.stderr);
  const { checked, loaded, isDeclined } = await deps.withLoadService((service) =>
    service.replace(request, {
      loadId,
      confirm: async (load, extent) => {
        if (yes === true) return true;
        view?.stop();
        return confirmRevert(deps, load, extent);
      },
      onReverted: (removed, events) => {
        if (view !== null) told(removed, events);
      },
    }),
  );
  view?.stop();
  if (isDeclined) {
    deps.stderr.write('Nothing was changed.\n');
    return EXIT_CODES.failed;
  }
  if (loaded === null) {
    deps.stdout.write(json === true ? jsonText(checked) : describeDryRun(checked));
    deps.stderr.write('Nothing was changed: the load that was to be replaced stands.\n');
    return EXIT_CODES.failed;
  }
  deps.stdout.write(json === true ? jsonText(loaded) : describeResult(loaded));
  return exitCodeOf(loaded);
}

async function readMapping(path: string): Promise<Mapping> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    throw unreadableFile('the mapping', path, error);
  }
  return parseMapping(text, basename(path));
}

function requestOf(options: LoadOptions): Omit<LoadRequest, 'file' | 'mapping'> {
  const { emit, again, maxErrors, shiftTo, timeShift } = options;
  return {
    emit: emit === true,
    again: again === true,
    ...(maxErrors === undefined ? undefined : { errorLimit: maxErrors }),
    ...(shiftTo === undefined ? undefined : { shiftToMs: shiftTo }),
    ...(timeShift === undefined ? undefined : { timeShiftMs: timeShift }),
  };
}

function exitCodeOf({ outcome, refused }: Pick<LoadResult | DryRunResult, 'outcome' | 'refused'>): number {
  if (outcome === 'interrupted') return EXIT_CODES.interrupted;
  if (outcome === 'too_many_refused') return EXIT_CODES.failed;
  return refused > 0 ? SOME_REFUSED : EXIT_CODES.ok;
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
