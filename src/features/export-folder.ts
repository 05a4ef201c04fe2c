import { mkdir, readdir, readFile, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { WeftError } from '../platform/errors.js';
import { isUuid, type Uuid } from '../platform/ids.js';
import type { Queryable } from '../platform/postgres.js';
import { writeFileAtomically } from '../platform/write-file-atomically.js';
import { manifestPathOf } from './hashed-file.js';
import { setFileName, type LabelFile, type TrainingSetJob } from './training-set-job.model.js';

const FOLDER_MODE = 0o700;
const FILE_MODE = 0o600;
const ID_FILE = 'id';

/**
 * The folder in which label files, and the training sets that are made of them, are kept:
 *
 *   id                           whose it is: the database says the same
 *   <label file>/received        labels while they are received
 *   <label file>/labels.csv      labels as sets are made of them, `labels.csv.gz` where they came so
 *   <label file>/<job>.parquet   a set, its manifest beside it, and in `….kept` what a job goes on with
 *
 * Whoever removes the folder of a label file has removed all that came of it.
 */
export class ExportFolder {
  constructor(
    private readonly path: string,
    private readonly db: Queryable,
  ) {}

  /** Whether what the database tells of is in this folder. */
  async isOurs(): Promise<boolean> {
    const [row] = await this.db.query<{ id: Uuid }>('SELECT id FROM export_folders');
    const id = await this.#id();
    return id !== null && row?.id === id;
  }

  /**
   * Makes it the folder of the installation where nothing is in any other.
   * @param newId of the folder, if it becomes so
   */
  async claim(newId: () => Uuid): Promise<boolean> {
    if (await this.isOurs()) return true;
    await mkdir(this.path, { recursive: true, mode: FOLDER_MODE });
    const id = (await this.#id()) ?? newId();
    await writeFileAtomically(join(this.path, ID_FILE), `${id}\n`, FILE_MODE);
    await this.db.execute(
      `INSERT INTO export_folders (id) VALUES ($1)
       ON CONFLICT (is_only) DO UPDATE SET id = excluded.id WHERE NOT EXISTS (SELECT FROM label_files)`,
      [id],
    );
    return this.isOurs();
  }

  /**
   * Claims it, or sees that it is ours.
   * @throws WeftError UNAVAILABLE where others keep theirs in another one
   */
  async demand(newId: () => Uuid): Promise<void> {
    if (await this.claim(newId)) return;
    throw new WeftError('UNAVAILABLE', 'label files are kept in a folder that this process does not have', {
      hint: 'give all processes the same WEFT_EXPORTS_DIR (or WEFT_DATA_DIR)',
      retryAfterMs: 5_000,
    });
  }

  /** Makes the folder of a label file; where its bytes are to go. */
  async make(labelFileId: Uuid): Promise<string> {
    await mkdir(this.of(labelFileId), { mode: FOLDER_MODE });
    return join(this.of(labelFileId), 'received');
  }

  of(labelFileId: Uuid): string {
    return join(this.path, labelFileId);
  }

  labelsOf({ id, storedAs }: Pick<LabelFile, 'id' | 'storedAs'>): string {
    return join(this.of(id), `labels.${storedAs ?? 'csv'}`);
  }

  setOf({ id, spec }: Pick<TrainingSetJob, 'id' | 'spec'>, labelFileId: Uuid): string {
    return join(this.of(labelFileId), setFileName(id, spec.format));
  }

  /** Bytes of a set and its manifest. */
  async setBytes(path: string): Promise<number> {
    const sizes = await Promise.all([path, manifestPathOf(path)].map(async (each) => (await stat(each)).size));
    return sizes.reduce((sum, size) => sum + size, 0);
  }

  /** What a process left that was killed while it wrote a set. */
  async removeParts(path: string): Promise<void> {
    await removeBeside(path, (name) => name.endsWith('.part'));
  }

  /** With its manifest, and all that its job would go on with. */
  async removeSet(path: string): Promise<void> {
    await removeBeside(path, () => true);
  }

  async removeAll(labelFileId: Uuid): Promise<void> {
    await rm(this.of(labelFileId), { recursive: true, force: true, maxRetries: 3 });
  }

  /** Removes what is kept of label files that the database does not tell of. */
  async tidy(): Promise<void> {
    // Names first: of each that is made, the database was told before.
    const ids = (await readdir(this.path)).filter(isUuid);
    const untold = await this.db.query<{ id: Uuid }>(
      `SELECT id FROM unnest($1::uuid[]) found (id) WHERE NOT EXISTS (SELECT FROM label_files f WHERE f.id = found.id)`,
      [ids],
    );
    for (const { id } of untold) await this.removeAll(id);
  }

  async #id(): Promise<Uuid | null> {
    const text = await readFile(join(this.path, ID_FILE), 'utf8').catch(() => '');
    return isUuid(text.trim()) ? text.trim() : null;
  }
}

/** Removes a file and those beside that are called so with an ending, if they are as wanted. */
async function removeBeside(path: string, isWanted: (name: string) => boolean): Promise<void> {
  const [folder, prefix] = [dirname(path), basename(path)];
  const names = (await readdir(folder).catch(() => [])).filter((name) => name.startsWith(prefix) && isWanted(name));
  for (const name of names) await rm(join(folder, name), { recursive: true, force: true, maxRetries: 3 });
}
