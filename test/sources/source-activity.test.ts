import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { SettledAccept } from '../../src/events/accept.model.js';
import type { AcceptResult, IncomingEvent } from '../../src/events/event.model.js';
import { ManualClock } from '../../src/platform/clock.js';
import { SourceActivityReader } from '../../src/sources/source-activity.reader.js';
import { SourceActivityRecorder } from '../../src/sources/source-activity.recorder.js';
import { SourceActivityStore, type ActivityDelta } from '../../src/sources/source-activity.store.js';
import { createApiWorld, type ApiWorld } from '../support/api-world.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { aTrack, HOUR_MS, START_MS } from '../support/world.js';

const HOUR = START_MS - (START_MS % HOUR_MS);
const SHOP = { id: 7, key: 'shop' };

let test: TestDatabase;
let clock: ManualClock;
let errors: unknown[];
let lost: number;

beforeAll(async () => {
  test = await createTestDatabase();
});

afterAll(() => test.drop());

beforeEach(() => {
  clock = new ManualClock(START_MS);
  errors = [];
  lost = 0;
});

afterEach(async () => {
  await test.database.execute('TRUNCATE source_hours, source_event_hours, source_seen');
});

function newRecorder(store: Pick<SourceActivityStore, 'add'> = new SourceActivityStore(test.database)) {
  return new SourceActivityRecorder({
    store,
    clock,
    onError: (error) => errors.push(error),
    onLost: (events) => (lost += events),
  });
}

function aCall(names: readonly string[], status: AcceptResult['status'] = 'accepted', source = SHOP): SettledAccept {
  const items = names.map((name): IncomingEvent => ({ type: 'track', name, identifiers: [] }));
  const result: AcceptResult = status === 'refused' ? { status, code: 'X', reason: 'x' } : { status };
  return { source, items, results: items.map(() => result), historical: false };
}

const reader = (): SourceActivityReader => new SourceActivityReader(test.database);

describe('the activity of sources', () => {
  it('is counted by hour, outcome and event, and added up over processes and writes', async () => {
    const [here, there] = [newRecorder(), newRecorder()];
    here.settled(aCall(['a', 'a', 'b']));
    there.settled(aCall(['a'], 'duplicate'));
    await Promise.all([here.writes.flush(), there.writes.flush()]);
    here.settled(aCall(['a'], 'refused'));
    here.settled({ ...aCall(['c']), historical: true });
    clock.advance(HOUR_MS);
    here.settled(aCall(['a']));
    await here.writes.flush();

    const counts = { duplicates: 0, refused: 0, flagged: 0, loaded: 0 };
    expect(await reader().hours(SHOP.id, HOUR)).toEqual([
      { hour: HOUR, ...counts, accepted: 4, duplicates: 1, refused: 1, loaded: 1 },
      { hour: HOUR + HOUR_MS, ...counts, accepted: 1 },
    ]);
    expect(await reader().events(SHOP.id, HOUR, 10)).toEqual([
      { event: 'a', ...counts, accepted: 3, duplicates: 1, refused: 1 },
      { event: 'b', ...counts, accepted: 1 },
      { event: 'c', ...counts, accepted: 1, loaded: 1 },
    ]);
    expect(await reader().lastSeen([SHOP.id, 8])).toEqual(new Map([[SHOP.id, START_MS + HOUR_MS]]));
  });

  it('keeps what could not be written for the next write', async () => {
    const written: ActivityDelta[] = [];
    let fails = true;
    const recorder = newRecorder({
      add: async (deltas) => {
        if (fails) throw new Error('no database');
        written.push(...deltas);
        return Promise.resolve();
      },
    });
    recorder.settled(aCall(['a', 'b']));
    await recorder.writes.flush();
    recorder.settled(aCall(['a']));
    await recorder.writes.flush();
    expect(errors).toHaveLength(2);
    fails = false;
    await recorder.writes.stop();
    const total = (event: string) =>
      written.filter((d) => d.event === event).reduce((sum, { accepted }) => sum + accepted, 0);
    expect([total('a'), total('b')]).toEqual([2, 1]);
  });

  it('counts the names beyond the bound together, however many writes they come in, and never loses the sum', async () => {
    const recorder = newRecorder();
    for (let round = 0; round < 3; round++) {
      recorder.settled(aCall(Array.from({ length: 150 }, (_, i) => `name ${String(round * 150 + i)}`)));
      await recorder.writes.flush();
    }
    const events = await reader().events(SHOP.id, HOUR, 500);
    expect(events).toHaveLength(201);
    expect(events[0]).toMatchObject({ event: '', accepted: 250 });
    expect(await reader().sums([SHOP.id], HOUR)).toMatchObject(new Map([[SHOP.id, { accepted: 450 }]]));
  });

  it('stays within its memory while the database is away', async () => {
    const recorder = newRecorder({ add: () => Promise.reject(new Error('no database')) });
    for (let source = 1; source <= 300; source++) {
      recorder.settled(
        aCall(
          Array.from({ length: 250 }, (_, i) => `n${String(i)}`),
          'accepted',
          { id: source, key: 's' },
        ),
      );
    }
    expect(lost).toBe(0);
    for (let source = 1_000; source < 41_000; source++)
      recorder.settled(aCall(['x'], 'accepted', { id: source, key: 's' }));
    expect(lost).toBeGreaterThan(0);
    await recorder.writes.flush();
  });

  it('takes names that a database cannot store', async () => {
    const recorder = newRecorder();
    recorder.settled(aCall(['a\0b', '\ud800', 'x'.repeat(201)], 'refused'));
    await recorder.writes.flush();
    expect(errors).toEqual([]);
    const events = await reader().events(SHOP.id, HOUR, 10);
    expect(events.map(({ event }) => event).sort()).toEqual(['', 'a\ufffdb', '\ufffd']);
  });

  it('is removed after ninety days', async () => {
    const recorder = newRecorder();
    recorder.settled(aCall(['old']));
    await recorder.writes.flush();
    clock.advance(90 * 24 * HOUR_MS);
    const store = new SourceActivityStore(test.database);
    await store.sweep(clock.now());
    expect(await reader().hours(SHOP.id, 0)).toHaveLength(1);
    clock.advance(HOUR_MS);
    expect(await store.sweep(clock.now())).toBe(false);
    expect(await reader().hours(SHOP.id, 0)).toEqual([]);
    expect(await reader().events(SHOP.id, 0, 10)).toEqual([]);
  });
});

