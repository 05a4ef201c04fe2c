import type { EntityRecordReader, RecordAsk, RecordKind } from './entity-record.reader.js';
import { recordEvent } from './entity.model.js';
import type { FeatureValue } from './feature.model.js';
import type { StoredEntity, StoredFeatureView } from './feature.reader.js';
import { FeatureSet } from './feature-set.model.js';
import { streamsOf } from './stream.model.js';
import type { FeatureDefinition } from './feature.model.js';

/** A feature of an entity, in the version of its view. */
export interface EntityFeature {
  readonly definition: FeatureDefinition;
  readonly viewVersion: number;
  /** In the set of the entity. */
  readonly index: number;
}

/** One key, as of when. */
export interface EntityAsk {
  readonly key: string;
  /** The instant that values are of: records that occurred before count, ms. */
  readonly t: number;
  /** Records that were accepted later are not known, ms; left out: all are. */
  readonly knownUntilMs?: number;
}

/**
 * The features of one entity, ready to be read: the winner among the records of a key is chosen by the aggregator that
 * chooses that of people's records (`record-row.ts`), online and as of any instant.
 */
export class EntityFeatures {
  /** By name, in the order of the views. */
  readonly features: ReadonlyMap<string, EntityFeature>;
  readonly #set: FeatureSet;
  readonly #kinds: readonly RecordKind[];

  private constructor(
    readonly entity: StoredEntity,
    readonly views: readonly StoredFeatureView[],
    sourceIds: ReadonlyMap<string, number>,
  ) {
    const all = views.flatMap(({ features, version }) => features.map((definition) => ({ definition, version })));
    const definitions = all.map(({ definition }) => definition);
    const streams = new Map(streamsOf(definitions).map(({ key }, i) => [key, i + 1]));
    this.#set = FeatureSet.compile(definitions, streams, sourceIds);
    this.features = new Map(
      all.map(({ definition, version }, index) => [definition.name, { definition, viewVersion: version, index }]),
    );
    const kinds = definitions.map(({ source, events }) => ({
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
   * Values of these features for each ask, in their orders; one read, whatever the number of keys and views.
   * @param indexes those of {@link EntityFeature}
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
}
