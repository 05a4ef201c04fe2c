import { PassThrough } from 'node:stream';
import { CommanderError, type Command } from 'commander';
import type { CommandIo } from '../../src/platform/command-line.js';

export interface CommandOutcome {
  readonly code: number | undefined;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command with arguments as a shell would, and captures what it writes and ends with. */
export async function runWith(
  build: (io: CommandIo & { readonly stderr: PassThrough }) => Command,
  args: readonly string[],
): Promise<CommandOutcome> {
  const outcome = { code: undefined as number | undefined, stdout: '', stderr: '' };
  const command = build({
    stdout: { write: (text) => (outcome.stdout += text) },
    stderr: new PassThrough().on('data', (text: Buffer) => (outcome.stderr += text.toString())),
    setExitCode: (code) => (outcome.code = code),
  });
  const all = (each: Command): Command[] => [each, ...each.commands.flatMap(all)];
  for (const each of all(command)) {
    each.exitOverride().configureOutput({
      writeOut: (text) => (outcome.stdout += text),
      writeErr: (text) => (outcome.stderr += text),
    });
  }
  try {
    await command.parseAsync([...args], { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    outcome.code = error.exitCode;
  }
  return outcome;
}
