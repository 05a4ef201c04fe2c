import { Arg, Authorized, Ctx, FieldResolver, Int, Mutation, Query, Resolver, Root } from 'type-graphql';
import { WeftError } from '../../platform/errors.js';
import { isKey } from '../../platform/key.js';
import { SCHEDULE_LIMITS, type ScheduleRun } from '../../schedules/schedule.model.js';
import { ScheduleReader, type ListedSchedule } from '../../schedules/schedule.reader.js';
import {
  RECOMPUTE_JOB,
  REFRESH_JOB,
  SNAPSHOT_JOB,
  type SegmentJobRequests,
} from '../../segments/segment-jobs.model.js';
import { LOAD_JOB, loadJobSettings } from '../../sources/load-job.js';
import { parseMapping } from '../../sources/parse-mapping.js';
import type { ApiContext } from './api-context.js';
import {
  AFTER,
  connection,
  DEFAULT_PAGE_SIZE,
  FIRST,
  pageSize,
  type Connection,
  type Edge,
} from './connection.types.js';
import { cursorId, SCHEDULE_CURSOR, SCHEDULE_RUN_CURSOR } from './cursors.js';
import { timeoutMsOf } from './duration-arguments.js';
import { resultUnion } from './failure.types.js';
import {
  LoadScheduleInput,
  RecomputeScheduleInput,
  RefreshScheduleInput,
  SnapshotScheduleInput,
  type TimedInput,
  ScheduleConnection,
  ScheduleRemoved,
  ScheduleRunConnection,
  ScheduleRunType,
  ScheduleType,
} from './schedule.types.js';

const Created = resultUnion<ListedSchedule>('CreateLoadScheduleResult', { type: ScheduleType, name: 'Schedule' }, [
  'BadRequest',
  'Conflict',
  'InvalidDefinition',
  'PayloadTooLarge',
]);
const MadeForSegments = resultUnion<ListedSchedule>(
  'CreateSegmentScheduleResult',
  { type: ScheduleType, name: 'Schedule' },
  ['BadRequest', 'NotFound', 'Conflict'],
);
const Changed = resultUnion<ListedSchedule>('ChangeScheduleResult', { type: ScheduleType, name: 'Schedule' }, [
  'NotFound',
]);
const Requested = resultUnion<ScheduleRun>('RunScheduleResult', { type: ScheduleRunType, name: 'ScheduleRun' }, [
  'NotFound',
  'Conflict',
]);
const Removed = resultUnion<ScheduleRemoved>(
  'RemoveScheduleResult',
  { type: ScheduleRemoved, name: 'ScheduleRemoved' },
  ['NotFound'],
);

const KEY = 'Key of the schedule, as `crm_hourly`.';

@Resolver(() => ScheduleType)
export class ScheduleResolver {
  @Authorized('admin')
  @Query(() => ScheduleConnection, { description: 'Work that is done by the clock, by key.' })
  async schedules(
    @Ctx() { services, reads }: ApiContext,
    @Arg('first', () => Int, { defaultValue: DEFAULT_PAGE_SIZE, description: FIRST }) first: number,
    @Arg('after', () => String, { nullable: true, description: AFTER }) after: string | null | undefined,
  ): Promise<Connection<Edge<ListedSchedule>>> {
    const limit = pageSize(first);
    reads.countSingleRead('schedules');
    const from = typeof after === 'string' ? SCHEDULE_CURSOR.decode(after).key : null;
    const found = from !== null && !isKey(from) ? [] : await new ScheduleReader(services.db).page(from, limit + 1);
    const edges = found.map((node) => ({ cursor: SCHEDULE_CURSOR.encode({ key: node.key }), node }));
    return connection(edges, limit, after);
  }

