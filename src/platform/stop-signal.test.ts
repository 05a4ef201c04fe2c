import { EventEmitter } from 'node:events';
import { describe, expect, it } from 'vitest';
import { ManualClock } from './clock.js';
import { stopSignal } from './stop-signal.js';

function start() {
  const source = new EventEmitter();
  const clock = new ManualClock(0);
  const ends: number[] = [];
  const signal = stopSignal(
    source,
    () => ends.push(clock.now()),
    () => clock.now(),
  );
  return { source, clock, ends, signal };
}

describe('a signal to stop', () => {
  it.each(['SIGINT', 'SIGTERM'])('asks for an orderly end: %s', (name) => {
    const { source, ends, signal } = start();
    source.emit(name);
    expect(signal.aborted).toBe(true);
    expect(ends).toEqual([]);
  });

  it('ends at once when a person sends it again', () => {
    const { source, clock, ends } = start();
    source.emit('SIGINT');
    clock.advance(500);
    source.emit('SIGTERM');
    expect(ends).toEqual([500]);
  });

  it('is one signal where npm passes on what the terminal has sent already', () => {
    const { source, clock, ends } = start();
    source.emit('SIGINT');
    clock.advance(499);
    source.emit('SIGINT');
    expect(ends).toEqual([]);
  });
});
