import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterEach, describe, expect, it } from 'vitest';
import {
  applyRules,
  BLOCKED,
  blockedWorld,
  knownTogether,
  OPEN,
  putInForce,
  sentBySharers,
  valuesOf,
} from '../support/blocked-world.js';
import { strays } from '../support/retraction-builders.js';
import type { World } from '../support/world.js';

const worlds: World[] = [];

afterEach(async () => {
  await Promise.all(worlds.splice(0).map((world) => world.close()));
});

/** With people who share values, and nothing left to do. */
async function newWorld(): Promise<World> {
  const world = await blockedWorld();
  worlds.push(world);
  await applyRules(world, OPEN);
  await world.accept(sentBySharers(17, 80));
  await world.drain();
  return world;
}

/** Runs the worker process until it is done, or is killed in the middle of a round; whether it was done. */
async function runWorker(world: World, killInRound: number): Promise<boolean> {
  const script = new URL('../support/revision-worker.ts', import.meta.url).pathname;
  const args = ['--import', 'tsx', script, world.test.url, String(world.clock.now()), String(killInRound)];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => {
    output += chunk.toString();
  });
  await once(child, 'exit');
  return output.includes('done');
}

async function runKilled(world: World): Promise<number> {
  let kills = 0;
  for (const round of [1, 1, 2, 2]) if (!(await runWorker(world, round))) kills++;
  expect(await runWorker(world, 0)).toBe(true);
  return kills;
}

describe('a process that is killed while values are put out, and while they are put back', () => {
  it('is gone on with, to what one comes to that is left alone', { timeout: 300_000 }, async () => {
    const [disturbed, alone] = [await newWorld(), await newWorld()];
    for (const rules of [BLOCKED, OPEN]) {
      await applyRules(alone, rules);
      await disturbed.engine.worker.stop();
      const revisionId = await putInForce(disturbed, rules, true);
      expect(await runKilled(disturbed)).toBeGreaterThanOrEqual(3);
      expect(await disturbed.engine.identity.revisions.get(revisionId ?? '')).toMatchObject({
        status: 'done',
        result: { failed: 0, beyondBound: 0 },
      });
      const another = await disturbed.another();
      const [killed, expected] = await knownTogether({ ...disturbed, engine: another }, alone);
      await another.worker.stop();
      expect(killed).toEqual(expected);
      expect(await valuesOf(disturbed)).toEqual(await valuesOf(alone));
      expect(await strays(disturbed.db)).toEqual([]);
    }
    expect((await valuesOf(disturbed)).some(({ isGeneric, isMoving }) => isGeneric || isMoving)).toBe(false);
  });
});
