import type { Command } from 'commander';
import { EXIT_CODES, jsonText, runCommand, type CommandIo } from '../platform/command-line.js';
import { WeftError } from '../platform/errors.js';
import type { ForgottenExports } from './training-set-job.store.js';

export interface ForgetFolderCommandDeps extends CommandIo {
  readonly giveUp: () => Promise<ForgottenExports>;
  /** Null: there is nobody to ask. */
  readonly confirm: ((question: string) => Promise<boolean>) | null;
  readonly signal: AbortSignal;
}

const HELP = `
For a folder of label files and training sets (WEFT_EXPORTS_DIR) that was lost: what the database tells of it is
forgotten, erasures do not wait for it any more, and the next folder that labels are sent to takes its place. Refused
where a process has the folder. If it turns up again, delete it: nobody who is erased from now on is taken out of it.
`;

/** `weft export forget-folder` */
export function addForgetFolderCommand(exported: Command, deps: ForgetFolderCommandDeps): void {
  exported
    .command('forget-folder')
    .description('forget label files and training sets whose folder is lost')
    .option('--yes', 'do not ask')
    .option('--json', 'what was forgotten as JSON')
    .addHelpText('after', HELP)
    .action((options: { yes?: true; json?: true }) => runCommand(deps, () => forget(deps, options), deps.signal));
}

async function forget(deps: ForgetFolderCommandDeps, { yes, json }: { yes?: true; json?: true }): Promise<number> {
  if (yes !== true && !(await isConfirmed(deps))) {
    deps.stderr.write('Nothing was changed.\n');
    return EXIT_CODES.failed;
  }
  const forgotten = await deps.giveUp();
  const { labelFiles, sets } = forgotten;
  const text = `${String(labelFiles)} label files and ${String(sets)} training sets are forgotten.\n`;
  deps.stdout.write(json === true ? jsonText(forgotten) : `${text}If their folder turns up again, delete it.\n`);
  return EXIT_CODES.ok;
}

async function isConfirmed({ confirm }: ForgetFolderCommandDeps): Promise<boolean> {
  if (confirm !== null) return confirm('Forget all label files and training sets of the API? This cannot be undone.');
  throw new WeftError('BAD_REQUEST', 'there is no terminal to ask whether this is meant', {
    where: 'weft export forget-folder',
    hint: 'add --yes',
  });
}
