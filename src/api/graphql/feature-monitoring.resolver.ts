import { Arg, Authorized, Ctx, Field, Float, Int, ObjectType, Query, Resolver } from 'type-graphql';
import { PARITY_KEPT_DAYS, type ParityRecord } from '../../monitoring/feature-parity.model.js';
import { FeatureParityReader } from '../../monitoring/feature-parity.reader.js';
import type { FeatureAlert } from '../../monitoring/feature-alert.model.js';
import { FeatureAlertReader, type StoredDrift } from '../../monitoring/feature-alert.reader.js';
import type { StoredStatistics } from '../../features/feature-statistics.model.js';
import { FeatureStatisticsReader } from '../../monitoring/feature-statistics.reader.js';
import { WeftError } from '../../platform/errors.js';
import type { ApiContext } from './api-context.js';
import {
  AFTER,
  connection,
  connectionTypes,
  DEFAULT_PAGE_SIZE,
  FIRST,
  pageSize,
  type Connection,
  type Edge,
} from './connection.types.js';
import { FeatureAlertType, FeatureDriftType } from './feature-alert.types.js';
import {
  FEATURE_ALERT_CURSOR,
  FEATURE_DRIFT_CURSOR,
  FEATURE_PARITY_CURSOR,
  FEATURE_STATISTICS_CURSOR,
} from './cursors.js';
import { FeatureStatisticsType } from './feature-statistics.types.js';
import { DateTime } from './scalars.js';
import type { Queryable } from '../../platform/postgres.js';
import { nameHint } from '../../platform/near-names.js';
import { FeatureReferenceReader } from '../../monitoring/feature-reference.reader.js';

@ObjectType('FeatureParity', {
  simpleResolvers: true,
  description: 'What came of comparing values of a feature as they are served with what the log gives.',
})
class FeatureParityType implements ParityRecord {
  @Field(() => String, { description: 'What it is a feature of: `profile`, or another entity, as `item`.' })
  entity!: string;

  @Field(() => String, { description: 'Its name, as `orders_60d`.' })
  feature!: string;

  @Field(() => Float, { description: 'How many values were compared.' })
  compared!: number;

  @Field(() => Float, { description: 'How many of these are others; 0 where all is well.' })
  mismatched!: number;

  @Field(() => Float, { description: 'How many of these are there only as served, or only by the log.' })
  missing!: number;

  @Field(() => Float, { description: 'How many of these differ and are estimates, because a bound was reached.' })
  estimated!: number;

  @Field(() => Float, { description: 'The greatest difference between two numbers; 0 where there was none.' })
  maxDelta!: number;

  @Field(() => Float, {
    description:
      'How many values were not compared, because their profile or item has more than 20,000 events; they are not among `compared`.',
  })
  tooBig!: number;

  @Field(() => DateTime, { description: 'When it was looked at last.' })
  lastComparedAt!: number;

  @Field(() => DateTime, { nullable: true, description: 'When a value was wrong or missing last; null: never.' })
  lastMismatchAt!: number | null;
}

const ParityConnection = connectionTypes<ParityRecord>(FeatureParityType, 'FeatureParity');

const StatisticsConnection = connectionTypes<StoredStatistics>(FeatureStatisticsType, 'FeatureStatistics');

const AlertConnection = connectionTypes<FeatureAlert>(FeatureAlertType, 'FeatureAlert');
const DriftConnection = connectionTypes<StoredDrift>(FeatureDriftType, 'FeatureDrift');

/** How features are doing, as far as standing jobs have looked. */
@Resolver()
export class FeatureMonitoringResolver {
  @Authorized('read')
  @Query(() => ParityConnection, {
    description:
      'How served features compare with what the log gives, by name of the feature. A standing job compares a sample of profiles, and of items whose features are computed from events; features that it has not compared are not listed.',
  })
  async featureParity(
    @Ctx() { services, reads }: ApiContext,
    @Arg('days', () => Int, { defaultValue: 7, description: 'Over how many days, today included: 1 to 30.' })
    days: number,
    @Arg('first', () => Int, { defaultValue: DEFAULT_PAGE_SIZE, description: FIRST }) first: number,
    @Arg('after', () => String, { nullable: true, description: AFTER }) after: string | null | undefined,
  ): Promise<Connection<Edge<ParityRecord>>> {
    const limit = pageSize(first);
    if (days < 1 || days > PARITY_KEPT_DAYS) {
      throw new WeftError('BAD_REQUEST', `figures are kept for ${String(PARITY_KEPT_DAYS)} days`, {
        where: 'days',
        hint: `ask for 1 to ${String(PARITY_KEPT_DAYS)}`,
      });
    }
    reads.countSingleRead('featureParity');
    const from = typeof after === 'string' ? FEATURE_PARITY_CURSOR.decode(after).key : null;
    const records = await new FeatureParityReader(services.db).page(reads.nowMs, days, from, limit + 1);
    const edges = records.map((node) => ({ cursor: FEATURE_PARITY_CURSOR.encode({ key: node.feature }), node }));
    return connection(edges, limit, after);
  }

