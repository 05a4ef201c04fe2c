import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { AnchoredPayload } from '../../src/events/event-seal.model.js';
import type { IncomingEvent } from '../../src/events/event.model.js';
import { GENERIC_BOUND } from '../../src/identity/generic-value.model.js';
import { hashId } from '../../src/platform/ids.js';
import { RedisConnection } from '../../src/platform/redis.js';
import { Compactor } from '../../src/privacy/compactor.js';
import { RedisOnlineStore } from '../../src/profiles/online-store.redis.js';
import { applyRules, ASKER, OPEN, putInForce, TILL_IS_BLOCKED } from '../support/blocked-world.js';
import { findInFiles } from '../support/find-in-files.js';
import { findInRedis } from '../support/find-in-redis.js';
import { findTexts } from '../support/find-texts.js';
import { openCopies } from '../support/open-copies.js';
import { defineSome } from '../support/random-log.js';
import { redisPrefix, redisUrl } from '../support/redis.js';
import { strays } from '../support/retraction-builders.js';
import { settleGenerics } from '../support/settle-generics.js';
import { aTrack, anIdentify, createWorld, DAY_MS, HOUR_MS, MINUTE_MS, START_MS, type World } from '../support/world.js';

/*
 * One person, whose every text is found nowhere else, named beside a value that many share. It counts for nobody from some
 * instant on, or counts again, and she is erased when the one half of her events is moved and the other is not.
 */
const EVE = { email: 'canary.mail.3d90@example.org', anonymous_id: 'canary-cookie-3d90' };
const LETTER = 'canary-letter-3d90';
const SECRETS = [...Object.values(EVE), 'canary-page-3d90', 'canary-message-3d90', 'canary-motto-3d90', LETTER];
const IDS = Object.entries(EVE).map(([ns, value]) => hashId(ns, value));
const OTHERS = 6;
/** After which a worker looks again for what others asked for. */
const LOOK_MS = 1_000;

interface Move {
  /** The value that many share. */
  readonly shared: { readonly ns: string; readonly value: string };
  /** Of whom her events name beside it. */
  readonly hers: Readonly<Record<string, string>>;
  /** Whoever names it, too. */
  readonly others: readonly IncomingEvent[];
  /** What is so before it begins. */
  readonly prepare: (world: World) => Promise<unknown>;
  readonly begin: (world: World) => Promise<unknown>;
}

const TILL = { ns: 'user_id', value: 'till' };
const atTill = {
  shared: TILL,
  hers: { email: EVE.email },
  others: Array.from({ length: OTHERS }, (_, i) =>
    aTrack('view', { user_id: 'till', email: `p${String(i)}@example.org` }),
  ),
};
const OFFICE = { ns: 'email', value: 'office@shop.example' };
const atOffice = {
  shared: OFFICE,
  hers: { anonymous_id: EVE.anonymous_id },
  others: [
    ...Array.from({ length: OTHERS }, (_, i) => aTrack('view', { email: OFFICE.value, anonymous_id: `c${String(i)}` })),
    ...Array.from({ length: GENERIC_BOUND + 3 }, (_, i) =>
      anIdentify({ user_id: `u${String(i)}`, email: OFFICE.value }),
    ),
  ],
};
const MOVES: readonly (readonly [what: string, move: Move])[] = [
  [
    'a value that rules block',
    {
      ...atTill,
      prepare: (world) => applyRules(world, OPEN),
      begin: (world) => putInForce(world, TILL_IS_BLOCKED, true),
    },
  ],
  [
    'a value that was blocked and is so no more',
    {
      ...atTill,
      prepare: (world) => applyRules(world, TILL_IS_BLOCKED),
      begin: (world) => putInForce(world, OPEN, true),
    },
  ],
  [
    'a value that too many share',
    {
      ...atOffice,
      prepare: () => Promise.resolve(),
      begin: () => Promise.resolve(),
    },
  ],
];

