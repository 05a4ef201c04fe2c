import type { Clock } from '../platform/clock.js';
import { Periodic } from '../platform/periodic.js';
import type { Queryable } from '../platform/postgres.js';
import { VOLUME_HOURS } from '../platform/unusual-volume.js';
import { detectAnomalies, type SourceSeries } from './detect-anomalies.js';
import { HOUR_MS, hourOf } from './source-activity.model.js';
import { SourceActivityReader } from './source-activity.reader.js';
import type { AnomalyKind } from './source-anomaly.model.js';
import { SourceAnomalyReader, type OpenAnomaly } from './source-anomaly.reader.js';
import { SourceAnomalyStore } from './source-anomaly.store.js';
import type { Source } from './source.model.js';

export interface AnomalyObserver {
  began(sourceKey: string, kind: AnomalyKind, expected: number, seen: number): void;
  ended(sourceKey: string, kind: AnomalyKind): void;
}

export interface AnomalyWatchOptions {
  readonly db: Queryable;
  readonly clock: Clock;
  readonly sources: { list(): Promise<readonly Pick<Source, 'id' | 'key' | 'paused'>[]> };
  /** False: only what others noticed is read. */
  readonly detects: boolean;
  readonly observer: AnomalyObserver;
  /** Removes counts that are too old to be kept. */
  readonly sweep: () => Promise<void>;
  /** It is tried again with the next look. */
  readonly onError: (error: unknown) => void;
  /** Time between two looks, ms. Default 2 minutes. */
  readonly everyMs?: number;
}

const EVERY_MS = 120_000;
/** Open at once, as far as metrics tell. */
const MAX_OPEN = 300;

/**
 * Looks every few minutes whether what sources send is unusual, and keeps a record of when it was. Several processes may
 * look: what one has noticed, the others leave alone.
 */
export class AnomalyWatch {
  readonly #options: AnomalyWatchOptions;
  readonly #looks: Periodic;
  readonly #store: SourceAnomalyStore;
  #open: readonly OpenAnomaly[] = [];

  constructor(options: AnomalyWatchOptions) {
    this.#options = options;
    this.#store = new SourceAnomalyStore(options.db);
    this.#looks = new Periodic(() => this.#look(), options.everyMs ?? EVERY_MS, options.onError);
  }

  /** As of the last look. */
  get open(): readonly OpenAnomaly[] {
    return this.#open;
  }

  start(): void {
    this.#looks.start();
    void this.#looks.run();
  }

  stop(): Promise<void> {
    return this.#looks.stop();
  }

  /** One look. */
  look(): Promise<void> {
    return this.#looks.run();
  }

  async #look(): Promise<void> {
    const { db, clock, sources, detects, sweep } = this.#options;
    if (detects) {
      const known = await sources.list();
      const lastSeen = await new SourceActivityReader(db).lastSeen(known.map(({ id }) => id));
      for (const source of known) await this.#examine(source, lastSeen.get(source.id) ?? null);
      await this.#store.sweep(clock.now());
      await sweep();
    }
    this.#open = await new SourceAnomalyReader(db).open(MAX_OPEN);
  }

  async #examine(source: Pick<Source, 'id' | 'key' | 'paused'>, lastSeenAt: number | null): Promise<void> {
    const { db, clock, observer } = this.#options;
    const nowMs = clock.now();
    // Of a source that is paused nothing is expected.
    const found =
      lastSeenAt === null || source.paused
        ? []
        : detectAnomalies(await readSeries(db, source.id, lastSeenAt, nowMs), nowMs);
    for (const anomaly of found) {
      const isNew = await this.#store.open(source.id, anomaly);
      if (isNew) observer.began(source.key, anomaly.kind, anomaly.expected, anomaly.seen);
    }
    const kinds = found.map(({ kind }) => kind);
    for (const kind of await this.#store.close(source.id, kinds, nowMs)) observer.ended(source.key, kind);
  }
}

/** Loaded history is no traffic: it comes when somebody loads it. */
async function readSeries(db: Queryable, sourceId: number, lastSeenAt: number, nowMs: number): Promise<SourceSeries> {
  const endMs = hourOf(nowMs);
  const hours = await new SourceActivityReader(db).hours(sourceId, endMs - VOLUME_HOURS * HOUR_MS);
  const firstMs = Math.min(hours[0]?.hour ?? endMs, endMs);
  const counts = new Array<number>((endMs - firstMs) / HOUR_MS).fill(0);
  for (const { hour, accepted, loaded } of hours) {
    if (hour < endMs) counts[(hour - firstMs) / HOUR_MS] = accepted - loaded;
  }
  return { counts, endMs, lastSeenAt };
}
