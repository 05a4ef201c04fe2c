import { SingleBar } from 'cli-progress';
import type { Command } from 'commander';
import { identifierOf, nameOf, type DecisionCommandDeps } from './identity-decisions.command.js';
import type { IdentityRevisionRecord } from './identity/identity-revision.model.js';
import { EXIT_CODES, jsonText, runCommand, textTable, type CommandIo } from './platform/command-line.js';
import { formatInstant } from './platform/instant.js';

export interface UpkeepCommandDeps extends Omit<DecisionCommandDeps, 'stderr'> {
  readonly stderr: CommandIo['stderr'] & NodeJS.WritableStream & { readonly isTTY?: boolean };
}

interface ReresolveOptions {
  readonly reason: string;
  readonly json?: true;
}

/** `weft identity reresolve|generic`. */
export function addUpkeepCommands(command: Command, deps: UpkeepCommandDeps): void {
  command
    .command('reresolve')
    .description('resolve all identities anew, by the rules as they are')
    .option('--reason <text>', 'why, for whoever asks later', '')
    .option('--json', 'the result as JSON')
    .addHelpText(
      'after',
      `
Workers do it between batches of events. Interrupted, the command stops watching: the work goes on wherever a worker runs.

Examples:
  weft identity reresolve --reason 'e-mail addresses may no longer merge'
  weft identity revisions

Exit codes: 0 done, 1 some components could not be resolved, 2 wrong use, 130 interrupted.`,
    )
    .action((options: ReresolveOptions) => runCommand(deps, () => reresolve(deps, options), deps.signal));
  addGenericCommands(command, deps);
}

const MAX_LISTED = 500;

const GENERIC_HELP = `
A value that many accounts share, as the address of an office, is generic: it joins nobody. Weft finds such values by
themselves; keep says that one is none, clear takes that back. A value is written as namespace:value.

Examples:
  weft identity generic list
  weft identity generic keep email:family@example.com --reason 'a large family'
  weft identity generic clear email:family@example.com

Exit codes: 0 done, 1 failed (nothing to clear), 2 wrong use, 130 interrupted.`;

function addGenericCommands(command: Command, deps: UpkeepCommandDeps): void {
  const generic = command
    .command('generic')
    .description('values that many people share')
    .addHelpText('after', GENERIC_HELP);
  generic
    .command('list')
    .description('those that are generic, and those that are kept, the newest first; shows identifiers')
    .option('--json', 'as JSON')
    .action((options: { readonly json?: true }) => runCommand(deps, () => listGeneric(deps, options)));
  for (const [name, isKept, description] of [
    ['keep', true, 'say that a value is not generic, however many share it'],
    ['clear', false, 'take that back: the evidence decides'],
  ] as const) {
    generic
      .command(name)
      .description(description)
      .argument('<value>', 'as email:family@example.com')
      .option('--reason <text>', 'why, for whoever asks later', '')
      .option('--json', 'the result as JSON')
      .addHelpText('after', GENERIC_HELP)
      .action((value: string, options: ReresolveOptions) =>
        runCommand(deps, () => decideGeneric(deps, value, isKept, options), deps.signal),
      );
  }
}

async function listGeneric(deps: UpkeepCommandDeps, { json }: { readonly json?: true }): Promise<number> {
  return deps.withReader(async (services) => {
    const found = await services.genericValues(MAX_LISTED + 1);
    const told = found.slice(0, MAX_LISTED);
    if (json === true) deps.stdout.write(jsonText(told.map(({ id: _, ...value }) => value)));
    else if (told.length === 0) deps.stdout.write('There are none.\n');
    else {
      deps.stdout.write(
        textTable([
          ['value', 'generic', 'seen with', 'since', 'kept by', 'reason'],
          ...told.map((each) => [
            nameOf(each),
            each.isGeneric ? 'yes' : 'no',
            String(each.neighbours),
            formatInstant(each.changedAt),
            each.isKept ? (each.decidedBy ?? '') : '',
            each.reason,
          ]),
        ]),
      );
    }
    if (found.length > MAX_LISTED) deps.stderr.write('There are more: see identityGenericValues in GraphQL.\n');
    return EXIT_CODES.ok;
  });
}

async function decideGeneric(
  deps: UpkeepCommandDeps,
  value: string,
  isKept: boolean,
  { reason, json }: ReresolveOptions,
): Promise<number> {
  const identifier = identifierOf(value);
  return deps.withDecider(async (services) => {
    const { id, status, result } = await services.decideGeneric(identifier, isKept, reason);
    if (json === true) deps.stdout.write(jsonText({ id, status, ...result }));
    else if (status === 'done') deps.stdout.write(`${String(result?.moved ?? 0)} identifiers moved.\n`);
    else deps.stdout.write(`Noted as ${id}; a worker will do it. weft identity revisions says how far it is.\n`);
    return EXIT_CODES.ok;
  });
}

async function reresolve(deps: UpkeepCommandDeps, { reason, json }: ReresolveOptions): Promise<number> {
  return deps.withDecider(async (services) => {
    const bar = deps.stderr.isTTY === true ? new SingleBar({ stream: deps.stderr, clearOnComplete: true }) : null;
    bar?.start(1, 0);
    const onProgress = ({ stepsDone, stepsTotal }: IdentityRevisionRecord): void => {
      bar?.setTotal(Math.max(stepsTotal ?? 0, stepsDone, 1));
      bar?.update(stepsDone);
    };
    let revision: IdentityRevisionRecord;
    try {
      revision = await services.reresolve(reason, onProgress);
    } finally {
      bar?.stop();
    }
    const { id, status, stepsDone, result, failure } = revision;
    if (json === true) deps.stdout.write(jsonText({ id, status, components: stepsDone, ...result, failure }));
    else {
      const { moved = 0, contested = 0, failed = 0 } = result ?? {};
      deps.stdout.write(
        `${String(stepsDone)} components resolved, ${String(moved)} identifiers moved, ` +
          `${String(contested)} contested, ${String(failed)} failed.\n`,
      );
    }
    if (status === 'done') return EXIT_CODES.ok;
    deps.stderr.write(`error: ${failure?.message ?? 'it failed'}\n`);
    return EXIT_CODES.failed;
  });
}
