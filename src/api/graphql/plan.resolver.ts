import DataLoader from 'dataloader';
import { Arg, Authorized, Ctx, FieldResolver, Int, Mutation, Query, Resolver, Root } from 'type-graphql';
import type { ViolationRule } from '../../events/plan-violation.model.js';
import { PlanReader } from '../../plans/plan.reader.js';
import { ViolationReader } from '../../plans/violation.reader.js';
import type { PlanVersion } from '../../plans/tracking-plan.model.js';
import { WeftError } from '../../platform/errors.js';
import { HOUR_MS, hourOf } from '../../sources/source-activity.model.js';
import type { Source } from '../../sources/source.model.js';
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
import { damagedCursor, PLAN_CURSOR } from './cursors.js';
import { resultUnion } from './failure.types.js';
import {
  changeView,
  planView,
  TrackingPlanChangeType,
  TrackingPlanConnection,
  TrackingPlanDraftType,
  TrackingPlanType,
  TrackingPlanViolationType,
  violationView,
  ViolationRuleType,
} from './plan.types.js';
import { DateTime } from './scalars.js';
import { SourceType } from './source.resolver.js';

const SOURCE_KEY = 'Key of the source, as in `web_shop`.';
const DRY_RUN = 'Whether only to say what would change.';
const DEFAULT_SINCE_MS = 24 * HOUR_MS;
const DEFAULT_INFERENCE_MS = 7 * 24 * HOUR_MS;
/** Versions of one source; more than anybody applies. */
const MAX_VERSION = 2_147_483_647;

const change = { type: TrackingPlanChangeType, name: 'TrackingPlanChange' };
const Applied = resultUnion<TrackingPlanChangeType>('ApplyTrackingPlanResult', change, [
  'InvalidDefinition',
  'NotFound',
  'PayloadTooLarge',
]);
const Restored = resultUnion<TrackingPlanChangeType>('RestoreTrackingPlanResult', change, ['NotFound']);

@Resolver(() => SourceType)
export class PlanResolver {
  @FieldResolver(() => TrackingPlanType, { nullable: true, description: 'The plan in force; null: it has none.' })
  async trackingPlan(@Root() source: Source, @Ctx() context: ApiContext): Promise<TrackingPlanType | null> {
    const found = await plansOf(context).load(source.id);
    return found === null ? null : planView(source.key, found);
  }

  @Authorized('read')
  @Query(() => TrackingPlanType, {
    nullable: true,
    name: 'trackingPlan',
    description: 'The tracking plan of a source: the one in force, or an older version. Null: there is none.',
  })
  async trackingPlanOf(
    @Ctx() { services }: ApiContext,
    @Arg('source', () => String, { description: SOURCE_KEY }) key: string,
    @Arg('version', () => Int, { nullable: true, description: 'Default: the version in force.' })
    version: number | null | undefined,
  ): Promise<TrackingPlanType | null> {
    const source = await services.sources.findByKey(key);
    if (source === null) return null;
    const reader = new PlanReader(services.db);
    const found = await (version == null ? reader.current(source.id) : reader.version(source.id, version));
    return found === null ? null : planView(key, found);
  }

  @Authorized('read')
  @Query(() => TrackingPlanConnection, {
    description: 'Every version of the tracking plan of a source that was ever applied, the newest first.',
  })
  async trackingPlanVersions(
    @Ctx() { services, reads }: ApiContext,
    @Arg('source', () => String, { description: SOURCE_KEY }) key: string,
    @Arg('first', () => Int, { defaultValue: DEFAULT_PAGE_SIZE, description: FIRST }) first: number,
    @Arg('after', () => String, { nullable: true, description: AFTER }) after: string | null | undefined,
  ): Promise<Connection<Edge<TrackingPlanType>>> {
    const limit = pageSize(first);
    reads.countSingleRead('trackingPlanVersions');
    const before = typeof after === 'string' ? PLAN_CURSOR.decode(after).version : MAX_VERSION;
    if (before < 1 || before > MAX_VERSION) throw damagedCursor();
    const source = await services.plans.sourceOf(key, 'source');
    const versions = await new PlanReader(services.db).versions(source.id, before, limit + 1);
    const edges = versions.map((each) => ({
      cursor: PLAN_CURSOR.encode({ version: each.version }),
      node: planView(key, each),
    }));
    return connection(edges, limit, after);
  }

