import { hash } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { WeftError } from '../platform/errors.js';
import { refuseExisting, type ForceOption } from '../platform/existing-output.js';
import { grouped } from './export-progress.js';
import { exportLabels, type LabelsCommandDeps } from './export-labels.command.js';
import { manifestPathOf } from './hashed-file.js';
import { hasKeptRows, KEPT_ROWS_MAX_AGE_MS } from './kept-rows.js';
import { labelsMadeFor } from './label-file.js';
import { labelRequest, type LabelOptions } from './label-options.js';
import type { QueryLabels } from './label-query.model.js';
import type { TrainingSetOrder, TrainingSets } from './make-training-set.js';
import type { KnownAsOf } from './training-set.model.js';

export interface LabelsOfExportDeps extends LabelsCommandDeps {
  /** Starts what an export needs, for as long as `use` runs. */
  withTrainingSets<T>(use: (sets: TrainingSets) => Promise<T>): Promise<T>;
  readonly queryLabels: QueryLabels;
}

/** Where the labels of a set come from; one of the three. */
export interface LabelsOfExportOptions extends LabelOptions, ForceOption {
  readonly labels?: string;
  readonly labelEvent?: readonly string[];
  readonly labelQuery?: string;
  readonly out: string;
  readonly knownAsOf: KnownAsOf;
  readonly restart?: true;
  readonly quiet?: true;
}

/**
 * The labels that are given, or those that are made or asked for and kept beside the set, as `<out>.labels.csv`.
 * @throws WeftError BAD_REQUEST where none are named; see `exportLabels`, `QueryLabels`
 */
export async function labelsOfExport(
  deps: LabelsOfExportDeps,
  options: LabelsOfExportOptions,
): Promise<Pick<TrainingSetOrder, 'labels' | 'labelQuery'>> {
  const { labels, labelEvent, labelQuery, out } = options;
  if (labels !== undefined) return { labels };
  // With the ending: two sets that differ in it alone have labels of their own.
  const path = `${out}.labels.csv`;
  if (labelQuery !== undefined) return askedLabels(deps, options, { definition: labelQuery, path });
  if (labelEvent !== undefined) return { labels: await madeLabels(deps, options, { events: labelEvent, path }) };
  throw new WeftError('BAD_REQUEST', 'nothing says who and as of when', {
    where: 'labels',
    hint: 'give --labels a file with the columns ns, value, time and label, --label-query a query, or --label-event the event to come',
  });
}

async function madeLabels(
  deps: LabelsOfExportDeps,
  options: LabelsOfExportOptions,
  { events, path }: { readonly events: readonly string[]; readonly path: string },
): Promise<string> {
  const { knownAsOf, out, quiet, restart } = options;
  const request = { ...labelRequest(events, options), ...(typeof knownAsOf === 'number' ? { knownAsOf } : {}) };
  // Whoever was erased since is in no labels that are used again.
  const erasures = await deps.withTrainingSets((sets) => sets.erasureMark());
  const askedHash = hash('sha256', JSON.stringify([request, erasures]), 'hex');
  // Those that a run which was killed has made may go. Of a set that was finished once, they are what it can be made again
  // of.
  const made = (await isThere(manifestPathOf(out))) ? null : await labelsMadeFor(out, path);
  if (made === null) await refuseExisting(options, path);
  // Rows that are kept are of the labels that there were: with what has happened since they would be others.
  const keptSinceMs = deps.clock.now() - KEPT_ROWS_MAX_AGE_MS;
  const isSame = made?.askedHash === askedHash && Date.parse(made.createdAt ?? '') >= keptSinceMs;
  if (isSame && restart !== true && (await hasKeptRows(out))) {
    deps.stderr.write(
      `note: ${basename(path)} has labels as made at ${made.createdAt ?? ''}; --restart makes them anew\n`,
    );
    return path;
  }
  const { rows, positiveRows } = await exportLabels(deps, path, request, {
    isTold: quiet !== true,
    madeFor: { madeFor: basename(out), askedHash },
  });
  deps.stderr.write(`note: ${basename(path)} has ${grouped(rows)} labels, ${grouped(positiveRows)} of them 1\n`);
  return path;
}

async function askedLabels(
  { queryLabels, clock, signal, stderr }: LabelsOfExportDeps,
  { out, restart, force }: LabelsOfExportOptions,
  { definition, path }: { readonly definition: string; readonly path: string },
): Promise<Pick<TrainingSetOrder, 'labels' | 'labelQuery'>> {
  // Rows that a run which was killed has kept are of the labels that it had: a database may have others by now.
  const mayGoOn = restart !== true && (await hasKeptRows(out));
  const keptSinceMs = mayGoOn ? clock.now() - KEPT_ROWS_MAX_AGE_MS : null;
  // Of a set that was finished once, they are what it can be made again of.
  const isFinished = await isThere(manifestPathOf(out));
  const { manifest, isKept } = await queryLabels({ definition, out: path, keptSinceMs, isFinished, force, signal });
  const { rows, query } = manifest;
  const since = isKept ? `, as answered at ${query.answeredAt}; --restart asks again` : '';
  stderr.write(`note: ${basename(path)} has ${grouped(rows)} labels of ${query.place}${since}\n`);
  return { labels: path, labelQuery: query };
}

async function isThere(path: string): Promise<boolean> {
  return (await stat(path).catch(() => null)) !== null;
}
