import { readFile } from 'node:fs/promises';
import { InvalidArgumentError, Option, type Command } from 'commander';
import { EXIT_CODES, jsonText, runCommand, type CommandIo } from '../platform/command-line.js';
import { WeftError } from '../platform/errors.js';
import { unreadableFile } from '../platform/file-errors.js';
import { composeMergePatches } from '../platform/merge-patch.js';
import { filterOf, MAX_LIMIT, pagesOf, parseLimit, withFilter, type FilterOptions } from './dead-letter-filter.js';
import type { DeadLetterReader, StoredDeadLetter } from './dead-letter.reader.js';
import type { DeadLetterService, DiscardOutcome, ReplayOptions } from './dead-letter.service.js';
import type { JsonValue } from './event.model.js';
import { LetterRefusal, type ReplayOutcome, type ReplayStatus } from './remap-letter.model.js';

/** Beside the {@link EXIT_CODES} of all commands: done, and some letters were refused again, or not discarded. */
const SOME_REFUSED = 3;
const DEFAULT_LIMIT = 1_000;
const LETTERS_PER_CALL = 100;
const MAX_TOLD = 20;
const MAX_FILE_BYTES = 1_048_576;

export interface RepairServices {
  readonly letters: DeadLetterReader;
  readonly repair: Pick<DeadLetterService, 'find' | 'mended' | 'fix' | 'replay' | 'discard'>;
  /** Keys of sources, by id. */
  readonly sourceKeys: () => Promise<ReadonlyMap<number, string>>;
}

export interface RepairCommandDeps extends CommandIo {
  /** Starts what the command needs, for as long as `use` runs, and what is accepted is applied. */
  withRepair<T>(use: (services: RepairServices) => Promise<T>): Promise<T>;
  readonly parseTime: (text: string) => number;
  readonly signal: AbortSignal;
}

interface FixOptions {
  readonly set?: JsonValue;
  readonly merge?: string;
}

interface ChoiceOptions extends FilterOptions {
  readonly all?: true;
  readonly limit: number;
  readonly json?: true;
}

type ReplayCommandOptions = ChoiceOptions & FixOptions & { readonly dryRun?: true; readonly mapping?: string };

/** `weft dead-letters show|fix|replay|discard`. */
export function addRepairCommands(command: Command, deps: RepairCommandDeps): void {
  command
    .command('show')
    .description('one letter with what was handed in, which may hold personal data, and what its fix makes of it')
    .argument('<id>', 'its id, as list shows it', parseId)
    .option('--json', 'as JSON')
    .action((id: number, options: { readonly json?: true }) => runCommand(deps, () => show(deps, id, options)));
  withFix(command.command('fix').description('add to the fix of a letter: a JSON merge patch on what was handed in'))
    .argument('<id>', 'its id', parseId)
    .option('--clear', 'take its fix off first')
    .action((id: number, options: FixOptions & { readonly clear?: true }) =>
      runCommand(deps, () => fix(deps, id, options)),
    );
  withFix(withChoice(command.command('replay').description('map letters again and accept what comes of them'), deps))
    .option('--dry-run', 'only say what would become of each')
    .option('--mapping <yaml>', 'for rows of a file: a mended mapping, in place of the one that it was loaded with')
    .action((ids: number[], options: ReplayCommandOptions) =>
      runCommand(deps, () => replay(deps, ids, options), deps.signal),
    );
  withChoice(command.command('discard').description('close letters that nobody wants'), deps).action(
    (ids: number[], options: ChoiceOptions) => runCommand(deps, () => discard(deps, ids, options), deps.signal),
  );
}

function withFix(command: Command): Command {
  return command
    .addOption(
      new Option(
        '--set <path=value>',
        'set a field, such as properties.amount=12; JSON, else text; can be repeated',
      ).argParser((text, before: JsonValue | undefined) =>
        before === undefined ? patchOf(text) : (composeMergePatches(before, patchOf(text)) as JsonValue),
      ),
    )
    .option('--merge <json>', 'a file with a JSON merge patch (RFC 7396): null removes a field');
}

function withChoice(command: Command, { parseTime }: RepairCommandDeps): Command {
  return withFilter(
    command.argument('[ids...]', 'ids of letters; without any, open letters by the options', parseIds),
    parseTime,
  )
    .option('--all', 'all open letters')
    .addOption(
      new Option('--limit <n>', `how many at most, up to ${String(MAX_LIMIT)}`)
        .argParser(parseLimit)
        .default(DEFAULT_LIMIT),
    )
    .option('--json', 'the result as JSON');
}

