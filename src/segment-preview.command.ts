import { InvalidArgumentError, Option, type Command } from 'commander';
import { EXIT_CODES, jsonText, runCommand, textTable, type CommandIo } from './platform/command-line.js';
import { durationMs } from './platform/duration.js';
import { WeftError } from './platform/errors.js';
import { nameHint } from './platform/near-names.js';
import { formatInstant } from './platform/instant.js';
import { warningText } from './platform/warning.js';
import { withComponentBar, type ProgressStream } from './reresolution-report.js';
import type { BackgroundJob } from './schedules/background-job.model.js';
import { jobJson, startedText } from './segment-job-report.js';
import type { SegmentDefinition } from './segments/parse-segments.js';
import type { SegmentPreview, SpanPreview } from './segments/segment-preview.model.js';
import type { PreviewJobAsk, SegmentPreviews } from './segments/segment-preview.service.js';
import type { TrialAsk } from './segments/segment.service.js';

export interface SegmentPreviewCommandDeps extends CommandIo {
  readonly stderr: ProgressStream;
  readonly signal: AbortSignal;
  /** Reads a point in time as ms; NaN for a text that is none. */
  readonly parseTime: (text: string) => number;
  /** Starts what previewing needs, for as long as `use` runs. */
  withPreviews<T>(use: (tools: PreviewTools) => Promise<T>): Promise<T>;
}

export interface PreviewTools {
  readonly previews: Pick<SegmentPreviews, 'preview'>;
  /** Those that a file of definitions or a module defines. @throws WeftError NOT_FOUND, DEFINITION_INVALID */
  segmentsIn(file: string): Promise<readonly SegmentDefinition[]>;
  /** Has a worker make it. */
  start(ask: PreviewJobAsk): Promise<BackgroundJob>;
}

interface Options {
  readonly condition?: string;
  readonly file?: string;
  readonly detach?: true;
  readonly exit?: string;
  readonly minDwell?: string;
  readonly asOf?: string;
  readonly from?: string;
  readonly to?: string;
  readonly sample?: number;
  readonly flapsAbove: number;
  readonly json?: true;
}

/** In an error. */
const MAX_NAMED_KEYS = 10;
const MAX_PROFILES = 1_000_000_000;
const DEFAULT_FLAPS_ABOVE = 5;

const HELP = `
Says who would be in a segment, and with --from what the feed would have been told had it become active then: by living
through the events of the log again, in the order in which they were accepted. Nothing is changed. Without --sample
everybody is looked at, which takes a while where there are many events: --detach has a server or a worker do that, and
weft segment job <id> --follow shows how far it is, and what came of it.

--file previews a segment as a file says that is not applied yet, a YAML file or a module; of several it takes the key. What
it refers to has to be applied.

Examples:
  weft segment preview cart_abandoned
  weft segment preview cart_abandoned --from 2026-01-01 --to 2026-02-01
  weft segment preview --file segments.yaml cart_abandoned
  weft segment preview cart_abandoned --from 2026-01-01 --detach
  weft segment preview --condition 'f.spend_90d > 500' --exit 'f.spend_90d < 250' --from 2026-01-01 --sample 10000

Exit codes: 0 done, 1 failed, 2 wrong use, or a condition that is not valid, 130 interrupted.`;

/** `weft segment preview`. */
export function addPreviewCommand(segment: Command, deps: SegmentPreviewCommandDeps): Command {
  segment
    .command('preview')
    .description('who would be in a segment, and what it would have done in the past')
    .argument('[key]', 'a segment, in the version that was written last')
    .option('--file <file>', 'take the segment from a file that is not applied: YAML, or a module as draft.weft.ts')
    .option('--condition <condition>', 'a condition instead of a segment')
    .option('--exit <condition>', 'with --condition: on which members leave')
    .option('--min-dwell <duration>', 'with --condition: how long members stay at least, as 10m')
    .option('--as-of <time>', 'who would be in it then, as 2026-01-31T12:00:00Z (default: now)')
    .option('--from <time>', 'when it would have become active')
    .option('--to <time>', 'the end of the span that begins with --from (default: now)')
    .addOption(
      new Option('--sample <profiles>', 'look at about so many, drawn at random').argParser(
        countParser(1, MAX_PROFILES),
      ),
    )
    .addOption(
      new Option('--flaps-above <changes>', 'profiles with more changes count as flapping')
        .argParser(countParser(0, 1_000_000))
        .default(DEFAULT_FLAPS_ABOVE),
    )
    .option('--detach', 'have a server or a worker do it, and do not wait')
    .option('--json', 'as JSON')
    .addHelpText('after', HELP)
    .action((key: string | undefined, options: Options) =>
      runCommand(deps, () => preview(deps, key, options), deps.signal),
    );
  return segment;
}

