import { describe, expect, it } from 'vitest';
import { Lifecycle, type Departure } from './lifecycle.js';

/** A lifecycle that writes down what happens to its parts. */
function recorded(timeoutMs = 5_000) {
  const events: string[] = [];
  const lifecycle = new Lifecycle(
    {
      started: (name) => events.push(`+${name}`),
      departureFailed: (name, phase) => events.push(`${name} failed to ${phase}`),
    },
    timeoutMs,
  );
  const departure: Departure<string> = {
    drain: (name) => void events.push(`drain ${name}`),
    stop: (name) => void events.push(`stop ${name}`),
  };
  const start = (name: string, override: Departure<string> = {}): Promise<string> =>
    lifecycle.start(name, () => name, { ...departure, ...override });
  return { events, lifecycle, start };
}

const never = (): Promise<void> => new Promise(() => undefined);
const fails = (): Promise<void> => Promise.reject(new Error('no'));

describe('Lifecycle', () => {
  it('drains all parts, then stops all, each last started first', async () => {
    const { events, lifecycle, start } = recorded();
    await start('db');
    await start('http');
    expect(await lifecycle.stop()).toBe(true);
    expect(events).toEqual(['+db', '+http', 'drain http', 'drain db', 'stop http', 'stop db']);
  });

  it('stops what was started when one fails to start, and passes on why', async () => {
    const { events, lifecycle, start } = recorded();
    await start('db');
    await expect(lifecycle.start('http', () => Promise.reject(new Error('port taken')))).rejects.toThrow('port taken');
    expect(events).toEqual(['+db', 'drain db', 'stop db']);
    await expect(start('late')).rejects.toThrow(/program is stopping/);
  });

  it('stops a part whose start ends after the signal to stop', async () => {
    const { events, lifecycle } = recorded();
    let finish: (name: string) => void = () => undefined;
    const opening = new Promise<string>((resolve) => (finish = resolve));
    const start = lifecycle.start('slow', () => opening, { stop: () => void events.push('stop slow') });
    await lifecycle.stop();
    finish('slow');
    await expect(start).rejects.toThrow(/program is stopping/);
    expect(events).toEqual(['stop slow']);
  });

  it('goes on after a part that fails or hangs, and within one deadline', async () => {
    const { events, lifecycle, start } = recorded(200);
    await start('db');
    await start('hangs', { drain: never, stop: never });
    await start('fails', { drain: fails, stop: fails });
    const startMs = performance.now();
    expect(await lifecycle.stop()).toBe(false);
    expect(performance.now() - startMs).toBeLessThan(1_000);
    expect(events.slice(3)).toEqual([
      'fails failed to drain',
      'hangs failed to drain',
      'drain db',
      'fails failed to stop',
      'hangs failed to stop',
      'stop db',
    ]);
  });

  it('stops once, however often it is told to', async () => {
    const { events, lifecycle, start } = recorded();
    await start('db');
    await Promise.all([lifecycle.stop(), lifecycle.stop()]);
    await lifecycle.stop();
    expect(events.filter((event) => event === 'stop db')).toHaveLength(1);
  });
});
