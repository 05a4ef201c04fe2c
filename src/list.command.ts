import type { Readable } from 'node:stream';
import { Command, InvalidArgumentError, Option } from 'commander';
import { uploadList, type RefusedListRow } from './list-upload.js';
import { EXIT_CODES, jsonText, runCommand, textTable, type CommandIo, type Confirm } from './platform/command-line.js';
import { WeftError } from './platform/errors.js';
import { formatInstant } from './platform/instant.js';
import type { ListChange, StoredList } from './profiles/list.model.js';
import type { ListReader } from './profiles/list.reader.js';
import { noSuchList, type ListService } from './profiles/list.service.js';
import { listRowReader } from './read-list-rows.js';
import { readSample } from './sources/infer/read-sample.js';
import { openLoadFile } from './sources/load-file.js';
import { createProgressView, grouped, type ProgressStream } from './sources/load-progress.js';
import { openRows } from './sources/row-reader.js';

export interface ListCommandServices {
  readonly lists: Pick<ListService, 'begin' | 'end' | 'remove' | 'removeOthers' | 'say' | 'upsert'>;
  readonly reader: Pick<ListReader, 'all' | 'byKey' | 'identifiersOn' | 'keys'>;
  /** Namespaces that files may have columns of without being asked. */
  readonly namespaces: ReadonlySet<string>;
  /** Resolves when everything that was accepted is applied. */
  readonly applied: (onProgress?: (done: number, total: number) => void) => Promise<void>;
}

export interface ListCommandDeps extends CommandIo {
  readonly stderr: ProgressStream & NodeJS.WritableStream;
  readonly stdin: Readable;
  readonly signal: AbortSignal;
  readonly now: () => number;
  readonly sleep: (ms: number) => Promise<void>;
  readonly confirm: Confirm | null;
  /** Without a worker. */
  withLists<T>(use: (services: ListCommandServices) => Promise<T>): Promise<T>;
  /** With one, unless another process has one. */
  withWorkingLists<T>(use: (services: ListCommandServices) => Promise<T>): Promise<T>;
}

interface UploadOptions {
  readonly add?: true;
  readonly remove?: true;
  readonly by?: readonly string[];
  readonly name?: string;
  readonly description?: string;
  readonly maxRefused: number;
  readonly quiet?: true;
  readonly json?: true;
}

const DEFAULT_MAX_REFUSED_PERCENT = 10;
/** Refused rows that are told one by one. */
const MAX_TOLD = 20;

const HELP = `
A list is people whom you name, by any of their identifiers; a condition asks for it by listed("vips"), so that
weft segment and weft apply make a segment of it. Files are CSV, JSON lines or Parquet, gzip and zstd too: columns are
namespaces (email, user_id, …), or there are two, namespace and value. Whoever is not known yet is on the list all the same.

Examples:
  weft list upload vips vips.csv
  weft list upload vips more.csv --add
  weft list upload vips gone.csv --remove
  weft list upload vips export-of-crm.csv --by email
  weft list show vips

Exit codes: 0 done, 1 failed or too much was refused, 2 wrong use or a file that is none, 130 interrupted. A change that
was broken off has said a part of what it was to say; the same command says it all.`;

/** `weft list upload|ls|show|rm`. */
export function listCommand(deps: ListCommandDeps): Command {
  const command = new Command('list').description('lists of people, for segments to ask about');
  command.addHelpText('after', HELP);
  command
    .command('upload <key> <file>')
    .description('put those on a list whom a file names, and take all others off it; - reads standard input')
    .option('--add', 'leave the others on it')
    .addOption(new Option('--remove', 'take those off it whom the file names').conflicts('add'))
    .addOption(new Option('--by <columns>', 'the columns that are identifiers, as email,crm_id').argParser(parseNames))
    .option('--name <name>', 'what people call the list (default: as it is; of a new list its key)')
    .option('--description <text>', 'what it is for')
    .addOption(
      new Option('--max-refused <percent>', 'leave the others on the list if more of the file was refused')
        .argParser(parsePercent)
        .default(DEFAULT_MAX_REFUSED_PERCENT),
    )
    .option('--quiet', 'no progress')
    .option('--json', 'the result as JSON')
    .action((key: string, file: string, options: UploadOptions) =>
      runCommand(deps, () => upload(deps, key, file, options), deps.signal),
    );
  command
    .command('ls')
    .description('all lists')
    .option('--json', 'as JSON')
    .action((options: { json?: true }) => runCommand(deps, () => list(deps, options)));
  command
    .command('show <key>')
    .description('one list, with how many identifiers are on it')
    .option('--json', 'as JSON')
    .action((key: string, options: { json?: true }) => runCommand(deps, () => show(deps, key, options)));
  command
    .command('rm <key>')
    .description('remove a list that no live segment asks about')
    .option('--yes', 'do not ask')
    .action((key: string, options: { yes?: true }) => runCommand(deps, () => remove(deps, key, options)));
  return command;
}

