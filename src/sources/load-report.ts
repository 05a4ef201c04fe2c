import { ENCODING_HINT } from './file-misfit.js';
import type { LoadFinding } from './load-expectation.model.js';
import { grouped } from './load-progress.js';
import type { DryRunResult, LoadResult, NewSourceNote } from './load.model.js';
import { formatInstant } from '../platform/instant.js';

const MAX_DROPPED_KINDS = 20;
const MAX_COLUMNS = 30;
const MAX_UNEXPECTED = 20;

const HEADLINES: Readonly<Record<LoadResult['outcome'], string>> = {
  loaded: 'Loaded',
  already_loaded: 'Already loaded, nothing to do (--again sends it all the same)',
  interrupted: 'Interrupted: what was accepted stays; run the same command again to go on from here',
  too_many_refused:
    'Stopped: too many rows are refused; mend the mapping or the file, or run again with a larger --max-errors',
};

/** A file of which nothing came in is not called loaded. */
function headlineOf({ outcome, events, refused }: LoadResult): string {
  const isNothing = outcome === 'loaded' && events === 0 && refused > 0;
  return isNothing ? 'Nothing was loaded: no row was taken' : HEADLINES[outcome];
}

const DRY_HEADLINES: Readonly<Record<DryRunResult['outcome'], string>> = {
  loaded: 'Dry run of the whole file: nothing was written',
  interrupted: 'Dry run, interrupted: nothing was written; the figures are of the rows up to here',
  not_as_expected:
    'Dry run: a load would stop before it sends anything, because the file is not as expected; nothing was written',
  too_many_refused: 'Dry run: a load would stop here, because too many rows are refused; nothing was written',
};

/** Behind the key of a source; '' where it was there before. */
export function newSourceText(note: NewSourceNote | null): string {
  if (note === null) return '';
  return note.near === null ? ' (new)' : ` (new; did you mean ${note.near}?)`;
}

/** The result of a load as lines for people. */
export function describeResult(result: LoadResult): string {
  const { outcome, source, accepted, duplicates, refused } = result;
  const isNew = outcome !== 'already_loaded';
  const counted = result.resumed ? 'duplicates, or sent before the stop' : 'duplicates';
  const events = isNew ? `: ${grouped(accepted)} accepted, ${grouped(duplicates)} ${counted}` : ', all in the log';
  return linesOf([
    `${headlineOf(result)}.`,
    line('source', `${source}${result.resumed ? ' (went on from an earlier run)' : newSourceText(result.newSource)}`),
    ...(isNew || result.loadedAt === null ? [] : [line('loaded', formatInstant(result.loadedAt))]),
    rowsLine(result),
    line('events', `${grouped(result.events)}${events}`),
    refusedLine(result),
    ...settledLines(result.lettersSettled),
    ...unexpectedLines(result),
    ...droppedLines(result),
    ...shiftLines(result),
    tookLine(result, isNew),
    line('load', result.loadId),
    ...(refused === 0 ? [] : [line('see', `weft dead-letters list --load ${result.loadId}`)]),
    ...encodingLines(result),
  ]);
}

/** The first events as JSON, then what a load would report. */
export function describeDryRun(result: DryRunResult): string {
  const events = result.firstEvents.map((event) => JSON.stringify(event, null, 2)).join('\n');
  const { firstTimeMs, lastTimeMs } = result;
  const times =
    firstTimeMs === null || lastTimeMs === null ? 'none' : [firstTimeMs, lastTimeMs].map(formatInstant).join(' to ');
  const report = linesOf([
    `${DRY_HEADLINES[result.outcome]}.`,
    line('source', `${result.source}${newSourceText(result.newSource)}`),
    ...(result.alreadyLoaded ? [line('loaded', 'already, with this mapping: a load would send nothing')] : []),
    ...columnLines(result),
    rowsLine(result),
    line('events', `${grouped(result.events)}, ${grouped(result.duplicates)} of them duplicates`),
    ...peopleLines(result),
    refusedLine(result),
    ...result.firstRefusals.map(({ rowNumber, reason }) => line('', `row ${String(rowNumber)}: ${reason}`)),
    ...unexpectedLines(result),
    ...droppedLines(result),
    ...shiftLines(result),
    line('times', times),
    tookLine(result, true),
    ...encodingLines(result),
  ]);
  return events === '' ? report : `${events}\n${report}`;
}

