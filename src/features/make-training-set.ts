import { rm } from 'node:fs/promises';
import { basename } from 'node:path';
import type { DamagedRows } from '../events/damaged-rows.model.js';
import { diskError } from '../platform/disk-error.js';
import { WeftError } from '../platform/errors.js';
import { sha256Of } from './hashed-file.js';
import type { ItemHistoryCounts } from './item-histories.js';
import type { LabelQueryOrigin } from './label-query.model.js';
import { BLOCK_ROWS, fingerprintOf, goOnWith, keptFolderOf, KeptRows } from './kept-rows.js';
import type { Splitter, SplitSpec } from './split.model.js';
import { writeTrainingSet, type TrainingSetManifest, type WritableSet } from './training-set-file.js';
import {
  readLabels,
  summariseLabels,
  type LabelReading,
  type LabelsSummary,
  type OpenLabels,
  type ParseTime,
} from './training-set-labels.js';
import { TrainingStatistics } from './training-statistics.js';
import type { ConsentAsOf, ExportCut, KnownAsOf, LabelRow, TrainingSetPlan, WrittenRow } from './training-set.model.js';
import type { MaxAges, PinnedVersions, TrainingSetProgress, TrainingSetRequest } from './training-set-request.model.js';
import type { TrainingSetService } from './training-set.service.js';

export type TrainingSets = Pick<TrainingSetService, 'exportTrainingSet' | 'planSplit' | 'erasureMark'>;

/** How often a set is begun that people are erased of while it is made. */
const MAX_BEGINNINGS = 3;

/** A training set that is to be made of a file of labels. */
export interface TrainingSetOrder {
  readonly labels: string;
  /** What answered the labels; left out: they were given. */
  readonly labelQuery?: LabelQueryOrigin | undefined;
  /** `.csv` or `.parquet`. */
  readonly out: string;
  readonly service?: string | undefined;
  readonly features?: readonly string[] | undefined;
  readonly knownAsOf: KnownAsOf;
  readonly consentAsOf: ConsentAsOf;
  readonly maxAges?: MaxAges | undefined;
  readonly fullNames?: boolean;
  readonly isImputed?: boolean;
  /** Of a set that is made again: where the log was cut, and which versions of definitions were in force. */
  readonly again?: { readonly cut: ExportCut; readonly versions: PinnedVersions } | undefined;
  /** Null: rows are not parted. */
  readonly split: SplitSpec | null;
  /** Whether what a run that was killed has kept of the same export is left aside. */
  readonly isAnew?: boolean;
}

/**
 * Told how it goes; each is called once at most, in this order, but `onRow` and `onProgress`. After `onAnew` all but
 * `onLabels` come again.
 */
export interface TrainingSetListener {
  onLabels?(summary: LabelsSummary): void;
  onPlan?(plan: TrainingSetPlan, splitter: Splitter | null): void;
  /** Each row as it is written, before what is missing is imputed. */
  onRow?(row: WrittenRow): void;
  /** Rows that an earlier run has kept. */
  onKept?(rows: number): void;
  onProgress?(progress: TrainingSetProgress): void;
  /** Somebody was erased while the set was made: what was told since `onLabels` is of no set. */
  onAnew?(): void;
  /** That it failed, and how many rows are kept for the next run; none: 0. */
  onFailed?(keptRows: number): void;
  /** @param histories how often those of items were read; null: no feature needs any */
  onWritten?(damaged: DamagedRows, histories: ItemHistoryCounts | null): void;
}

interface MakingParts {
  readonly parseTime: ParseTime;
  /** What reads labels of other formats than CSV; left out: none are. */
  readonly openLabels?: OpenLabels | undefined;
  readonly now: () => number;
  readonly signal: AbortSignal;
  /** Rows that are kept at a time, to go on with after a kill; default 20,000. */
  readonly keptBlockRows?: number | undefined;
}

/**
 * Makes a training set and its manifest. Unless it succeeds, nothing is left behind but, of more rows than are kept at a
 * time, those that are done, in `<out>.kept`. Nobody is in it whose erasure was through when its last row was written: it is
 * begun anew then, some times.
 * @throws WeftError for labels, features and files that will not do; see {@link TrainingSetService.exportTrainingSet};
 *   CONFLICT where the labels change meanwhile, UNAVAILABLE where the disk is full, or people are erased all the time
 */
export async function makeTrainingSet(
  sets: TrainingSets,
  order: TrainingSetOrder,
  parts: MakingParts,
  listener: TrainingSetListener = {},
): Promise<TrainingSetManifest> {
  const { parseTime, openLabels } = parts;
  const reading: LabelReading = { parseTime, nowMs: parts.now(), openLabels };
  const sha256 = await labelsHash(order.labels);
  const summary = await summariseLabels(order.labels, reading);
  listener.onLabels?.(summary);
  // The file is read several times, and rows are told theirs by their place: it has to stay what it is.
  const read = async function* (): AsyncGenerator<LabelRow, void, undefined> {
    yield* readLabels(order.labels, reading);
    if ((await labelsHash(order.labels)) !== sha256) throw labelsChanged(order.labels);
  };
  for (let beginnings = 1; ; beginnings++) {
    try {
      return await begin(sets, order, parts, listener, { sha256, summary, read });
    } catch (error) {
      if (!(error instanceof ErasedMeanwhile)) throw error;
      if (beginnings >= MAX_BEGINNINGS) throw erasedTooOften(order.out);
      listener.onAnew?.();
    }
  }
}

