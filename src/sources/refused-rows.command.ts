import type { Command } from 'commander';

import type { DeadLetterReader } from '../events/dead-letter.reader.js';
import { EXIT_CODES, jsonText, runCommand, type CommandIo } from '../platform/command-line.js';
import { isUuid } from '../platform/ids.js';
import { exportRefused } from './export-refused.js';
import { noSuchLoad } from './load-errors.js';
import { grouped } from './load-progress.js';
import type { LoadReader } from './load.reader.js';

export interface RefusedRowsDeps extends CommandIo {
  withRefusedRows<T>(
    use: (services: { readonly letters: DeadLetterReader; readonly loads: LoadReader }) => Promise<T>,
  ): Promise<T>;
}

interface ExportOptions {
  readonly load: string;
  readonly out: string;
  readonly json?: true;
}

const HELP = `
Writes the open letters of a load as rows of its file, with the columns _row, _column, _code, _reason and _file behind
them. The file holds what was handed in, personal data included, and may be read by its owner only. Mend it and load it
with the same mapping: the columns are ignored but for naming rows, so that no event is doubled, however often it is
loaded. Letters of rows that are loaded so are closed; the report of the load counts them.

Examples:
  weft load list
  weft dead-letters export --load 018c…-… --out bad.csv
  weft load bad.csv --mapping orders.yaml

Exit codes: 0 done, 1 failed (no such load, or one of grouped rows), 2 wrong use, or the file is there already.`;

/** `weft dead-letters export`, beneath the commands on dead letters. */
export function addRefusedRowsCommand(deadLetters: Command, deps: RefusedRowsDeps): Command {
  deadLetters
    .command('export')
    .description('write the refused rows of a load to a file that can be mended and loaded')
    .requiredOption('--load <load id>', 'its id, as weft load list shows it')
    .requiredOption('--out <file>', 'the file to write, which must not be there')
    .option('--json', 'the result as JSON')
    .addHelpText('after', HELP)
    .action((options: ExportOptions) => runCommand(deps, () => run(deps, options)));
  return deadLetters;
}

async function run(deps: RefusedRowsDeps, { load, out, json }: ExportOptions): Promise<number> {
  if (!isUuid(load)) throw noSuchLoad(load);
  const report = await deps.withRefusedRows((services) => exportRefused(services, load, out));
  if (json === true) {
    deps.stdout.write(jsonText(report));
    return EXIT_CODES.ok;
  }
  deps.stdout.write(`${grouped(report.rows)} row${report.rows === 1 ? '' : 's'} written to ${out}.\n`);
  if (report.unreadable > 0) {
    const which = `${grouped(report.unreadable)} more could not be read as rows`;
    deps.stderr.write(`${which}; weft dead-letters list shows them, mend them in the file itself.\n`);
  }
  for (const note of report.notes) deps.stderr.write(`note: ${note}\n`);
  return EXIT_CODES.ok;
}
