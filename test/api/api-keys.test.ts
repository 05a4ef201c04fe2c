import { randomBytes } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { ApiKeyService } from '../../src/api/auth/api-key.service.js';
import { ApiKeyStore } from '../../src/api/auth/api-key.store.js';
import type { StoredApiKey } from '../../src/api/auth/api-key.store.js';
import { ManualClock } from '../../src/platform/clock.js';
import { RootSecret } from '../../src/platform/installation-secret.js';
import { SourceService } from '../../src/sources/source.service.js';
import { SourceStore } from '../../src/sources/source.store.js';
import { createTestDatabase } from '../support/database.js';
import type { TestDatabase } from '../support/database.js';
import { TRACKING_ENTITIES } from '../support/tracking-server.js';

const SECRET = new RootSecret(Buffer.from('the secret of a test'));
const DAY_MS = 86_400_000;
const NOW = Date.UTC(2026, 0, 31, 12);

/** Counts what reaches the database. */
class CountingStore extends ApiKeyStore {
  lookups = 0;
  readonly lastUsed: [string, number][] = [];
  /** What the write of `last_used_at` waits for. */
  gate: Promise<void> = Promise.resolve();
  /** What look-ups wait for. */
  lookupGate: Promise<void> = Promise.resolve();

  override async findByHash(keyHash: Buffer): Promise<StoredApiKey | null> {
    this.lookups += 1;
    await this.lookupGate;
    return super.findByHash(keyHash);
  }

  override async setLastUsed(id: string, nowMs: number): Promise<void> {
    this.lastUsed.push([id, nowMs]);
    await this.gate;
    await super.setLastUsed(id, nowMs);
  }
}

let test: TestDatabase;
let sourceId: number;
let clock: ManualClock;
let store: CountingStore;
let keys: ApiKeyService;
const lost: unknown[] = [];
const services: ApiKeyService[] = [];

function newService(lookUpTimeoutMs = 60_000): ApiKeyService {
  const service = new ApiKeyService({
    store,
    lookUpTimeoutMs,
    clock,
    secret: SECRET,
    randomBytes,
    onLastUsedError: (error) => lost.push(error),
  });
  services.push(service);
  return service;
}

beforeAll(async () => {
  test = await createTestDatabase({ entities: TRACKING_ENTITIES });
  const sources = new SourceService(new SourceStore(test.database.dataSource), { now: () => NOW });
  sourceId = (await sources.create({ key: 'shop', kind: 'http' })).id;
});

afterAll(() => test.drop());

afterEach(async () => {
  await Promise.all(services.splice(0).map((service) => service.drain()));
  expect(lost).toEqual([]);
});

beforeEach(() => {
  clock = new ManualClock(NOW);
  store = new CountingStore(test.database.dataSource);
  keys = newService();
});

