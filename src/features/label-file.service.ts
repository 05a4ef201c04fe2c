import { open } from 'node:fs/promises';
import type { Clock } from '../platform/clock.js';
import { diskError } from '../platform/disk-error.js';
import { WeftError } from '../platform/errors.js';
import { newId, type Uuid } from '../platform/ids.js';
import { Periodic } from '../platform/periodic.js';
import type { Queryable } from '../platform/postgres.js';
import type { ExportFolder } from './export-folder.js';
import { TrainingSetJobReader } from './training-set-job.reader.js';
import { TRAINING_SET_JOB_LIMITS as LIMITS, type LabelFile, type LabelStorage } from './training-set-job.model.js';
import { TrainingSetJobStore } from './training-set-job.store.js';

/** What is kept of labels that were received. */
export interface KeptLabels {
  readonly storedAs: LabelStorage;
  /** Of what is kept. */
  readonly sha256: string;
  readonly bytes: number;
  readonly rows: number;
  /** Rows of people who must not come back. */
  readonly leftOutRows: number;
  readonly columns: readonly string[];
}

export interface LabelFileServiceParts {
  readonly db: Queryable;
  readonly clock: Clock;
  readonly folder: ExportFolder;
  /** Of all that is kept, label files and sets together. */
  readonly maxBytes: number;
  /** How long a label file is kept after the last set was asked of it, ms. */
  readonly keptMs: number;
  /**
   * Checks labels as they came and keeps them beside as sets are made of them; what was received is gone then.
   * @throws WeftError BAD_REQUEST for a row that cannot be read
   */
  readonly store: (received: { readonly path: string; readonly name: string }, folder: string) => Promise<KeptLabels>;
  /** Something is to be removed. */
  readonly onLeaving: () => void;
}

const NAME = /^[\w.,+() -]+\.(?:csv|jsonl|ndjson|parquet)(?:\.(?:gz|zst))?$/i;
const FILE_MODE = 0o600;
/** How often it is said of a label file that it is received; see `sweep-exports.ts`. */
const HEARD_EVERY_MS = 20_000;

/** Use cases of those who send labels. */
export class LabelFileService {
  readonly #parts: LabelFileServiceParts;
  readonly #store: TrainingSetJobStore;
  readonly #reader: TrainingSetJobReader;
  #receiving = 0;

  constructor(parts: LabelFileServiceParts) {
    this.#parts = parts;
    this.#store = new TrainingSetJobStore(parts.db);
    this.#reader = new TrainingSetJobReader(parts.db);
  }

  /**
   * Takes in a file of labels: streamed to disk, then checked row by row. Nothing is left of one that is refused.
   * @param name by its ending CSV, JSON lines or Parquet; `.gz` and `.zst` are unpacked
   * @param announcedBytes as the sender says; null: it does not
   * @throws WeftError BAD_REQUEST (name or rows), PAYLOAD_TOO_LARGE, OVERLOADED, UNAVAILABLE (disk, folder)
   */
  async receive(name: string, body: AsyncIterable<Uint8Array>, announcedBytes: number | null): Promise<LabelFile> {
    if (name.length > LIMITS.maxNameLength || !NAME.test(name)) {
      throw new WeftError('BAD_REQUEST', 'labels cannot be called so', {
        where: 'name',
        hint: 'end the name with .csv, .jsonl or .parquet, behind which .gz or .zst may stand, and keep to plain letters',
      });
    }
    const { folder, clock } = this.#parts;
    await folder.demand(() => newId(clock.now()));
    if (this.#receiving >= LIMITS.maxUploadsAtOnce) {
      throw new WeftError('OVERLOADED', 'other label files are being received', { retryAfterMs: 5_000 });
    }
    this.#receiving++;
    try {
      return await this.#receive(name, body, announcedBytes);
    } finally {
      this.#receiving--;
    }
  }

  /** With its sets; jobs of it are cancelled. @throws WeftError NOT_FOUND */
  async remove(id: Uuid): Promise<LabelFile> {
    const file = await this.#reader.labelFile(id);
    if (file === null || !(await this.#store.doom(id))) throw noSuchLabelFile();
    const why = { code: 'NOT_FOUND', message: 'the label file was removed' };
    await this.#store.cancelOf(id, this.#parts.clock.now(), why);
    this.#parts.onLeaving();
    return file;
  }

  async #receive(name: string, body: AsyncIterable<Uint8Array>, announcedBytes: number | null): Promise<LabelFile> {
    const { clock, folder, keptMs, store } = this.#parts;
    const { bytes, labelFiles } = await this.#store.kept();
    if (labelFiles >= LIMITS.maxLabelFiles) {
      throw new WeftError('OVERLOADED', `${String(LIMITS.maxLabelFiles)} label files are kept already`, {
        where: 'name',
        hint: 'remove those that are not needed any more (removeLabelFile); the others go by themselves, see expiresAt',
        retryAfterMs: 60_000,
      });
    }
    const room = Math.min(LIMITS.maxLabelBytes, this.#parts.maxBytes - bytes);
    if (announcedBytes !== null && announcedBytes > room) throw tooLarge(room);
    const createdAt = clock.now();
    const id = newId(createdAt);
    // Whoever is erased from here on waits until it is whole, and is looked for in it.
    await this.#store.insertLabelFile({ id, name, createdAt, expiresAt: createdAt + keptMs });
    const heard = new Periodic(
      () => this.#store.heard(id, clock.now()),
      HEARD_EVERY_MS,
      () => undefined, // It is said again soon; where the database stays away, the end fails and says why.
    );
    heard.start();
    try {
      const path = await folder.make(id);
      await writeBounded(path, body, room);
      const kept = await store({ path, name }, folder.of(id));
      if (kept.bytes > room) throw tooLarge(room);
      if (!(await this.#store.setReady(id, kept))) throw noSuchLabelFile();
    } catch (error) {
      await folder.removeAll(id);
      await this.#store.removeLabelFile(id);
      throw diskError(error, name);
    } finally {
      await heard.stop();
    }
    return (await this.#reader.labelFile(id)) ?? noSuch();
  }
}

async function writeBounded(path: string, body: AsyncIterable<Uint8Array>, room: number): Promise<void> {
  const file = await open(path, 'wx', FILE_MODE);
  try {
    let bytes = 0;
    for await (const chunk of body) {
      bytes += chunk.length;
      if (bytes > room) throw tooLarge(room);
      await file.writeFile(chunk);
    }
    if (bytes === 0) {
      throw new WeftError('BAD_REQUEST', 'the request has no body', {
        hint: 'send the file itself: curl -T labels.csv',
      });
    }
  } finally {
    await file.close();
  }
}

function tooLarge(room: number): WeftError {
  const isFull = room < LIMITS.maxLabelBytes;
  const mib = String(Math.max(0, Math.floor(room / 1_048_576)));
  return new WeftError('PAYLOAD_TOO_LARGE', `there is room for ${mib} MiB of labels`, {
    where: 'name',
    hint: isFull
      ? 'remove label files that are not needed any more (removeLabelFile), or raise WEFT_EXPORTS_MAX_MB'
      : 'send labels in several files, or compressed',
  });
}

export function noSuchLabelFile(): WeftError {
  return new WeftError('NOT_FOUND', 'there is no such label file', {
    where: 'labelFile',
    hint: 'send the labels (POST /label-files/labels.csv) and take the id of the answer; it is kept for some days',
  });
}

function noSuch(): never {
  throw noSuchLabelFile();
}
