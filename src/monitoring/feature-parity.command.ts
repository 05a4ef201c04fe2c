import { InvalidArgumentError, type Command } from 'commander';
import { EXIT_CODES, jsonText, runCommand, textTable, type CommandIo } from '../platform/command-line.js';
import { WeftError } from '../platform/errors.js';
import type { ParityFindings } from './feature-parity.model.js';

interface Wrong {
  readonly feature: string;
  readonly where: string;
}

/** What one look at people found. */
export interface PeopleFindings extends ParityFindings<Wrong & { readonly profileId: string }> {
  readonly profiles: number;
}

/** What one look at items found. */
export interface ItemFindings extends ParityFindings<Wrong & { readonly entity: string; readonly key: string }> {
  /** Once for each view that computes something else. */
  readonly items: number;
}

/** How many are compared, and how many events of each are read at most. */
export interface ParityAsk {
  readonly count: number;
  readonly maxEvents: number;
}

type OnProgress = (done: number, total: number) => void;

export interface ParityCommandDeps extends CommandIo {
  /** Starts what the command needs, for as long as it compares so many profiles. */
  readonly compareProfiles: (ask: ParityAsk, onProgress: OnProgress) => Promise<PeopleFindings>;
  /**
   * The same with so many items of an entity.
   * @throws WeftError for an entity without features that events give, or without items so far
   */
  readonly compareItems: (entity: string, ask: ParityAsk, onProgress: OnProgress) => Promise<ItemFindings>;
  /** Aborted by Ctrl-C. */
  readonly signal: AbortSignal;
  readonly stderr: CommandIo['stderr'] & { readonly isTTY?: boolean };
}

interface Options {
  readonly entity?: string;
  readonly sample: number;
  readonly maxEvents: number;
  readonly json?: true;
}

const DEFAULT_SAMPLE = 200;
const MAX_SAMPLE = 100_000;
const DEFAULT_MAX_EVENTS = 20_000;
const MAX_MAX_EVENTS = 5_000_000;
/** Lines of what is wrong. */
const MAX_SHOWN = 10;

const HELP = `
Profiles, or items of an entity, are chosen at random; their features are computed from the log as of one position of it, beside live traffic, and
compared with what is kept and, where the online store is in Redis, with what is served from there. Exact but for doubles,
which may be 1e-9 apart, relative to the greater. It changes nothing.

Examples:
  weft features parity
  weft features parity --sample 5000
  weft features parity --entity item
  weft features parity --entity item --sample 20 --max-events 1000000
  weft features parity --json

Exit codes: 0 all are the same, 1 some are not, or there is nothing to compare, 2 wrong use, 130 interrupted.`;

/** Adds `weft features parity`. */
export function addParityCommand(features: Command, deps: ParityCommandDeps): Command {
  features
    .command('parity')
    .description('compare features as they are served with what the log gives')
    .option('--sample <count>', 'how many profiles or items are compared', parseUpTo(MAX_SAMPLE), DEFAULT_SAMPLE)
    .option(
      '--max-events <count>',
      'leave out who has more events than this, which are read one after the other',
      parseUpTo(MAX_MAX_EVENTS),
      DEFAULT_MAX_EVENTS,
    )
    .option(
      '--entity <name>',
      'compare items of this entity, whose features are computed from events, instead of people',
    )
    .option('--json', 'as JSON')
    .addHelpText('after', HELP)
    .action((options: Options) => runCommand(deps, () => run(deps, options), deps.signal));
  return features;
}

