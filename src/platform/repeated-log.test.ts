import { describe, expect, it } from 'vitest';
import { ManualClock } from './clock.js';
import { WeftError } from './errors.js';
import { createLogger } from './logger.js';
import { RepeatedLog, type RepeatedLogOptions } from './repeated-log.js';

interface Line {
  readonly level: string;
  readonly msg: string;
  readonly pos?: number;
  readonly repeats?: number;
  readonly err: { readonly message: string };
}

function newLogger() {
  const lines: Line[] = [];
  const destination = { write: (line: string) => lines.push(JSON.parse(line) as Line) };
  return { lines, logger: createLogger({ level: 'info', destination }) };
}

function newLog(options: RepeatedLogOptions = {}) {
  const { lines, logger } = newLogger();
  const clock = new ManualClock(1_000_000);
  return { lines, clock, log: new RepeatedLog(logger, clock, options) };
}

const failure = (where: string, message = 'no such variable'): WeftError =>
  new WeftError('EXPRESSION_INVALID', message, { where });

describe('a log of what happens again and again', () => {
  it('has one line for a cause and interval, with the count of those before it', () => {
    const { lines, clock, log } = newLog();
    for (let i = 0; i < 180; i += 1) {
      log.warn(failure('segment a'), 'a batch failed', { pos: i });
      clock.advance(1_000);
    }
    expect(lines.map(({ pos, repeats }) => [pos, repeats])).toEqual([
      [0, undefined],
      [60, 59],
      [120, 59],
    ]);
  });

  it('tells causes apart by what happened, code, place and words, but not by numbers', () => {
    const { lines, log } = newLog();
    log.warn(failure('segment a', 'failed at 17'), 'a batch failed');
    log.warn(failure('segment a', 'failed at 4'), 'a batch failed');
    log.warn(failure('segment b', 'failed at 17'), 'a batch failed');
    log.warn(failure('segment a', 'broken at 17'), 'a batch failed');
    log.error(failure('segment a', 'failed at 17'), 'an event could not be applied');
    log.error(new TypeError('failed at 17'), 'an event could not be applied');
    log.error('thrown', 'an event could not be applied');
    expect(lines).toHaveLength(6);
  });

  it('tells how often a cause happened that is over, with the next line', () => {
    const { lines, clock, log } = newLog();
    for (let i = 0; i < 5; i += 1) log.error(failure('segment a'), 'an event could not be applied', { pos: i });
    clock.advance(60_000);
    log.warn(failure('model b'), 'a batch failed');
    expect(lines.map(({ level, msg, pos, repeats }) => [level, msg, pos, repeats])).toEqual([
      ['error', 'an event could not be applied', 0, undefined],
      ['error', 'an event could not be applied', 0, 4],
      ['warn', 'a batch failed', undefined, undefined],
    ]);
  });

  it('neither grows nor floods where every cause is another', () => {
    const { lines, clock, log } = newLog({ maxCauses: 3 });
    const letters = 'abcdefghijklmnopqrstuvwxyz';
    for (const letter of letters) log.warn(failure(letter), 'a batch failed');
    // Three of their own, and one line for all the rest.
    expect(lines).toHaveLength(4);
    clock.advance(60_000);
    for (const letter of letters) log.warn(failure(letter), 'a batch failed');
    const total = lines.reduce((sum, { repeats = 0 }) => sum + repeats, 0);
    expect(total).toBe(22);
    expect(lines.length).toBeLessThanOrEqual(9);
  });

  it('is not silenced by a clock that is set back', () => {
    const clock = { ms: 1_000_000, now: () => clock.ms };
    const { lines, logger } = newLogger();
    const log = new RepeatedLog(logger, clock);
    log.warn(failure('a'), 'a batch failed');
    clock.ms = 500_000;
    log.warn(failure('a'), 'a batch failed');
    expect(lines).toHaveLength(2);
  });
});
