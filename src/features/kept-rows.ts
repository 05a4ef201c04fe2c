import { hash } from 'node:crypto';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { DamagedRow, DamagedRows } from '../events/damaged-rows.model.js';
import type { Uuid } from '../platform/ids.js';
import { writeFileAtomically } from '../platform/write-file-atomically.js';
import {
  definitionsHash,
  type EntityStatus,
  type ExportCut,
  type LabelRow,
  type TrainingCell,
  type WrittenRow,
} from './training-set.model.js';
import { LabelBuckets, type BucketShape } from './label-buckets.js';
import { pagedBytes, readPagedHeader, readPagedItems } from './paged-file.js';
import type { WritableSet } from './training-set-file.js';
import type { TrainingSetRequest } from './training-set-request.model.js';
import type { TrainingSetService } from './training-set.service.js';

/** What kept rows rest on: those of another export are of no use. */
interface KeptPlan extends ExportCut {
  readonly fingerprint: string;
  /** Of the features that are exported, in their versions. */
  readonly definitions: string;
  /** Of the erasures that were through when the first of the rows were made. */
  readonly erasures: string;
}

interface KeptRow {
  readonly status: EntityStatus;
  readonly profileId: Uuid | null;
  readonly values: readonly TrainingCell[];
}

interface KeptHeader {
  /** The plan that its rows are of, as text: two exports may write to one place. */
  readonly plan: string;
  /** Rows of the log that could not be read until then. */
  readonly damaged: readonly DamagedRow[];
}

/** Of what is kept; grows where a release answers rows otherwise. */
const FORMAT = 3;
/** Rows that are kept in one file, about; a smaller set is made again as fast as it is read. */
export const BLOCK_ROWS = 20_000;
/** What is kept longer is made anew. */
export const KEPT_ROWS_MAX_AGE_MS = 86_400_000;
const FILE_MODE = 0o600;
const PLAN_FILE = 'plan.json';
const LABELS_FOLDER = 'labels';

/** Labels that can be read as often as needed, always the same in the same order. */
type ReadLabels = () => AsyncIterable<LabelRow>;

/**
 * The rows of an export that are done already, in a folder beside the file to be, so that one that was killed goes on.
 *
 *   plan.json  what is exported, and where the log was cut
 *   labels/    the labels in buckets of people (`label-buckets.ts`), while the export runs
 *   0, 1, …    the rows of each bucket, in the order of its labels; each file there as a whole or not
 *
 * 1. Rows are answered bucket by bucket, and within one by person, whose events are read once then; they come out in the
 *    order of the labels: whoever has the label knows the bucket, whose next row it is.
 * 2. Rows are used by an export of the same labels, request and definitions alone, within a day; it cuts the log where
 *    the first one did, so that the set is that of a run which was never interrupted.
 * 3. Rows are used until somebody is erased, and not at all of sets whose people have to allow features now: who was
 *    erased or withdrew since is in no set that goes on.
 * 4. The folder goes once the set is written.
 */
export class KeptRows {
  readonly #folder: string;
  readonly #fingerprint: string;
  #plan: KeptPlan | null;
  /** Buckets whose rows are kept: the first ones. */
  #done: number;
  #buckets: LabelBuckets | null = null;
  /** Whether another run may go on with the rows. */
  #isLasting = true;

  private constructor(folder: string, fingerprint: string, plan: KeptPlan | null, done: number) {
    this.#folder = folder;
    this.#fingerprint = fingerprint;
    this.#plan = plan;
    this.#done = done;
  }

  /**
   * What is kept in a folder, if it is of the same export; all else in it goes.
   * @param fingerprint of the labels and of what is asked for
   */
  static async open(folder: string, fingerprint: string, nowMs: number): Promise<KeptRows> {
    const plan = await readPlan(folder);
    const isSame = plan?.fingerprint === fingerprint && nowMs - plan.nowMs < KEPT_ROWS_MAX_AGE_MS;
    if (!isSame) {
      await rm(folder, { recursive: true, force: true });
      return new KeptRows(folder, fingerprint, null, 0);
    }
    let done = 0;
    while (await isOf(plan, join(folder, String(done)))) done++;
    return new KeptRows(folder, fingerprint, plan, done);
  }

  /** Where the export that left the rows cut the log; null: nothing is kept. */
  get cut(): ExportCut | null {
    return this.#plan;
  }