describe.skipIf(redisUrl() === null)('a person who is erased when half of their events are moved', () => {
  const url = redisUrl() ?? '';
  const worlds: World[] = [];
  let connection: RedisConnection;
  let client: Redis;

  beforeAll(async () => {
    connection = await RedisConnection.open([url]);
    client = new Redis(url);
  });

  afterAll(async () => {
    client.disconnect();
    await connection.close();
  });

  afterEach(async () => {
    await Promise.all(worlds.splice(0).map((world) => world.close()));
  });

  async function newWorld(prefix: string): Promise<World> {
    const world = await createWorld(START_MS, {
      sealed: true,
      sharedStore: new RedisOnlineStore(connection, prefix),
      limits: { maxRevisionComponents: 7, maxReanchoredEvents: 1 },
    });
    worlds.push(world);
    await world.accept([], { source: 'web' });
    await defineSome(world);
    await world.engine.services.traits.apply([{ name: 'motto', description: '', edge: false, searchable: true }]);
    world.clock.advance(HOUR_MS);
    return world;
  }

  it.each(MOVES)(
    'is nowhere, and in no copy that can be read: %s',
    async (_, { shared, hers, others, prepare, begin }) => {
      const prefix = redisPrefix();
      const world = await newWorld(prefix);
      const both = { [shared.ns]: shared.value, ...hers };
      const at = (minutes: number) => ({ timestampMs: START_MS + minutes * MINUTE_MS });
      await world.accept([
        anIdentify(both, { motto: 'canary-motto-3d90' }, at(1)),
        aTrack('view', both, { ...at(2), messageId: 'canary-message-3d90' }),
        anIdentify(EVE, { motto: 'canary-motto-3d90' }, at(3)),
        ...others,
        aTrack('buy', both, { ...at(4), properties: { sku: 'canary-page-3d90', total: 7 } }),
        aTrack('view', { user_id: 'bob' }, { messageId: 'of bob' }),
        // Without a name it is no event.
        { type: 'track', messageId: LETTER, identifiers: [{ ns: 'email', value: EVE.email.toUpperCase() }] },
      ]);
      await prepare(world);
      const stand = await areOn(world, shared);
      expect(stand[0]).toBe(stand[1]);
      await begin(world);
      await workUntil(world, async () => {
        const [first, last] = await areOn(world, shared);
        return first !== stand[0] && last === stand[1];
      });
      await world.db.query('ANALYZE');
      await world.db.query('CHECKPOINT');

      const copies = [...(await copiesOf(world)), ...(await lettersOf(world))];
      const found = (await findTexts(world.db, [...SECRETS, ...IDS])).map(({ text }) => text);
      const readable = (await unsealed(world, copies)).join('\n').toLowerCase();
      const planted = [...found, ...SECRETS.filter((text) => readable.includes(text))];
      expect([...SECRETS, ...IDS].filter((text) => !planted.includes(text))).toEqual([]);
      expect(await findInRedis(client, prefix, [...SECRETS, ...IDS])).not.toEqual([]);
      expect(await findInFiles(world.db, SECRETS)).not.toEqual([]);

      const { id } = await world.engine.erasures.request({ identifier: { ns: 'email', value: EVE.email } }, ASKER);
      await world.accept(others.slice(0, 2).map((event) => ({ ...event, messageId: `late ${event.messageId}` })));
      await settleGenerics(world);
      world.clock.advance(LOOK_MS);
      await world.drain();
      expect(await world.engine.erasures.find(id)).toMatchObject({ status: 'logical', letters: 1 });
      await world.db.query('ANALYZE');
      await new Compactor({ ...world, sleep, backupHorizonMs: DAY_MS }).run();
      await world.db.query('CHECKPOINT');

      const all = [...SECRETS, ...IDS];
      expect(await findTexts(world.db, all)).toEqual([]);
      if (world.keyDatabase !== null) expect(await findTexts(world.keyDatabase, all, 1)).toEqual([]);
      expect(await findInFiles(world.db, all)).toEqual([]);
      expect(await findInRedis(client, prefix, [...SECRETS, ...IDS])).toEqual([]);
      // What hung on the value is sealed with the value's key, which is of others and stays, and with hers.
      const onValue = copies.filter(({ anchor_id }) => anchor_id === hashId(shared.ns, shared.value));
      expect(onValue).not.toEqual([]);
      const left = await unsealed(world, copies);
      expect(left.join('\n')).toContain('of bob');
      expect(naming(left, all)).toEqual([]);
      const log = await copiesOf(world);
      expect(await unsealed(world, log)).toHaveLength(log.length);
      // All that the log has of events now is theirs who are left.
      expect(naming(await unsealed(world, await copiesOf(world)), all)).toEqual([]);
      expect(await strays(world.db)).toEqual([]);
    },
  );
});

/** Whether the first, and the last, of the events that name her beside the value hang on the value. */
async function areOn({ db }: World, { ns, value }: Move['shared']): Promise<[first: boolean, last: boolean]> {
  const rows = await db.query<{ anchor: string }>('SELECT anchor_id AS anchor FROM event_log ORDER BY pos');
  const id = hashId(ns, value);
  return [rows[0]?.anchor === id, rows.at(-2)?.anchor === id];
}

function naming(readable: readonly string[], texts: readonly string[]): string[] {
  return readable.filter((text) => texts.some((each) => text.toLowerCase().includes(each)));
}

async function workUntil(world: World, isDone: () => Promise<boolean>): Promise<void> {
  for (let i = 0; i < 400; i++) {
    if (await isDone()) return;
    if (!(await world.engine.worker.runOnce())) world.clock.advance(LOOK_MS);
  }
  throw new Error('it never came to that');
}

function copiesOf({ db }: World): Promise<AnchoredPayload[]> {
  return db.query<AnchoredPayload>('SELECT anchor_id, payload FROM event_log');
}

function lettersOf({ db }: World): Promise<AnchoredPayload[]> {
  return db.query<AnchoredPayload>('SELECT seal_id AS anchor_id, payload FROM dead_letters');
}

/** What of some sealed rows can be opened with the keys that there are. */
function unsealed({ keyDatabase, secret }: World, rows: readonly AnchoredPayload[]): Promise<string[]> {
  if (keyDatabase === null) throw new Error('a sealed world has keys');
  return openCopies(keyDatabase, secret, rows);
}
