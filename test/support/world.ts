import { randomBytes } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createEngine, type Engine, type EngineOptions } from '../../src/engine.js';
import type { EngineLimits } from '../../src/engine-limits.js';
import type { EventEnrichers } from '../../src/events/enrichment.model.js';
import type { AcceptResult, IncomingEvent, JsonObject } from '../../src/events/event.model.js';
import type { FeatureDefinition } from '../../src/features/feature.model.js';
import type { BatchResult } from '../../src/pipeline-transaction.js';
import { ManualClock } from '../../src/platform/clock.js';
import { RootSecret } from '../../src/platform/installation-secret.js';
import type { Database } from '../../src/platform/postgres.js';
import { KeyVault } from '../../src/privacy/key-vault.js';
import { prepareKeys } from '../../src/privacy/sealing-key.store.js';
import { MemoryOnlineStore } from '../../src/profiles/online-store.memory.js';
import { PlanWatch } from '../../src/plans/plan-watch.js';
import type { OnlineStore, Versioned, VersionedEntry } from '../../src/profiles/online-store.model.js';
import { SourceService } from '../../src/sources/source.service.js';
import { SourceStore } from '../../src/sources/source.store.js';
import { SourceEntity } from '../../src/sources/source.entity.js';
import type { SegmentChange } from '../../src/segments/segment.model.js';
import type { SegmentRule } from '../../src/segments/segment-rule.model.js';
import { createTestDatabase, type TestDatabase, type TestDatabaseOptions } from './database.js';

/** Tuesday, 14 November 2023, 22:13:20 UTC. */
export const START_MS = 1_700_000_000_000;
export const MINUTE_MS = 60_000;
export const HOUR_MS = 60 * MINUTE_MS;
export const DAY_MS = 24 * HOUR_MS;

const MAX_STORE_BYTES = 100_000_000;

/** The online store of a process, with what it answers laid open: a test may look through it and lose any of it. */
class OpenStore implements OnlineStore {
  readonly entries = new Map<string, Versioned>();
  readonly #store: MemoryOnlineStore;

  constructor(clock: ManualClock) {
    this.#store = new MemoryOnlineStore({ maxBytes: MAX_STORE_BYTES, clock });
  }

  async putMany(entries: readonly VersionedEntry[]): Promise<void> {
    await this.#store.putMany(entries);
    await this.#copy(entries.map(({ key }) => key));
  }

  async getMany(keys: readonly string[]): Promise<(Versioned | null)[]> {
    return keys.map((key) => this.entries.get(key) ?? null);
  }

  async deleteMany(keys: readonly string[], version: number): Promise<void> {
    await this.#store.deleteMany(keys, version);
    await this.#copy(keys);
  }

  async #copy(keys: readonly string[]): Promise<void> {
    const found = await this.#store.getMany(keys);
    for (const [i, key] of keys.entries()) {
      const entry = found[i] ?? null;
      if (entry === null) this.entries.delete(key);
      else this.entries.set(key, entry);
    }
  }
}

export interface WorldOptions {
  /** Default: those that the world itself needs. */
  readonly entities?: NonNullable<TestDatabaseOptions['entities']>;
  /** Told of every batch of its engines. */
  readonly onCommitted?: (batch: BatchResult) => void;
  readonly limits?: Partial<EngineLimits>;
  /** In place of the defaults, which throw whatever they are told of. */
  readonly observers?: Partial<EngineOptions['observers']>;
  /** Whether payloads of the log are sealed, by keys in a database of their own. */
  readonly sealed?: boolean;
  /** An online store that outlives the process, as far as the engine can tell. Default: one that does not. */
  readonly sharedStore?: OnlineStore;
  /** Default: nothing is found out about events. */
  readonly enrichers?: EventEnrichers;
}

/** The write side on a database of its own, with a clock that stands still. */
export interface World {
  readonly test: TestDatabase;
  readonly db: Database;
  readonly clock: ManualClock;
  readonly engine: Engine;
  readonly store: OpenStore;
  readonly batches: BatchResult[];
  readonly secret: RootSecret;
  /** What payloads are sealed with, and where the keys are; null: they are not. */
  readonly vault: KeyVault | null;
  readonly keyDatabase: Database | null;
  /** The file that erasures are recorded in. */
  readonly ledgerPath: string;
  /** The folder that label files and training sets are in. */
  readonly exportsPath: string;
  /** The tracking plans in force, as of the last `refresh`. */
  readonly plans: PlanWatch;
  /** Another worker process on the same database. */
  another(limits?: Partial<EngineLimits>): Promise<Engine>;
  /** An engine on this pool, with the clock and the observers of the world. */
  engineOn(db: Database, limits?: Partial<EngineLimits>, own?: Partial<EngineOptions>): Promise<Engine>;
  /** Accepts events of the source `web` and says what became of each. */
  accept(
    events: readonly IncomingEvent[],
    options?: { historical?: boolean; source?: string },
  ): Promise<AcceptResult[]>;
  /** Applies everything there is. */
  drain(): Promise<void>;
  /** The same, and evaluates whom definitions that changed concern: they are due a millisecond later, to which the clock goes. */
  settle(): Promise<void>;
  defineFeatures(features: readonly FeatureDefinition[]): Promise<void>;
  /** @param more of its rule, if there is more */
  defineSegment(key: string, expression: string, more?: Partial<SegmentRule>): Promise<void>;
  /** The feed, with segment keys. */
  feed(): Promise<(SegmentChange & { readonly segment: string })[]>;
  close(): Promise<void>;
}

