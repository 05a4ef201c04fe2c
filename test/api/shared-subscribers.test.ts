import { once } from 'node:events';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { createApiWorld, type ApiWorld } from '../support/api-world.js';
import { aTrack, anIdentify } from '../support/world.js';

/* Subscribers who ask for the same are told it together. What each is told is looked at here byte by byte. */

interface Message {
  readonly id: string;
  readonly type: string;
  readonly payload: { readonly data?: { readonly segmentChanges: Change }; readonly errors?: readonly unknown[] };
}

interface Change {
  readonly cursor: string;
  readonly profile: { readonly identifiers: readonly { readonly value: string }[]; readonly traits?: unknown } | null;
}

const QUERY = `subscription ($segment: String!, $after: String) {
  segmentChanges(segments: [$segment], after: $after) { cursor kind profile { identifiers { value } traits } } }`;
/** The traits again and again, so that little to store is much to tell. */
const LONG_QUERY = QUERY.replace(
  'traits',
  Array.from({ length: 60 }, (_, i) => `traits${String(i)}: traits`).join(' '),
);
const CURSORS = 'subscription ($segment: String!) { segmentChanges(segments: [$segment]) { cursor } }';
const START = Buffer.from(JSON.stringify(['changes.1', 0])).toString('base64url');

let world: ApiWorld;
let followers: Follower[] = [];
let people = 0;

beforeAll(async () => {
  world = await createApiWorld({ connectionsPerKey: 1_000, hub: { maxQueuedChanges: 50 } });
  await world.defineSegment('keen', 'performed("product_view")');
  await world.defineSegment('buyers', 'performed("purchase")');
  await world.drain();
});

beforeEach(() => {
  followers = [];
});

afterEach(async () => {
  for (const { socket } of followers) socket.terminate();
  await expect.poll(() => world.hub.subscribers).toBe(0);
  expect(world.defects).toEqual([]);
});

afterAll(() => world.close());

