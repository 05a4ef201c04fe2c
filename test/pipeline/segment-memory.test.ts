import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Engine } from '../../src/engine.js';
import { aFeature } from '../support/a-feature.js';
import { aPurpose } from '../support/a-purpose.js';
import { anIdentify, aTrack, createWorld, HOUR_MS, MINUTE_MS, START_MS, type World } from '../support/world.js';

let world: World;
/** The process that is at it. */
let engine: Engine;
let sourceId: number;
/** Of the active period of `season`. */
const [FROM, UNTIL] = [START_MS + 100 * HOUR_MS + 1, START_MS + 101 * HOUR_MS + 7];

beforeAll(async () => {
  world = await createWorld(START_MS);
  engine = world.engine;
  await world.accept([], { source: 'web' });
  const [source] = await world.db.query<{ id: number }>(`SELECT id FROM sources WHERE key = 'web'`);
  sourceId = source?.id ?? 0;
  await world.engine.services.purposes.apply([aPurpose('mail', { default: 'granted' })]);
  await world.defineFeatures([
    aFeature('balance', { aggregate: 'last', events: ['pay'], value: 'properties.total', type: 'double' }),
  ]);
  await world.defineSegment('rich', 'f.balance > 1000', { exitExpression: 'f.balance < 500' });
  await world.defineSegment('dwelling', 'f.balance > 1000', { minDwellMs: 10 * MINUTE_MS, purposes: ['mail'] });
  await world.defineSegment('season', 'performed("view")', { activeFrom: FROM, activeUntil: UNTIL });
  await drain();
});

afterAll(() => world.close());

const drain = (): Promise<void> => engine.worker.drain();

type Who = Readonly<Record<string, string>>;
let people = 0;
const someone = (): { user_id: string } => ({ user_id: `p${String(people++)}` });

/** A balance, a minute later, applied. */
async function pay(who: Who, total: number, messageId?: string): Promise<void> {
  world.clock.advance(MINUTE_MS);
  await world.accept([
    aTrack('pay', who, { properties: { total }, ...(messageId === undefined ? {} : { messageId }) }),
  ]);
  await drain();
}

async function segmentsOf(who: Who): Promise<string[]> {
  const [[ns, value] = ['', '']] = Object.entries(who);
  const rows = await world.db.query<{ key: string }>(
    `SELECT s.key FROM memberships m JOIN segments s ON s.id = m.segment_id
     JOIN identifiers i ON i.profile_id = m.profile_id WHERE i.ns = $1 AND i.value = $2 ORDER BY s.key`,
    [ns, value],
  );
  return rows.map(({ key }) => key);
}

/** `leave by event at 170…`, of some people, since a position. */
async function changesSince(seq: number, segment: string, ...of: Who[]): Promise<string[]> {
  const values = of.flatMap((who) => Object.values(who));
  const rows = await world.db.query<{ id: string }>('SELECT profile_id AS id FROM identifiers WHERE value = ANY ($1)', [
    values,
  ]);
  const ids = new Set(rows.map(({ id }) => id));
  return (await world.feed())
    .filter(
      (change) => change.seq > seq && change.segment === segment && (of.length === 0 || ids.has(change.profileId)),
    )
    .map(({ kind, cause, at }) => `${kind} by ${cause.kind} at ${String(at)}`);
}

const head = async (): Promise<number> => (await world.feed()).at(-1)?.seq ?? 0;