describe('ApiKeyService', () => {
  it('shows a secret once and stores nothing it could be recovered from', async () => {
    const { key, secret } = await keys.create({ name: 'shop', scopes: ['ingest'], sourceId });
    expect(await keys.verify(secret)).toMatchObject({ id: key.id, scopes: ['ingest'], sourceId, lastUsedAt: null });
    const rows = await test.database.query<object>('SELECT * FROM api_keys');
    const dump = JSON.stringify(rows) + JSON.stringify(await keys.list());
    expect(dump).not.toContain(secret.slice(12));
    expect(dump).not.toContain(Buffer.from(secret).toString('hex'));
  });

  it('asks the database once for many requests with one key, and again when its answer is 10 s old', async () => {
    const { secret } = await keys.create({ name: 'a', scopes: ['read'] });
    await Promise.all(Array.from({ length: 20 }, () => keys.verify(secret)));
    expect(store.lookups).toBe(1);
    clock.advance(9_999);
    await keys.verify(secret);
    expect(store.lookups).toBe(1);
    clock.advance(1);
    await keys.verify(secret);
    expect(store.lookups).toBe(2);
  });

  it('remembers for a while that a key does not exist, and never asks for what is no key', async () => {
    const unknown = `weft_r_${'0'.repeat(43)}`;
    expect(await keys.verify(unknown)).toBeNull();
    expect(await keys.verify(unknown)).toBeNull();
    expect(await keys.verify('hello')).toBeNull();
    expect(store.lookups).toBe(1);
  });

  it('keeps the keys that exist, whatever many secrets that do not are tried', async () => {
    const { secret } = await keys.create({ name: 'a', scopes: ['read'] });
    await keys.verify(secret);
    vi.spyOn(store, 'findByHash').mockResolvedValue(null);
    for (let i = 0; i < 10_001; i += 1) await keys.verify(`weft_r_${String(i).padStart(43, '0')}`);
    expect(keys.verifyKnown(secret)).not.toBeUndefined();
    expect(keys.verifyKnown(`weft_r_${'0'.repeat(43)}`)).toBeUndefined();
    expect(keys.verifyKnown(`weft_r_${'10000'.padStart(43, '0')}`)).toBeNull();
  });

  it('looks up a hundred secrets at a time, and those that are known besides', async () => {
    const { secret } = await keys.create({ name: 'a', scopes: ['read'] });
    await keys.verify(secret);
    clock.advance(10_000);
    let open: () => void = () => undefined;
    store.lookupGate = new Promise((resolve) => (open = resolve));
    const tried = Array.from({ length: 101 }, (_, i) => keys.verify(`weft_r_${String(i).padStart(43, '0')}`));
    await expect(tried[100]).rejects.toMatchObject({ code: 'OVERLOADED', retryAfterMs: 1_000 });
    const known = keys.verify(secret);
    open();
    expect(await known).not.toBeNull();
    expect(await Promise.all(tried.slice(0, 100))).toEqual(Array.from({ length: 100 }, () => null));
  });

  it('waits for no look-up for longer than its bound', async () => {
    const { secret } = await keys.create({ name: 'a', scopes: ['edge'] });
    const impatient = newService(1);
    store.lookupGate = new Promise(() => undefined);
    await expect(impatient.verify(secret)).rejects.toMatchObject({ code: 'UNAVAILABLE', retryAfterMs: 1_000 });
  });

  it('keeps an edge key valid for ten minutes while the database is away, up to its expiry; no other', async () => {
    const edge = await keys.create({ name: 'a', scopes: ['edge'] });
    const short = await keys.create({ name: 'b', scopes: ['edge'], expiresAt: NOW + 30_000 });
    const read = await keys.create({ name: 'c', scopes: ['read'] });
    for (const { secret } of [edge, short, read]) await keys.verify(secret);
    store.lookupGate = Promise.reject(new Error('away'));
    store.lookupGate.catch(() => undefined);
    clock.advance(30_000);
    expect(await keys.verify(edge.secret)).not.toBeNull();
    expect(await keys.verify(short.secret)).toBeNull();
    await expect(keys.verify(read.secret)).rejects.toThrow('away');
    clock.advance(569_999);
    expect(await keys.verify(edge.secret)).not.toBeNull();
    clock.advance(1);
    await expect(keys.verify(edge.secret)).rejects.toThrow('away');
  });

  it('refuses a revoked edge key within 10 s while the database answers', async () => {
    const { key, secret } = await keys.create({ name: 'a', scopes: ['edge'] });
    const elsewhere = newService();
    await elsewhere.verify(secret);
    await keys.revoke(key.id);
    clock.advance(10_000);
    expect(elsewhere.verifyKnown(secret)).toBeUndefined();
    expect(await elsewhere.verify(secret)).toBeNull();
  });

  it('refuses a key from the instant it expires, cached or not', async () => {
    const { secret } = await keys.create({ name: 'a', scopes: ['read'], expiresAt: NOW + 5_000 });
    clock.advance(4_999);
    expect(await keys.verify(secret)).not.toBeNull();
    clock.advance(1);
    expect(await keys.verify(secret)).toBeNull();
    expect(store.lookups).toBe(1);
  });

  it('refuses a revoked key at once where it was revoked and within 10 s elsewhere', async () => {
    const { key, secret } = await keys.create({ name: 'a', scopes: ['read'] });
    const elsewhere = newService();
    expect(await keys.verify(secret)).not.toBeNull();
    expect(await elsewhere.verify(secret)).not.toBeNull();
    await keys.revoke(key.id);
    expect(await keys.verify(secret)).toBeNull();
    expect(await elsewhere.verify(secret)).not.toBeNull();
    clock.advance(10_000);
    expect(await elsewhere.verify(secret)).toBeNull();
    await expect(keys.revoke(key.id)).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  it('writes when a key was last used once a minute', async () => {
    const { key, secret } = await keys.create({ name: 'a', scopes: ['read'] });
    await keys.verify(secret);
    clock.advance(30_000);
    await keys.verify(secret);
    await keys.drain();
    clock.advance(30_000);
    await keys.verify(secret);
    expect(store.lastUsed).toEqual([
      [key.id, NOW],
      [key.id, NOW + 60_000],
    ]);
    await keys.drain();
    expect((await keys.list()).find(({ id }) => id === key.id)).toMatchObject({ lastUsedAt: NOW + 60_000 });
  });

  it('does not write it again because the row does not show it yet', async () => {
    const { secret } = await keys.create({ name: 'a', scopes: ['read'] });
    let open: () => void = () => undefined;
    store.gate = new Promise((resolve) => (open = resolve));
    await keys.verify(secret);
    clock.advance(30_000);
    await keys.verify(secret);
    expect(store.lookups).toBe(2);
    expect(store.lastUsed).toHaveLength(1);
    open();
  });

  it('gives an edge key a signing secret of its own, which it can tell again and the database does not hold', async () => {
    const first = await keys.create({
      name: 'a',
      scopes: ['edge'],
      origins: ['https://shop.example'],
      ratePerSecond: 50,
    });
    const second = await keys.create({ name: 'b', scopes: ['edge'] });
    expect(first.signingSecret).toMatch(/^weft_s_[0-9A-Za-z]{43}$/);
    expect(second.signingSecret).not.toBe(first.signingSecret);
    expect(await newService().signingSecret(first.key.id)).toBe(first.signingSecret);
    expect(await keys.verify(first.secret)).toMatchObject({ origins: ['https://shop.example'], ratePerSecond: 50 });
    const dump = JSON.stringify(await test.database.query<object>('SELECT * FROM api_keys'));
    expect(dump).not.toContain(first.signingSecret?.slice(8));
    const { key: reader, signingSecret } = await keys.create({ name: 'c', scopes: ['read'] });
    expect(signingSecret).toBeNull();
    await expect(keys.signingSecret(reader.id)).rejects.toMatchObject({ code: 'BAD_REQUEST' });
    await keys.revoke(first.key.id);
    await expect(keys.signingSecret(first.key.id)).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  it.each([
    ['scopes', { scopes: ['edge', 'read'] }],
    ['origins', { scopes: ['read'], origins: ['https://shop.example'] }],
    ['origins[1]', { scopes: ['edge'], origins: ['*', 'https://shop.example/page'] }],
    ['origins', { scopes: ['edge'], origins: Array.from({ length: 51 }, (_, i) => `https://s${String(i)}.example`) }],
    ['ratePerSecond', { scopes: ['read'], ratePerSecond: 0.5 }],
    ['expiresAt', { scopes: ['read'], expiresAt: NOW }],
  ] as const)('refuses to make a key whose %s are wrong', async (where, input) => {
    await expect(keys.create({ name: 'a', ...input })).rejects.toMatchObject({ code: 'BAD_REQUEST', where });
  });

  it('rotates a key: the new one has its rights and lifetime, the old one ends after the overlap', async () => {
    const old = await keys.create({
      name: 'pages',
      scopes: ['edge'],
      origins: ['https://shop.example'],
      ratePerSecond: 50,
      expiresAt: NOW + 30 * DAY_MS,
    });
    clock.advance(10 * DAY_MS);
    const { key, secret, signingSecret } = await keys.rotate(old.key.id, DAY_MS);
    expect(key).toEqual({
      ...old.key,
      id: key.id,
      prefix: key.prefix,
      rotatedFrom: old.key.id,
      createdAt: clock.now(),
      expiresAt: clock.now() + 30 * DAY_MS,
    });
    expect(signingSecret).not.toBe(old.signingSecret);
    expect(await keys.verify(secret)).toMatchObject({ rotatedFrom: old.key.id });
    clock.advance(DAY_MS - 1);
    expect(await keys.verify(old.secret)).not.toBeNull();
    clock.advance(1);
    expect(await keys.verify(old.secret)).toBeNull();
    expect(await keys.verify(secret)).not.toBeNull();
  });

  it('never lengthens the life of a key by rotating it', async () => {
    const { key } = await keys.create({ name: 'a', scopes: ['read'], expiresAt: NOW + 1_000 });
    await keys.rotate(key.id, DAY_MS);
    expect((await keys.list()).find(({ id }) => id === key.id)?.expiresAt).toBe(NOW + 1_000);
  });

  it('rotates a key once, however many ask at once, and not one that has ended', async () => {
    const { key } = await keys.create({ name: 'a', scopes: ['read'] });
    const attempts = await Promise.allSettled(Array.from({ length: 5 }, () => newService().rotate(key.id, DAY_MS)));
    expect(attempts.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    for (const attempt of attempts) {
      if (attempt.status === 'rejected') expect(attempt.reason).toMatchObject({ code: 'CONFLICT' });
    }
    clock.advance(DAY_MS);
    await expect(keys.rotate(key.id, DAY_MS)).rejects.toMatchObject({ code: 'NOT_FOUND' });
    const { key: other } = await keys.create({ name: 'b', scopes: ['read'] });
    await expect(keys.rotate(other.id, 91 * DAY_MS)).rejects.toMatchObject({ code: 'BAD_REQUEST', where: 'overlap' });
  });

  it('asks the database alike for a key that is unknown, that has expired and that was revoked', async () => {
    const expired = await keys.create({ name: 'a', scopes: ['read'], expiresAt: NOW + 1 });
    const revoked = await keys.create({ name: 'b', scopes: ['read'] });
    await keys.revoke(revoked.key.id);
    clock.advance(1);
    for (const secret of [`weft_r_${'1'.repeat(43)}`, expired.secret, revoked.secret]) {
      const before = store.lookups;
      expect(keys.verifyKnown(secret)).toBeUndefined();
      expect(await keys.verify(secret)).toBeNull();
      expect(await keys.verify(secret)).toBeNull();
      expect(keys.verifyKnown(secret)).toBeNull();
      expect(store.lookups - before).toBe(1);
    }
    expect(store.lastUsed).toEqual([]);
  });

  it('wants a name, a scope, and a source for keys that send events', async () => {
    const refused = { code: 'BAD_REQUEST' };
    await expect(keys.create({ name: '', scopes: ['read'] })).rejects.toMatchObject({ ...refused, where: 'name' });
    await expect(keys.create({ name: 'a', scopes: [] })).rejects.toMatchObject({ ...refused, where: 'scopes' });
    await expect(keys.create({ name: 'a', scopes: ['ingest'] })).rejects.toMatchObject({
      ...refused,
      where: 'sourceId',
    });
  });
});
