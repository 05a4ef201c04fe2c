import type { Command } from 'commander';
import type { Clock } from '../platform/clock.js';
import { EXIT_CODES, jsonText, runCommand, textTable, type CommandIo } from '../platform/command-line.js';
import { WeftError } from '../platform/errors.js';
import { formatInstant } from '../platform/instant.js';
import type { Database } from '../platform/postgres.js';
import { jaccardError, relationOf, type OverlapRun, type SegmentPair } from './overlap.model.js';
import { OverlapReader } from './overlap.reader.js';
import { OverlapStore } from './overlap.store.js';
import { MAX_MEASURED_MEMBERSHIPS } from './overlap-watch.js';
import { missingSegment } from './segment-command-services.js';
import { SegmentReader } from './segment.reader.js';

export interface SegmentOverlapsDeps extends CommandIo {
  readonly clock: Clock;
  withDatabase<T>(use: (db: Database) => Promise<T>): Promise<T>;
}

interface Options {
  readonly min: string;
  readonly segment?: string;
  readonly limit: string;
  readonly now?: true;
  readonly json?: true;
}

const MAX_SHOWN = 10_000;

const HELP = `
The Jaccard index of two segments: of all who are in either, the share of those who are in both. From 0.9 on they are
near duplicates; a subset has 98 % or more of its members in the other one, which is the larger. It is measured every hour
by whatever process applies events, and soon after something was activated; --now measures before it shows.

Examples:
  weft segment overlaps
  weft segment overlaps --min 0.9 --json
  weft segment overlaps --segment cart_abandoned --min 0

Exit codes: 0 done, 1 failed (no such segment, nothing measured yet), 2 wrong use.`;

/** `weft segment overlaps`. */
export function addOverlapsCommand(segment: Command, deps: SegmentOverlapsDeps): void {
  segment
    .command('overlaps')
    .description('which live segments have members in common, those most alike first')
    .option('--min <jaccard>', 'how alike they are at least, from 0 to 1', '0.5')
    .option('--segment <key>', 'only pairs of this one')
    .option('--limit <count>', `how many pairs at most, 1 to ${String(MAX_SHOWN)}`, '100')
    .option('--now', 'measure first')
    .option('--json', 'as JSON')
    .addHelpText('after', HELP)
    .action((options: Options) => runCommand(deps, () => overlaps(deps, options)));
}

async function overlaps(deps: SegmentOverlapsDeps, options: Options): Promise<number> {
  const minJaccard = numberOf('--min', options.min, /^(0|1|0?\.\d{1,9}|1\.0{1,9})$/, 'give 0 to 1, as 0.5');
  const limit = numberOf('--limit', options.limit, /^([1-9]\d{0,3}|10000)$/, `give 1 to ${String(MAX_SHOWN)}`);
  return deps.withDatabase(async (db) => {
    const segments = new SegmentReader(db);
    const { segment: key } = options;
    const one = key === undefined ? null : ((await segments.byKey(key)) ?? (await missingSegment(segments, key)));
    if (options.now === true) {
      await new OverlapStore(db).measure({ nowMs: deps.clock.now(), maxMemberships: MAX_MEASURED_MEMBERSHIPS });
    }
    const reader = new OverlapReader(db);
    const run = await reader.run();
    if (run === null) {
      throw new WeftError('CONFLICT', 'what segments have in common was not measured yet', {
        hint: 'a process that applies events does so within minutes; --now measures at once',
      });
    }
    const pairs = await reader.page({ minJaccard, segmentId: one?.id ?? null, after: null, limit: limit + 1 });
    const shown = pairs.slice(0, limit);
    const keys = new Map(
      (await segments.byIds([...new Set(shown.flatMap((pair) => [pair.segmentId, pair.otherId]))])).map((each) => [
        each.id,
        each.key,
      ]),
    );
    const rows = shown.map((pair) => rowOf(pair, run, keys));
    if (options.json === true) {
      const { measuredAt, share, leftOut } = run;
      deps.stdout.write(jsonText({ measuredAt: formatInstant(measuredAt), share, leftOut, overlaps: rows }));
    } else {
      deps.stdout.write(textOf(rows, run, minJaccard));
      if (pairs.length > limit) deps.stderr.write(`There are more than ${String(limit)}: raise --min or --limit.\n`);
    }
    return EXIT_CODES.ok;
  });
}

type Row = ReturnType<typeof rowOf>;

function rowOf(pair: SegmentPair, { share }: OverlapRun, keys: ReadonlyMap<number, string>) {
  const { segmentId, otherId, ...counts } = pair;
  return {
    segment: keys.get(segmentId) ?? '',
    other: keys.get(otherId) ?? '',
    ...counts,
    error: jaccardError(counts, share),
    relation: relationOf(counts),
  };
}

function textOf(rows: readonly Row[], { measuredAt, share, leftOut }: OverlapRun, minJaccard: number): string {
  const ofWhom = share < 1 ? `, of ${(100 * share).toFixed(1)} % of all people` : '';
  const lines =
    rows.length === 0
      ? `No two live segments are so alike: none from ${String(minJaccard)} on.\n`
      : textTable([
          ['segment', 'members', 'other', 'members', 'in both', 'jaccard', 'relation'],
          ...rows.map(({ segment, size, other, otherSize, common, jaccard, error, relation }) => [
            ...[segment, String(size), other, String(otherSize), String(common)],
            error === 0 ? jaccard.toFixed(3) : `${jaccard.toFixed(3)} ± ${error.toFixed(3)}`,
            WORDS[relation],
          ]),
        ]);
  const more = leftOut === 0 ? '' : ` ${String(leftOut)} pairs with less in common are not kept.`;
  return `${lines}Measured at ${formatInstant(measuredAt)}${ofWhom}.${more}\n`;
}

const WORDS = { near_duplicate: 'near duplicate', subset: 'subset', overlap: 'overlap' } as const;

/** @throws WeftError BAD_REQUEST */
function numberOf(where: string, text: string, pattern: RegExp, hint: string): number {
  if (pattern.test(text)) return Number(text);
  throw new WeftError('BAD_REQUEST', `"${text.slice(0, 50)}" cannot be used`, { where, hint });
}
