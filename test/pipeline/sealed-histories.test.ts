import { afterEach, expect, it } from 'vitest';
import type { Engine } from '../../src/engine.js';
import { namedIn } from '../../src/events/event-codec.js';
import { isSealed, type AnchoredPayload } from '../../src/events/event-seal.model.js';
import { WeftError } from '../../src/platform/errors.js';
import { KeyVault } from '../../src/privacy/key-vault.js';
import { SourceEntity } from '../../src/sources/source.entity.js';
import { ASKER, blockedWorld, OPEN, putInForce, TILL_IS_BLOCKED } from '../support/blocked-world.js';
import { drainTogether } from '../support/drain-together.js';
import { openCopies } from '../support/open-copies.js';
import { pick, randomFrom } from '../support/random-log.js';
import { aTrack, anIdentify, type World } from '../support/world.js';

/*
 * Some people who share a till, which counts for nobody and counts again, and who name each other. Two processes, each with
 * keys of its own memory, accept their events, move them and erase some of them, in any order; whoever looks keeps a copy of
 * every version of every row.
 */
const PEOPLE = 14;
const STEPS = 26;
/** Accepted before all else, some at a time. */
const FIRST = 12;
const LOOK_MS = 1_000;

let world: World;
afterEach(() => world.close());

it.each([28])(
  'loses nothing of who lives, and leaves no copy that can be read of what named the erased: history %i',
  async (seed) => {
    world = await blockedWorld({ maxReanchoredEvents: 2, maxRetractionEvents: 3 }, { sealed: true });
    const { keyDatabase, secret } = world;
    if (keyDatabase === null) throw new Error('a sealed world has keys');
    const { ledgerPath, exportsPath } = world;
    const onError = (error: unknown): void => {
      throw error as Error;
    };
    const erasing = { secret, vault: new KeyVault(keyDatabase, secret), ledgerPath, exportsPath, onError };
    const second = await world.engineOn(await world.test.connect({ entities: [SourceEntity] }), {}, { erasing });
    const engines = [world.engine, second];
    const random = randomFrom(seed);
    const copies = new Map<string, Copy>();
    const erased = new Set<string>();
    let isTillBlocked = false;
    const accepted = new Set<string>();
    let events = 0;

    const anybody = (): string => `p${String(Math.floor(random() * PEOPLE))}`;
    const anEvent = () => {
      const who = anybody();
      const identifiers = {
        ...(random() < 0.8 ? { email: `${who}@example.org` } : { anonymous_id: `cookie of ${who}` }),
        ...(random() < 0.5 ? { user_id: 'till' } : {}),
        // Somebody else, or more of who it is.
        ...(random() < 0.4 ? { loyalty_card: `card of ${random() < 0.4 ? anybody() : who}` } : {}),
      };
      const of = { messageId: `m${String(events++)}` };
      return random() < 0.4
        ? anIdentify(identifiers, { name: who }, of)
        : aTrack('view', identifiers, { ...of, properties: { card: `card of ${who}` } });
    };
    const accept = async ({ accept: service }: Engine): Promise<void> => {
      const sent = Array.from({ length: 2 + Math.floor(random() * 5) }, anEvent);
      const results = await service.accept({ id: 1, key: 'web' }, sent, { historical: false });
      for (const [i, { status }] of results.entries())
        if (status === 'accepted') accepted.add(sent[i]?.messageId ?? '');
    };
    const erase = async ({ erasures }: Engine): Promise<void> => {
      const identifier = { ns: 'email', value: `${anybody()}@example.org` };
      await erasures.request({ identifier }, ASKER).catch(unlessThey('NOT_FOUND', 'UNAVAILABLE'));
    };
    const work = async ({ worker }: Engine): Promise<void> => {
      for (let i = 0; i < 4; i++) await worker.runOnce().catch(unlessThey('UNAVAILABLE'));
    };
    const toggleTill = async (): Promise<void> => {
      if (await isRevising()) return;
      await putInForce(world, isTillBlocked ? OPEN : TILL_IS_BLOCKED, true);
      isTillBlocked = !isTillBlocked;
    };
    const look = async (): Promise<void> => {
      const rows = await world.db.query<AnchoredPayload>('SELECT anchor_id, payload FROM event_log');
      const opened = await new KeyVault(keyDatabase, secret).open(rows);
      // Whatever is in the log is somebody's who lives, or is still being erased.
      expect(opened.filter(({ payload }) => !isSealed(payload))).toHaveLength(rows.length);
      for (const [i, { anchor_id, payload }] of rows.entries()) {
        const plain = opened[i]?.payload ?? Buffer.alloc(0);
        copies.set(payload.toString('latin1'), { anchor_id, payload, named: namedIn(plain) ?? [], plain });
      }
      const subjects = await world.db.query<{ id: string }>('SELECT identifier_id AS id FROM erasure_subjects');
      for (const { id } of subjects) erased.add(id);
    };

    for (let i = 0; i < FIRST; i++) await accept(pick(random, engines));
    await work(world.engine);
    for (let step = 0; step < STEPS; step++) {
      const dice = random();
      if (dice < 0.35) await Promise.all([accept(pick(random, engines)), work(pick(random, engines))]);
      else if (dice < 0.5) await erase(pick(random, engines));
      else if (dice < 0.65) await toggleTill();
      else await Promise.all(engines.map(work));
      world.clock.advance(random() < 0.5 ? 10 : LOOK_MS);
      await look();
    }
    for (let i = 0; i < 40 && (await isAnyUnderWay()); i++) {
      await drainTogether(engines.map(({ worker }) => worker));
      world.clock.advance(LOOK_MS);
      await look();
    }

    const done = await world.db.query<{ status: string }>('SELECT DISTINCT status FROM erasures');
    expect(done).toEqual([{ status: 'logical' }]);
    const isErased = ({ named }: Copy): boolean => named.some((id) => erased.has(id));
    const all = [...copies.values()];
    const readable = await openCopies(keyDatabase, secret, all);
    expect(readable).toEqual(all.filter((copy) => !isErased(copy)).map(({ plain }) => plain.toString()));
    // Nor is an event gone that never named any of them.
    const named = new Set(all.filter(isErased).map(messageOf));
    const log = await openCopies(keyDatabase, secret, await world.db.query('SELECT anchor_id, payload FROM event_log'));
    const there = new Set(log.map(messageIn));
    expect([...accepted].filter((id) => !named.has(id) && !there.has(id))).toEqual([]);
    expect(named.size).toBeGreaterThan(5);
    expect([...accepted].filter((id) => !named.has(id)).length).toBeGreaterThan(5);
  },
);

interface Copy extends AnchoredPayload {
  /** Ids of whom it names. */
  readonly named: readonly string[];
  readonly plain: Buffer;
}

const messageOf = ({ plain }: Copy): string => messageIn(plain.toString());

function messageIn(plain: string): string {
  return (JSON.parse(plain.slice(1)) as string[])[2] ?? '';
}

async function isRevising(): Promise<boolean> {
  return (await world.db.query(`SELECT FROM identity_revisions WHERE status IN ('waiting', 'running')`)).length > 0;
}

async function isAnyUnderWay(): Promise<boolean> {
  const erasing = await world.db.query(`SELECT FROM erasures WHERE status IN ('waiting', 'running')`);
  return erasing.length > 0 || (await isRevising());
}

function unlessThey(...codes: readonly string[]): (error: unknown) => void {
  return (error) => {
    if (!(error instanceof WeftError) || !codes.includes(error.code)) throw error as Error;
  };
}
