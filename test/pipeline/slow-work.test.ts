import { afterEach, describe, expect, it, vi } from 'vitest';
import type { Database, Transaction, TransactionOptions } from '../../src/platform/postgres.js';
import { ModelSet } from '../../src/scoring/scorer.js';
import { readModelFixture } from '../support/model-fixtures.js';
import { readState } from '../support/pipeline-state.js';
import { aFeature } from '../support/a-feature.js';
import { aTrack, createWorld, type World } from '../support/world.js';

const IRIS = ['sepal_length_cm', 'sepal_width_cm', 'petal_length_cm', 'petal_width_cm'];
const EVENTS = 20;

const worlds: World[] = [];

afterEach(async () => {
  vi.restoreAllMocks();
  await Promise.all(worlds.splice(0).map((world) => world.close()));
});

/** A world with a segment that asks a model at each event. */
async function worldWithModel(): Promise<World> {
  const world = await createWorld();
  worlds.push(world);
  const last = (name: string) =>
    aFeature(name, { aggregate: 'last', events: ['flower'], value: `properties.${name}`, type: 'double' });
  await world.accept([]);
  await world.defineFeatures([...IRIS.map(last), aFeature('seen', { events: ['flower'] })]);
  const { models } = world.engine.services;
  const { bytes, manifest } = await readModelFixture('iris_clusters');
  const { model } = await models.register(bytes, manifest);
  await models.promote(model.key, model.version);
  await world.defineSegment('third', 'label("iris_clusters") == "third"');
  await world.drain();
  await world.engine.worker.stop();
  return world;
}

/** The database, where the next transaction that does anything with `doing` set has this much time. */
function impatient(db: Database, state: { timeoutMs: number | null }): Database {
  const transaction = <T>(work: (tx: Transaction) => Promise<T>, options?: TransactionOptions): Promise<T> =>
    db.transaction(work, state.timeoutMs === null ? options : { ...options, timeoutMs: state.timeoutMs });
  return new Proxy(db, {
    get: (target, name) => {
      if (name === 'transaction') return transaction;
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
  });
}

describe('a batch whose time is up while it waits for a model', () => {
  it.each([1, 5, 15])('is applied once all the same, whatever had been done of it (%i events)', async (done) => {
    const world = await worldWithModel();
    const state: { timeoutMs: number | null } = { timeoutMs: null };
    const engine = await world.engineOn(impatient(world.db, state));
    await engine.worker.drain();
    for (let i = 0; i < EVENTS; i++) {
      const values = [5 + i / 10, 3, 1 + i / 4, 0.2 + i / 10];
      const properties = Object.fromEntries(IRIS.map((name, n) => [name, values[n] ?? 0]));
      await world.accept([aTrack('flower', { anonymous_id: 'a' }, { properties })]);
      world.clock.advance(1_000);
    }
    const predict = ModelSet.prototype.predict;
    let runs = 0;
    const inTransaction = async (): Promise<boolean> =>
      (
        await world.db.query(
          `SELECT FROM pg_stat_activity
           WHERE datname = current_database() AND xact_start IS NOT NULL AND pid <> pg_backend_pid()`,
        )
      ).length > 0;
    vi.spyOn(ModelSet.prototype, 'predict').mockImplementation(async function (this: ModelSet, ...args) {
      if (++runs === done) {
        state.timeoutMs = null;
        while (await inTransaction());
      }
      return predict.apply(this, args);
    });
    state.timeoutMs = 300;
    await engine.worker.drain();
    expect(runs).toBeGreaterThan(done);
    expect(await world.db.query('SELECT FROM dead_letters')).toEqual([]);
    const { features } = await readState(world.db, await engine.definitions.current(), world.clock.now() + 1);
    expect(Object.values(features)).toMatchObject([{ seen: { value: EVENTS } }]);
  });
});
