import { Arg, Args, Authorized, Ctx, FieldResolver, ID, Int, Mutation, Query, Resolver, Root } from 'type-graphql';
import { isUuid, LEAST_ID, type Uuid } from '../../platform/ids.js';
import { expiresAt, type BackgroundJob } from '../../schedules/background-job.model.js';
import { BackgroundJobReader } from '../../schedules/background-job.reader.js';
import {
  PREVIEW_ONCE_JOB,
  SNAPSHOT_ONCE_JOB,
  type KeptPreview,
  type SnapshotOnceAsk,
  type TakenSnapshot,
} from '../../segments/segment-jobs.model.js';
import type { PreviewJobAsk } from '../../segments/segment-preview.service.js';
import { nameOf } from '../auth/api-key.model.js';
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
import { cursorId, SEGMENT_JOB_CURSOR } from './cursors.js';
import { resultUnion } from './failure.types.js';
import { DateTime } from './scalars.js';
import { SegmentJobConnection, SegmentJobType, TakenSnapshotType } from './segment-job.types.js';
import { PreviewTimes, spanOf, trialOf } from './segment-preview.resolver.js';
import { SegmentPreviewInput, SegmentPreviewType } from './segment-preview.types.js';

const JOB = { type: SegmentJobType, name: 'SegmentJob' };
const Started = resultUnion<BackgroundJob>('StartSegmentJobResult', JOB, [
  'NotFound',
  'BadRequest',
  'Conflict',
  'InvalidDefinition',
]);
const Cancelled = resultUnion<BackgroundJob>('CancelSegmentJobResult', JOB, ['NotFound', 'Conflict']);

const ID_TEXT = 'Its id, as `01900000-0000-7000-8000-000000000000`.';

@Resolver(() => SegmentJobType)
export class SegmentJobResolver {
  @Authorized('admin')
  @Query(() => SegmentJobType, {
    nullable: true,
    description: 'A job about segments that somebody asked for; null: there is none, or its time is over.',
  })
  async segmentJob(
    @Ctx() { services: { db, clock }, reads }: ApiContext,
    @Arg('id', () => ID, { description: ID_TEXT }) id: string,
  ): Promise<BackgroundJob | null> {
    reads.countSingleRead('segmentJob');
    return isUuid(id) ? new BackgroundJobReader(db).job(id, clock.now()) : null;
  }

  @Authorized('admin')
  @Query(() => SegmentJobConnection, {
    description: 'Jobs about segments, the newest first; those that are over are kept for 7 days, the latest 200.',
  })
  async segmentJobs(
    @Ctx() { services: { db, clock }, reads }: ApiContext,
    @Arg('first', () => Int, { defaultValue: DEFAULT_PAGE_SIZE, description: FIRST }) first: number,
    @Arg('after', () => String, { nullable: true, description: AFTER }) after: string | null | undefined,
  ): Promise<Connection<Edge<BackgroundJob>>> {
    const limit = pageSize(first);
    reads.countSingleRead('segmentJobs');
    const place = typeof after === 'string' ? SEGMENT_JOB_CURSOR.decode(after) : null;
    const from = place === null ? null : { requestedAt: place.requestedAt, id: cursorId(place.id) };
    const jobs = await new BackgroundJobReader(db).jobs(from, limit + 1, clock.now());
    const edges = jobs.map((node) => ({
      cursor: SEGMENT_JOB_CURSOR.encode({ requestedAt: node.requestedAt, id: node.id }),
      node,
    }));
    return connection(edges, limit, after);
  }

  @FieldResolver(() => String, { description: 'What it does, as `preview segment cart_abandoned`.' })
  does(@Root() job: BackgroundJob, @Ctx() { services }: ApiContext): string {
    return services.jobs.describe(job);
  }

  @FieldResolver(() => DateTime, {
    nullable: true,
    description: 'When it goes with what came of it; null while it is not over.',
  })
  expiresAt(@Root() job: BackgroundJob): number | null {
    return expiresAt(job);
  }

