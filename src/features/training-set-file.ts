import { basename } from 'node:path';
import { WeftError } from '../platform/errors.js';
import type { Imputations } from './feature.model.js';
import { writeWithManifest } from './hashed-file.js';
import type { RowEncoder } from './row-encoder.js';
import type { LabelQueryOrigin } from './label-query.model.js';
import { csvRows } from './training-set-csv.js';
import {
  cellsOf,
  columnsOf,
  definitionsHash,
  imputedRow,
  type ConsentAsOf,
  type TrainingColumn,
  type TrainingSetPlan,
  type WrittenRow,
} from './training-set.model.js';
import { personOf, type Split, type SplitRatios, type SplitSpec, type Splitter } from './split.model.js';
import type { TrainingSet } from './training-set.service.js';
import type { TrainingSetStatistics } from './training-statistics.js';
import { ParquetRows } from './training-set-parquet.js';

/** What is kept beside a training set, so that a model can say what it was trained on. */
export interface TrainingSetManifest {
  readonly format: 1;
  /** Name of the file, without its folder. */
  readonly file: string;
  readonly sha256: string;
  readonly bytes: number;
  readonly rows: number;
  /** Rows about whom nothing was known, and rows whose identifier can stand for nobody. */
  readonly notFoundRows: number;
  readonly invalidRows: number;
  /** Rows of people who did not allow what some features need, or do not now, which have no value in them. */
  readonly withheldRows: number;
  /** Events of the log that cannot be read, and that the features are without. */
  readonly damagedEvents: number;
  readonly createdAt: string;
  /** When the export began, which is until when it may know anything. */
  readonly startedAt: string;
  /** What the rows were made for; null: not a file. */
  readonly labels: LabelsOrigin | null;
  /** `now`, `event-time` or an instant; see `KnownAsOf`. */
  readonly knownAsOf: string;
  /** `now` or `time`; see `ConsentAsOf`. */
  readonly consentAsOf: ConsentAsOf;
  /** How rows are parted; null: they are not. */
  readonly split: SplitManifest | null;
  readonly logPosition: number;
  readonly service: { readonly name: string; readonly version: number } | null;
  /** Whether columns are called by view and feature, as `customer__tier`. */
  readonly fullNames: boolean;
  /** What stands in the file where values are missing; left out: nothing does. */
  readonly imputed?: Imputations;
  /** How values were spread, before anything was imputed; left out in sets of former versions. */
  readonly statistics?: TrainingSetStatistics;
  /** Changes with whatever changes a value; not with descriptions. */
  readonly definitionsHash: string;
  readonly features: readonly {
    readonly name: string;
    readonly type: string;
    readonly view: string;
    readonly viewVersion: number;
    /** How old its value may be at T, ms; left out: of any age. */
    readonly maxAgeMs?: number;
  }[];
}

interface LabelsOrigin {
  /** Name of the file, without its folder. */
  readonly file: string;
  readonly sha256: string;
  /** What answered them; left out: they were given. */
  readonly query?: LabelQueryOrigin;
}

/** What a set was made for, and when. */
interface SetOrigin {
  readonly labels: LabelsOrigin | null;
  readonly startedAtMs: number;
  /** Of the rows, once all are written. */
  readonly statistics?: () => TrainingSetStatistics;
}

/** A training set as far as files have it. */
export interface WritableSet
  extends Pick<TrainingSet, 'plan' | 'damaged' | 'startedAtMs'>, Partial<Pick<TrainingSet, 'itemHistories'>> {
  readonly rows: AsyncIterable<WrittenRow>;
}

/** How rows are parted, and how many are where. */
export interface SplitManifest {
  readonly by: SplitSpec['by'];
  /** Percent of train, validation and test. */
  readonly ratios: SplitRatios;
  readonly seed?: number;
  /** How many labels were parted each by itself. */
  readonly strata?: number;
  /** How far after T the label looks, ms. */
  readonly horizonMs?: number;
  readonly validationFrom?: string;
  readonly testFrom?: string;
  readonly rows: Readonly<Record<Split, number>>;
  /** Rows in no part: their label looks into a later one, or their person became another while rows were written. */
  readonly embargoedRows: number;
}

export type TrainingSetFormat = 'csv' | 'parquet';

/** @throws WeftError BAD_REQUEST for another ending than `.csv` or `.parquet` */
export function formatOf(path: string): TrainingSetFormat {
  if (path.endsWith('.csv')) return 'csv';
  if (path.endsWith('.parquet')) return 'parquet';
  throw new WeftError('BAD_REQUEST', 'the ending of the file does not say its format', {
    where: 'out',
    hint: 'end its name with .csv or .parquet',
  });
}

/**
 * Writes a training set and its manifest. Both appear under their names once both are whole and on disk, and neither on
 * a failure. Of several who write to one path the last one stands; until then each has files of its own.
 * @param splitter how rows are parted; null: they are not
 * @param passed the columns of the labels file that are handed through; CSV keeps their texts as they are
 * @throws WeftError BAD_REQUEST if two columns have one name, or the file cannot be written
 */
