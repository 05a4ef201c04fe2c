import type { Uuid } from '../platform/ids.js';
import type { Queryable } from '../platform/postgres.js';
import type { AnchorState } from './anchor-state.model.js';
import { EntityFold, isEntityStream } from './entity-fold.model.js';
import { EntityRecordReader, type RecordAsk, type RecordKind } from './entity-record.reader.js';
import { EntityStateReader } from './entity-state.reader.js';
import { recordEvent } from './entity.model.js';
import type { FeatureDefinition, FeatureValue } from './feature.model.js';
import type { StoredEntity, StoredFeatureView } from './feature.reader.js';
import { FeatureSet } from './feature-set.model.js';
import { streamsOf } from './stream.model.js';

/** A feature of an entity, in the version of its view. */
export interface EntityFeature {
  readonly definition: FeatureDefinition;
  readonly viewVersion: number;
  /** In the set of its fold; of a column of records, in that of the entity. */
  readonly index: number;
  /** What it is read from; null: from records. */
  readonly fold: EntityFold | null;
}

/** One key, as of when. */
export interface EntityAsk {
  readonly key: string;
  /** The instant that values are of: records that occurred before count, ms. */
  readonly t: number;
  /** Records that were accepted later are not known, ms; left out: all are. */
  readonly knownUntilMs?: number;
}

/** Values of some features for some keys. */
export interface EntityValues {
  /** For each key, in the order of the features. */
  readonly rows: readonly (readonly FeatureValue[])[];
  /** Whether all of history is in the value of this feature for the key at this index. */
  readonly isComplete: (feature: EntityFeature, row: number) => boolean;
  /** States that cannot be read; their values are `NOT_FOUND`. */
  readonly damaged: readonly DamagedItem[];
}

/** An item of a fold. */
export interface DamagedItem {
  readonly meaning: Uuid;
  readonly key: string;
}

/** What is told of an item whose state cannot be read, until it is folded anew. */
export const UNREADABLE_VALUE: FeatureValue = {
  status: 'NOT_FOUND',
  value: null,
  eventTs: null,
  validUntil: Infinity,
  approximate: false,
};

/**
 * The features of one entity, ready to be read: the winner among the records of a key is chosen by the aggregator that
 * chooses that of people's records (`record-row.ts`), online and as of any instant; what events came to is folded by
 * those of people's events (`entity-fold.model.ts`).
 */
export class EntityFeatures {
  /** By name, in the order of the views. */
  readonly features: ReadonlyMap<string, EntityFeature>;
  /** What is computed from events, each meaning once. */
  readonly folds: readonly EntityFold[];
  readonly #set: FeatureSet;
  readonly #kinds: readonly RecordKind[];

  private constructor(
    readonly entity: StoredEntity,
    readonly views: readonly StoredFeatureView[],
    sourceIds: ReadonlyMap<string, number>,
  ) {
    const folds = new Map<Uuid, EntityFold>();
    const features: EntityFeature[] = [];
    const columns: FeatureDefinition[] = [];
    for (const view of views) {
      const own = isEntityStream(view) ? new EntityFold(view, sourceIds) : null;
      if (own !== null && !folds.has(own.meaning)) folds.set(own.meaning, own);
      for (const [i, definition] of view.features.entries()) {
        const index = own === null ? columns.push(definition) - 1 : i;
        features.push({ definition, viewVersion: view.version, index, fold: own });
      }
    }
    const streams = new Map(streamsOf(columns).map(({ key }, i) => [key, i + 1]));
    this.#set = FeatureSet.compile(columns, streams, sourceIds);
    this.features = new Map(features.map((feature) => [feature.definition.name, feature]));
    this.folds = [...folds.values()];
    const kinds = columns.map(({ source, events }) => ({
      sourceId: sourceIds.get(source ?? '') ?? 0,
      name: events[0] ?? '',
    }));
    this.#kinds = [...new Map(kinds.map((kind) => [JSON.stringify(kind), kind])).values()];
  }

  /** Of each entity that is defined, by name. */
  static of(
    entities: readonly StoredEntity[],
    views: readonly StoredFeatureView[],
    sourceIds: ReadonlyMap<string, number>,
  ): Map<string, EntityFeatures> {
    return new Map(
      entities.map((entity) => {
        const own = views.filter((view) => view.entity === entity.name);
        return [entity.name, new EntityFeatures(entity, own, sourceIds)];
      }),
    );
  }

  /**
   * Columns of records for each ask, in their orders; one read, whatever the number of keys and views.
   * @param indexes those of {@link EntityFeature}, of features without a fold
   */
  async read(
    reader: EntityRecordReader,
    asks: readonly EntityAsk[],
    indexes: readonly number[],
  ): Promise<FeatureValue[][]> {
    const wanted = asks.map(({ key, t, knownUntilMs = Number.MAX_SAFE_INTEGER }): RecordAsk => {
      return { key, untilMs: t - 1, knownUntilMs };
    });
    const records = await reader.newest(this.entity.name, this.#kinds, wanted);
    return asks.map(({ t }, i) => {
      const state = this.#set.empty();
      for (const record of records[i] ?? []) this.#set.apply(state, recordEvent(record));
      return indexes.map((index) => this.#set.value(state, index, t));
    });
  }

  /** Values at `t`, which is now: records in one read, what events came to in another. */
  async readNow(
    db: Queryable,
    keys: readonly string[],
    asked: readonly EntityFeature[],
    t: number,
  ): Promise<EntityValues> {
    const columns = asked.filter(({ fold }) => fold === null);
    const meanings = [...new Set(asked.flatMap(({ fold }) => fold?.meaning ?? []))];
    const [records, states] = await Promise.all([
      columns.length === 0 ? null : this.#readColumns(db, keys, columns, t),
      meanings.length === 0 ? null : new EntityStateReader(db).states(meanings, keys),
    ]);
    const damaged = new Map<string, DamagedItem>();
    const rows = keys.map((key, row) => {
      const unpacked = new Map<Uuid, AnchorState>();
      let column = 0;
      return asked.map(({ fold, index }): FeatureValue => {
        if (fold === null) {
          const value = records?.[row]?.[column++];
          if (value === undefined) throw new TypeError('a value is missing');
          return value;
        }
        const { meaning, set } = fold;
        if (damaged.has(`${meaning} ${key}`)) return UNREADABLE_VALUE;
        // States belong to the set that made them: equal meanings have sets of their own where views differ in features.
        const cached = unpacked.get(meaning);
        const state = cached?.set === set ? cached : fold.stateOf(states?.of(meaning, key));
        if (state === null) {
          damaged.set(`${meaning} ${key}`, { meaning, key });
          return UNREADABLE_VALUE;
        }
        unpacked.set(meaning, state);
        return set.value(state, index, t);
      });
    });
    const isDamaged = (meaning: Uuid, row: number): boolean => damaged.has(`${meaning} ${keys[row] ?? ''}`);
    return {
      rows,
      isComplete: ({ fold }, row) =>
        fold === null || (states?.standings.get(fold.meaning)?.isComplete === true && !isDamaged(fold.meaning, row)),
      damaged: [...damaged.values()],
    };
  }

  #readColumns(db: Queryable, keys: readonly string[], columns: readonly EntityFeature[], t: number) {
    return this.read(
      new EntityRecordReader(db),
      keys.map((key) => ({ key, t })),
      columns.map(({ index }) => index),
    );
  }
}
