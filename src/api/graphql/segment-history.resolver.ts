import DataLoader from 'dataloader';
import { Arg, Ctx, Field, FieldResolver, Float, Int, ObjectType, Resolver, Root } from 'type-graphql';
import { WeftError } from '../../platform/errors.js';
import {
  KEPT_PERIODS,
  lastPeriods,
  SEGMENT_ALERT_KINDS,
  SEGMENT_STEPS,
  startOf,
  STEP_MS,
  type ComparedPeriod,
  type SegmentAlertKind,
  type SegmentStep,
  type StoredSegmentAlert,
} from '../../segments/segment-history.model.js';
import { SegmentHistoryReader } from '../../segments/segment-history.reader.js';
import type { StoredSegment } from '../../segments/segment.reader.js';
import type { ApiContext } from './api-context.js';
import { enumOf } from './enums.js';
import { DateTime } from './scalars.js';
import { Segment } from './segment.types.js';

const DEFAULT_LAST = 30;
/** Of one segment. */
const MAX_ALERTS = 50;

const SegmentStepType = enumOf('SegmentStep', 'How finely time is divided.', SEGMENT_STEPS, {
  hour: 'Hours; kept for 90 days.',
  day: 'Days, UTC; kept for three years.',
});

const SegmentAlertKindType = enumOf(
  'SegmentAlertKind',
  'What is unusual about who enters and leaves a segment.',
  SEGMENT_ALERT_KINDS,
  {
    changes_low: 'Far fewer changes than at the same hours of other weeks.',
    changes_high: 'Far more changes than at the same hours of other weeks.',
    refresh_unstable:
      'What decides changed, and most of its members were others at once; told for 7 days, or until it is refreshed again.',
  },
);

@ObjectType('SegmentPeriod', {
  simpleResolvers: true,
  description: 'How large a segment was at the beginning of an hour or a day, and who came and went in it.',
})
class SegmentPeriodType {
  @Field(() => DateTime, { description: 'Its beginning.' })
  start!: number;

  @Field(() => Int, {
    nullable: true,
    description:
      'How many members there were as it began, or some minutes later; null: nobody looked, as before the segment was active.',
  })
  size!: number | null;

  @Field(() => Float, { description: 'How many entered in it, as the feed tells.' })
  entered!: number;

  @Field(() => Float, { description: 'How many left in it, as the feed tells.' })
  left!: number;

  @Field(() => Float, {
    description:
      'How many of these who entered and left did so because somebody changed a segment, a model or a list, or had everybody evaluated anew, and not by what they did or by the clock.',
  })
  edited!: number;

  @Field(() => Float, {
    nullable: true,
    description:
      'How alike the members are as the period before began and as this one did, 0 to 1: of all who were members at ' +
      'either time, the share of those who were at both (Jaccard index); null: not known.',
  })
  similarity!: number | null;
}

@ObjectType('SegmentAlert', {
  simpleResolvers: true,
  description: 'A time in which unusually few or many people entered and left a segment.',
})
class SegmentAlertType {
  @Field(() => SegmentAlertKindType, { description: 'What was unusual.' })
  kind!: SegmentAlertKind;

  @Field(() => DateTime, { description: 'The instant at which it began.' })
  since!: number;

  @Field(() => DateTime, { nullable: true, description: 'When it was over; null: it is not.' })
  endedAt!: number | null;

  @Field(() => Float, {
    description:
      'How many changes would have been usual in that time, as of the last look; for `REFRESH_UNSTABLE`, how many people were in it before or after.',
  })
  expected!: number;

  @Field(() => Float, {
    description:
      'How many changes came, as of the last look; for `REFRESH_UNSTABLE`, how many people were in it before and after.',
  })
  seen!: number;
}

/** How segments were, beside what they are. A worker counts every minute. */
@Resolver(() => Segment)
export class SegmentHistoryResolver {
  @FieldResolver(() => [SegmentPeriodType], {
    description: 'How large it was, and how many entered and left, hour by hour or day by day, the present one last.',
  })
  async history(
    @Root() segment: StoredSegment,
    @Ctx() { services, reads }: ApiContext,
    @Arg('by', () => SegmentStepType, { defaultValue: 'day', description: 'Whether in hours or in days.' })
    by: SegmentStep,
    @Arg('last', () => Int, {
      defaultValue: DEFAULT_LAST,
      description: `How many, the present one included: of hours 1 to ${String(KEPT_PERIODS.hour)}, of days 1 to ${String(KEPT_PERIODS.day)}.`,
    })
    last: number,
  ): Promise<readonly ComparedPeriod[]> {
    if (last < 1 || last > KEPT_PERIODS[by]) {
      throw new WeftError('BAD_REQUEST', `${by}s of a segment are kept for ${String(KEPT_PERIODS[by])}`, {
        where: 'last',
        hint: `ask for 1 to ${String(KEPT_PERIODS[by])}`,
      });
    }
    reads.countSingleRead('history');
    const fromMs = startOf(by, reads.nowMs) - last * STEP_MS[by];
    const known = await new SegmentHistoryReader(services.db).periods(segment.id, by, fromMs);
    return lastPeriods(known, by, reads.nowMs, last);
  }

  @FieldResolver(() => [SegmentAlertType], {
    description: 'When far fewer or far more people entered and left it than use to, the newest first, at most 50.',
  })
  alerts(@Root() segment: StoredSegment, @Ctx() context: ApiContext): Promise<readonly StoredSegmentAlert[]> {
    return alertsOf(context).load(segment.id);
  }
}

const loaders = new WeakMap<ApiContext, DataLoader<number, readonly StoredSegmentAlert[]>>();

/** All the segments of an answer are asked for at once. */
function alertsOf(context: ApiContext): DataLoader<number, readonly StoredSegmentAlert[]> {
  let loader = loaders.get(context);
  if (loader === undefined) {
    loader = new DataLoader(async (ids) => {
      const found = await new SegmentHistoryReader(context.services.db).alerts(ids, MAX_ALERTS);
      return ids.map((id) => found.filter(({ segmentId }) => segmentId === id));
    });
    loaders.set(context, loader);
  }
  return loader;
}
