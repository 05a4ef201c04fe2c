import { InvalidArgumentError, Option, type Command } from 'commander';

import { EXIT_CODES, jsonText, runCommand, type CommandIo } from '../platform/command-line.js';
import { WeftError } from '../platform/errors.js';
import { refuseExisting, withForce, type ForceOption } from '../platform/existing-output.js';
import { formatInstant } from '../platform/instant.js';
import { isKey, KEY_HINT } from '../platform/key.js';
import type { PeopleTableSpec } from './people-table.model.js';

/** What is to be exported, and to where. */
export interface PeopleExportRequest extends PeopleTableSpec {
  readonly name: string | null;
  readonly onlyChanges: boolean;
  readonly to:
    | { readonly kind: 'file'; readonly path: string }
    | { readonly kind: 'table'; readonly table: string; readonly urlEnv: string };
  readonly signal: AbortSignal;
  /** Called with the living profiles there are, once that is known. */
  readonly onTotal: (profiles: number) => void;
  readonly onProgress: (profiles: number) => void;
}

export interface PeopleExportResult {
  /** Rows that were written; of an export of changes: those that are new or changed. */
  readonly rows: number;
  readonly removed: number;
  readonly unchanged: number;
  /** People who are left out because they do not allow what the table is for. */
  readonly withheld: number;
  /** When the export of this name before it ended, ms; null: there was none. */
  readonly since: number | null;
  /** Rows of a table that were there and are in no export; null of a file, and of an export of changes. */
  readonly others: number | null;
  /** Beside the file; null of a table. */
  readonly manifest: string | null;
}

/** Tells how far an export is. */
export interface ExportView {
  update(done: number): void;
  stop(): void;
}

export interface ExportPeopleDeps extends CommandIo {
  exportPeople(request: PeopleExportRequest): Promise<PeopleExportResult>;
  readonly view: (total: number) => ExportView;
  readonly signal: AbortSignal;
}

interface Options extends ForceOption {
  readonly identifiers?: readonly string[];
  readonly traits?: readonly string[];
  readonly segments?: readonly string[];
  readonly evidence?: readonly string[];
  readonly features?: readonly string[];
  readonly service?: string;
  readonly within?: readonly string[];
  readonly purposes?: readonly string[];
  readonly out?: string;
  readonly table?: string;
  readonly urlEnv?: string;
  readonly name?: string;
  readonly changes?: true;
  readonly quiet?: true;
  readonly json?: true;
}

const HELP = `
A row for each profile, with its id: people as they are, for programs that may know who they are. (weft export profiles
hides who they are.) The columns are those that are named, in the order identifiers, traits, segments, evidence, features.

--evidence tells of members what the feed told when they entered: since, version, cause, event, event_id, event_source and
event_at, due_at of what the clock did, models as JSON. Of events that are gone from the log there is nothing.

With --name, what was exported is remembered, as a hash of each row; with --changes, only rows that differ from that are
written, and rows that are gone: in a file with the column _change (changed, or removed with nothing but the id), in a
table by deleting them. Somebody is gone who was erased, became part of another profile, left a segment of --within or
does not allow --purposes any more. Without --changes everything is exported, and a table loses all other rows.

Examples:
  weft export people --within vip --identifiers email --traits plan --purposes ads --out vip.csv
  weft export people --service purchase_intent_v1 --name intent --out intent.parquet
  weft export people --service purchase_intent_v1 --name intent --changes --out intent-changes.parquet
  weft export people --identifiers email --segments vip --name crm --changes --table weft_people --url-env CRM_DATABASE_URL

Exit codes: 0 done, 1 failed, 2 wrong use, 130 interrupted. Unless it is 0, no file is left behind and everything is
exported again; a table keeps what it has got, and the same command goes on.`;