  @Authorized('read')
  @Query(() => [TrackingPlanViolationType], {
    description:
      'What events of a source violated of its tracking plan, what came most often first; kept for 90 days, some seconds behind.',
  })
  async trackingPlanViolations(
    @Ctx() { services, reads }: ApiContext,
    @Arg('source', () => String, { description: SOURCE_KEY }) key: string,
    @Arg('event', () => String, { nullable: true, description: 'Of this event only, as `track order_completed`.' })
    event: string | null | undefined,
    @Arg('rule', () => ViolationRuleType, { nullable: true, description: 'Of this rule only.' })
    rule: ViolationRule | null | undefined,
    @Arg('since', () => DateTime, { nullable: true, description: 'In this hour or later; default: the last 24 hours.' })
    since: number | null | undefined,
    @Arg('first', () => Int, { defaultValue: DEFAULT_PAGE_SIZE, description: FIRST }) first: number,
  ): Promise<readonly TrackingPlanViolationType[]> {
    const limit = pageSize(first);
    reads.countSingleRead('trackingPlanViolations');
    const source = await services.plans.sourceOf(key, 'source');
    const counts = await new ViolationReader(services.db).counts(
      {
        sourceId: source.id,
        sinceHour: hourOf(since ?? reads.nowMs - DEFAULT_SINCE_MS),
        ...(event == null ? {} : { event }),
        ...(rule == null ? {} : { rule }),
      },
      limit,
    );
    return counts.map(violationView);
  }

  @Authorized('admin')
  @Query(() => TrackingPlanDraftType, {
    description:
      'Drafts a tracking plan of a sample of what a source sent: at most 20,000 events. What was sampled fits it; no values are in it but plain words that several people sent. Takes seconds on a long log.',
  })
  async inferTrackingPlan(
    @Ctx() { services, reads }: ApiContext,
    @Arg('source', () => String, { description: SOURCE_KEY }) key: string,
    @Arg('since', () => DateTime, { nullable: true, description: 'Sent then or later; default: in the last 7 days.' })
    since: number | null | undefined,
  ): Promise<TrackingPlanDraftType> {
    reads.countOnce('inferTrackingPlan');
    return services.plans.infer(key, { sinceMs: since ?? reads.nowMs - DEFAULT_INFERENCE_MS });
  }

  @Authorized('admin')
  @Mutation(() => Applied.type, {
    description:
      'Puts a tracking plan in force for the source that it names, everywhere within ten seconds. What is in force already is left alone.',
  })
  applyTrackingPlan(
    @Ctx() { services, principal }: ApiContext,
    @Arg('plan', () => String, {
      description: 'The plan as YAML or JSON, beginning with `tracking_plan: <key of the source>`.',
    })
    text: string,
    @Arg('dryRun', () => Boolean, { defaultValue: false, description: DRY_RUN }) isDryRun: boolean,
  ): Promise<unknown> {
    return Applied.attempt(async () =>
      changeView(await services.plans.applyText(text, { file: 'plan', by: nameOf(principal), isDryRun })),
    );
  }

  @Authorized('admin')
  @Mutation(() => Restored.type, {
    description: 'Puts an older version of a tracking plan in force, as a new version.',
  })
  restoreTrackingPlan(
    @Ctx() { services, principal }: ApiContext,
    @Arg('source', () => String, { description: SOURCE_KEY }) key: string,
    @Arg('version', () => Int, { description: 'The version to go back to.' }) version: number,
    @Arg('dryRun', () => Boolean, { defaultValue: false, description: DRY_RUN }) isDryRun: boolean,
  ): Promise<unknown> {
    return Restored.attempt(async () => {
      if (version < 1) throw new WeftError('NOT_FOUND', 'versions begin at 1', { where: 'version' });
      return changeView(await services.plans.restore(key, version, { by: nameOf(principal), isDryRun }));
    });
  }
}

const plans = new WeakMap<ApiContext, DataLoader<number, PlanVersion | null>>();

/** The plans of all the sources of an answer are read at once. */
function plansOf(context: ApiContext): DataLoader<number, PlanVersion | null> {
  let loader = plans.get(context);
  if (loader === undefined) {
    loader = new DataLoader(async (ids) => {
      const found = await new PlanReader(context.services.db).currentOf(ids);
      return ids.map((id) => found.get(id) ?? null);
    });
    plans.set(context, loader);
  }
  return loader;
}
