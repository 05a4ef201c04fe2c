import { basename } from 'node:path';
import type { Command } from 'commander';
import { EXIT_CODES, jsonText, runCommand, type CommandIo } from '../platform/command-line.js';
import { refuseExisting, withForce, type ForceOption } from '../platform/existing-output.js';
import { ExportProgress, grouped, type ExportProgressParts } from './export-progress.js';
import { manifestPathOf } from './hashed-file.js';
import { parseNames, parseTimeOption } from './label-options.js';
import { checkTablePath, writeTable, type ExportedTable, type TableManifest } from './table-file.js';
import type { TableRequest, TableService } from './table.service.js';
import type { ParseTime } from './training-set-labels.js';

export interface TableCommandDeps extends CommandIo, ExportProgressParts {
  /** Starts what tables need, for as long as `use` runs. */
  withTables<T>(use: (service: Pick<TableService, 'events' | 'identities'>) => Promise<T>): Promise<T>;
  /** Aborted by Ctrl-C. */
  readonly signal: AbortSignal;
  readonly stderr: ExportProgressParts['stderr'];
  readonly parseTime: ParseTime;
}

interface Options extends ForceOption {
  readonly out: string;
  readonly from?: number;
  readonly to?: number;
  readonly drop?: readonly string[];
  readonly quiet?: true;
  readonly json?: true;
}

const EXIT_HELP = `
Exit codes: 0 done, 1 failed, 2 wrong use, 130 interrupted. Nothing is left behind unless it is 0.`;

const EVENTS_HELP = `
The events that count, one a row, by position in the log, as Parquet: who they are of now, names, times, and properties,
traits, context and identifiers as JSON. Words of private messages and sealed traits are in no such file. The file shows who people are unless columns are dropped.

Examples:
  weft export events --out events.parquet
  weft export events --from 2026-01-01 --to 2026-02-01 --drop identifiers,traits,context --out january.parquet
${EXIT_HELP}`;

const IDENTITIES_HELP = `
Which identifiers stand for whom now, one a row, by profile, as Parquet.

Examples:
  weft export identities --out identities.parquet
  weft export identities --drop value --out namespaces.parquet
${EXIT_HELP}`;

/** `weft export events` and `weft export identities`. */
export function addTableCommands(exported: Command, deps: TableCommandDeps): void {
  const time = (text: string): number => parseTimeOption(text, deps.parseTime);
  const events = exported
    .command('events')
    .description('export the events of the log, as Parquet')
    .option('--from <time>', 'only those that occurred at this time or later', time)
    .option('--to <time>', 'only those that occurred before', time);
  addCommon(events, EVENTS_HELP, (options: Options) =>
    run(deps, options, 'positions', (tables, request) => tables.events(request)),
  );
  const identities = exported.command('identities').description('export which identifiers stand for whom, as Parquet');
  addCommon(identities, IDENTITIES_HELP, (options: Options) =>
    run(deps, options, 'people', (tables, request) => tables.identities(request)),
  );
  function addCommon(command: Command, help: string, action: (options: Options) => Promise<number>): void {
    withForce(command)
      .requiredOption('-o, --out <file>', 'the Parquet file to write')
      .option('--drop <columns>', 'columns to leave out, separated by commas', parseNames)
      .option('--quiet', 'no progress')
      .option('--json', 'the manifest as JSON')
      .addHelpText('after', help)
      .action((options: Options) => runCommand(deps, () => action(options), deps.signal));
  }
}

async function run(
  deps: TableCommandDeps,
  { out, from, to, drop = [], quiet, json, force }: Options,
  unit: string,
  open: (tables: Pick<TableService, 'events' | 'identities'>, request: TableRequest) => Promise<ExportedTable>,
): Promise<number> {
  checkTablePath(out);
  await refuseExisting({ force }, out);
  const startedAt = deps.clock.now();
  let view: ExportProgress | null = null;
  try {
    const onProgress = (done: number, total: number): void => {
      if (quiet !== true) view ??= new ExportProgress(deps, total, unit);
      view?.update(done);
    };
    const manifest = await deps.withTables(async (tables) => {
      const table = await open(tables, { fromMs: from, toMs: to, signal: deps.signal, onProgress });
      return writeTable(out, table, { drop, nowMs: startedAt });
    });
    stop(view);
    const seconds = (deps.clock.now() - startedAt) / 1_000;
    deps.stdout.write(json === true ? jsonText(manifest) : describe(out, manifest, seconds));
    return EXIT_CODES.ok;
  } finally {
    stop(view);
  }
}

function stop(view: ExportProgress | null): void {
  view?.stop();
}

function describe(out: string, { rows, columns, bytes, damagedEvents }: TableManifest, seconds: number): string {
  const damaged = damagedEvents === 0 ? '' : ` (${grouped(damagedEvents)} events cannot be read and are left out)`;
  const lines = [
    `Wrote ${basename(out)}.`,
    `  rows        ${grouped(rows)}${damaged}`,
    `  columns     ${columns.join(', ')}`,
    `  bytes       ${grouped(bytes)}`,
    `  manifest    ${basename(manifestPathOf(out))}`,
    `  took        ${seconds.toFixed(1)} s`,
  ];
  return `${lines.join('\n')}\n`;
}
