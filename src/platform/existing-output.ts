import { stat } from 'node:fs/promises';
import type { Command } from 'commander';
import { WeftError } from './errors.js';

/** The option of a command that writes files. */
export interface ForceOption {
  readonly force?: true | undefined;
}

export function withForce(command: Command): Command {
  return command.option('--force', 'write over a file that is there');
}

/**
 * To be asked before a command begins, so that nothing is done in vain. What is no ordinary file, as a pipe, is written to.
 * @throws WeftError BAD_REQUEST where one of the files is there, unless they may be written over
 */
export async function refuseExisting({ force }: ForceOption, ...paths: readonly string[]): Promise<void> {
  if (force === true) return;
  for (const path of paths) {
    const found = await stat(path).catch(() => null);
    if (found?.isFile() !== true) continue;
    throw new WeftError('BAD_REQUEST', 'the file is there already', {
      where: path,
      hint: 'give --force to write over it, or name another file',
    });
  }
}
