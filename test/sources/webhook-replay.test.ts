import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Webhooks } from '../../src/create-webhooks.js';
import type { LoggedEvent } from '../../src/events/event.model.js';
import { checkReplays } from '../../src/monitoring/doctor.js';
import { newId, type Uuid } from '../../src/platform/ids.js';
import type { ReplayDoors } from '../../src/sources/webhooks/replay-deliveries.js';
import { WebhookDeliveryStore } from '../../src/sources/webhooks/webhook-delivery.store.js';
import { WEBHOOK_LIMITS } from '../../src/sources/webhooks/webhook.model.js';
import { compiled } from '../support/compiled-program.js';
import { REPLAY_PAGE, replayDoors, webhooksOn } from '../support/replay-builders.js';
import { randomFrom } from '../support/random-log.js';
import { createWorld, HOUR_MS, START_MS, type World } from '../support/world.js';

const DELIVERIES = 40;
const KEY = 'reviews';

const mapping = (property: string, more = ''): string => `
source: ${KEY}
format: jsonl
key: '{id}'
${more}
identifiers: { email: email }
event: { type: track, name: Review Posted }
properties: { ${property}: stars }
columns: { stars: int }
`;

/** A test that gave up waiting leaves none behind. */
const children = new Set<ChildProcess>();

let world: World;
let webhooks: Webhooks;

beforeEach(async () => {
  world = await createWorld();
  webhooks = webhooksOn(world.db, world.clock, world.engine);
  await webhooks.service.create({
    key: KEY,
    adapter: 'json',
    options: { keepMessages: false, mapping: mapping('stars') },
  });
});

afterEach(async () => {
  for (const child of children) child.kill('SIGKILL');
  await world.close();
});

const receive = async (items: readonly object[]): Promise<void> => {
  const hook = await webhooks.receiver.open(KEY);
  if (hook === null) throw new Error('no webhook');
  const raw = Buffer.from(JSON.stringify(items));
  await webhooks.receiver.receive(hook, { headers: {}, raw }, raw, () => undefined);
};

const review = (id: number, more: object = {}): object => ({
  id: `r${String(id)}`,
  email: `p${String(id % 7)}@example.com`,
  stars: id % 5,
  ...more,
});

/** Two reviews a delivery; the second comes again with the next delivery, as networks do. */
async function receiveMany(): Promise<string[]> {
  for (let i = 0; i < DELIVERIES; i++) await receive([review(i), review(i + 1)]);
  await world.drain();
  const ids = (await logged()).map(({ messageId }) => messageId);
  expect(ids).toHaveLength(DELIVERIES + 1);
  return ids.sort();
}

const logged = async (): Promise<readonly LoggedEvent[]> => {
  const all = { afterPos: 0, parts: [...Array(16).keys()], limit: 10_000, maxBytes: 2 ** 24 };
  return (await world.engine.log.readBatch(all)).events;
};
const loggedIds = async (): Promise<string[]> => (await logged()).map(({ messageId }) => messageId).sort();
const kept = async () => (await webhooks.service.details(KEY)).kept;

/** Ends the connections that keep other replays out, of this test's database: others share the server. */
const endReplayLocks = () =>
  world.db.query(
    `SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND classid = 7729117
     AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`,
  );

/** Runs the command in a process of its own to its end, or kills it so long after so many pages were taken back. */
async function replay(
  args: readonly string[],
  kill: { readonly afterPages: number; readonly thenMs: number; readonly stop?: true } | null = null,
): Promise<string> {
  const script = compiled(new URL('../support/replay-worker.ts', import.meta.url));
  const stop = kill?.stop === true ? 'yes' : 'no';
  const call = [script, world.test.url, String(world.clock.now()), stop, 'replay', KEY, ...args];
  const child = spawn(process.execPath, call, { stdio: ['ignore', 'pipe', 'ignore'] });
  children.add(child);
  const exited = once(child, 'exit').then(() => children.delete(child));
  let output = '';
  const reached = new Promise<void>((resolve) => {
    child.stdout.on('data', (chunk: Buffer) => {
      output += chunk.toString();
      if (kill !== null && output.includes('ready') && output.split('.').length > kill.afterPages) resolve();
    });
  });
  if (kill !== null) {
    await Promise.race([reached, exited]);
    await Promise.race([sleep(kill.thenMs), exited]);
    child.kill('SIGKILL');
  }
  await exited;
  return output;
}

