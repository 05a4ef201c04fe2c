import { InvalidArgumentError, type Command } from 'commander';
import type { JsonValue } from '../events/event.model.js';
import { EXIT_CODES, jsonText, runCommand, textTable, type CommandIo } from '../platform/command-line.js';
import { refuseExisting, withForce, type ForceOption } from '../platform/existing-output.js';
import { writeFileAtomically } from '../platform/write-file-atomically.js';
import { anonymise, type AnonymiseReport, type Table } from './anonymise.js';
import { textOf } from './generalise.model.js';

export interface ProfileColumns {
  readonly traits: readonly string[];
  readonly segments: readonly string[];
  /** Keys of segments: only who is in all of them is in the table. */
  readonly within: readonly string[];
  /** Keys of what people have to allow to be in it. */
  readonly purposes: readonly string[];
}

export interface ProfileTable extends Table {
  /** People who are not in it, because they do not allow what it is for. */
  readonly withheldProfiles: number;
}

export interface AnonymisedExportDeps extends CommandIo {
  /** A row for each profile, with these columns in order. @throws WeftError PAYLOAD_TOO_LARGE; NOT_FOUND */
  readTable(columns: ProfileColumns, onProgress: (profiles: number) => void): Promise<ProfileTable>;
  readonly signal: AbortSignal;
}

interface Options extends ForceOption {
  readonly traits: readonly string[];
  readonly segments?: readonly string[];
  readonly within?: readonly string[];
  readonly purposes?: readonly string[];
  readonly out: string;
  readonly anonymise: number;
  readonly quasi: readonly string[];
  readonly drop?: readonly string[];
  readonly maxSuppressed: number;
  readonly json?: true;
}

const FILE_MODE = 0o600;
const DEFAULT_MAX_SUPPRESSED = 5;

const HELP = `
A table of people, as CSV, in which each is like at least k - 1 others in the columns by which they could be recognised
(k-anonymity): ages become ranges, dates months and years, codes prefixes, until that is so; rows that would cost the others
too much are left out, up to --max-suppressed percent. Ids and identifiers are in no such file. What is lost is told.

It hides who is who, not what a group has in common: where all who are alike share a value of another column, that is
told of each of them. Name such columns with --quasi, too, or drop them.

With --within, only those are in it who are in all of these segments now. With --purposes, whoever does not allow all of these now is left out, and counted.

Examples:
  weft export profiles --traits age,postcode,plan,email --segments vip --anonymise k=5 --quasi age,postcode \\
    --drop email --out people.csv
  weft export profiles --traits age,plan --within vip --purposes analytics --anonymise k=5 --quasi age --out people.csv

Exit codes: 0 done, 1 failed, 2 wrong use, 130 interrupted. Nothing is left behind unless it is 0.`;

/** `weft export profiles`. */
export function addAnonymisedExport(exported: Command, deps: AnonymisedExportDeps): void {
  const command = exported
    .command('profiles')
    .description('export people without who they are, as CSV')
    .requiredOption('--traits <names>', 'traits to export, separated by commas', parseNames)
    .option('--segments <keys>', 'columns that say whether each is in these segments, as true or false', parseNames)
    .option('--within <keys>', 'only those who are in all of these segments', parseNames)
    .option('--purposes <keys>', 'only those who allow all of these, by key', parseNames)
    .requiredOption('--anonymise <k>', 'how many have to be alike: k=5', parseK)
    .requiredOption('--quasi <columns>', 'the columns by which people could be recognised', parseNames)
    .option('--drop <columns>', 'columns to leave out', parseNames)
    .option('--max-suppressed <percent>', 'rows that may be left out', parsePercent, DEFAULT_MAX_SUPPRESSED)
    .requiredOption('-o, --out <file>', 'the CSV file to write')
    .option('--json', 'what was lost as JSON');
  withForce(command)
    .addHelpText('after', HELP)
    .action((options: Options) => runCommand(deps, () => run(deps, options), deps.signal));
}

async function run(deps: AnonymisedExportDeps, options: Options): Promise<number> {
  const { traits, segments = [], within = [], purposes = [], drop = [], quasi, out } = options;
  await refuseExisting(options, out);
  const { withheldProfiles, ...table } = await deps.readTable({ traits, segments, within, purposes }, (profiles) => {
    deps.stderr.write(`${String(profiles)} profiles read\n`);
  });
  deps.signal.throwIfAborted();
  const { table: made, report } = anonymise(table, {
    k: options.anonymise,
    quasi,
    drop,
    maxSuppressedShare: options.maxSuppressed / 100,
  });
  await writeFileAtomically(out, csvOf(made), FILE_MODE);
  const withheld =
    purposes.length === 0 ? '' : `${String(withheldProfiles)} do not allow ${purposes.join(', ')} and are not in it.\n`;
  const told = describe(out, report) + withheld;
  deps.stdout.write(options.json === true ? jsonText({ ...report, purposes, withheldProfiles }) : told);
  return EXIT_CODES.ok;
}

function describe(out: string, report: AnonymiseReport): string {
  const { k, rows, suppressedRows, groups, smallestGroup, columns, dropped } = report;
  const lost = columns.map(({ column, kind, level, levels, distinctBefore, distinctAfter }) => [
    column,
    kind,
    `${String(level)} of ${String(levels)}`,
    String(distinctBefore),
    String(distinctAfter),
  ]);
  return (
    `Wrote ${out}: ${String(rows)} rows in ${String(groups)} groups of at least ${String(smallestGroup)} (k=${String(k)}); ` +
    `${String(suppressedRows)} left out.${dropped.length === 0 ? '' : ` Dropped: ${dropped.join(', ')}.`}\n` +
    textTable([['column', 'kind', 'levels lost', 'values before', 'after'], ...lost])
  );
}

const NEEDS_QUOTES = /[",\r\n]/;

/** RFC 4180. */
function csvOf({ columns, rows }: Table): string {
  const line = (cells: readonly JsonValue[]): string => `${cells.map(cellOf).join(',')}\r\n`;
  return line(columns) + rows.map(line).join('');
}

function cellOf(value: JsonValue): string {
  const text = textOf(value);
  return NEEDS_QUOTES.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function parseNames(text: string): string[] {
  const names = text.split(',').map((name) => name.trim());
  if (!names.includes('')) return names;
  throw new InvalidArgumentError('Separate the names by one comma each, as in age,postcode.');
}

function parseK(text: string): number {
  const k = /^(?:k=)?(\d{1,6})$/.exec(text)?.[1];
  if (k !== undefined && Number(k) >= 2) return Number(k);
  throw new InvalidArgumentError('Write k=5, or another number from 2 on.');
}

function parsePercent(text: string): number {
  const percent = /^\d{1,3}(\.\d+)?%?$/.test(text) ? Number.parseFloat(text) : NaN;
  if (percent <= 100) return percent;
  throw new InvalidArgumentError('Write a percentage from 0 to 100.');
}
