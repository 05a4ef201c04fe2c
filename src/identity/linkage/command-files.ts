import { readFile } from 'node:fs/promises';
import { InvalidArgumentError, type Command } from 'commander';
import type { CommandIo } from '../../platform/command-line.js';
import { WeftError } from '../../platform/errors.js';
import type { LinkageModel } from './linkage-model.model.js';
import { readLinkageModel } from './read-linkage-model.js';

export interface LinkageCommandDeps extends CommandIo {
  /** Aborted by the first signal to stop. */
  readonly signal: AbortSignal;
}

export interface FileOptions {
  readonly id?: string;
  readonly json?: true;
  readonly quiet?: true;
}

export function withFiles(command: Command): Command {
  return command
    .argument('<files...>', 'CSV files with the same header')
    .option(
      '--id <column>',
      'the column of the ids; default: unique_id, record_id, rec_id or id, else rows are numbered',
    )
    .option('--json', 'the result as JSON')
    .option('--quiet', 'no progress');
}

/** @throws WeftError BAD_REQUEST, MODEL_INVALID */
export async function readModelFile(path: string): Promise<LinkageModel> {
  try {
    return readLinkageModel(await readFile(path, 'utf8'), path);
  } catch (error) {
    if (error instanceof WeftError || !(error instanceof Error && 'code' in error)) throw error;
    throw new WeftError('BAD_REQUEST', `cannot read the file: ${String(error.code)}`, { where: path, cause: error });
  }
}

export function progress({ stderr }: LinkageCommandDeps, { quiet }: FileOptions): (text: string) => void {
  return (text) => {
    if (quiet !== true) stderr.write(`${text}\n`);
  };
}

/** @param missing columns of a model that files lack */
export function noteMissing(missing: readonly string[], tell: (text: string) => void): void {
  if (missing.length > 0) tell(`the files have nothing for ${missing.join(', ')}: each record lacks it`);
}

/** Lets the signal through between long stretches of work. */
export function breathing(signal: AbortSignal): () => Promise<void> {
  return async () => {
    await new Promise<void>((resolve) => {
      setImmediate(resolve);
    });
    signal.throwIfAborted();
  };
}

export function parseShare(text: string): number {
  const share = Number(text);
  if (!/^(?:0|1|0?\.\d+|1\.0+)$/.test(text) || share > 1) throw new InvalidArgumentError('Write a number from 0 to 1.');
  return share;
}
