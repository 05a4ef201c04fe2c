import { afterEach, describe, expect, it } from 'vitest';
import { SourceEntity } from '../../src/sources/source.entity.js';
import { SourceService } from '../../src/sources/source.service.js';
import { SourceStore } from '../../src/sources/source.store.js';
import { afterLongReads } from '../support/after-long-reads.js';
import { aFeature } from '../support/a-feature.js';
import { aPurpose } from '../support/a-purpose.js';
import {
  applyRules,
  ASKER,
  blockedWorld,
  knownTogether,
  OPEN,
  putInForce,
  TILL_IS_BLOCKED,
} from '../support/blocked-world.js';
import { countingEvidenceWork, type EvidenceWork } from '../support/count-evidence-work.js';
import { findTexts } from '../support/find-texts.js';
import { storedAndFoldedEvidence } from '../support/folded-log.js';
import { settleGenerics } from '../support/settle-generics.js';
import { strays } from '../support/retraction-builders.js';
import { SOME_FEATURES } from '../support/random-log.js';
import { aGroup, anIdentify, aTrack, DAY_MS, MINUTE_MS, START_MS, type World } from '../support/world.js';

const A = { email: 'a@example.org' };
const B = { email: 'b@example.org' };
const TILL = { user_id: 'till' };
const worlds: World[] = [];

afterEach(async () => {
  await Promise.all(worlds.splice(0).map((world) => world.close()));
});

/** Two who share a till, of whom old events are known and newer ones. */
async function newWorld(): Promise<World> {
  const world = await blockedWorld();
  worlds.push(world);
  await applyRules(world, OPEN);
  await world.engine.services.purposes.apply([aPurpose('mail', { default: 'granted' })]);
  await world.defineFeatures([
    ...SOME_FEATURES,
    aFeature('views', { events: ['view'] }),
    aFeature('views_5d', { events: ['view'], windowMs: 5 * DAY_MS }),
  ]);
  await world.drain();
  const denied = { context: { consent: { purposes: { mail: 'denied' } } } };
  await world.accept([
    anIdentify({ ...TILL, ...A }, { name: 'Ann' }, { messageId: 'm0' }),
    anIdentify({ ...TILL, ...B }, { town: 'Hull' }, { messageId: 'm1' }),
    anIdentify({ ...A, anonymous_id: 'cookie' }, { plan: 'pro' }, { messageId: 'm2' }),
    aTrack('view', { ...TILL, ...A }, { messageId: 'm3' }),
    aTrack('view', A, { messageId: 'm4', ...denied }),
    aGroup(A, 'acme', { size: 5 }, { messageId: 'm5' }),
  ]);
  await world.drain();
  world.clock.advance(20 * DAY_MS);
  await world.accept([
    aTrack('view', { ...TILL, ...A }, { messageId: 'm6' }),
    aTrack('view', { ...TILL, ...B }, { messageId: 'm7' }),
    aTrack('view', A, { messageId: 'm8' }),
  ]);
  await world.drain();
  return world;
}

/** Of each person all but the first thing seen, which cannot be divided. */
function withoutFirst<T>(features: Readonly<Record<string, Readonly<Record<string, T>>>> = {}): unknown {
  return Object.entries(features).map(([who, of]) => [
    who,
    Object.entries(of).filter(([name]) => name !== 'first_sku'),
  ]);
}

