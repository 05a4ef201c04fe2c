import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';

import { checkSchedules } from '../../src/monitoring/check-schedules.js';
import { ManualClock } from '../../src/platform/clock.js';
import { WeftError } from '../../src/platform/errors.js';
import type { Database } from '../../src/platform/postgres.js';
import {
  SCHEDULE_LIMITS,
  type JobKind,
  type JobProgress,
  type JobResult,
  type JobRun,
  type ScheduleRun,
} from '../../src/schedules/schedule.model.js';
import { ScheduleReader } from '../../src/schedules/schedule.reader.js';
import { ScheduleRunner } from '../../src/schedules/schedule-runner.js';
import { ScheduleService } from '../../src/schedules/schedule.service.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
/** On the hour. */
const START = Date.UTC(2026, 0, 1, 12);

let test: TestDatabase;
let db: Database;
let clock: ManualClock;
let runners: ScheduleRunner[];
let missed: number;

/** A job that ends when and how the test says. */
class Job implements JobKind {
  readonly kind = 'test';
  begun = 0;
  isElsewhere = false;
  /** How the next attempts end; beyond them: done. `held`: not before it is told to. */
  ends: (JobResult | Error | 'held')[] = [];
  stops: unknown[] = [];
  /** The runs that attempts were of. */
  asked: string[] = [];
  tells: JobProgress | null = null;
  /** Runs that were withdrawn. */
  withdrawn: string[] = [];

  withdraw(runId: string): Promise<void> {
    this.withdrawn.push(runId);
    return Promise.resolve();
  }

  describe(): string {
    return 'do as the test says';
  }

  run(_: unknown, { id, signal, report }: JobRun): Promise<JobResult> {
    this.begun++;
    this.asked.push(id);
    if (this.tells !== null) report(this.tells);
    const end = this.ends.shift() ?? { isDone: true, note: 'all done', result: { rows: 1 } };
    if (end instanceof Error) return Promise.reject(end);
    if (end !== 'held') return Promise.resolve(end);
    return new Promise((_resolve, reject) => {
      signal.addEventListener('abort', () => {
        this.stops.push(signal.reason);
        reject(new WeftError('UNAVAILABLE', 'aborted'));
      });
    });
  }
}

let job: Job;

beforeAll(async () => {
  test = await createTestDatabase();
  db = test.database;
});
afterAll(() => test.drop());

beforeEach(async () => {
  await db.execute('DELETE FROM schedules');
  clock = new ManualClock(START);
  job = new Job();
  runners = [];
  missed = 0;
});
afterEach(async () => {
  for (const each of runners) await each.stop();
});

function runner(kinds: readonly JobKind[] = [job], database = db): ScheduleRunner {
  const made = new ScheduleRunner({
    db: database,
    clock,
    kinds,
    observer: {
      ended: () => undefined,
      missed: (_, count) => {
        missed += count;
      },
      defect: () => undefined,
    },
    onError: (error) => {
      throw error;
    },
  });
  runners.push(made);
  return made;
}

const service = (): ScheduleService => new ScheduleService({ db, clock, kinds: [job] });

async function hourly(more: { maxAttempts?: number; timeoutMs?: number } = {}): Promise<void> {
  const bounds = { maxAttempts: 3, timeoutMs: 6 * HOUR_MS, ...more };
  await service().add({ key: 'hourly', kind: 'test', job: {}, cron: '0 * * * *', zone: 'UTC', ...bounds });
}

/** Looks until nothing is under way. */
async function look(each: ScheduleRunner): Promise<void> {
  await each.look();
  await each.settled();
}

const runs = (): Promise<ScheduleRun[]> => new ScheduleReader(db).runs('hourly', null, 500);

async function refusal(work: Promise<unknown>): Promise<string> {
  return work.then(
    () => 'nothing',
    (error: unknown) => (error instanceof WeftError ? `${error.code} ${error.hint ?? ''}` : 'a defect'),
  );
}