export async function writeTrainingSet(
  path: string,
  set: WritableSet,
  passed: readonly TrainingColumn[],
  nowMs: number,
  splitter: Splitter | null = null,
  origin: SetOrigin = { labels: null, startedAtMs: nowMs },
): Promise<TrainingSetManifest> {
  const format = formatOf(path);
  const typed = format === 'csv' ? passed.map(({ name }) => ({ name, type: 'string' as const })) : passed;
  const columns = columnsOf(set.plan, typed, splitter !== null);
  checkNames(columns);
  // A kept set has its first row once all are made: whoever is killed before leaves no part of the file.
  const rows = await begun(set.rows);
  return writeWithManifest(path, async (file) => {
    const counts = { rows: 0, notFoundRows: 0, invalidRows: 0, withheldRows: 0 };
    const parts = splitter === null ? null : new PartedRows(splitter);
    const encoder: RowEncoder = format === 'csv' ? csvRows(columns) : new ParquetRows(columns);
    for await (const row of rows) {
      counts.rows++;
      if (row.status === 'NOT_FOUND') counts.notFoundRows++;
      if (row.status === 'INVALID') counts.invalidRows++;
      if (row.status === 'WITHHELD') counts.withheldRows++;
      const bytes = encoder.add(cellsOf(imputedRow(row, set.plan), typed, parts?.of(row)));
      if (bytes !== null) await file.write(bytes);
    }
    await file.write(encoder.end());
    return (written) =>
      manifestOf(
        path,
        set.plan,
        { ...counts, damagedEvents: set.damaged.count, ...written, split: parts?.manifest() ?? null },
        nowMs,
        origin,
      );
  });
}

/** The same items, once the first of them is there. */
async function begun<T>(items: AsyncIterable<T>): Promise<AsyncIterable<T>> {
  const iterator = items[Symbol.asyncIterator]();
  let next = await iterator.next();
  return (async function* () {
    for (; next.done !== true; next = await iterator.next()) yield next.value;
  })();
}

/** Tells rows their part, and counts. */
class PartedRows {
  readonly #splitter: Splitter;
  readonly #rows = { train: 0, validation: 0, test: 0 };
  #embargoed = 0;

  constructor(splitter: Splitter) {
    this.#splitter = splitter;
  }

  of({ label: { ns, value, timeMs }, profileId }: WrittenRow): Split | null {
    const part = this.#splitter.of({ timeMs, person: personOf(profileId, ns, value) });
    if (part === null) this.#embargoed++;
    else this.#rows[part]++;
    return part;
  }

  manifest(): SplitManifest {
    const { spec, cuts, strata } = this.#splitter;
    const instant = (ms: number): string | undefined => (ms === Infinity ? undefined : new Date(ms).toISOString());
    const [validationFrom, testFrom] = (cuts ?? [Infinity, Infinity]).map(instant);
    return {
      ...spec,
      ...(strata === null ? undefined : { strata }),
      ...(validationFrom === undefined ? undefined : { validationFrom }),
      ...(testFrom === undefined ? undefined : { testFrom }),
      rows: { ...this.#rows },
      embargoedRows: this.#embargoed,
    };
  }
}

function checkNames(columns: readonly TrainingColumn[]): void {
  const seen = new Set<string>();
  for (const { name } of columns) {
    if (seen.has(name)) {
      throw new WeftError('BAD_REQUEST', `two columns would be called ${name}`, {
        where: name,
        hint: 'rename the column of the labels file, or leave the feature out',
      });
    }
    seen.add(name);
  }
}

function manifestOf(
  path: string,
  plan: TrainingSetPlan,
  written: Pick<
    TrainingSetManifest,
    'rows' | 'notFoundRows' | 'invalidRows' | 'withheldRows' | 'damagedEvents' | 'bytes' | 'sha256' | 'split'
  >,
  nowMs: number,
  { labels, startedAtMs, statistics }: SetOrigin,
): TrainingSetManifest {
  const { knownAsOf, consentAsOf, toPos, service, features, fullNames, imputed } = plan;
  const { sha256, bytes, split, ...counts } = written;
  return {
    format: 1,
    file: basename(path),
    sha256,
    bytes,
    ...counts,
    createdAt: new Date(nowMs).toISOString(),
    startedAt: new Date(startedAtMs).toISOString(),
    labels,
    knownAsOf: typeof knownAsOf === 'number' ? new Date(knownAsOf).toISOString() : knownAsOf,
    consentAsOf,
    split,
    logPosition: toPos,
    service,
    fullNames,
    ...(imputed === undefined ? undefined : { imputed }),
    ...(statistics === undefined ? undefined : { statistics: statistics() }),
    definitionsHash: definitionsHash(features),
    features: features.map(({ definition: { name, type, view }, viewVersion, maxAgeMs }) => ({
      name,
      type,
      view,
      viewVersion,
      ...(maxAgeMs === undefined ? undefined : { maxAgeMs }),
    })),
  };
}
