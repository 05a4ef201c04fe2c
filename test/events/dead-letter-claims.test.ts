import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createDeadLetters } from '../../src/create-dead-letters.js';
import type { EventAcceptor } from '../../src/events/accept.model.js';
import { CLAIM_MS, type DeadLetterService } from '../../src/events/dead-letter.service.js';
import { SourceEntity } from '../../src/sources/source.entity.js';
import { SourceService } from '../../src/sources/source.service.js';
import { SourceStore } from '../../src/sources/source.store.js';
import { compiled } from '../support/compiled-program.js';
import { pick, randomFrom, shuffled } from '../support/random-log.js';
import { createWorld, type World } from '../support/world.js';

const children = new Set<ChildProcess>();

let world: World;
let service: DeadLetterService;

beforeEach(async () => {
  world = await createWorld();
  service = serviceOn(world, world.engine.accept);
});

afterEach(async () => {
  for (const child of children) child.kill('SIGKILL');
  await world.close();
});

function serviceOn({ db, clock, engine }: Pick<World, 'db' | 'clock' | 'engine'>, acceptor: EventAcceptor) {
  return createDeadLetters(engine, new SourceService(new SourceStore(db.dataSource), clock), acceptor, { db, clock });
}

/** Letters of events without a name, open, with a fix that gives them one. */
async function openLetters(count: number): Promise<number[]> {
  await world.accept(
    Array.from({ length: count }, (_, i) => ({
      type: 'track' as const,
      messageId: `m${String(i)}`,
      identifiers: [{ ns: 'user_id', value: `u${String(i)}` }],
    })),
  );
  const rows = await world.db.query<{ id: number }>('SELECT id FROM dead_letters ORDER BY id');
  for (const { id } of rows) await service.fix(id, { name: 'Bought' });
  return rows.map(({ id }) => id);
}

const states = async (): Promise<string[]> =>
  (await world.db.query<{ state: string }>('SELECT state FROM dead_letters ORDER BY id')).map(({ state }) => state);
/** Message ids in the log, each as often as it is there. */
const logged = async (): Promise<string[]> => {
  const all = { afterPos: 0, parts: [...Array(16).keys()], limit: 1_000, maxBytes: 2 ** 24 };
  return (await world.engine.log.readBatch(all)).events.map(({ messageId }) => messageId).sort();
};

/** A replay that stops before or after its event is accepted, until it is let go on. */
function stoppingReplay(ids: readonly number[], place: 'before' | 'after') {
  let claimed = (): void => undefined;
  let goOn = (): void => undefined;
  const isClaimed = new Promise<void>((resolve) => (claimed = resolve));
  const mayGoOn = new Promise<void>((resolve) => (goOn = resolve));
  const accept: EventAcceptor['accept'] = async (...call) => {
    if (place === 'before') claimed();
    if (place === 'before') await mayGoOn;
    const results = await world.engine.accept.accept(...call);
    claimed();
    await mayGoOn;
    return results;
  };
  const done = serviceOn(world, { accept }).replay(ids);
  return { isClaimed, goOn: () => (goOn(), done) };
}

async function killedReplay(ids: readonly number[], place: 'before' | 'after'): Promise<void> {
  const script = compiled(new URL('../support/repair-worker.ts', import.meta.url));
  const call = [script, world.test.url, String(world.clock.now()), place, ...ids.map(String)];
  const child = spawn(process.execPath, call, { stdio: ['ignore', 'pipe', 'inherit'] });
  children.add(child);
  const exited = once(child, 'exit').then(() => children.delete(child));
  await once(child.stdout, 'data');
  child.kill('SIGKILL');
  await exited;
}

