import { Command, InvalidArgumentError } from 'commander';
import { EXIT_CODES, jsonText, runCommand, textTable, type CommandIo } from '../platform/command-line.js';
import { WeftError } from '../platform/errors.js';
import { isInstant, parseInstant } from '../platform/instant.js';
import { demandRange } from './materialization.model.js';
import type { MaterializationProgress, MaterializationService } from './materialization.service.js';

export interface MaterializeCommandDeps extends CommandIo {
  /** Starts what the command needs, a worker too unless another process has one, for as long as `use` runs. */
  withMaterialization<T>(use: (service: Pick<MaterializationService, 'materialize'>) => Promise<T>): Promise<T>;
  /** Aborted by Ctrl-C. */
  readonly signal: AbortSignal;
  readonly stderr: CommandIo['stderr'] & { readonly isTTY?: boolean };
}

interface Options {
  readonly from?: number;
  readonly to?: number;
  readonly incremental?: true;
  readonly timeout: number;
  readonly json?: true;
}

const DEFAULT_TIMEOUT_S = 600;
const MAX_TIMEOUT_S = 86_400;

const HELP = `
Views are kept up to date as events and records come in, so nothing is copied: the command waits until everything that
was accepted before it counts in the views, history of new features included, and says so. A script written for Feast's
materialize may go on as it is; the range is checked and means nothing more.

Examples:
  weft materialize
  weft materialize customer --incremental
  weft materialize customer web_activity --from 2026-01-01 --to 2026-02-01 --json

Exit codes: 0 up to date, 1 failed or out of time, 2 wrong use, 130 interrupted.`;

/** `weft materialize`. */
export function materializeCommand(deps: MaterializeCommandDeps): Command {
  return new Command('materialize')
    .description('wait until all that was accepted counts in feature views')
    .argument('[views...]', 'names of views; all of them if left out')
    .option('--from <time>', 'ISO 8601', parseTime)
    .option('--to <time>', 'ISO 8601', parseTime)
    .option('--incremental', 'since the last time')
    .option('--timeout <seconds>', 'how long to wait at most', parseTimeout, DEFAULT_TIMEOUT_S)
    .option('--json', 'as JSON')
    .addHelpText('after', HELP)
    .action((views: string[], options: Options) => runCommand(deps, () => run(deps, views, options), deps.signal));
}

async function run(deps: MaterializeCommandDeps, names: readonly string[], options: Options): Promise<number> {
  const { from, to, incremental, timeout, json } = options;
  if (incremental === true && from !== undefined) {
    throw new WeftError('BAD_REQUEST', '--from and --incremental contradict each other', { hint: 'give one of them' });
  }
  demandRange(from ?? null, to ?? null, '--to');
  const { views, events, waitedMs } = await deps.withMaterialization((service) =>
    service.materialize(names, {
      timeoutMs: timeout * 1_000,
      signal: deps.signal,
      onProgress: (progress) => {
        if (deps.stderr.isTTY === true) deps.stderr.write(`\r${progressText(progress)}`);
      },
    }),
  );
  if (json === true) {
    deps.stdout.write(jsonText({ views, events, waitedMs }));
    return EXIT_CODES.ok;
  }
  const rows = views.map(({ view, kind, features }) => [view, kind, String(features), 'up to date']);
  deps.stdout.write(textTable([['view', 'kind', 'features', 'status'], ...rows]));
  deps.stdout.write(`All ${String(events)} events accepted so far count; waited ${(waitedMs / 1_000).toFixed(1)} s.\n`);
  return EXIT_CODES.ok;
}

function progressText({ waitingEvents, waitingViews }: MaterializationProgress): string {
  return `${String(waitingEvents)} events and the history of ${String(waitingViews.length)} views to go   `;
}

function parseTime(text: string): number {
  const ms = parseInstant(text, { date: 'utc', time: 'utc' });
  if (isInstant(ms)) return ms;
  throw new InvalidArgumentError('Write ISO 8601, as in 2026-01-31 or 2026-01-31T12:00:00Z.');
}

function parseTimeout(text: string): number {
  const seconds = Number(text);
  if (Number.isInteger(seconds) && seconds >= 1 && seconds <= MAX_TIMEOUT_S) return seconds;
  throw new InvalidArgumentError(`Give whole seconds, from 1 to ${String(MAX_TIMEOUT_S)}.`);
}
