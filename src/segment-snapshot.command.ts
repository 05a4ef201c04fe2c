import type { Command } from 'commander';
import { withComponentBar, type ProgressStream } from './reresolution-report.js';
import { EXIT_CODES, jsonText, runCommand, type CommandIo } from './platform/command-line.js';
import { WeftError } from './platform/errors.js';
import { formatInstant } from './platform/instant.js';
import type { BackgroundJob } from './schedules/background-job.model.js';
import { jobJson, startedText } from './segment-job-report.js';
import type { SnapshotOnceAsk } from './segments/segment-jobs.model.js';
import type { SegmentSnapshot, SegmentSnapshotAsk } from './segments/segment-snapshot.model.js';

export interface SegmentSnapshotCommandDeps extends CommandIo {
  readonly stderr: ProgressStream;
  readonly signal: AbortSignal;
  /** Reads a point in time as ms; NaN for a text that is none. */
  readonly parseTime: (text: string) => number;
  /** Has a worker take it. */
  start(ask: SnapshotOnceAsk): Promise<BackgroundJob>;
  snapshot(ask: SegmentSnapshotAsk, onProgress: (done: number, total: number) => void): Promise<SegmentSnapshot>;
}

interface Options {
  readonly as: string;
  readonly name?: string;
  readonly asOf?: string;
  readonly detach?: true;
  readonly json?: true;
}

const HELP = `
Those who are in the segment at this instant are put on a new list; whoever enters or leaves it later changes nothing of
that. A condition asks for them by listed("spring_2026"). Broken off, no list is left; killed, the same command begins
anew.

With --as-of they are those who were in it then, by what the feed has told since: for as long as the segment is there, and
where no history was loaded since, of which the feed tells nothing. Who was erased is not among them.

--detach has a server or a worker take it; weft segment job <id> --follow shows how far it is.

Examples:
  weft segment snapshot cart_abandoned --as abandoned_in_may
  weft segment snapshot cart_abandoned --as abandoned_in_june --detach
  weft segment snapshot cart_abandoned --as abandoned_at_noon --as-of 2026-05-31T12:00:00Z

Exit codes: 0 done, 1 failed, 2 wrong use, 130 interrupted.`;

/** `weft segment snapshot`. */
export function addSnapshotCommand(segment: Command, deps: SegmentSnapshotCommandDeps): void {
  segment
    .command('snapshot <key>')
    .description('keep those who are in a segment now, or were in it at an instant, as a list')
    .requiredOption('--as <list>', 'what the list will be called by')
    .option('--name <name>', 'what people call the list')
    .option('--as-of <time>', 'who was in it then, as 2026-01-31T12:00:00Z (default: now)')
    .option('--detach', 'have a server or a worker take it, and do not wait')
    .option('--json', 'as JSON')
    .addHelpText('after', HELP)
    .action((key: string, options: Options) => runCommand(deps, () => snapshot(deps, key, options), deps.signal));
}

async function snapshot(deps: SegmentSnapshotCommandDeps, key: string, options: Options): Promise<number> {
  const ask = { segment: key, list: options.as, name: options.name ?? null, asOf: instantOf(deps, options.asOf) };
  if (options.detach === true) {
    const job = await deps.start(ask);
    deps.stdout.write(options.json === true ? jsonText(jobJson(job)) : startedText(job));
    return EXIT_CODES.ok;
  }
  const { list, taken, refused } = await withComponentBar(deps.stderr, (onProgress) => deps.snapshot(ask, onProgress));
  const { origin } = list;
  const at = origin === null ? null : formatInstant(origin.at);
  if (options.json === true) deps.stdout.write(jsonText({ list: list.key, segment: key, at, taken, refused }));
  else {
    const lines = [
      `List ${list.key} has those who were in segment ${key} at ${at ?? 'an unknown time'}.`,
      `  on it     ${taken.toLocaleString('en-US')}`,
      ...(refused === 0 ? [] : [`  refused   ${refused.toLocaleString('en-US')}, who are being erased`]),
      `  condition listed("${list.key}")`,
      '',
    ];
    deps.stdout.write(lines.join('\n'));
  }
  return EXIT_CODES.ok;
}

/** @throws WeftError BAD_REQUEST */
function instantOf({ parseTime }: SegmentSnapshotCommandDeps, text: string | undefined): number | null {
  if (text === undefined) return null;
  const ms = parseTime(text);
  if (!Number.isNaN(ms)) return ms;
  throw new WeftError('BAD_REQUEST', `"${text.slice(0, 50)}" is no time`, {
    where: '--as-of',
    hint: 'write ISO 8601, as 2026-01-31T12:00:00Z',
  });
}
