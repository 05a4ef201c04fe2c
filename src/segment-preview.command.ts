import { InvalidArgumentError, Option, type Command } from 'commander';
import { EXIT_CODES, jsonText, runCommand, textTable, type CommandIo } from './platform/command-line.js';
import { durationMs } from './platform/duration.js';
import { WeftError } from './platform/errors.js';
import { formatInstant } from './platform/instant.js';
import { warningText } from './platform/warning.js';
import { withComponentBar, type ProgressStream } from './reresolution-report.js';
import type { SegmentPreview, SpanPreview } from './segments/segment-preview.model.js';
import type { PreviewAsk, SegmentPreviews } from './segments/segment-preview.service.js';
import type { TrialAsk } from './segments/segment.service.js';

export interface SegmentPreviewCommandDeps extends CommandIo {
  readonly stderr: ProgressStream;
  readonly signal: AbortSignal;
  /** Reads a point in time as ms; NaN for a text that is none. */
  readonly parseTime: (text: string) => number;
  /** Starts what previewing needs, for as long as `use` runs. */
  withPreviews<T>(use: (previews: Pick<SegmentPreviews, 'preview'>) => Promise<T>): Promise<T>;
}

interface Options {
  readonly condition?: string;
  readonly exit?: string;
  readonly minDwell?: string;
  readonly asOf?: string;
  readonly from?: string;
  readonly to?: string;
  readonly sample?: number;
  readonly flapsAbove: number;
  readonly json?: true;
}

const MAX_PROFILES = 1_000_000_000;
const DEFAULT_FLAPS_ABOVE = 5;

const HELP = `
Says who would be in a segment, and with --from what the feed would have been told had it become active then: by living
through the events of the log again, in the order in which they were accepted. Nothing is changed. Without --sample
everybody is looked at, which takes a while where there are many events.

Examples:
  weft segment preview cart_abandoned
  weft segment preview cart_abandoned --from 2026-01-01 --to 2026-02-01
  weft segment preview --condition 'f.spend_90d > 500' --exit 'f.spend_90d < 250' --from 2026-01-01 --sample 10000

Exit codes: 0 done, 1 failed, 2 wrong use, or a condition that is not valid, 130 interrupted.`;

/** `weft segment preview`. */
export function addPreviewCommand(segment: Command, deps: SegmentPreviewCommandDeps): Command {
  segment
    .command('preview')
    .description('who would be in a segment, and what it would have done in the past')
    .argument('[key]', 'a segment, in the version that was written last')
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
    .option('--json', 'as JSON')
    .addHelpText('after', HELP)
    .action((key: string | undefined, options: Options) =>
      runCommand(deps, () => preview(deps, key, options), deps.signal),
    );
  return segment;
}

async function preview(deps: SegmentPreviewCommandDeps, key: string | undefined, options: Options): Promise<number> {
  const ask = askOf(deps, key, options);
  return deps.withPreviews(async (previews) => {
    const found = await withComponentBar(deps.stderr, (onProgress) =>
      previews.preview({ ...ask, signal: deps.signal, onProgress }),
    );
    for (const note of found.notes) deps.stderr.write(`note: ${note}\n`);
    deps.stderr.write(warningText(found.warnings));
    deps.stdout.write(options.json === true ? jsonText(toJson(found)) : textOf(found));
    return EXIT_CODES.ok;
  });
}

function askOf({ parseTime }: SegmentPreviewCommandDeps, key: string | undefined, options: Options): PreviewAsk {
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
    segment: segmentOf(key, options),
    fromMs: time('from', from),
    toMs: time('to', to) ?? time('as-of', asOf),
    maxProfiles: sample ?? null,
    flapsAbove,
  };
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

function toJson({ fromMs, toMs, span, ...found }: SegmentPreview): object {
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
