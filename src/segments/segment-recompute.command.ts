import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import { EXIT_CODES, jsonText, runCommand, type CommandIo } from '../platform/command-line.js';
import { durationText } from '../platform/duration.js';
import { WeftError } from '../platform/errors.js';
import { formatInstant } from '../platform/instant.js';
import type { Recompute, SegmentWork } from './recompute.model.js';
import type { SegmentWorkService } from './segment-work.service.js';

export interface SegmentRecomputeDeps extends CommandIo {
  readonly stderr: CommandIo['stderr'] & { readonly isTTY?: boolean };
  /** Aborted by Ctrl-C. */
  readonly signal: AbortSignal;
  /** Starts what the command needs, for as long as `use` runs. */
  withWork<T>(use: (work: SegmentWorkService) => Promise<T>): Promise<T>;
  /** The same, with a worker unless another process has one. */
  withWorker<T>(use: (work: SegmentWorkService) => Promise<T>): Promise<T>;
}

interface Options {
  readonly all?: true;
  readonly follow?: true;
  readonly pause?: true;
  readonly resume?: true;
  readonly cancel?: true;
  readonly json?: true;
}

const POLL_MS = 500;
const LINE_EVERY_MS = 5_000;
const BAR_WIDTH = 30;

const HELP = `
Everybody is evaluated anew by what evaluates live events, some at a time behind these: as where models had not answered,
or memberships are doubted. Nobody's state is changed by it; what it finds is told with the cause recompute. Keys say
which segments' changes are counted: an evaluation is of all segments. A recomputation that waits is joined by whoever
asks for another; where one has begun, the next begins after it.

--pause has it rest between batches, with the evaluations and the reading of history that changed definitions need; these
are in progress until --resume. --cancel leaves whoever was evaluated as they are.

Examples:
  weft segment recompute --all --follow
  weft segment recompute cart_abandoned
  weft segment recompute --pause
  weft segment progress --follow

Exit codes: 0 done, 1 failed (no such segment, nothing to cancel, cancelled meanwhile), 2 wrong use, 130 interrupted:
the recomputation goes on.`;

/** `weft segment recompute` and `weft segment progress`. */
export function addRecomputeCommands(segment: Command, deps: SegmentRecomputeDeps): Command {
  segment
    .command('recompute')
    .description('evaluate everybody anew behind live traffic; have that rest, go on or end')
    .argument('[keys...]', 'segments whose changes are counted')
    .option('--all', 'count the changes of all segments')
    .option('--follow', 'wait until it is over, and show how it goes')
    .option('--pause', 'have it rest between batches, until --resume')
    .option('--resume', 'have it go on where it was')
    .option('--cancel', 'end it; whoever was evaluated stays so')
    .option('--json', 'as JSON')
    .addHelpText('after', HELP)
    .action((keys: string[], options: Options) =>
      runCommand(deps, () => recompute(deps, keys, options), options.follow === true ? deps.signal : undefined),
    );
  segment
    .command('progress')
    .description('what is done about segments behind live traffic, and how far it is')
    .option('--follow', 'wait until nothing is left, and show how it goes')
    .option('--json', 'as JSON')
    .action((options: Options) => runCommand(deps, () => progress(deps, options), deps.signal));
  return segment;
}

async function recompute(deps: SegmentRecomputeDeps, keys: readonly string[], options: Options): Promise<number> {
  const { all, follow, pause, resume, cancel, json } = options;
  const acts = [pause, resume, cancel].filter((act) => act === true).length;
  const asks = all === true || keys.length > 0;
  if (acts + (asks ? 1 : 0) !== 1 || (all === true && keys.length > 0) || (acts > 0 && follow === true)) {
    throw new WeftError('BAD_REQUEST', 'it is not clear what to do', {
      hint: 'name segments, or give one of --all, --pause, --resume and --cancel',
    });
  }
  if (acts > 0) {
    return deps.withWork(async (work) => {
      const now = await (pause === true ? work.pause() : resume === true ? work.resume() : work.cancel());
      deps.stdout.write(json === true ? jsonText(toJson(now)) : describe(now));
      return EXIT_CODES.ok;
    });
  }
  return during(deps, follow, async (work) => {
    const { id } = await work.recompute(keys);
    if (follow === true) await followed(deps, work, async () => isOver(await work.demand(id)));
    const recomputation = await work.demand(id);
    if (json === true) deps.stdout.write(jsonText(recomputeJson(recomputation)));
    else deps.stdout.write(`${lineOf(recomputation)}\n`);
    return recomputation.status === 'cancelled' ? EXIT_CODES.failed : EXIT_CODES.ok;
  });
}

async function progress(deps: SegmentRecomputeDeps, { follow, json }: Options): Promise<number> {
  return during(deps, follow, async (work) => {
    if (follow === true) await followed(deps, work, async () => isSettled(await work.read()));
    const now = await work.read();
    deps.stdout.write(json === true ? jsonText(toJson(now)) : describe(now));
    return EXIT_CODES.ok;
  });
}

