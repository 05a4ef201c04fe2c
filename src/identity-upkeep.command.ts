import { SingleBar } from 'cli-progress';
import type { Command } from 'commander';
import type { DecisionCommandDeps } from './identity-decisions.command.js';
import type { IdentityRevisionRecord } from './identity/identity-revision.model.js';
import { EXIT_CODES, jsonText, runCommand, type CommandIo } from './platform/command-line.js';

export interface UpkeepCommandDeps extends Omit<DecisionCommandDeps, 'stderr'> {
  readonly stderr: CommandIo['stderr'] & NodeJS.WritableStream & { readonly isTTY?: boolean };
}

interface ReresolveOptions {
  readonly reason: string;
  readonly json?: true;
}

/** `weft identity reresolve`. */
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