interface LabelsAtHand {
  readonly sha256: string;
  readonly summary: LabelsSummary;
  readonly read: () => AsyncGenerator<LabelRow, void, undefined>;
}

/** @throws ErasedMeanwhile with nothing left behind; else as {@link makeTrainingSet} */
async function begin(
  sets: TrainingSets,
  order: TrainingSetOrder,
  parts: MakingParts,
  listener: TrainingSetListener,
  { sha256, summary, read }: LabelsAtHand,
): Promise<TrainingSetManifest> {
  const { keptBlockRows: bucketRows = BLOCK_ROWS, signal } = parts;
  const erasures = await sets.erasureMark();
  const labelCell = summary.passed.findIndex(({ name }) => name === 'label');
  const splitter = order.split === null ? null : await sets.planSplit(read(), labelCell, order.split, signal);
  const request = requestOf(order, summary, signal, listener);
  const query = order.labelQuery;
  const labels = { file: basename(order.labels), sha256, ...(query === undefined ? undefined : { query }) };
  const kept = summary.rows <= bucketRows ? null : await openKept(order, sha256, parts.now(), bucketRows);
  try {
    const set: WritableSet =
      kept === null
        ? await sets.exportTrainingSet({ ...request, labels: read() })
        : await goOnWith(kept, sets, request, read, { rows: summary.rows, bucketRows }, erasures);
    listener.onPlan?.(set.plan, splitter);
    if (kept !== null && kept.rows > 0) listener.onKept?.(kept.rows);
    const statistics = new TrainingStatistics(set.plan.features, splitter, summary.rows);
    const origin = { labels, startedAtMs: set.startedAtMs, statistics: () => statistics.finish() };
    const manifest = await writeTrainingSet(
      order.out,
      told(set, {
        onRow: (row) => {
          statistics.add(row);
          listener.onRow?.(row);
        },
        onLast: async () => {
          if ((await sets.erasureMark()) !== erasures) throw new ErasedMeanwhile();
        },
      }),
      summary.passed,
      parts.now(),
      splitter,
      origin,
    );
    await kept?.remove();
    listener.onWritten?.(set.damaged, set.itemHistories?.() ?? null);
    return manifest;
  } catch (error) {
    if (error instanceof ErasedMeanwhile) {
      await kept?.remove();
      throw error;
    }
    const isChanged = !signal.aborted && (await labelsHash(order.labels)) !== sha256;
    if (isChanged) await kept?.remove();
    listener.onFailed?.(isChanged ? 0 : (kept?.rows ?? 0));
    await kept?.close();
    throw isChanged ? labelsChanged(order.labels) : diskError(error, order.out);
  }
}

/** Empty: it cannot be read, which its readers tell of. */
function labelsHash(path: string): Promise<string> {
  return sha256Of(path).catch(() => '');
}

function labelsChanged(path: string): WeftError {
  return new WeftError('CONFLICT', 'the labels changed while the training set was made of them', {
    where: path,
    hint: 'make it again once nobody writes to the file any more',
  });
}

/** Somebody was erased since the first row of a set was made. */
class ErasedMeanwhile extends Error {}

function erasedTooOften(path: string): WeftError {
  return new WeftError('UNAVAILABLE', 'people were erased each time while the training set was made', {
    where: path,
    hint: 'make it again when fewer people are erased, as weft privacy receipts shows, or of fewer labels',
  });
}

/** The set, of whose rows somebody is told, and when they were all written. */
function told(
  set: WritableSet,
  { onRow, onLast }: { readonly onRow: (row: WrittenRow) => void; readonly onLast: () => Promise<void> },
): WritableSet {
  const rows = async function* (): AsyncGenerator<WrittenRow, void, undefined> {
    for await (const row of set.rows) {
      onRow(row);
      yield row;
    }
    await onLast();
  };
  return { ...set, rows: rows() };
}

function requestOf(
  { service, features, knownAsOf, consentAsOf, maxAges, fullNames = false, isImputed = false, again }: TrainingSetOrder,
  { passed }: LabelsSummary,
  signal: AbortSignal,
  listener: TrainingSetListener,
): Omit<TrainingSetRequest, 'labels'> {
  return {
    columns: passed.map(({ name }) => name),
    ...(service === undefined ? undefined : { service }),
    ...(features === undefined ? undefined : { features }),
    ...(maxAges === undefined ? undefined : { maxAges }),
    ...again,
    knownAsOf,
    consentAsOf,
    fullNames,
    isImputed,
    signal,
    onProgress: (progress) => listener.onProgress?.(progress),
  };
}

/** What a run that was killed has left of the same export. */
async function openKept(
  { out, isAnew, service, features, knownAsOf, consentAsOf, maxAges, again }: TrainingSetOrder,
  labelsSha256: string,
  nowMs: number,
  bucketRows: number,
): Promise<KeptRows> {
  const folder = keptFolderOf(out);
  if (isAnew === true) await rm(folder, { recursive: true, force: true });
  const ages = maxAges === undefined ? null : [maxAges.others, [...maxAges.byFeature]];
  const asked = { service, features, knownAsOf, consentAsOf, ages, cut: again?.cut };
  return KeptRows.open(folder, fingerprintOf(labelsSha256, [asked, bucketRows]), nowMs);
}
