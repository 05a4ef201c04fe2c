import { createWriteStream } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { Command, InvalidArgumentError, Option } from 'commander';
import { EXIT_CODES, jsonText, runCommand, textTable, type CommandIo } from '../platform/command-line.js';
import { WeftError } from '../platform/errors.js';
import { refuseExisting, withForce, type ForceOption } from '../platform/existing-output.js';
import { AUDIT_KINDS, parsePlace, type AuditKind, type StoredAuditEntry } from './audit-entry.model.js';
import type { AuditFilter, AuditLogReader } from './audit-log.reader.js';
import { verifyAuditLog } from './verify-audit-log.js';

export interface AuditCommandServices {
  readonly log: AuditLogReader;
  /** Null where the installation has no secret. */
  readonly chainKey: Buffer | null;
}

export interface AuditCommandDeps extends CommandIo {
  readonly stderr: CommandIo['stderr'] & { readonly isTTY?: boolean };
  /** Starts what the command needs, for as long as `use` runs. */
  withAuditLog<T>(use: (services: AuditCommandServices) => Promise<T>): Promise<T>;
  /** ms; NaN for what is no time. */
  readonly parseTime: (text: string) => number;
  readonly signal: AbortSignal;
}

interface FilterOptions {
  readonly kind?: AuditKind;
  readonly actor?: string;
  readonly operation?: string;
  readonly target?: string;
  readonly since?: number;
  readonly until?: number;
}

interface ListOptions extends FilterOptions {
  readonly limit: number;
  readonly json?: true;
}

const DEFAULT_LIMIT = 20;
const MAX_LIMIT = 10_000;
const PAGE = 500;

const HELP = `
Who saw personal data, and who changed what: by GraphQL, by exports, on the command line. Entries hold ids, keys and names
of fields, never what the data said. Each has a hash of itself and of the one before it, so that a change shows.

Examples:
  weft audit list --target 018c0d2e-7b1a-7000-8000-000000000000
  weft audit list --kind change --since 2026-01-31 --limit 100 --json
  weft audit verify
  weft audit verify --noted 1042:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
  weft audit export --out audit.jsonl

Exit codes: 0 done, 1 failed (verify: the log is not as it was written), 2 wrong use, 130 interrupted.`;

/** `weft audit list|verify|export`. */
export function auditCommand(deps: AuditCommandDeps): Command {
  const audit = new Command('audit')
    .description('who saw personal data, and who changed what')
    .addHelpText('after', HELP);
  withFilter(audit.command('list').description('entries, the newest first'), deps)
    .addOption(
      new Option('--limit <n>', `how many at most, up to ${String(MAX_LIMIT)}`)
        .argParser(parseLimit)
        .default(DEFAULT_LIMIT),
    )
    .option('--json', 'as JSON')
    .action((options: ListOptions) => runCommand(deps, () => list(deps, options), deps.signal));
  audit
    .command('verify')
    .description('check that no entry was changed, removed or put in between')
    .addOption(
      new Option('--noted <place>', 'what an earlier check said, to see that nothing was cut off since').argParser(
        parseNoted,
      ),
    )
    .option('--json', 'as JSON')
    .action((options: { readonly noted?: string; readonly json?: true }) =>
      runCommand(deps, () => verify(deps, options), deps.signal),
    );
  withForce(withFilter(audit.command('export').description('all entries, the newest first, as JSON lines'), deps))
    .requiredOption('-o, --out <file>', 'the file to write; - for standard output')
    .action((options: FilterOptions & ForceOption & { readonly out: string }) =>
      runCommand(deps, () => exportLines(deps, options), deps.signal),
    );
  return audit;
}

function withFilter(command: Command, { parseTime }: AuditCommandDeps): Command {
  const time = (text: string): number => {
    const ms = parseTime(text);
    if (Number.isNaN(ms)) throw new InvalidArgumentError('Write it like 2026-01-31 or 2026-01-31T12:00:00Z.');
    return ms;
  };
  return command
    .addOption(new Option('--kind <kind>', 'only of this kind').choices(AUDIT_KINDS))
    .option('--actor <id>', 'only by this key, person or user')
    .option('--operation <name>', 'only this, as Mutation.eraseProfile or "weft keys create"')
    .option('--target <id>', 'only of this profile, source, key, …')
    .addOption(new Option('--since <time>', 'written then or later').argParser(time))
    .addOption(new Option('--until <time>', 'written before').argParser(time));
}

function parseLimit(text: string): number {
  const limit = Number(text);
  if (Number.isInteger(limit) && limit >= 1 && limit <= MAX_LIMIT) return limit;
  throw new InvalidArgumentError(`Give a number from 1 to ${String(MAX_LIMIT)}.`);
}

function parseNoted(text: string): string {
  if (parsePlace(text) !== null) return text;
  throw new InvalidArgumentError('Its form is <number>:<64 hexadecimal digits>, as weft audit verify says it.');
}

