import { writeFile } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { Command, InvalidArgumentError, Option } from 'commander';

import { durationMs } from '../platform/duration.js';
import type { Clock } from '../platform/clock.js';
import { EXIT_CODES, jsonText, runCommand } from '../platform/command-line.js';
import { WeftError } from '../platform/errors.js';
import { expandFiles, mayBeSeveral } from './expand-files.js';
import { inferMapping } from './infer/infer-mapping.js';
import { STDIN } from './load-file.js';
import { describeTotal, exitCodeOf, exitCodeOfAll, mayGoOn, totalJson, type FileOutcome } from './load-files.js';
import { createProgressView, type ProgressStream, type ProgressView } from './load-progress.js';
import { addRevertCommands, confirmRevert, progressTo, type RevertCommandDeps } from './load-revert.command.js';
import { describeDryRun, describeResult } from './load-report.js';
import { loadWarehouse, type WarehouseSessions } from './load-warehouse.command.js';
import { parseErrorLimit, type DryRunResult, type LoadResult } from './load.model.js';
import type { LoadRequest, LoadService } from './load.service.js';
import type { ErrorLimit, Mapping } from './mapping.model.js';
import { compileTime } from './mapping-time.js';
import { readMappingFile } from './read-mapping-file.js';

export interface LoadCommandDeps extends RevertCommandDeps, WarehouseSessions {
  /** Starts what a load needs, for as long as `use` runs. */
  withLoadService<T>(use: (service: LoadService) => Promise<T>): Promise<T>;
  /** The same for a dry run, which sends nothing. */
  withDryRun<T>(use: (service: LoadService) => Promise<T>): Promise<T>;
  readonly clock: Clock;
  readonly stdin: Readable;
  readonly stderr: ProgressStream & NodeJS.WritableStream;
}

interface LoadOptions {
  readonly infer?: true;
  readonly out?: string;
  readonly mapping?: string;
  readonly replace?: string;
  readonly dryRun?: true;
  readonly emit?: true;
  readonly again?: true;
  readonly full?: true;
  readonly yes?: true;
  readonly shiftTo?: number;
  readonly timeShift?: number;
  readonly maxErrors?: ErrorLimit;
  readonly quiet?: true;
  readonly json?: true;
}

/** `weft load [files…] --mapping <yaml>`, `weft load list|revert`. */
export function loadCommand(deps: LoadCommandDeps): Command {
  const command = new Command('load')
    .description('load CSV, JSON lines or Parquet files (gzip and zstd too), or rows of a database, by a mapping file')
    .argument(
      '[files...]',
      'files or patterns such as "in/*.csv.gz", loaded one after the other; - reads standard input; none: the rows that "from" of the mapping names',
    )
    .option('-m, --mapping <yaml>', 'what a row becomes; docs/loading.md describes the format')
    .option('--infer', 'draft a mapping for the file from a sample of it, to be edited; nothing is loaded')
    .option('--out <yaml>', 'with --infer: the file to write it to, which must not be there; default: standard output')
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
    .option('--full', 'with "from" of a mapping: read all rows again, not only those after the last that was loaded')
    .option('--quiet', 'no progress')
    .option('--json', 'the result as JSON')
    .addHelpText('after', EXIT_HELP)
    .action((files: string[], options: LoadOptions) => {
      const { mapping } = options;
      if (options.infer === true) return runCommand(deps, () => infer(deps, files, options), deps.signal);
      // Not `requiredOption`: that would be asked of the subcommands too.
      if (mapping === undefined && files.length === 0) return command.help({ error: true });
      if (mapping === undefined)
        return command.error(
          "error: required option '-m, --mapping <yaml>' not specified\n  hint: weft load <file> --infer drafts one from the file",
        );
      return runCommand(deps, () => runLoads(deps, files, { ...options, mapping }), deps.signal);
    });
  addRevertCommands(command, deps);
  return command;
}

const EXIT_HELP = `
Several files are loads of their own, by the same mapping: the first that does not end well stops the command, and run
again it skips those that are loaded. What a file is (gzip, zstd, Parquet) is told from its first bytes.

Examples:
  weft load orders.csv.gz --infer --out orders.yaml
  weft load orders.csv.gz --mapping orders.yaml --dry-run
  weft load 'in/2026-*.csv.zst' --mapping orders.yaml
  weft load events.parquet --mapping events.yaml --json
  weft load --mapping crm.yaml             # from a database: docs/loading.md#from-a-database
  zcat big.jsonl.gz | weft load - --mapping big.yaml

Exit codes: 0 done, 1 failed or too many rows refused, 2 wrong use, or a mapping or a file that is not right, 3 done
with refused rows, 130 interrupted. A dry run ends as the load would.
A load that was stopped goes on when the same command is run again. A file that is named as a subcommand is: ./list`;

type MappedOptions = LoadOptions & { readonly mapping: string };

