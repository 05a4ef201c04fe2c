import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterEach, describe, expect, it } from 'vitest';
import { compiled } from '../support/compiled-program.js';
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
import type { KillPlace } from '../support/killed-database.js';
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
  await world.accept(sentBySharers(17, 18));
  await world.drain();
  return world;
}

/** Runs the worker process until it is done, or is killed at its first step; what it printed. */
async function runWorker(world: World, place: KillPlace): Promise<string> {
  const script = compiled(new URL('../support/revision-worker.ts', import.meta.url));
  const args = [script, world.test.url, String(world.clock.now()), place];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => {
    output += chunk.toString();
  });
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null];
  const text = output.trim();
  expect({ text, code, signal }).toMatchObject(text === 'done' ? { code: 0 } : { signal: 'SIGKILL' });
  return text;
}

/** How far everything is that a step may change. */
const progressOf = ({ db }: World) =>
  db.query(
    `SELECT (SELECT json_agg(r ORDER BY r.id) FROM identity_revisions r)::text AS revisions,
            (SELECT json_agg(g ORDER BY g.value_id) FROM generic_values g)::text AS "values",
            (SELECT json_agg(e.anchor_id ORDER BY e.pos) FROM event_log e)::text AS anchors`,
  );

/** Every step is killed before its commit, done again, and killed after it; what each noted. */
async function runKilled(world: World): Promise<string[]> {
  const steps: string[] = [];
  for (;;) {
    const standing = await progressOf(world);
    const before = await runWorker(world, 'before');
    if (before === 'done') return steps;
    expect(before).toMatch(/^before /);
    expect(await progressOf(world)).toEqual(standing);
    const after = await runWorker(world, 'after');
    expect(after).toBe(before.replace('before', 'after'));
    expect(await progressOf(world)).not.toEqual(standing);
    steps.push(after.slice('after '.length));
    expect(steps.length).toBeLessThan(50);
  }
}

describe('a process that is killed before and after each step of putting values out, and of putting them back', () => {
  it('is gone on with, to what one comes to that is left alone', { timeout: 300_000 }, async () => {
    const [disturbed, alone] = [await newWorld(), await newWorld()];
    for (const rules of [BLOCKED, OPEN]) {
      await applyRules(alone, rules);
      await disturbed.engine.worker.stop();
      const revisionId = await putInForce(disturbed, rules, true);
      const steps = await runKilled(disturbed);
      // Values become others in steps of their own, and events are moved in several.
      expect(steps).toContain('generic_values');
      expect(steps.filter((step) => step === 'generic_values identity_revisions').length).toBeGreaterThan(1);
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
