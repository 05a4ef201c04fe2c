import { InvalidArgumentError, Option, type Command } from 'commander';
import type {
  ExportPeopleDeps,
  ExportView,
  PeopleExportRequest,
  PeopleExportResult,
} from './activation/export-people.command.js';
import { EXIT_CODES, jsonText, runCommand } from './platform/command-line.js';
import { WeftError } from './platform/errors.js';
import { refuseExisting, withForce, type ForceOption } from './platform/existing-output.js';

interface Options extends ForceOption {
  readonly out: string;
  readonly fields: readonly string[];
  readonly evidence?: true;
  readonly quiet?: true;
  readonly json?: true;
}

const HELP = `
A row for each member, with the id of the profile and what --fields names: namespaces of identifiers as email, features as
f.spend_90d, traits as traits.plan, in the order identifiers, traits, features. Members are read page by page, as they are then. weft export people can also write tables
and changes since the last time.

With --evidence there is also what the feed told when they entered: <key>_since, version, cause, event, event_id,
event_source, event_at, due_at and models.

Examples:
  weft segment export cart_abandoned --out abandoned.csv
  weft segment export cart_abandoned --evidence --out abandoned.jsonl
  weft segment export cart_abandoned --fields email,traits.plan,f.spend_90d --out abandoned.parquet

Exit codes: 0 done, 1 failed, 2 wrong use, 130 interrupted. Unless it is 0, no file is left behind.`;

/** `weft segment export`. */
export function addSegmentExport(segment: Command, deps: ExportPeopleDeps): void {
  const command = segment
    .command('export <key>')
    .description('write the members of a segment to a file')
    .requiredOption('-o, --out <file>', 'the file to write: .csv, .jsonl or .parquet')
    .addOption(
      new Option('--fields <names>', 'columns, as email,traits.plan,f.spend_90d')
        .argParser(parseFields)
        .default(['email']),
    )
    .option('--evidence', 'columns that say by what each is in it, as <key>_cause and <key>_event')
    .option('--quiet', 'no progress')
    .option('--json', 'the result as JSON');
  withForce(command)
    .addHelpText('after', HELP)
    .action((key: string, options: Options) => runCommand(deps, () => run(deps, key, options), deps.signal));
}

async function run(deps: ExportPeopleDeps, key: string, options: Options): Promise<number> {
  const { out, fields, evidence, quiet, json } = options;
  await refuseExisting(options, out);
  let view: ExportView | null = null;
  try {
    const result = await deps.exportPeople({
      ...columnsOf(fields),
      ...{
        segments: [],
        evidence: evidence === true ? [key] : [],
        service: null,
        within: [key],
        purposes: [],
        name: null,
        onlyChanges: false,
      },
      ...{ to: { kind: 'file', path: out }, signal: deps.signal },
      onTotal: (profiles) => {
        if (quiet !== true) view = deps.view(profiles);
      },
      onProgress: (profiles) => view?.update(profiles),
    });
    (view as ExportView | null)?.stop();
    deps.stdout.write(json === true ? jsonText(resultOf(key, out, result)) : described(key, out, result));
    return EXIT_CODES.ok;
  } catch (error) {
    throw asAsked(error);
  } finally {
    (view as ExportView | null)?.stop();
  }
}

/** What this command calls the arguments that an error of the table names. */
const ASKED_AS: ReadonlyMap<string, string> = new Map([
  ['--features', '--fields'],
  ['--traits', '--fields'],
  ['--within', '<key>'],
  ['--evidence', '<key>'],
]);

function asAsked(error: unknown): unknown {
  const where = error instanceof WeftError ? ASKED_AS.get(error.where ?? '') : undefined;
  if (!(error instanceof WeftError) || where === undefined) return error;
  const { code, message, hint, retryAfterMs, cause } = error;
  return new WeftError(code, message, {
    where,
    ...(hint === undefined ? {} : { hint }),
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    ...(cause === undefined ? {} : { cause }),
  });
}

/** By what names begin with; what has no prefix is a namespace. */
function columnsOf(fields: readonly string[]): Pick<PeopleExportRequest, 'identifiers' | 'traits' | 'features'> {
  const named = (prefix: string): string[] =>
    fields.filter((name) => name.startsWith(prefix)).map((name) => name.slice(prefix.length));
  return {
    identifiers: fields.filter((name) => !name.includes('.')),
    traits: named('traits.'),
    features: named('f.'),
  };
}

function resultOf(segment: string, file: string, { rows, manifest }: PeopleExportResult) {
  return { segment, file, members: rows, manifest };
}

function described(key: string, out: string, { rows, manifest }: PeopleExportResult): string {
  return [
    `Wrote ${out}.`,
    `  members    ${rows.toLocaleString('en-US')} of segment ${key}`,
    ...(manifest === null ? [] : [`  manifest   ${manifest}`]),
    '',
  ].join('\n');
}

function parseFields(text: string): string[] {
  const names = text.split(',').map((name) => name.trim());
  const wrong = names.find((name) => name === '' || (name.includes('.') && !/^(f|traits)\../.test(name)));
  if (wrong === undefined) return names;
  throw new InvalidArgumentError('Name identifiers as email, features as f.name and traits as traits.name.');
}