/** `weft export people`. */
export function addPeopleExport(exported: Command, deps: ExportPeopleDeps): void {
  const names = (flags: string, description: string): Option => new Option(flags, description).argParser(parseNames);
  const command = exported
    .command('people')
    .description('export profiles, members of segments and feature sets to a file or a table, whole or by change')
    .addOption(names('--identifiers <namespaces>', 'columns with the first identifier of these, as email,user_id'))
    .addOption(names('--traits <names>', 'columns with traits, as texts'))
    .addOption(names('--segments <keys>', 'columns that say whether each is in these segments'))
    .addOption(
      names('--evidence <keys>', 'columns that say by what each is in these segments, as vip_cause, vip_event'),
    )
    .addOption(names('--features <names>', 'columns with features, as of now'))
    .option('--service <name>', 'columns with the features of a feature service')
    .addOption(names('--within <keys>', 'only those who are in all of these segments'))
    .addOption(names('--purposes <keys>', 'only those who allow all of these'))
    .option('-o, --out <file>', 'the file to write: .csv, .jsonl or .parquet')
    .addOption(new Option('--table <name>', 'the PostgreSQL table to write, made if it is not there').conflicts('out'))
    .option('--url-env <variable>', 'with --table: the environment variable that holds the URL of the database')
    .option('--name <name>', 'what the export is called, to be followed by exports of changes')
    .option('--changes', 'only what changed since the last export of this name')
    .option('--quiet', 'no progress')
    .option('--json', 'the result as JSON');
  withForce(command)
    .addHelpText('after', HELP)
    .action((options: Options) => runCommand(deps, () => run(deps, options), deps.signal));
}

async function run(deps: ExportPeopleDeps, options: Options): Promise<number> {
  const { identifiers = [], traits = [], segments = [], evidence = [], features = [] } = options;
  const { service, within = [], purposes = [] } = options;
  const { name, changes, quiet, json } = options;
  if (changes === true && name === undefined) {
    throw new WeftError('BAD_REQUEST', 'what changed is told by the name of an export', {
      where: '--changes',
      hint: 'give --name, the same as the export before',
    });
  }
  if (name !== undefined && !isKey(name)) {
    throw new WeftError('BAD_REQUEST', 'an export cannot be called so', { where: '--name', hint: KEY_HINT });
  }
  const to = targetOf(options);
  if (to.kind === 'file') await refuseExisting(options, to.path);
  let view: ExportView | null = null;
  try {
    const result = await deps.exportPeople({
      identifiers,
      traits,
      segments,
      evidence,
      features,
      service: service ?? null,
      within,
      purposes,
      name: name ?? null,
      onlyChanges: changes === true,
      to,
      signal: deps.signal,
      onTotal: (profiles) => {
        if (quiet !== true) view = deps.view(profiles);
      },
      onProgress: (profiles) => view?.update(profiles),
    });
    (view as ExportView | null)?.stop();
    const since = result.since === null ? null : formatInstant(result.since);
    if (json === true) deps.stdout.write(jsonText({ ...result, since }));
    else deps.stdout.write(describe(result, to.kind === 'file' ? to.path : to.table, changes === true));
    return EXIT_CODES.ok;
  } finally {
    (view as ExportView | null)?.stop();
  }
}

function targetOf({ out, table, urlEnv }: Options): PeopleExportRequest['to'] {
  if (out !== undefined && urlEnv === undefined) return { kind: 'file', path: out };
  if (table !== undefined && urlEnv !== undefined) return { kind: 'table', table, urlEnv };
  throw new WeftError('BAD_REQUEST', 'nothing says where to write', {
    where: out === undefined ? '--out' : '--url-env',
    hint: 'give --out a file, or --table and --url-env',
  });
}

function describe(result: PeopleExportResult, to: string, isOfChanges: boolean): string {
  const { rows, removed, unchanged, withheld, since, others, manifest } = result;
  const count = (n: number): string => n.toLocaleString('en-US');
  return [
    `Wrote ${to}.`,
    `  rows       ${count(rows)}${isOfChanges ? ` new or changed, ${count(unchanged)} as before` : ''}`,
    ...(removed === 0 ? [] : [`  removed    ${count(removed)}`]),
    ...(withheld === 0 ? [] : [`  left out   ${count(withheld)} who do not allow it`]),
    ...(others === null || others === 0 ? [] : [`  deleted    ${count(others)} other rows of the table`]),
    ...(isOfChanges ? [`  since      ${since === null ? 'the beginning' : formatInstant(since)}`] : []),
    ...(manifest === null ? [] : [`  manifest   ${manifest}`]),
    '',
  ].join('\n');
}

function parseNames(text: string): string[] {
  const names = text.split(',').map((name) => name.trim());
  if (names.includes('')) throw new InvalidArgumentError('Separate the names by one comma each, as in email,user_id.');
  return names;
}
