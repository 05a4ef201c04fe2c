import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { SegmentChange } from '../segments/segment.model.js';
import { ChangeAudience, type SeatEnd } from './change-audience.js';
import { ChangeHub } from './change-hub.js';

const change = (seq: number): SegmentChange => ({
  seq,
  profileId: 'p',
  segmentId: seq % 3,
  kind: 'enter',
  at: seq,
  version: 1,
  cause: { kind: 'event', pos: seq },
});

/** A feed in memory, which is read a turn later. */
class Feed {
  readonly rows: SegmentChange[] = [];

  append(count: number): SegmentChange[] {
    const added = Array.from({ length: count }, (_, i) => change(this.rows.length + 1 + i));
    this.rows.push(...added);
    return added;
  }

  head = async (): Promise<number> => Promise.resolve(this.rows.length);

  after = async (seq: number, limit: number): Promise<SegmentChange[]> => {
    await turn();
    return this.rows.filter((row) => row.seq > seq).slice(0, limit);
  };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const rethrow = (error: unknown): never => {
  throw error as Error;
};

interface World {
  readonly feed: Feed;
  readonly hub: ChangeHub;
  readonly audience: ChangeAudience<number>;
  /** Sequence numbers that were worked out. */
  readonly told: number[];
  overs: number;
}

function aWorld(tell: (seq: number) => Promise<number | null> = async (seq) => Promise.resolve(seq)): World {
  const feed = new Feed();
  feed.append(5);
  const hub = new ChangeHub({ feed, pollMs: 1, maxPageChanges: 3, maxQueuedChanges: 8, onError: rethrow });
  const told: number[] = [];
  const world: World = {
    feed,
    hub,
    told,
    overs: 0,
    audience: new ChangeAudience<number>({
      hub,
      filter: {},
      tell: async function* (page) {
        for (const { seq } of page) {
          // Slower than those who read by themselves, so that they overtake it.
          for (let i = 0; i < 3; i++) await turn();
          told.push(seq);
          const message = await tell(seq);
          yield message === null ? null : { seq, message };
        }
      },
      onOver: () => world.overs++,
    }),
  };
  return world;
}

/** Follows the feed as a subscription does: by itself, then seated, by itself again where it is behind. */
async function follow(
  { hub, audience }: World,
  after: number,
  isUnable: () => boolean,
  until: number,
): Promise<{ readonly seen: readonly number[]; readonly seats: number }> {
  const seen: number[] = [];
  let seats = 0;
  const leave = audience.expect();
  await audience.ready;
  let enough: () => void = () => undefined;
  const isEnough = new Promise<SeatEnd>((resolve) => {
    enough = () => {
      resolve({ kind: 'over' });
    };
  });
  const listener = {
    take: (seq: number) => {
      if (isUnable()) return false;
      seen.push(seq);
      if (seq >= until) enough();
      return true;
    },
  };
  let position = after;
  while ((seen.at(-1) ?? 0) < until) {
    let seat: ReturnType<typeof audience.sit> | null = null;
    const onCurrent = (at: number): void => {
      seat = audience.sit(listener, at);
      seats++;
    };
    for await (const page of hub.subscribe({ after: position, filter: {}, onCurrent })) {
      for (const { seq } of page) {
        await turn();
        seen.push(seq);
        if (seq >= until) enough();
      }
    }
    const seated = seat as ReturnType<typeof audience.sit> | null;
    if (seated === null) break;
    const end = await Promise.race([seated.ended, isEnough]);
    seated.leave();
    if (end.kind === 'over') break;
    position = end.position;
  }
  leave();
  return { seen, seats };
}

const upTo = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + 1 + i);