  @Authorized('admin')
  @Query(() => ScheduleType, { nullable: true, description: 'One schedule; null: there is none of this key.' })
  async schedule(
    @Ctx() { services, reads }: ApiContext,
    @Arg('key', () => String, { description: KEY }) key: string,
  ): Promise<ListedSchedule | null> {
    reads.countSingleRead('schedule');
    return isKey(key) ? new ScheduleReader(services.db).find(key) : null;
  }

  @Authorized('admin')
  @Query(() => ScheduleRunConnection, {
    description: 'When a schedule ran, and what became of it, the newest first; the latest 500 are kept.',
  })
  async scheduleRuns(
    @Ctx() { services, reads }: ApiContext,
    @Arg('key', () => String, { description: KEY }) key: string,
    @Arg('first', () => Int, { defaultValue: DEFAULT_PAGE_SIZE, description: FIRST }) first: number,
    @Arg('after', () => String, { nullable: true, description: AFTER }) after: string | null | undefined,
  ): Promise<Connection<Edge<ScheduleRun>>> {
    const limit = pageSize(first);
    reads.countSingleRead('scheduleRuns');
    const place = typeof after === 'string' ? SCHEDULE_RUN_CURSOR.decode(after) : null;
    const before = place === null ? null : { dueAt: place.dueAt, id: cursorId(place.id) };
    const runs = isKey(key) ? await new ScheduleReader(services.db).runs(key, before, limit + 1) : [];
    const edges = runs.map((node) => ({
      cursor: SCHEDULE_RUN_CURSOR.encode({ dueAt: node.dueAt, id: node.id }),
      node,
    }));
    return connection(edges, limit, after);
  }

  @FieldResolver(() => String, { description: 'What it does, as `load rows of a database into crm`.' })
  does(@Root() schedule: ListedSchedule, @Ctx() { services }: ApiContext): string {
    return services.schedules.describe(schedule);
  }

  @FieldResolver(() => Int, {
    description: 'Seconds after which an attempt is stopped, to be gone on with by the next.',
  })
  timeoutSeconds(@Root() { timeoutMs }: ListedSchedule): number {
    return timeoutMs / 1_000;
  }

  @Authorized('admin')
  @Mutation(() => Created.type, {
    description:
      'Makes a schedule that loads rows of a database. One of the processes that apply events runs it: its environment variables count.',
  })
  createLoadSchedule(
    @Ctx() { services }: ApiContext,
    @Arg('schedule', () => LoadScheduleInput, { description: 'The schedule to be made.' }) input: LoadScheduleInput,
  ): Promise<unknown> {
    return Created.attempt(async () => {
      const { key, cron, zone, emit, maxAttempts, timeout } = input;
      const mapping = parseMapping(input.mapping);
      if (mapping.from === null) {
        throw new WeftError('BAD_REQUEST', 'the mapping does not say which rows of a database to load', {
          where: 'mapping',
          hint: 'give it a "from"; loads of files are scheduled with weft schedule add, on the server',
        });
      }
      return services.schedules.add({
        key,
        kind: LOAD_JOB,
        job: loadJobSettings({ mapping, files: [], emit }),
        cron,
        zone,
        maxAttempts: maxAttempts ?? SCHEDULE_LIMITS.defaultAttempts,
        timeoutMs: typeof timeout === 'string' ? timeoutMsOf(timeout) : SCHEDULE_LIMITS.defaultTimeoutMs,
      });
    });
  }

  @Authorized('admin')
  @Mutation(() => MadeForSegments.type, {
    description:
      'Makes a schedule that has everybody evaluated anew, behind live traffic, as `recomputeSegments` does.',
  })
  createRecomputeSchedule(
    @Ctx() { services }: ApiContext,
    @Arg('schedule', () => RecomputeScheduleInput, { description: 'The schedule to be made.' })
    input: RecomputeScheduleInput,
  ): Promise<unknown> {
    return makeForSegments(services, input, RECOMPUTE_JOB, { segments: input.segments });
  }