async function preview(deps: SegmentPreviewCommandDeps, key: string | undefined, options: Options): Promise<number> {
  const times = timesOf(deps, options);
  const told = options.file === undefined ? { segment: segmentOf(key, options) } : null;
  if (options.file !== undefined) demandAlone(options);
  return deps.withPreviews(async (tools) => {
    const ask = { ...(told ?? draftOf(await tools.segmentsIn(options.file ?? ''), key)), ...times };
    if (options.detach === true) {
      const job = await tools.start(ask);
      deps.stdout.write(options.json === true ? jsonText(jobJson(job)) : startedText(job));
      return EXIT_CODES.ok;
    }
    const found = await withComponentBar(deps.stderr, (onProgress) =>
      tools.previews.preview({ ...ask, signal: deps.signal, onProgress }),
    );
    tellPreview(deps, found, options.json === true);
    return EXIT_CODES.ok;
  });
}

/** What a preview found, as text or as JSON. */
export function tellPreview(
  { stdout, stderr }: Pick<CommandIo, 'stdout' | 'stderr'>,
  found: SegmentPreview,
  asJson: boolean,
): void {
  for (const note of found.notes) stderr.write(`note: ${note}\n`);
  stderr.write(warningText(found.warnings));
  stdout.write(asJson ? jsonText(previewJson(found)) : textOf(found));
}

function timesOf({ parseTime }: SegmentPreviewCommandDeps, options: Options): Omit<PreviewJobAsk, 'segment'> {
  const { asOf, from, to, sample, flapsAbove } = options;
  const time = (where: string, text: string | undefined): number | null => {
    if (text === undefined) return null;
    const ms = parseTime(text);
    if (!Number.isNaN(ms)) return ms;
    throw usage(where, `"${text.slice(0, 50)}" is no time`, 'write ISO 8601, as 2026-01-31T12:00:00Z');
  };
  if (asOf !== undefined && (from !== undefined || to !== undefined)) {
    throw usage('as-of', 'an instant and a span cannot both be asked about', 'give --as-of, or --from and --to');
  }
  if (to !== undefined && from === undefined) throw usage('to', 'a span has no beginning', 'give --from, or --as-of');
  return {
    fromMs: time('from', from),
    toMs: time('to', to) ?? time('as-of', asOf),
    maxProfiles: sample ?? null,
    flapsAbove,
  };
}

function demandAlone({ condition, exit, minDwell }: Options): void {
  if (condition === undefined && exit === undefined && minDwell === undefined) return;
  throw usage(
    '--file',
    'a file says itself what the segment is',
    'give --condition, --exit and --min-dwell without it',
  );
}

/** A segment of a file, as the next version of the one of its key. */
function draftOf(
  drafts: readonly SegmentDefinition[],
  key: string | undefined,
): Pick<PreviewJobAsk, 'segment' | 'versionOf'> {
  const keys = drafts.map((each) => each.key);
  const [only] = drafts;
  const found = key === undefined && drafts.length === 1 ? only : drafts.find((each) => each.key === key);
  if (found === undefined) {
    const several = keys.slice(0, MAX_NAMED_KEYS).join(', ');
    throw key === undefined
      ? usage('key', `the file defines ${String(drafts.length)} segments`, `name one of them: ${several}`)
      : usage('key', `the file defines no segment ${key.slice(0, 100)}`, nameHint(key, keys, `it defines ${several}`));
  }
  const { expression, exitExpression, minDwellMs, activeFrom, activeUntil, purposes } = found;
  const segment = { expression, exitExpression, minDwellMs, activeFrom, activeUntil, purposes };
  return { segment, versionOf: found.key };
}

