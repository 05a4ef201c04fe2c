import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { deserialize, serialize } from 'node:v8';
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
import type { TrainingSet, TrainingSetRequest, TrainingSetService } from './training-set.service.js';

/** What kept rows rest on: those of another export are of no use. */
interface KeptPlan extends ExportCut {
  readonly fingerprint: string;
  /** Of the features that are exported, in their versions. */
  readonly definitions: string;
}

interface KeptRow {
  readonly status: EntityStatus;
  readonly profileId: Uuid | null;
  readonly values: readonly TrainingCell[];
}

interface KeptBlock {
  /** The plan that its rows are of, as text: two exports may write to one place. */
  readonly plan: string;
  readonly rows: readonly KeptRow[];
  /** Rows of the log that could not be read until then. */
  readonly damaged: readonly DamagedRow[];
}

/** Of what is kept; grows where a release answers rows otherwise. */
const FORMAT = 1;
/** Rows that are kept in one file; a smaller set is made again as fast as it is read. */
export const BLOCK_ROWS = 20_000;
/** What is kept longer is made anew: who was erased or withdrew since is to be in no set that is finished today. */
const MAX_AGE_MS = 86_400_000;
const FILE_MODE = 0o600;
const PLAN_FILE = 'plan.json';

/**
 * The rows of an export that are done already, in a folder beside the file to be, so that one that was killed goes on.
 *
 *   plan.json  what is exported, and where the log was cut
 *   0, 1, …    blocks of rows in the order of the labels; each there as a whole or not
 *
 * 1. Blocks are used by an export of the same labels, request and definitions alone, within a day; it cuts the log where
 *    the first one did, so that the set is that of a run which was never interrupted.
 * 2. The folder goes once the set is written.
 */
export class KeptRows {
  readonly #folder: string;
  readonly #fingerprint: string;
  readonly #blockRows: number;
  #plan: KeptPlan | null;
  #blocks: number;

  private constructor(
    folder: string,
    { fingerprint, blockRows }: { readonly fingerprint: string; readonly blockRows: number },
    plan: KeptPlan | null,
    blocks: number,
  ) {
    this.#folder = folder;
    this.#fingerprint = fingerprint;
    this.#blockRows = blockRows;
    this.#plan = plan;
    this.#blocks = blocks;
  }

  /**
   * What is kept in a folder, if it is of the same export; all else in it goes.
   * @param fingerprint of the labels and of what is asked for
   */
  static async open(folder: string, fingerprint: string, nowMs: number, blockRows = BLOCK_ROWS): Promise<KeptRows> {
    const plan = await readPlan(folder);
    const isSame = plan?.fingerprint === fingerprint && nowMs - plan.nowMs < MAX_AGE_MS;
    if (!isSame) {
      await rm(folder, { recursive: true, force: true });
      return new KeptRows(folder, { fingerprint, blockRows }, null, 0);
    }
    let blocks = 0;
    while ((await readBlock(folder, blocks, plan)) !== null) blocks++;
    return new KeptRows(folder, { fingerprint, blockRows }, plan, blocks);
  }

  /** Where the export that left the rows cut the log; null: nothing is kept. */
  get cut(): ExportCut | null {
    return this.#plan;
  }

  get rows(): number {
    return this.#blocks * this.#blockRows;
  }

  /** Takes the rows to be of these definitions and this cut. False: what is kept is of others, and is gone. */
  async bind(plan: Omit<KeptPlan, 'fingerprint'>): Promise<boolean> {
    if (this.#plan !== null && this.#plan.definitions !== plan.definitions) {
      await this.remove();
      this.#plan = null;
      this.#blocks = 0;
      return false;
    }
    this.#plan ??= { ...plan, fingerprint: this.#fingerprint };
    return true;
  }

  /**
   * The rows that are kept, then those that are made now, which are kept as they pass.
   * @param labels the very iterator that `made` goes on with, at the first label
   */
  async *through(
    labels: AsyncIterator<LabelRow>,
    made: AsyncIterable<WrittenRow>,
    damaged: DamagedRows,
  ): AsyncGenerator<WrittenRow, void, undefined> {
    for (let i = 0; i < this.#blocks; i++) {
      const block = this.#plan === null ? null : await readBlock(this.#folder, i, this.#plan);
      if (block === null) throw new Error(`block ${String(i)} of ${this.#folder} is gone`);
      block.damaged.forEach(damaged.note);
      for (const { status, profileId, values } of block.rows) {
        const label = await labels.next();
        if (label.done === true) return;
        yield { label: label.value, status, profileId, values: values.map((value) => ({ value })) };
      }
    }
    let rows: KeptRow[] = [];
    for await (const row of made) {
      yield row;
      const { status, profileId, values } = row;
      rows.push({ status, profileId, values: values.map(({ value }) => value) });
      if (rows.length < this.#blockRows) continue;
      await this.#keep({ plan: JSON.stringify(this.#plan), rows, damaged: damaged.all });
      rows = [];
    }
  }

  async remove(): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true });
  }

  async #keep(block: KeptBlock): Promise<void> {
    if (this.#blocks === 0) {
      await mkdir(this.#folder, { recursive: true, mode: 0o700 });
      await writeFileAtomically(join(this.#folder, PLAN_FILE), block.plan, FILE_MODE);
    }
    await writeFileAtomically(join(this.#folder, String(this.#blocks)), serialize(block), FILE_MODE);
    this.#blocks++;
  }
}

/** Hex SHA-256 of a file's content and of what is asked for. */
export async function fingerprintOf(path: string, request: unknown): Promise<string> {
  const hash = createHash('sha256').update(JSON.stringify([FORMAT, request]));
  for await (const bytes of createReadStream(path) as AsyncIterable<Buffer>) hash.update(bytes);
  return hash.digest('hex');
}

async function readPlan(folder: string): Promise<KeptPlan | null> {
  const text = await readFile(join(folder, PLAN_FILE), 'utf8').catch(() => null);
  return text === null ? null : (JSON.parse(text) as KeptPlan);
}

async function readBlock(folder: string, number: number, plan: KeptPlan): Promise<KeptBlock | null> {
  const bytes = await readFile(join(folder, String(number))).catch(() => null);
  if (bytes === null) return null;
  const block = deserialize(bytes) as KeptBlock;
  return block.plan === JSON.stringify(plan) ? block : null;
}

/** Goes on with what is kept, if it is of the definitions in force; else begins anew. */
export async function goOnWith(
  kept: KeptRows,
  sets: Pick<TrainingSetService, 'exportTrainingSet'>,
  request: TrainingSetRequest,
): Promise<TrainingSet> {
  const { cut } = kept;
  const set = await sets.exportTrainingSet({ ...request, ...(cut === null ? undefined : { cut }) });
  const { features, service, toPos } = set.plan;
  const versions = features.map(({ viewVersion }) => viewVersion);
  const definitions = JSON.stringify([definitionsHash(features), versions, service]);
  const isSame = await kept.bind({ toPos, nowMs: set.startedAtMs, definitions });
  return isSame ? set : goOnWith(kept, sets, request);
}
