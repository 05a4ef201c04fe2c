import { Option, type Command } from 'commander';
import { runCommand } from '../../platform/command-line.js';
import { WeftError } from '../../platform/errors.js';
import { parseShare, type LinkageCommandDeps } from './command-files.js';
import { linkFiles, type LinkFileOptions } from './link-files.js';

const HELP = `
Of files, each record gets the id of the least record of its cluster, in a CSV file of two columns.

Examples:
  weft identity link --input people.csv --model model.json --output clusters.csv
  weft identity link --input crm.csv --input shop.csv --model model.json --output clusters.csv --threshold 0.99 --json

Exit codes: 0 done, 1 failed, 2 wrong use or a file that is not right, 130 interrupted.`;

type LinkOptions = Partial<LinkFileOptions>;

/** `weft identity link`. */
export function addLinkCommand(command: Command, deps: LinkageCommandDeps): void {
  command
    .command('link')
    .description('find the records of one person by a model')
    .addOption(new Option('--input <csv>', 'a file of records; may be given again').argParser(collect))
    .option('--output <csv>', 'where it is written who is in which cluster')
    .option('--model <json>', 'the model, ours or Splink’s')
    .addOption(new Option('--threshold <p>', 'link from this match probability on').argParser(parseShare))
    .option(
      '--id <column>',
      'the column of the ids; default: unique_id, record_id, rec_id or id, else rows are numbered',
    )
    .option('--json', 'the result as JSON')
    .option('--quiet', 'no progress')
    .addHelpText('after', HELP)
    .action((options: LinkOptions) => runCommand(deps, () => linkFiles(deps, demandFiles(options)), deps.signal));
}

function demandFiles({ input, output, model, ...options }: LinkOptions): LinkFileOptions {
  if (input !== undefined && output !== undefined && model !== undefined) return { ...options, input, output, model };
  const missing = [
    ...(input === undefined ? ['--input'] : []),
    ...(output === undefined ? ['--output'] : []),
    ...(model === undefined ? ['--model'] : []),
  ];
  throw new WeftError('BAD_REQUEST', `it is not said by what, and of what: ${missing.join(', ')}`, {
    where: missing[0] ?? '',
    hint: 'weft identity link --help has examples',
  });
}

function collect(path: string, before: readonly string[] = []): string[] {
  return [...before, path];
}
