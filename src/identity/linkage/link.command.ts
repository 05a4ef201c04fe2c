import { Option, type Command } from 'commander';
import { EXIT_CODES, jsonText, runCommand, textTable } from '../../platform/command-line.js';
import { withForce } from '../../platform/existing-output.js';
import { WeftError } from '../../platform/errors.js';
import { parseShare, progress, type LinkageCommandDeps } from './command-files.js';
import { linkFiles, type LinkFileOptions } from './link-files.js';

/** What linking all profiles would come to. */
export interface LinkPreview {
  readonly model: string;
  readonly records: number;
  readonly rules: readonly {
    readonly rule: string;
    /** That it makes by itself, and that no rule before it makes. */
    readonly pairs: number;
    readonly newPairs: number;
    readonly largestBlock: number;
    /** The stream leaves its largest blocks out. */
    readonly hasLargeBlocks: boolean;
  }[];
  readonly links: number;
  /** Pairs that people would have to look at. */
  readonly reviews: number;
  readonly people: number;
}

/** How far linking all profiles is. */
export interface LinkProgress {
  readonly model: string;
  readonly phase: string;
  readonly componentsDone: number;
  readonly componentsTotal: number | null;
  readonly records: number;
  readonly waiting: number;
  readonly links: number;
  readonly reviews: number;
}

interface LinkAsked {
  /** A version, or how it begins; default: that of the active model. */
  readonly model?: string;
  readonly threshold?: number;
}

export interface ProfileLinking {
  preview(asked: LinkAsked, onProgress: (text: string) => void): Promise<LinkPreview>;
  link(asked: LinkAsked, onProgress: (progress: LinkProgress) => void): Promise<LinkProgress>;
}

export interface LinkCommandDeps extends LinkageCommandDeps {
  /** Starts what reading profiles needs, for as long as `use` runs. */
  withPreview<T>(use: (linking: ProfileLinking) => Promise<T>): Promise<T>;
  /** The same, with a worker. */
  withLinking<T>(use: (linking: ProfileLinking) => Promise<T>): Promise<T>;
}

type LinkOptions = Partial<LinkFileOptions> & { readonly dryRun?: true };

const HELP = `
Without files, all profiles are compared by the model that is active, or by --model, which is activated then: the same that
happens by itself to profiles that change. It may be interrupted; a worker goes on with it, and so does the command. Of
files, each record gets the id of the least record of its cluster, in a CSV file of two columns.

Examples:
  weft identity link --dry-run
  weft identity link --model 3f2a91c0 --threshold 0.95
  weft identity link --input people.csv --model model.json --output clusters.csv
  weft identity link --input crm.csv --input shop.csv --model model.json --output clusters.csv --threshold 0.99 --force --json

Exit codes: 0 done, 1 failed, 2 wrong use or a file that is not right, 130 interrupted.`;

/** `weft identity link`. */
export function addLinkCommand(command: Command, deps: LinkCommandDeps): void {
  withForce(command.command('link'))
    .description('find the records of one person by a model, among profiles or in files')
    .option('--model <model>', 'its version; for files its JSON, ours or Splink’s')
    .addOption(new Option('--threshold <p>', 'link from this match probability on').argParser(parseShare))
    .option('--dry-run', 'of profiles: only count the pairs and links that there would be')
    .addOption(new Option('--input <csv>', 'a file of records; may be given again').argParser(collect))
    .option('--output <csv>', 'where it is written who is in which cluster')
    .option(
      '--id <column>',
      'the column of the ids; default: unique_id, record_id, rec_id or id, else rows are numbered',
    )
    .option('--json', 'the result as JSON')
    .option('--quiet', 'no progress')
    .addHelpText('after', HELP)
    .action((options: LinkOptions) => {
      const isOfFiles = options.input !== undefined || options.output !== undefined || options.id !== undefined;
      return runCommand(
        deps,
        () => (isOfFiles ? linkFiles(deps, demandFiles(options)) : linkProfiles(deps, options)),
        deps.signal,
      );
    });
}

async function linkProfiles(deps: LinkCommandDeps, options: LinkOptions): Promise<number> {
  const tell = progress(deps, options);
  const { model, threshold } = options;
  const asked = { ...(model === undefined ? {} : { model }), ...(threshold === undefined ? {} : { threshold }) };
  if (options.dryRun === true) {
    const preview = await deps.withPreview((linking) => linking.preview(asked, tell));
    deps.stdout.write(options.json === true ? jsonText(preview) : previewText(preview));
    return EXIT_CODES.ok;
  }
  let told = '';
  const result = await deps.withLinking((linking) =>
    linking.link(asked, (now) => {
      const text = progressText(now);
      if (text !== told) tell(text);
      told = text;
    }),
  );
  const { records, links, reviews } = result;
  if (options.json === true) deps.stdout.write(jsonText(result));
  else deps.stdout.write(`${String(records)} records, ${String(links)} links, ${String(reviews)} pairs to look at.\n`);
  return EXIT_CODES.ok;
}

function previewText({ model, records, rules, links, reviews, people }: LinkPreview): string {
  const rows = rules.map(({ rule, pairs, newPairs, largestBlock, hasLargeBlocks }) => [
    rule,
    String(pairs),
    String(newPairs),
    `${String(largestBlock)}${hasLargeBlocks ? ' (left out)' : ''}`,
  ]);
  return [
    textTable([['blocking rule', 'pairs', 'new pairs', 'largest block'], ...rows]),
    `\n${String(records)} records by model ${model.slice(0, 12)}: ${String(links)} pairs would be linked, ${String(reviews)} `,
    `shown to people; ${String(people)} people would be left. Nothing was changed.\n`,
  ].join('');
}

function progressText({ phase, componentsDone, componentsTotal, waiting, links }: LinkProgress): string {
  if (phase === 'keying') {
    const of = componentsTotal === null ? '' : ` of about ${String(Math.max(componentsTotal, componentsDone))}`;
    return `${String(componentsDone)}${of} groups of identifiers read`;
  }
  return `${String(waiting)} left to compare and link, ${String(links)} links`;
}

function demandFiles({ input, output, model, dryRun, ...options }: LinkOptions): LinkFileOptions {
  if (dryRun === true) {
    throw new WeftError('BAD_REQUEST', 'a dry run is of profiles', { where: '--dry-run', hint: 'leave it out' });
  }
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
