import type { World } from './world.js';

const PAUSE_MS = 20;

/** Applies what comes in until this is settled, as a worker beside it would; the clock goes on by 1 ms each time. */
export async function drainUntil<T>(world: Pick<World, 'drain' | 'clock'>, pending: Promise<T>): Promise<T> {
  let isSettled = false;
  const settled = pending.finally(() => {
    isSettled = true;
  });
  // Whoever awaits it is told.
  settled.catch(() => undefined);
  while (!isSettled) {
    await world.drain();
    world.clock.advance(1);
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
  return settled;
}
