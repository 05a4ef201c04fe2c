import { EXIT_CODES, jsonText } from '../platform/command-line.js';
import { grouped } from './load-progress.js';
import type { DryRunResult, LoadResult } from './load.model.js';

/** Beside the {@link EXIT_CODES} of all commands: done, and some rows were refused. */
const SOME_REFUSED = 3;

export interface FileOutcome {
  readonly file: string;
  readonly result: LoadResult | DryRunResult;
}

export function exitCodeOf({ outcome, refused }: Pick<LoadResult | DryRunResult, 'outcome' | 'refused'>): number {
  if (outcome === 'interrupted') return EXIT_CODES.interrupted;
  if (outcome === 'not_as_expected') return EXIT_CODES.usage;
  if (outcome === 'too_many_refused') return EXIT_CODES.failed;
  return refused > 0 ? SOME_REFUSED : EXIT_CODES.ok;
}

/** That of the file that ended worst. */
export function exitCodeOfAll(outcomes: readonly FileOutcome[]): number {
  const codes = outcomes.map(({ result }) => exitCodeOf(result));
  return (
    [EXIT_CODES.interrupted, EXIT_CODES.usage, EXIT_CODES.failed, SOME_REFUSED].find((code) => codes.includes(code)) ??
    EXIT_CODES.ok
  );
}

/** Whether the files after this one are to be loaded too. */
export function mayGoOn({ outcome }: Pick<LoadResult | DryRunResult, 'outcome'>): boolean {
  return outcome === 'loaded' || outcome === 'already_loaded';
}

/** Sums over files. @param left files that were not come to */
export function totalOf(outcomes: readonly FileOutcome[], left: number) {
  const sum = (of: (result: LoadResult | DryRunResult) => number): number =>
    outcomes.reduce((total, { result }) => total + of(result), 0);
  return {
    files: outcomes.length,
    filesLeft: left,
    rows: sum(({ rows }) => rows),
    skipped: sum(({ skipped }) => skipped),
    events: sum(({ events }) => events),
    accepted: sum((result) => ('accepted' in result ? result.accepted : 0)),
    duplicates: sum((result) => ('duplicates' in result ? result.duplicates : 0)),
    refused: sum(({ refused }) => refused),
    seconds: sum(({ seconds }) => seconds),
  };
}

export function totalJson(outcomes: readonly FileOutcome[], left: number): string {
  const files = outcomes.map(({ file, result }) => ({ file, ...result }));
  return jsonText({ files, total: totalOf(outcomes, left) });
}

/** The last lines of a report on several files. */
export function describeTotal(outcomes: readonly FileOutcome[], left: number): string {
  const { files, rows, events, accepted, duplicates, refused, seconds } = totalOf(outcomes, left);
  const isDry = outcomes.some(({ result }) => !('accepted' in result));
  const counted = isDry ? '' : `: ${grouped(accepted)} accepted, ${grouped(duplicates)} duplicates`;
  const notReached = left === 0 ? '' : `, ${grouped(left)} not come to; run the same command again to go on`;
  return [
    `All files: ${grouped(files)}${notReached}.`,
    `  rows        ${grouped(rows)}`,
    `  events      ${grouped(events)}${counted}`,
    `  refused     ${grouped(refused)}`,
    `  took        ${seconds.toFixed(1)} s`,
    '',
  ].join('\n');
}