async function run(deps: ParityCommandDeps, { entity, sample, maxEvents, json }: Options): Promise<number> {
  const { compareProfiles, compareItems, stdout, stderr } = deps;
  const subject = entity === undefined ? 'profiles' : 'items';
  const onProgress: OnProgress = (done, total) => {
    if (stderr.isTTY === true) stderr.write(`\r${String(done)} of ${String(total)} ${subject}   `);
  };
  const ask = { count: sample, maxEvents };
  const found =
    entity === undefined ? await compareProfiles(ask, onProgress) : await compareItems(entity, ask, onProgress);
  if (stderr.isTTY === true) stderr.write('\n');
  if (found.figures.every(({ compared }) => compared === 0)) throw nothingCompared(found, maxEvents);
  const wrong = found.figures.reduce((sum, { mismatched, missing }) => sum + mismatched + missing, 0);
  if (json === true) stdout.write(jsonText(found));
  else stdout.write(textOf(found, wrong, maxEvents));
  return wrong === 0 ? EXIT_CODES.ok : EXIT_CODES.failed;
}

function textOf(found: PeopleFindings | ItemFindings, wrong: number, maxEvents: number): string {
  const { events, figures, untold } = found;
  const [subject, looked] = 'items' in found ? ['items', found.items] : ['profiles', found.profiles];
  const examples = 'items' in found ? found.mismatches.map(itemText) : found.mismatches.map(personText);
  const compared = figures.reduce((sum, each) => sum + each.compared, 0);
  const rows = figures
    .filter((each) => each.mismatched + each.missing + each.estimated > 0)
    .map(({ feature, ...each }) => [
      feature,
      ...[each.compared, each.mismatched, each.missing, each.estimated, each.maxDelta].map(String),
    ]);
  const lines = [
    `Compared ${count(compared)} values of ${count(figures.length)} features in ${count(looked)} ${subject} with what ${count(events)} events give: ${count(wrong)} mismatches.`,
    ...leftOut(found, subject, maxEvents).map((line) => `Not compared: ${line}.`),
    ...(untold.length === 0 ? [] : [`Not compared, because the log cannot tell them: ${untold.join(', ')}.`]),
  ];
  const table =
    rows.length === 0
      ? ''
      : textTable([['feature', 'compared', 'mismatched', 'missing', 'estimated', 'max delta'], ...rows]);
  return `${lines.join('\n')}\n${table}${examples.slice(0, MAX_SHOWN).join('')}`;
}

/** Why some were not compared. */
function leftOut(
  { skipped, tooBig }: Pick<ItemFindings, 'skipped' | 'tooBig'>,
  subject: string,
  most: number,
): string[] {
  const others = skipped - tooBig;
  return [
    ...(tooBig === 0
      ? []
      : [`${count(tooBig)} ${subject} with more than ${count(most)} events, which --max-events has read, too`]),
    ...(others === 0 ? [] : [`${count(others)} ${subject} with damaged events, or changing`]),
  ];
}

function nothingCompared(found: PeopleFindings | ItemFindings, maxEvents: number): WeftError {
  const subject = 'items' in found ? 'items' : 'profiles';
  const reasons = leftOut(found, subject, maxEvents);
  const untold = 'the log cannot tell any feature: history is still being folded in, or a retention has removed events';
  const hint =
    found.untold.length > 0
      ? untold
      : reasons.length > 0
        ? `all are left out: ${reasons.join('; ')}`
        : 'there are no features, or nobody has them yet: define some, send events, and let a worker apply them';
  return new WeftError('NOT_FOUND', 'there is nothing to compare', { hint });
}

function personText({ profileId, feature, where }: PeopleFindings['mismatches'][number]): string {
  return `  ${feature} of profile ${profileId}: wrong in the ${where}\n`;
}

function itemText({ entity, key, feature, where }: ItemFindings['mismatches'][number]): string {
  return `  ${feature} of ${entity} ${key}: wrong in the ${where}\n`;
}

function count(value: number): string {
  return value.toLocaleString('en-US');
}

function parseUpTo(most: number): (text: string) => number {
  return (text) => {
    const number = Number(text);
    if (/^\d{1,7}$/.test(text) && number >= 1 && number <= most) return number;
    throw new InvalidArgumentError(`Give a whole number from 1 to ${String(most)}.`);
  };
}
