import { WeftError } from '../platform/errors.js';
import type { Queryable } from '../platform/postgres.js';
import { EntityFeatures } from './entity-features.js';
import { EntityRecordReader } from './entity-record.reader.js';
import { isEntityKey } from './entity.model.js';
import type { FeatureValue } from './feature.model.js';
import { FeatureReader, type StoredEntity, type StoredFeatureView } from './feature.reader.js';
import type { KnownAsOf, LabelRow, PlannedFeature } from './training-set.model.js';

/** The features of one entity in a set: where its key stands in a row, and where its values go. */
interface EntityPart {
  readonly features: EntityFeatures;
  /** Of the cells that labels hand through. */
  readonly keyCell: number;
  /** In the order of the entity's features. */
  readonly places: readonly number[];
}

/** What may be known of records. */
export interface RecordKnowledge {
  readonly knownAsOf: KnownAsOf;
  /** When the export began, ms: later records are in none of its rows. */
  readonly nowMs: number;
}

/**
 * The columns of a training set that are features of other entities than people: of the key that each row names in the
 * column of the entity's join key, as of its T, by the code that reads them online.
 */
export class EntityColumns {
  private constructor(private readonly parts: readonly EntityPart[]) {}

  /**
   * @param columns names of the cells that labels hand through
   * @returns null: all features are of people
   * @throws WeftError BAD_REQUEST where the labels have no column for a join key; NOT_FOUND for an entity that is gone
   */
  static async plan(
    db: Queryable,
    features: readonly PlannedFeature[],
    columns: readonly string[],
    sourceIds: ReadonlyMap<string, number>,
  ): Promise<EntityColumns | null> {
    const names = [...new Set(features.flatMap(({ entity }) => entity ?? []))];
    if (names.length === 0) return null;
    const entities = await new FeatureReader(db).entities();
    return new EntityColumns(
      names.map((name) => {
        const entity = entities.find((each) => each.name === name);
        if (entity === undefined)
          throw new WeftError('NOT_FOUND', `there is no entity ${name} any more`, { where: name });
        return partOf(entity, features, columns, sourceIds);
      }),
    );
  }

  /** Values with those of the entities put in their places, for each row; one read for each entity. */
  async fill(
    db: Queryable,
    labels: readonly LabelRow[],
    { knownAsOf, nowMs }: RecordKnowledge,
  ): Promise<(values: readonly FeatureValue[], row: number) => FeatureValue[]> {
    const reader = new EntityRecordReader(db);
    const found = await Promise.all(
      this.parts.map(({ features, keyCell, places }) => {
        const asks = labels.map(({ cells, timeMs }) => {
          const key = cells[keyCell] ?? '';
          const known = knownAsOf === 'now' ? nowMs : knownAsOf === 'event-time' ? timeMs : knownAsOf;
          return { key: isEntityKey(key) ? key : '', t: timeMs + 1, knownUntilMs: known };
        });
        return features.read(
          reader,
          asks,
          places.map((_, index) => index),
        );
      }),
    );
    return (values, row) => {
      const filled = [...values];
      for (const [i, { places }] of this.parts.entries()) {
        for (const [j, place] of places.entries())
          filled[place] = found[i]?.[row]?.[j] ?? (filled[place] as FeatureValue);
      }
      return filled;
    };
  }
}

function partOf(
  entity: StoredEntity,
  features: readonly PlannedFeature[],
  columns: readonly string[],
  sourceIds: ReadonlyMap<string, number>,
): EntityPart {
  const keyCell = columns.indexOf(entity.joinKey);
  const places = [...features.keys()].filter((place) => features[place]?.entity === entity.name);
  if (keyCell === -1) {
    const [first = 0] = places;
    const what = `the labels have no column ${entity.joinKey}, and ${features[first]?.definition.name ?? ''} is a feature of ${entity.name}`;
    const hint = `add the column ${entity.joinKey} with the key that each row is about`;
    throw new WeftError('BAD_REQUEST', what, { where: 'labels', hint });
  }
  const views = places.flatMap((place): StoredFeatureView[] => {
    const planned = features[place];
    if (planned === undefined) return [];
    const { definition, viewVersion: version } = planned;
    const { view: name, source } = definition;
    return [{ name, version, description: '', source, kind: 'batch', entity: entity.name, features: [definition] }];
  });
  const read = EntityFeatures.of([entity], views, sourceIds).get(entity.name);
  if (read === undefined) throw new TypeError('an entity without features');
  return { features: read, keyCell, places };
}
