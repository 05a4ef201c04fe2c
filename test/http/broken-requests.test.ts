import { Agent, request as httpRequest, type IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createApiWorld, type ApiWorld } from '../support/api-world.js';

let world: ApiWorld;

beforeAll(async () => {
  world = await createApiWorld();
});

afterAll(() => world.close());

/** All that comes back until the connection ends. */
function exchange(text: string): Promise<string> {
  const { hostname, port } = new URL(world.url);
  return new Promise((resolve, reject) => {
    let answer = '';
    const socket = connect(Number(port), hostname, () => socket.write(text));
    socket.on('data', (data) => (answer += data.toString())).on('close', () => resolve(answer));
    socket.on('error', reject);
  });
}

describe('a request that cannot be read', () => {
  it.each([
    ['that is no HTTP', 'hello\r\n\r\n', 400, 'BAD_REQUEST'],
    ['with a header that is none', 'GET / HTTP/1.1\r\nHost: x\r\nno header\r\n\r\n', 400, 'BAD_REQUEST'],
    [
      'with two lengths',
      'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx',
      400,
      'BAD_REQUEST',
    ],
    ['with a large header', `GET / HTTP/1.1\r\nHost: x\r\nX: ${'x'.repeat(17_000)}\r\n\r\n`, 431, 'PAYLOAD_TOO_LARGE'],
    [
      'with a flood of headers',
      `GET / HTTP/1.1\r\nHost: x\r\n${'abcd: efgh\r\n'.repeat(3_000)}\r\n`,
      431,
      'PAYLOAD_TOO_LARGE',
    ],
    ['with a long address', `GET /${'x'.repeat(17_000)} HTTP/1.1\r\nHost: x\r\n\r\n`, 431, 'PAYLOAD_TOO_LARGE'],
  ])('%s is answered as others are, and the connection ends', async (_name, text, status, code) => {
    const [head = '', body = ''] = (await exchange(text)).split('\r\n\r\n');
    expect(head).toMatch(new RegExp(`^HTTP/1\\.1 ${String(status)} `));
    expect(head).toContain('\r\nConnection: close\r\n');
    expect(JSON.parse(body)).toMatchObject({ success: false, code, reason: expect.any(String) as string });
  });

  it('does not break off the next request of a client that keeps its connections', async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const get = (path: string): Promise<number> =>
      new Promise((resolve, reject) => {
        const { hostname, port } = new URL(world.url);
        const answered = (response: IncomingMessage): void => {
          response.resume().on('end', () => resolve(response.statusCode ?? 0));
        };
        httpRequest({ hostname, port, path, agent }, answered).on('error', reject).end();
      });
    for (let i = 0; i < 50; i += 1) {
      const answers = await Promise.all([get(`/${'x'.repeat(17_000)}`), get('/healthz')]);
      expect(answers).toEqual([431, 200]);
    }
    agent.destroy();
  });
});
