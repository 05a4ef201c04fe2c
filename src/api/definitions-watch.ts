import type { Database } from '../platform/postgres.js';
import { WeftError } from '../platform/errors.js';
import type { ApiDefinitions, DefinitionsSource } from './api-definitions.model.js';
import { SettledFeatures } from './settled-features.js';

export interface DefinitionsWatchOptions {
  readonly db: Database;
  /** Not shared with a worker, which decides by itself when to load anew. */
  readonly source: DefinitionsSource;
  /** Told of the version of the stored documents at each look. */
  readonly documents?: { sync(version: number): Promise<void> };
  /** How soon a change made by another process is seen, ms. Default 500. */
  readonly pollMs?: number;
  readonly onError: (error: unknown) => void;
}

/**
 * The definitions that requests read with: always there, so that no request waits for them, and renewed in the background
 * when somebody changed them. A load that fails leaves those that were.
 */
export class DefinitionsWatch {
  /** Which features every profile has in full. */
  readonly settled = new SettledFeatures();
  readonly #options: DefinitionsWatchOptions;
  #loaded: ApiDefinitions | null = null;
  #mark = '';
  #swept = false;
  #refreshing: Promise<void> | null = null;
  #timer: NodeJS.Timeout | null = null;

  constructor(options: DefinitionsWatchOptions) {
    this.#options = options;
  }

  /** @throws WeftError UNAVAILABLE before `start` */
  get current(): ApiDefinitions {
    if (this.#loaded !== null) return this.#loaded;
    throw new WeftError('UNAVAILABLE', 'the definitions are not loaded yet', { retryAfterMs: 1_000 });
  }

  /** True once every profile has been evaluated with the definitions in force. */
  get swept(): boolean {
    return this.#swept;
  }

  async start(): Promise<void> {
    await this.refresh();
    this.#schedule();
  }

  async stop(): Promise<void> {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    await this.#underway();
  }

  /** Resolves when what was committed before the call is in force here. */
  async refresh(): Promise<void> {
    await this.#underway();
    this.#refreshing ??= this.#refresh().finally(() => {
      this.#refreshing = null;
    });
    await this.#refreshing;
  }

  /** As `refresh`, whether or not a change can be told from the outside. */
  async reload(): Promise<void> {
    this.#mark = '';
    await this.refresh();
  }

  /** Waits for a look that began before. Its failure is told to the one who began it. */
  async #underway(): Promise<void> {
    await this.#refreshing?.catch(() => undefined);
  }

  async #refresh(): Promise<void> {
    const { db, source } = this.#options;
    const [row] = await db.query<{
      version: number;
      marks: number;
      documents: number;
      edited: number;
      streams: number;
      folding: number;
      isSwept: boolean;
    }>(
      `SELECT definitions_version AS version, marks_version AS marks, documents_version AS documents,
              (SELECT coalesce(max(updated_at), 0) FROM segments)::int8 AS edited,
              (SELECT count(*) FROM stream_backfills)::int4 AS streams,
              (SELECT count(*) FROM stream_backfills WHERE done_pos < since_pos)::int4 AS folding,
              (SELECT min(swept_version) FROM partitions) >= definitions_version
                AND NOT EXISTS (SELECT FROM timers WHERE is_swept) AS "isSwept"
       FROM installation`,
    );
    const mark = JSON.stringify([row?.version, row?.marks, row?.edited, row?.streams, row?.folding]);
    this.#swept = row?.isSwept === true;
    if (row !== undefined) await this.#options.documents?.sync(row.documents);
    if (mark === this.#mark && this.#loaded !== null) {
      this.settled.observe(this.#loaded, this.#swept);
      return;
    }
    source.invalidate();
    this.#loaded = await source.current();
    this.#mark = mark;
    // They may be newer than what was asked about everybody.
    this.settled.observe(this.#loaded, false);
  }

  #schedule(): void {
    this.#timer = setTimeout(() => {
      this.refresh()
        .catch(this.#options.onError)
        .finally(() => {
          if (this.#timer !== null) this.#schedule();
        });
    }, this.#options.pollMs ?? 500);
    this.#timer.unref();
  }
}
