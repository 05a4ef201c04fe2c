import { afterAll, beforeEach, beforeAll, describe, expect, it } from 'vitest';
import { placeText, type AuditActor, type AuditEvent } from '../../src/audit/audit-entry.model.js';
import { AuditLogReader } from '../../src/audit/audit-log.reader.js';
import { AuditLogStore } from '../../src/audit/audit-log.store.js';
import { AuditRecorder } from '../../src/audit/audit-recorder.js';
import { verifyAuditLog } from '../../src/audit/verify-audit-log.js';
import { ManualClock } from '../../src/platform/clock.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';

const KEY = Buffer.alloc(32, 7);
const ADMIN: AuditActor = { kind: 'key', id: 'k1', name: 'admin' };
const anEvent = (operation: string, more: Partial<AuditEvent> = {}): AuditEvent => ({
  ...{ kind: 'change', actor: ADMIN, operation, fields: [], targets: [], count: 1, outcome: 'OK' },
  ...more,
});

let test: TestDatabase;
const clock = new ManualClock(1_700_000_000_000);
let store: AuditLogStore;
let reader: AuditLogReader;

beforeAll(async () => {
  test = await createTestDatabase();
  store = new AuditLogStore(test.database, clock, KEY);
  reader = new AuditLogReader(test.database);
});

/** As only somebody can who may do anything to the database. */
const tamper = async (statement: string): Promise<void> => {
  await test.database.query('ALTER TABLE audit_log DISABLE TRIGGER ALL');
  await test.database.query(statement);
  await test.database.query('ALTER TABLE audit_log ENABLE TRIGGER ALL');
};

beforeEach(async () => {
  await tamper('TRUNCATE audit_log');
  await test.database.query(`UPDATE audit_log_head SET seq = 0, at = 0, hash = decode(repeat('00', 32), 'hex')`);
});

afterAll(() => test.drop());

describe('the audit log', () => {
  it('is one chain without gaps, whoever appends at the same time', async () => {
    const other = new AuditLogStore(test.database, clock, KEY);
    await Promise.all(
      Array.from({ length: 10 }, (_, i) =>
        (i % 2 === 0 ? store : other).append([anEvent(`one ${String(i)}`), anEvent(`two ${String(i)}`)]),
      ),
    );
    expect(await verifyAuditLog(reader, KEY)).toMatchObject({ verified: 20, unkeyed: 0, first: 1, problem: null });
  });

  it.each(['UPDATE audit_log SET count = 2', 'DELETE FROM audit_log', 'TRUNCATE audit_log'])(
    'refuses %s',
    async (statement) => {
      await store.append([anEvent('a')]);
      await expect(test.database.query(statement)).rejects.toThrow('privilege');
      expect(await reader.page({}, null, 10)).toHaveLength(1);
    },
  );

  it.each([
    ["UPDATE audit_log SET actor_name = 'nobody' WHERE seq = 2", 'entry 2 is not as it was written'],
    ["UPDATE audit_log SET targets = '{}' WHERE seq = 3", 'entry 3 is not as it was written'],
    ['DELETE FROM audit_log WHERE seq = 2', 'entries 2 to 2 are missing'],
    ['DELETE FROM audit_log WHERE seq = 1', 'entries 1 to 1 are missing'],
    ['DELETE FROM audit_log WHERE seq = 4', 'entries at the end are missing'],
    ['UPDATE audit_log SET keyed = false WHERE seq = 3', 'entry 3 was written without the secret'],
    ['UPDATE audit_log SET seq = -seq; UPDATE audit_log SET seq = seq + 5', 'entry 1 is not as it was written'],
  ])('shows that somebody did: %s', async (statement, problem) => {
    await store.append(['a', 'b', 'c', 'd'].map((name) => anEvent(name, { targets: [name] })));
    await tamper(statement);
    expect((await verifyAuditLog(reader, KEY)).problem).toContain(problem);
  });

  it('that was made up anew, head and all, needs the secret, or differs from the place that was noted', async () => {
    await store.append([anEvent('a'), anEvent('b')]);
    const { head } = await verifyAuditLog(reader, KEY);
    await tamper('TRUNCATE audit_log');
    await test.database.query(`UPDATE audit_log_head SET seq = 0, at = 0, hash = decode(repeat('00', 32), 'hex')`);
    await new AuditLogStore(test.database, clock, Buffer.alloc(32, 8)).append([anEvent('a')]);
    expect((await verifyAuditLog(reader, KEY)).problem).toContain('entry 1 is not as it was written');
    await tamper('TRUNCATE audit_log');
    await test.database.query(`UPDATE audit_log_head SET seq = 0, at = 0, hash = decode(repeat('00', 32), 'hex')`);
    await new AuditLogStore(test.database, clock, null).append([anEvent('a')]);
    expect(await verifyAuditLog(reader, KEY)).toMatchObject({ problem: null, unkeyed: 1 });
    expect((await verifyAuditLog(reader, KEY, { noted: head ?? '' })).problem).toContain(
      '2, which was noted, is missing',
    );
    await store.append([anEvent('c')]);
    expect((await verifyAuditLog(reader, KEY, { noted: head ?? '' })).problem).toContain('not the one that was noted');
  });

  it('loses what is older than its retention, from the beginning, and can be checked from there', async () => {
    await store.append([anEvent('old'), anEvent('old, too')]);
    const noted = placeText((await reader.page({}, null, 1))[0] ?? { seq: 0, hash: KEY });
    clock.advance(1_000);
    await store.append([anEvent('new')]);
    expect(await store.expire(clock.now())).toBe(2);
    expect(await store.expire(clock.now())).toBe(0);
    const [last, ...others] = await reader.page({}, null, 10);
    expect(last).toMatchObject({ operation: 'audit log expiry', count: 2, actor: { kind: 'weft' } });
    expect(others.map(({ operation }) => operation)).toEqual(['new']);
    expect(await verifyAuditLog(reader, KEY, { noted })).toMatchObject({ problem: null, first: 3, verified: 2 });
    await tamper('DELETE FROM audit_log WHERE seq = 3');
    expect((await verifyAuditLog(reader, KEY)).problem).toContain('entries 3 to 3 are missing');
  });

  it('is asked by actor, kind, operation, target and time, the newest first', async () => {
    const other = { kind: 'user', id: 'root', name: 'root' } as const;
    await store.append([anEvent('a', { targets: ['p1', 'p2'] }), anEvent('b', { actor: other })]);
    clock.advance(60_000);
    await store.append([anEvent('a', { kind: 'access', targets: ['p2'] })]);
    const asked = async (filter: Parameters<AuditLogReader['page']>[0], before: number | null = null) =>
      (await reader.page(filter, before, 10)).map(({ seq }) => seq);
    expect(await asked({})).toEqual([3, 2, 1]);
    expect(await asked({}, 3)).toEqual([2, 1]);
    expect(await asked({ target: 'p2' })).toEqual([3, 1]);
    expect(await asked({ actor: 'root' })).toEqual([2]);
    expect(await asked({ kind: 'access', operation: 'a' })).toEqual([3]);
    expect(await asked({ sinceMs: clock.now() })).toEqual([3]);
    expect(await asked({ untilMs: clock.now() })).toEqual([2, 1]);
  });
});

