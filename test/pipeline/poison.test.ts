import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { encodePayload } from '../../src/events/event-codec.js';
import { StreamBackfillStore } from '../../src/features/stream-backfill.store.js';
import { hashId } from '../../src/platform/ids.js';
import { SqlError } from '../../src/platform/sql-errors.js';
import { TimerStore } from '../../src/segments/timer.store.js';
import { aTrack, createWorld, START_MS, type World } from '../support/world.js';

describe('an event that makes the pipeline throw', () => {
  let world: World;
  let poisoned: number[];

  beforeEach(async () => {
    poisoned = [];
    world = await createWorld(START_MS, {
      observers: { poisoned: (event) => poisoned.push(event.pos) },
    });
    await world.defineSegment('visited', 'performed("visit")');
  });

  afterEach(async () => {
    await world.close();
  });

  const letters = () =>
    world.db.query<{ pos: number; stage: string; code: string }>(
      'SELECT pos, stage, code FROM dead_letters ORDER BY pos',
    );
  const visitors = async () =>
    (await world.feed()).map((change) => change.cause.pos).filter((pos): pos is number => pos !== null);

  /** An event without identifiers, which the way in would have refused. */
  async function appendNobody(): Promise<void> {
    const anchorId = hashId('nobody');
    await world.engine.log.append([
      {
        sourceId: 1,
        dedupeId: hashId('dedupe', 'nobody'),
        anchorId,
        identifiers: [],
        occurredAt: START_MS,
        rulesVersion: 1,
        historical: false,
        payload: encodePayload({
          type: 'track',
          name: 'visit',
          messageId: 'nobody',
          identifiers: [],
          properties: {},
          traits: {},
          context: {},
          groupId: null,
        }),
      },
    ]);
  }

  it('goes to the dead letters, and its neighbours are applied in their order', async () => {
    const visit = (from: number, to: number) =>
      Array.from({ length: to - from }, (_, i) => aTrack('visit', { anonymous_id: `a${String(from + i)}` }));
    await world.accept(visit(0, 20));
    await appendNobody();
    await world.accept(visit(20, 35));
    await world.drain();
    expect(poisoned).toEqual([21]);
    expect(await letters()).toEqual([{ pos: 21, stage: 'apply', code: 'INTERNAL' }]);
    const [kept] = await world.db.query<{ text: string }>(
      `SELECT convert_from(substr(payload, 2), 'UTF8') AS text FROM dead_letters`,
    );
    const event = { type: 'track', name: 'visit', messageId: 'nobody', identifiers: [], timestampMs: START_MS };
    expect(JSON.parse(kept?.text ?? '')).toEqual(event);
    expect(await visitors()).toEqual([...Array(36).keys()].map((i) => i + 1).filter((pos) => pos !== 21));
    expect(await world.engine.worker.runOnce()).toBe(false);
  });

  it('may be one whose bytes are damaged: only that one is given up, here and later', async () => {
    const visit = (from: number, to: number) =>
      Array.from({ length: to - from }, (_, i) => aTrack('visit', { anonymous_id: `a${String(from + i)}` }));
    await world.accept(visit(0, 10));
    await world.db.query(`UPDATE event_log SET payload = '\\x007b' WHERE pos IN (4, 5)`);
    await world.drain();
    expect(await letters()).toEqual([
      { pos: 4, stage: 'apply', code: 'INTERNAL' },
      { pos: 5, stage: 'apply', code: 'INTERNAL' },
    ]);
    expect(await visitors()).toEqual([1, 2, 3, 6, 7, 8, 9, 10]);
    expect(await world.engine.worker.runOnce()).toBe(false);
    // Features that are defined later leave them out in the same way.
    await world.defineSegment('visited_twice', 'count("visit", "1d") >= 1');
    await world.drain();
    world.clock.advance(1);
    await world.drain();
    expect(await world.db.query('SELECT FROM memberships')).toHaveLength(16);
  });

  it('is of a newer version where its format is not known: the worker waits for that one', async () => {
    await world.accept([aTrack('visit', { anonymous_id: 'a1' })]);
    await world.db.query(`UPDATE event_log SET payload = '\\x077b'`);
    await expect(world.drain()).rejects.toThrow('unknown format');
    expect(await letters()).toEqual([]);
  });

  it('is never one that was not looked at: a defect while definitions are loaded stops the worker', async () => {
    await world.accept([aTrack('visit', { anonymous_id: 'a1' }), aTrack('visit', { anonymous_id: 'a2' })]);
    const broken = vi.spyOn(world.engine.definitions, 'current').mockRejectedValue(new TypeError('a defect'));
    await expect(world.drain()).rejects.toThrow('a defect');
    broken.mockRestore();
    await world.drain();
    expect(await letters()).toEqual([]);
    expect(await visitors()).toEqual([1, 2]);
  });

  it('is not every one of them: after twenty in a row the worker stops, and goes on where the cause is gone', async () => {
    const people = Array.from({ length: 50 }, (_, i) => aTrack('visit', { anonymous_id: `a${String(i)}` }));
    await world.accept(people);
    const broken = vi.spyOn(TimerStore.prototype, 'save').mockRejectedValue(new TypeError('a defect'));
    await expect(world.drain()).rejects.toThrow('a defect');
    await expect(world.drain()).rejects.toThrow('a defect');
    expect(await letters()).toHaveLength(20);
    broken.mockRestore();
    await world.drain();
    expect(await letters()).toHaveLength(20);
    expect(await visitors()).toEqual(people.map((_, i) => i + 1).slice(20));
  });

  it('is not the one that happens to wait when a stream is retired', async () => {
    await world.accept([aTrack('visit', { anonymous_id: 'a1' })]);
    const state = { sqlState: '23503', constraint: null, retryable: false };
    const register = vi.spyOn(StreamBackfillStore.prototype, 'register');
    register.mockRejectedValueOnce(new SqlError('CONFLICT', 'a row that this one refers to is missing', state, {}));
    await world.drain();
    register.mockRestore();
    expect(await letters()).toEqual([]);
    expect(await visitors()).toEqual([1]);
  });

  it.each([
    ['P0001', 'INTERNAL'],
    ['23505', 'CONFLICT'],
    ['22021', 'BAD_REQUEST'],
  ])('does so too where the database refuses what it leads to (%s)', async (sqlState, code) => {
    await world.db.query(`
      CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '${sqlState}'; END $$`);
    await world.db.query(`
      CREATE TRIGGER refuse BEFORE INSERT ON identifiers FOR EACH ROW WHEN (NEW.value = 'a7') EXECUTE FUNCTION refuse()`);
    await world.accept(Array.from({ length: 12 }, (_, i) => aTrack('visit', { anonymous_id: `a${String(i)}` })));
    await world.drain();
    expect(await letters()).toEqual([{ pos: 8, stage: 'apply', code }]);
    expect(await visitors()).toEqual([1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12]);
  });

  it('counts nowhere, not in a feature that is defined later either', async () => {
    await appendNobody();
    await world.accept([aTrack('visit', { anonymous_id: 'a1' })]);
    await world.drain();
    await world.defineSegment('frequent', 'count("visit", "30d") >= 1');
    await world.drain();
    world.clock.advance(1);
    await world.drain();
    expect((await world.feed()).map((change) => change.segment)).toEqual(['visited', 'frequent']);
    expect(await letters()).toHaveLength(1);
  });

  it('is not what a broken definition is blamed on: the events wait until it is mended', async () => {
    await world.drain();
    const spoil = (expression: string) =>
      world.db.query(
        `WITH edited AS (UPDATE segment_versions SET expression = $1)
         UPDATE installation SET definitions_version = definitions_version + 1`,
        [expression],
      );
    await spoil('f.gone > 1');
    await world.accept([aTrack('visit', { anonymous_id: 'a1' }), aTrack('visit', { anonymous_id: 'a2' })]);
    await expect(world.drain()).rejects.toThrow(/gone/);
    expect(await letters()).toEqual([]);
    await spoil('performed("visit")');
    await world.drain();
    expect(await visitors()).toEqual([1, 2]);
    expect(await letters()).toEqual([]);
  });
});
