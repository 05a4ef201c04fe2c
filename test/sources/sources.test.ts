import { afterAll, beforeAll, describe, expect, it } from 'vitest';
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

function newService(): SourceService {
  return new SourceService(new SourceStore(test.database.dataSource), { now: () => NOW });
}

describe('SourceService', () => {
  it('creates a source and finds it by key and id, in another process too', async () => {
    const sources = newService();
    const created = await sources.create({ key: 'web_shop', kind: 'http', config: { site: 'a', tags: ['b'] } });
    expect(created).toMatchObject({ key: 'web_shop', name: 'web_shop', kind: 'http', createdAt: NOW });
    for (const service of [sources, newService()]) {
      expect(await service.findByKey('web_shop')).toEqual(created);
      expect(await service.findById(created.id)).toEqual(created);
    }
    expect(await sources.list()).toEqual([created]);
    expect(await sources.findByKey('nobody')).toBeNull();
    expect(await sources.findById(32_000)).toBeNull();
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
