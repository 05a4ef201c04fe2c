import { CommanderError } from 'commander';
import { createProgram } from './program.js';
import { argumentsOf, EXIT_CODES, exitCodeOf } from './platform/command-line.js';
import { WeftError } from './platform/errors.js';
import { describeError } from './platform/logger.js';
import { stopSignal } from './platform/stop-signal.js';

async function main(): Promise<void> {
  let exitCode: number = EXIT_CODES.ok;
  const signal = stopSignal(
    process,
    () => process.exit(EXIT_CODES.interrupted),
    () => performance.now(),
  );
  const program = createProgram({
    signal,
    setExitCode: (code) => {
      exitCode = code;
    },
  });
  try {
    await program.parseAsync(argumentsOf(process.argv), { from: 'user' });
  } catch (error) {
    if (signal.aborted && error === signal.reason) {
      // It broke off because it was told to.
      exitCode = EXIT_CODES.interrupted;
    } else if (error instanceof CommanderError) {
      // Commander has told it already.
      exitCode = exitCodeOf(error);
    } else {
      exitCode = EXIT_CODES.failed;
      process.stderr.write(explain(error));
    }
  }
  process.exit(exitCode);
}

/** One clear line for what a person can put right, the whole record for a defect of ours. */
function explain(error: unknown): string {
  if (error instanceof WeftError && error.code !== 'INTERNAL') {
    const where = error.where === undefined ? '' : ` (${error.where})`;
    return `weft: ${error.message}${where}${error.hint === undefined ? '' : `. ${error.hint}`}\n`;
  }
  return `weft: a defect of Weft's own, please report it\n${JSON.stringify(describeError(error), null, 2)}\n`;
}

// Standard output may be a pipe that somebody closed, as `weft … | head` does: then there is nobody left to work for, but
// what was started has to be stopped.
process.stdout.once('error', () => {
  process.stdout.on('error', () => undefined);
  process.kill(process.pid, 'SIGTERM');
});
await main();