  @Authorized('admin')
  @Mutation(() => MadeForSegments.type, {
    description: 'The same for the segments that ask models when it is due, by themselves or through other segments.',
  })
  createRefreshSchedule(
    @Ctx() { services }: ApiContext,
    @Arg('schedule', () => RefreshScheduleInput, { description: 'The schedule to be made.' })
    input: RefreshScheduleInput,
  ): Promise<unknown> {
    return makeForSegments(services, input, REFRESH_JOB, { models: input.models });
  }

  @Authorized('admin')
  @Mutation(() => MadeForSegments.type, {
    description:
      'Makes a schedule that keeps who is in a segment as a list, a new one each time. The oldest of its lists are removed, unless a live segment asks about them.',
  })
  createSnapshotSchedule(
    @Ctx() { services }: ApiContext,
    @Arg('schedule', () => SnapshotScheduleInput, { description: 'The schedule to be made.' })
    input: SnapshotScheduleInput,
  ): Promise<unknown> {
    const { segment, list = null, keep = null } = input;
    return makeForSegments(services, input, SNAPSHOT_JOB, { segment, list, keep });
  }

  @Authorized('admin')
  @Mutation(() => Requested.type, {
    description:
      'Ends the run of a schedule that is not over: what is under way is stopped within seconds and not tried again. What it has done stays.',
  })
  cancelScheduleRun(
    @Ctx() { services }: ApiContext,
    @Arg('key', () => String, { description: KEY }) key: string,
  ): Promise<unknown> {
    return Requested.attempt(() => services.schedules.cancel(key));
  }

  @Authorized('admin')
  @Mutation(() => Requested.type, {
    description:
      'Asks for a run now, beside the due times, also of a schedule that is paused. Ask `scheduleRuns` how it goes.',
  })
  runSchedule(
    @Ctx() { services }: ApiContext,
    @Arg('key', () => String, { description: KEY }) key: string,
  ): Promise<unknown> {
    return Requested.attempt(() => services.schedules.run(key));
  }

  @Authorized('admin')
  @Mutation(() => Changed.type, {
    description: 'Lets nothing come due until the schedule is resumed. A run that is under way goes on.',
  })
  pauseSchedule(
    @Ctx() { services }: ApiContext,
    @Arg('key', () => String, { description: KEY }) key: string,
  ): Promise<unknown> {
    return Changed.attempt(() => services.schedules.pause(key));
  }

  @Authorized('admin')
  @Mutation(() => Changed.type, {
    description: 'Lets a paused schedule come due again; due times that passed meanwhile are not made up for.',
  })
  resumeSchedule(
    @Ctx() { services }: ApiContext,
    @Arg('key', () => String, { description: KEY }) key: string,
  ): Promise<unknown> {
    return Changed.attempt(() => services.schedules.resume(key));
  }

  @Authorized('admin')
  @Mutation(() => Removed.type, {
    description: 'Removes a schedule with its history; a run that is under way is stopped. What it loaded stays.',
  })
  removeSchedule(
    @Ctx() { services }: ApiContext,
    @Arg('key', () => String, { description: KEY }) key: string,
  ): Promise<unknown> {
    return Removed.attempt(async () => {
      await services.schedules.remove(key);
      return { key };
    });
  }
}

function makeForSegments<K extends keyof SegmentJobRequests>(
  { schedules }: ApiContext['services'],
  { key, cron, zone, maxAttempts, timeout }: TimedInput,
  kind: K,
  job: SegmentJobRequests[K],
): Promise<unknown> {
  return MadeForSegments.attempt(() =>
    schedules.add({
      ...{ key, kind, cron, zone, job: { ...job } },
      maxAttempts: maxAttempts ?? SCHEDULE_LIMITS.defaultAttempts,
      timeoutMs: typeof timeout === 'string' ? timeoutMsOf(timeout) : SCHEDULE_LIMITS.defaultTimeoutMs,
    }),
  );
}
