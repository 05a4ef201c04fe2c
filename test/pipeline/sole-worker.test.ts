import { setImmediate } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Engine } from '../../src/engine.js';
import { WorkersExclude } from '../../src/events/partition-lease.model.js';
import { AnchorStateStore } from '../../src/features/anchor-state.store.js';
import { ProfileSnapshotReader } from '../../src/profile-snapshot.reader.js';
import { ExclusiveOnlineStore } from '../../src/profiles/online-store.exclusive.js';
import { MemoryOnlineStore } from '../../src/profiles/online-store.memory.js';
import { ProfileReader } from '../../src/profiles/profile.reader.js';
import { MembershipStore } from '../../src/segments/membership.store.js';
import { SourceEntity } from '../../src/sources/source.entity.js';
import { drainTogether } from '../support/drain-together.js';
import { loseSessions } from '../support/lose-sessions.js';
import { anIdentify, createWorld, type World } from '../support/world.js';

/** A process whose online store is its own memory: its worker, and what it would answer. */
class OwnMemory {
  readonly store: ExclusiveOnlineStore;
  readonly reader: ProfileSnapshotReader;
  readThroughs = 0;

  private constructor(
    readonly engine: Engine,
    world: World,
    store: ExclusiveOnlineStore,
  ) {
    this.store = store;
    this.reader = new ProfileSnapshotReader({
      db: world.db,
      store: () => store.current,
      definitions: () => engine.definitions.current(),
      profiles: new ProfileReader(),
      anchors: new AnchorStateStore(),
      memberships: new MembershipStore(),
      observer: {
        readThrough: (count) => {
          this.readThroughs += count;
        },
        storeFailed: (error) => {
          throw error as Error;
        },
      },
    });
  }

  static async start(world: World, applicationName: string): Promise<OwnMemory> {
    const db = await world.test.connect({ entities: [SourceEntity], applicationName });
    const store = new ExclusiveOnlineStore(() => new MemoryOnlineStore({ maxBytes: 1_000_000, clock: world.clock }));
    const engine = await world.engineOn(db, undefined, {
      onlineStore: () => store.current,
      onAlone: (isAlone) => {
        store.setAlone(isAlone);
      },
    });
    return new OwnMemory(engine, world, store);
  }

  /** The trait `city` of the profile. */
  async cityOf(profileId: string): Promise<unknown> {
    const [snapshot] = await this.reader.byIds([profileId]);
    return snapshot?.traits.get('city')?.value;
  }
}

describe('a worker whose online store is its own memory', () => {
  let world: World;
  let first: OwnMemory;
  let second: OwnMemory;
  let profileId: string;

  beforeEach(async () => {
    world = await createWorld();
    first = await OwnMemory.start(world, 'first');
    second = await OwnMemory.start(world, 'second');
    await first.engine.worker.join();
    await moveTo('Bern');
    await first.engine.worker.drain();
    const [row] = await world.db.query<{ id: string }>('SELECT id FROM profiles');
    profileId = row?.id ?? '';
  });

  afterEach(async () => {
    await world.close();
  });

  const moveTo = (city: string) => world.accept([anIdentify({ user_id: 'ada' }, { city })]);

  it('keeps every other worker out, also those that share a store', async () => {
    await expect(second.engine.worker.join()).rejects.toThrow(WorkersExclude);
    await expect(second.engine.worker.runOnce()).rejects.toThrow(WorkersExclude);
    await expect(world.engine.worker.join()).rejects.toThrow(WorkersExclude);
    await first.engine.worker.stop();
    await second.engine.worker.join();
  });

  it('is kept out by one that shares its store', async () => {
    await first.engine.worker.stop();
    await world.engine.worker.join();
    await expect(second.engine.worker.join()).rejects.toThrow(WorkersExclude);
  });

  it('answers from memory while it is alone', async () => {
    expect(await first.cityOf(profileId)).toBe('Bern');
    expect(first.readThroughs).toBe(0);
  });

  it('answers from the database as soon as it lost its session, whatever others did since', async () => {
    await loseSessions(world.db, 'first');
    while (first.store.bytes > 0) await setImmediate();
    await second.engine.worker.join();
    await moveTo('Basel');
    await second.engine.worker.drain();
    expect(await first.cityOf(profileId)).toBe('Basel');
    await moveTo('Chur');
    await second.engine.worker.drain();
    expect(await first.cityOf(profileId)).toBe('Chur');
    expect(first.readThroughs).toBe(2);
  });

  it('waits until the one that took over is gone, and starts over with an empty memory', async () => {
    await loseSessions(world.db, 'first');
    while (first.store.bytes > 0) await setImmediate();
    await second.engine.worker.join();
    await expect(drainTogether([first.engine.worker])).rejects.toThrow(WorkersExclude);
    await moveTo('Basel');
    await second.engine.worker.drain();
    await second.engine.worker.stop();
    expect(second.store.bytes).toBe(0);
    await drainTogether([first.engine.worker]);
    expect(first.store.bytes).toBe(0);
    expect(await first.cityOf(profileId)).toBe('Basel');
    expect(first.store.bytes).toBeGreaterThan(0);
  });

  it('does not take in what was read before it lost its place', async () => {
    const before = first.store.current;
    await loseSessions(world.db, 'first');
    while (first.store.bytes > 0) await setImmediate();
    await drainTogether([first.engine.worker]);
    await before.putMany([{ key: 'late', version: 1, bytes: Buffer.from('old') }]);
    expect(await first.store.current.getMany(['late'])).toEqual([null]);
  });
});
