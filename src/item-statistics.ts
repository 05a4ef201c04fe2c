import type { LoadedDefinitions } from './definitions.js';
import type { EntityFeature, EntityFeatures } from './features/entity-features.js';
import { EntityPopulationReader, type ItemTellers } from './features/entity-population.reader.js';
import { EntityStateReader } from './features/entity-state.reader.js';
import { FeatureTally, type TalliedFeature } from './features/feature-statistics.model.js';
import type { FeatureDefinition, FeatureValue } from './features/feature.model.js';
import type { Clock } from './platform/clock.js';
import type { Database } from './platform/postgres.js';

export interface ItemStatisticsParts {
  readonly db: Database;
  readonly clock: Clock;
  /** Called between pages, so that others have their turn. */
  readonly pause: () => Promise<void>;
}

/** What is to be added up, and within which bounds. */
export interface ItemStatisticsAsk {
  /** Of features; left out: all that are ready. */
  readonly names: readonly string[] | undefined;
  /** Whether a feature looks as if it said who somebody is. */
  readonly isPersonal: (definition: FeatureDefinition) => boolean;
  /** Items of each entity, and values of all its features together, at most. */
  readonly maxItems: number;
  readonly maxValues: number;
  readonly signal: AbortSignal | undefined;
}

const PAGE_ITEMS = 200;

interface Tallied {
  readonly feature: EntityFeature;
  readonly tally: FeatureTally;
}

/**
 * Reads the items of all entities, or those that are chosen by hash, as they are served, and adds up their values (ADR 69).
 *
 *  1. The items of an entity are those with records and those that events name: the same for all of its features.
 *  2. Numbers of events are told only if five people are behind them, by the newest event in each; a text only if five
 *     people said it, which the newest event tells where it alone decides. Where nobody can say whose it is, it counts for
 *     nobody.
 *  3. A column of records has nobody behind it; of it five items have to have a value.
 *  4. A state that cannot be read is left out.
 */
export async function tallyItems(
  parts: ItemStatisticsParts,
  { entities }: Pick<LoadedDefinitions, 'entities'>,
  ask: ItemStatisticsAsk,
): Promise<readonly TalliedFeature[]> {
  const found: TalliedFeature[] = [];
  for (const entity of entities.values()) {
    const tallies = await readyOf(parts.db, entity, ask);
    if (tallies.length > 0) await tallyEntity(parts, entity, tallies, ask);
    found.push(...tallies.map(({ tally }) => tally.finish()));
  }
  return found;
}

/** Features that all of history is in. */
async function readyOf(db: Database, entity: EntityFeatures, ask: ItemStatisticsAsk): Promise<Tallied[]> {
  const standings = await new EntityStateReader(db).standings(entity.folds.map(({ meaning }) => meaning));
  return [...entity.features.values()].flatMap((feature): Tallied[] => {
    const { definition, fold } = feature;
    const isReady = fold === null || standings.get(fold.meaning)?.isComplete === true;
    if (!isReady || ask.names?.includes(definition.name) === false) return [];
    const tally = new FeatureTally(definition, ask.isPersonal(definition), entity.entity.name);
    return [{ feature, tally }];
  });
}

async function tallyEntity(
  { db, clock, pause }: ItemStatisticsParts,
  entity: EntityFeatures,
  tallies: readonly Tallied[],
  { maxItems, maxValues, signal }: ItemStatisticsAsk,
): Promise<void> {
  const population = new EntityPopulationReader(db);
  const most = Math.max(1, Math.min(maxItems, Math.floor(maxValues / tallies.length)));
  const meanings = entity.folds.map(({ meaning }) => meaning);
  const keys = await population.choose(entity.entity.name, meanings, most, signal);
  const features = tallies.map(({ feature }) => feature);
  const asked = [...new Set(features.flatMap(({ fold }) => fold?.meaning ?? []))];
  for (let from = 0; from < keys.length; from += PAGE_ITEMS) {
    signal?.throwIfAborted();
    const page = keys.slice(from, from + PAGE_ITEMS);
    const t = clock.now() + 1;
    const { rows, isComplete } = await entity.readNow(db, page, features, t);
    const tellers = asked.length === 0 ? NOBODY : await population.tellers(asked, page);
    for (const [row, key] of page.entries()) {
      for (const [i, { feature, tally }] of tallies.entries()) {
        const value = rows[row]?.[i];
        if (value !== undefined && isComplete(feature, row)) add(tally, feature, { key, value, tellers }, t);
      }
    }
    await pause();
  }
}

interface ValueOfItem {
  readonly key: string;
  readonly value: FeatureValue;
  readonly tellers: ItemTellers;
}

const NOBODY: ItemTellers = { of: () => null };

function add(
  tally: FeatureTally,
  { definition, fold }: EntityFeature,
  { key, value, tellers }: ValueOfItem,
  t: number,
): void {
  if (fold === null) {
    tally.add(value, t);
    return;
  }
  const { person, isAlone } = tellers.of(fold.meaning, key, value.eventTs) ?? { person: null, isAlone: false };
  tally.add(value, t, person, isAlone && definition.aggregate === 'last' ? person : null);
}
