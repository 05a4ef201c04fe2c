import type { LoadedDefinitions } from './definitions.js';
import type { EventHistoryReader } from './events/event-history.reader.js';
import { UNREADABLE_VALUE, type EntityFeature } from './features/entity-features.js';
import { EntityStateReader, type SampledItem } from './features/entity-state.reader.js';
import type { FeatureValue } from './features/feature.model.js';
import { HistoryFold, valuesOf } from './features/training-set-fold.js';
import { readWhatLogTells } from './log-tells.js';
import { compareFeature } from './monitoring/compare-features.js';
import {
  MAX_MISMATCHES,
  ParityTally,
  type ParityFigures,
  type ParityFindings,
} from './monitoring/feature-parity.model.js';
import { MAX_EVENTS, snapshotTimeoutMs } from './parity-sampler.js';
import type { Clock } from './platform/clock.js';
import type { Uuid } from './platform/ids.js';
import type { Database, Transaction } from './platform/postgres.js';

/** An item, as one view of its entity has it. */
export interface ItemOfView {
  /** What the view means; see `entity-fold.model.ts`. */
  readonly meaning: Uuid;
  readonly key: string;
}

/** One value that is not what the log gives. */
export interface ItemMismatch {
  readonly entity: string;
  readonly key: string;
  readonly feature: string;
  readonly where: 'state';
}

export interface ItemParityRound extends ParityFindings<ItemMismatch> {
  /** Items that were compared, once for each view that computes something else. */
  readonly items: number;
}

export interface ItemParitySamplerParts {
  readonly db: Database;
  readonly clock: Clock;
  readonly definitions: () => Promise<LoadedDefinitions>;
  readonly events: EventHistoryReader;
  /** Events of one item of one view; with more it is left out and counted. Default: {@link MAX_EVENTS}. */
  readonly maxEvents?: number | undefined;
}

/** Items that are read in one snapshot. */
const PAGE_ITEMS = 20;

/** A view of an entity, and its features that the log tells. */
interface Subject {
  readonly entity: string;
  readonly meaning: Uuid;
  readonly features: readonly EntityFeature[];
}

/** What came of one page of items. */
interface Page {
  /** Those with more events than are read. */
  readonly tooBig: readonly string[];
  /** Null: not compared. */
  readonly values: ReadonlyMap<string, readonly Pair[] | null>;
  readonly events: number;
}

interface Pair {
  readonly feature: EntityFeature;
  readonly online: FeatureValue;
  readonly offline: FeatureValue;
}

/**
 * Compares features of items that are computed from events with what the log gives (ADR 61), as `ParitySampler` does it
 * for people.
 *
 *  1. State, position and log are read in one snapshot: of the events that the index has of an item, those up to the
 *     position of the view count. Nothing else is served: there is no copy beside the state.
 *  2. An item that waits to be folded anew is left out, and so is one with more events than are read.
 *  3. A state that cannot be read is one without values, as it is served.
 */
export class ItemParitySampler {
  readonly #parts: ItemParitySamplerParts;
  readonly #maxEvents: number;

  constructor(parts: ItemParitySamplerParts) {
    this.#parts = parts;
    this.#maxEvents = parts.maxEvents ?? MAX_EVENTS;
  }

  /** @param items those of views that are not defined any more are skipped */
  async compare(
    items: readonly ItemOfView[],
    onProgress: (done: number) => void = () => undefined,
    signal?: AbortSignal,
  ): Promise<ItemParityRound> {
    const { subjects, untold } = await this.#subjects(new Set(items.map(({ meaning }) => meaning)));
    const tallies = new Map<string, ParityTally>();
    const mismatches: ItemMismatch[] = [];
    let [compared, skipped, tooBig, events, done] = [0, 0, 0, 0, 0];
    const tallyOf = ({ entity }: Subject): ParityTally => {
      const tally = tallies.get(entity) ?? new ParityTally(entity);
      tallies.set(entity, tally);
      return tally;
    };
    const note = (subject: Subject, key: string, pairs: readonly Pair[]): void => {
      const { entity } = subject;
      const tally = tallyOf(subject);
      for (const { feature, online, offline } of pairs) {
        const comparison = compareFeature(online, offline, feature.definition);
        tally.add(feature.definition.name, comparison);
        const isWrong = comparison.outcome === 'mismatched' || comparison.outcome === 'missing';
        if (!isWrong || mismatches.length >= MAX_MISMATCHES) continue;
        mismatches.push({ entity, key, feature: feature.definition.name, where: 'state' });
      }
    };
    for (const [meaning, keys] of keysByMeaning(items)) {
      const subject = subjects.get(meaning);
      // Longer histories are read one by one, so that no snapshot is older than it has to be.
      const pageItems = this.#maxEvents > MAX_EVENTS ? 1 : PAGE_ITEMS;
      for (let from = 0; from < keys.length; from += pageItems) {
        signal?.throwIfAborted();
        const some = keys.slice(from, from + pageItems);
        const page = subject === undefined ? NOTHING : await this.#page(subject, some);
        events += page.events;
        tooBig += page.tooBig.length;
        if (subject !== undefined) leaveOut(tallyOf(subject), subject, page.tooBig);
        for (const key of some) {
          const pairs = page.values.get(key) ?? null;
          if (pairs === null || subject === undefined) skipped += 1;
          else {
            compared += 1;
            note(subject, key, pairs);
          }
        }
        onProgress((done += some.length));
      }
    }
    const figures = [...tallies.values()].flatMap((tally): readonly ParityFigures[] => tally.figures);
    return { items: compared, skipped, tooBig, events, figures, mismatches, untold };
  }

