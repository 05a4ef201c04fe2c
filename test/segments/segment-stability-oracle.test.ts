import { afterAll, beforeAll, expect, it } from 'vitest';
import type { SegmentChange } from '../../src/segments/segment.model.js';
import { RefreshReader } from '../../src/segments/refresh.reader.js';
import { RefreshStore } from '../../src/segments/refresh.store.js';
import { SegmentReader } from '../../src/segments/segment.reader.js';
import { randomFrom } from '../support/random-log.js';
import { aTrack, createWorld, MINUTE_MS, type World } from '../support/world.js';

/*
 * Random events, merges, edits and looks: what is measured is what the feed and the members say, person by person.
 */

const KEYS = ['active', 'busy', 'quiet'] as const;
type Key = (typeof KEYS)[number];
const KINDS = new Set(['edit', 'model', 'recompute']);

let world: World;
beforeAll(async () => {
  world = await createWorld();
});
afterAll(() => world.close());

const conditionOf = (key: Key, bound: number): string =>
  key === 'quiet'
    ? `!segment("busy") && count("view", "30m") <= ${String(bound)}`
    : `count("view", "1h") >= ${String(bound)}`;

async function settle(): Promise<void> {
  await world.drain();
  world.clock.advance(1);
  await world.drain();
}

const membersOf = async (id: number): Promise<Set<string>> => {
  const rows = await world.db.query<{ id: string }>('SELECT profile_id AS id FROM memberships WHERE segment_id = $1', [
    id,
  ]);
  return new Set(rows.map((row) => row.id));
};

/** As `edit 5 2 1`: who would be in it, who entered and who left, for each kind of which there is one. */
async function expected(id: number, feed: readonly SegmentChange[], isEdited: boolean): Promise<string[]> {
  const members = await membersOf(id);
  const first = new Map<string, SegmentChange>();
  for (const change of feed) {
    const isOfRefresh = change.segmentId === id && KINDS.has(change.cause.kind) && change.cause.pos === null;
    if (isOfRefresh && !first.has(change.profileId)) first.set(change.profileId, change);
  }
  return [...KINDS].flatMap((kind) => {
    const would = new Set(members);
    for (const [profileId, change] of first) {
      if (change.cause.kind !== kind) continue;
      if (change.kind === 'enter') would.delete(profileId);
      else would.add(profileId);
    }
    const entered = [...members].filter((each) => !would.has(each)).length;
    const left = [...would].filter((each) => !members.has(each)).length;
    const isTold = entered + left > 0 || (kind === 'edit' && isEdited);
    return isTold ? [`${kind} ${[would.size, entered, left].map(String).join(' ')}`] : [];
  });
}

it.each([1, 2, 3, 4])('is what the feed and the members say, person by person (seed %i)', async (seed) => {
  const random = randomFrom(seed);
  const below = (n: number): number => Math.floor(random() * n);
  const store = new RefreshStore(world.db);
  const reader = new RefreshReader(world.db);
  const idOf = new Map<Key, number>();
  for (const key of KEYS) {
    await world.defineSegment(key, conditionOf(key, 1 + seed));
    const [row] = await world.db.query<{ id: number }>('SELECT id FROM segments WHERE key = $1', [key]);
    idOf.set(key, row?.id ?? 0);
  }
  await settle();
  await store.measureIfDue({ nowMs: world.clock.now(), maxChanges: 1e9 });
  let place = (await world.feed()).at(-1)?.seq ?? 0;
  let live = await versions();
  let [told, unstable] = [0, 0];
  for (let step = 0; step < 60; step++) {
    world.clock.advance(below(12) * MINUTE_MS);
    const people = Array.from({ length: 1 + below(8) }, () => below(30));
    await world.accept(
      people.map((person) => {
        const own = { anonymous_id: `s${String(seed)}-${String(person)}` };
        // Two browsers of one account become one profile.
        return aTrack('view', random() < 0.1 ? { ...own, user_id: `s${String(seed)}-u${String(person % 5)}` } : own);
      }),
    );
    if (random() < 0.25) {
      const key = KEYS[below(KEYS.length)] ?? 'active';
      await world.defineSegment(key, conditionOf(key, below(4)));
    }
    if (random() < 0.5) await world.drain();
    if (random() < 0.6) continue;
    await settle();
    const before = new Map(await Promise.all(KEYS.map(async (key) => [key, await newestOf(key)] as const)));
    await store.measureIfDue({ nowMs: world.clock.now(), maxChanges: 1e9 });
    const feed = (await world.feed()).filter(({ seq }) => seq > place);
    const now = await versions();
    for (const key of KEYS) {
      const id = idOf.get(key) ?? 0;
      const found = (await reader.page(id, Number.MAX_SAFE_INTEGER, 3)).filter(
        (each) => each.id > (before.get(key) ?? 0),
      );
      const isEdited = live.get(key) !== now.get(key);
      expect(
        found.map((each) => `${each.kind} ${[each.before, each.entered, each.left].map(String).join(' ')}`),
      ).toEqual(await expected(id, feed, isEdited));
      told += found.length;
      unstable += found.filter(({ entered, left }) => entered + left > 0).length;
    }
    place = (await world.feed()).at(-1)?.seq ?? 0;
    live = now;
  }
  expect(Math.min(told, unstable)).toBeGreaterThan(3);

  async function versions(): Promise<Map<string, number | null>> {
    return new Map((await new SegmentReader(world.db).active()).map(({ key, activeVersion }) => [key, activeVersion]));
  }

  async function newestOf(key: Key): Promise<number> {
    return (await reader.page(idOf.get(key) ?? 0, Number.MAX_SAFE_INTEGER, 1))[0]?.id ?? 0;
  }
});
