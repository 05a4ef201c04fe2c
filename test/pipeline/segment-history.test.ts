import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { checkSegments } from '../../src/monitoring/doctor.js';
import { STEP_MS } from '../../src/segments/segment-history.model.js';
import { SegmentHistoryReader } from '../../src/segments/segment-history.reader.js';
import { segmentServices } from '../../src/segments/segment-command-services.js';
import { segmentCommand } from '../../src/segments/segment.command.js';
import { SegmentWatch } from '../../src/segments/segment-watch.js';
import { createApiWorld, type ApiWorld } from '../support/api-world.js';
import { runWith } from '../support/command-runner.js';
import { randomFrom } from '../support/random-log.js';
import { aTrack, HOUR_MS, START_MS } from '../support/world.js';

const DAY_MS = STEP_MS.day;
const MIDNIGHT = START_MS - (START_MS % DAY_MS) + DAY_MS;

let world: ApiWorld;
const told: string[] = [];

beforeAll(async () => {
  world = await createApiWorld();
  world.clock.set(MIDNIGHT);
});

afterAll(() => world.close());

function newWatch(): SegmentWatch {
  return new SegmentWatch({
    db: world.db,
    clock: world.clock,
    observer: {
      began: (key, { kind, expected, seen }) => told.push(`${key} ${kind} ${String(expected)} ${String(seen)}`),
      ended: (key, kind) => told.push(`${key} ${kind} ended`),
    },
    onError: (error) => {
      throw error as Error;
    },
  });
}

const idOf = async (key: string): Promise<number> => {
  const [row] = await world.db.query<{ id: number }>('SELECT id FROM segments WHERE key = $1', [key]);
  return row?.id ?? -1;
};

interface Counted {
  readonly start: number;
  readonly entered: number;
  readonly left: number;
  readonly edited: number;
}

/** From the feed, change by change. */
async function countedByHand(segmentId: number, stepMs: number): Promise<Counted[]> {
  const changes = await world.db.query<{ at: number; kind: string; cause: { kind: string } }>(
    'SELECT at, kind, cause FROM changes WHERE segment_id = $1',
    [segmentId],
  );
  const counts = new Map<number, Counted>();
  for (const { at, kind, cause } of changes) {
    const start = Math.floor(at / stepMs) * stepMs;
    const { entered, left, edited } = counts.get(start) ?? { entered: 0, left: 0, edited: 0 };
    counts.set(start, {
      start,
      entered: entered + (kind === 'enter' ? 1 : 0),
      left: left + (kind === 'leave' ? 1 : 0),
      edited: edited + (cause.kind === 'edit' ? 1 : 0),
    });
  }
  return [...counts.values()].sort((a, b) => a.start - b.start);
}

const membersNow = async (segmentId: number): Promise<Map<string, number>> => {
  const rows = await world.db.query<{ id: string; since: number }>(
    'SELECT profile_id AS id, since FROM memberships WHERE segment_id = $1',
    [segmentId],
  );
  return new Map(rows.map(({ id, since }) => [id, since]));
};

