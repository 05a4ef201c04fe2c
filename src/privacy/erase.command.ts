import type { Command } from 'commander';
import { EXIT_CODES, jsonText, runCommand, type CommandIo, type Confirm } from '../platform/command-line.js';
import { WeftError } from '../platform/errors.js';
import { isUuid, type Uuid } from '../platform/ids.js';
import type { Erasure } from './erasure.model.js';
import type { ErasureService, ErasureTarget } from './erasure.service.js';

export interface EraseCommandDeps extends CommandIo {
  /** Starts what an erasure needs, a worker included unless another process has one, for as long as `use` runs. */
  withErasing<T>(use: (erasures: ErasureService) => Promise<T>): Promise<T>;
  /** Null where nobody can be asked. */
  readonly confirm: Confirm | null;
  readonly signal: AbortSignal;
  /** Who runs the command. */
  readonly user: string;
  /** The erasure is on record. */
  readonly onReceipt: (receipt: Erasure) => void;
}

interface EraseOptions {
  readonly reason: string;
  readonly yes?: true;
  readonly json?: true;
}

const HELP = `
Deletes every event of the person and everything that came of it: traits, features, memberships, identifiers, dead
letters, kept deliveries of webhooks. Segments are left with the cause ERASURE. From then on nothing more of the person
is accepted; weft privacy unsuppress lifts that. What it waits for is told every five seconds. An erasure that was stopped
goes on by itself wherever a worker runs, and asking again waits for it. What is left in the files of the database and in backups goes later: see docs/privacy.md.

The person is named by the id of the profile, or by any identifier as <namespace>:<value>.

Examples:
  weft profiles erase email:anna@example.com --reason "asked by letter, case 4711"
  weft profiles erase 018c0d2e-… --reason "left the programme" --yes --json

Exit codes: 0 done, 1 failed (nobody is known by that) or not confirmed, 2 wrong use, 130 interrupted.`;

/** `weft profiles erase`. */
export function addEraseCommand(profiles: Command, deps: EraseCommandDeps): void {
  profiles
    .command('erase')
    .description('erase a person for good')
    .argument('<profile>', 'the id of the profile, or <namespace>:<value>')
    .requiredOption('--reason <text>', 'why; kept with the receipt, so without names')
    .option('--yes', 'do not ask')
    .option('--json', 'the receipt as JSON')
    .addHelpText('after', HELP)
    .action((whom: string, options: EraseOptions) => runCommand(deps, () => erase(deps, whom, options), deps.signal));
}

async function erase(deps: EraseCommandDeps, whom: string, { reason, yes, json }: EraseOptions): Promise<number> {
  const target = parseTarget(whom, 'weft profiles erase');
  if (yes !== true && !(await isConfirmed(deps))) {
    deps.stderr.write('Nothing was changed.\n');
    return EXIT_CODES.failed;
  }
  const receipt = await deps.withErasing(async (erasures) => {
    const requested = await erasures.request(target, { reason, actor: deps.user });
    deps.onReceipt(requested);
    return waitFor(deps, erasures, requested.id);
  });
  deps.stdout.write(json === true ? jsonText(receiptJson(receipt)) : describe(receipt));
  return EXIT_CODES.ok;
}

/** Waits, says what for, and that nothing is undone by an interruption. */
async function waitFor(deps: EraseCommandDeps, erasures: ErasureService, id: Uuid): Promise<Erasure> {
  const { signal, stderr } = deps;
  try {
    return await erasures.done(id, { signal, onWait: (what) => stderr.write(`Waiting for ${what}.\n`) });
  } catch (error) {
    if (signal.aborted) {
      stderr.write(
        `The erasure goes on wherever a worker runs, and cannot be called off: weft privacy receipt ${id} says how far it is.\n`,
      );
    }
    throw error;
  }
}

async function isConfirmed({ confirm }: EraseCommandDeps): Promise<boolean> {
  if (confirm !== null) return confirm('Erase this person for good? This cannot be undone.');
  throw new WeftError('BAD_REQUEST', 'there is no terminal to ask whether this is meant', {
    where: 'weft profiles erase',
    hint: 'add --yes',
  });
}

/** Whom an argument names: the id of a profile, or `<namespace>:<value>`. @throws WeftError BAD_REQUEST */
export function parseTarget(whom: string, where: string): ErasureTarget {
  if (isUuid(whom)) return { profileId: whom };
  const colon = whom.indexOf(':');
  if (colon > 0) return { identifier: { ns: whom.slice(0, colon), value: whom.slice(colon + 1) } };
  throw new WeftError('BAD_REQUEST', 'this is neither the id of a profile nor an identifier', {
    where,
    hint: 'write an identifier with its namespace, as in email:anna@example.com',
  });
}

/** A receipt with times for people and programs. */
export function receiptJson({ requestedAt, logicalAt, compactedAt, physicalAt, ...rest }: Erasure): object {
  const timeOf = (ms: number | null): string | null => (ms === null ? null : new Date(ms).toISOString());
  const { failures, failingSince, retryAt, failure, ...receipt } = rest;
  return {
    ...receipt,
    requestedAt: timeOf(requestedAt),
    logicalAt: timeOf(logicalAt),
    compactedAt: timeOf(compactedAt),
    physicalAt: timeOf(physicalAt),
    failures,
    failingSince: timeOf(failingSince),
    retryAt: timeOf(retryAt),
    failure,
  };
}

function describe({ id, events, rewritten, letters, deliveries }: Erasure): string {
  return (
    `Erased. Deleted: ${String(events)} events, ${String(letters)} dead letters, ${String(deliveries)} deliveries of webhooks; ` +
    `rewritten: ${String(rewritten)} events of others.\nThe receipt: weft privacy receipt ${id}\n`
  );
}
