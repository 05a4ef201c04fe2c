import type { EventHistoryReader, HistoryOptions, KeyGroup } from '../events/event-history.reader.js';
import { WeftError } from '../platform/errors.js';
import type { Queryable, Transaction } from '../platform/postgres.js';
import { EntityFeatures } from './entity-features.js';
import { EntityRecordReader } from './entity-record.reader.js';
import { EntityStateReader } from './entity-state.reader.js';
import { isEntityKey } from './entity.model.js';
import type { FeatureValue } from './feature.model.js';
import { FeatureReader, type StoredEntity, type StoredFeatureView } from './feature.reader.js';
import { FeatureSet } from './feature-set.model.js';
import { ItemHistories, type ItemHistoryCounts } from './item-histories.js';
import { streamsOf } from './stream.model.js';
import { HistoryFold, valuesOf, type FoldRow } from './training-set-fold.js';
import type { EntityStatus, KnownAsOf, LabelRow, PlannedFeature } from './training-set.model.js';

/** Features that are computed from the events of an item, and where they go. */
interface FoldedPart {
  /** What the view means, by which its index is found. */
  readonly meaning: string;
  readonly set: FeatureSet;
  /** In the order of the set. */
  readonly places: readonly number[];
}

/** The features of one entity in a set: where its key stands in a row, and where its values go. */
interface EntityPart {
  readonly joinKey: string;
  /** Of the cells that labels hand through; -1: rows are about the item itself, as their identifier says. */
  readonly keyCell: number;
  /** Columns of records; null: there are none. */
  readonly columns: { readonly features: EntityFeatures; readonly places: readonly number[] } | null;
  readonly folded: readonly FoldedPart[];
}

/** What may be known of records and events. */
export interface EntityKnowledge {
  readonly knownAsOf: KnownAsOf;
  /** When the export began, ms: later records are in none of its rows. */
  readonly nowMs: number;
  /** Later events of the log are not in. */
  readonly toPos: number;
  readonly onDamaged: HistoryOptions['onDamaged'];
}

/** What the entities give to the rows of a chunk. */
export interface EntityFill {
  /** Values of a row with those of the entities put in their places. */
  values(values: readonly FeatureValue[], row: number): FeatureValue[];
  /** Of a row that is about an item and nobody: whether anything is known of it; null: it is about a person. */
  status(row: number): EntityStatus | null;
}

/**
 * The columns of a training set that are features of other entities than people: of the key that each row names in the
 * column of the entity's join key, or of the item that the row itself is about, as of its T, by the code that reads them
 * online.
 */
export class EntityColumns {
  private constructor(
    private readonly parts: readonly EntityPart[],
    private readonly histories: ItemHistories,
  ) {}

  /** How often histories of items were read so far, and how often taken from memory. */
  get historyCounts(): ItemHistoryCounts {
    return this.histories.counts;
  }

  /**
   * @param columns names of the cells that labels hand through
   * @returns null: all features are of people
   * @throws WeftError NOT_FOUND for an entity that is gone
   */
  static async plan(
    db: Queryable,
    events: EventHistoryReader,
    features: readonly PlannedFeature[],
    columns: readonly string[],
    sourceIds: ReadonlyMap<string, number>,
  ): Promise<EntityColumns | null> {
    const names = [...new Set(features.flatMap(({ entity }) => entity ?? []))];
    if (names.length === 0) return null;
    const entities = await new FeatureReader(db).entities();
    const parts = names.map((name) => {
      const entity = entities.find((each) => each.name === name);
      if (entity === undefined)
        throw new WeftError('NOT_FOUND', `there is no entity ${name} any more`, { where: name });
      return partOf(entity, features, columns, sourceIds);
    });
    return new EntityColumns(parts, new ItemHistories(events));
  }

