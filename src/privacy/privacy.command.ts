import { Command } from 'commander';
import { EXIT_CODES, jsonText, runCommand, textTable, type CommandIo } from '../platform/command-line.js';
import { WeftError } from '../platform/errors.js';
import { isUuid } from '../platform/ids.js';
import type { Compactor } from './compactor.js';
import { receiptJson } from './erase.command.js';
import { ErasureLedger } from './erasure-ledger.js';
import type { Erasure } from './erasure.model.js';
import type { ErasureService } from './erasure.service.js';

export interface PrivacyCommandDeps extends CommandIo {
  /** For commands that only look, or that change the list. */
  withErasures<T>(use: (erasures: ErasureService) => Promise<T>): Promise<T>;
  withCompactor<T>(use: (compactor: Compactor) => Promise<T>): Promise<T>;
  /** With a worker, unless another process has one. */
  withErasing<T>(use: (erasures: ErasureService) => Promise<T>): Promise<T>;
  /** Where the ledger of erasures is by default. */
  readonly ledgerPath: () => string;
  readonly signal: AbortSignal;
  readonly user: string;
}

interface JsonOption {
  readonly json?: true;
}

const MAX_LISTED = 500;

const HELP = `
Examples:
  weft privacy receipts
  weft privacy receipt 018c0d2e-7b1a-7000-8000-000000000000 --json
  weft privacy unsuppress email:anna@example.com
  weft privacy replay-erasures --ledger /mnt/safe/erasures.jsonl

Exit codes: 0 done, 1 failed (no such receipt, nobody suppressed by that), 2 wrong use, 130 interrupted.`;

/** `weft privacy receipts|receipt|unsuppress|replay-erasures|compact`. */
export function privacyCommand(deps: PrivacyCommandDeps): Command {
  const privacy = new Command('privacy')
    .description('who was erased, and who must not come back')
    .addHelpText('after', HELP);
  privacy
    .command('receipts')
    .description(`erasures, the newest first, ${String(MAX_LISTED)} at most`)
    .option('--json', 'as JSON')
    .action((options: JsonOption) => runCommand(deps, () => receipts(deps, options)));
  privacy
    .command('receipt')
    .description('one erasure')
    .argument('<erasure id>')
    .option('--json', 'as JSON')
    .action((id: string, options: JsonOption) => runCommand(deps, () => receipt(deps, id, options)));
  privacy
    .command('unsuppress')
    .description('let an identifier of somebody who was erased be accepted again')
    .argument('<identifier>', 'as <namespace>:<value>')
    .action((identifier: string) => runCommand(deps, () => unsuppress(deps, identifier)));
  privacy
    .command('replay-erasures')
    .description(
      'erase again whoever a restored backup of the database brought back; to be run before anything is served',
    )
    .option('--ledger <file>', 'the ledger of erasures; default: that of the data folder')
    .option('--json', 'as JSON')
    .action((options: JsonOption & { readonly ledger?: string }) =>
      runCommand(deps, () => replay(deps, options), deps.signal),
    );
  privacy
    .command('compact')
    .description(
      'take the last traces of those who were erased, and of what was sealed, out of the files of the database; locks tables meanwhile',
    )
    .option('--json', 'as JSON')
    .action((options: JsonOption) => runCommand(deps, () => compact(deps, options)));
  return privacy;
}

async function receipts(deps: PrivacyCommandDeps, { json }: JsonOption): Promise<number> {
  const found = await deps.withErasures((erasures) => erasures.page(null, MAX_LISTED));
  if (json === true) deps.stdout.write(jsonText(found.map(receiptJson)));
  else if (found.length === 0) deps.stdout.write('Nobody was erased yet.\n');
  else deps.stdout.write(tableOf(found));
  return EXIT_CODES.ok;
}

async function receipt(deps: PrivacyCommandDeps, id: string, { json }: JsonOption): Promise<number> {
  const found = isUuid(id) ? await deps.withErasures((erasures) => erasures.find(id)) : null;
  if (found === null) {
    throw new WeftError('NOT_FOUND', 'there is no such erasure', {
      where: id,
      hint: 'weft privacy receipts lists them',
    });
  }
  deps.stdout.write(json === true ? jsonText(receiptJson(found)) : tableOf([found]));
  return EXIT_CODES.ok;
}

async function unsuppress(deps: PrivacyCommandDeps, text: string): Promise<number> {
  const colon = text.indexOf(':');
  if (colon < 1) {
    throw new WeftError('BAD_REQUEST', 'the identifier has no namespace', {
      where: 'weft privacy unsuppress',
      hint: 'write it as email:anna@example.com',
    });
  }
  const identifier = { ns: text.slice(0, colon), value: text.slice(colon + 1) };
  await deps.withErasures((erasures) => erasures.unsuppress(identifier));
  deps.stdout.write('Events with this identifier are accepted again.\n');
  return EXIT_CODES.ok;
}

async function replay(deps: PrivacyCommandDeps, options: JsonOption & { readonly ledger?: string }): Promise<number> {
  const ledger = new ErasureLedger(options.ledger ?? deps.ledgerPath());
  const result = await deps.withErasing(async (erasures) => {
    const { entries, begun } = await erasures.replay(ledger, deps.user);
    const done: Erasure[] = [];
    for (const { id } of begun) {
      const onWait = (what: string): unknown => deps.stderr.write(`Waiting for ${what}.\n`);
      done.push(await erasures.done(id, { signal: deps.signal, onWait }));
      deps.stderr.write(`${String(done.length)} of ${String(begun.length)} erased again\n`);
    }
    return { entries, done };
  });
  deps.stdout.write(
    options.json === true
      ? jsonText({ entries: result.entries, erased: result.done.map(receiptJson) })
      : `${String(result.entries)} erasures in the ledger; ${String(result.done.length)} people were here and are erased again.\n`,
  );
  return EXIT_CODES.ok;
}

async function compact(deps: PrivacyCommandDeps, { json }: JsonOption): Promise<number> {
  const done = await deps.withCompactor((compactor) => compactor.run());
  const erased = `${String(done.compacted)} erasures are out of the files of the tables; ${String(done.physical)} are physical now.\n`;
  const sealed = `Of ${String(done.sealed)} changes of sealed traits the plain values are out of them.\n`;
  deps.stdout.write(json === true ? jsonText(done) : erased + (done.sealed === 0 ? '' : sealed));
  return EXIT_CODES.ok;
}

function tableOf(erasures: readonly Erasure[]): string {
  const time = (ms: number | null): string => (ms === null ? '' : new Date(ms).toISOString());
  const rows = erasures.map(
    ({ id, status, requestedAt, logicalAt, physicalAt, events, actor, reason, failure, retryAt }) => [
      id,
      status,
      time(requestedAt),
      time(logicalAt),
      time(physicalAt),
      String(events),
      actor,
      reason,
      failure === null ? '' : `${failure}; tried again at ${time(retryAt)}`,
    ],
  );
  return textTable([['id', 'status', 'requested', 'logical', 'physical', 'events', 'by', 'reason', 'fails'], ...rows]);
}
