import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { anIdentify, aTrack, createWorld, HOUR_MS, MINUTE_MS, START_MS, type World } from '../support/world.js';

describe('the loop', () => {
  let world: World;

  beforeEach(async () => {
    world = await createWorld();
  });

  afterEach(async () => {
    await world.close();
  });

  const summary = async () =>
    (await world.feed()).map((c) => `${c.segment} ${c.kind} ${c.cause.kind} +${String(c.at - START_MS)}`);

  it('puts a visitor in a segment at the event that makes it true', async () => {
    await world.defineSegment('keen', 'count("product_view", "1h") >= 2');
    const visitor = { anonymous_id: 'a1' };
    await world.accept([aTrack('product_view', visitor), aTrack('product_view', visitor)]);
    await world.drain();
    expect(await summary()).toEqual(['keen enter event +1']);
  });

  it('lets time alone end and begin memberships, to the millisecond', async () => {
    await world.defineSegment(
      'cart_abandoned',
      'since("add_to_cart") >= duration("5m") && since("add_to_cart") < duration("24h") && count("purchase", "24h") == 0',
    );
    await world.accept([aTrack('add_to_cart', { anonymous_id: 'a1' })]);
    await world.drain();
    expect(await summary()).toEqual([]);
    world.clock.advance(5 * MINUTE_MS);
    await world.drain();
    world.clock.advance(25 * HOUR_MS);
    await world.drain();
    expect(await summary()).toEqual([
      `cart_abandoned enter timer +${String(5 * MINUTE_MS)}`,
      `cart_abandoned leave timer +${String(24 * HOUR_MS)}`,
    ]);
  });

  it('fires a due timer before the event that would have prevented it', async () => {
    await world.defineSegment(
      'cart_abandoned',
      'since("add_to_cart") >= duration("5m") && count("purchase", "24h") == 0',
    );
    const visitor = { anonymous_id: 'a1' };
    await world.accept([aTrack('add_to_cart', visitor)]);
    await world.drain();
    world.clock.advance(6 * MINUTE_MS);
    await world.accept([aTrack('purchase', visitor)]);
    await world.drain();
    expect(await summary()).toEqual([
      `cart_abandoned enter timer +${String(5 * MINUTE_MS)}`,
      `cart_abandoned leave event +${String(6 * MINUTE_MS + 1)}`,
    ]);
  });

  it('joins what a visitor did before with who they turn out to be', async () => {
    await world.defineSegment('keen', 'count("product_view", "1h") >= 2');
    await world.accept([aTrack('product_view', { anonymous_id: 'a1' }), aTrack('product_view', { user_id: 'u1' })]);
    await world.drain();
    expect(await summary()).toEqual([]);
    world.clock.advance(1_000);
    await world.accept([anIdentify({ user_id: 'u1', anonymous_id: 'a1' })]);
    await world.drain();
    expect(await summary()).toEqual(['keen enter merge +1001']);
    const profiles = await world.db.query<{ n: number }>(
      'SELECT count(*)::int4 AS n FROM profiles WHERE merged_into IS NULL',
    );
    expect(profiles).toEqual([{ n: 1 }]);
  });

  it('loads history without a word in the feed', async () => {
    await world.defineSegment('buyers', 'performed("purchase")');
    await world.accept([aTrack('purchase', { crm_id: 'c1' }, { timestampMs: START_MS - HOUR_MS })], {
      historical: true,
    });
    await world.drain();
    expect(await summary()).toEqual([]);
    const members = await world.db.query('SELECT since, cause FROM memberships');
    expect(members).toEqual([{ since: START_MS + 1, cause: { kind: 'load', pos: null } }]);
  });

  it('folds history into a segment that is defined later', async () => {
    await world.accept([aTrack('purchase', { crm_id: 'c1' }), aTrack('visit', { crm_id: 'c2' })]);
    await world.drain();
    world.clock.advance(1_000);
    await world.defineSegment('buyers', 'count("purchase", "30d") >= 1');
    await world.drain();
    world.clock.advance(1);
    await world.drain();
    expect((await world.feed()).map((c) => [c.segment, c.kind, c.cause.kind])).toEqual([['buyers', 'enter', 'edit']]);
  });
});
