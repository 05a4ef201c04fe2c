import { Arg, Authorized, Ctx, Mutation, Query, Resolver } from 'type-graphql';
import { WeftError } from '../../platform/errors.js';
import { MAX_SEGMENTS } from '../../segments/segment.reader.js';
import type { Recompute, SegmentWork } from '../../segments/recompute.model.js';
import type { ApiContext } from './api-context.js';
import { resultUnion } from './failure.types.js';
import { SegmentRecomputeType, SegmentWorkType } from './segment-work.types.js';

const workType = { type: SegmentWorkType, name: 'SegmentWork' };
const Requested = resultUnion<Recompute>(
  'RecomputeSegmentsResult',
  { type: SegmentRecomputeType, name: 'SegmentRecompute' },
  ['BadRequest', 'NotFound', 'Conflict'],
);
const Cancelled = resultUnion<SegmentWork>('CancelSegmentRecomputeResult', workType, ['Conflict']);

/** Evaluating everybody anew, and when what is done behind live traffic rests. */
@Resolver()
export class SegmentWorkResolver {
  @Authorized('admin')
  @Query(() => SegmentWorkType, {
    description: 'What is done about segments behind live traffic: history, changed definitions, recomputations.',
  })
  segmentWork(@Ctx() { services, reads }: ApiContext): Promise<SegmentWork> {
    reads.countSingleRead('segmentWork');
    return services.segmentWork.read();
  }

  @Authorized('admin')
  @Mutation(() => Requested.type, {
    description:
      'Has everybody evaluated anew for all active segments, behind live traffic; what that finds has the cause ' +
      '`RECOMPUTE`. One that waits is joined. Ask `segmentWork` how it goes.',
  })
  recomputeSegments(
    @Ctx() { services }: ApiContext,
    @Arg('keys', () => [String], {
      nullable: true,
      description: 'Segments whose changes are to be counted, as `["keen"]`; all if left out.',
    })
    keys: string[] | null | undefined,
  ): Promise<unknown> {
    return Requested.attempt(() => {
      if ((keys?.length ?? 0) > MAX_SEGMENTS) {
        throw new WeftError('BAD_REQUEST', `at most ${String(MAX_SEGMENTS)} segments can be named`, {
          where: 'keys',
          hint: 'leave them out for all',
        });
      }
      return services.segmentWork.recompute(keys ?? []);
    });
  }

  @Authorized('admin')
  @Mutation(() => SegmentWorkType, {
    description:
      'Has evaluating anew and reading history rest, between batches and in all processes, until `resumeSegmentWork`. ' +
      'Live events and timers go on; new definitions are in progress for as long.',
  })
  pauseSegmentWork(@Ctx() { services }: ApiContext): Promise<SegmentWork> {
    return services.segmentWork.pause();
  }

  @Authorized('admin')
  @Mutation(() => SegmentWorkType, { description: 'Has what rests go on where it was.' })
  resumeSegmentWork(@Ctx() { services }: ApiContext): Promise<SegmentWork> {
    return services.segmentWork.resume();
  }

  @Authorized('admin')
  @Mutation(() => Cancelled.type, {
    description:
      'Ends the recomputation under way, and the next. Whoever was evaluated stays so. What a change of definitions ' +
      'needs cannot be cancelled.',
  })
  cancelSegmentRecompute(@Ctx() { services }: ApiContext): Promise<unknown> {
    return Cancelled.attempt(() => services.segmentWork.cancel());
  }
}
