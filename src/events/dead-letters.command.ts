import { Command, InvalidArgumentError, Option } from 'commander';

import { EXIT_CODES, jsonText, runCommand, textTable, type CommandIo } from '../platform/command-line.js';
import { WeftError } from '../platform/errors.js';
import { nearestName } from '../platform/near-names.js';
import { DEAD_LETTER_STAGES, type DeadLetterStage } from './dead-letter.model.js';
import {
  MAX_DEAD_LETTER_PAGE,
  type DeadLetterFilter,
  type DeadLetterReader,
  type StoredDeadLetter,
} from './dead-letter.reader.js';

const DEFAULT_LIMIT = 20;
const MAX_LIMIT = 100_000;
const MAX_REASON_LENGTH = 100;

export interface DeadLettersCommandServices {
  readonly letters: DeadLetterReader;
  /** Keys of sources, by id. */
  readonly sourceKeys: () => Promise<ReadonlyMap<number, string>>;
  /** Names of loaded files, by the id of the load. */
  readonly fileNames: (loadIds: readonly string[]) => Promise<ReadonlyMap<string, string>>;
}

export interface DeadLettersCommandDeps extends CommandIo {
  /** Starts what the command needs, for as long as `use` runs. */
  withDeadLetters<T>(use: (services: DeadLettersCommandServices) => Promise<T>): Promise<T>;
  /** ISO 8601 to ms; NaN for what is none. */
  readonly parseTime: (text: string) => number;
}

interface Options {
  readonly source?: string;
  readonly stage?: DeadLetterStage;
  readonly code?: string;
  readonly since?: number;
  readonly json?: true;
}

const HELP = `
A dead letter is an input that was not taken, kept with the reason. Stages: accept (refused at the door), load (a row of
a file), apply (accepted, and failed when it was applied). What was handed in may hold personal data: only --json shows
it, but a reason may quote the cell that is wrong.

Examples:
  weft dead-letters count
  weft dead-letters list --source orders --stage load
  weft dead-letters list --code NO_IDENTIFIER --since 2026-01-31 --limit 1000 --json

Exit codes: 0 done, 1 failed (no such source), 2 wrong use.`;

/** `weft dead-letters list|count`. */
export function deadLettersCommand(deps: DeadLettersCommandDeps): Command {
  const command = new Command('dead-letters')
    .description('inputs that were not taken, and why')
    .addHelpText('after', HELP);
  withFilter(command.command('list').description('letters, the newest first'), deps)
    .addOption(
      new Option('--limit <n>', `how many at most, up to ${String(MAX_LIMIT)}`)
        .argParser(parseLimit)
        .default(DEFAULT_LIMIT),
    )
    .option('--json', 'as JSON, with what was handed in')
    .action((options: Options & { readonly limit: number }) => runCommand(deps, () => list(deps, options)));
  withFilter(command.command('count').description('how many there are, by source, stage and code'), deps)
    .option('--json', 'as JSON')
    .action((options: Options) => runCommand(deps, () => count(deps, options)));
  return command;
}

function withFilter(command: Command, { parseTime }: DeadLettersCommandDeps): Command {
  return command
    .option('--source <key>', 'of this source only')
    .addOption(new Option('--stage <stage>', 'of this stage only').choices(DEAD_LETTER_STAGES))
    .option('--code <code>', 'with this code only, such as NO_IDENTIFIER')
    .addOption(
      new Option('--since <time>', 'received then or later (ISO 8601)').argParser((text) => {
        const ms = parseTime(text);
        if (!Number.isNaN(ms)) return ms;
        throw new InvalidArgumentError('Write an ISO 8601 time such as 2026-01-31T12:00:00Z.');
      }),
    );
}

async function list(deps: DeadLettersCommandDeps, options: Options & { readonly limit: number }): Promise<number> {
  return deps.withDeadLetters(async ({ letters, sourceKeys, fileNames }) => {
    const sources = await sourceKeys();
    const found = await readUpTo(letters, filterOf(options, sources), options.limit);
    const loadIds = new Set(found.flatMap(({ loadId }) => loadId ?? []));
    const files = await fileNames([...loadIds]);
    const sourceOf = ({ sourceId }: StoredDeadLetter): string | null =>
      sourceId === null ? null : (sources.get(sourceId) ?? null);
    const fileOf = ({ loadId }: StoredDeadLetter): string | null =>
      loadId === null ? null : (files.get(loadId) ?? null);
    if (options.json === true) {
      deps.stdout.write(jsonText(found.map((letter) => toJson(letter, sourceOf(letter), fileOf(letter)))));
      return EXIT_CODES.ok;
    }
    if (found.length === 0) {
      deps.stdout.write('There are no such dead letters.\n');
      return EXIT_CODES.ok;
    }
    const rows = found.map((letter) => [
      timeText(letter.receivedAt),
      sourceOf(letter) ?? '',
      letter.stage,
      letter.code,
      placeText(letter, fileOf(letter)),
      shortened(letter.reason),
    ]);
    deps.stdout.write(textTable([['received', 'source', 'stage', 'code', 'where', 'reason'], ...rows]));
    if (found.length === options.limit) deps.stderr.write('There may be more; --limit shows more at once.\n');
    return EXIT_CODES.ok;
  });
}

