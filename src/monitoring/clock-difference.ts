import type { Clock } from '../platform/clock.js';
import type { Queryable } from '../platform/postgres.js';

/** Beyond it somebody should look; machines that follow a time server differ by milliseconds. */
const MAX_CLOCK_DIFFERENCE_MS = 60_000;
const MEASURE_EVERY_MS = 60_000;

/** Times of the process against those of the database, ms; what is ahead is positive. */
export interface ClockReading {
  /** The process's clock less the database's. */
  readonly processMs: number;
  /**
   * The log's clock less the process's. Above zero events are accepted at the log's instant, until the process gets
   * there: time in the log never goes back.
   */
  readonly logMs: number;
}

/** Half of the round trip is taken off: the database's clock was read somewhere in between. */
export async function readClocks(db: Queryable, clock: Clock): Promise<ClockReading> {
  const beforeMs = clock.now();
  const [row] = await db.query<{ database: number; log: number }>(
    `SELECT (extract(epoch FROM clock_timestamp()) * 1000)::int8 AS database,
            (SELECT accepted_at FROM log_head)::int8 AS log`,
  );
  const afterMs = clock.now();
  if (row === undefined) throw new Error('no answer to a look at the clock');
  return { processMs: Math.round((beforeMs + afterMs) / 2) - row.database, logMs: row.log - afterMs };
}

/** One line each for what should be looked at. */
export function clockProblems({ processMs, logMs }: ClockReading): string[] {
  const problems: string[] = [];
  if (Math.abs(processMs) > MAX_CLOCK_DIFFERENCE_MS) {
    problems.push(`the clock is ${durationOf(processMs)} ${processMs > 0 ? 'ahead of' : 'behind'} the database's`);
  }
  if (logMs > MAX_CLOCK_DIFFERENCE_MS) {
    problems.push(
      `the log's clock is ${durationOf(logMs)} ahead, as after a clock that ran ahead: until then events are accepted at one instant`,
    );
  }
  return problems;
}

function durationOf(ms: number): string {
  const seconds = Math.round(Math.abs(ms) / 1_000);
  const [unit, size] = UNITS.find(([, unitSize]) => seconds >= 2 * unitSize) ?? ['s', 1];
  return `${String(Math.round(seconds / size))} ${unit}`;
}

const UNITS = [
  ['days', 86_400],
  ['h', 3_600],
  ['min', 60],
] as const;

/** How far the clock of this process is from the database's, as of a measurement not long ago. */
export class ClockDifference {
  readonly #db: Queryable;
  readonly #clock: Clock;
  #measuredAt = Number.NEGATIVE_INFINITY;
  #lastMs = 0;

  constructor(db: Queryable, clock: Clock) {
    this.#db = db;
    this.#clock = clock;
  }

  /** As measured last; above zero the process is ahead. */
  get ms(): number {
    return this.#lastMs;
  }

  /** @param nowMs of a clock that never goes back, unlike those that are compared */
  async measure(nowMs: number): Promise<ClockReading> {
    this.#measuredAt = nowMs;
    const reading = await readClocks(this.#db, this.#clock);
    this.#lastMs = reading.processMs;
    return reading;
  }

  /** To be called often: measures once a minute, and asks nothing of the database in between. */
  async keepFresh(nowMs: number): Promise<void> {
    if (nowMs - this.#measuredAt >= MEASURE_EVERY_MS) await this.measure(nowMs);
  }
}