  /**
   * What the entities give to these rows; one read for each entity, and one for each of its views that is computed from
   * events, of the items whose histories are not in memory yet.
   * @throws WeftError BAD_REQUEST for a row that names no item and is about none
   */
  async fill(tx: Transaction, labels: readonly LabelRow[], known: EntityKnowledge): Promise<EntityFill> {
    await this.#demandFolded(tx, known.toPos);
    const found: Map<number, FeatureValue>[] = labels.map(() => new Map<number, FeatureValue>());
    for (const part of this.parts) {
      const keys = labels.map((label) => keyOf(part, label));
      await fillColumns(tx, part, { labels, keys, known }, found);
      // One cursor at a time.
      for (const folded of part.folded) await this.#fold(tx, folded, { labels, keys, known }, found);
    }
    const own = new Map(this.parts.filter(({ keyCell }) => keyCell === -1).map((part) => [part.joinKey, part]));
    return {
      values: (values, row) => values.map((value, place) => found[row]?.get(place) ?? value),
      status: (row) => {
        const label = labels[row];
        const part = label === undefined ? undefined : own.get(label.ns);
        if (label === undefined || part === undefined) return null;
        if (!isEntityKey(label.value)) return 'INVALID';
        const isKnown = [...(part.columns?.places ?? []), ...part.folded.flatMap(({ places }) => places)].some(
          (place) => found[row]?.get(place)?.eventTs != null,
        );
        return isKnown ? 'FOUND' : 'NOT_FOUND';
      },
    };
  }

  /** The index of a view that means something else by now goes: what is left of it says nothing. */
  async #demandFolded(tx: Transaction, toPos: number): Promise<void> {
    const meanings = this.parts.flatMap(({ folded }) => folded.map(({ meaning }) => meaning));
    if (meanings.length === 0) return;
    const standings = await new EntityStateReader(tx).standings(meanings);
    const isThere = (meaning: string): boolean => {
      const standing = standings.get(meaning);
      return standing?.isComplete === true && standing.pos >= toPos;
    };
    if (meanings.every(isThere)) return;
    throw new WeftError('CONFLICT', 'a view of an entity was changed while the training set was made', {
      where: 'features',
      hint: 'make it again once events are folded into the items of the view as it is now',
    });
  }

  async #fold(
    tx: Transaction,
    { meaning, set, places }: FoldedPart,
    { labels, keys, known }: Asked,
    found: readonly Map<number, FeatureValue>[],
  ): Promise<void> {
    const answer = (row: number, values: readonly FeatureValue[]): void => {
      for (const [i, place] of places.entries()) {
        const value = values[i];
        if (value !== undefined) found[row]?.set(place, value);
      }
    };
    const items = new Map<string, FoldRow[]>();
    for (const [index, { timeMs }] of labels.entries()) {
      const key = keys[index] ?? '';
      const rows = items.get(key) ?? [];
      items.set(key, rows);
      rows.push({ index, timeMs, request: null });
    }
    const asked = [...items].map(([key, rows]) => ({ key, rows, untilMs: Math.max(...rows.map((r) => r.timeMs)) }));
    const groups: KeyGroup[] = asked.map(({ key, untilMs }) => ({ key, untilMs }));
    const options = historyOptions(known);
    let current = -1;
    let fold: HistoryFold | null = null;
    const foldOf = (group: number): HistoryFold =>
      new HistoryFold(set, asked[group]?.rows ?? [], (row, { values }) => {
        answer(row, values);
      });
    const begun = new Set<number>();
    for await (const page of this.histories.read(tx, meaning, groups, options)) {
      for (const { group, event } of page) {
        if (group !== current) {
          fold?.finish();
          fold = foldOf(group);
          current = group;
          begun.add(group);
        }
        fold?.add(event, options.order === 'accepted' ? event.acceptedAt : event.occurredAt);
      }
    }
    fold?.finish();
    const nothing = valuesOf(set, set.empty(), 0);
    for (const [group, { rows }] of asked.entries()) {
      if (!begun.has(group)) for (const { index } of rows) answer(index, nothing);
    }
  }
}

