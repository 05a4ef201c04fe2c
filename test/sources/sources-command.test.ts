import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { HOUR_MS, hourOf } from '../../src/sources/source-activity.model.js';
import { RetentionReader } from '../../src/events/retention.reader.js';
import { SourceActivityReader } from '../../src/sources/source-activity.reader.js';
import { SourceActivityStore } from '../../src/sources/source-activity.store.js';
import { SourceEntity } from '../../src/sources/source.entity.js';
import { SourceService } from '../../src/sources/source.service.js';
import { SourceStore } from '../../src/sources/source.store.js';
import { sourcesCommand, type KeyOfSource, type SourcesCommandServices } from '../../src/sources/sources.command.js';
import { runWith } from '../support/command-runner.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';

const NOW = Date.UTC(2026, 0, 31, 12);
const KEY: KeyOfSource = {
  prefix: 'weft_i_x7Kp',
  name: 'till',
  scopes: ['ingest'],
  expiresAt: null,
  revokedAt: null,
  lastUsedAt: NOW,
};

let test: TestDatabase;
let sources: SourceService;

beforeAll(async () => {
  test = await createTestDatabase({ entities: [SourceEntity] });
  sources = new SourceService(new SourceStore(test.database.dataSource), { now: () => NOW });
});
afterAll(() => test.drop());

const weftSources = (...args: string[]) =>
  runWith((io) => {
    const keysOf: SourcesCommandServices['keysOf'] = async (id) =>
      Promise.resolve((id === 1 ? [KEY] : []) satisfies KeyOfSource[]);
    const use = <T>(work: (services: SourcesCommandServices) => Promise<T>): Promise<T> =>
      work({
        sources,
        activity: new SourceActivityReader(test.database),
        retention: new RetentionReader(test.database),
        keysOf,
      });
    return sourcesCommand({ ...io, clock: { now: () => NOW }, withSources: use, withNewDatabase: use });
  }, args);

describe('weft sources', () => {
  it('makes a source, changes it, pauses it and resumes it', async () => {
    expect((await weftSources('list')).stdout).toContain('There are no sources yet');
    const made = await weftSources('create', 'web', '--name', 'Web shop', '--rate', '500');
    expect(made).toMatchObject({ code: 0, stderr: '' });
    expect(made.stdout).toMatch(/web {5}http {2}open {3}500\/s {2}no +2026-01-31 12:00 {2}Web shop/);
    expect((await weftSources('pause', 'web')).stdout).toContain('paused');
    expect((await weftSources('update', 'web', '--rate', 'none', '--json')).stdout).toBe(
      `${JSON.stringify(
        {
          key: 'web',
          name: 'Web shop',
          kind: 'http',
          paused: true,
          maxEventsPerSecond: null,
          authenticated: false,
          region: null,
          retentionStrict: false,
          enrichment: null,
          retention: null,
          createdAt: '2026-01-31T12:00:00.000Z',
        },
        null,
        2,
      )}\n`,
    );
    await weftSources('resume', 'web');
    expect((await weftSources('update', 'web', '--authenticated', '--region', 'GB')).stdout).toMatch(/yes {12}GB/);
    expect(await sources.findByKey('web')).toMatchObject({ authenticated: true, region: 'GB' });
    await weftSources('update', 'web', '--no-authenticated', '--region', 'none');
    expect(await sources.findByKey('web')).toMatchObject({ authenticated: false, region: null });
    const retained = await weftSources('update', 'web', '--retention', '400d', '--strict');
    expect(retained.stdout).toContain('kept for 400d, and what came of them goes with them');
    expect((await weftSources('show', 'web')).stdout).toContain('kept for 400d, and what came of them goes with them');
    await weftSources('update', 'web', '--retention', 'none', '--no-strict');
    expect((await weftSources('show', 'web')).stdout).not.toContain('kept for');
    expect((await weftSources('update', 'web', '--retention', '400 days')).code).not.toBe(0);
    expect(await sources.findByKey('web')).toMatchObject({ name: 'Web shop', paused: false, maxEventsPerSecond: null });
  });

  it('shows a source with its keys', async () => {
    expect((await weftSources('show', 'web')).stdout).toMatch(/weft_i_x7Kp {2}ingest .* 2026-01-31 12:00 {2}till/);
    expect(JSON.parse((await weftSources('show', 'web', '--json')).stdout)).toMatchObject({
      key: 'web',
      keys: [{ prefix: 'weft_i_x7Kp', lastUsedAt: '2026-01-31T12:00:00.000Z' }],
    });
    await weftSources('create', 'crm', '--kind', 'batch');
    expect((await weftSources('show', 'crm')).stdout).toContain('weft keys create --scope ingest --source crm');
    expect(JSON.parse((await weftSources('list', '--json')).stdout)).toMatchObject([{ key: 'web' }, { key: 'crm' }]);
  });

  it('says when anything came in last, and how much of it was refused within a day', async () => {
    const { id } = (await sources.findByKey('web')) ?? { id: 0 };
    const hour = hourOf(NOW);
    const counts = { duplicates: 1, flagged: 0, loaded: 0 };
    await new SourceActivityStore(test.database).add([
      { sourceId: id, hour, event: 'Order', lastSeenAt: NOW - 60_000, accepted: 6, refused: 1, ...counts },
      { sourceId: id, hour: hour - 24 * HOUR_MS, event: 'Order', lastSeenAt: 0, accepted: 0, refused: 90, ...counts },
    ]);
    const web = { key: 'web', lastSeenAt: '2026-01-31T11:59:00.000Z', errorRate: 0.125 };
    const crm = { key: 'crm', lastSeenAt: null, errorRate: null };
    expect(JSON.parse((await weftSources('list', '--json')).stdout)).toMatchObject([web, crm]);
    expect(JSON.parse((await weftSources('show', 'web', '--json')).stdout)).toMatchObject(web);
    const listed = (await weftSources('list')).stdout;
    expect(listed).toMatch(/made +last seen +refused \(24h\) +name/);
    expect(listed).toMatch(/web .* 2026-01-31 11:59 {2}12\.5 % +Web shop/);
    expect(listed).toMatch(/crm .* never/);
    expect((await weftSources('show', 'web')).stdout).toContain('12.5 %');
  });

  it('says what was meant where there is no such source', async () => {
    const wrong = await weftSources('pause', 'wbe');
    expect(wrong).toMatchObject({ code: 1, stdout: '' });
    expect(wrong.stderr).toContain('did you mean web?');
  });

  it('ends with 2 for what cannot be', async () => {
    expect((await weftSources('create', 'Web')).stderr).toContain('lower-case letters');
    expect(await weftSources('create', 'Web')).toMatchObject({ code: 2 });
    expect(await weftSources('update', 'web')).toMatchObject({ code: 2 });
    expect((await weftSources('update', 'web', '--rate', '0')).stderr).toContain('whole number from 1');
    expect((await weftSources('update', 'web', '--region', 'gb')).stderr).toContain('two upper-case letters');
    expect((await weftSources('create', 'x', '--kind', 'y')).stderr).toContain('http, batch');
    expect(await weftSources('create', 'web')).toMatchObject({ code: 1 });
  });

  it('shows an example in its help', async () => {
    expect((await weftSources('--help')).stdout).toContain('weft sources pause web');
  });
});
