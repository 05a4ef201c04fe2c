import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { WeftError } from '../platform/errors.js';
import { checkAddress, checkBy, checkDataDir, checkMigrations, checkNode } from './doctor.js';

describe('doctor', () => {
  it.each([
    ['20.19.0', 'ok'],
    ['24.1.0', 'ok'],
    ['20.18.3', 'failed'],
    ['18.20.0', 'failed'],
  ])('judges Node %s as %s', (version, outcome) => {
    expect(checkNode(version).outcome).toBe(outcome);
  });

  describe('of an address', () => {
    let server: Server;
    let port: number;
    let answer = '';

    /** Something that listens and answers every request with this. */
    beforeEach(async () => {
      server = createServer((request, response) => {
        response.end(request.url === '/healthz' ? answer : '');
      });
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      ({ port } = server.address() as AddressInfo);
    });

    afterEach(() => {
      server.closeAllConnections();
      server.close();
    });

    it('says that it is free', async () => {
      await new Promise((resolve) => server.close(resolve));
      expect(await checkAddress('127.0.0.1', port)).toMatchObject({
        outcome: 'ok',
        detail: `127.0.0.1:${String(port)} is free`,
      });
    });

    it('says that Weft runs there, with its version', async () => {
      answer = JSON.stringify({ status: 'ok', name: 'weft', version: '9.8.7' });
      expect(await checkAddress('127.0.0.1', port)).toEqual({
        name: 'address',
        outcome: 'ok',
        detail: `127.0.0.1:${String(port)}: Weft 9.8.7 is running here`,
      });
    });

    it.each(['', '{"status":"ok"}', 'null', '<html></html>'])('says that something else has it: %j', async (text) => {
      answer = text;
      expect(await checkAddress('127.0.0.1', port)).toMatchObject({
        outcome: 'failed',
        detail: `port ${String(port)} of 127.0.0.1 is taken (WEFT_PORT)`,
      });
    });

    it('says that it is none of this machine', async () => {
      expect(await checkAddress('192.0.2.1', port)).toMatchObject({
        outcome: 'failed',
        detail: '192.0.2.1 is no address of this machine (WEFT_HOST)',
      });
    });
  });

  it('says of a folder that could be made that it is not made yet, and makes none', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'weft-doctor-'));
    try {
      const wanted = join(folder, 'a', 'b');
      expect(await checkDataDir(wanted)).toEqual({
        name: 'data folder',
        outcome: 'ok',
        detail: `${wanted}, not made yet`,
      });
      expect(await readdir(folder)).toEqual([]);
      expect(await checkDataDir(folder)).toMatchObject({ outcome: 'ok', detail: folder });
      await writeFile(join(folder, 'file'), '');
      expect(await checkDataDir(join(folder, 'file'))).toMatchObject({ outcome: 'failed' });
      expect(await readdir(folder)).toEqual(['file']);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it('says of a folder that cannot be made that it cannot, and at once', async () => {
    expect((await checkDataDir('/proc/weft/data')).outcome).toBe('failed');
  });

  it('hands on place and hint of a failure', async () => {
    const result = await checkBy('database', () =>
      Promise.reject(new WeftError('UNAVAILABLE', 'no answer', { where: 'db:5432/weft', hint: 'Start it.' })),
    );
    expect(result).toEqual({
      name: 'database',
      outcome: 'failed',
      detail: 'no answer (db:5432/weft)',
      hint: 'Start it.',
    });
  });

  it('names the migrations that wait, and refuses a database that a newer program made', () => {
    expect(checkMigrations({ pending: [], unknown: [] }).outcome).toBe('ok');
    expect(checkMigrations({ pending: ['A1', 'B2'], unknown: [] })).toMatchObject({
      outcome: 'warning',
      detail: 'pending: A1, B2',
    });
    expect(checkMigrations({ pending: ['A1'], unknown: ['C3'] })).toMatchObject({
      outcome: 'failed',
      detail: 'this program does not know C3',
    });
  });
});