  @Authorized('read')
  @Query(() => StatisticsConnection, {
    description:
      'How values of features are spread over people, or over the items of another entity, by name of the feature, as a standing job computed it last; every hour. Features that are not computed yet are not listed.',
  })
  async featureStatistics(
    @Ctx() { services, reads }: ApiContext,
    @Arg('feature', () => String, {
      nullable: true,
      description: 'Only of this one, as `orders_60d`. Default: of all.',
    })
    feature: string | null | undefined,
    @Arg('first', () => Int, { defaultValue: DEFAULT_PAGE_SIZE, description: FIRST }) first: number,
    @Arg('after', () => String, { nullable: true, description: AFTER }) after: string | null | undefined,
  ): Promise<Connection<Edge<StoredStatistics>>> {
    const limit = pageSize(first);
    reads.countSingleRead('featureStatistics');
    const from = typeof after === 'string' ? FEATURE_STATISTICS_CURSOR.decode(after).key : null;
    const names = typeof feature === 'string' ? [feature] : null;
    const found = await new FeatureStatisticsReader(services.db).page(names, from, limit + 1);
    const edges = found.map((node) => ({ cursor: FEATURE_STATISTICS_CURSOR.encode({ key: node.feature }), node }));
    return connection(edges, limit, after);
  }

  @Authorized('read')
  @Query(() => AlertConnection, {
    description: 'When features were not as expected, the newest first; those that are over are kept for 90 days.',
  })
  async featureAlerts(
    @Ctx() { services, reads }: ApiContext,
    @Arg('onlyOpen', () => Boolean, { defaultValue: false, description: 'Leave out those that are over.' })
    onlyOpen: boolean,
    @Arg('first', () => Int, { defaultValue: DEFAULT_PAGE_SIZE, description: FIRST }) first: number,
    @Arg('after', () => String, { nullable: true, description: AFTER }) after: string | null | undefined,
  ): Promise<Connection<Edge<FeatureAlert>>> {
    const limit = pageSize(first);
    reads.countSingleRead('featureAlerts');
    const before = typeof after === 'string' ? FEATURE_ALERT_CURSOR.decode(after).id : null;
    const alerts = await new FeatureAlertReader(services.db).page(onlyOpen, before, limit + 1);
    const edges = alerts.map((node) => ({ cursor: FEATURE_ALERT_CURSOR.encode({ id: node.id }), node }));
    return connection(edges, limit, after);
  }

  @Authorized('read')
  @Query(() => DriftConnection, {
    description: 'How far values of features are from what they were a week before, by name; computed every hour.',
  })
  async featureDrift(
    @Ctx() { services, reads }: ApiContext,
    @Arg('against', () => String, {
      nullable: true,
      description:
        'Compare with this training set, as `weft features reference set` has registered it, as `purchase_intent_v1`. Default: as the views expect, else with a week before.',
    })
    against: string | null | undefined,
    @Arg('first', () => Int, { defaultValue: DEFAULT_PAGE_SIZE, description: FIRST }) first: number,
    @Arg('after', () => String, { nullable: true, description: AFTER }) after: string | null | undefined,
  ): Promise<Connection<Edge<StoredDrift>>> {
    const limit = pageSize(first);
    reads.countSingleRead('featureDrift');
    const from = typeof after === 'string' ? FEATURE_DRIFT_CURSOR.decode(after).key : null;
    const found =
      typeof against === 'string'
        ? await driftAgainst(services.db, against, from, limit + 1)
        : await new FeatureAlertReader(services.db).drift(from, limit + 1);
    const edges = found.map((node) => ({ cursor: FEATURE_DRIFT_CURSOR.encode({ key: node.feature }), node }));
    return connection(edges, limit, after);
  }
}

/** @throws WeftError NOT_FOUND for a training set that is not registered */
async function driftAgainst(
  db: Queryable,
  name: string,
  after: string | null,
  limit: number,
): Promise<readonly StoredDrift[]> {
  const reader = new FeatureReferenceReader(db);
  const known = (await reader.all()).map((each) => each.name);
  if (known.includes(name)) return reader.drift(name, after, limit);
  throw new WeftError('NOT_FOUND', `no training set is registered as ${name.slice(0, 100)}`, {
    where: 'against',
    hint: nameHint(name, known, 'register one: weft features reference set <manifest>'),
  });
}