async function upload(deps: ListCommandDeps, key: string, path: string, options: UploadOptions): Promise<number> {
  const { stderr, stdout, signal, now, sleep } = deps;
  const kind: ListChange['kind'] = options.remove === true ? 'remove' : options.add === true ? 'add' : 'replace';
  const file = await openLoadFile(path, deps.stdin);
  const view = options.quiet === true ? null : createProgressView(stderr, now);
  try {
    return await deps.withWorkingLists(async ({ lists, reader, namespaces, applied }) => {
      const { by = null } = options;
      const { format, encoding, delimiter, header } = await readSample(file.handle);
      // A file of nothing but values has no header row.
      const isBare = header !== null && by !== null && by.length === header.length;
      if (header !== null && !isBare) throw noHeadings();
      const rowFormat = { format, encoding, delimiter, header: isBare ? by : header };
      const feed = await openRows(file.handle, rowFormat, file.name);
      const read = listRowReader(feed.header, by, namespaces);
      const standing = await reader.byKey(key);
      if (kind === 'remove' && standing === null) throw noSuchList(key, await reader.keys());
      const { name = standing?.name ?? key, description = standing?.description ?? '' } = options;
      await lists.upsert({ key, name, description });
      const change = await lists.begin(key, kind);
      const told: RefusedListRow[] = [];
      const counts = await uploadList(
        { lists, sleep },
        {
          ...{ change, feed, read, signal },
          onRefused: (row) => {
            if (told.length < MAX_TOLD) told.push(row);
          },
          onProgress: ({ rows, bytesRead }) =>
            view?.update({ phase: 'loading', rows, events: rows, refused: 0, bytesRead, bytesTotal: file.sizeBytes }),
        },
      );
      const none = { rows: 0, events: 0, refused: 0 };
      const onApplied = (bytesRead: number, bytesTotal: number): void =>
        view?.update({ ...none, phase: 'applying', bytesRead, bytesTotal });
      const onRemoved = (rows: number): void =>
        view?.update({ ...none, phase: 'removing', rows, bytesRead: 0, bytesTotal: 0 });
      // Who is on the list is read from what is applied.
      await applied(onApplied);
      view?.stop();
      for (const { number, reason } of told) stderr.write(`${file.name}, row ${String(number)}: ${reason}\n`);
      if (counts.refused > told.length) stderr.write(`… and ${grouped(counts.refused - told.length)} more\n`);
      const isOver = counts.refused * 100 > options.maxRefused * (counts.taken + counts.refused);
      const isHeld = kind === 'replace' && (counts.taken === 0 || isOver);
      const removed = kind === 'replace' && !isHeld ? await lists.removeOthers(change, onRemoved) : 0;
      if (removed > 0) await applied(onApplied);
      view?.stop();
      if (!isHeld) await lists.end(change, { ...counts, removed });
      const result = { list: key, kind, isNew: standing === null, ...counts, removed, othersStay: isHeld };
      stdout.write(options.json === true ? jsonText(result) : uploadText(result));
      if (!isHeld) return EXIT_CODES.ok;
      const [why, hint] =
        counts.taken === 0
          ? ['nothing of the file was taken', 'mend the file']
          : ['too much of the file was refused', 'mend the file, or allow it by --max-refused 100'];
      const stays = standing === null ? '' : ', so the others stay on the list';
      stderr.write(`error: ${why}${stays}\n  hint: ${hint}\n`);
      return EXIT_CODES.failed;
    });
  } finally {
    view?.stop();
    await file.handle.close();
  }
}

interface UploadResult {
  readonly list: string;
  readonly kind: ListChange['kind'];
  readonly isNew: boolean;
  readonly rows: number;
  readonly taken: number;
  readonly refused: number;
  readonly removed: number;
}

function noHeadings(): WeftError {
  return new WeftError('BAD_REQUEST', 'the first row does not name the columns, or two of them alike', {
    where: 'row 1',
    hint: 'begin the file with a row as email,user_id, or name all columns by --by email,user_id',
  });
}