describe('the activity of sources in GraphQL', () => {
  let world: ApiWorld;

  beforeAll(async () => {
    const recorder: { current?: SourceActivityRecorder } = {};
    world = await createApiWorld({ observers: { settled: (call) => recorder.current?.settled(call) } });
    recorder.current = new SourceActivityRecorder({
      store: new SourceActivityStore(world.db),
      clock: world.clock,
      onError: (error) => {
        throw error as Error;
      },
      onLost: () => undefined,
    });
    await world.accept([aTrack('order', { user_id: 'ann' }), aTrack('', { user_id: 'ann' })]);
    await world.accept([aTrack('order', { user_id: 'ann' })], { source: 'app' });
    await recorder.current.writes.flush();
  });

  afterAll(() => world.close());

  it('says when a source was seen last, what came in and how much of it was refused', async () => {
    const answer = await world.data<{ sources: { edges: { node: { key: string } }[] } }>(
      `{ sources { edges { node { key lastSeenAt errorRate activity(hours: 2) { hour accepted refused }
                   eventActivity { event accepted refused } } } } }`,
    );
    const sources = answer.sources.edges.map(({ node }) => node);
    const web = sources.find(({ key }) => key === 'web');
    expect(web).toEqual({
      key: 'web',
      lastSeenAt: new Date(START_MS).toISOString(),
      errorRate: 0.5,
      activity: [
        { hour: new Date(HOUR - HOUR_MS).toISOString(), accepted: 0, refused: 0 },
        { hour: new Date(HOUR).toISOString(), accepted: 1, refused: 1 },
      ],
      eventActivity: [
        { event: null, accepted: 0, refused: 1 },
        { event: 'order', accepted: 1, refused: 0 },
      ],
    });
    expect(sources.find(({ key }) => key === 'app')).toMatchObject({ errorRate: 0 });
  });

  it('refuses to read more hours than are kept', async () => {
    const { errors: refused } = await world.ask('{ sources { edges { node { activity(hours: 3000) { hour } } } } }');
    expect(refused?.[0]?.extensions['code']).toBe('BAD_REQUEST');
  });
});
