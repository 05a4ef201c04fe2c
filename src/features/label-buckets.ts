import { appendFile, mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { hashId, partitionOf } from '../platform/ids.js';
import type { LabelRow } from './training-set.model.js';

export interface BucketShape {
  /** Of all labels together. */
  readonly rows: number;
  /** Rows of a bucket, about; at most twice as many, but for very many labels. */
  readonly bucketRows: number;
}

/** Files that are written at a time; of very many labels, buckets are larger instead. */
const MAX_HASHES = 512;
const MAX_BUFFERED_CHARS = 1 << 16;
const FILE_MODE = 0o600;

/**
 * Tells labels their buckets: those of one identifier are in the same one, but for who has very many. A function of the
 * labels in their order, so that it can be asked again.
 */
class BucketPlacer {
  readonly #hashes: number;
  readonly #maxRows: number;
  readonly #rows: number[] = [];
  /** The bucket that takes the labels of a hash now. */
  readonly #open = new Map<number, number>();

  constructor({ rows, bucketRows }: BucketShape) {
    this.#hashes = Math.min(MAX_HASHES, Math.max(1, Math.ceil(rows / bucketRows)));
    this.#maxRows = 2 * Math.max(bucketRows, Math.ceil(rows / this.#hashes));
  }

  get rows(): readonly number[] {
    return this.#rows;
  }

  place({ ns, value }: LabelRow): number {
    const hash = partitionOf(hashId(ns, value), this.#hashes);
    let bucket = this.#open.get(hash);
    if (bucket === undefined || this.#rows[bucket] === this.#maxRows) {
      bucket = this.#rows.length;
      this.#open.set(hash, bucket);
      this.#rows.push(0);
    }
    this.#rows[bucket] = (this.#rows[bucket] ?? 0) + 1;
    return bucket;
  }
}

/**
 * Labels on disk, in buckets of some thousand, so that those of one person can be answered together wherever they stand:
 * their events are read once then, rather than once for each stretch of labels.
 */
export class LabelBuckets {
  private constructor(
    private readonly folder: string,
    private readonly shape: BucketShape,
    /** Labels in each. */
    readonly rows: readonly number[],
  ) {}

  /** @param folder is made; what is in it goes */
  static async write(
    folder: string,
    labels: AsyncIterable<LabelRow>,
    shape: BucketShape,
    signal?: AbortSignal,
  ): Promise<LabelBuckets> {
    await rm(folder, { recursive: true, force: true });
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const placer = new BucketPlacer(shape);
    const buffers: string[] = [];
    const flush = async (bucket: number): Promise<void> => {
      signal?.throwIfAborted();
      await appendFile(join(folder, String(bucket)), buffers[bucket] ?? '', { mode: FILE_MODE });
      buffers[bucket] = '';
    };
    for await (const label of labels) {
      const bucket = placer.place(label);
      const text = `${buffers[bucket] ?? ''}${JSON.stringify([label.ns, label.value, label.timeMs, label.cells])}\n`;
      buffers[bucket] = text;
      if (text.length > MAX_BUFFERED_CHARS) await flush(bucket);
    }
    for (const bucket of buffers.keys()) await flush(bucket);
    return new LabelBuckets(folder, shape, placer.rows);
  }

  /** The labels of a bucket, in their order. */
  async read(bucket: number): Promise<LabelRow[]> {
    const text = await readFile(join(this.folder, String(bucket)), 'utf8');
    return text
      .trimEnd()
      .split('\n')
      .map((line) => {
        const [ns, value, timeMs, cells] = JSON.parse(line) as [string, string, number, string[]];
        return { ns, value, timeMs, cells };
      });
  }

  /** Asked for each label in their order, it tells the bucket. */
  placer(): (label: LabelRow) => number {
    const placer = new BucketPlacer(this.shape);
    return (label) => placer.place(label);
  }

  async remove(): Promise<void> {
    await rm(this.folder, { recursive: true, force: true });
  }
}