describe('values that are blocked, and let go of, once a retention has removed events', () => {
  it('leave people who they are, and with what came of those events', async () => {
    const [lossy, whole] = [await newWorld(), await newWorld()];
    const sources = new SourceService(new SourceStore(lossy.db.dataSource), lossy.clock);
    await sources.update('web', { retentionMs: 10 * DAY_MS });
    lossy.clock.advance(MINUTE_MS);
    await lossy.drain();
    expect(await lossy.db.query('SELECT FROM event_log')).toHaveLength(3);

    for (const world of [lossy, whole]) await applyRules(world, TILL_IS_BLOCKED);
    const [parted, expected] = await knownTogether(lossy, whole);
    const [a, b, till] = ['anonymous_id:cookie email:a@example.org', 'email:b@example.org', 'user_id:till'];
    expect(expected?.profiles).toEqual([a, b]);
    // Of removed events that hung on the till, what was counted stays there: nobody can tell whose it was.
    expect(parted?.profiles).toEqual([a, b, till]);
    expect(parted?.traits).toEqual({ ...expected?.traits, [till]: {} });
    expect(parted?.traits[a]).toMatchObject({ name: { value: 'Ann' } });
    expect(parted?.features[till]?.['first_sku']?.status).toBe('NOT_FOUND');
    expect([a, b, till].map((each) => parted?.features[each]?.['views']?.value)).toEqual([3, 1, 1]);
    expect([a, b].map((each) => expected?.features[each]?.['views']?.value)).toEqual([4, 1]);
    for (const each of [a, b]) {
      expect(parted?.features[each]?.['views_5d']).toEqual(expected?.features[each]?.['views_5d']);
    }
    expect(await strays(lossy.db)).toEqual([]);

    for (const world of [lossy, whole]) await applyRules(world, OPEN);
    const [joined, open] = await knownTogether(lossy, whole);
    expect(joined?.profiles).toEqual(open?.profiles);
    expect(joined?.traits).toEqual(open?.traits);
    expect(withoutFirst(joined?.features)).toEqual(withoutFirst(open?.features));
    // What is no count or sum is what the log says where events went from it.
    const firstAt = Object.values(joined?.features ?? {}).map((features) => features['first_sku']?.eventTs ?? 0);
    expect(Math.min(...firstAt)).toBeGreaterThan(START_MS + 20 * DAY_MS);
    expect(joined?.memberships).toEqual(open?.memberships);
    expect(await strays(lossy.db)).toEqual([]);
  });

  it('are read while others work, whose events count all the same', async () => {
    const [gated, calm] = [await newWorld(), await newWorld()];
    for (const world of [gated, calm]) {
      const sources = new SourceService(new SourceStore(world.db.dataSource), world.clock);
      await sources.update('web', { retentionMs: 10 * DAY_MS });
      world.clock.advance(MINUTE_MS);
      await world.drain();
      expect(await world.db.query('SELECT FROM event_log')).toHaveLength(3);
    }
    const late = { timestampMs: START_MS + 20 * DAY_MS };
    const more = [
      anIdentify(A, { name: 'Anna' }, { messageId: 'm9', ...late }),
      ...[A, B, A].map((who, i) => aTrack('view', who, { messageId: `n${String(i)}`, ...late })),
      anIdentify({ ...B, anonymous_id: 'other' }, { plan: 'free' }, { messageId: 'm10', ...late }),
    ];
    await applyRules(calm, TILL_IS_BLOCKED);
    await calm.accept(more);
    await calm.drain();

    await gated.engine.worker.stop();
    let onRead = (): Promise<void> => Promise.resolve();
    const db = afterLongReads(await gated.test.connect({ entities: [SourceEntity] }), () => onRead());
    const [mover, other] = [await gated.engineOn(db), await gated.another()];
    for (const { worker } of [mover, other]) await worker.join();
    for (const { worker } of [mover, other]) await worker.runOnce();
    await putInForce(gated, TILL_IS_BLOCKED, true);
    const isBlocked = async () => (await gated.db.query('SELECT FROM generic_values WHERE is_blocked')).length > 0;
    for (let i = 0; !(await isBlocked()); i++) {
      expect(i).toBeLessThan(100);
      gated.clock.advance(1_000);
      await mover.worker.runOnce();
      await other.worker.runOnce();
    }
    let isReached = false;
    onRead = async () => {
      if (isReached) return;
      isReached = true;
      await gated.accept(more);
      for (let i = 0; i < 5; i++) await other.worker.runOnce();
      expect(await gated.db.query(`SELECT FROM identifiers WHERE value = 'other'`)).toHaveLength(1);
    };
    for (let i = 0; !isReached; i++) {
      expect(i).toBeLessThan(50);
      gated.clock.advance(1_000);
      await mover.worker.runOnce();
    }
    await settleGenerics(gated, mover);
    await other.worker.stop();
    await settleGenerics(gated, mover);
    await mover.worker.stop();
    const [together, one] = await knownTogether(gated, calm);
    expect(together).toEqual(one);
    expect(await strays(gated.db)).toEqual([]);
  });

  it('keep nothing of an erased person that a removed event said of the day of one that the log has', async () => {
    const world = await blockedWorld();
    worlds.push(world);
    await applyRules(world, OPEN);
    const atTill = (email: string, traits: Record<string, string>) => anIdentify({ ...TILL, email }, traits);
    // One row of evidence stands for both: the one that stays is the first.
    await world.accept([atTill('canary@example.org', { motto: 'plain' })], { source: 'crm' });
    world.clock.advance(MINUTE_MS);
    await world.accept([atTill('canary@example.org', { nick: 'zilpha' })], { source: 'web' });
    await world.drain();
    world.clock.advance(20 * DAY_MS);
    const sources = new SourceService(new SourceStore(world.db.dataSource), world.clock);
    await sources.update('web', { retentionMs: 10 * DAY_MS });
    world.clock.advance(MINUTE_MS);
    await world.drain();
    expect(await world.db.query('SELECT FROM event_log')).toHaveLength(1);
    await world.accept([atTill('p0@example.org', { motto: 'plain' })], { source: 'web' });
    await world.drain();
    expect(await findTexts(world.db, ['zilpha'])).not.toEqual([]);

    await applyRules(world, TILL_IS_BLOCKED);
    const who = { identifier: { ns: 'email', value: 'canary@example.org' } };
    const { id } = await world.engine.erasures.request(who, ASKER);
    await settleGenerics(world);
    world.clock.advance(1_000);
    await world.drain();
    expect((await world.engine.erasures.find(id))?.status).toBe('logical');
    expect(await findTexts(world.db, ['canary', 'zilpha'])).toEqual([]);
  });

  it.each(['whole', 'lossy'])(
    'take no longer with everybody standing still for the evidence of a value being long (%s log)',
    async (log) => {
      const [few, many] = [await workOfMoves(log === 'lossy', 3), await workOfMoves(log === 'lossy', 60)];
      expect(few.length).toBeGreaterThan(2);
      expect(many).toEqual(few);
    },
  );
});