class Follower {
  readonly socket = new WebSocket(`${world.url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws');
  readonly messages: Message[] = [];
  closedBy: number | null = null;

  private constructor() {
    this.socket.on('error', () => undefined);
    this.socket.on('close', (code) => (this.closedBy = code));
    this.socket.on('message', (data: Buffer) => this.messages.push(JSON.parse(data.toString()) as Message));
    followers.push(this);
  }

  static async connected(apiKey: string): Promise<Follower> {
    const follower = new Follower();
    await once(follower.socket, 'open');
    follower.socket.send(JSON.stringify({ type: 'connection_init', payload: { apiKey } }));
    await expect.poll(() => follower.messages.length).toBe(1);
    return follower;
  }

  subscribe(id: string, variables: Record<string, unknown>, query = QUERY): void {
    this.socket.send(JSON.stringify({ id, type: 'subscribe', payload: { query, variables } }));
  }

  /** What it was told under an id. */
  told(id: string): Change[] {
    return this.messages.flatMap((message) => {
      if (message.id !== id || message.type !== 'next') return [];
      expect(Object.keys(message)).toEqual(['id', 'type', 'payload']);
      return message.payload.data === undefined ? [] : [message.payload.data.segmentChanges];
    });
  }
}

const names = (changes: readonly Change[]): (string | undefined)[] =>
  changes.map(({ profile }) => profile?.identifiers[0]?.value);

async function subscribed(count: number): Promise<void> {
  await expect.poll(() => world.hub.subscribers).toBe(count);
}

/** So many people view something, with a text about them of a length; their cookies. */
async function visit(count: number, about = 'x'): Promise<string[]> {
  const cookies = Array.from({ length: count }, () => `c${String(people++)}`);
  await world.accept(cookies.map((cookie) => anIdentify({ anonymous_id: cookie }, { about })));
  await world.accept(cookies.map((cookie) => aTrack('product_view', { anonymous_id: cookie })));
  await world.drain();
  return cookies;
}

async function counted(metric: string): Promise<number> {
  const text = await (await fetch(`${world.url}/metrics`)).text();
  return Number(new RegExp(`^${metric} (\\d+)`, 'm').exec(text)?.[1] ?? '0');
}

describe('subscribers who are told alike', () => {
  it('have each their own operations, whatever these are called and wherever they begin', async () => {
    const [one, other] = [await Follower.connected(world.keys.pii), await Follower.connected(world.keys.pii)];
    const past = await visit(3);
    const ids = ['1', 'ünïcödé "quoted" 🎈', 'x'.repeat(200)];
    for (const id of ids) one.subscribe(id, { segment: 'keen' });
    other.subscribe('1', { segment: 'keen', after: START });
    other.subscribe('2', { segment: 'buyers' });
    other.subscribe('3', { segment: 'keen' }, LONG_QUERY);
    other.subscribe('4', { segment: 'keen' }, CURSORS);
    await subscribed(7);
    const live = [...(await visit(2)), ...(await visit(1, 'ß'.repeat(1_200))), ...(await visit(1))];
    await world.accept([aTrack('purchase', { anonymous_id: live[0] ?? '' })]);
    await world.drain();
    await expect.poll(() => other.told('1').length).toBe(past.length + live.length);
    await expect.poll(() => other.told('2').length).toBe(1);
    for (const id of ids) await expect.poll(() => names(one.told(id))).toEqual(live);
    expect(names(other.told('1')).slice(-7)).toEqual([...past, ...live]);
    expect(names(other.told('2'))).toEqual([live[0]]);
    expect(other.told('4').map(({ cursor }) => cursor)).toEqual(one.told('1').map(({ cursor }) => cursor));
    // In frames of each of the three forms of length.
    expect(names(other.told('3'))).toEqual(live);
    expect(JSON.stringify(other.told('3')[2]).length).toBeGreaterThan(0x1_00_00);
    expect(one.told('1')).toEqual(other.told('1').slice(-4));
    one.socket.send(JSON.stringify({ id: ids[1], type: 'complete' }));
    await subscribed(6);
    const [last] = await visit(1);
    await expect.poll(() => names(one.told('1')).at(-1)).toBe(last);
    expect(names(one.told(ids[1] ?? ''))).toEqual(live);
  });

  it('are never told by the authority of others: each key sees what it may', async () => {
    const follower = async (apiKey: string): Promise<Follower> => {
      const made = await Follower.connected(apiKey);
      made.subscribe('1', { segment: 'keen' });
      return made;
    };
    const open = [await follower(world.keys.pii), await follower(world.keys.pii)];
    const masked = [await follower(world.keys.read), await follower(world.keys.read)];
    await subscribed(4);
    const cookies = await visit(2, 'secret words');
    for (const each of [...open, ...masked]) await expect.poll(() => each.told('1').length).toBe(2);
    for (const each of open) expect(names(each.told('1'))).toEqual(cookies);
    for (const each of masked) {
      expect(names(each.told('1'))).not.toContain(cookies[0]);
      expect(each.told('1')).toEqual(masked[0]?.told('1'));
    }
  });

  it('are each put down in the audit log', async () => {
    const seenBefore = await seenCount();
    for (let i = 0; i < 5; i++) (await Follower.connected(world.keys.pii)).subscribe('1', { segment: 'keen' });
    await subscribed(5);
    await visit(1);
    for (const each of followers) await expect.poll(() => each.told('1').length).toBe(1);
    expect((await seenCount()) - seenBefore).toBe(5);
  });

  it('end with their key, all of them, before anything more is told', async () => {
    const { key, secret } = await world.services.keys.create({ name: 'short', scopes: ['read'] });
    const ending: Follower[] = [];
    for (let i = 0; i < 3; i++) ending.push(await Follower.connected(secret));
    for (const each of ending) each.subscribe('1', { segment: 'keen' });
    const staying = await Follower.connected(world.keys.read);
    staying.subscribe('1', { segment: 'keen' });
    await subscribed(4);
    await world.services.keys.revoke(key.id);
    world.clock.advance(10_000);
    await visit(1);
    for (const each of ending) {
      await expect.poll(() => each.closedBy).toBe(4401);
      expect(each.told('1')).toEqual([]);
    }
    await expect.poll(() => staying.told('1').length).toBe(1);
  });

  it('do not wait for one who does not read, for whom no more than a bound is kept, and who misses nothing', async () => {
    const quick = await Follower.connected(world.keys.pii);
    const slow = await Follower.connected(world.keys.pii);
    for (const each of [quick, slow]) each.subscribe('1', { segment: 'keen' }, LONG_QUERY);
    await subscribed(2);
    const before = await counted('weft_subscribers_behind_total');
    slow.socket.pause();
    const cookies: string[] = [];
    // What the system keeps of a connection that nobody reads takes a few megabytes first.
    while ((await counted('weft_subscribers_behind_total')) === before && cookies.length < 200) {
      cookies.push(...(await visit(10, 'long '.repeat(1_000))));
    }
    expect(await counted('weft_subscribers_behind_total')).toBe(before + 1);
    await expect.poll(() => quick.told('1').length, { timeout: 20_000 }).toBe(cookies.length);
    expect(slow.told('1').length).toBeLessThan(cookies.length);
    slow.socket.resume();
    await expect.poll(() => slow.told('1').length, { timeout: 20_000 }).toBe(cookies.length);
    expect(names(slow.told('1'))).toEqual(cookies);
    const [last] = await visit(1);
    for (const each of [quick, slow]) await expect.poll(() => names(each.told('1')).at(-1)).toBe(last);
  }, 60_000);
});

async function seenCount(): Promise<number> {
  await world.services.audit.writes.flush();
  const [row] = await world.db.query<{ count: number }>(
    `SELECT coalesce(sum(count), 0)::int4 AS count FROM audit_log WHERE operation = 'Subscription.segmentChanges'`,
  );
  return row?.count ?? 0;
}