describe('the history of a segment', () => {
  it('counts every change once, whoever looks and when, and measures each hour and day once', async () => {
    await world.defineSegment('recent', 'performed("view", "2h")');
    const id = await idOf('recent');
    const random = randomFrom(7);
    const watches = [newWatch(), newWatch()];
    const sizes = new Map<number, number>();
    const similar = new Map<number, number | null>();
    let before = new Map<string, number>();
    for (let step = 0; step < 40; step++) {
      world.clock.advance(Math.floor(random() * 70) * 60_000);
      const events = Array.from({ length: Math.floor(random() * 6) }, () =>
        aTrack('view', { anonymous_id: `a${String(Math.floor(random() * 12))}` }),
      );
      await world.accept(events);
      if (step === 20) await world.defineSegment('recent', 'performed("view", "4h")');
      await world.drain();
      if (random() < 0.3) continue;
      const hour = world.clock.now() - (world.clock.now() % HOUR_MS);
      const members = await membersNow(id);
      await Promise.all(watches.map((watch) => watch.look()));
      if (sizes.has(hour)) continue;
      sizes.set(hour, members.size);
      const stayed = [...members].filter(([member, since]) => before.get(member) === since).length;
      const either = before.size + members.size - stayed;
      similar.set(hour, sizes.has(hour - HOUR_MS) && either > 0 ? stayed / either : null);
      before = members;
    }
    await newWatch().look();
    const reader = new SegmentHistoryReader(world.db);
    for (const step of ['hour', 'day'] as const) {
      const periods = await reader.periods(id, step, 0);
      const counted = periods.filter(({ entered, left }) => entered + left > 0);
      const counts = counted.map(({ start, entered, left, edited }) => ({ start, entered, left, edited }));
      expect(counts).toEqual(await countedByHand(id, STEP_MS[step]));
      expect(counts.some(({ edited }) => edited > 0)).toBe(true);
    }
    const hours = await world.data<{
      segment: { history: { start: string; size: number | null; similarity: number | null }[] };
    }>('{ segment(key: "recent") { history(by: HOUR, last: 100) { start size similarity } } }');
    const shown = hours.segment.history.filter(({ size }) => size !== null);
    expect(shown.slice(0, -1).map(({ start, size, similarity }) => [Date.parse(start), size, similarity])).toEqual(
      [...sizes].slice(0, shown.length - 1).map(([hour, size]) => [hour, size, similar.get(hour) ?? null]),
    );
    expect(shown.some(({ similarity }) => similarity !== null && similarity > 0 && similarity < 1)).toBe(true);
  });

  it('is refused beyond what is kept', async () => {
    const { errors } = await world.ask('{ segment(key: "recent") { history(by: DAY, last: 2000) { size } } }');
    expect(errors?.[0]?.message).toContain('days of a segment are kept for 1095');
  });
});

describe('an unusual rate of changes', () => {
  it('is noticed once, told everywhere, and over when it is over', async () => {
    await world.defineSegment('steady', 'performed("cart")');
    await world.drain();
    const id = await idOf('steady');
    const hour = world.clock.now() - (world.clock.now() % HOUR_MS) + HOUR_MS;
    // What is accepted and not applied yet may be all that is missing.
    world.clock.set(hour - HOUR_MS / 2);
    await world.accept([aTrack('cart', { anonymous_id: 'late' })]);
    world.clock.set(hour + 60_000);
    await world.db.execute(
      `INSERT INTO segment_periods (segment_id, step_ms, start, size, entered, exited)
       SELECT $1::int4, 3600000, $2::int8 - n * 3600000, 100, 50, 50 FROM generate_series(2::int8, 800::int8) n`,
      [id, hour],
    );
    const watch = newWatch();
    await watch.look();
    expect(told).toEqual([]);
    await world.drain();
    await Promise.all([watch.look(), newWatch().look()]);
    await newWatch().look();
    expect(told.splice(0)).toEqual(['steady changes_low 100 1']);
    expect(watch.open).toEqual([{ segmentKey: 'steady', kind: 'changes_low' }]);
    expect(await checkSegments(world.db)).toMatchObject({ outcome: 'warning' });
    const { segment } = await world.data<{ segment: { alerts: unknown[] } }>(
      '{ segment(key: "steady") { alerts { kind since endedAt expected seen } } }',
    );
    const since = new Date(hour - HOUR_MS).toISOString();
    expect(segment.alerts).toEqual([{ kind: 'CHANGES_LOW', since, endedAt: null, expected: 100, seen: 1 }]);

    const { stdout, stderr } = await runWith(
      (io) =>
        segmentCommand({
          ...io,
          user: 'ann',
          clock: world.clock,
          withSegments: (use) => use(segmentServices(world.db, world.engine.services.segments, world)),
        }),
      ['history', 'steady', '--by', 'hour', '--last', '3'],
    );
    expect(stdout).toMatch(/^hour +members +entered +left +by edits +similarity\n/);
    expect(stdout.split('\n')[1]).toMatch(/ 100 +50 +50 +0 +-$/);
    expect(stderr).toBe(`Few changes since ${since}: 1, where 100 are usual.\n`);

    await world.engine.services.segments.archive('steady');
    world.clock.advance(HOUR_MS);
    await world.drain();
    await watch.look();
    expect(told.splice(0)).toEqual(['steady changes_low ended']);
    expect(await checkSegments(world.db)).toMatchObject({ outcome: 'ok' });
  });
});
