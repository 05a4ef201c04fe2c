import { Field, FieldResolver, Float, ObjectType, Resolver, Root, Ctx } from 'type-graphql';
import { RetentionReader } from '../../events/retention.reader.js';
import { durationText } from '../../platform/duration.js';
import type { Source } from '../../sources/source.model.js';
import type { ApiContext } from './api-context.js';
import { DateTime } from './scalars.js';
import { SourceType } from './source.resolver.js';

@ObjectType('SourceRetention', {
  simpleResolvers: true,
  description: 'How long events of a source are kept, and how far older ones are removed.',
})
class SourceRetention {
  @Field(() => String, {
    nullable: true,
    description: 'How long, from when they happened, as `400d`; null: for ever, from now on.',
  })
  duration!: string | null;

  @Field(() => Boolean, { description: 'Whether what came of events goes with them, as if they had never been.' })
  strict!: boolean;

  @Field(() => Float, { description: 'How many events were removed so far.' })
  removedEvents!: number;

  @Field(() => Float, { description: 'How many dead letters were removed so far.' })
  removedDeadLetters!: number;

  @Field(() => Float, {
    nullable: true,
    description: 'How much of the log the pass under way has looked through, 0 to 1; null: none is under way.',
  })
  progress!: number | null;

  @Field(() => DateTime, { nullable: true, description: 'When the last pass ended; null: none has.' })
  finishedAt!: number | null;
}

@Resolver(() => SourceType)
export class SourceRetentionResolver {
  @FieldResolver(() => SourceRetention, {
    nullable: true,
    description: 'How long its events are kept; null: for ever, and none was ever removed for its age.',
  })
  async retention(
    @Root() { id, retentionMs, retentionStrict: strict }: Source,
    @Ctx() { reads, services }: ApiContext,
  ): Promise<SourceRetention | null> {
    reads.countSingleRead('retention');
    const progress = (await new RetentionReader(services.db).progress([id])).get(id);
    if (progress === undefined && retentionMs === null) return null;
    return {
      duration: retentionMs === null ? null : durationText(retentionMs),
      strict,
      removedEvents: progress?.removedEvents ?? 0,
      removedDeadLetters: progress?.removedLetters ?? 0,
      progress: progress?.progress ?? null,
      finishedAt: progress?.finishedAt ?? null,
    };
  }
}