describe('the recorder of the audit log', () => {
  const aRecorder = (append: AuditLogStore['append'], lost: number[] = []): AuditRecorder =>
    new AuditRecorder({
      store: { append },
      clock,
      onError: () => undefined,
      onLost: (events) => lost.push(events),
    });
  const access = { actor: ADMIN, operation: 'Query.profile', fields: ['Profile.traits'], outcome: 'OK' };

  it('gathers alike accesses, at most 100 profiles in an entry', async () => {
    const written: AuditEvent[] = [];
    const recorder = aRecorder((events) => Promise.resolve(void written.push(...events)));
    let gathered = null;
    for (let i = 0; i < 150; i++) gathered = recorder.seen(access, `p${String(i)}`, gathered);
    recorder.seen(access, 'p149');
    recorder.seen({ ...access, outcome: 'MASKED' }, 'p1');
    await recorder.writes.flush();
    expect(written.map(({ count, targets, outcome }) => [count, targets.length, outcome])).toEqual([
      [100, 100, 'OK'],
      [51, 50, 'OK'],
      [1, 1, 'MASKED'],
    ]);
    recorder.seen(access, 'p1', gathered);
    await recorder.writes.flush();
    expect(written.at(-1)).toMatchObject({ count: 1, targets: ['p1'] });
  });

  it('counts page views by key and minute', async () => {
    const written: AuditEvent[] = [];
    const recorder = aRecorder((events) => Promise.resolve(void written.push(...events)));
    const view = (id: string): void => {
      recorder.viewed('Query.edgeProfile', id, () => ({ kind: 'key', id, name: id }));
    };
    for (let i = 0; i < 1_000; i++) view('e1');
    view('e2');
    await recorder.writes.flush();
    expect(written).toEqual([]);
    clock.advance(60_000);
    view('e1');
    await recorder.writes.flush();
    expect(written.map(({ actor, count }) => [actor.id, count])).toEqual([
      ['e1', 1_001],
      ['e2', 1],
    ]);
    view('e1');
    await recorder.stop();
    expect(written).toHaveLength(3);
  });

  it('keeps what cannot be written, within a bound, and says in the log how much it gave up', async () => {
    let isDown = true;
    const written: AuditEvent[] = [];
    const lost: number[] = [];
    const recorder = aRecorder((events) => {
      if (isDown) return Promise.reject(new Error('down'));
      return Promise.resolve(void written.push(...events));
    }, lost);
    for (let i = 0; i < 5_002; i++) await recorder.change(anEvent(`c${String(i)}`));
    await recorder.writes.flush();
    isDown = false;
    await recorder.writes.flush();
    expect(lost.reduce((sum, events) => sum + events, 0)).toBeGreaterThanOrEqual(2);
    expect(written.filter(({ kind }) => kind === 'change')).toHaveLength(5_000);
    expect(written.at(-1)).toMatchObject({ operation: 'audit entries lost', actor: { id: 'weft' } });
  });
});
