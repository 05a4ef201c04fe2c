import { once } from 'node:events';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { WebSocket } from 'ws';
import { createApiWorld, type ApiWorld } from '../support/api-world.js';

/* Clients that send as much as they can and do not read. */

let world: ApiWorld;
let hasty: ApiWorld;

beforeAll(async () => {
  world = await createApiWorld();
  hasty = await createApiWorld({ server: { socketLimits: { keepAliveMs: 1_000 } } });
});

afterAll(async () => {
  await world.close();
  await hasty.close();
});

afterEach(() => {
  vi.restoreAllMocks();
});

async function timesHeldUp({ url }: ApiWorld): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  return Number(/^weft_sockets_held_up_total (\d+)/m.exec(text)?.[1] ?? '0');
}

async function open({ url }: ApiWorld): Promise<WebSocket> {
  const socket = new WebSocket(`${url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws');
  socket.on('error', () => undefined);
  await once(socket, 'open');
  return socket;
}

async function acknowledged(of: ApiWorld): Promise<WebSocket> {
  const socket = await open(of);
  socket.send(JSON.stringify({ type: 'connection_init', payload: { apiKey: of.keys.read } }));
  await once(socket, 'message');
  return socket;
}

const PING = JSON.stringify({ type: 'ping', payload: { text: 'x'.repeat(100_000) } });
const SCHEMA = '{ __schema { types { name description fields { name description } } } }';

describe('a client that sends on and does not read', () => {
  it('is not read from until it has read, and is then sent every answer', async () => {
    const before = await timesHeldUp(world);
    const socket = await acknowledged(world);
    let pongs = 0;
    socket.on('message', (data: Buffer) => (pongs += data.toString('utf8', 0, 14).includes('"pong"') ? 1 : 0));
    socket.pause();
    const count = 400;
    for (let i = 0; i < count; i += 1) socket.send(PING);
    await expect.poll(() => timesHeldUp(world)).toBeGreaterThan(before);
    // What was sent stays with the client: 40 MB are not in the memory of the server.
    expect(socket.bufferedAmount).toBeGreaterThan((count * PING.length) / 2);
    socket.resume();
    await expect.poll(() => pongs, { timeout: 20_000 }).toBe(count);
    socket.close();
  }, 60_000);

  it('is held up by answers of operations as well', async () => {
    const before = await timesHeldUp(world);
    const socket = await acknowledged(world);
    socket.pause();
    for (let i = 0; i < 90; i += 1) {
      socket.send(JSON.stringify({ type: 'subscribe', id: String(i), payload: { query: SCHEMA } }));
    }
    const ping = setInterval(() => socket.send('{"type":"ping"}'), 20);
    await expect.poll(() => timesHeldUp(world), { timeout: 20_000 }).toBeGreaterThan(before);
    clearInterval(ping);
    socket.terminate();
  }, 60_000);

  it.each([
    ['without a key', open],
    ['with a key', acknowledged],
  ])(
    'and never reads again is cut off, %s, without a word in the log',
    async (_name, connect) => {
      const log = vi.spyOn(console, 'error');
      const before = await timesHeldUp(hasty);
      const socket = await connect(hasty);
      const closed = once(socket, 'close');
      socket.pause();
      for (let i = 0; i < 400; i += 1) socket.send(PING);
      await expect.poll(() => timesHeldUp(hasty)).toBeGreaterThan(before);
      // Writing fails once the server has cut it off.
      await expect
        .poll(() => new Promise((resolve) => socket.send('{"type":"ping"}', resolve)), { timeout: 20_000 })
        .toBeInstanceOf(Error);
      socket.terminate();
      await closed;
      expect(log).not.toHaveBeenCalled();
      expect(hasty.defects).toEqual([]);
    },
    60_000,
  );

  it('does not hold up others, who may send as much if they read', async () => {
    const slow = await acknowledged(world);
    slow.pause();
    for (let i = 0; i < 400; i += 1) slow.send(PING);
    const socket = await acknowledged(world);
    for (let i = 0; i < 50; i += 1) {
      const answered = once(socket, 'message');
      socket.send(PING);
      const [data] = (await answered) as [Buffer];
      expect(data.toString('utf8', 0, 14)).toContain('"pong"');
    }
    socket.close();
    slow.terminate();
  }, 60_000);
});
