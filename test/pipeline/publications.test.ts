import { afterEach, describe, expect, it } from 'vitest';
import type { OnlineStore, Versioned, VersionedEntry } from '../../src/profiles/online-store.model.js';
import { identifierKey, profileKey, unpackSnapshot } from '../../src/segments/profile-snapshot.model.js';
import { decodeTraits } from '../../src/profiles/trait-codec.js';
import { mergeTraits, provenanceOfTrait } from '../../src/profiles/traits.model.js';
import { faultyDatabase, noFaults } from '../support/faulty-database.js';
import { acceptLog, defineSome, randomFrom, randomLog, type Random } from '../support/random-log.js';
import { anIdentify, aTrack, createWorld, HOUR_MS, MINUTE_MS, START_MS, type World } from '../support/world.js';

const log = randomLog(randomFrom(51), {
  steps: 80,
  maxEventsPerStep: 6,
  advancesMs: [0, 1, 1_000, MINUTE_MS, HOUR_MS],
  historicalShare: 0.2,
  people: 5,
});

/** Keeps the contract, never loses anything, and fails as often as it is told to, before or after it wrote. */
class FlakyStore implements OnlineStore {
  readonly entries = new Map<string, Versioned>();
  /** The greatest version that was deleted, by key. */
  readonly #deleted = new Map<string, number>();
  failureRate = 0;
  failures = 0;

  constructor(private readonly random: Random) {}

