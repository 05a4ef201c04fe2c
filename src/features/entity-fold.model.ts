import { WeftError } from '../platform/errors.js';
import { hashId, type Uuid } from '../platform/ids.js';
import type { AnchorState } from './anchor-state.model.js';
import { compileWhere, type WhereFilter } from './compile-where.js';
import { isEntityKey } from './entity.model.js';
import { FeatureSet } from './feature-set.model.js';
import type { FeatureEvent, FeatureView } from './feature.model.js';
import { streamsOf } from './stream.model.js';
import { parseValuePath, valueAt, type ValuePath } from './value-path.js';

/** A view of an entity whose features are computed from events of people that name its items. */
export interface EntityStreamView extends FeatureView {
  readonly entity: string;
  readonly key: string;
}

export function isEntityStream<V extends FeatureView>(view: V): view is V & EntityStreamView {
  return view.entity !== undefined && view.key !== undefined;
}

/** What decides the content of its states: equal meanings are folded once, whatever the views are called. */
export function meaningOf({ entity, key, features }: EntityStreamView): Uuid {
  return hashId('entity-fold', entity, key, ...streamsOf(features).map((stream) => stream.key));
}

/** Which events a stream takes, beyond its key. */
interface Taken {
  /** Empty: every event. */
  readonly names: ReadonlySet<string>;
  /** Null: any; undefined: of a source that there is not. */
  readonly sourceId: number | null | undefined;
  readonly where: WhereFilter | null;
}

/** One view of an entity, ready to be folded and read; its set holds the features of the view in their order. */
export class EntityFold {
  readonly meaning: Uuid;
  readonly set: FeatureSet;
  readonly #path: ValuePath;
  readonly #taken: readonly Taken[];

  /** @throws WeftError DEFINITION_INVALID for a bad filter, path or window */
  constructor(
    readonly view: EntityStreamView,
    sourceIds: ReadonlyMap<string, number>,
  ) {
    const { features, key } = view;
    const streams = streamsOf(features);
    this.meaning = meaningOf(view);
    this.set = FeatureSet.compile(features, new Map(streams.map((stream, i) => [stream.key, i + 1])), sourceIds);
    this.#path = parseValuePath(key);
    this.#taken = streams.map(({ events, source, where }) => ({
      names: new Set(events),
      sourceId: source === null ? null : sourceIds.get(source),
      where: where === null ? null : compileWhere(where),
    }));
  }

  /**
   * The key of the item that an event is about; null: it counts for none. Every event that a stream takes has one,
   * whether or not it changes the state as it is: it may once others are gone.
   */
  keyOf(event: FeatureEvent): string | null {
    if (!this.#taken.some((taken) => takes(taken, event))) return null;
    const value = valueAt(event, this.#path);
    const key = typeof value === 'number' && Number.isSafeInteger(value) ? String(value) : value;
    return typeof key === 'string' && isEntityKey(key) ? key : null;
  }

  /** @param packed undefined or empty: no event named the item @returns null: it cannot be read */
  stateOf(packed: Buffer | undefined): AnchorState | null {
    if (packed === undefined || packed.length === 0) return this.set.empty();
    try {
      return this.set.decode(packed);
    } catch (error) {
      if (error instanceof WeftError && error.code === 'INTERNAL') return null;
      throw error;
    }
  }
}

function takes({ names, sourceId, where }: Taken, event: FeatureEvent): boolean {
  if (names.size > 0 && !names.has(event.name)) return false;
  return (sourceId === null || sourceId === event.sourceId) && (where === null || where(event));
}