describe('a replay that takes the place of what there was', () => {
  it('loses nothing when it is killed right after it took events back, whenever somebody goes on with it', async () => {
    const all = await receiveMany();
    await webhooks.service.update(KEY, { mapping: mapping('rating') });
    await world.engine.worker.stop();
    const output = await replay(['--since', '3d', '--replace'], { afterPages: 1, thenMs: 0, stop: true });
    expect(output).not.toContain('done');
    expect((await logged()).length).toBeLessThan(all.length);
    expect(await kept()).toMatchObject({ deliveries: DELIVERIES, interrupted: REPLAY_PAGE });
    expect(await webhooks.service.list()).toMatchObject([{ interruptedDeliveries: REPLAY_PAGE }]);
    expect(await checkReplays(world.db)).toMatchObject({ outcome: 'warning' });

    world.clock.advance(WEBHOOK_LIMITS.keepDeliveriesMs + HOUR_MS);
    await webhooks.service.sweep();
    expect(await kept()).toMatchObject({ deliveries: REPLAY_PAGE, interrupted: REPLAY_PAGE });
    const done = JSON.parse((await replay(['--since', '1h', '--json'])).split('done ')[1] ?? '') as object;
    expect(done).toMatchObject({ deliveries: REPLAY_PAGE, accepted: REPLAY_PAGE + 1, waiting: 0 });
    expect(await loggedIds()).toEqual(all);
    // As it is mapped now, where it was taken back, and as of when it came.
    const events = await logged();
    expect(events.filter(({ properties }) => 'rating' in properties)).toHaveLength(REPLAY_PAGE + 1);
    expect(new Set(events.map(({ occurredAt }) => occurredAt))).toEqual(new Set([START_MS]));

    await webhooks.service.sweep();
    expect(await kept()).toMatchObject({ deliveries: 0, interrupted: 0 });
    expect(await checkReplays(world.db)).toMatchObject({ outcome: 'ok' });
  }, 120_000);

  it('ends, killed at random moments, swept in between and run again, with each event once', async () => {
    const all = await receiveMany();
    await webhooks.service.update(KEY, { mapping: mapping('rating') });
    await world.engine.worker.stop();
    const random = randomFrom(7);
    for (let i = 0; i < 6; i++) {
      // The first one surely between: it waits there to be killed.
      const sure = { afterPages: 1, thenMs: 0, stop: true } as const;
      const kill = i === 0 ? sure : { afterPages: Math.floor(random() * 6), thenMs: random() * 60 };
      await replay(['--since', '7d', '--replace'], kill);
      const { interrupted } = await kept();
      if (i === 0) expect(interrupted).toBe(REPLAY_PAGE);
      if (i === 3) {
        world.clock.advance(WEBHOOK_LIMITS.keepDeliveriesMs + HOUR_MS);
        await receive([review(DELIVERIES + 1)]);
      }
      await webhooks.service.sweep();
    }
    expect(await replay(['--since', '7d', '--replace'])).toContain('done');
    expect(await loggedIds()).toEqual([...all, `r${String(DELIVERIES + 1)}`].sort());
    expect((await kept()).interrupted).toBe(0);
  }, 240_000);

  it('is refused while another one of the webhook is under way, and taken up by the next one', async () => {
    const all = await receiveMany();
    const db = await world.test.connect();
    const other = webhooksOn(db, world.clock, world.engine).service;
    const doors = replayDoors(world.engine);
    const request = { mode: 'replace', sinceMs: 0, doors } as const;
    const refusals: unknown[] = [];
    const takeBack: typeof doors.takeBack = async (source, messageIds, guard) => {
      refusals.push(await other.replay(KEY, { ...request, mode: 'add' }).catch((error: unknown) => error));
      await world.engine.retractions.takeBackMessages(source, messageIds, guard);
      await world.drain();
    };
    await webhooks.service.replay(KEY, { ...request, doors: { ...doors, takeBack } });
    expect(refusals.length).toBe(DELIVERIES / REPLAY_PAGE);
    for (const refusal of refusals) {
      expect(refusal).toMatchObject({ code: 'CONFLICT', message: `another replay of the webhook ${KEY} is under way` });
    }
    expect(await loggedIds()).toEqual(all);
    expect(await other.replay(KEY, { ...request, mode: 'add' })).toMatchObject({ accepted: 0, waiting: 0 });
  });

  it('ends when the connection that keeps others out is lost, and what it marked is gone on with', async () => {
    const all = await receiveMany();
    const db = await world.test.connect({ applicationName: 'doomed' });
    const doors = replayDoors(world.engine);
    const takeBack: typeof doors.takeBack = async (source, messageIds, guard) => {
      await world.engine.retractions.takeBackMessages(source, messageIds, guard);
      await world.drain();
      await endReplayLocks();
    };
    const ended = webhooksOn(db, world.clock, world.engine).service.replay(KEY, {
      mode: 'replace',
      sinceMs: 0,
      doors: { ...doors, takeBack },
    });
    await expect(ended).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    expect(await webhooks.service.replay(KEY, { mode: 'add', sinceMs: 0, doors })).toMatchObject({ waiting: 0 });
    expect(await loggedIds()).toEqual(all);
  });

  it('takes nothing back once another one has taken its place, and said that it is done', async () => {
    const all = await receiveMany();
    const db = await world.test.connect({ applicationName: 'doomed' });
    const doors = replayDoors(world.engine);
    const takeBack: typeof doors.takeBack = async (source, messageIds, guard) => {
      await world.engine.retractions.takeBackMessages(source, messageIds, guard);
      await world.drain();
    };
    const request = { mode: 'replace', sinceMs: 0 } as const;
    const overtaken: typeof doors.takeBack = async (...call) => {
      await endReplayLocks();
      const other = { ...request, doors: { ...doors, takeBack } };
      await expect.poll(() => webhooks.service.replay(KEY, other).catch(() => null)).toMatchObject({ waiting: 0 });
      await takeBack(...call);
      throw new Error('killed');
    };
    const late = webhooksOn(db, world.clock, world.engine).service;
    const ended = late.replay(KEY, { ...request, doors: { ...doors, takeBack: overtaken } });
    await expect(ended).rejects.toMatchObject({ code: 'CONFLICT', hint: expect.stringContaining('goes on') as string });
    expect(await loggedIds()).toEqual(all);
    expect((await kept()).interrupted).toBe(0);
  });

  it('takes nothing back once the connection is lost that keeps others out', async () => {
    await receiveMany();
    const doors = replayDoors(world.engine);
    const lost = new AbortController();
    const checker: typeof doors.checker = {
      accept: (...call) => {
        lost.abort(new Error('lost'));
        return doors.checker.accept(...call);
      },
    };
    let asked = 0;
    const takeBack = (): Promise<void> => {
      asked++;
      return Promise.resolve();
    };
    const request = {
      mode: 'replace',
      sinceMs: 0,
      doors: { ...doors, checker, takeBack },
      signal: lost.signal,
    } as const;
    await expect(webhooks.service.replay(KEY, request)).rejects.toThrow('lost');
    expect(asked).toBe(0);
  });
});