  @FieldResolver(() => SegmentPreviewType, {
    nullable: true,
    description: 'What a preview found; its `sample` is empty, as nobody is kept. Null while it is not done.',
  })
  preview(@Root() { kind, result }: BackgroundJob): (SegmentPreviewType & { sample: [] }) | null {
    if (kind !== PREVIEW_ONCE_JOB || result === null) return null;
    const { fromMs, toMs, ...found } = result as unknown as KeptPreview;
    return { ...found, sample: [], from: fromMs, to: toMs };
  }

  @FieldResolver(() => TakenSnapshotType, {
    nullable: true,
    description: 'What a snapshot came to; null while it is not done.',
  })
  snapshot(@Root() { kind, result }: BackgroundJob): TakenSnapshot | null {
    return kind === SNAPSHOT_ONCE_JOB && result !== null ? (result as unknown as TakenSnapshot) : null;
  }

  @Authorized('admin')
  @Mutation(() => Started.type, {
    description:
      'Has a worker say who would be in a segment, and what it would have done, as `segmentPreview` does, for as long as that takes. Two jobs are done at a time, at most 20 wait or run; ask `segmentJob` until it is `DONE`.',
  })
  startSegmentPreview(
    @Ctx() { services, principal }: ApiContext,
    @Arg('segment', () => SegmentPreviewInput, { description: 'What to preview.' }) segment: SegmentPreviewInput,
    @Args(() => PreviewTimes) times: PreviewTimes,
    @Arg('maxProfiles', () => Int, {
      nullable: true,
      description: 'About how many profiles are looked at, drawn at random, always the same. Default: all of them.',
    })
    maxProfiles: number | null | undefined,
    @Arg('flapsAbove', () => Int, { defaultValue: 5, description: 'Profiles with more changes count as flapping.' })
    flapsAbove: number,
  ): Promise<unknown> {
    return Started.attempt(() => {
      const ask: PreviewJobAsk = {
        ...{ segment: trialOf(segment), ...spanOf(times) },
        ...{ maxProfiles: maxProfiles ?? null, flapsAbove },
      };
      return services.jobs.request(PREVIEW_ONCE_JOB, { ...ask }, nameOf(principal));
    });
  }

  @Authorized('admin')
  @Mutation(() => Started.type, {
    description:
      'Has a worker keep those who are in a segment, or were in it at an instant, as a new list, as `snapshotSegment` does, however many they are.',
  })
  startSegmentSnapshot(
    @Ctx() { services, principal }: ApiContext,
    @Arg('segment', () => String, { description: 'Key of a live segment, as `cart_abandoned`.' }) segment: string,
    @Arg('list', () => String, { description: 'What the list will be called by, as `abandoned_in_may`.' }) list: string,
    @Arg('name', () => String, {
      nullable: true,
      description: 'What people call the list. Default: after the segment.',
    })
    name: string | null | undefined,
    @Arg('asOf', () => DateTime, {
      nullable: true,
      description: 'Those who were in it then, by what the feed has told since. Default: when the worker takes it.',
    })
    asOf: number | null | undefined,
  ): Promise<unknown> {
    const ask: SnapshotOnceAsk = { segment, list, name: name ?? null, asOf: asOf ?? null };
    return Started.attempt(() => services.jobs.request(SNAPSHOT_ONCE_JOB, { ...ask }, nameOf(principal)));
  }

  @Authorized('admin')
  @Mutation(() => Cancelled.type, {
    description:
      'Cancels a job about segments that waits or is under way, which is stopped within seconds: of a snapshot no list is left.',
  })
  cancelSegmentJob(
    @Ctx() { services }: ApiContext,
    @Arg('id', () => ID, { description: ID_TEXT }) id: string,
  ): Promise<unknown> {
    return Cancelled.attempt(() => services.jobs.cancel(idOf(id)));
  }
}

/** What is no id is of nothing that there is. */
function idOf(text: string): Uuid {
  return isUuid(text) ? text : LEAST_ID;
}