describe('ChangeAudience', () => {
  it('tells everybody every change once and in order, wherever they begin and however often they are behind', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ after: fc.nat(5), behindEvery: fc.integer({ min: 2, max: 9 }), turns: fc.nat(12) }), {
          minLength: 1,
          maxLength: 6,
        }),
        fc.array(fc.record({ size: fc.integer({ min: 1, max: 12 }), isLocal: fc.boolean(), turns: fc.nat(4) }), {
          minLength: 1,
          maxLength: 12,
        }),
        async (followers, commits) => {
          const world = aWorld();
          const { feed, hub } = world;
          // Somebody who stays, so that the audience does.
          const stay = world.audience.expect();
          const total = feed.rows.length + commits.reduce((sum, { size }) => sum + size, 0);
          const following = followers.map(async ({ after, behindEvery, turns }) => {
            for (let i = 0; i < turns; i++) await turn();
            let offered = 0;
            return follow(world, after, () => ++offered % behindEvery === 0, total);
          });
          for (const { size, isLocal, turns } of commits) {
            const added = feed.append(size);
            if (isLocal) hub.notify(added);
            for (let i = 0; i < turns; i++) await turn();
          }
          const results = await Promise.all(following);
          expect(results.map(({ seen }) => seen)).toEqual(followers.map(({ after }) => upTo(after, total)));
          stay();
          await expect.poll(() => hub.subscribers).toBe(0);
          await hub.close();
        },
      ),
      { numRuns: 60 },
    );
  });

  it('works out a change once for all who are seated, and counts each of them as a subscriber', async () => {
    const world = aWorld();
    const { feed, hub, told } = world;
    const following = Array.from({ length: 300 }, () => follow(world, 5, () => false, 9));
    await expect.poll(() => world.audience.size).toBe(300);
    expect(hub.subscribers).toBe(300);
    hub.notify(feed.append(4));
    for (const { seen, seats } of await Promise.all(following)) {
      expect(seen).toEqual([6, 7, 8, 9]);
      expect(seats).toBe(1);
    }
    expect(told).toEqual([6, 7, 8, 9]);
    await expect.poll(() => world.overs).toBe(1);
    expect(hub.subscribers).toBe(0);
    await hub.close();
  });

  it('gives others a turn while it tells very many', async () => {
    const world = aWorld();
    const following = Array.from({ length: 500 }, () => follow(world, 5, () => false, 6));
    await expect.poll(() => world.audience.size).toBe(500);
    let turns = 0;
    let isOver = false;
    const others = (async () => {
      while (!isOver) {
        await turn();
        turns++;
      }
    })();
    world.hub.notify(world.feed.append(1));
    const seated = world.audience.size;
    await Promise.all(following);
    isOver = true;
    await others;
    expect(seated).toBe(500);
    expect(turns).toBeGreaterThan(3);
    await world.hub.close();
  });

  it('fails for everybody by what keeps a change from being told, and seats nobody any more', async () => {
    const world = aWorld(async (seq) => {
      if (seq === 7) return Promise.reject(new Error('the database is away'));
      return Promise.resolve(seq);
    });
    const following = Array.from({ length: 3 }, () => follow(world, 5, () => false, 9));
    await expect.poll(() => world.audience.size).toBe(3);
    world.hub.notify(world.feed.append(4));
    for (const outcome of await Promise.allSettled(following)) {
      expect(outcome).toMatchObject({ status: 'rejected', reason: { message: 'the database is away' } });
    }
    expect(world.audience.isOver).toBe(true);
    await expect(world.audience.sit({ take: () => true }, 8).ended).resolves.toEqual({ kind: 'behind', position: 8 });
    await world.hub.close();
  });

  it('ends for everybody where nobody may be told any more, and when the hub is closed', async () => {
    const gone = aWorld(async () => Promise.resolve(null));
    const last = follow(gone, 5, () => false, 9);
    await expect.poll(() => gone.audience.size).toBe(1);
    gone.hub.notify(gone.feed.append(4));
    expect(await last).toEqual({ seen: [], seats: 1 });
    await gone.hub.close();

    const closed = aWorld();
    const following = follow(closed, 5, () => false, 9);
    await expect.poll(() => closed.audience.size).toBe(1);
    await closed.hub.close();
    expect(await following).toEqual({ seen: [], seats: 1 });
  });
});
