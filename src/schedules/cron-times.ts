import { Cron } from 'croner';

import { WeftError } from '../platform/errors.js';

const MAX_LENGTH = 200;
/** Counted at most, so that a schedule of each minute that rested for years is not counted through. */
const MAX_COUNTED = 10_000;

/**
 * When a cron expression is due: minute, hour, day of the month, month and day of the week, in local time of a zone; or
 * `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`. A local time that a change of the clocks skips is due as much
 * later as they are moved; of one that occurs twice the first counts.
 */
export class CronTimes {
  readonly #cron: Cron;

  /** @throws WeftError BAD_REQUEST where the expression or the zone cannot be read, or no time will ever fit */
  constructor(expression: string, zone: string) {
    checkZone(zone);
    this.#cron = parse(expression, zone);
  }

  /** The first instant after this one, ms; null where none will come. */
  after(ms: number): number | null {
    return this.#cron.nextRun(new Date(ms))?.getTime() ?? null;
  }

  /** Of the instants from `fromMs` (one of them) up to `untilMs`: the last one, and how many come before it. */
  passed(fromMs: number, untilMs: number): { readonly last: number; readonly before: number } {
    let last = fromMs;
    for (let before = 0; ; before++) {
      const next = this.after(last);
      if (next === null || next > untilMs) return { last, before };
      // The rest is not looked at: the run is of an instant that is known to have passed.
      if (before === MAX_COUNTED) return { last, before };
      last = next;
    }
  }
}

function checkZone(zone: string): void {
  try {
    new Intl.DateTimeFormat('en-US', { timeZone: zone });
  } catch {
    throw new WeftError('BAD_REQUEST', `there is no time zone ${zone.slice(0, MAX_LENGTH)}`, {
      where: 'zone',
      hint: 'name it as in Europe/Berlin or UTC',
    });
  }
}

function parse(expression: string, zone: string): Cron {
  const text = expression.trim();
  const hint = 'write minute, hour, day, month and weekday, as in "0 6 * * *" for 06:00 each day, or @hourly, @daily';
  const isShort = text.length <= MAX_LENGTH;
  // A single instant is none: the library takes those, too.
  if (!isShort || !(text.startsWith('@') || text.split(/\s+/).length === 5)) {
    throw new WeftError('BAD_REQUEST', 'a cron expression has five fields', { where: 'cron', hint });
  }
  try {
    const cron = new Cron(text, { timezone: zone, mode: '5-part', paused: true });
    if (cron.nextRun(new Date(0)) !== null) return cron;
  } catch (error) {
    const reason = error instanceof Error ? error.message.replace(/^CronPattern: /, '') : 'it cannot be read';
    throw new WeftError('BAD_REQUEST', `the cron expression is wrong: ${reason}`, { where: 'cron', hint });
  }
  throw new WeftError('BAD_REQUEST', 'no time will ever fit the cron expression', { where: 'cron', hint });
}
