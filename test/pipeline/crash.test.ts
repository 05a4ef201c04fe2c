import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { compiled } from '../support/compiled-program.js';
import { readFeed, readState, withoutPositions } from '../support/pipeline-state.js';
import { randomFrom, randomLog } from '../support/random-log.js';
import { defineScored } from '../support/timed-model.js';
import { createWorld, DAY_MS, START_MS, type World } from '../support/world.js';

const KILLS = 10;

/** A long load with the clock fixed. */
const log = randomLog(randomFrom(21), {
  steps: 220,
  maxEventsPerStep: 12,
  advancesMs: [0],
  historicalShare: 0.3,
  people: 30,
});

const worlds: World[] = [];

afterEach(async () => {
  await Promise.all(worlds.splice(0).map((world) => world.close()));
});

/** With its definitions swept and its own worker out of the way. */
async function newWorld(): Promise<World> {
  const world = await createWorld();
  worlds.push(world);
  await world.accept([], { source: 'web' });
  await defineScored(world);
  await world.engine.worker.stop();
  return world;
}

/** Runs the worker process until it is done, or kills it some time after it is ready; says whether it was done. */
async function runWorker(world: World, file: string, killAfterMs: number | null): Promise<boolean> {
  const script = compiled(new URL('../support/crash-worker.ts', import.meta.url));
  const child = spawn(process.execPath, [script, world.test.url, file, String(START_MS)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = once(child, 'exit');
  let output = '';
  const ready = new Promise<void>((resolve) => {
    child.stdout.on('data', (chunk: Buffer) => {
      output += chunk.toString();
      resolve();
    });
  });
  await Promise.race([ready, exited]);
  if (killAfterMs !== null) {
    await Promise.race([sleep(killAfterMs), exited]);
    child.kill('SIGKILL');
  }
  await exited;
  return output.includes('done');
}

async function outcome(world: World) {
  world.clock.advance(DAY_MS);
  const engine = await world.another();
  await engine.worker.drain();
  const state = await readState(world.db, await engine.definitions.current(), world.clock.now());
  const entries = withoutPositions(state.entries);
  const feed = withoutPositions(await readFeed(world.db));
  const [log] = await world.db.query<{ events: number }>('SELECT count(*)::int4 AS events FROM event_log');
  return { state: { ...state, entries }, feed, log };
}

describe('a process that is killed at random moments and started again', () => {
  it('ends with what an undisturbed one ends with', { timeout: 150_000 }, async () => {
    const folder = await mkdtemp(join(tmpdir(), 'weft-crash-'));
    try {
      const file = join(folder, 'log.json');
      await writeFile(file, JSON.stringify(log));
      const disturbed = await newWorld();
      const random = randomFrom(Date.now());
      let kills = 0;
      while (kills < KILLS && !(await runWorker(disturbed, file, 20 + random() * 300))) kills++;
      expect(kills).toBe(KILLS);
      expect(await runWorker(disturbed, file, null)).toBe(true);

      const undisturbed = await newWorld();
      expect(await runWorker(undisturbed, file, null)).toBe(true);
      const expected = await outcome(undisturbed);
      expect(expected.log).toEqual({ events: log.reduce((sum, step) => sum + step.events.length, 0) });
      expect(await outcome(disturbed)).toEqual(expected);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});
