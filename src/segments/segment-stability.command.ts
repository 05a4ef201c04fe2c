import { Command } from 'commander';
import { EXIT_CODES, jsonText, runCommand, textTable } from '../platform/command-line.js';
import { WeftError } from '../platform/errors.js';
import { formatInstant } from '../platform/instant.js';
import {
  changedShare,
  KEPT_REFRESHES,
  refreshJaccard,
  type RefreshedModel,
  type SegmentRefresh,
} from './refresh.model.js';
import { missingSegment, type SegmentCommandDeps } from './segment-command-services.js';

interface Options {
  readonly last: string;
  readonly json?: true;
}

const HELP = `
A refresh is a change of what decides: an edit of its definition or of what that reads, another version of a model that it
asks, or a recomputation. The Jaccard index is the share of those who are in the segment with and without the refresh, of
all who are in it either way. The adjusted Rand index is that of all segments of the same model's clusters together: near 1
the groups are the same, even where they got other numbers.`;

/** `weft segment stability`. */
export function segmentStabilityCommand(deps: SegmentCommandDeps): Command {
  return new Command('stability')
    .description('how many of its members a segment kept when what decides changed, the newest refresh first')
    .argument('<key>', 'key of the segment')
    .option('--last <count>', 'how many refreshes', '10')
    .option('--json', 'as JSON')
    .addHelpText('after', HELP)
    .action((key: string, options: Options) => runCommand(deps, () => stability(deps, key, options)));
}

async function stability(deps: SegmentCommandDeps, key: string, options: Options): Promise<number> {
  const last = countOf(options.last);
  return deps.withSegments(async ({ reader, refreshes }) => {
    const { id } = (await reader.byKey(key)) ?? (await missingSegment(reader, key));
    const found = await refreshes.page(id, Number.MAX_SAFE_INTEGER, last);
    deps.stdout.write(options.json === true ? jsonText(found.map(jsonOf)) : textOf(key, found));
    return EXIT_CODES.ok;
  });
}

function jsonOf({ id: _, segmentId: __, measuredAt, ...refresh }: SegmentRefresh) {
  const measures = { changedShare: changedShare(refresh), jaccard: refreshJaccard(refresh) };
  return { measuredAt: formatInstant(measuredAt), ...refresh, ...measures };
}

function textOf(key: string, refreshes: readonly SegmentRefresh[]): string {
  if (refreshes.length === 0) return `Segment ${key} was not refreshed since this is measured.\n`;
  const rows = refreshes.map((refresh) => [
    formatInstant(refresh.measuredAt),
    whatChanged(refresh),
    ...[refresh.before, refresh.entered, refresh.left].map(String),
    ...[changedShare(refresh), refreshJaccard(refresh), refresh.adjustedRand].map(numberText),
  ]);
  const head = ['measured', 'what changed', 'before', 'entered', 'left', 'changed', 'jaccard', 'rand'];
  const least = Math.min(...refreshes.map(({ share }) => share));
  const note = least < 1 ? 'Where there were many changes, those of a part of all people were counted.\n' : '';
  return `${textTable([head, ...rows])}${note}`;
}

function whatChanged({ kind, versionBefore, version, models }: SegmentRefresh): string {
  if (kind === 'recompute') return 'recomputed';
  const edited = versionBefore === version ? [] : [`version ${String(versionBefore)} -> ${String(version)}`];
  const said = [...edited, ...models.map(modelText)].join('; ');
  if (said !== '') return said;
  return kind === 'edit' ? 'what it reads' : 'models of segments that it names';
}

function modelText({ key, before, after }: RefreshedModel): string {
  return `${key} ${before ?? '-'} -> ${after ?? '-'}`;
}

function numberText(value: number | null): string {
  return value === null ? '-' : value.toFixed(3);
}

/** @throws WeftError BAD_REQUEST */
function countOf(text: string): number {
  const count = /^\d{1,6}$/.test(text) ? Number(text) : NaN;
  if (count >= 1 && count <= KEPT_REFRESHES) return count;
  throw new WeftError('BAD_REQUEST', `"${text.slice(0, 50)}" is no number of them`, {
    where: '--last',
    hint: `give 1 to ${String(KEPT_REFRESHES)}`,
  });
}