describe('a schedule', () => {
  it('runs at its times, once each, and keeps what came of it', async () => {
    await hourly();
    const one = runner();
    await look(one);
    expect(job.begun).toBe(0);
    for (let hour = 1; hour <= 3; hour++) {
      clock.set(START + hour * HOUR_MS);
      await look(one);
      await look(one);
      expect(job.begun).toBe(hour);
    }
    expect(await runs()).toMatchObject(
      [3, 2, 1].map((hour) => ({
        status: 'done',
        trigger: 'cron',
        dueAt: START + hour * HOUR_MS,
        missed: 0,
        attempts: 1,
        note: 'all done',
        result: { rows: 1 },
      })),
    );
  });

  it('makes up once for the times that nobody was there for, and says how many', async () => {
    await hourly();
    clock.set(START + 5 * HOUR_MS + 20 * MINUTE_MS);
    await look(runner());
    expect(await runs()).toMatchObject([{ dueAt: START + 5 * HOUR_MS, missed: 4, status: 'done' }]);
    expect(missed).toBe(4);
    expect(await new ScheduleReader(db).find('hourly')).toMatchObject({ nextDueAt: START + 6 * HOUR_MS });
  });

  it('never runs twice at a time: times that come meanwhile are counted, and who asks for a run is refused', async () => {
    await hourly();
    job.ends = ['held'];
    const one = runner();
    clock.set(START + HOUR_MS);
    await one.look();
    clock.set(START + 2 * HOUR_MS);
    await one.look();
    clock.set(START + 4 * HOUR_MS);
    await one.look();
    expect(job.begun).toBe(1);
    expect(await runs()).toMatchObject([{ status: 'running', overlapped: 3 }]);
    expect(await refusal(service().run('hourly'))).toContain('CONFLICT');
  });

  it('tries again what failed, later each time, and gives up after as many attempts as it may', async () => {
    await hourly({ maxAttempts: 3 });
    job.ends = [new WeftError('UNAVAILABLE', 'the other database sleeps'), new Error('a defect'), new Error('again')];
    const one = runner();
    clock.set(START + HOUR_MS);
    await look(one);
    expect(await runs()).toMatchObject([
      { status: 'waiting', errorCode: 'UNAVAILABLE', errorMessage: 'the other database sleeps', finishedAt: null },
    ]);
    clock.advance(MINUTE_MS - 1);
    await look(one);
    expect(job.begun).toBe(1);
    clock.advance(1);
    await look(one);
    expect(job.begun).toBe(2);
    clock.advance(2 * MINUTE_MS - 1);
    await look(one);
    expect(job.begun).toBe(2);
    clock.advance(1);
    await look(one);
    expect(await runs()).toMatchObject([{ status: 'failed', attempts: 3, errorCode: 'INTERNAL' }]);
    expect(JSON.stringify(await runs())).not.toContain('again');
  });

  it('does not try again what would fail again, nor what came to nothing', async () => {
    await hourly();
    job.ends = [
      new WeftError('DEFINITION_INVALID', 'the query has no such column', { where: 'from.cursor' }),
      { isDone: false, note: 'too many rows are refused', result: {} },
    ];
    const one = runner();
    for (const hour of [1, 2]) {
      clock.set(START + hour * HOUR_MS);
      await look(one);
    }
    expect(await runs()).toMatchObject([
      { status: 'failed', attempts: 1, note: 'too many rows are refused', errorCode: null },
      { status: 'failed', attempts: 1, errorMessage: 'the query has no such column; at from.cursor' },
    ]);
  });

  it('is told of by the doctor while its runs fail or what is due is not begun, unless it is paused', async () => {
    const told = async () => checkSchedules(db, clock.now());
    expect(await told()).toMatchObject({ outcome: 'ok', detail: 'none' });
    await hourly();
    expect(await told()).toMatchObject({ outcome: 'ok', detail: '1, none late or failing' });
    const one = runner();
    const at = async (hour: number): Promise<void> => {
      clock.set(START + hour * HOUR_MS);
      await look(one);
    };
    await at(1);
    job.ends = [
      new WeftError('DEFINITION_INVALID', 'the query has no such column'),
      { isDone: false, note: 'too many rows are refused', result: {} },
    ];
    await at(2);
    expect(await told()).toMatchObject({
      outcome: 'warning',
      detail: 'hourly: the last run failed (DEFINITION_INVALID)',
      hint: expect.stringContaining('weft schedule show') as unknown,
    });
    await at(3);
    expect((await told()).detail).toBe('hourly: the last 2 runs failed');
    await at(4);
    expect((await told()).outcome).toBe('ok');

    // Nobody looks any more.
    clock.set(START + 5 * HOUR_MS + 5 * MINUTE_MS);
    expect((await told()).outcome).toBe('ok');
    clock.advance(1);
    expect(await told()).toMatchObject({
      detail: `hourly: due since ${new Date(START + 5 * HOUR_MS).toISOString()} and not begun`,
      hint: expect.stringContaining('weft worker') as unknown,
    });
    await service().pause('hourly');
    expect((await told()).outcome).toBe('ok');
    await service().resume('hourly');
    // An attempt that waits for its time is not late before that.
    job.ends = [new WeftError('UNAVAILABLE', 'away')];
    await at(6);
    expect((await runs())[0]).toMatchObject({ status: 'waiting' });
    clock.advance(MINUTE_MS);
    expect((await told()).outcome).toBe('ok');
    clock.advance(5 * MINUTE_MS + 1);
    expect((await told()).detail).toContain('not begun');
  });

  it('stops an attempt that takes too long, and counts it', async () => {
    await hourly({ timeoutMs: 10 * MINUTE_MS, maxAttempts: 2 });
    job.ends = ['held'];
    const one = runner();
    clock.set(START + HOUR_MS);
    await one.look();
    clock.advance(10 * MINUTE_MS + 1);
    await look(one);
    expect(job.stops).toEqual(['timeout']);
    expect(await runs()).toMatchObject([{ status: 'waiting', attempts: 1, errorCode: 'UNAVAILABLE' }]);
  });

  it('goes on in the next process where one was stopped, which counts as no attempt', async () => {
    await hourly({ maxAttempts: 1 });
    job.ends = ['held'];
    const one = runner();
    clock.set(START + HOUR_MS);
    await one.look();
    await one.stop();
    expect(await runs()).toMatchObject([{ status: 'waiting', attempts: 0 }]);
    await look(runner());
    expect(await runs()).toMatchObject([{ status: 'done', attempts: 1 }]);
  });

  it('counts an attempt whose process is gone, when another one takes its place', async () => {
    await hourly({ maxAttempts: 2 });
    job.ends = ['held', 'held'];
    // Of a pool of its own, whose connections end as those of a process that is killed.
    const gone = runner([job], await test.connect());
    clock.set(START + HOUR_MS);
    await gone.look();
    const other = runner();
    await other.look();
    expect(job.begun).toBe(1);
    await db.query(
      `SELECT pg_terminate_backend(l.pid, 10000) FROM pg_locks l JOIN pg_database d ON d.oid = l.database
       WHERE l.locktype = 'advisory' AND l.granted AND d.datname = current_database()`,
    );
    await gone.settled();
    expect(job.stops).toEqual(['lost']);
    await look(other);
    expect(await runs()).toMatchObject([{ status: 'waiting', attempts: 1, errorCode: 'UNAVAILABLE' }]);
    clock.advance(MINUTE_MS);
    await other.look();
    expect(job.begun).toBe(2);
  });

  it('is run by one process at a time, however many look', async () => {
    await hourly();
    const all = [runner(), runner([job], await test.connect()), runner([job], await test.connect())];
    for (let hour = 1; hour <= 4; hour++) {
      clock.set(START + hour * HOUR_MS);
      await Promise.all(all.map(look));
    }
    expect(job.begun).toBe(4);
  });

  it('runs when it is asked to, also while it is paused, when nothing comes due', async () => {
    await hourly();
    const one = runner();
    expect(await service().pause('hourly')).toMatchObject({ paused: true });
    clock.set(START + 3 * HOUR_MS);
    await look(one);
    expect(job.begun).toBe(0);
    await service().run('hourly');
    await look(one);
    expect(await runs()).toMatchObject([{ trigger: 'manual', status: 'done' }]);
    expect(await service().resume('hourly')).toMatchObject({ paused: false, nextDueAt: START + 4 * HOUR_MS });
    await look(one);
    expect(job.begun).toBe(1);
  });

  it('is stopped and forgotten when it is removed', async () => {
    await hourly();
    job.ends = ['held'];
    const one = runner();
    clock.set(START + HOUR_MS);
    await one.look();
    await service().remove('hourly');
    await look(one);
    expect(job.stops).toEqual(['removed']);
    expect(await runs()).toEqual([]);
  });

  it('tells how far its run is, and is asked for under one id in all attempts', async () => {
    await hourly({ maxAttempts: 2 });
    job.tells = { done: 3, total: 10 };
    job.ends = [new WeftError('UNAVAILABLE', 'away'), 'held'];
    const one = runner();
    clock.set(START + HOUR_MS);
    await look(one);
    clock.advance(MINUTE_MS);
    job.tells = { done: 7, total: null };
    await one.look();
    await one.look();
    expect(await runs()).toMatchObject([{ status: 'running', done: 7, total: null, id: job.asked[0] }]);
    expect(job.asked[1]).toBe(job.asked[0]);
  });

  it('is cancelled: what is under way is stopped, withdrawn and not tried again, and the next time comes', async () => {
    await hourly();
    job.ends = ['held'];
    const one = runner();
    expect(await refusal(service().cancel('hourly'))).toContain('CONFLICT');
    clock.set(START + HOUR_MS);
    await one.look();
    expect(await service().cancel('hourly')).toMatchObject({ status: 'cancelled', finishedAt: START + HOUR_MS });
    await look(one);
    expect(job.stops).toEqual(['removed']);
    expect(new Set(job.withdrawn)).toEqual(new Set(job.asked));
    expect(await runs()).toMatchObject([{ status: 'cancelled', attempts: 1, errorCode: null }]);
    await look(one);
    expect(job.begun).toBe(1);
    clock.set(START + 2 * HOUR_MS);
    await look(one);
    expect(await runs()).toMatchObject([{ status: 'done' }, { status: 'cancelled' }]);
  });

  it('is cancelled also while its run waits for another attempt', async () => {
    await hourly();
    job.ends = [new WeftError('UNAVAILABLE', 'away')];
    const one = runner();
    clock.set(START + HOUR_MS);
    await look(one);
    await service().cancel('hourly');
    clock.advance(5 * MINUTE_MS);
    await look(one);
    expect(job.begun).toBe(1);
    expect(job.withdrawn).toEqual(job.asked);
  });

  it('that is given up is withdrawn, and keeps only its latest runs even if none is ever done', async () => {
    await hourly({ maxAttempts: 1 });
    await db.execute(
      `INSERT INTO schedule_runs (id, schedule_key, trigger, status, due_at, missed, not_before)
       SELECT gen_random_uuid(), 'hourly', 'cron', 'failed', i, 0, i FROM generate_series(1, $1::int8) AS i`,
      [SCHEDULE_LIMITS.keptRuns + 20],
    );
    job.ends = [new WeftError('UNAVAILABLE', 'away')];
    clock.set(START + HOUR_MS);
    await look(runner());
    expect(job.withdrawn).toEqual(job.asked);
    expect(await new ScheduleReader(db).runs('hourly', null, 1_000)).toHaveLength(SCHEDULE_LIMITS.keptRuns);
  });

  it('whose work is done elsewhere holds up no other', async () => {
    await hourly();
    const others = ['a', 'b', 'c'];
    for (const key of others) {
      const bounds = { maxAttempts: 1, timeoutMs: HOUR_MS };
      await service().add({ key, kind: 'test', job: {}, cron: '0 * * * *', zone: 'UTC', ...bounds });
    }
    job.ends = ['held', 'held', 'held', 'held'];
    job.isElsewhere = true;
    clock.set(START + HOUR_MS);
    await runner().look();
    expect(job.begun).toBe(4);
  });

  it('of a kind that this release does not know fails, and says so', async () => {
    await hourly();
    clock.set(START + HOUR_MS);
    await look(runner([]));
    expect(await runs()).toMatchObject([{ status: 'failed', errorCode: 'NOT_FOUND' }]);
  });

  it('keeps its latest runs', async () => {
    await hourly();
    await db.execute(
      `INSERT INTO schedule_runs (id, schedule_key, trigger, status, due_at, missed, not_before)
       SELECT gen_random_uuid(), 'hourly', 'cron', 'done', i, 0, i FROM generate_series(1, $1::int8) AS i`,
      [SCHEDULE_LIMITS.keptRuns + 20],
    );
    clock.set(START + HOUR_MS);
    await look(runner());
    const kept = await new ScheduleReader(db).runs('hourly', null, 1_000);
    expect(kept).toHaveLength(SCHEDULE_LIMITS.keptRuns);
    expect(kept[0]).toMatchObject({ dueAt: START + HOUR_MS });
  });

  it.each([
    [{ key: 'No Key' }, 'BAD_REQUEST'],
    [{ cron: 'each day' }, 'BAD_REQUEST'],
    [{ maxAttempts: 11 }, 'BAD_REQUEST'],
    [{ timeoutMs: 8 * 24 * HOUR_MS }, 'BAD_REQUEST'],
    [{}, 'CONFLICT'],
  ])('is refused with what is wrong: %j', async (wrong, code) => {
    await hourly();
    const right = {
      key: 'hourly',
      kind: 'test',
      job: {},
      cron: '@daily',
      zone: 'UTC',
      maxAttempts: 1,
      timeoutMs: 1_000,
    };
    expect(await refusal(service().add({ ...right, ...wrong }))).toContain(code);
  });

  it('that there is not is told of with those that there are', async () => {
    await hourly();
    for (const work of ['run', 'pause', 'remove'] as const) {
      expect(await refusal(service()[work]('hourli'))).toBe('NOT_FOUND did you mean hourly?');
    }
  });
});
