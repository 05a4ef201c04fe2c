import { InvalidArgumentError, Option, type Command } from 'commander';
import { WeftError } from '../platform/errors.js';
import { isUuid, type Uuid } from '../platform/ids.js';
import { nameHint } from '../platform/near-names.js';
import {
  DEAD_LETTER_STAGES,
  DEAD_LETTER_STATES,
  type DeadLetterStage,
  type DeadLetterState,
} from './dead-letter.model.js';
import {
  MAX_DEAD_LETTER_PAGE,
  type DeadLetterFilter,
  type DeadLetterReader,
  type StoredDeadLetter,
} from './dead-letter.reader.js';

/** Options of commands that choose dead letters. */
export interface FilterOptions {
  readonly source?: string;
  readonly stage?: DeadLetterStage;
  readonly code?: string;
  readonly since?: number;
  readonly load?: Uuid;
}

export interface StateOption {
  readonly state: DeadLetterState | 'all';
}

/** @param parseTime ISO 8601 to ms; NaN for what is none */
export function withFilter(command: Command, parseTime: (text: string) => number): Command {
  return command
    .option('--source <key>', 'of this source only')
    .addOption(new Option('--stage <stage>', 'of this stage only').choices(DEAD_LETTER_STAGES))
    .option('--code <code>', 'with this code only, such as NO_IDENTIFIER')
    .addOption(
      new Option('--load <load id>', 'of rows of this load only, as weft load list shows it').argParser((text) => {
        if (isUuid(text)) return text;
        throw new InvalidArgumentError('Write the id of a load, as weft load list shows it.');
      }),
    )
    .addOption(
      new Option('--since <time>', 'received then or later (ISO 8601)').argParser((text) => {
        const ms = parseTime(text);
        if (!Number.isNaN(ms)) return ms;
        throw new InvalidArgumentError('Write an ISO 8601 time such as 2026-01-31T12:00:00Z.');
      }),
    );
}

export function withState(command: Command): Command {
  return command.addOption(
    new Option('--state <state>', 'in this state only').choices([...DEAD_LETTER_STATES, 'all']).default('open'),
  );
}

/** @throws WeftError NOT_FOUND for a source that is not there */
export function filterOf(options: FilterOptions & StateOption, sources: ReadonlyMap<number, string>): DeadLetterFilter {
  const { state, source, stage, code, since, load } = options;
  return {
    ...(state === 'all' ? undefined : { state }),
    ...(source === undefined ? undefined : { sourceId: sourceIdOf(source, sources) }),
    ...(stage === undefined ? undefined : { stage }),
    ...(code === undefined ? undefined : { code }),
    ...(since === undefined ? undefined : { sinceMs: since }),
    ...(load === undefined ? undefined : { loadId: load }),
  };
}

function sourceIdOf(key: string, sources: ReadonlyMap<number, string>): number {
  for (const [id, each] of sources) if (each === key) return id;
  throw new WeftError('NOT_FOUND', `there is no source ${key}`, {
    where: '--source',
    hint: nameHint(key, sources.values(), 'weft dead-letters count shows which have letters'),
  });
}

/** Letters, the newest first, in pages of at most `pageSize`. */
export async function* pagesOf(
  reader: DeadLetterReader,
  filter: DeadLetterFilter,
  limit: number,
  pageSize = MAX_DEAD_LETTER_PAGE,
): AsyncGenerator<readonly StoredDeadLetter[], void, undefined> {
  let last: StoredDeadLetter | null = null;
  for (let found = 0; found < limit;) {
    const wanted = Math.min(pageSize, limit - found);
    const page: readonly StoredDeadLetter[] = await reader.page(filter, last, wanted);
    if (page.length > 0) yield page;
    if (page.length < wanted) return;
    found += page.length;
    last = page.at(-1) ?? null;
  }
}

export const MAX_LIMIT = 100_000;

export function parseLimit(text: string): number {
  const limit = /^\d{1,9}$/.test(text) ? Number(text) : 0;
  if (limit >= 1 && limit <= MAX_LIMIT) return limit;
  throw new InvalidArgumentError(`Write a number from 1 to ${String(MAX_LIMIT)}.`);
}