function segmentOf(key: string | undefined, { condition, exit, minDwell }: Options): TrialAsk {
  if ((key === undefined) === (condition === undefined)) {
    throw usage('key', 'it takes a segment or a condition', 'give the key of one, or --condition');
  }
  if (condition !== undefined) {
    return {
      expression: condition,
      ...(exit === undefined ? {} : { exitExpression: exit }),
      ...(minDwell === undefined ? {} : { minDwellMs: dwellOf(minDwell) }),
    };
  }
  if (exit !== undefined || minDwell !== undefined) {
    throw usage('key', 'a segment says itself who leaves', 'give --exit and --min-dwell with --condition alone');
  }
  return { key: key ?? '' };
}

function dwellOf(text: string): number {
  try {
    return durationMs(text);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw usage('min-dwell', `"${text.slice(0, 50)}" is no duration`, 'write it as in 10m');
  }
}

function usage(where: string, message: string, hint: string): WeftError {
  return new WeftError('BAD_REQUEST', message, { where, hint });
}

function textOf(found: SegmentPreview): string {
  const { toMs, profilesSeen, profilesTotal, share, size, overlaps, sample, span, live } = found;
  const isPart = share < 1;
  const about = (n: number): string =>
    isPart ? `${String(n)} (about ${String(Math.round(n / share))} of all)` : String(n);
  const percent = profilesSeen === 0 ? 0 : (100 * size) / profilesSeen;
  return [
    `${about(size)} in it as of ${formatInstant(toMs)}, ${percent.toFixed(1)} % of ${String(profilesSeen)} people` +
      (isPart ? `, a sample of ${String(profilesTotal)}` : ''),
    ...(live === null
      ? []
      : [
          `${about(live.size)} are in it as it is live: ${about(live.entering)} would enter, ${about(live.leaving)} leave`,
        ]),
    ...(span === null ? [] : spanLines(span, about)),
    ...(overlaps.length === 0
      ? []
      : [
          '',
          textTable([
            ['in common with', 'members', 'in both', 'jaccard'],
            ...overlaps.map((o) => [o.key, String(o.size), String(o.common), o.jaccard.toFixed(3)]),
          ]).trimEnd(),
        ]),
    ...(sample.length === 0 ? [] : ['', 'Some who are in it:', ...sample.map((id) => `  ${id}`)]),
    'Nothing was changed.',
    '',
  ].join('\n');
}

function spanLines(
  { initialSize, enters, leaves, silent, days, peak, flapping }: SpanPreview,
  about: (n: number) => string,
): string[] {
  const { above, profiles, mostChanges } = flapping;
  return [
    `${about(initialSize)} by its becoming active, then ${about(enters)} entered and ${about(leaves)} left`,
    ...(silent === 0 ? [] : [`${String(silent)} changes by loads of history, which nobody is told`]),
    `${about(profiles)} changed more than ${String(above)} times, at most ${String(mostChanges)} times`,
    ...(peak === null
      ? []
      : [
          `At most ${about(peak.changes)} changes a ${peak.periodMs === 1_000 ? 'second' : 'minute'}, at ${formatInstant(peak.at)}`,
        ]),
    ...(days.length === 0
      ? []
      : [
          '',
          textTable([
            ['day', 'entered', 'left'],
            ...days.map((day) => [formatInstant(day.at).slice(0, 10), String(day.enters), String(day.leaves)]),
          ]).trimEnd(),
        ]),
  ];
}

function previewJson({ fromMs, toMs, span, ...found }: SegmentPreview): object {
  return {
    from: fromMs === null ? null : formatInstant(fromMs),
    to: formatInstant(toMs),
    ...found,
    span:
      span === null
        ? null
        : {
            ...span,
            days: span.days.map(({ at, ...day }) => ({ day: formatInstant(at).slice(0, 10), ...day })),
            peak: span.peak === null ? null : { ...span.peak, at: formatInstant(span.peak.at) },
          },
  };
}

function countParser(least: number, most: number): (text: string) => number {
  return (text) => {
    const count = /^\d{1,10}$/.test(text) ? Number(text) : NaN;
    if (count >= least && count <= most) return count;
    throw new InvalidArgumentError(`It is a whole number from ${String(least)} to ${String(most)}.`);
  };
}