  /** By meaning; without those that no view has, and with the features that the log cannot tell beside. */
  async #subjects(asked: ReadonlySet<Uuid>): Promise<{ subjects: Map<Uuid, Subject>; untold: string[] }> {
    const { db, definitions } = this.#parts;
    const isTold = await readWhatLogTells(db);
    const standings = await new EntityStateReader(db).standings([...asked]);
    const subjects = new Map<Uuid, Subject>();
    const untold: string[] = [];
    for (const [entity, { features }] of (await definitions()).entities) {
      for (const feature of features.values()) {
        const { fold, definition } = feature;
        if (fold === null || !asked.has(fold.meaning)) continue;
        const isTellable = standings.get(fold.meaning)?.isComplete === true && isTold(definition);
        if (!isTellable) untold.push(definition.name);
        const before = subjects.get(fold.meaning)?.features ?? [];
        subjects.set(fold.meaning, {
          ...{ entity, meaning: fold.meaning },
          features: isTellable ? [...before, feature] : before,
        });
      }
    }
    return { subjects, untold: untold.sort() };
  }

  async #page(subject: Subject, keys: readonly string[]): Promise<Page> {
    if (subject.features.length === 0) return NOTHING;
    const page = await this.#parts.db.transaction((tx) => this.#read(tx, subject, keys), {
      isolation: 'REPEATABLE READ',
      readOnly: true,
      timeoutMs: snapshotTimeoutMs(this.#maxEvents),
    });
    if (page !== null) return page;
    // Of which item a damaged row of the log is, nobody can say: each is read by itself, and it is left out alone.
    if (keys.length === 1) return NOTHING;
    const values = new Map<string, readonly Pair[] | null>();
    const tooBig: string[] = [];
    let events = 0;
    for (const key of keys) {
      const one = await this.#page(subject, [key]);
      values.set(key, one.values.get(key) ?? null);
      tooBig.push(...one.tooBig);
      events += one.events;
    }
    return { values, tooBig, events };
  }

  /** Null: a row of the log is damaged. */
  async #read(tx: Transaction, { meaning, features }: Subject, keys: readonly string[]): Promise<Page | null> {
    const sampled = await new EntityStateReader(tx).sample(meaning, keys, this.#maxEvents + 1);
    const asOf = sampled.reduce((latest, { acceptedAt }) => Math.max(latest, acceptedAt), this.#parts.clock.now());
    const isTooBig = ({ events }: SampledItem): boolean => events > this.#maxEvents;
    const tooBig = sampled.filter(isTooBig).map(({ key }) => key);
    const items = sampled.filter((item) => !item.isRefolded && !isTooBig(item));
    const sets = [...new Set(features.flatMap(({ fold }) => fold?.set ?? []))];
    const nothing = sets.map((set) => valuesOf(set, set.empty(), asOf));
    const offline = items.map(() => [...nothing]);
    const foldsOf = (group: number): HistoryFold[] =>
      sets.map(
        (set, i) =>
          new HistoryFold(set, [{ index: group, timeMs: asOf, request: null }], (row, { values }) => {
            const own = offline[row];
            if (own !== undefined) own[i] = [...values];
          }),
      );
    let [current, folds, isDamaged] = [-1, [] as HistoryFold[], false];
    const history = this.#parts.events.readOfItems(
      tx,
      meaning,
      items.map(({ key }) => ({ key, untilMs: asOf })),
      { toPos: sampled[0]?.pos ?? 0, order: 'occurred', onDamaged: () => (isDamaged = true) },
    );
    for await (const page of history) {
      for (const { group, event } of page) {
        if (group !== current) {
          for (const fold of folds) fold.finish();
          [current, folds] = [group, foldsOf(group)];
        }
        for (const fold of folds) fold.add(event, event.occurredAt);
      }
    }
    for (const fold of folds) fold.finish();
    if (isDamaged) return null;
    const values = new Map(
      items.map((item, i) => [
        item.key,
        features.flatMap((feature): Pair[] => {
          const own = offline[i]?.[sets.findIndex((set) => set === feature.fold?.set)]?.[feature.index];
          return own === undefined ? [] : [{ feature, online: servedOf(feature, item, asOf + 1), offline: own }];
        }),
      ]),
    );
    return { values, tooBig, events: items.reduce((sum, each) => sum + each.events, 0) };
  }
}

const NOTHING: Page = { values: new Map(), tooBig: [], events: 0 };

function leaveOut(tally: ParityTally, { features }: Subject, keys: readonly string[]): void {
  for (const { definition } of keys.flatMap(() => features)) tally.leaveOut(definition.name);
}

/** As it is answered at `t`. */
function servedOf({ fold, index }: EntityFeature, { state: packed }: SampledItem, t: number): FeatureValue {
  const state = fold?.stateOf(packed ?? undefined) ?? null;
  return fold === null || state === null ? UNREADABLE_VALUE : fold.set.value(state, index, t);
}

function keysByMeaning(items: readonly ItemOfView[]): Map<Uuid, string[]> {
  const found = new Map<Uuid, string[]>();
  for (const { meaning, key } of items) {
    const keys = found.get(meaning);
    if (keys === undefined) found.set(meaning, [key]);
    else keys.push(key);
  }
  return found;
}