async function count(deps: DeadLettersCommandDeps, options: Options): Promise<number> {
  return deps.withDeadLetters(async ({ letters, sourceKeys }) => {
    const sources = await sourceKeys();
    const counts = await letters.counts(filterOf(options, sources));
    const sourceOf = (id: number | null): string | null => (id === null ? null : (sources.get(id) ?? null));
    if (options.json === true) {
      const items = counts.map(({ sourceId, firstReceivedAt, lastReceivedAt, ...group }) => ({
        source: sourceOf(sourceId),
        ...group,
        firstReceivedAt: timeText(firstReceivedAt),
        lastReceivedAt: timeText(lastReceivedAt),
      }));
      deps.stdout.write(jsonText(items));
    } else if (counts.length === 0) {
      deps.stdout.write('There are no such dead letters.\n');
    } else {
      const rows = counts.map((group) => [
        sourceOf(group.sourceId) ?? '',
        group.stage,
        group.code,
        String(group.count),
        timeText(group.firstReceivedAt),
        timeText(group.lastReceivedAt),
      ]);
      deps.stdout.write(textTable([['source', 'stage', 'code', 'count', 'first', 'last'], ...rows]));
    }
    return EXIT_CODES.ok;
  });
}

function filterOf(options: Options, sources: ReadonlyMap<number, string>): DeadLetterFilter {
  const { source, stage, code, since } = options;
  return {
    ...(source === undefined ? undefined : { sourceId: sourceIdOf(source, sources) }),
    ...(stage === undefined ? undefined : { stage }),
    ...(code === undefined ? undefined : { code }),
    ...(since === undefined ? undefined : { sinceMs: since }),
  };
}

function sourceIdOf(key: string, sources: ReadonlyMap<number, string>): number {
  for (const [id, each] of sources) if (each === key) return id;
  const near = nearestName(key, [...sources.values()]);
  throw new WeftError('NOT_FOUND', `there is no source ${key}`, {
    where: '--source',
    hint: near === undefined ? 'weft dead-letters count shows which have letters' : `did you mean ${near}?`,
  });
}

async function readUpTo(
  reader: DeadLetterReader,
  filter: DeadLetterFilter,
  limit: number,
): Promise<readonly StoredDeadLetter[]> {
  const found: StoredDeadLetter[] = [];
  while (found.length < limit) {
    const wanted = Math.min(MAX_DEAD_LETTER_PAGE, limit - found.length);
    const page = await reader.page(filter, found.at(-1) ?? null, wanted);
    found.push(...page);
    if (page.length < wanted) break;
  }
  return found;
}

function placeText({ rowNumber, pos, messageId }: StoredDeadLetter, file: string | null): string {
  if (rowNumber !== null) return `${file ?? 'load'} row ${String(rowNumber)}`;
  return pos === null ? (messageId ?? '') : `position ${String(pos)}`;
}

function shortened(reason: string): string {
  const line = reason.replaceAll(/\s+/g, ' ');
  return line.length <= MAX_REASON_LENGTH ? line : `${line.slice(0, MAX_REASON_LENGTH - 1)}…`;
}

function toJson(letter: StoredDeadLetter, source: string | null, file: string | null): Record<string, unknown> {
  const { id, stage, code, reason, messageId, pos, loadId, rowNumber, receivedAt, payload, isCut } = letter;
  return {
    id,
    source,
    stage,
    code,
    reason,
    messageId,
    pos,
    loadId,
    file,
    rowNumber,
    receivedAt: timeText(receivedAt),
    payload,
    payloadIsCut: isCut,
  };
}

function timeText(ms: number): string {
  return new Date(ms).toISOString();
}

function parseLimit(text: string): number {
  const limit = /^\d{1,9}$/.test(text) ? Number(text) : 0;
  if (limit >= 1 && limit <= MAX_LIMIT) return limit;
  throw new InvalidArgumentError(`Write a number from 1 to ${String(MAX_LIMIT)}.`);
}
