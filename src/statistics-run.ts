import type { LoadedDefinitions } from './definitions.js';
import type { AnchorState } from './features/anchor-state.model.js';
import type { AnchorStateStore } from './features/anchor-state.store.js';
import type { FeatureDefinition } from './features/feature.model.js';
import { FeatureTally, isPersonalFeature, type TalliedFeature } from './features/feature-statistics.model.js';
import { tallyItems } from './item-statistics.js';
import type { Clock } from './platform/clock.js';
import { LEAST_ID, type Uuid } from './platform/ids.js';
import type { Database } from './platform/postgres.js';
import { isPersonal } from './profiles/trait-definition.model.js';

export interface StatisticsRunParts {
  readonly db: Database;
  readonly clock: Clock;
  readonly definitions: () => Promise<LoadedDefinitions>;
  readonly anchors: Pick<AnchorStateStore, 'loadByProfiles'>;
  /** Called between pages, so that others have their turn. */
  readonly pause: () => Promise<void>;
}

/** People, and items of each entity, whose values are read, at most; of more, some by hash. */
const MAX_PROFILES = 10_000;
/** Values that are held at once, at most: of many features fewer people are read. */
const MAX_VALUES = 2_000_000;
const PAGE_PROFILES = 100;

/**
 * Reads everybody's values of all features, or those of ten thousand chosen by hash, page by page by id, and adds them up;
 * then those of items. Values are those of the database as of the page.
 */
export class StatisticsRun {
  readonly #parts: StatisticsRunParts;

  constructor(parts: StatisticsRunParts) {
    this.#parts = parts;
  }

  /** @param names of features; left out: all that are ready */
  async tally(signal?: AbortSignal, names?: readonly string[]): Promise<readonly TalliedFeature[]> {
    const definitions = await this.#parts.definitions();
    const personal = new Set(definitions.traits.filter(isPersonal).map(({ name }) => name));
    const isOfPerson = (definition: FeatureDefinition): boolean => isPersonalFeature(definition, personal);
    const ofPeople = await this.#tallyPeople(definitions, isOfPerson, signal, names);
    const bounds = { maxItems: MAX_PROFILES, maxValues: MAX_VALUES };
    const ofItems = await tallyItems(this.#parts, definitions, { ...bounds, names, isPersonal: isOfPerson, signal });
    return [...ofPeople, ...ofItems];
  }

  /** Names of the features of items that are defined: while their history is folded anew, what is kept of them stays. */
  async itemFeatures(): Promise<readonly string[]> {
    const { entities } = await this.#parts.definitions();
    return [...entities.values()].flatMap(({ features }) => [...features.keys()]);
  }

  async #tallyPeople(
    definitions: LoadedDefinitions,
    isOfPerson: (definition: FeatureDefinition) => boolean,
    signal: AbortSignal | undefined,
    names: readonly string[] | undefined,
  ): Promise<readonly TalliedFeature[]> {
    const { features } = definitions;
    const tallies = [...definitions.views.values()]
      .flatMap((view) => view.features)
      .filter(({ name }) => names?.includes(name) ?? true)
      .flatMap((definition) => {
        const index = features.indexOf(definition.name);
        if (index === undefined || !definitions.isReady(index)) return [];
        return [{ index, tally: new FeatureTally(definition, isOfPerson(definition)) }];
      });
    if (tallies.length === 0) return [];
    const most = Math.min(MAX_PROFILES, Math.floor(MAX_VALUES / tallies.length));
    for await (const states of this.#pages(definitions, most)) {
      signal?.throwIfAborted();
      const t = this.#parts.clock.now() + 1;
      for (const state of states) for (const { index, tally } of tallies) tally.add(features.value(state, index, t), t);
      await this.#parts.pause();
    }
    return tallies.map(({ tally }) => tally.finish());
  }

  /** States of people, merged. */
  async *#pages({ features }: LoadedDefinitions, most: number): AsyncGenerator<readonly AnchorState[], void> {
    const { db, anchors } = this.#parts;
    const [row] = await db.query<{ people: number }>(
      'SELECT count(*) AS people FROM profiles WHERE merged_into IS NULL',
    );
    const share = Math.min(1, most / Math.max(1, row?.people ?? 0));
    for (let [after, seen] = [LEAST_ID, 0]; seen < most;) {
      const page = await db.query<{ id: Uuid }>(
        `SELECT id FROM profiles WHERE id > $1::uuid AND merged_into IS NULL
           AND (hashtextextended(id::text, 0) & 1048575) < $2::float8 * 1048576 ORDER BY id LIMIT $3::int4`,
        [after, share, Math.min(PAGE_PROFILES, most - seen)],
      );
      const ids = page.map(({ id }) => id);
      const last = ids.at(-1);
      if (last === undefined) return;
      const states = new Map<Uuid, AnchorState[]>(ids.map((id) => [id, []]));
      for (const { profileId, anchor } of await anchors.loadByProfiles(db, ids)) {
        if (anchor !== null) states.get(profileId)?.push(features.decode(anchor.state));
      }
      yield [...states.values()].map((each) => features.merge(each));
      after = last;
      seen += ids.length;
    }
  }
}