  putMany(entries: readonly VersionedEntry[]): Promise<void> {
    const fails = this.random() < this.failureRate;
    const written = fails ? Math.floor(this.random() * (entries.length + 1)) : entries.length;
    for (const { key, version, bytes } of entries.slice(0, written)) {
      const known = Math.max(this.entries.get(key)?.version ?? 0, this.#deleted.get(key) ?? 0);
      if (known < version) this.entries.set(key, { version, bytes });
    }
    if (!fails) return Promise.resolve();
    this.failures++;
    return Promise.reject(new Error('the store is away'));
  }

  getMany(keys: readonly string[]): Promise<(Versioned | null)[]> {
    return Promise.resolve(keys.map((key) => this.entries.get(key) ?? null));
  }

  deleteMany(keys: readonly string[], version: number): Promise<void> {
    for (const key of keys) {
      this.#deleted.set(key, Math.max(this.#deleted.get(key) ?? 0, version));
      if ((this.entries.get(key)?.version ?? Infinity) <= version) this.entries.delete(key);
    }
    return Promise.resolve();
  }
}

const worlds: World[] = [];

afterEach(async () => {
  await Promise.all(worlds.splice(0).map((world) => world.close()));
});

const byText = (a: unknown, b: unknown): number => (String(a) < String(b) ? -1 : 1);

/** What the store would have to say of everything that PostgreSQL knows. */
async function expected(world: World) {
  const { features } = await world.engine.definitions.current();
  const profiles = await world.db.query<{ id: string; merged_into: string | null }>(
    'SELECT id, merged_into FROM profiles',
  );
  const rows = await world.db.query<{
    id: string;
    ns: string;
    value: string;
    profile_id: string;
    traits: Buffer | null;
    state: Buffer | null;
  }>(
    `SELECT i.id, i.ns, i.value, i.profile_id, s.traits, s.state
     FROM identifiers i LEFT JOIN anchor_states s ON s.anchor_id = i.id`,
  );
  const memberships = await world.db.query<{ profile_id: string; segment_id: number; since: number }>(
    'SELECT profile_id, segment_id, since FROM memberships',
  );
  const entries: [string, unknown][] = rows.map((row) => [identifierKey(row.id), row.profile_id]);
  for (const { id, merged_into: alias } of profiles) {
    const own = rows.filter((row) => row.profile_id === id);
    const anchors = own.filter((row) => row.state !== null);
    const merged = features.merge(anchors.map((row) => features.decode(row.state ?? Buffer.alloc(0))));
    features.prune(merged, world.clock.now());
    entries.push([
      profileKey(id),
      alias === null
        ? {
            identifiers: own.map((row) => `${row.ns}:${row.value}`).sort(),
            traits: [...mergeTraits(anchors.map((row) => decodeTraits(row.traits ?? Buffer.alloc(0))))]
              .map(([name, { held, ...trait }]): [string, unknown] => [
                name,
                { ...trait, provenance: provenanceOfTrait({ held }), approximate: held?.overflow ?? false },
              ])
              .sort(byText),
            state: features.encode(merged).toString('hex'),
            memberships: memberships
              .filter((m) => m.profile_id === id)
              .map((m) => [m.segment_id, m.since])
              .sort(byText),
          }
        : { alias },
    ]);
  }
  return Object.fromEntries(entries.sort(byText));
}

async function stored(world: World, entries: ReadonlyMap<string, Versioned>) {
  const { features } = await world.engine.definitions.current();
  const plain = [...entries].map(([key, { bytes }]): [string, unknown] => {
    if (key.startsWith('i:')) return [key, bytes.toString()];
    const unpacked = unpackSnapshot(bytes);
    if ('alias' in unpacked) return [key, unpacked];
    const { identifiers, traits, state, memberships } = unpacked.profile;
    const decoded = features.decode(state);
    features.prune(decoded, world.clock.now());
    return [
      key,
      {
        identifiers: identifiers.map(([ns, value]) => `${ns}:${value}`).sort(),
        traits: [...traits].sort(byText),
        state: features.encode(decoded).toString('hex'),
        memberships: memberships.map((m) => [m.segmentId, m.since]).sort(byText),
      },
    ];
  });
  return Object.fromEntries(plain.sort(byText));
}

describe('the online store', () => {
  it('says of every profile and alias what the database says, although it failed at random', async () => {
    const store = new FlakyStore(randomFrom(52));
    const world = await createWorld(START_MS, { sharedStore: store, observers: { failed: () => undefined } });
    worlds.push(world);
    await defineSome(world);
    store.failureRate = 0.6;
    await acceptLog(world, log, () => world.drain());
    expect(store.failures).toBeGreaterThan(20);
    store.failureRate = 0;
    world.clock.advance(MINUTE_MS);
    await world.drain();
    expect(await stored(world, store.entries)).toEqual(await expected(world));
    const [records] = await world.db.query<{ n: number }>('SELECT count(*)::int4 AS n FROM publications');
    // Of the last transactions, which the next one takes off.
    expect(records?.n).toBeLessThan(3);
  });

  it('does so after a process that wrote nothing through is replaced', async () => {
    const lost = new FlakyStore(randomFrom(53));
    lost.failureRate = 1;
    const world = await createWorld(START_MS, { sharedStore: lost, observers: { failed: () => undefined } });
    worlds.push(world);
    await defineSome(world);
    await acceptLog(world, log);
    await world.drain();
    await world.engine.worker.stop();
    lost.failureRate = 0;
    lost.entries.clear();
    world.clock.advance(MINUTE_MS);
    const engine = await world.another();
    await engine.worker.drain();
    expect(await stored(world, lost.entries)).toEqual(await expected(world));
  });

  it('says of what is written through late that it is as of what was applied, not of the time of writing', async () => {
    const store = new FlakyStore(randomFrom(54));
    const world = await createWorld(START_MS, { sharedStore: store, observers: { failed: () => undefined } });
    worlds.push(world);
    store.failureRate = 1;
    await world.accept([aTrack('visit', { anonymous_id: 'ada' })]);
    await world.drain();
    store.entries.clear();
    store.failureRate = 0;
    world.clock.advance(HOUR_MS);
    await world.drain();
    const asOf = [...store.entries].flatMap(([key, { bytes }]) => {
      const unpacked = key.startsWith('i:') ? null : unpackSnapshot(bytes);
      return unpacked !== null && 'profile' in unpacked ? [unpacked.profile.asOf] : [];
    });
    expect(asOf).toEqual([START_MS]);
  });

  it('that lives in the process never says what the database does not, even if a COMMIT was not confirmed', async () => {
    const world = await createWorld();
    worlds.push(world);
    const faults = noFaults();
    const engine = await world.engineOn(faultyDatabase(world.db, faults));
    await defineSome({ ...world, drain: () => engine.worker.drain() });
    let step = 0;
    await acceptLog(world, log, async () => {
      faults.loseNextCommit = step++ % 3 === 0;
      await engine.worker.drain();
    });
    const truth = await expected(world);
    const said = await stored(world, world.store.entries);
    expect(Object.keys(said).length).toBeGreaterThan(10);
    for (const [key, value] of Object.entries(said)) expect([key, value]).toEqual([key, truth[key]]);
  });

  it('holds up nobody else where what is to be written through late cannot be read', async () => {
    const store = new FlakyStore(randomFrom(55));
    const observers = { failed: () => undefined, choreFailed: () => undefined };
    const world = await createWorld(START_MS, { sharedStore: store, observers });
    worlds.push(world);
    store.failureRate = 1;
    const [damaged, asking] = ['damaged@example.org', 'asking@example.org'];
    await world.accept([anIdentify({ email: damaged }, { name: 'Jo' })]);
    await world.drain();
    store.failureRate = 0;
    await world.accept([anIdentify({ email: asking }, { name: 'Jo' })]);
    await world.drain();
    await world.engine.worker.stop();
    await world.db.query(
      `UPDATE anchor_states SET traits = '\\xff' WHERE anchor_id IN (SELECT id FROM identifiers WHERE value = $1)`,
      [damaged],
    );
    // With nothing in memory.
    const { worker } = await world.another();
    await worker.join();
    const who = { identifier: { ns: 'email', value: asking } };
    const { id } = await world.engine.erasures.request(who, { actor: 'a test', reason: 'asked' });
    for (let i = 0; i < 20; i++) {
      world.clock.advance(1_000);
      await worker.drain();
    }
    expect((await world.engine.erasures.find(id))?.status).toBe('logical');
    expect(await world.db.query('SELECT chore FROM chore_failures')).toEqual([{ chore: 'publications' }]);
    await worker.stop();
  });
});
