import { afterEach, expect, describe, it } from 'vitest';
import type { IncomingEvent } from '../../src/events/event.model.js';
import { hashId } from '../../src/platform/ids.js';
import { DELETE_TRAITS } from '../../src/profiles/traits.model.js';
import { readState } from '../support/pipeline-state.js';
import { randomFrom } from '../support/random-log.js';
import { anIdentify, createWorld, HOUR_MS, MINUTE_MS, type World } from '../support/world.js';

const worlds: World[] = [];

afterEach(async () => {
  await Promise.all(worlds.splice(0).map((world) => world.close()));
});

interface Step {
  readonly advanceMs: number;
  readonly event: IncomingEvent;
  /** Taken back in the end. */
  readonly isTakenBack: boolean;
}

const PEOPLE = ['a', 'b', 'c', 'd'];
const NAMES = ['plan', 'city'];

/** Values, some of them late, and deletions of what an anchor was given, at any time. */
function stepsOf(random: () => number): Step[] {
  const pick = (n: number): number => Math.floor(random() * n);
  return Array.from({ length: 40 }, (_, i) => {
    const who = { user_id: PEOPLE[pick(PEOPLE.length)] ?? '' };
    const name = NAMES[pick(2)] ?? '';
    const messageId = `m${String(i).padStart(3, '0')}`;
    const event =
      pick(4) === 0
        ? { ...anIdentify(who, {}, { messageId }), reserved: { [DELETE_TRAITS]: [name] } }
        : anIdentify(who, { [name]: i }, { messageId });
    return { advanceMs: MINUTE_MS * (1 + pick(20)), event, isTakenBack: pick(3) === 0 };
  });
}

/** Late by some hours, by the clock of the world: some before a deletion that was accepted first. */
function lateIn(world: World, { event }: Step, index: number): IncomingEvent {
  return index % 3 === 0 ? { ...event, timestampMs: world.clock.now() - 2 * HOUR_MS } : event;
}

async function newWorld(): Promise<World> {
  const world = await createWorld(undefined, { limits: { maxRetractionEvents: 4 } });
  worlds.push(world);
  await world.accept([], { source: 'web' });
  return world;
}

async function traitsOf(world: World): Promise<unknown> {
  const { traits } = await readState(world.db, await world.engine.definitions.current(), world.clock.now());
  return traits;
}

const BY = { actor: 'test', reason: '' };

async function merge(world: World): Promise<void> {
  const identifiers = ['a', 'b'].map((value) => ({ ns: 'user_id', value }));
  await world.engine.identity.revisions.request({ kind: 'merge', input: { identifiers } }, BY);
  await world.drain();
}

async function takeApart(world: World): Promise<void> {
  const [row] = await world.db.query<{ profile: string }>(
    'SELECT profile_id AS profile FROM identifiers WHERE id = $1',
    [hashId('user_id', 'b')],
  );
  const input = { profile: row?.profile ?? '', identifiers: [{ ns: 'user_id', value: 'b' }] };
  await world.engine.identity.revisions.request({ kind: 'unmerge', input }, BY);
  await world.drain();
}

describe('traits that are deleted', () => {
  it.each([11, 12, 13])(
    'are what the events that stay give, with events taken back, profiles merged and taken apart (%i)',
    async (seed) => {
      const steps = stepsOf(randomFrom(seed));
      const [world, plain] = [await newWorld(), await newWorld()];
      for (const [i, step] of steps.entries()) {
        for (const each of [world, plain]) each.clock.advance(step.advanceMs);
        await world.accept([lateIn(world, step, i)]);
        if (i % 5 === 0) await world.drain();
        if (!step.isTakenBack) await plain.accept([lateIn(plain, step, i)]);
        if (i === 15 || i === 30) {
          await world.drain();
          await merge(world);
        }
        if (i === 22) await takeApart(world);
      }
      await world.drain();
      const source = { id: 1, key: 'web' };
      const gone = steps.filter(({ isTakenBack }) => isTakenBack).map(({ event }) => event.messageId ?? '');
      await world.engine.retractions.takeBackMessages(source, gone.slice(0, 7));
      await world.drain();
      await takeApart(world);
      await world.engine.retractions.takeBackMessages(source, gone.slice(7));
      await world.drain();
      await plain.drain();
      expect(gone.length).toBeGreaterThan(7);
      expect(await traitsOf(world)).toEqual(await traitsOf(plain));
    },
  );
});