describe('a delivery whose replay was interrupted', () => {
  const markOf = (id: number | undefined, takenBack: readonly Uuid[] = []) => ({ id: id ?? 0, takenBack });
  /** Statements of this test's database that wait for what a connection holds. */
  const waitingFor = async (pid: number | undefined): Promise<number | undefined> => {
    const [row] = await world.db.query<{ count: number }>(
      `SELECT count(*) AS count FROM pg_stat_activity
       WHERE datname = current_database() AND $1::int4 = ANY (pg_blocking_pids(pid))`,
      [pid],
    );
    return row?.count;
  };
  const taken: ReplayDoors['takeBack'] = async (source, messageIds, guard) => {
    await world.engine.retractions.takeBackMessages(source, messageIds, guard);
    await world.drain();
  };
  const interrupted = async (): Promise<void> => {
    const doors = replayDoors(world.engine);
    const takeBack: typeof doors.takeBack = async (...call) => {
      await taken(...call);
      throw new Error('killed');
    };
    const request = { mode: 'replace', sinceMs: 0, doors: { ...doors, takeBack } } as const;
    await expect(webhooks.service.replay(KEY, request)).rejects.toThrow('killed');
  };
  const add = () =>
    webhooks.service.replay(KEY, { mode: 'add', sinceMs: world.clock.now(), doors: replayDoors(world.engine) });

  it('stays where its events are refused now, until the mapping is mended', async () => {
    await receive([review(1), review(2, { email: undefined })]);
    await world.drain();
    await interrupted();
    expect(await loggedIds()).toEqual([]);
    await webhooks.service.update(KEY, { mapping: mapping('stars').replace('email: email', 'email: nothing') });
    expect(await add()).toMatchObject({ deliveries: 1, accepted: 0, refused: 2, waiting: 1 });
    world.clock.advance(WEBHOOK_LIMITS.keepDeliveriesMs * 2);
    await webhooks.service.sweep();
    await webhooks.service.update(KEY, { mapping: mapping('stars') });
    expect(await add()).toMatchObject({ deliveries: 1, accepted: 1, refused: 1, waiting: 0 });
    expect(await loggedIds()).toEqual(['r1']);
  });

  it('stays where another of its events is taken instead', async () => {
    await receive([review(1, { email: undefined, phone: '1' }), review(2)]);
    await world.drain();
    expect(await loggedIds()).toEqual(['r2']);
    await interrupted();
    expect(await loggedIds()).toEqual([]);
    await webhooks.service.update(KEY, { mapping: mapping('stars').replace('{ email: email }', '{ user_id: phone }') });
    expect(await add()).toMatchObject({ deliveries: 1, accepted: 1, refused: 1, unsettled: 1, waiting: 1 });
    expect(await loggedIds()).toEqual(['r1']);
    world.clock.advance(WEBHOOK_LIMITS.keepDeliveriesMs * 2);
    await webhooks.service.sweep();
    await webhooks.service.update(KEY, { mapping: mapping('stars') });
    expect(await add()).toMatchObject({ deliveries: 1, accepted: 1, refused: 1, unsettled: 0, waiting: 0 });
    expect(await loggedIds()).toEqual(['r1', 'r2']);
  });

  it('stays for what an earlier replay took back and the one after it did not', async () => {
    await receive([review(1, { email: undefined, phone: '1' }), review(2)]);
    await world.drain();
    await interrupted();
    await webhooks.service.update(KEY, { mapping: mapping('stars').replace('{ email: email }', '{ user_id: phone }') });
    const request = { mode: 'replace', sinceMs: 0, doors: { ...replayDoors(world.engine), takeBack: taken } } as const;
    expect(await webhooks.service.replay(KEY, request)).toMatchObject({ accepted: 1, refused: 1, waiting: 1 });
    await webhooks.service.update(KEY, { mapping: mapping('stars') });
    expect(await add()).toMatchObject({ accepted: 1, waiting: 0 });
    expect(await loggedIds()).toEqual(['r1', 'r2']);
  });

  it('is not kept for what the mapping leaves out now', async () => {
    await receive([review(1)]);
    await world.drain();
    await interrupted();
    await webhooks.service.update(KEY, { mapping: mapping('stars', 'when: stars > 3') });
    expect(await add()).toMatchObject({ skipped: 1, waiting: 0 });
  });

  it('is waited for where its events are still being taken back', async () => {
    await receive([review(1)]);
    await world.drain();
    const doors = replayDoors(world.engine);
    const takeBack: typeof doors.takeBack = async (source, messageIds, guard) => {
      await world.engine.retractions.takeBackMessages(source, messageIds, guard);
      throw new Error('killed');
    };
    const request = { mode: 'replace', sinceMs: 0, doors: { ...doors, takeBack } } as const;
    await expect(webhooks.service.replay(KEY, request)).rejects.toThrow('killed');
    const [done] = await Promise.all([add(), world.drain()]);
    expect(done).toMatchObject({ accepted: 1, waiting: 0 });
    expect(await loggedIds()).toEqual(['r1']);
  });

  it('is not deleted by a sweep that chose it before it was marked', async () => {
    await receive([review(1)]);
    const deliveries = new WebhookDeliveryStore(world.db);
    const [row] = await world.db.query<{ id: number }>('SELECT id FROM webhook_deliveries');
    let sweeping: Promise<number> = Promise.resolve(0);
    await world.db.transaction(async (tx) => {
      await new WebhookDeliveryStore(tx).mark([markOf(row?.id)], newId(world.clock.now()));
      const [own] = await tx.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
      sweeping = deliveries.sweepOld(world.clock.now() + 1);
      await expect.poll(() => waitingFor(own?.pid)).toBe(1);
    });
    expect(await sweeping).toBe(0);
    expect(await kept()).toMatchObject({ deliveries: 1, interrupted: 1 });
  });

  it('keeps the mark of the replay that marked it last', async () => {
    await receive([review(1)]);
    const deliveries = new WebhookDeliveryStore(world.db);
    const [row] = await world.db.query<{ id: number }>('SELECT id FROM webhook_deliveries');
    const id = row?.id ?? 0;
    const [first, second] = [newId(1), newId(2)];
    const [one, two] = [newId(3), newId(4)];
    await deliveries.mark([markOf(id, [one])], first);
    expect(await deliveries.mark([markOf(id, [two, one])], second)).toEqual(new Map([[id, new Set([one, two])]]));
    await deliveries.unmark([id], first);
    expect((await kept()).interrupted).toBe(1);
    await deliveries.unmark([id], second);
    expect((await kept()).interrupted).toBe(0);
    expect(await deliveries.mark([markOf(id)], first)).toEqual(new Map([[id, new Set()]]));
  });

  it('counts among what is kept, and is passed over, where a webhook keeps too much', async () => {
    for (let i = 0; i < 4; i++) await receive([review(i)]);
    const deliveries = new WebhookDeliveryStore(world.db);
    const rows = await world.db.query<{ id: number; bytes: number }>(
      'SELECT id, bytes FROM webhook_deliveries ORDER BY id',
    );
    await deliveries.mark([markOf(rows[0]?.id)], newId(1));
    expect(await deliveries.sweepLarge((rows[3]?.bytes ?? 0) + 1)).toBe(2);
    expect(await world.db.query('SELECT id FROM webhook_deliveries ORDER BY id')).toEqual([
      { id: rows[0]?.id },
      { id: rows[3]?.id },
    ]);
  });
});
