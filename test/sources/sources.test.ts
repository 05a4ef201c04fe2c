import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ManualClock } from '../../src/platform/clock.js';
import { SourceEntity } from '../../src/sources/source.entity.js';
import { SourceService } from '../../src/sources/source.service.js';
import { SourceStore } from '../../src/sources/source.store.js';
import { createTestDatabase } from '../support/database.js';
import type { TestDatabase } from '../support/database.js';

const NOW = Date.UTC(2026, 0, 31, 12);

let test: TestDatabase;

beforeAll(async () => {
  test = await createTestDatabase({ entities: [SourceEntity] });
});

afterAll(() => test.drop());

function newStore(): SourceStore {
  return new SourceStore(test.database.dataSource);
}

function newService(): SourceService {
  return new SourceService(newStore(), { now: () => NOW });
}

describe('SourceService', () => {
  it('creates a source and finds it by key and id, in another process too', async () => {
    const sources = newService();
    const created = await sources.create({ key: 'web_shop', kind: 'http', config: { site: 'a', tags: ['b'] } });
    expect(created).toMatchObject({ key: 'web_shop', name: 'web_shop', kind: 'http', createdAt: NOW });
    expect(created).toMatchObject({ authenticated: false, region: null });
    for (const service of [sources, newService()]) {
      expect(await service.findByKey('web_shop')).toEqual(created);
      expect(await service.findById(created.id)).toEqual(created);
    }
    expect(await sources.list()).toEqual([created]);
    expect(await sources.findByKey('nobody')).toBeNull();
    expect(await sources.findById(32_000)).toBeNull();
  });

  it('shows a change at once where it was made and within 10 s elsewhere', async () => {
    const clock = new ManualClock(NOW);
    const [here, there] = [new SourceService(newStore(), clock), new SourceService(newStore(), clock)];
    const { id } = await here.create({ key: 'paused_once', kind: 'http' });
    expect(await there.findById(id)).toMatchObject({ paused: false, maxEventsPerSecond: null });
    const changed = await here.update('paused_once', { paused: true, maxEventsPerSecond: 50 });
    expect(changed).toMatchObject({ id, name: 'paused_once', paused: true, maxEventsPerSecond: 50 });
    expect(await here.findById(id)).toEqual(changed);
    clock.advance(9_999);
    expect(await there.findById(id)).toMatchObject({ paused: false });
    clock.advance(1);
    expect(await there.findById(id)).toEqual(changed);
    expect(await there.update('paused_once', { name: 'Once', maxEventsPerSecond: null })).toEqual({
      ...changed,
      name: 'Once',
      maxEventsPerSecond: null,
    });
    await there.update('paused_once', {});
    clock.advance(10_000);
    expect(await here.findByKey('paused_once')).toMatchObject({ name: 'Once', paused: true });
  });

  it('refuses changes that cannot be, and changes of nobody', async () => {
    const sources = newService();
    await sources.create({ key: 'kept', kind: 'http', maxEventsPerSecond: 7 });
    await expect(sources.update('kept', { name: '' })).rejects.toMatchObject({ code: 'BAD_REQUEST', where: 'name' });
    for (const maxEventsPerSecond of [0, 1.5, 1_000_001]) {
      const refused = { code: 'BAD_REQUEST', where: 'maxEventsPerSecond' };
      await expect(sources.update('kept', { maxEventsPerSecond })).rejects.toMatchObject(refused);
    }
    await expect(sources.update('nobody', { paused: true })).rejects.toMatchObject({ code: 'NOT_FOUND' });
    expect(await sources.findByKey('kept')).toMatchObject({ name: 'kept', maxEventsPerSecond: 7 });
  });

  it('refuses a taken key and a malformed one', async () => {
    const sources = newService();
    await sources.create({ key: 'taken', kind: 'batch' });
    await expect(newService().create({ key: 'taken', kind: 'batch' })).rejects.toMatchObject({ code: 'CONFLICT' });
    for (const key of ['', 'Web', '1a', 'a-b', 'a'.repeat(64)]) {
      await expect(sources.create({ key, kind: 'http' })).rejects.toMatchObject({ code: 'BAD_REQUEST', where: 'key' });
    }
  });

  it('ensures one source however many ask at once, but not of another kind', async () => {
    const services = Array.from({ length: 8 }, newService);
    const ensured = await Promise.all(services.map((service) => service.ensure({ key: 'orders', kind: 'batch' })));
    expect(new Set(ensured.map(({ id }) => id)).size).toBe(1);
    await expect(newService().ensure({ key: 'orders', kind: 'http' })).rejects.toMatchObject({ code: 'CONFLICT' });
  });
});