async function runLoads(deps: LoadCommandDeps, patterns: readonly string[], options: MappedOptions): Promise<number> {
  const mapping = await readMappingFile(options.mapping);
  if (patterns.length === 0) return runWarehouseLoad(deps, mapping, options);
  if (options.full === true) throw new WeftError('BAD_REQUEST', '--full is for rows of a database, not for files');
  const files = await expandFiles(patterns);
  const isSeveral = mayBeSeveral(patterns);
  if (isSeveral) demandOneByOne(files, options);
  const view = viewOf(deps, options);
  const common = commonRequest(deps, mapping, options, view);
  const requestFor = (file: string): LoadRequest => ({ file, ...common });
  try {
    if (options.replace !== undefined)
      return await replaceLoad(deps, requestFor(files[0] ?? ''), { ...options, loadId: options.replace }, view);
    const all = (load: LoadOne): Promise<number> => loadAll(deps, files, { ...options, isSeveral }, view, load);
    return options.dryRun === true
      ? await deps.withDryRun((service) => all((file) => service.dryRun(requestFor(file))))
      : await deps.withLoadService((service) => all((file) => service.load(requestFor(file))));
  } finally {
    view?.stop();
  }
}

async function runWarehouseLoad(deps: LoadCommandDeps, mapping: Mapping, options: MappedOptions): Promise<number> {
  const view = viewOf(deps, options);
  const request = { ...commonRequest(deps, mapping, options, view), full: options.full === true };
  try {
    return await loadWarehouse(deps, request, options, view);
  } finally {
    view?.stop();
  }
}

function viewOf(deps: LoadCommandDeps, { quiet }: MappedOptions): ProgressView | null {
  return quiet === true ? null : createProgressView(deps.stderr, () => deps.clock.now());
}

function commonRequest(
  deps: LoadCommandDeps,
  mapping: Mapping,
  options: MappedOptions,
  view: ProgressView | null,
): Omit<LoadRequest, 'file'> {
  return {
    mapping,
    signal: deps.signal,
    onProgress: (progress) => view?.update(progress),
    onNewSource: (key, { near }) => {
      if (near !== null)
        deps.stderr.write(`Made the source ${key}; did you mean ${near}? weft load revert takes its events back.\n`);
    },
    ...requestOf(options),
  };
}

type LoadOne = (file: string) => Promise<LoadResult | DryRunResult>;

/** One file after the other, up to the first that does not end well. */
async function loadAll(
  deps: LoadCommandDeps,
  files: readonly string[],
  { json, isSeveral }: MappedOptions & { readonly isSeveral: boolean },
  view: ProgressView | null,
  load: LoadOne,
): Promise<number> {
  const outcomes: FileOutcome[] = [];
  const tellAll = (): void => {
    const left = files.length - outcomes.length;
    if (json === true) deps.stdout.write(isSeveral ? totalJson(outcomes, left) : jsonText(outcomes[0]?.result));
    else if (isSeveral) deps.stdout.write(describeTotal(outcomes, left));
  };
  for (const [i, file] of files.entries()) {
    if (isSeveral && view !== null) deps.stderr.write(`File ${String(i + 1)} of ${String(files.length)}: ${file}\n`);
    let result: LoadResult | DryRunResult;
    try {
      result = await load(file);
    } catch (error) {
      view?.stop();
      if (outcomes.length > 0) tellAll();
      throw error;
    }
    view?.stop();
    outcomes.push({ file, result });
    if (json !== true) deps.stdout.write(`${isSeveral ? `${file}\n` : ''}${reportOf(result)}`);
    if (!mayGoOn(result)) break;
  }
  tellAll();
  return exitCodeOfAll(outcomes);
}

function reportOf(result: LoadResult | DryRunResult): string {
  return 'loadId' in result ? describeResult(result) : describeDryRun(result);
}

/** @throws WeftError BAD_REQUEST for what is of one file */
function demandOneByOne(files: readonly string[], { shiftTo, replace }: MappedOptions): void {
  const wrong = files.includes(STDIN)
    ? 'standard input is loaded by itself'
    : shiftTo !== undefined
      ? '--shift-to moves the times of one file; --time-shift moves those of several alike'
      : replace !== undefined
        ? '--replace loads one file'
        : null;
  if (wrong !== null) throw new WeftError('BAD_REQUEST', wrong, { hint: 'name one file' });
}

/** The draft on standard output or in a file, notes on standard error. */
async function infer(deps: LoadCommandDeps, files: readonly string[], { out, json }: LoadOptions): Promise<number> {
  const [path, ...more] = files;
  if (path === undefined || more.length > 0) {
    throw new WeftError('BAD_REQUEST', 'a mapping is drafted from one file', {
      hint: 'name one that is like the others',
    });
  }
  const { text, notes } = await inferMapping(path, deps.stdin);
  if (out === undefined) deps.stdout.write(json === true ? jsonText({ mapping: text, notes }) : text);
  else await writeNew(out, text);
  if (out !== undefined && json === true) deps.stdout.write(jsonText({ out, notes }));
  for (const note of notes) deps.stderr.write(`note: ${note}\n`);
  if (out !== undefined) deps.stderr.write(`Written. Next: weft load ${path} --mapping ${out} --dry-run\n`);
  return EXIT_CODES.ok;
}

async function writeNew(path: string, text: string): Promise<void> {
  try {
    await writeFile(path, text, { flag: 'wx' });
  } catch (error) {
    if (!(error instanceof Error && 'code' in error)) throw error;
    const isThere = error.code === 'EEXIST';
    const why = isThere ? 'it is there already' : String(error.code);
    const hint = isThere ? 'name another file, or remove it first' : 'name a file in a folder that may be written to';
    throw new WeftError('BAD_REQUEST', `the mapping cannot be written: ${why}`, { where: path, hint, cause: error });
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