function filterOf({ kind, actor, operation, target, since, until }: FilterOptions): AuditFilter {
  return {
    ...(kind === undefined ? {} : { kind }),
    ...(actor === undefined ? {} : { actor }),
    ...(operation === undefined ? {} : { operation }),
    ...(target === undefined ? {} : { target }),
    ...(since === undefined ? {} : { sinceMs: since }),
    ...(until === undefined ? {} : { untilMs: until }),
  };
}

async function* pagesOf(
  log: AuditLogReader,
  filter: AuditFilter,
  limit: number,
): AsyncGenerator<readonly StoredAuditEntry[], void, undefined> {
  let before: number | null = null;
  for (let left = limit; left > 0;) {
    const size = Math.min(PAGE, left);
    const page: StoredAuditEntry[] = await log.page(filter, before, size);
    yield page;
    left -= page.length;
    before = page.at(-1)?.seq ?? null;
    if (page.length < size) return;
  }
}

function jsonOf({ at, hash, isKeyed: _, ...entry }: StoredAuditEntry): object {
  return { ...entry, at: new Date(at).toISOString(), hash: hash.toString('hex') };
}

async function list(deps: AuditCommandDeps, { limit, json, ...options }: ListOptions): Promise<number> {
  const entries = await deps.withAuditLog(async ({ log }) => {
    const found: StoredAuditEntry[] = [];
    for await (const page of pagesOf(log, filterOf(options), limit)) found.push(...page);
    return found;
  });
  if (json === true) deps.stdout.write(jsonText(entries.map(jsonOf)));
  else if (entries.length === 0) deps.stdout.write('There is no such entry.\n');
  else {
    const header = ['number', 'time', 'kind', 'who', 'what', 'times', 'outcome', 'of'];
    deps.stdout.write(textTable([header, ...entries.map(rowOf)]));
  }
  return EXIT_CODES.ok;
}

function rowOf({ seq, at, kind, actor, operation, targets, count, outcome }: StoredAuditEntry): string[] {
  const [first = '', ...others] = targets;
  const who = `${actor.kind} ${actor.name}`.slice(0, 40);
  const of = others.length === 0 ? first : `${first} and ${String(others.length)} more`;
  return [String(seq), new Date(at).toISOString(), kind, who, operation, String(count), outcome, of];
}

async function verify(
  deps: AuditCommandDeps,
  { noted, json }: { readonly noted?: string; readonly json?: true },
): Promise<number> {
  const { stderr, stdout } = deps;
  const onProgress = (verified: number): void => {
    if (stderr.isTTY === true) stderr.write(`\r${String(verified)} entries checked`);
  };
  const verdict = await deps.withAuditLog(({ log, chainKey }) => verifyAuditLog(log, chainKey, { noted, onProgress }));
  if (stderr.isTTY === true) stderr.write('\n');
  const { verified, unkeyed, first, head, problem } = verdict;
  if (json === true) stdout.write(jsonText(verdict));
  else if (problem !== null) stdout.write(`The audit log is not as it was written: ${problem}.\n`);
  else if (head === null) stdout.write('The audit log is empty.\n');
  else {
    const from = first === null || first === 1 ? '' : `, from ${String(first)} on: older ones are past their retention`;
    const weak =
      unkeyed === 0
        ? ''
        : `${String(unkeyed)} of them were chained without a secret, which shows mistakes, not intent.\n`;
    stdout.write(
      `The audit log is as it was written: ${String(verified)} entries${from}.\n${weak}` +
        `To see later that nothing was cut off, keep this elsewhere and pass it as --noted:\n${head}\n`,
    );
  }
  return problem === null ? EXIT_CODES.ok : EXIT_CODES.failed;
}

async function exportLines(
  deps: AuditCommandDeps,
  { out, force, ...options }: FilterOptions & ForceOption & { readonly out: string },
): Promise<number> {
  if (out !== '-') await refuseExisting({ force }, out);
  let count = 0;
  await deps.withAuditLog(async ({ log }) => {
    async function* lines(): AsyncGenerator<string, void, undefined> {
      for await (const page of pagesOf(log, filterOf(options), Number.POSITIVE_INFINITY)) {
        if (deps.signal.aborted) throw new WeftError('UNAVAILABLE', 'the export was interrupted');
        count += page.length;
        for (const entry of page) yield `${JSON.stringify(jsonOf(entry))}\n`;
      }
    }
    if (out === '-') {
      for await (const line of lines()) deps.stdout.write(line);
      return;
    }
    const part = `${out}.part`;
    try {
      await pipeline(Readable.from(lines()), createWriteStream(part, { mode: 0o600 }), { signal: deps.signal });
      await rename(part, out);
    } catch (error) {
      await rm(part, { force: true });
      throw error;
    }
  });
  deps.stderr.write(`${String(count)} entries${out === '-' ? '' : ` written to ${out}`}.\n`);
  return EXIT_CODES.ok;
}
