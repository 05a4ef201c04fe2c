import { Command, Option } from 'commander';

import { EXIT_CODES, jsonText, runCommand, textTable } from '../platform/command-line.js';
import { formatInstant } from '../platform/instant.js';
import {
  filterOf,
  MAX_LIMIT,
  pagesOf,
  parseLimit,
  withFilter,
  withState,
  type FilterOptions,
  type StateOption,
} from './dead-letter-filter.js';
import { addRepairCommands, type RepairCommandDeps } from './dead-letter-repair.command.js';
import type { DeadLetterReader, StoredDeadLetter } from './dead-letter.reader.js';

const DEFAULT_LIMIT = 20;
const MAX_REASON_LENGTH = 100;

export interface DeadLettersCommandServices {
  readonly letters: DeadLetterReader;
  /** Keys of sources, by id. */
  readonly sourceKeys: () => Promise<ReadonlyMap<number, string>>;
  /** Names of loaded files, by the id of the load. */
  readonly fileNames: (loadIds: readonly string[]) => Promise<ReadonlyMap<string, string>>;
}

export interface DeadLettersCommandDeps extends RepairCommandDeps {
  /** Starts what the command needs, for as long as `use` runs. */
  withDeadLetters<T>(use: (services: DeadLettersCommandServices) => Promise<T>): Promise<T>;
}

interface Options extends FilterOptions, StateOption {
  readonly json?: true;
}

const HELP = `
A dead letter is an input that was not taken, kept with the reason. Stages: accept (refused at the door), load (a row of
a file), apply (accepted, and failed when it was applied). What was handed in may hold personal data: only show and --json
show it, but a reason may quote the cell that is wrong.

A letter is mended by a fix, a JSON merge patch on what was handed in, and replayed: mapped and accepted as it would have
been when it came, once, however often it is replayed. What is refused again stays open.

Examples:
  weft dead-letters count
  weft dead-letters list --source orders --stage load
  weft dead-letters list --load 018c5a1e-0000-7000-8000-000000000000
  weft dead-letters list --code NO_IDENTIFIER --since 2026-01-31 --limit 1000 --json
  weft dead-letters fix 12 --set properties.amount=12 --set userId=u7
  weft dead-letters replay --source shop --code NAME_MISSING --set 'event="order"' --dry-run
  weft dead-letters replay --source orders --stage load --mapping mended.yaml
  weft dead-letters discard --code UNKNOWN_TYPE

Exit codes: 0 done, 1 failed (no such source or letter), 2 wrong use, 3 some were refused again, or
not discarded because they are being replayed, 130 interrupted.`;

/** `weft dead-letters list|count|show|fix|replay|discard`. */
export function deadLettersCommand(deps: DeadLettersCommandDeps): Command {
  const command = new Command('dead-letters')
    .description('inputs that were not taken, and why')
    .addHelpText('after', HELP);
  withState(withFilter(command.command('list').description('letters, the newest first'), deps.parseTime))
    .addOption(
      new Option('--limit <n>', `how many at most, up to ${String(MAX_LIMIT)}`)
        .argParser(parseLimit)
        .default(DEFAULT_LIMIT),
    )
    .option('--json', 'as JSON, with what was handed in')
    .action((options: Options & { readonly limit: number }) => runCommand(deps, () => list(deps, options)));
  withState(
    withFilter(command.command('count').description('how many there are, by source, stage and code'), deps.parseTime),
  )
    .option('--json', 'as JSON')
    .action((options: Options) => runCommand(deps, () => count(deps, options)));
  addRepairCommands(command, deps);
  return command;
}

async function list(deps: DeadLettersCommandDeps, options: Options & { readonly limit: number }): Promise<number> {
  return deps.withDeadLetters(async ({ letters, sourceKeys, fileNames }) => {
    const sources = await sourceKeys();
    const found: StoredDeadLetter[] = [];
    for await (const page of pagesOf(letters, filterOf(options, sources), options.limit)) found.push(...page);
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
      String(letter.id),
      formatInstant(letter.receivedAt),
      sourceOf(letter) ?? '',
      letter.stage,
      letter.code,
      placeText(letter, fileOf(letter)),
      shortened(letter.reason),
    ]);
    deps.stdout.write(textTable([['id', 'received', 'source', 'stage', 'code', 'where', 'reason'], ...rows]));
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
        firstReceivedAt: formatInstant(firstReceivedAt),
        lastReceivedAt: formatInstant(lastReceivedAt),
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
        formatInstant(group.firstReceivedAt),
        formatInstant(group.lastReceivedAt),
      ]);
      deps.stdout.write(textTable([['source', 'stage', 'code', 'count', 'first', 'last'], ...rows]));
    }
    return EXIT_CODES.ok;
  });
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
  const { id, state, stage, code, reason, messageId, pos, loadId, rowNumber, receivedAt, payload, isCut } = letter;
  return {
    id,
    state,
    source,
    stage,
    code,
    reason,
    messageId,
    pos,
    loadId,
    file,
    rowNumber,
    receivedAt: formatInstant(receivedAt),
    payload,
    payloadIsCut: isCut,
  };
}
