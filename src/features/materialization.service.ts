import { readLogProgress } from '../events/applied-log.reader.js';
import { isEntityStream, meaningOf } from './entity-fold.model.js';
import { EntityStateReader } from './entity-state.reader.js';
import { WeftError } from '../platform/errors.js';
import { nameHint } from '../platform/near-names.js';
import type { Database } from '../platform/postgres.js';
import { FeatureReader, type StoredFeatureView } from './feature.reader.js';
import { isOfPeople } from './feature.model.js';
import { streamsOf } from './stream.model.js';

/** Between two looks, ms. */
const POLL_MS = 50;

export interface MaterializedView {
  readonly view: string;
  readonly kind: 'stream' | NonNullable<StoredFeatureView['kind']>;
  readonly features: number;
}

export interface Materialization {
  readonly views: readonly MaterializedView[];
  /** Every event accepted before the call counts: this many, since the beginning. */
  readonly events: number;
  /** How long that took, ms. */
  readonly waitedMs: number;
}

export interface MaterializationProgress {
  /** Events that are accepted and not applied, or not folded into the items of a view. */
  readonly waitingEvents: number;
  /** Views into which history is still being folded. */
  readonly waitingViews: readonly string[];
}

export interface MaterializationOptions {
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: MaterializationProgress) => void;
}

/**
 * What Feast calls materialization, for whoever expects a step that brings the online store up to date. Here events and
 * records are folded in as they come, so there is nothing to copy: the call waits until all that was accepted before it
 * counts in the views, and says so.
 */
export class MaterializationService {
  constructor(
    private readonly db: Database,
    private readonly sleep: (ms: number) => Promise<void> = pause,
  ) {}

  /**
   * @param names of views; empty: all
   * @throws WeftError NOT_FOUND for a view that there is not; UNAVAILABLE where it takes longer than it may
   */
  async materialize(names: readonly string[], options: MaterializationOptions): Promise<Materialization> {
    const views = await this.#viewsOf(names);
    const { headPos } = await readLogProgress(this.db);
    const startMs = performance.now();
    for (;;) {
      const progress = await this.#look(views, headPos);
      const waitedMs = Math.round(performance.now() - startMs);
      if (progress.waitingEvents === 0 && progress.waitingViews.length === 0) {
        return { views: views.map(shownView), events: headPos, waitedMs };
      }
      options.onProgress?.(progress);
      options.signal?.throwIfAborted();
      if (waitedMs >= options.timeoutMs) throw unfinished(progress);
      await this.sleep(POLL_MS);
    }
  }

  async #viewsOf(names: readonly string[]): Promise<StoredFeatureView[]> {
    const all = await new FeatureReader(this.db).allViews();
    if (names.length === 0) return all;
    return names.map((name) => {
      const view = all.find((each) => each.name === name);
      if (view !== undefined) return view;
      const known = all.map((each) => each.name);
      throw new WeftError('NOT_FOUND', `there is no feature view ${name.slice(0, 100)}`, {
        where: 'feature_views',
        hint: nameHint(name, known, 'weft features list shows those that there are'),
      });
    });
  }

  async #look(views: readonly StoredFeatureView[], headPos: number): Promise<MaterializationProgress> {
    const reader = new FeatureReader(this.db);
    const folded = new Map(views.filter(isEntityStream).map((view) => [view.name, meaningOf(view)]));
    const [{ appliedPos }, ids, ready, standings] = await Promise.all([
      readLogProgress(this.db),
      reader.streamIds(),
      reader.readyStreams(),
      new EntityStateReader(this.db).standings([...folded.values()]),
    ]);
    // Records of other entities are read as they are written; what events come to for items has an offset of its own.
    const isReady = (view: StoredFeatureView): boolean => {
      const meaning = folded.get(view.name);
      if (meaning !== undefined) return standings.get(meaning)?.isComplete === true;
      return !isOfPeople(view) || streamsOf(view.features).every(({ key }) => ready.has(ids.get(key) ?? -1));
    };
    const foldedPos = [...standings.values()].map(({ pos }) => pos);
    return {
      waitingEvents: Math.max(0, headPos - Math.min(appliedPos, ...foldedPos)),
      waitingViews: views.filter((view) => !isReady(view)).map(({ name }) => name),
    };
  }
}

function shownView({ name, kind, features }: StoredFeatureView): MaterializedView {
  return { view: name, kind: kind ?? 'stream', features: features.length };
}

function unfinished({ waitingEvents, waitingViews }: MaterializationProgress): WeftError {
  const message =
    waitingViews.length === 0
      ? `${String(waitingEvents)} events are not applied yet`
      : `history is still being folded into ${waitingViews.slice(0, 5).join(', ')}`;
  return new WeftError('UNAVAILABLE', message, {
    hint: 'ask again later; weft doctor tells whether a worker is at it',
    retryAfterMs: 5_000,
  });
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