  /** Rows that another run can go on with. */
  get rows(): number {
    if (!this.#isLasting) return 0;
    return this.#buckets?.rows.slice(0, this.#done).reduce((sum, rows) => sum + rows, 0) ?? 0;
  }

  /** Puts the labels into buckets; to be done before all else. */
  async sort(labels: ReadLabels, shape: BucketShape, signal?: AbortSignal): Promise<void> {
    this.#buckets = await LabelBuckets.write(join(this.#folder, LABELS_FOLDER), labels(), shape, signal);
  }

  /**
   * Takes the rows to be of these definitions, erasures and this cut. False: what is kept is of others, and is gone.
   * @param isLasting whether another run may go on with them
   */
  async bind(plan: Omit<KeptPlan, 'fingerprint'>, isLasting: boolean): Promise<boolean> {
    this.#isLasting = isLasting;
    const { definitions, erasures } = this.#plan ?? plan;
    const isSame = isLasting && definitions === plan.definitions && erasures === plan.erasures;
    if (this.#plan !== null && !isSame) {
      await this.remove();
      this.#plan = null;
      this.#done = 0;
      return false;
    }
    this.#plan ??= { ...plan, fingerprint: this.#fingerprint };
    return true;
  }

  /** The labels of all buckets whose rows are not kept, one after the other, those of one identifier together. */
  async *wanted(): AsyncGenerator<LabelRow, void, undefined> {
    const buckets = this.#sorted();
    for (let bucket = this.#done; bucket < buckets.rows.length; bucket++) {
      for (const { label } of byPerson(await buckets.read(bucket))) yield label;
    }
  }

  /**
   * All rows, once those that are not kept yet are made and kept.
   * @param made one for each of {@link wanted}
   */
  async *through(
    labels: ReadLabels,
    made: AsyncIterator<WrittenRow>,
    damaged: DamagedRows,
  ): AsyncGenerator<WrittenRow, void, undefined> {
    const buckets = this.#sorted();
    for (const header of await Promise.all(this.#keptPaths().map(readPagedHeader))) {
      (header as KeptHeader).damaged.forEach(damaged.note);
    }
    for (let bucket = this.#done; bucket < buckets.rows.length; bucket++) {
      const rows: KeptRow[] = [];
      for (const { place } of byPerson(await buckets.read(bucket))) {
        const next = await made.next();
        if (next.done === true) throw new Error('there are fewer rows than labels');
        const { status, profileId, values } = next.value;
        rows[place] = { status, profileId, values: values.map(({ value }) => value) };
      }
      await this.#keep({ plan: JSON.stringify(this.#plan), damaged: damaged.all }, rows);
    }
    // The service ends by itself: it has done so once it is asked for one more.
    await made.next();
    const readers = this.#keptPaths().map(readPagedItems);
    const place = buckets.placer();
    for await (const label of labels()) {
      const next = await readers[place(label)]?.next();
      if (next === undefined || next.done === true) throw new Error('there are fewer rows than labels');
      const { status, profileId, values } = next.value as KeptRow;
      yield { label, status, profileId, values: values.map((value) => ({ value })) };
    }
  }

  /** Leaves what the next run goes on with, if anything. */
  async close(): Promise<void> {
    await (this.rows === 0 ? this.remove() : this.#buckets?.remove());
  }

  async remove(): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true });
  }

  async #keep(header: KeptHeader, rows: readonly KeptRow[]): Promise<void> {
    if (this.#done === 0 && this.#isLasting) {
      await writeFileAtomically(join(this.#folder, PLAN_FILE), header.plan, FILE_MODE);
    }
    await writeFileAtomically(join(this.#folder, String(this.#done)), pagedBytes(header, rows), FILE_MODE);
    this.#done++;
  }

  #keptPaths(): string[] {
    return Array.from({ length: this.#done }, (_, bucket) => join(this.#folder, String(bucket)));
  }

  #sorted(): LabelBuckets {
    if (this.#buckets === null) throw new Error('the labels are not in buckets yet');
    return this.#buckets;
  }
}

/** Labels of one identifier together, with their places. */
function byPerson(labels: readonly LabelRow[]): { readonly label: LabelRow; readonly place: number }[] {
  const keyed = labels.map((label, place) => ({ label, place, key: `${label.ns} ${label.value}` }));
  return keyed.sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : a.place - b.place));
}

/** Hex SHA-256 of what is asked for, of labels with that of their content. */
export function fingerprintOf(labelsSha256: string, request: unknown): string {
  return hash('sha256', JSON.stringify([FORMAT, request, labelsSha256]), 'hex');
}

/** Whether a run that was killed has left rows of a set, of whatever export. */
export async function hasKeptRows(out: string): Promise<boolean> {
  return (await readPlan(keptFolderOf(out))) !== null;
}

/** Where rows of a set are kept while it is made. */
export const keptFolderOf = (out: string): string => `${out}.kept`;

async function readPlan(folder: string): Promise<KeptPlan | null> {
  const text = await readFile(join(folder, PLAN_FILE), 'utf8').catch(() => null);
  return text === null ? null : (JSON.parse(text) as KeptPlan);
}

/** Whether a file of rows is there, and of this plan. */
async function isOf(plan: KeptPlan, path: string): Promise<boolean> {
  const header = (await readPagedHeader(path)) as KeptHeader | null;
  return header?.plan === JSON.stringify(plan);
}

/**
 * Goes on with what is kept, if it is of the definitions in force and nobody was erased since; else begins anew.
 * @param erasures mark of those that are through by now
 */
export async function goOnWith(
  kept: KeptRows,
  sets: Pick<TrainingSetService, 'exportTrainingSet'>,
  request: Omit<TrainingSetRequest, 'labels'>,
  labels: ReadLabels,
  shape: BucketShape,
  erasures: string,
): Promise<WritableSet> {
  const { cut } = kept;
  await kept.sort(labels, shape, request.signal);
  const set = await sets.exportTrainingSet({
    ...request,
    labels: kept.wanted(),
    ...(cut === null ? undefined : { cut }),
  });
  const { features, service, toPos } = set.plan;
  const versions = features.map(({ viewVersion }) => viewVersion);
  const definitions = JSON.stringify([definitionsHash(features), versions, service]);
  // Who withdraws is withheld from the rows that are made from then on, and those that are kept do not know of it.
  const isLasting = set.plan.consentAsOf !== 'now' || features.every(({ purposes = [] }) => purposes.length === 0);
  const isSame = await kept.bind({ toPos, nowMs: set.startedAtMs, definitions, erasures }, isLasting);
  if (!isSame) return goOnWith(kept, sets, request, labels, shape, erasures);
  return { ...set, rows: kept.through(labels, set.rows, set.damaged) };
}
