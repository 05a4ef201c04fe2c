import { EXIT_CODES, jsonText } from '../platform/command-line.js';
import { WeftError } from '../platform/errors.js';
import { exitCodeOf } from './load-files.js';
import { grouped, type ProgressView } from './load-progress.js';
import { describeDryRun, settledLines, unexpectedLines } from './load-report.js';
import type {
  WarehouseDryRun,
  WarehouseLoadRequest,
  WarehouseLoadResult,
  WarehouseLoadService,
} from './warehouse/warehouse-load.service.js';

export interface WarehouseSessions {
  /** Starts what a load needs, for as long as `use` runs; of a dry run, without anything that sends. */
  withWarehouseLoads<T>(isDryRun: boolean, use: (service: WarehouseLoadService) => Promise<T>): Promise<T>;
}

interface WarehouseOptions {
  readonly dryRun?: true;
  readonly json?: true;
  readonly replace?: string;
  readonly shiftTo?: number;
}

/** Loads the rows of the query that the mapping names; the command's exit code. */
export async function loadWarehouse(
  deps: WarehouseSessions & { readonly stdout: { write(text: string): unknown } },
  request: WarehouseLoadRequest,
  { dryRun, json, replace, shiftTo }: WarehouseOptions,
  view: ProgressView | null,
): Promise<number> {
  if (replace !== undefined) throw ofFiles('--replace loads a file', 'revert the load, and run it with --full');
  if (shiftTo !== undefined) throw ofFiles('--shift-to is for a file', 'use --time-shift');
  if (dryRun === true) {
    const result = await deps.withWarehouseLoads(true, (service) => service.dryRun(request));
    view?.stop();
    deps.stdout.write(json === true ? jsonText(result) : describeWarehouseDryRun(result));
    return result.checked === null ? EXIT_CODES.ok : exitCodeOf(result.checked);
  }
  const result = await deps.withWarehouseLoads(false, (service) => service.load(request));
  view?.stop();
  deps.stdout.write(json === true ? jsonText(result) : describeWarehouseLoad(result));
  return exitCodeOf(result);
}

function ofFiles(message: string, hint: string): WeftError {
  return new WeftError('BAD_REQUEST', message, { hint });
}

const HEADLINES: Readonly<Record<WarehouseLoadResult['outcome'], string>> = {
  loaded: 'Loaded',
  already_loaded: 'Nothing new',
  interrupted: 'Interrupted: what was accepted stays; run the same command again to go on from here',
  too_many_refused: 'Stopped: too many rows are refused; mend the mapping or the query, and run the same command again',
};

function describeWarehouseLoad(result: WarehouseLoadResult): string {
  const { outcome, source, loads, rows, skipped, events, accepted, duplicates, refused, seconds, position } = result;
  const { lastLoadId, lettersSettled } = result;
  const see = loads === 1 && lastLoadId !== null ? `--load ${lastLoadId}` : `--source ${source} --stage load`;
  const leftOut = skipped > 0 ? `, ${grouped(skipped)} left out by "when" or "dedupe"` : '';
  return [
    `${HEADLINES[outcome]}.`,
    `  source      ${source}`,
    `  rows        ${grouped(rows)}${leftOut}, in ${grouped(loads)} load${loads === 1 ? '' : 's'}`,
    `  events      ${grouped(events)}: ${grouped(accepted)} accepted, ${grouped(duplicates)} duplicates`,
    `  refused     ${grouped(refused)}`,
    ...settledLines(lettersSettled),
    ...unexpectedLines(result),
    ...(position === null ? [] : [`  up to       ${position}`]),
    `  took        ${seconds.toFixed(1)} s`,
    ...(lastLoadId === null ? [] : [`  load        ${lastLoadId}${loads > 1 ? ', the last' : ''}`]),
    ...(refused === 0 ? [] : [`  see         weft dead-letters list ${see}`]),
    '',
  ].join('\n');
}

function describeWarehouseDryRun({ checked, hasMore }: WarehouseDryRun): string {
  if (checked === null) return 'Dry run: there are no new rows.\n';
  return `${describeDryRun(checked)}${hasMore ? 'There are more rows: these were the first that a load would read.\n' : ''}`;
}
