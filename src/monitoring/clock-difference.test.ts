import { describe, expect, it } from 'vitest';
import type { Clock } from '../platform/clock.js';
import type { Queryable } from '../platform/postgres.js';
import { ClockDifference, clockProblems, readClocks } from './clock-difference.js';

/** A process, a database and a log, each with its clock; a question takes `roundTripMs`. */
class Clocks implements Clock {
  asked = 0;
  constructor(
    public processMs: number,
    public databaseMs: number,
    public logMs: number,
    readonly roundTripMs = 0,
  ) {}

  now(): number {
    return this.processMs;
  }

  readonly db: Pick<Queryable, 'query'> = {
    query: <Row>(): Promise<Row[]> => {
      this.asked += 1;
      const row = { database: this.databaseMs + this.roundTripMs / 2, log: this.logMs };
      this.processMs += this.roundTripMs;
      return Promise.resolve([row as Row]);
    },
  };
}

const read = (clocks: Clocks) => readClocks(clocks.db as Queryable, clocks);

describe('the clocks', () => {
  it('do not differ by how long the question takes', async () => {
    expect(await read(new Clocks(1_000_000, 1_000_000, 0, 900))).toMatchObject({ processMs: 0 });
  });

  it('are no problem up to a minute apart', async () => {
    for (const differenceMs of [-60_000, 0, 60_000]) {
      expect(clockProblems(await read(new Clocks(1_000_000, 1_000_000 + differenceMs, 1_060_000)))).toEqual([]);
    }
  });

  it.each([
    [61_000, 'the clock is 61 s behind the database’s'],
    [-61_000, 'the clock is 61 s ahead of the database’s'],
    [-3 * 3_600_000, 'the clock is 3 h ahead of the database’s'],
    [86_400_000 * 400, 'the clock is 400 days behind the database’s'],
  ])('are a problem further apart: %i ms', async (differenceMs, problem) => {
    const clocks = new Clocks(1e12, 1e12 + differenceMs, 0);
    expect(clockProblems(await read(clocks))).toEqual([problem.replace('’', "'")]);
  });

  it('are a problem where the log was written by a clock that ran ahead', async () => {
    const problems = clockProblems(await read(new Clocks(1e12, 1e12, 1e12 + 600_000)));
    expect(problems).toEqual([expect.stringMatching(/^the log's clock is 10 min ahead/)]);
  });

  it('are compared once a minute, however often somebody asks', async () => {
    const clocks = new Clocks(0, 5_000, 0);
    const difference = new ClockDifference(clocks.db as Queryable, clocks);
    for (const nowMs of [0, 1, 30_000, 59_999]) await difference.keepFresh(nowMs);
    expect([clocks.asked, difference.ms]).toEqual([1, -5_000]);
    clocks.databaseMs = -7_000;
    await difference.keepFresh(60_000);
    expect([clocks.asked, difference.ms]).toEqual([2, 7_000]);
  });
});