describe('a dead letter that is being replayed', () => {
  it.each(['before', 'after'] as const)('is not discarded, %s its event is accepted', async (place) => {
    const ids = await openLetters(2);
    const { isClaimed, goOn } = stoppingReplay(ids.slice(0, 1), place);
    await isClaimed;
    expect(await service.discard(ids)).toEqual({ discarded: 1, replaying: 1, replayed: 0 });
    expect(await states()).toEqual(['open', 'discarded']);
    expect(await goOn()).toMatchObject([{ status: 'accepted' }]);
    expect(await states()).toEqual(['replayed', 'discarded']);
    expect(await logged()).toEqual(['m0']);
  });

  it('is replayed in the end where it takes so long that somebody could discard it', async () => {
    const ids = await openLetters(1);
    const { isClaimed, goOn } = stoppingReplay(ids, 'before');
    await isClaimed;
    world.clock.advance(CLAIM_MS);
    expect(await service.discard(ids)).toEqual({ discarded: 1, replaying: 0, replayed: 0 });
    expect(await states()).toEqual(['discarded']);
    await goOn();
    expect(await states()).toEqual(['replayed']);
    expect(await logged()).toEqual(['m0']);
  });

  it('can be discarded at once where it is refused again', async () => {
    const ids = await openLetters(1);
    const refusing: EventAcceptor = {
      accept: () => Promise.resolve([{ status: 'refused', code: 'SCHEMA', reason: 'a plan that came between' }]),
    };
    expect(await serviceOn(world, refusing).replay(ids)).toMatchObject([{ status: 'refused', code: 'SCHEMA' }]);
    expect(await service.discard(ids)).toMatchObject({ discarded: 1, replaying: 0 });
  });

  it('stays claimed by the other where one of two replays is refused', async () => {
    const ids = await openLetters(1);
    const { isClaimed, goOn } = stoppingReplay(ids, 'before');
    await isClaimed;
    expect(await service.replay(ids, { fix: { name: null } })).toMatchObject([{ status: 'refused' }]);
    expect(await service.discard(ids)).toMatchObject({ discarded: 0, replaying: 1 });
    await goOn();
    expect(await states()).toEqual(['replayed']);
  });
});

describe('a dead letter whose replay was killed', () => {
  it.each([
    ['before', 'discarded', []],
    ['after', 'replayed', ['m0']],
  ] as const)(
    'can be discarded later, and is what the log says: killed %s',
    async (place, state, events) => {
      const ids = await openLetters(1);
      await killedReplay(ids, place);
      expect(await service.discard(ids)).toEqual({ discarded: 0, replaying: 1, replayed: 0 });
      world.clock.advance(CLAIM_MS);
      expect(await service.discard(ids)).toEqual({ discarded: 0, replaying: 0, replayed: 0, [state]: 1 });
      expect(await states()).toEqual([state]);
      expect(await logged()).toEqual(events);
    },
    60_000,
  );

  it.each(['before', 'after'] as const)(
    'can be replayed at once, and is there once: killed %s',
    async (place) => {
      const ids = await openLetters(1);
      await killedReplay(ids, place);
      const [outcome] = await service.replay(ids);
      expect(outcome?.status).toBe(place === 'before' ? 'accepted' : 'duplicate');
      expect(await states()).toEqual(['replayed']);
      expect(await logged()).toEqual(['m0']);
    },
    60_000,
  );
});

describe('replays and discards of two services at the same time', () => {
  it.each([1, 2, 3])('agree with the log on what became of each letter (order %i)', async (seed) => {
    const random = randomFrom(seed);
    const ids = await openLetters(40);
    const engine = await world.another();
    const db = await world.test.connect({ entities: [SourceEntity] });
    const other = serviceOn({ db, clock: world.clock, engine }, engine.accept);
    let discarded = 0;
    const act = async (by: DeadLetterService): Promise<void> => {
      for (let i = 0; i < 12; i++) {
        const some = shuffled(random, ids).slice(0, 1 + Math.floor(random() * 8));
        if (pick(random, [true, false])) {
          await by.replay(some);
        } else {
          const outcome = await by.discard(some);
          discarded += outcome.discarded;
        }
      }
    };
    await Promise.all([act(service), act(other), act(service), act(other)]);
    const found = await states();
    const replayed = ids.map((_, i) => `m${String(i)}`).filter((_, i) => found[i] === 'replayed');
    expect(await logged()).toEqual(replayed.sort());
    expect(found.filter((state) => state === 'discarded')).toHaveLength(discarded);
    expect(discarded).toBeGreaterThan(0);
    expect(replayed.length).toBeGreaterThan(0);
  });
});