/** Who waits for it does it where nobody else does. */
function during(
  deps: SegmentRecomputeDeps,
  follow: true | undefined,
  use: (work: SegmentWorkService) => Promise<number>,
): Promise<number> {
  return follow === true ? deps.withWorker(use) : deps.withWork(use);
}

/** Shows how it goes until it is over: a bar on a terminal, else a line every five seconds. */
async function followed(
  { stderr, signal }: SegmentRecomputeDeps,
  work: SegmentWorkService,
  isDone: () => Promise<boolean>,
): Promise<void> {
  const isBar = stderr.isTTY === true;
  let silentMs = 0;
  let width = 0;
  while (!(await isDone())) {
    if (isBar || silentMs >= LINE_EVERY_MS) {
      const text = barOf(await work.read(), isBar);
      stderr.write(isBar ? `\r${text.padEnd(width)}` : `${text}\n`);
      width = text.length;
      silentMs = 0;
    }
    await sleep(POLL_MS, undefined, { signal });
    silentMs += POLL_MS;
  }
  if (isBar && width > 0) stderr.write(`\r${' '.repeat(width)}\r`);
}

function barOf({ recompute: running, profilesLeft, eventsLeft, pausedSince }: SegmentWork, isBar: boolean): string {
  const rests = pausedSince === null ? '' : ', paused';
  if (running === null || isOver(running)) {
    return `${String(eventsLeft)} events of history and ${String(profilesLeft)} profiles to go${rests}`;
  }
  const { done, left, perSecond } = running;
  const share = done + left === 0 ? 0 : done / (done + left);
  const filled = Math.round(share * BAR_WIDTH);
  const bar = isBar ? `${'█'.repeat(filled)}${'░'.repeat(BAR_WIDTH - filled)} ` : '';
  const toGo = perSecond === null || perSecond === 0 ? '' : `, ${durationOf((left / perSecond) * 1_000)} to go`;
  return `${bar}${String(Math.floor(share * 100))}%  ${String(done)} of ${String(done + left)} profiles${toGo}${rests}`;
}

function describe({ pausedSince, eventsLeft, profilesLeft, recompute: latest, nextRecompute }: SegmentWork): string {
  const isSettledNow = eventsLeft === 0 && profilesLeft === 0;
  const lines = [
    ...(pausedSince === null ? [] : [`Paused since ${formatInstant(pausedSince)}: weft segment recompute --resume`]),
    isSettledNow
      ? 'definitions  everybody is evaluated by the newest'
      : `definitions  ${String(eventsLeft)} events of history to be read, ${String(profilesLeft)} profiles to be evaluated`,
    `recompute    ${latest === null ? 'none was asked for yet' : lineOf(latest)}`,
    ...(nextRecompute === null ? [] : [`after it     ${lineOf(nextRecompute)}`]),
  ];
  return `${lines.join('\n')}\n`;
}

function lineOf({ status, done, left, changes, segments, finishedAt, perSecond }: Recompute): string {
  const what = segments.length === 0 ? 'all segments' : segments.join(', ');
  if (status === 'waiting') return `${what}: waiting for its turn`;
  const rate = perSecond === null ? '' : `, ${perSecond.toFixed(perSecond < 10 ? 1 : 0)} a second`;
  const counts = `${String(done)} profiles evaluated, ${String(changes)} changes${rate}`;
  if (finishedAt === null) return `${what}: ${counts}; ${String(left)} left`;
  return `${what}: ${status} ${formatInstant(finishedAt)}; ${counts}`;
}

function durationOf(ms: number): string {
  return durationText(Math.max(1, Math.ceil(ms / 1_000)) * 1_000);
}

function isOver({ status }: Recompute): boolean {
  return status === 'done' || status === 'cancelled';
}

function isSettled({ eventsLeft, profilesLeft, recompute: latest }: SegmentWork): boolean {
  return eventsLeft === 0 && profilesLeft === 0 && (latest === null || isOver(latest));
}

function toJson({ pausedSince, recompute: latest, nextRecompute, ...left }: SegmentWork): object {
  return {
    pausedSince: instantText(pausedSince),
    ...left,
    recompute: latest === null ? null : recomputeJson(latest),
    nextRecompute: nextRecompute === null ? null : recomputeJson(nextRecompute),
  };
}

function recomputeJson({ requestedAt, startedAt, finishedAt, ...rest }: Recompute): object {
  return {
    ...rest,
    requestedAt: instantText(requestedAt),
    startedAt: instantText(startedAt),
    finishedAt: instantText(finishedAt),
  };
}

function instantText(ms: number | null): string | null {
  return ms === null ? null : formatInstant(ms);
}
