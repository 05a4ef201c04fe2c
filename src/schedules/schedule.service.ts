import type { Clock } from '../platform/clock.js';
import { WeftError } from '../platform/errors.js';
import { newId, type Uuid } from '../platform/ids.js';
import { isKey, KEY_HINT } from '../platform/key.js';
import { nameHint } from '../platform/near-names.js';
import type { Queryable } from '../platform/postgres.js';
import { CronTimes } from './cron-times.js';
import { SCHEDULE_LIMITS, type JobKind, type NewSchedule, type Schedule, type ScheduleRun } from './schedule.model.js';
import { ScheduleReader, type ListedSchedule } from './schedule.reader.js';
import { ScheduleStore } from './schedule.store.js';

export interface ScheduleServiceDependencies {
  readonly db: Queryable;
  readonly clock: Clock;
  readonly kinds: readonly JobKind[];
  /** Called when a run was asked for. */
  readonly onRequested?: () => void;
}

/** Use cases of whoever keeps schedules. */
export class ScheduleService {
  readonly #store: ScheduleStore;
  readonly #reader: ScheduleReader;

  constructor(private readonly deps: ScheduleServiceDependencies) {
    this.#store = new ScheduleStore(deps.db);
    this.#reader = new ScheduleReader(deps.db);
  }

  /** One line: what it does. */
  describe({ kind, job }: Pick<Schedule, 'kind' | 'job'>): string {
    return this.deps.kinds.find((each) => each.kind === kind)?.describe(job) ?? kind;
  }

  /** @throws WeftError BAD_REQUEST, CONFLICT (key is taken, or there are too many), and what its kind finds wrong */
  async add(input: NewSchedule): Promise<ListedSchedule> {
    checkSchedule(input);
    const nowMs = this.deps.clock.now();
    const nextDueAt = new CronTimes(input.cron, input.zone).after(nowMs);
    if ((await this.#store.count()) >= SCHEDULE_LIMITS.maxSchedules) {
      throw new WeftError('CONFLICT', `there are ${String(SCHEDULE_LIMITS.maxSchedules)} schedules, which is all`, {
        hint: 'remove one: weft schedule remove',
      });
    }
    const job = (await this.deps.kinds.find(({ kind }) => kind === input.kind)?.prepare?.(input.job)) ?? input.job;
    const schedule = { ...input, job, cron: input.cron.trim(), paused: false, nextDueAt, createdAt: nowMs };
    if (await this.#store.insert(schedule)) return { ...schedule, lastRun: null };
    throw new WeftError('CONFLICT', `the schedule ${input.key} exists already`, {
      where: 'key',
      hint: 'choose another key, or remove that one first',
    });
  }

  /**
   * Asks for a run now, beside those of its times, also of a schedule that is paused.
   * @throws WeftError NOT_FOUND; CONFLICT while a run is not over
   */
  async run(key: string): Promise<ScheduleRun> {
    await this.demand(key);
    const nowMs = this.deps.clock.now();
    const id = newId(nowMs);
    const run = { id, scheduleKey: key, trigger: 'manual', dueAt: nowMs, missed: 0, notBefore: nowMs } as const;
    if (!(await this.#store.openRun(run, 0))) {
      throw new WeftError('CONFLICT', `a run of ${key} is not over`, {
        where: 'key',
        hint: `weft schedule show ${key} shows it; runs of one schedule never overlap`,
      });
    }
    this.deps.onRequested?.();
    const opened = await this.#reader.run(id);
    if (opened === null) throw noSuchSchedule(key);
    return opened;
  }

  /** Nothing comes due until it is resumed; a run that is under way goes on. @throws WeftError NOT_FOUND */
  async pause(key: string): Promise<ListedSchedule> {
    const schedule = await this.demand(key);
    await this.#store.setPaused(key, true, schedule.nextDueAt);
    return this.demand(key);
  }

  /** Due times that passed meanwhile are not made up for. @throws WeftError NOT_FOUND */
  async resume(key: string): Promise<ListedSchedule> {
    const { cron, zone, paused } = await this.demand(key);
    if (paused) await this.#store.setPaused(key, false, new CronTimes(cron, zone).after(this.deps.clock.now()));
    return this.demand(key);
  }

  /**
   * Ends the run that is not over: one under way is stopped within seconds, and not tried again. What it has done stays.
   * The run as it is then.
   * @throws WeftError NOT_FOUND; CONFLICT where no run is under way or waits
   */
  async cancel(key: string): Promise<ScheduleRun> {
    const schedule = await this.demand(key);
    const id = await this.#store.cancel(key, this.deps.clock.now());
    if (id === null) {
      throw new WeftError('CONFLICT', `no run of ${key} is under way`, {
        where: 'key',
        hint: `weft schedule show ${key} shows its runs; weft schedule pause ${key} keeps more from coming`,
      });
    }
    await this.#withdraw(schedule, id);
    const cancelled = await this.#reader.run(id);
    if (cancelled === null) throw noSuchSchedule(key);
    return cancelled;
  }

  /** With its history; a run that is under way is stopped. @throws WeftError NOT_FOUND */
  async remove(key: string): Promise<void> {
    const schedule = await this.demand(key);
    const id = await this.#store.cancel(key, this.deps.clock.now());
    await this.#store.remove(key);
    if (id !== null) await this.#withdraw(schedule, id);
  }

  /** Also where no process is at it that could do so. */
  async #withdraw({ kind }: Schedule, runId: Uuid): Promise<void> {
    await this.deps.kinds.find((each) => each.kind === kind)?.withdraw?.(runId);
    this.deps.onRequested?.();
  }

  /** @throws WeftError NOT_FOUND */
  async demand(key: string): Promise<ListedSchedule> {
    const found = await this.#reader.find(key);
    if (found !== null) return found;
    const known = (await this.#reader.page(null, SCHEDULE_LIMITS.maxSchedules)).map((each) => each.key);
    throw noSuchSchedule(key, nameHint(key, known, 'weft schedule list shows all of them'));
  }
}

function noSuchSchedule(key: string, hint?: string): WeftError {
  const told = hint === undefined ? {} : { hint };
  return new WeftError('NOT_FOUND', `there is no schedule ${key.slice(0, 100)}`, { where: 'key', ...told });
}

function checkSchedule({ key, maxAttempts, timeoutMs }: NewSchedule): void {
  const { maxAttempts: most, maxTimeoutMs } = SCHEDULE_LIMITS;
  if (!isKey(key))
    throw new WeftError('BAD_REQUEST', 'a schedule cannot be called so', { where: 'key', hint: KEY_HINT });
  if (!(Number.isInteger(maxAttempts) && maxAttempts >= 1 && maxAttempts <= most)) {
    throw new WeftError('BAD_REQUEST', `a run has 1 to ${String(most)} attempts`, {
      where: 'attempts',
      hint: 'write 1 for no other attempt',
    });
  }
  if (!(timeoutMs >= 1_000 && timeoutMs <= maxTimeoutMs)) {
    throw new WeftError('BAD_REQUEST', 'an attempt may take one second to seven days', {
      where: 'timeout',
      hint: 'write it as in 6h',
    });
  }
}
