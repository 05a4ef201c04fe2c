import DataLoader from 'dataloader';
import { Arg, Ctx, Field, FieldResolver, Float, Int, InterfaceType, ObjectType, Resolver, Root } from 'type-graphql';
import { WeftError } from '../../platform/errors.js';
import {
  ACTIVITY_KEPT_HOURS,
  errorRateOf,
  firstHourOf,
  lastHours,
  type ActivityCounts,
  type ActivityHour,
} from '../../sources/source-activity.model.js';
import { SourceActivityReader } from '../../sources/source-activity.reader.js';
import { ANOMALY_KINDS, type AnomalyKind, type SourceAnomaly } from '../../sources/source-anomaly.model.js';
import { SourceAnomalyReader } from '../../sources/source-anomaly.reader.js';
import type { Source } from '../../sources/source.model.js';
import type { ApiContext } from './api-context.js';
import { DEFAULT_PAGE_SIZE, FIRST, pageSize } from './connection.types.js';
import { enumOf } from './enums.js';
import { DateTime } from './scalars.js';
import { SourceType } from './source.resolver.js';

const DEFAULT_HOURS = 24;
const HOURS = `Of how many hours, the present one included: 1 to ${String(ACTIVITY_KEPT_HOURS)}.`;

@InterfaceType('EventCounts', { description: 'How many events came in, by what became of them.' })
abstract class Counts implements ActivityCounts {
  @Field(() => Float, { description: 'Events that are durable and were not before.' })
  accepted!: number;

  @Field(() => Float, { description: 'Events that had been accepted before.' })
  duplicates!: number;

  @Field(() => Float, { description: 'Events that could not be taken.' })
  refused!: number;

  @Field(() => Float, {
    description: 'How many of those accepted are marked with what they violate of the tracking plan.',
  })
  flagged!: number;

  @Field(() => Float, { description: 'How many of those accepted are loaded history.' })
  loaded!: number;
}

@ObjectType('SourceHour', {
  implements: Counts,
  simpleResolvers: true,
  description: 'What came in from a source within an hour.',
})
class SourceHourType extends Counts {
  @Field(() => DateTime, { description: 'The beginning of the hour.' })
  hour!: number;
}

@ObjectType('SourceEventActivity', {
  implements: Counts,
  simpleResolvers: true,
  description: 'What came in from a source under a name.',
})
class SourceEventActivityType extends Counts {
  @Field(() => String, {
    nullable: true,
    description:
      'The name of the event, or its kind where it is no `TRACK`; null: names beyond the bound, and no events.',
  })
  event!: string | null;
}

const AnomalyKindType = enumOf('SourceAnomalyKind', 'What is unusual about what a source sends.', ANOMALY_KINDS, {
  volume_low: 'Far fewer events than at the same hours of other weeks.',
  volume_high: 'Far more events than at the same hours of other weeks.',
  stale: 'No events for so long that many are missing.',
});

@ObjectType('SourceAnomaly', { simpleResolvers: true, description: 'A time in which a source sent what is unusual.' })
class SourceAnomalyType {
  @Field(() => AnomalyKindType, { description: 'What was unusual.' })
  kind!: AnomalyKind;

  @Field(() => DateTime, { description: 'The instant at which it began.' })
  since!: number;

  @Field(() => DateTime, { nullable: true, description: 'When it was over; null: it is not.' })
  endedAt!: number | null;

  @Field(() => Float, { description: 'Events that would have been usual in that time, as of the last look.' })
  expected!: number;

  @Field(() => Float, { description: 'Events that came, as of the last look.' })
  seen!: number;
}

/** Of one source. */
const MAX_ANOMALIES = 50;

interface Loaders {
  readonly anomalies: DataLoader<number, readonly SourceAnomaly[]>;
  readonly lastSeen: DataLoader<number, number | null>;
  readonly errorRate: DataLoader<{ readonly sourceId: number; readonly hours: number }, number | null, string>;
}

/** What sources sent, beside what they are. Counts are written every few seconds. */
@Resolver(() => SourceType)
export class SourceActivityResolver {
  @FieldResolver(() => DateTime, {
    nullable: true,
    description: 'When anything came in from it last, whatever became of it; null: never. Some seconds behind.',
  })
  lastSeenAt(@Root() source: Source, @Ctx() context: ApiContext): Promise<number | null> {
    return loadersOf(context).lastSeen.load(source.id);
  }