describe('a segment with an exit condition', () => {
  it('keeps whoever has entered until that is true, whatever a restart forgets', async () => {
    const who = someone();
    const seen: string[][] = [];
    for (const total of [700, 1200, 700]) {
      await pay(who, total);
      seen.push((await segmentsOf(who)).filter((key) => key === 'rich'));
    }
    expect(seen).toEqual([[], ['rich'], ['rich']]);
    await engine.worker.stop();
    engine = await world.engineOn(world.db);
    await pay(who, 600);
    expect(await segmentsOf(who)).toContain('rich');
    await pay(who, 400);
    expect(await segmentsOf(who)).not.toContain('rich');
    await pay(who, 700);
    expect(await segmentsOf(who)).not.toContain('rich');
  });

  it('has whoever takes over a member held to it, in a merge and when that is undone', async () => {
    const [cookie, account] = [{ anonymous_id: 'shared' }, someone()];
    await world.accept([aTrack('look', cookie)]);
    await pay(account, 1200);
    await pay(account, 700);
    const seq = await head();
    world.clock.advance(MINUTE_MS);
    await world.accept([anIdentify({ ...cookie, ...account })]);
    await drain();
    // The cookie was first: the account lives on as part of it.
    const at = String(world.clock.now() + 1);
    expect(await changesSince(seq, 'rich')).toEqual([`leave by merge at ${at}`, `enter by merge at ${at}`]);
    expect(await segmentsOf(cookie)).toContain('rich');

    // Later it turns out that the cookie was another's before: no profile has two accounts.
    world.clock.advance(MINUTE_MS);
    await world.accept([anIdentify({ ...cookie, user_id: 'other' }, {}, { timestampMs: START_MS - HOUR_MS })]);
    await drain();
    expect(await segmentsOf(account)).toContain('rich');
    await pay(account, 499);
    expect(await segmentsOf(account)).not.toContain('rich');
  });

  it('forgets what it remembered of people whose events are taken back', async () => {
    const [wrong, right] = [someone(), someone()];
    await pay(wrong, 5000, 'by mistake');
    await pay(wrong, 700);
    await pay(right, 5000);
    await pay(right, 700);
    expect([await segmentsOf(wrong), await segmentsOf(right)].map((keys) => keys.includes('rich'))).toEqual([
      true,
      true,
    ]);
    const seq = await head();
    await engine.retractions.takeBackMessages({ id: sourceId, key: 'web' }, ['by mistake']);
    await drain();
    const told = await changesSince(seq, 'rich');
    expect(told.map((line) => line.split(' at ')[0])).toEqual(['leave by revert']);
    expect(await segmentsOf(right)).toContain('rich');
  });

  it('keeps its members over an edit as long as the new one does not let them go', async () => {
    const [poor, middling] = [someone(), someone()];
    for (const [who, total] of [
      [poor, 550],
      [middling, 800],
    ] as const) {
      await pay(who, 1200);
      await pay(who, total);
    }
    const seq = await head();
    await world.defineSegment('rich', 'f.balance > 2000', { exitExpression: 'f.balance < 600' });
    await drain();
    world.clock.advance(1);
    await drain();
    expect(await segmentsOf(poor)).not.toContain('rich');
    expect(await segmentsOf(middling)).toContain('rich');
    const told = new Set((await changesSince(seq, 'rich')).map((line) => line.split(' at ')[0]));
    expect([...told]).toEqual(['leave by edit']);
  });
});

describe('a minimum dwell', () => {
  it('ends to the millisecond, and lets nobody go before but for a consent', async () => {
    const [who, refusing] = [someone(), someone()];
    await pay(refusing, 5000);
    await pay(who, 5000);
    const since = world.clock.now() + 1;
    await pay(who, 1);
    await pay(refusing, 1);
    const seq = await head();
    world.clock.advance(MINUTE_MS);
    await world.accept([aTrack('no', refusing, { context: { consent: { purposes: { mail: 'denied' } } } })]);
    await drain();
    expect(await changesSince(seq, 'dwelling', who, refusing)).toEqual([
      `leave by consent at ${String(world.clock.now() + 1)}`,
    ]);
    world.clock.set(since + 10 * MINUTE_MS - 1);
    await drain();
    expect(await segmentsOf(who)).toContain('dwelling');
    const before = await head();
    world.clock.advance(1);
    await drain();
    expect(await changesSince(before, 'dwelling', who, refusing)).toEqual([
      `leave by timer at ${String(since + 10 * MINUTE_MS)}`,
    ]);
  });

  it('of somebody for whom the condition holds on ends unseen', async () => {
    const who = someone();
    await pay(who, 5000);
    world.clock.advance(HOUR_MS);
    await drain();
    expect(await segmentsOf(who)).toContain('dwelling');
    await pay(who, 1);
    expect(await segmentsOf(who)).not.toContain('dwelling');
  });
});

describe('an active period', () => {
  it('begins and ends for everybody at its very instants, whoever comes meanwhile', async () => {
    const before = [someone(), someone()];
    await world.accept(before.map((who) => aTrack('view', who)));
    await drain();
    const seq = await head();
    world.clock.set(FROM - 1);
    await drain();
    expect(await changesSince(seq, 'season')).toEqual([]);
    world.clock.set(FROM + MINUTE_MS);
    const during = someone();
    await world.accept([aTrack('view', during)]);
    await drain();
    const came = `enter by event at ${String(FROM + MINUTE_MS + 1)}`;
    const began = `enter by timer at ${String(FROM)}`;
    expect(await changesSince(seq, 'season')).toEqual([came, began, began]);
    const mid = await head();
    // Late: each change has its own instant all the same.
    world.clock.set(UNTIL + HOUR_MS);
    await world.accept([aTrack('view', someone())]);
    await drain();
    const ended = `leave by timer at ${String(UNTIL)}`;
    expect(await changesSince(mid, 'season')).toEqual([ended, ended, ended]);
  });
});
