import {
  Arg,
  Authorized,
  Ctx,
  Field,
  FieldResolver,
  Float,
  Int,
  Mutation,
  ObjectType,
  Resolver,
  Root,
} from 'type-graphql';
import { streamsOf } from '../../features/stream.model.js';
import { isShadowed } from '../../segments/evaluated-versions.js';
import { SegmentProgressReader, type SegmentProgress } from '../../segments/segment-progress.reader.js';
import { SegmentReader, type ShadowSizes, type StoredSegment } from '../../segments/segment.reader.js';
import { shadowKeyOf } from '../../segments/shadow.model.js';
import type { ApiContext } from './api-context.js';
import { resultUnion } from './failure.types.js';
import { Segment } from './segment.types.js';

@ObjectType('SegmentShadow', {
  simpleResolvers: true,
  description: 'A version of a segment whose members are computed as if it were live, and told to nobody.',
})
class SegmentShadowType {
  @Field(() => Int, { description: 'The version that is tried; which it is has no bearing on what is live.' })
  version!: number;

  @Field(() => Int, { description: 'How many profiles would belong to the segment now.' })
  size!: number;

  @Field(() => Int, { description: 'How many of them do not belong to it now, and would enter.' })
  entering!: number;

  @Field(() => Int, { description: 'How many that belong to it now would leave.' })
  leaving!: number;
}

@ObjectType('SegmentProgress', {
  simpleResolvers: true,
  description: 'How far a change of definitions is: history is read first, then everybody is evaluated.',
})
class SegmentProgressType {
  @Field(() => Float, { description: 'How many events of history have been read, for what its conditions count.' })
  eventsDone!: number;

  @Field(() => Float, { description: 'How many events of history there are to read.' })
  eventsTotal!: number;

  @Field(() => Float, {
    description:
      'How many profiles have yet to be evaluated by the newest definitions of all segments; beyond 100,000 an estimate.',
  })
  profilesLeft!: number;
}

const segmentType = { type: Segment, name: 'Segment' };
const Shadowed = resultUnion<StoredSegment>('ShadowSegmentResult', segmentType, [
  'NotFound',
  'Conflict',
  'BadRequest',
  'InvalidDefinition',
]);
const Ended = resultUnion<StoredSegment>('EndSegmentShadowResult', segmentType, ['NotFound']);

/** Trying a segment before it is live, and how far activating it is. */
@Resolver(() => Segment)
export class SegmentShadowResolver {
  @FieldResolver(() => SegmentShadowType, {
    nullable: true,
    description: 'The version that is tried in the shadow, with whom it would have; null: none is.',
  })
  async shadow(
    @Root() segment: StoredSegment,
    @Ctx() { services, reads }: ApiContext,
  ): Promise<(ShadowSizes & { version: number }) | null> {
    const { id, shadowVersion: version } = segment;
    if (!isShadowed(segment) || version === null) return null;
    reads.countSingleRead('shadow');
    return { version, ...(await new SegmentReader(services.db).shadowSizes(id)) };
  }

  @FieldResolver(() => SegmentProgressType, {
    description: 'How far it is with being evaluated, after it or anything else was changed, in the shadow as live.',
  })
  progress(@Root() { key }: StoredSegment, @Ctx() { services, reads }: ApiContext): Promise<SegmentProgress> {
    reads.countSingleRead('progress');
    const { features, segments } = reads.definitions;
    const indexes = [key, shadowKeyOf(key)].flatMap((each) => segments.byKey.get(each)?.featureDeps ?? []);
    const definitions = indexes.flatMap((index) => features.definitions[index] ?? []);
    return new SegmentProgressReader(services.db).of(streamsOf(definitions).map((stream) => stream.key));
  }

  @Authorized('admin')
  @Mutation(() => Shadowed.type, {
    description:
      'Has the version that was written last evaluated in the shadow: `Segment.shadow` tells whom it would have. What is ' +
      'live stays so, and nobody is told.',
  })
  shadowSegment(
    @Ctx() { services, watch }: ApiContext,
    @Arg('key', () => String, { description: 'Key of the segment, as `cart_abandoned`.' }) key: string,
  ): Promise<unknown> {
    return Shadowed.attempt(async () => {
      const shadowed = await services.segments.shadow(key);
      await watch.reload();
      return shadowed;
    });
  }

  @Authorized('admin')
  @Mutation(() => Ended.type, { description: 'Ends the shadow of a segment; what is live stays so.' })
  endSegmentShadow(
    @Ctx() { services, watch }: ApiContext,
    @Arg('key', () => String, { description: 'Key of the segment, as `cart_abandoned`.' }) key: string,
  ): Promise<unknown> {
    return Ended.attempt(async () => {
      const ended = await services.segments.endShadow(key);
      await watch.reload();
      return ended;
    });
  }
}
