import { afterAll, beforeAll, expect, it } from 'vitest';
import { ChoreTurns, MAX_CHORE_PAUSE_MS, type Chore } from '../../src/chore-turns.js';
import type { LoadedDefinitions } from '../../src/definitions.js';
import { LeaseLost } from '../../src/events/partition-lease.model.js';
import { checkChores } from '../../src/monitoring/check-chores.js';
import { DefinitionsChanged } from '../../src/pipeline-transaction.js';
import { WeftError } from '../../src/platform/errors.js';
import { createWorld, START_MS, type World } from '../support/world.js';

const SECOND_MS = 1_000;

let world: World;
let definitions: LoadedDefinitions;
const heard: string[] = [];
let forgotten = 0;
let setBackMs = 0;

beforeAll(async () => {
  world = await createWorld(START_MS);
  definitions = await world.engine.definitions.current();
});

afterAll(() => world.close());

const turnsOf = (): ChoreTurns =>
  new ChoreTurns({
    ...{ db: world.db, clock: { now: () => world.clock.now() - setBackMs }, forget: () => (forgotten += 1) },
    observer: {
      choreFailed: (chore, _, failures) => heard.push(`${chore} ${String(failures)}`),
      choresFailing: (chores) => heard.push(`failing: ${chores.join()}`),
    },
  });

/** A chore with so many steps to do, which fails where it is told what with. */
function aChore(
  name: string,
  steps: number,
): { chore: Chore; done: () => number; fail: (error: Error | null) => void } {
  let [done, failure]: [number, Error | null] = [0, null];
  const runOne = (): Promise<boolean> => {
    if (failure !== null) return Promise.reject(failure);
    return Promise.resolve(done < steps && ++done > 0);
  };
  return { chore: { name, mayRest: true, runOne }, done: () => done, fail: (error) => (failure = error) };
}

const doctor = () => checkChores(world.db, world.clock.now());

it('a chore that fails is put off, longer each time up to a bound, while the others go on; whoever looks is told', async () => {
  const turns = turnsOf();
  const [broken, other] = [aChore('broken', 1), aChore('other', 3)];
  const all = [broken.chore, other.chore];
  expect(await doctor()).toEqual({ name: 'chores', outcome: 'ok', detail: 'none fails' });
  broken.fail(new WeftError('INTERNAL', 'a value of somebody', { where: 'byte 7' }));
  for (let i = 0; i < 3; i++) expect(await turns.take(all, definitions)).toBe(true);
  expect(await turns.take(all, definitions)).toBe(false);
  expect([other.done(), forgotten]).toEqual([3, 1]);
  expect(heard.splice(0)).toEqual(['broken 1', 'failing: broken']);

  const tried: number[] = [];
  for (let second = 1; second <= 200; second++) {
    world.clock.advance(SECOND_MS);
    await turns.take(all, definitions);
    if (heard.splice(0).length > 0) tried.push(second);
  }
  expect(tried).toEqual([1, 3, 7, 15, 31, 63, 123, 183]);
  const { detail, outcome } = await doctor();
  expect(outcome).toBe('warning');
  expect(detail).toBe(`broken, 9 times since ${new Date(START_MS).toISOString()}: INTERNAL at byte 7`);

  // A clock that was set back does not make it wait for that long, and once it is well nothing is told of it.
  setBackMs = 10 * MAX_CHORE_PAUSE_MS;
  broken.fail(null);
  expect(await turns.take(all, definitions)).toBe(true);
  setBackMs = 0;
  expect(broken.done()).toBe(1);
  expect(heard.splice(0)).toEqual(['failing: ']);
  expect(await doctor()).toMatchObject({ outcome: 'ok' });
});

it('erasures and retention that fail are failures, whatever else fails', async () => {
  const turns = turnsOf();
  const all = [...Array.from({ length: 11 }, (_, i) => aChore(`other_${String(i)}`, 1)), aChore('erasures', 1)];
  for (const each of all) each.fail(new TypeError('a defect'));
  await turns.take(
    all.map(({ chore }) => chore),
    definitions,
  );
  const { outcome, detail } = await doctor();
  expect([outcome, detail.split(',')[0]]).toEqual(['failed', 'erasures']);
  for (const each of all) each.fail(null);
  world.clock.advance(MAX_CHORE_PAUSE_MS);
  for (const { chore } of all) expect(await turns.run(chore, definitions)).toBe(true);
  expect((await doctor()).outcome).toBe('ok');
});

it('what another process could not do is told until it is done, or nobody has tried for long', async () => {
  const broken = aChore('broken', 0);
  broken.fail(new TypeError('a defect'));
  expect(await turnsOf().take([broken.chore], definitions)).toBe(false);
  expect((await doctor()).detail).toMatch(/^broken, 1 times since .*: INTERNAL$/);
  broken.fail(null);
  const next = turnsOf();
  // That there is nothing to do may be that it was not looked.
  expect(await next.take([broken.chore], definitions)).toBe(false);
  expect(await doctor()).toMatchObject({ outcome: 'warning' });
  expect(await next.take([aChore('broken', 1).chore], definitions)).toBe(true);
  expect(await doctor()).toMatchObject({ outcome: 'ok' });

  broken.fail(new TypeError('a defect'));
  const last = turnsOf();
  await last.take([broken.chore], definitions);
  broken.fail(null);
  world.clock.advance(11 * 60 * SECOND_MS);
  expect(await doctor()).toMatchObject({ outcome: 'ok' });
  heard.length = 0;
  expect(await last.take([broken.chore], definitions)).toBe(false);
  expect(heard.splice(0)).toEqual(['failing: ']);
  expect(await world.db.query('SELECT FROM chore_failures')).toEqual([]);
});

it('what says that the worker has to begin anew, or that the same may do at once, is the worker’s', async () => {
  const turns = turnsOf();
  const broken = aChore('passing', 1);
  const errors = [
    new DefinitionsChanged(),
    new LeaseLost(),
    new WeftError('UNAVAILABLE', 'a lock was not free in time'),
  ];
  for (const error of errors) {
    broken.fail(error);
    await expect(turns.take([broken.chore], definitions)).rejects.toBe(error);
  }
  broken.fail(null);
  expect(await turns.take([broken.chore], definitions)).toBe(true);
});

it('what may pass and does not, however often it is tried, is a failure that holds up no other', async () => {
  const turns = turnsOf();
  const [stuck, other] = [aChore('stuck', 1), aChore('other', 1)];
  const all = [stuck.chore, other.chore];
  stuck.fail(new WeftError('UNAVAILABLE', 'an end is gone'));
  for (let i = 1; i < 8; i++) await expect(turns.take(all, definitions)).rejects.toThrow('an end is gone');
  expect([other.done(), await doctor()]).toMatchObject([0, { outcome: 'ok' }]);
  expect(await turns.take(all, definitions)).toBe(true);
  expect(other.done()).toBe(1);
  expect((await doctor()).detail).toMatch(/^stuck, 1 times since .*: UNAVAILABLE$/);
  // From there on at once, until it is done.
  world.clock.advance(SECOND_MS);
  expect(await turns.take(all, definitions)).toBe(false);
  world.clock.advance(2 * SECOND_MS);
  stuck.fail(null);
  expect(await turns.take(all, definitions)).toBe(true);
  expect(await doctor()).toMatchObject({ outcome: 'ok' });
});