  @FieldResolver(() => Float, {
    nullable: true,
    description: 'The share of what came in that was refused, 0 to 1; null if nothing came in.',
  })
  errorRate(
    @Root() source: Source,
    @Ctx() context: ApiContext,
    @Arg('hours', () => Int, { defaultValue: DEFAULT_HOURS, description: HOURS }) hours: number,
  ): Promise<number | null> {
    return loadersOf(context).errorRate.load({ sourceId: source.id, hours: checkedHours(hours) });
  }

  @FieldResolver(() => [SourceAnomalyType], {
    description:
      'When it sent far less or far more than it uses to, the newest first, at most 50; kept for 90 days. A worker looks every two minutes.',
  })
  anomalies(@Root() source: Source, @Ctx() context: ApiContext): Promise<readonly SourceAnomaly[]> {
    return loadersOf(context).anomalies.load(source.id);
  }

  @FieldResolver(() => [SourceHourType], {
    description: 'What came in, hour by hour, the present one last; kept for 90 days.',
  })
  async activity(
    @Root() source: Source,
    @Ctx() { services, reads }: ApiContext,
    @Arg('hours', () => Int, { defaultValue: DEFAULT_HOURS, description: HOURS }) hours: number,
  ): Promise<readonly ActivityHour[]> {
    checkedHours(hours);
    reads.countSingleRead('activity');
    const counted = await new SourceActivityReader(services.db).hours(source.id, firstHourOf(reads.nowMs, hours));
    return lastHours(counted, reads.nowMs, hours);
  }

  @FieldResolver(() => [SourceEventActivityType], {
    description: 'What came in by the name of the event, what came most often first; at most `first` names.',
  })
  async eventActivity(
    @Root() source: Source,
    @Ctx() { services, reads }: ApiContext,
    @Arg('hours', () => Int, { defaultValue: DEFAULT_HOURS, description: HOURS }) hours: number,
    @Arg('first', () => Int, { defaultValue: DEFAULT_PAGE_SIZE, description: FIRST }) first: number,
  ): Promise<readonly SourceEventActivityType[]> {
    const from = firstHourOf(reads.nowMs, checkedHours(hours));
    reads.countSingleRead('eventActivity');
    const events = await new SourceActivityReader(services.db).events(source.id, from, pageSize(first));
    return events.map(({ event, ...counts }) => ({ event: event === '' ? null : event, ...counts }));
  }
}

/** @throws WeftError BAD_REQUEST */
function checkedHours(hours: number): number {
  if (hours >= 1 && hours <= ACTIVITY_KEPT_HOURS) return hours;
  throw new WeftError('BAD_REQUEST', `counts are kept for ${String(ACTIVITY_KEPT_HOURS)} hours`, {
    where: 'hours',
    hint: `ask for 1 to ${String(ACTIVITY_KEPT_HOURS)}`,
  });
}

const loaders = new WeakMap<ApiContext, Loaders>();

/** All the sources of an answer are asked for at once. */
function loadersOf(context: ApiContext): Loaders {
  const known = loaders.get(context);
  if (known !== undefined) return known;
  const { services, reads } = context;
  const reader = new SourceActivityReader(services.db);
  const made: Loaders = {
    anomalies: new DataLoader(async (ids) => {
      const found = await new SourceAnomalyReader(services.db).ofSources(ids, MAX_ANOMALIES);
      return ids.map((id) => found.filter(({ sourceId }) => sourceId === id));
    }),
    lastSeen: new DataLoader(async (ids) => {
      const seen = await reader.lastSeen(ids);
      return ids.map((id) => seen.get(id) ?? null);
    }),
    errorRate: new DataLoader(
      async (keys) => {
        const rates = new Map<string, number | null>();
        for (const hours of new Set(keys.map((key) => key.hours))) {
          const ids = keys.filter((key) => key.hours === hours).map((key) => key.sourceId);
          const sums = await reader.sums(ids, firstHourOf(reads.nowMs, hours));
          for (const [id, counts] of sums) rates.set(rateKey({ sourceId: id, hours }), errorRateOf(counts));
        }
        return keys.map((key) => rates.get(rateKey(key)) ?? null);
      },
      { cacheKeyFn: rateKey },
    ),
  };
  loaders.set(context, made);
  return made;
}

function rateKey({ sourceId, hours }: { readonly sourceId: number; readonly hours: number }): string {
  return `${String(sourceId)}:${String(hours)}`;
}
