import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { durationText } from '../platform/duration.js';
import { WeftError } from '../platform/errors.js';
import { manifestPathOf, sha256Of, writeWithManifest } from './hashed-file.js';
import type { LabelPlan, LabelSet } from './label.service.js';
import { csvRows } from './training-set-csv.js';
import type { TrainingColumn } from './training-set.model.js';

/** What labels are, and what they rest on. */
interface LabelSpecification {
  readonly knownAsOf: string;
  /** The last event that was known: later, nothing is known of what happened. */
  readonly observedUntil: string;
  readonly logPosition: number;
  /** The segment that was asked for; null: events were. */
  readonly segment: { readonly key: string; readonly version: number } | null;
  /** Of a segment none, and null as `where` and `within`. */
  readonly events: readonly string[];
  readonly where: string | null;
  readonly within: string | null;
  readonly samples: number;
  readonly seed: number;
  readonly from: string;
  readonly to: string;
}

/** What is kept beside labels, so that they can be made again. */
export interface LabelManifest extends LabelSpecification {
  readonly format: 1;
  /** Name of the file, without its folder. */
  readonly file: string;
  readonly sha256: string;
  readonly bytes: number;
  readonly rows: number;
  readonly positiveRows: number;
  /** Instants left out: before somebody's first event, and those whose time was not over. */
  readonly beforeFirstEvent: number;
  readonly unfinished: number;
  readonly damagedEvents: number;
  readonly createdAt: string;
  /** Name of the training set that they were made for alone; left out: of none. */
  readonly madeFor?: string;
  /** Of what was asked for that set, and of the erasures until then, hex SHA-256; left out: of none. */
  readonly askedHash?: string;
}

/** A training set that labels are made for alone. */
export type MadeFor = Required<Pick<LabelManifest, 'madeFor' | 'askedHash'>>;

interface LabelFileOptions {
  readonly nowMs: number;
  /** The file is then for the user alone to read, as the rows of a set that are kept. */
  readonly madeFor?: MadeFor | undefined;
}

const MODE_BESIDE_A_SET = 0o600;

const COLUMNS: readonly TrainingColumn[] = [
  { name: 'ns', type: 'string' },
  { name: 'value', type: 'string' },
  { name: 'time', type: 'timestamp' },
  { name: 'label', type: 'string' },
];

/** @throws WeftError BAD_REQUEST for another ending than `.csv` */
export function checkLabelPath(path: string): void {
  if (path.endsWith('.csv')) return;
  throw new WeftError('BAD_REQUEST', 'labels are CSV', { where: 'out', hint: 'end the name of the file with .csv' });
}

/**
 * Writes labels as training sets take them, and a manifest beside. Both appear once both are whole, and neither on a
 * failure.
 * @throws WeftError BAD_REQUEST if the file cannot be written
 */
export async function writeLabels(
  path: string,
  set: LabelSet,
  { nowMs, madeFor }: LabelFileOptions,
): Promise<LabelManifest> {
  const fill: Parameters<typeof writeWithManifest<LabelManifest>>[1] = async (file) => {
    const encoder = csvRows(COLUMNS);
    for await (const { ns, value, timeMs, cells } of set.rows) {
      const bytes = encoder.add([ns, value, timeMs, cells[0] ?? '']);
      if (bytes !== null) await file.write(bytes);
    }
    await file.write(encoder.end());
    const { plan, counts, damaged } = set;
    return (written) => ({
      format: 1,
      file: basename(path),
      ...written,
      rows: counts.rows,
      positiveRows: counts.positive,
      beforeFirstEvent: counts.beforeFirstEvent,
      unfinished: counts.unfinished,
      damagedEvents: damaged.count,
      createdAt: new Date(nowMs).toISOString(),
      ...madeFor,
      ...toldOf(plan),
    });
  };
  return writeWithManifest(path, fill, madeFor === undefined ? undefined : MODE_BESIDE_A_SET);
}

/** What is told of labels that were made for this set alone, and that nobody has changed since; null: they are others. */
export async function labelsMadeFor(set: string, path: string): Promise<Partial<LabelManifest> | null> {
  const text = await readFile(manifestPathOf(path), 'utf8').catch(() => null);
  if (text === null) return null;
  try {
    const manifest = JSON.parse(text) as Partial<LabelManifest> | null;
    return manifest?.madeFor === basename(set) && manifest.sha256 === (await sha256Of(path)) ? manifest : null;
  } catch {
    return null;
  }
}

function toldOf(plan: LabelPlan): LabelSpecification {
  const {
    segment,
    segmentVersion,
    knownAsOf,
    observedUntilMs,
    toPos,
    events,
    where,
    withinMs,
    samples,
    seed,
    fromMs,
    toMs,
  } = plan;
  return {
    knownAsOf: knownAsOf === 'now' ? knownAsOf : new Date(knownAsOf).toISOString(),
    observedUntil: new Date(observedUntilMs).toISOString(),
    logPosition: toPos,
    segment: segment === undefined || segmentVersion === null ? null : { key: segment, version: segmentVersion },
    events,
    where,
    within: segment === undefined ? durationText(withinMs) : null,
    samples,
    seed,
    from: new Date(fromMs).toISOString(),
    to: new Date(toMs).toISOString(),
  };
}
