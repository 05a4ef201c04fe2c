import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import type { Uuid } from '../../src/platform/ids.js';
import { activateByTown, profilesOf, settle } from '../support/matching-world.js';
import { anIdentify, createWorld, MINUTE_MS, type World } from '../support/world.js';

/** Nobody is compared in a town where more live. */
const MAX_BLOCK = 3;

interface Said {
  readonly user: number;
  /** An address of several users is of the one who had it first. */
  readonly mail: number | null;
  readonly name: string;
  readonly town: string;
}

const said = fc.record<Said>({
  user: fc.integer({ min: 0, max: 5 }),
  mail: fc.option(fc.integer({ min: 0, max: 2 }), { nil: null }),
  name: fc.constantFrom('ann', 'bob'),
  town: fc.constantFrom('hull', 'york'),
});

const worlds: World[] = [];

async function build(events: readonly (Said & { readonly at: number })[], sizes: readonly number[]): Promise<World> {
  const world = await createWorld(undefined, { limits: { maxBlockRecords: MAX_BLOCK } });
  worlds.push(world);
  await world.accept([], { source: 'web' });
  await activateByTown(world);
  await world.drain();
  for (let i = 0, chunk = 0; i < events.length; chunk++) {
    const size = sizes[chunk % sizes.length] ?? 1;
    await world.accept(
      events
        .slice(i, i + size)
        .map(({ user, mail, name, town, at }) =>
          anIdentify(
            { user_id: `r ${String(user)}`, ...(mail === null ? {} : { email: `m${String(mail)}@example.com` }) },
            { name, town },
            { timestampMs: at, messageId: `at ${String(at)}` },
          ),
        ),
    );
    await settle(world);
    i += size;
  }
  return world;
}

afterAll(async () => {
  await Promise.all(worlds.map((world) => world.close()));
});

describe('people who are compared as events come', () => {
  it('are the same people in whatever order and portions these come, where blocks grow too large, too', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(said, { minLength: 3, maxLength: 9 }).chain((events) =>
          fc.tuple(
            fc.constant(events.map((event, i) => ({ ...event, at: 1_700_000_000_000 - (20 - i) * MINUTE_MS }))),
            fc.shuffledSubarray(
              events.map((_, i) => i),
              { minLength: events.length },
            ),
            fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 3 }),
          ),
        ),
        async ([events, order, sizes]) => {
          const shuffled = order.flatMap((i) => events[i] ?? []);
          const [atOnce, byParts] = [await build(events, [events.length]), await build(shuffled, sizes)];
          expect(await profilesOf(byParts)).toEqual(await profilesOf(atOnce));
          const pairs = (world: World) =>
            world.db.query('SELECT a_id, b_id, weight FROM matching_pairs ORDER BY a_id, b_id');
          expect(await pairs(byParts)).toEqual(await pairs(atOnce));
        },
      ),
      { numRuns: 4, seed: 33 },
    );
  });
});

describe('a link of a model that somebody took back', () => {
  it('does not come back where one of the two signs in', async () => {
    const world = await build([], []);
    const traits = { name: 'ann', town: 'hull' };
    const cookies = [{ anonymous_id: 'c1' }, { anonymous_id: 'c2' }];
    await world.accept(cookies.map((ids) => anIdentify(ids, traits)));
    await settle(world);
    expect(await peopleIn(world)).toBe(1);
    const [link] = await world.db.query<{ id: Uuid }>('SELECT id FROM identity_links WHERE removed_at IS NULL');
    const unlink = { kind: 'unlink', input: { link: link?.id ?? '' } } as const;
    await world.engine.identity.revisions.request(unlink, { reason: 'two sisters', actor: 'test' });
    await settle(world);
    expect(await peopleIn(world)).toBe(2);
    await world.accept(['c1', 'c2'].map((id) => anIdentify({ user_id: `user ${id}`, anonymous_id: id }, traits)));
    await settle(world);
    expect(await peopleIn(world)).toBe(2);
  });
});

async function peopleIn(world: World): Promise<number | undefined> {
  return (await world.db.query<{ n: number }>('SELECT count(DISTINCT profile_id)::int AS n FROM identifiers'))[0]?.n;
}
