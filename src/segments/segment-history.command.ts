import { Command } from 'commander';
import { EXIT_CODES, jsonText, runCommand, textTable } from '../platform/command-line.js';
import { WeftError } from '../platform/errors.js';
import { formatInstant } from '../platform/instant.js';
import {
  KEPT_PERIODS,
  lastPeriods,
  startOf,
  STEP_MS,
  type SegmentStep,
  type StoredSegmentAlert,
} from './segment-history.model.js';
import { missingSegment, type SegmentCommandDeps } from './segment-command-services.js';

interface Options {
  readonly by: string;
  readonly last: string;
  readonly json?: true;
}

const DEFAULT_LAST = '14';

/** `weft segment history`. */
export function segmentHistoryCommand(deps: SegmentCommandDeps): Command {
  return new Command('history')
    .description('how large a segment was, and how many entered and left, the present hour or day last')
    .argument('<key>', 'key of the segment')
    .option('--by <step>', 'hour or day, UTC', 'day')
    .option('--last <count>', 'how many hours or days', DEFAULT_LAST)
    .option('--json', 'as JSON')
    .action((key: string, options: Options) => runCommand(deps, () => history(deps, key, options)));
}

async function history(deps: SegmentCommandDeps, key: string, options: Options): Promise<number> {
  const step = stepOf(options.by);
  const last = countOf(options.last, KEPT_PERIODS[step]);
  return deps.withSegments(async ({ reader, histories }) => {
    const { id } = (await reader.byKey(key)) ?? (await missingSegment(reader, key));
    const nowMs = deps.clock.now();
    const known = await histories.periods(id, step, startOf(step, nowMs) - last * STEP_MS[step]);
    const periods = lastPeriods(known, step, nowMs, last);
    const alerts = (await histories.alerts([id], 50)).filter(({ endedAt }) => endedAt === null);
    if (options.json === true) {
      const json = periods.map(({ stayed: _, ...period }) => ({ ...period, start: formatInstant(period.start) }));
      deps.stdout.write(jsonText(json));
      return EXIT_CODES.ok;
    }
    const rows = periods.map(({ start, size, entered, left, edited, similarity }) => [
      step === 'day' ? formatInstant(start).slice(0, 10) : formatInstant(start),
      size === null ? '-' : String(size),
      String(entered),
      String(left),
      String(edited),
      similarity === null ? '-' : similarity.toFixed(3),
    ]);
    deps.stdout.write(textTable([[step, 'members', 'entered', 'left', 'by edits', 'similarity'], ...rows]));
    for (const alert of alerts) deps.stderr.write(`${alertText(alert)}\n`);
    return EXIT_CODES.ok;
  });
}

function alertText({ kind, since, expected, seen }: StoredSegmentAlert): string {
  if (kind === 'refresh_unstable') {
    const kept = `${String(seen)} of ${String(expected)} who were in it before or after were in it both times`;
    return `Refreshed at ${formatInstant(since)}, with most members others: ${kept}. See weft segment stability.`;
  }
  const much = kind === 'changes_low' ? 'Few' : 'Many';
  return `${much} changes since ${formatInstant(since)}: ${String(seen)}, where ${String(expected)} are usual.`;
}

/** @throws WeftError BAD_REQUEST */
function stepOf(text: string): SegmentStep {
  if (text === 'hour' || text === 'day') return text;
  throw new WeftError('BAD_REQUEST', `"${text}" is no step of time`, { where: '--by', hint: 'write hour or day' });
}

/** @throws WeftError BAD_REQUEST */
function countOf(text: string, most: number): number {
  const count = /^\d{1,6}$/.test(text) ? Number(text) : NaN;
  if (count >= 1 && count <= most) return count;
  throw new WeftError('BAD_REQUEST', `"${text}" is no number of them`, {
    where: '--last',
    hint: `give 1 to ${String(most)}`,
  });
}
