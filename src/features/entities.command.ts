import { Command, InvalidArgumentError, Option } from 'commander';
import { EXIT_CODES, jsonText, runCommand, textTable, type CommandIo, type Confirm } from '../platform/command-line.js';
import { WeftError } from '../platform/errors.js';
import { formatInstant } from '../platform/instant.js';
import type { EntityRecordService } from './entity-record.service.js';

export interface EntitiesCommandDeps extends CommandIo {
  /** Starts what the commands need, for as long as `use` runs. */
  withRecords<T>(use: (records: Pick<EntityRecordService, 'keys' | 'history' | 'erase'>) => Promise<T>): Promise<T>;
  /** Null where nobody can be asked. */
  readonly confirm: Confirm | null;
}

interface ListOptions {
  readonly prefix: string;
  readonly after?: string;
  readonly limit: number;
  readonly json?: true;
}

interface EraseOptions {
  readonly messageId?: string;
  readonly yes?: true;
  readonly json?: true;
}

const MAX_LIMIT = 10_000;
/** Of the columns of a record, on a terminal. */
const MAX_SHOWN_LENGTH = 120;

const HELP = `
Entities are what features are about beside people, as items of a shop; they are defined in files that weft apply takes,
and their records are loaded by weft load.

Examples:
  weft entities keys item --prefix sku-
  weft entities history item sku-1 --json
  weft entities erase item sku-1 --yes

Exit codes: 0 done, 1 failed (no such entity) or not confirmed, 2 wrong use.`;

/** `weft entities keys|history|erase`. */
export function entitiesCommand(deps: EntitiesCommandDeps): Command {
  const command = new Command('entities').description('records of what features are about beside people');
  command.addHelpText('after', HELP);
  command
    .command('keys <entity>')
    .description('the keys that records are kept of, by code point')
    .option('--prefix <text>', 'only keys that begin with this', '')
    .option('--after <key>', 'only keys after this one: the last of the page before')
    .addOption(limitOption())
    .option('--json', 'as JSON')
    .action((entity: string, options: ListOptions) => runCommand(deps, () => keys(deps, entity, options)));
  command
    .command('history <entity> <item>')
    .description('the records that are kept of one key, the newest first')
    .addOption(limitOption())
    .option('--json', 'as JSON')
    .action((entity: string, item: string, options: ListOptions) =>
      runCommand(deps, () => history(deps, entity, item, options)),
    );
  command
    .command('erase <entity> <item>')
    .description('remove the records of one key for good')
    .option('--message-id <id>', 'only those that came by this message id')
    .option('--yes', 'do not ask')
    .option('--json', 'the result as JSON')
    .action((entity: string, item: string, options: EraseOptions) =>
      runCommand(deps, () => erase(deps, entity, item, options)),
    );
  return command;
}

function limitOption(): Option {
  return new Option('--limit <count>', 'how many at most, up to 10,000').argParser(parseLimit).default(100);
}

function keys(deps: EntitiesCommandDeps, entity: string, options: ListOptions): Promise<number> {
  const { prefix, after = null, limit, json } = options;
  return deps.withRecords(async (records) => {
    const found = await records.keys(entity, { prefix, after, limit: limit + 1 });
    const shown = found.slice(0, limit);
    if (json === true) {
      deps.stdout.write(jsonText(shown.map((each) => ({ ...each, newestAt: formatInstant(each.newestAt) }))));
    } else if (shown.length === 0) {
      deps.stdout.write('No records are kept of such keys.\n');
    } else {
      const rows = shown.map((each) => [each.key, String(each.records), formatInstant(each.newestAt)]);
      deps.stdout.write(textTable([['key', 'records', 'newest'], ...rows]));
    }
    const last = shown.at(-1);
    if (found.length > limit && last !== undefined) {
      deps.stderr.write(`note: there are more: --after ${JSON.stringify(last.key)} goes on\n`);
    }
    return EXIT_CODES.ok;
  });
}

function history(deps: EntitiesCommandDeps, entity: string, item: string, options: ListOptions): Promise<number> {
  const { limit, json } = options;
  return deps.withRecords(async (records) => {
    const found = await records.history(entity, item, null, limit + 1);
    const shown = found.slice(0, limit);
    if (json === true) {
      const times = shown.map(({ sourceId: _, occurredAt, acceptedAt, ...record }) => {
        return { ...record, occurredAt: formatInstant(occurredAt), acceptedAt: formatInstant(acceptedAt) };
      });
      deps.stdout.write(jsonText(times));
    } else if (shown.length === 0) {
      deps.stdout.write('No records are kept of it.\n');
    } else {
      const rows = shown.map((record) => [
        formatInstant(record.occurredAt),
        record.source,
        record.name,
        record.messageId,
        shortened(JSON.stringify(record.properties)),
      ]);
      deps.stdout.write(textTable([['time', 'source', 'name', 'message id', 'columns'], ...rows]));
    }
    if (found.length > limit) deps.stderr.write('note: there are older ones; raise --limit\n');
    return EXIT_CODES.ok;
  });
}

async function erase(deps: EntitiesCommandDeps, entity: string, item: string, options: EraseOptions): Promise<number> {
  const { messageId = null, yes, json } = options;
  if (yes !== true && !(await isConfirmed(deps, entity, item))) {
    deps.stderr.write('Nothing was changed.\n');
    return EXIT_CODES.failed;
  }
  const records = await deps.withRecords((service) => service.erase(entity, item, messageId));
  deps.stdout.write(
    json === true ? jsonText({ entity, key: item, records }) : `Removed: ${String(records)} records of ${item}.\n`,
  );
  return EXIT_CODES.ok;
}

/** @throws WeftError BAD_REQUEST where nobody can be asked */
function isConfirmed({ confirm }: EntitiesCommandDeps, entity: string, item: string): Promise<boolean> {
  if (confirm !== null) return confirm(`Remove the records of the ${entity} ${item} for good?`);
  throw new WeftError('BAD_REQUEST', 'there is no terminal to ask whether this is meant', {
    where: 'weft entities erase',
    hint: 'add --yes',
  });
}

function shortened(text: string): string {
  return text.length <= MAX_SHOWN_LENGTH ? text : `${text.slice(0, MAX_SHOWN_LENGTH)}…`;
}

function parseLimit(text: string): number {
  const limit = Number(text);
  if (Number.isInteger(limit) && limit >= 1 && limit <= MAX_LIMIT) return limit;
  throw new InvalidArgumentError(`Write a whole number from 1 to ${String(MAX_LIMIT)}.`);
}