/** What is done of evidence in each step that moves events of some people away from a till that is used on so many days. */
async function workOfMoves(isLossy: boolean, days: number): Promise<EvidenceWork[]> {
  const world = await blockedWorld({ maxReanchoredEvents: 2 });
  worlds.push(world);
  await applyRules(world, OPEN);
  await world.accept([aTrack('noticed', { email: 'old@example.org' })], { source: 'crm' });
  await world.drain();
  world.clock.advance(100 * DAY_MS);
  if (isLossy) {
    await new SourceService(new SourceStore(world.db.dataSource), world.clock).update('crm', {
      retentionMs: 10 * DAY_MS,
    });
    await world.drain();
    expect(await world.db.query('SELECT FROM event_log')).toEqual([]);
  }
  const [first, people] = [world.clock.now() - 90 * DAY_MS, [A, B, { email: 'c@example.org' }]];
  await world.accept([
    ...Array.from({ length: days }, (_, i) =>
      aTrack('noticed', { ...TILL, loyalty_card: 'desk' }, { timestampMs: first + i * DAY_MS }),
    ),
    // Their bytes are counted: those of ids that are given in turn become more by and by.
    ...people.flatMap((who, i) => [
      aTrack('noticed', who, { messageId: `alone-${String(i)}` }),
      anIdentify({ ...TILL, ...who }, {}, { messageId: `named-${String(i)}` }),
      aTrack('noticed', { ...TILL, ...who }, { messageId: `there-${String(i)}` }),
    ]),
  ]);
  await world.drain();
  await world.engine.worker.stop();
  const moves: EvidenceWork[] = [];
  const db = countingEvidenceWork(await world.test.connect({ entities: [SourceEntity] }), moves);
  const mover = await world.engineOn(db, { maxReanchoredEvents: 2 });
  await putInForce(world, '{ namespaces: { email: { limit: 3 } }, blocked: { values: [till, desk] } }', true);
  await settleGenerics(world, mover);
  expect(await strays(world.db)).toEqual([]);
  const { stored, folded } = await storedAndFoldedEvidence(world);
  if (!isLossy) expect(stored).toEqual(folded);
  await mover.worker.stop();
  return moves;
}
