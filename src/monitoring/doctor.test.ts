import { createServer, type AddressInfo } from 'node:net';
import { describe, expect, it } from 'vitest';
import { WeftError } from '../platform/errors.js';
import { checkBy, checkDataDir, checkNode, checkPort } from './doctor.js';

describe('doctor', () => {
  it.each([
    ['20.19.0', 'ok'],
    ['24.1.0', 'ok'],
    ['20.18.3', 'failed'],
    ['18.20.0', 'failed'],
  ])('judges Node %s as %s', (version, outcome) => {
    expect(checkNode(version).outcome).toBe(outcome);
  });

  it('says that a port is taken, and that it is free again', async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    expect((await checkPort('127.0.0.1', port)).outcome).toBe('warning');
    await new Promise((resolve) => server.close(resolve));
    expect((await checkPort('127.0.0.1', port)).outcome).toBe('ok');
  });

  it('says of a folder that cannot be made that it cannot, and at once', async () => {
    expect((await checkDataDir('/proc/weft/data')).outcome).toBe('failed');
  });

  it('hands on the hint of a failure', async () => {
    const result = await checkBy('database', () =>
      Promise.reject(new WeftError('UNAVAILABLE', 'no answer', { hint: 'Start it.' })),
    );
    expect(result).toEqual({ name: 'database', outcome: 'failed', detail: 'no answer', hint: 'Start it.' });
  });
});
