import { InvalidArgumentError, type Command } from 'commander';
import { EXIT_CODES, jsonText, runCommand, textTable, type CommandIo } from '../platform/command-line.js';
import type { ParityFigures } from './feature-parity.model.js';

/** What one look found. */
export interface ParityFindings {
  readonly profiles: number;
  readonly skipped: number;
  readonly events: number;
  readonly figures: readonly ParityFigures[];
  readonly mismatches: readonly { readonly profileId: string; readonly feature: string; readonly where: string }[];
  readonly untold: readonly string[];
}

export interface ParityCommandDeps extends CommandIo {
  /** Starts what the command needs, for as long as it compares so many profiles. */
  readonly compareProfiles: (
    count: number,
    onProgress: (done: number, total: number) => void,
  ) => Promise<ParityFindings>;
  /** Aborted by Ctrl-C. */
  readonly signal: AbortSignal;
  readonly stderr: CommandIo['stderr'] & { readonly isTTY?: boolean };
}

interface Options {
  readonly sample: number;
  readonly json?: true;
}

const DEFAULT_SAMPLE = 200;
const MAX_SAMPLE = 100_000;
/** Lines of what is wrong. */
const MAX_SHOWN = 10;

const HELP = `
Profiles are chosen at random; their features are computed from the log as of one position of it, beside live traffic, and
compared with what is kept and, where the online store is in Redis, with what is served from there. Exact but for doubles,
which may be 1e-9 apart, relative to the greater. It changes nothing.

Examples:
  weft features parity
  weft features parity --sample 5000
  weft features parity --json

Exit codes: 0 all are the same, 1 some are not, 2 wrong use, 130 interrupted.`;

/** Adds `weft features parity`. */
export function addParityCommand(features: Command, deps: ParityCommandDeps): Command {
  features
    .command('parity')
    .description('compare features as they are served with what the log gives')
    .option('--sample <profiles>', 'how many profiles are compared', parseSample, DEFAULT_SAMPLE)
    .option('--json', 'as JSON')
    .addHelpText('after', HELP)
    .action((options: Options) => runCommand(deps, () => run(deps, options), deps.signal));
  return features;
}

async function run({ compareProfiles, stdout, stderr }: ParityCommandDeps, options: Options): Promise<number> {
  const found = await compareProfiles(options.sample, (done, total) => {
    if (stderr.isTTY === true) stderr.write(`\r${String(done)} of ${String(total)} profiles   `);
  });
  if (stderr.isTTY === true) stderr.write('\n');
  const wrong = found.figures.reduce((sum, { mismatched, missing }) => sum + mismatched + missing, 0);
  if (options.json === true) stdout.write(jsonText(found));
  else stdout.write(textOf(found, wrong));
  return wrong === 0 ? EXIT_CODES.ok : EXIT_CODES.failed;
}

function textOf({ profiles, skipped, events, figures, mismatches, untold }: ParityFindings, wrong: number): string {
  const compared = figures.reduce((sum, each) => sum + each.compared, 0);
  const rows = figures
    .filter((each) => each.mismatched + each.missing + each.estimated > 0)
    .map(({ feature, ...each }) => [
      feature,
      ...[each.compared, each.mismatched, each.missing, each.estimated, each.maxDelta].map(String),
    ]);
  const lines = [
    `Compared ${count(compared)} values of ${count(figures.length)} features in ${count(profiles)} profiles with what ${count(events)} events give: ${count(wrong)} mismatches.`,
    ...(skipped === 0
      ? []
      : [`Not compared: ${count(skipped)} profiles with too many or damaged events, or changing.`]),
    ...(untold.length === 0 ? [] : [`Not compared, because the log cannot tell them: ${untold.join(', ')}.`]),
  ];
  const table =
    rows.length === 0
      ? ''
      : textTable([['feature', 'compared', 'mismatched', 'missing', 'estimated', 'max delta'], ...rows]);
  const examples = mismatches
    .slice(0, MAX_SHOWN)
    .map(({ profileId, feature, where }) => `  ${feature} of profile ${profileId}: wrong in the ${where}\n`);
  return `${lines.join('\n')}\n${table}${examples.join('')}`;
}

function count(value: number): string {
  return value.toLocaleString('en-US');
}

function parseSample(text: string): number {
  const sample = Number(text);
  if (/^\d{1,6}$/.test(text) && sample >= 1 && sample <= MAX_SAMPLE) return sample;
  throw new InvalidArgumentError(`Give a whole number from 1 to ${String(MAX_SAMPLE)}.`);
}
