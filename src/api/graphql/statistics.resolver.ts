import { Authorized, Ctx, Field, Float, ObjectType, Query, Resolver } from 'type-graphql';
import type { Statistics as Counts } from '../../monitoring/statistics.reader.js';
import type { ApiContext } from './api-context.js';

@ObjectType('Statistics', { simpleResolvers: true, description: 'How much there is of what.' })
class Statistics implements Counts {
  @Field(() => Float, { description: 'Events in the log.' })
  events!: number;

  @Field(() => Float, { description: 'Positions of the log that are accepted and not yet applied.' })
  waitingEvents!: number;

  @Field(() => Float, { description: 'Identifiers of all profiles.' })
  identifiers!: number;

  @Field(() => Float, { description: 'Profiles, aliases not counted.' })
  profiles!: number;

  @Field(() => Float, { description: 'Profiles that became part of another.' })
  merges!: number;

  @Field(() => Float, { description: 'How many changes of membership are in the feed.' })
  changes!: number;

  @Field(() => Float, { description: 'How many inputs were not taken and are kept to be looked at.' })
  deadLetters!: number;
}

@Resolver()
export class StatisticsResolver {
  @Authorized('read')
  @Query(() => Statistics, { description: 'Counts over everything; too slow for a page view.' })
  statistics(@Ctx() { reads }: ApiContext): Promise<Counts> {
    return reads.statistics();
  }
}