export async function createWorld(startMs = START_MS, options: WorldOptions = {}): Promise<World> {
  const { entities = [SourceEntity] } = options;
  const test = await createTestDatabase({ entities });
  const clock = new ManualClock(startMs);
  const store = new OpenStore(clock);
  const batches: BatchResult[] = [];
  const engines: Engine[] = [];
  const secret = new RootSecret(Buffer.from('the secret of a test, of thirty-two characters'));
  const ledgerPath = join(tmpdir(), `weft-erasures-${randomBytes(6).toString('hex')}.jsonl`);
  const exportsPath = `${ledgerPath}.exports`;
  const sealing = options.sealed === true ? await createTestDatabase({ empty: true }) : null;
  if (sealing !== null) await prepareKeys(sealing.database);
  const vault = sealing === null ? null : new KeyVault(sealing.database, secret);
  const plans = new PlanWatch({
    db: test.database,
    onError: (error) => {
      throw error as Error;
    },
  });
  const build = async (
    db: Database,
    limits: Partial<EngineLimits> = options.limits ?? {},
    own: Partial<EngineOptions> = {},
  ): Promise<Engine> => {
    const engine = await createEngine({
      db,
      clock,
      onlineStore: () => options.sharedStore ?? store,
      onlineStoreIsShared: options.sharedStore !== undefined,
      observers: { ...rethrowing, ...options.observers },
      plans,
      ...(options.enrichers === undefined ? {} : { enrichers: options.enrichers }),
      erasing: {
        secret,
        vault,
        ledgerPath,
        exportsPath,
        onError: (error) => {
          throw error as Error;
        },
      },
      onCommitted: (batch) => {
        batches.push(batch);
        options.onCommitted?.(batch);
      },
      limits,
      ...own,
    });
    engines.push(engine);
    return engine;
  };
  const engine = await build(test.database);
  const sources = new SourceService(new SourceStore(test.database.dataSource), clock);
  const world: World = {
    test,
    db: test.database,
    clock,
    engine,
    store,
    batches,
    secret,
    vault,
    keyDatabase: sealing?.database ?? null,
    ledgerPath,
    exportsPath,
    plans,
    another: async (limits) => build(await test.connect({ entities }), limits),
    engineOn: build,
    accept: async (events, { historical = false, source = 'web' } = {}) => {
      const { id, key } = await sources.ensure({ key: source, kind: 'http' });
      return engine.accept.accept({ id, key }, events, { historical });
    },
    drain: () => engine.worker.drain(),
    settle: async () => {
      await engine.worker.drain();
      clock.advance(1);
      await engine.worker.drain();
    },
    defineFeatures: async (features) => {
      await engine.services.features.apply({
        views: [{ name: 'test', description: '', source: null, features }],
        services: [],
      });
    },
    defineSegment: async (key, expression, more = {}) => {
      await engine.services.segments.upsert({ key, name: key, description: '', tags: [], ...more, expression });
      await engine.services.segments.activate(key);
    },
    feed: async () => {
      const rows = await test.database.query<SegmentChange & { segment: string }>(
        `SELECT c.seq, c.profile_id AS "profileId", c.segment_id AS "segmentId", c.kind, c.at, c.version, c.cause,
                s.key AS segment FROM changes c JOIN segments s ON s.id = c.segment_id ORDER BY c.seq`,
      );
      return rows;
    },
    close: async () => {
      for (const each of engines) {
        await each.worker.stop();
        await each.scorer.close();
      }
      await test.drop();
      await sealing?.drop();
      await rm(ledgerPath, { force: true });
      await rm(exportsPath, { recursive: true, force: true });
    },
  };
  return world;
}

const rethrowing = {
  accepted: () => undefined,
  duplicates: () => undefined,
  refused: () => undefined,
  deadLettersLost: (_: unknown, __: number, error: unknown): void => {
    throw error as Error;
  },
  failed: (error: unknown): void => {
    throw error as Error;
  },
  retrying: () => undefined,
  poisoned: (_: unknown, error: unknown): void => {
    throw error as Error;
  },
  lagging: () => undefined,
  contested: () => undefined,
  itemsLagging: () => undefined,
  itemsDamaged: () => undefined,
  rowsPassedOver: () => undefined,
  choreFailed: (_: unknown, error: unknown): void => {
    throw error as Error;
  },
  choresFailing: () => undefined,
  erasuresFailing: () => undefined,
  onRun: () => undefined,
};

let nextMessage = 0;

/** A `track` call of a visitor, now. */
export function aTrack(
  name: string,
  who: Readonly<Record<string, string>>,
  more: Partial<IncomingEvent> & { properties?: JsonObject } = {},
): IncomingEvent {
  return {
    type: 'track',
    name,
    messageId: `m${String(nextMessage++)}`,
    identifiers: Object.entries(who).map(([ns, value]) => ({ ns, value })),
    ...more,
  };
}

/** An `identify` call that ties identifiers together. */
export function anIdentify(
  who: Readonly<Record<string, string>>,
  traits: JsonObject = {},
  more: Partial<IncomingEvent> = {},
): IncomingEvent {
  return {
    type: 'identify',
    messageId: `m${String(nextMessage++)}`,
    identifiers: Object.entries(who).map(([ns, value]) => ({ ns, value })),
    traits,
    ...more,
  };
}

/** A `group` call that makes somebody belong to a group, with traits of that group. */
export function aGroup(
  who: Readonly<Record<string, string>>,
  groupId: string,
  traits: JsonObject = {},
  more: Partial<IncomingEvent> = {},
): IncomingEvent {
  return { ...anIdentify(who, traits, more), type: 'group', groupId };
}