async function show(deps: RepairCommandDeps, id: number, options: { readonly json?: true }): Promise<number> {
  return deps.withRepair(async ({ repair, sourceKeys }) => {
    const letter = await found(repair, id);
    const source = letter.sourceId === null ? null : ((await sourceKeys()).get(letter.sourceId) ?? null);
    const mended = mendedOf(repair, letter);
    if (options.json === true) {
      deps.stdout.write(jsonText({ ...letter, source, mended }));
      return EXIT_CODES.ok;
    }
    const lines: [string, string][] = [
      ['letter', `${String(letter.id)}, ${letter.state}`],
      ['received', new Date(letter.receivedAt).toISOString()],
      ['source', source ?? 'unknown'],
      ['stage', letter.stage],
      ['came as', letter.form.kind],
      ['code', letter.code],
      ['reason', letter.reason],
      ...(letter.rowNumber === null ? [] : ([['row', String(letter.rowNumber)]] as [string, string][])),
      ['input', pretty(letter.payload)],
      ...(letter.fix === null
        ? []
        : ([
            ['fix', JSON.stringify(letter.fix, null, 2)],
            ['fixed', JSON.stringify(mended, null, 2)],
          ] as [string, string][])),
    ];
    deps.stdout.write(
      lines.map(([name, text]) => `${name.padEnd(9)} ${text.replaceAll('\n', '\n          ')}\n`).join(''),
    );
    return EXIT_CODES.ok;
  });
}

async function fix(
  deps: RepairCommandDeps,
  id: number,
  options: FixOptions & { readonly clear?: true },
): Promise<number> {
  const patch = await givenFix(options);
  if (patch === undefined && options.clear !== true) {
    throw new WeftError('BAD_REQUEST', 'nothing is to be fixed', {
      where: 'fix',
      hint: 'give --set properties.amount=12, --merge patch.json, or --clear',
    });
  }
  return deps.withRepair(async ({ repair }) => {
    if (options.clear === true) await repair.fix(id, null);
    if (patch !== undefined) await repair.fix(id, patch);
    deps.stdout.write(`Kept. weft dead-letters replay ${String(id)} --dry-run says what becomes of it.\n`);
    return EXIT_CODES.ok;
  });
}

async function replay(deps: RepairCommandDeps, ids: readonly number[], options: ReplayCommandOptions): Promise<number> {
  const patch = await givenFix(options);
  const settings: ReplayOptions = {
    dryRun: options.dryRun === true,
    ...(patch === undefined ? undefined : { fix: patch }),
    ...(options.mapping === undefined ? undefined : { mapping: await fileText(options.mapping, '--mapping') }),
  };
  return deps.withRepair(async (services) => {
    const outcomes: ReplayOutcome[] = [];
    for await (const chunk of chosen(deps, services, ids, options)) {
      outcomes.push(...(await services.repair.replay(chunk, settings)));
      if (options.json !== true) progress(deps, outcomes.length);
    }
    deps.stdout.write(options.json === true ? jsonText(outcomes) : reportOf(outcomes, options.dryRun === true));
    return outcomes.some(({ status }) => status === 'refused' || status === 'missing') ? SOME_REFUSED : EXIT_CODES.ok;
  });
}

async function discard(deps: RepairCommandDeps, ids: readonly number[], options: ChoiceOptions): Promise<number> {
  return deps.withRepair(async (services) => {
    const sum = { discarded: 0, replaying: 0, replayed: 0 };
    for await (const chunk of chosen(deps, services, ids, options)) {
      const { discarded, replaying, replayed } = await services.repair.discard(chunk);
      sum.discarded += discarded;
      sum.replaying += replaying;
      sum.replayed += replayed;
    }
    deps.stdout.write(options.json === true ? jsonText(sum) : discardText(sum));
    return sum.replaying > 0 ? SOME_REFUSED : EXIT_CODES.ok;
  });
}

function discardText({ discarded, replaying, replayed }: DiscardOutcome): string {
  const lines = [
    `Discarded ${String(discarded)}.`,
    ...(replaying === 0
      ? []
      : [`${String(replaying)} being replayed, and left as they are: try again in two minutes.`]),
    ...(replayed === 0 ? [] : [`${String(replayed)} found replayed: their events are in the log.`]),
  ];
  return `${lines.join('\n')}\n`;
}

