import type { ParityFindings } from './monitoring/feature-parity.model.js';
import { FeatureParityStore } from './monitoring/feature-parity.store.js';
import type { Clock } from './platform/clock.js';
import { LEAST_ID, type Uuid } from './platform/ids.js';
import { Periodic } from './platform/periodic.js';
import type { Queryable } from './platform/postgres.js';

/** Those whose features are compared, one pass after the other. */
export interface ParityWalk<T> {
  /**
   * The next ones of a page whose hash falls into the share; none may be of it.
   * @param share 0 to 1
   */
  next(share: number, most: number): Promise<readonly T[]>;
}

/** @typeParam T one of those that are compared, as people or items */
export interface ParityWatchOptions<T> {
  readonly db: Queryable;
  readonly clock: Clock;
  readonly walk: ParityWalk<T>;
  readonly sampler: {
    compare(some: readonly T[], onProgress: undefined, signal: AbortSignal): Promise<ParityFindings<unknown>>;
  };
  /** The share of them that one pass compares, 0 to 1. */
  readonly share: number;
  /** How many are compared in a minute, at most. */
  readonly perMinute: number;
  readonly observer: ParityObserver;
  /** It is tried again with the next look. */
  readonly onError: (error: unknown) => void;
}

export interface ParityObserver {
  compared(round: Pick<ParityFindings<unknown>, 'skipped' | 'figures'>): void;
}

const EVERY_MS = 10_000;
/** People that one look chooses from. */
const PAGE_PROFILES = 10_000;

/**
 * Compares served features with the log, some people or items every few seconds. One pass goes through all of them and
 * takes those whose hash falls into the share; the next takes others. Where several processes watch, each does.
 */
export class ParityWatch<T> {
  readonly #options: ParityWatchOptions<T>;
  readonly #looks: Periodic;
  readonly #stop = new AbortController();

  constructor(options: ParityWatchOptions<T>) {
    this.#options = options;
    this.#looks = new Periodic(() => this.#look(), EVERY_MS, options.onError);
  }

  start(): void {
    this.#looks.start();
  }

  stop(): Promise<void> {
    this.#stop.abort();
    return this.#looks.stop();
  }

  /** One look. */
  look(): Promise<void> {
    return this.#looks.run();
  }

  async #look(): Promise<void> {
    const { db, clock, walk, sampler, share, perMinute, observer } = this.#options;
    const some = await walk.next(share, Math.max(1, Math.round((perMinute * EVERY_MS) / 60_000)));
    if (this.#stop.signal.aborted) return;
    const store = new FeatureParityStore(db);
    if (some.length > 0) {
      const round = await sampler.compare(some, undefined, this.#stop.signal).catch((error: unknown) => {
        if (this.#stop.signal.aborted) return null;
        throw error;
      });
      if (round === null) return;
      await store.add(round.figures, clock.now());
      observer.compared(round);
    }
    await store.sweep(clock.now());
  }
}

/** Goes through all people by id. */
export class ProfileWalk implements ParityWalk<Uuid> {
  #afterId: Uuid = LEAST_ID;

  /** @param pass which of the shares is taken first */
  constructor(
    private readonly db: Queryable,
    private pass: number,
  ) {}

  async next(share: number, most: number): Promise<readonly Uuid[]> {
    const page = await this.db.query<{ id: Uuid; isChosen: boolean }>(
      `WITH page AS (SELECT id FROM profiles WHERE id > $1::uuid AND merged_into IS NULL ORDER BY id LIMIT $2::int4)
       SELECT id, "isChosen" FROM (
         SELECT id, (hashtextextended(id::text, $3::int8) & 1048575) < $4::float8 * 1048576 AS "isChosen",
                id = last_value(id) OVER (ORDER BY id ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) AS "isLast"
         FROM page) p WHERE "isChosen" OR "isLast" ORDER BY id`,
      [this.#afterId, PAGE_PROFILES, this.pass, share],
    );
    const chosen = page.filter(({ isChosen }) => isChosen).map(({ id }) => id);
    const taken = chosen.slice(0, most);
    const next = chosen.length > most ? taken.at(-1) : page.at(-1)?.id;
    if (next === undefined) this.pass += 1;
    this.#afterId = next ?? LEAST_ID;
    return taken;
  }
}

/** Profiles for one look at any of them, chosen by hash. */
export async function chooseProfiles(db: Queryable, count: number, seed: number): Promise<readonly Uuid[]> {
  const rows = await db.query<{ id: Uuid }>(
    `SELECT id FROM profiles WHERE merged_into IS NULL ORDER BY hashtextextended(id::text, $2::int8) LIMIT $1::int4`,
    [count, seed],
  );
  return rows.map(({ id }) => id);
}
