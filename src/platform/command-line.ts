import { createInterface } from 'node:readline/promises';
import type { Command, CommanderError } from 'commander';
import { WeftError, type ErrorCode } from './errors.js';

/** What commands end with. 2 says that the command line or a file it names is wrong, so that trying again is no use. */
export const EXIT_CODES = { ok: 0, failed: 1, usage: 2, interrupted: 130 } as const;

/** Where a command writes, and how it says what it ends with. */
export interface CommandIo {
  /** Results. */
  readonly stdout: { write(text: string): unknown };
  /** Everything else: progress, notes, errors. */
  readonly stderr: { write(text: string): unknown };
  setExitCode(code: number): void;
}

const USAGE_CODES: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'BAD_REQUEST',
  'CONFIG_INVALID',
  'NOT_CONFIGURED',
  'DEFINITION_INVALID',
  'EXPRESSION_INVALID',
  'MODEL_INVALID',
]);

/**
 * Runs a command to its exit code. A {@link WeftError} is told on standard error; anything else is a defect and is
 * thrown on. Once `signal` is aborted, whatever the action throws counts as the interruption.
 */
export async function runCommand(
  io: CommandIo,
  action: () => Promise<number | undefined>,
  signal?: AbortSignal,
): Promise<void> {
  try {
    io.setExitCode((await action()) ?? EXIT_CODES.ok);
  } catch (error) {
    if (signal?.aborted === true) {
      io.stderr.write('Interrupted.\n');
      io.setExitCode(EXIT_CODES.interrupted);
      return;
    }
    if (!(error instanceof WeftError) || error.code === 'INTERNAL') throw error;
    io.stderr.write(errorText(error));
    io.setExitCode(USAGE_CODES.has(error.code) ? EXIT_CODES.usage : EXIT_CODES.failed);
  }
}

/** What, where and how to fix it, one line each. */
export function errorText({ message, where, hint }: WeftError): string {
  const lines = [
    `error: ${message}`,
    // Messages that list several problems name the place of each.
    ...(where === undefined || message.includes(where) ? [] : [`  at: ${where}`]),
    ...(hint === undefined || message.includes(hint) ? [] : [`  hint: ${hint}`]),
  ];
  return `${lines.join('\n')}\n`;
}

/**
 * Makes a program's commands throw a CommanderError where commander would end the process, and hands the settings of
 * the program down to all commands, which commander does not do for those that were built elsewhere.
 */
export function throwInsteadOfExiting(program: Command): Command {
  program.exitOverride();
  inheritSettings(program);
  return program;
}

/**
 * What was typed after the program's name. Nothing at all asks what there is, which is no wrong use; a group of commands
 * without one is, for a script that left it out must not go on.
 * @param argv `process.argv`
 */
export function argumentsOf(argv: readonly string[]): string[] {
  const given = argv.slice(2);
  return given.length === 0 ? ['--help'] : given;
}

function inheritSettings(parent: Command): void {
  for (const command of parent.commands) inheritSettings(command.copyInheritedSettings(parent));
}

/** What a CommanderError ends the process with: help and version, asked for, are no failure; all else is wrong use. */
export function exitCodeOf({ exitCode }: CommanderError): number {
  return exitCode === 0 ? EXIT_CODES.ok : EXIT_CODES.usage;
}

/** Columns padded to their widest cell, two spaces apart; the first row is the header. */
export function textTable(rows: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const row of rows) row.forEach((cell, i) => (widths[i] = Math.max(widths[i] ?? 0, cell.length)));
  const lineOf = (row: readonly string[]): string => row.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join('  ');
  return rows.map((row) => `${lineOf(row).trimEnd()}\n`).join('');
}

export function jsonText(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}

/** Asks for a yes or no; everything but `y` and `yes` is no. */
export type Confirm = (question: string) => Promise<boolean>;

/** Asks on the terminal; null where there is none, so that nobody waits for an answer that cannot come. */
export function terminalConfirm(
  input: NodeJS.ReadableStream & { readonly isTTY?: boolean },
  output: NodeJS.WritableStream & { readonly isTTY?: boolean },
): Confirm | null {
  if (input.isTTY !== true || output.isTTY !== true) return null;
  return async (question) => {
    const lines = createInterface({ input, output });
    try {
      return /^y(?:es)?$/i.test((await lines.question(`${question} [y/N] `)).trim());
    } finally {
      lines.close();
    }
  };
}
