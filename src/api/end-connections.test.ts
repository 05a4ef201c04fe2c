import { once } from 'node:events';
import { Agent, get } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import Fastify from 'fastify';
import { describe, expect, it } from 'vitest';
import { endConnections } from './end-connections.js';

/** A server whose `/slow` is answered once `release` is called. */
async function aServer(drainMs: number) {
  const app = Fastify({ forceCloseConnections: 'idle' });
  endConnections(app, drainMs);
  let release = (): void => undefined;
  let ask = (): void => undefined;
  const released = new Promise<void>((resolve) => (release = resolve));
  const asked = new Promise<void>((resolve) => (ask = resolve));
  app.get('/slow', async () => {
    ask();
    await released;
    return 'late';
  });
  app.post('/', () => 'taken');
  await app.listen({ host: '127.0.0.1', port: 0 });
  return { app, port: (app.server.address() as AddressInfo).port, release, asked };
}

describe('a server that closes', () => {
  it('does not wait for a client that sends half a request and no more', async () => {
    const { app, port } = await aServer(20);
    const half = connect(port, '127.0.0.1');
    const begun = once(app.server, 'request');
    half.on('error', () => undefined).resume();
    half.write('POST / HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 10\r\n\r\nhalf');
    await begun;
    const ended = once(half, 'close');
    await app.close();
    await ended;
  });

  it('does not wait for a client that has connected and asks nothing', async () => {
    const { app, port } = await aServer(60_000);
    const taken = once(app.server, 'connection');
    const silent = connect(port, '127.0.0.1');
    silent.on('error', () => undefined).resume();
    await taken;
    const ended = once(silent, 'close');
    await app.close();
    await ended;
  });

  it('answers what is under way, and ends a connection that its client would have kept', async () => {
    const { app, port, release, asked } = await aServer(60_000);
    const agent = new Agent({ keepAlive: true });
    const answer = new Promise<string>((resolve, reject) => {
      get({ port, host: '127.0.0.1', path: '/slow', agent }, (response) => {
        response.setEncoding('utf8').on('data', resolve);
      }).on('error', reject);
    });
    await asked;
    const closed = app.close();
    release();
    expect(await answer).toBe('late');
    await closed;
    agent.destroy();
  });
});
