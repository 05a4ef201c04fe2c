import { createServer } from 'node:net';
import { describe, expect, it } from 'vitest';
import { listenError } from './listen-error.js';

/** What the system itself says. */
function refusalOf(host: string, port: number): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', resolve);
    server.listen(port, host, () => {
      server.close();
      reject(new Error('it can be listened on'));
    });
  });
}

describe('an address that cannot be listened on', () => {
  it.each([
    ['192.0.2.1', 'is no address of this machine'],
    ['no-such-host.invalid', 'does not resolve'],
  ])('is the fault of the host: %s', async (host, what) => {
    const error = listenError(await refusalOf(host, 0), host, 4_000);
    expect(error).toMatchObject({ code: 'CONFIG_INVALID', where: 'WEFT_HOST' });
    expect(error.message).toContain(host);
    expect(error.message).toContain(what);
  });

  it.each([
    ['EADDRINUSE', 'WEFT_PORT', 'port 80 of 127.0.0.1 is taken'],
    ['EACCES', 'WEFT_PORT', 'port 80 of 127.0.0.1 may not be used by this user'],
    ['EMFILE', 'WEFT_HOST, WEFT_PORT', 'port 80 of 127.0.0.1 cannot be listened on (EMFILE)'],
  ])('names the variable to change: %s', (code, where, message) => {
    const error = listenError(Object.assign(new Error(), { code }), '127.0.0.1', 80);
    expect(error).toMatchObject({ where, message });
  });
});