/** What is asked of one entity. */
interface Asked {
  readonly labels: readonly LabelRow[];
  /** At the index of each row; empty: it names none. */
  readonly keys: readonly string[];
  readonly known: EntityKnowledge;
}

async function fillColumns(
  db: Queryable,
  { columns }: EntityPart,
  { labels, keys, known: { knownAsOf, nowMs } }: Asked,
  found: readonly Map<number, FeatureValue>[],
): Promise<void> {
  if (columns === null) return;
  const { features, places } = columns;
  const asks = labels.map(({ timeMs }, row) => {
    const knownUntilMs = knownAsOf === 'now' ? nowMs : knownAsOf === 'event-time' ? timeMs : knownAsOf;
    return { key: keys[row] ?? '', t: timeMs + 1, knownUntilMs };
  });
  const indexes = places.map((_, index) => index);
  const values = await features.read(new EntityRecordReader(db), asks, indexes);
  for (const [row, own] of values.entries())
    for (const [j, value] of own.entries()) found[row]?.set(places[j] ?? -1, value);
}

/** The same for all rows of a set, as histories are kept for those that come. */
function historyOptions({ knownAsOf, toPos, onDamaged }: EntityKnowledge): HistoryOptions {
  const log = { toPos, onDamaged };
  if (knownAsOf === 'now') return { ...log, order: 'occurred' };
  if (knownAsOf !== 'event-time') return { ...log, order: 'occurred', acceptedUntilMs: knownAsOf };
  // What is accepted has occurred: by the time it is known it counts.
  return { ...log, order: 'accepted' };
}

function keyOf({ joinKey, keyCell }: EntityPart, { ns, value, cells }: LabelRow): string {
  if (keyCell === -1 && ns !== joinKey) {
    throw new WeftError('BAD_REQUEST', `a row names no ${joinKey}, and is about ${ns.slice(0, 50)}`, {
      where: 'labels',
      hint: `add the column ${joinKey} with the key that each row is about, or write ${joinKey} as the ns of all rows`,
    });
  }
  const key = keyCell === -1 ? value : (cells[keyCell] ?? '');
  return isEntityKey(key) ? key : '';
}

function partOf(
  entity: StoredEntity,
  features: readonly PlannedFeature[],
  columns: readonly string[],
  sourceIds: ReadonlyMap<string, number>,
): EntityPart {
  const places = [...features.keys()].filter((place) => features[place]?.entity === entity.name);
  const ofRecords = places.filter((place) => features[place]?.fold === undefined);
  const meanings = [...new Set(places.flatMap((place) => features[place]?.fold ?? []))];
  return {
    joinKey: entity.joinKey,
    keyCell: columns.indexOf(entity.joinKey),
    columns: ofRecords.length === 0 ? null : columnsOf(entity, features, ofRecords, sourceIds),
    folded: meanings.map((meaning): FoldedPart => {
      const own = places.filter((place) => features[place]?.fold === meaning);
      const definitions = own.flatMap((place) => features[place]?.definition ?? []);
      const streams = new Map(streamsOf(definitions).map(({ key }, i) => [key, i + 1]));
      return { meaning, places: own, set: FeatureSet.compile(definitions, streams, sourceIds) };
    }),
  };
}

function columnsOf(
  entity: StoredEntity,
  features: readonly PlannedFeature[],
  places: readonly number[],
  sourceIds: ReadonlyMap<string, number>,
): EntityPart['columns'] {
  const views = places.flatMap((place): StoredFeatureView[] => {
    const planned = features[place];
    if (planned === undefined) return [];
    const { definition, viewVersion: version } = planned;
    const { view: name, source } = definition;
    return [{ name, version, description: '', source, kind: 'batch', entity: entity.name, features: [definition] }];
  });
  const read = EntityFeatures.of([entity], views, sourceIds).get(entity.name);
  if (read === undefined) throw new TypeError('an entity without features');
  return { features: read, places };
}