function uploadText({ list, kind, isNew, rows, taken, refused, removed }: UploadResult): string {
  const said = kind === 'remove' ? 'taken off' : 'on it';
  return [
    `List ${list} was ${isNew ? 'made' : 'changed'}.`,
    `  rows      ${grouped(rows)}`,
    `  ${said.padEnd(8)}  ${grouped(taken)}`,
    ...(refused === 0 ? [] : [`  refused   ${grouped(refused)}`]),
    ...(kind === 'replace' && !isNew ? [`  others    ${grouped(removed)} taken off`] : []),
    '',
  ].join('\n');
}

async function list(deps: ListCommandDeps, options: { json?: true }): Promise<number> {
  return deps.withLists(async ({ reader }) => {
    const lists = await reader.all();
    if (options.json === true) deps.stdout.write(jsonText(lists.map((each) => toJson(each))));
    else if (lists.length === 0) deps.stdout.write('There are no lists yet; weft list upload brings one in.\n');
    else {
      const rows = lists.map((each) => [each.key, changeText(each), each.name]);
      deps.stdout.write(textTable([['key', 'last change', 'name'], ...rows]));
    }
    return EXIT_CODES.ok;
  });
}

async function show(deps: ListCommandDeps, key: string, options: { json?: true }): Promise<number> {
  return deps.withLists(async ({ reader }) => {
    const found = await reader.byKey(key);
    if (found === null) throw noSuchList(key, await reader.keys());
    let identifiers = 0;
    for await (const page of reader.identifiersOn(key)) identifiers += page.length;
    if (options.json === true) deps.stdout.write(jsonText({ ...toJson(found), identifiers }));
    else deps.stdout.write(describe(found, identifiers));
    return EXIT_CODES.ok;
  });
}

function describe(each: StoredList, identifiers: number): string {
  const { key, name, description, origin, lastChange } = each;
  return [
    `${key}: ${name}`,
    ...(description === '' ? [] : [`  ${description}`]),
    `  identifiers  ${grouped(identifiers)}`,
    ...(origin === null
      ? []
      : [
          `  taken from   segment ${origin.segment}, version ${String(origin.version)}, as of ${formatInstant(origin.at)}`,
        ]),
    `  last change  ${changeText(each)}`,
    ...(lastChange?.isDone === true && lastChange.refused > 0
      ? [`  refused      ${grouped(lastChange.refused)} of ${grouped(lastChange.taken + lastChange.refused)}`]
      : []),
    `  condition    listed("${key}")`,
    '',
  ].join('\n');
}

function changeText({ changedAt, lastChange }: StoredList): string {
  if (changedAt === null || lastChange === null) return 'never';
  const { kind, isDone, rows } = lastChange;
  const what = { replace: 'replaced', add: 'added to', remove: 'taken from' }[kind];
  return `${formatInstant(changedAt)} ${what}${isDone ? `, ${grouped(rows)} rows` : ', not ended'}`;
}

async function remove(deps: ListCommandDeps, key: string, options: { yes?: true }): Promise<number> {
  return deps.withLists(async ({ lists, reader }) => {
    const found = await reader.byKey(key);
    if (found === null) throw noSuchList(key, await reader.keys());
    if (options.yes !== true) {
      if (deps.confirm === null) {
        throw new WeftError('BAD_REQUEST', 'nobody can be asked', { where: key, hint: 'give --yes' });
      }
      if (!(await deps.confirm(`Remove the list ${key} (${found.name})?`))) {
        deps.stdout.write('Nothing was changed.\n');
        return EXIT_CODES.failed;
      }
    }
    await lists.remove(key);
    deps.stdout.write(`List ${key} was removed.\n`);
    return EXIT_CODES.ok;
  });
}

function toJson({ createdAt, changedAt, origin, ...rest }: StoredList) {
  return {
    ...rest,
    origin: origin === null ? null : { ...origin, at: formatInstant(origin.at) },
    createdAt: formatInstant(createdAt),
    changedAt: changedAt === null ? null : formatInstant(changedAt),
  };
}

function parseNames(text: string): string[] {
  const names = text.split(',').map((name) => name.trim());
  if (names.includes('')) throw new InvalidArgumentError('Separate the names by one comma each, as in email,user_id.');
  return names;
}

function parsePercent(text: string): number {
  const percent = /^\d{1,3}(?:\.\d+)?%?$/.test(text) ? Number.parseFloat(text) : NaN;
  if (!(percent >= 0 && percent <= 100)) throw new InvalidArgumentError('Give a percentage from 0 to 100.');
  return percent;
}