function columnLines({ columns }: DryRunResult): string[] {
  const texts = columns.slice(0, MAX_COLUMNS).map(({ name, type, emptyShare }) => {
    const empty = emptyShare === 0 ? '' : ` (${String(Math.max(1, Math.round(emptyShare * 100)))} % empty)`;
    return `${name} ${type}${empty}`;
  });
  const more = columns.length > texts.length ? `, and ${grouped(columns.length - texts.length)} more` : '';
  return texts.length === 0 ? [] : [line('columns', `${texts.join(', ')}${more}; from a sample`)];
}

function peopleLines({ people }: DryRunResult): string[] {
  if (people === null) return [];
  const { created, updated, mergedAway, isSample, events } = people;
  const of = isSample ? `; of the first ${grouped(events)} new events` : '';
  return [
    line(
      'people',
      `${grouped(created)} new, ${grouped(updated)} known, ${grouped(mergedAway)} merged into others${of}`,
    ),
  ];
}

/** What is not met, as one line. */
export function findingText({ name, kind, value, bound, events, rows }: LoadFinding): string {
  const [is, expected] = [value, bound].map((each) => String(Number(each.toPrecision(6)))) as [string, string];
  const said: Readonly<Record<LoadFinding['kind'], string>> = {
    min: `${is}, at least ${expected} is expected`,
    max: `${is}, at most ${expected} is expected`,
    null_share: `a share of ${is} without a value, at most ${expected} is expected`,
    distinct_min: `${is} different values, at least ${expected} are expected`,
    one_of: 'other values than those that are expected',
  };
  const more = events !== null && events > rows.length ? ', …' : '';
  const where = events === null ? '' : ` (${grouped(events)} events; rows ${rows.map(String).join(', ')}${more})`;
  return `${name}: ${said[kind]}${where}`;
}

/** What is not met, some of it, as lines of a report. */
export function unexpectedLines({ unexpected }: Pick<Report, 'unexpected'>): string[] {
  const shown = unexpected.slice(0, MAX_UNEXPECTED);
  const more = unexpected.length - shown.length;
  return [
    ...shown.map((finding, i) => line(i === 0 ? 'unexpected' : '', findingText(finding))),
    ...(more === 0 ? [] : [line('', `and ${grouped(more)} more`)]),
  ];
}

type Report = LoadResult | DryRunResult;

function rowsLine({ rows, skipped }: Report): string {
  return line('rows', `${grouped(rows)}${skipped > 0 ? `, ${grouped(skipped)} left out by "when" or "dedupe"` : ''}`);
}

function refusedLine({ refused, refusedByCode }: Report): string {
  const codes = Object.entries(refusedByCode).map(([code, count]) => `${grouped(count)} ${code}`);
  return line('refused', `${grouped(refused)}${codes.length === 0 ? '' : ` (${codes.join(', ')})`}`);
}

/** Empty where there are none. */
export function settledLines(count: number): string[] {
  return count === 0 ? [] : [line('mended', `${grouped(count)} refused before, and open no more`)];
}

function droppedLines({ identifiersDropped }: Report): string[] {
  const kinds = Object.entries(identifiersDropped).sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1));
  if (kinds.length === 0) return [];
  const texts = kinds.slice(0, MAX_DROPPED_KINDS).map(([kind, count]) => {
    const [namespace = '', reason = ''] = kind.split('.');
    return `${grouped(count)} ${namespace} ${reason.replaceAll('_', ' ')}`;
  });
  const more = kinds.length > texts.length ? ', …' : '';
  return [line('left out', `${texts.join(', ')}${more}; their events were taken by other identifiers`)];
}

function shiftLines(result: Report): string[] {
  const isKept = 'shiftKept' in result && result.shiftKept;
  if (result.timeShiftMs === 0 && !isKept) return [];
  const kept = isKept ? ' (as when this load began; the one given now is not used)' : '';
  return [line('time shift', `${(result.timeShiftMs / 86_400_000).toFixed(3)} days${kept}`)];
}

function tookLine({ seconds, bytes, rowsPerSecond }: Report, withRate: boolean): string {
  const rate = withRate ? `, ${grouped(rowsPerSecond)} rows/s` : '';
  return line('took', `${seconds.toFixed(1)} s for ${(bytes / 1_000_000).toFixed(1)} MB${rate}`);
}

function encodingLines({ refusedByCode }: Report): string[] {
  return 'ROW_BAD_UTF8' in refusedByCode ? [line('hint', ENCODING_HINT)] : [];
}

function line(name: string, text: string): string {
  return `  ${name.padEnd(11)} ${text}`;
}

function linesOf(lines: readonly string[]): string {
  return `${lines.join('\n')}\n`;
}