/** The ids that are given, or those of open letters, in pieces. */
async function* chosen(
  { signal }: RepairCommandDeps,
  { letters, sourceKeys }: RepairServices,
  ids: readonly number[],
  options: ChoiceOptions,
): AsyncGenerator<readonly number[], void, undefined> {
  const { source, stage, code, since, load, all, limit } = options;
  const isFiltered = [source, stage, code, since, load, all].some((option) => option !== undefined);
  if (ids.length > 0 === isFiltered) {
    throw new WeftError('BAD_REQUEST', 'say which dead letters, in one way', {
      where: 'ids',
      hint: 'give ids, or options such as --source and --code, or --all',
    });
  }
  for (let from = 0; from < ids.length; from += LETTERS_PER_CALL) {
    signal.throwIfAborted();
    yield ids.slice(from, from + LETTERS_PER_CALL);
  }
  if (ids.length > 0) return;
  const filter = filterOf({ ...options, state: 'open' }, await sourceKeys());
  for await (const page of pagesOf(letters, filter, limit, LETTERS_PER_CALL)) {
    signal.throwIfAborted();
    yield page.map(({ id }) => id);
  }
}

async function givenFix({ set, merge }: FixOptions): Promise<JsonValue | undefined> {
  if (merge === undefined) return set;
  const text = await fileText(merge, '--merge');
  try {
    const patch = JSON.parse(text) as JsonValue;
    return set === undefined ? patch : (composeMergePatches(patch, set) as JsonValue);
  } catch (cause) {
    throw new WeftError('BAD_REQUEST', 'the merge patch is not JSON', { where: merge, cause });
  }
}

async function fileText(path: string, option: string): Promise<string> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (cause) {
    throw unreadableFile(`the file of ${option}`, path, cause);
  }
  if (Buffer.byteLength(text) <= MAX_FILE_BYTES) return text;
  throw new WeftError('BAD_REQUEST', `the file is larger than ${String(MAX_FILE_BYTES)} bytes`, { where: path });
}

async function found(repair: RepairServices['repair'], id: number): Promise<StoredDeadLetter> {
  const letter = await repair.find(id);
  if (letter !== null) return letter;
  throw new WeftError('NOT_FOUND', `there is no dead letter ${String(id)}`, {
    where: 'id',
    hint: 'weft dead-letters list shows their ids',
  });
}

/** Null where what was handed in is no JSON, or cut. */
function mendedOf(repair: RepairServices['repair'], letter: StoredDeadLetter): unknown {
  try {
    return repair.mended(letter);
  } catch (error) {
    if (error instanceof LetterRefusal) return null;
    throw error;
  }
}

function progress({ stderr }: RepairCommandDeps, done: number): void {
  if (done % (LETTERS_PER_CALL * 10) === 0) stderr.write(`${String(done)} letters\n`);
}

function reportOf(outcomes: readonly ReplayOutcome[], isDry: boolean): string {
  const count = (status: ReplayStatus): number => outcomes.filter((outcome) => outcome.status === status).length;
  const told = outcomes
    .filter(({ status }) => status === 'refused' || status === 'missing' || isDry)
    .slice(0, MAX_TOLD)
    .map(({ id, status, code, reason, hint }) => {
      const why = code === null ? '' : ` ${code}: ${reason ?? ''}${hint === null ? '' : ` (${hint})`}`;
      return `  ${String(id)} ${status}${why}\n`;
    });
  const numbers = `${String(count('accepted'))} accepted, ${String(count('duplicate'))} in the log already, ${String(count('refused'))} refused`;
  const others = count('settled') + count('missing');
  const rest = others === 0 ? '' : `, ${String(others)} not open`;
  return `${isDry ? 'Dry run, nothing was written: ' : ''}${numbers}${rest}.\n${told.join('')}`;
}

function pretty(text: string): string {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

/** `properties.amount=12` as a merge patch. The value is JSON where it is, else text. */
function patchOf(text: string): JsonValue {
  const at = text.indexOf('=');
  const path = text.slice(0, at).split('.');
  if (at < 1 || path.some((step) => step === '')) {
    throw new InvalidArgumentError('Write a path and a value, such as properties.amount=12 or userId=null.');
  }
  const value = text.slice(at + 1);
  let patch: JsonValue;
  try {
    patch = JSON.parse(value) as JsonValue;
  } catch {
    patch = value;
  }
  for (const step of path.reverse()) patch = { [step]: patch };
  return patch;
}

function parseId(text: string): number {
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw new InvalidArgumentError('Write the number of a letter, as weft dead-letters list shows it.');
}

function parseIds(text: string, before: number[] | undefined): number[] {
  return [...(before ?? []), parseId(text)];
}
