import 'reflect-metadata';
import type { GraphQLSchema } from 'graphql';
import { buildSchemaSync, type PubSub } from 'type-graphql';
import { auditOperations } from './auditing.js';
import { AuditResolver } from './audit.resolver.js';
import { ChangeResolver } from './change.resolver.js';
import { ChangeSubscriptionResolver } from './change-subscription.resolver.js';
import { ConsentHistoryResolver, ConsentResolver } from './consent.resolver.js';
import { DeadLetterRepairResolver } from './dead-letter-repair.resolver.js';
import { DeadLetterResolver } from './dead-letter.resolver.js';
import { VocabularyResolver } from './vocabulary.resolver.js';
import { LineageResolver } from './lineage.resolver.js';
import { ListResolver } from './list.resolver.js';
import { LoadResolver } from './load.resolver.js';
import { resolveReadsDirectly } from './direct-resolvers.js';
import { DocumentResolver } from './document.resolver.js';
import { EdgeResolver } from './edge.resolver.js';
import { EntityRecordResolver } from './entity-record.resolver.js';
import { ErasureResolver } from './erasure.resolver.js';
import { FeatureDefinitionResolver, FeatureResolver, FeatureServiceResolver } from './feature.resolver.js';
import { FeatureMonitoringResolver } from './feature-monitoring.resolver.js';
import { FeatureReferenceResolver } from './feature-reference.resolver.js';
import { HistoricalFeaturesResolver } from './historical-features.resolver.js';
import { GroupResolver } from './group.resolver.js';
import { IdentityExplanationResolver } from './identity-explanation.resolver.js';
import { IdentityModelResolver } from './identity-model.resolver.js';
import { IdentityReviewResolver } from './identity-review.resolver.js';
import { IdentityResolver } from './identity.resolver.js';
import { IdentityRulesResolver } from './identity-rules.resolver.js';
import { IdentityUpkeepResolver } from './identity-upkeep.resolver.js';
import { IngestResolver } from './ingest.resolver.js';
import { KeyResolver } from './key.resolver.js';
import { MembershipExplanationResolver } from './membership-explanation.resolver.js';
import { ModelResolver } from './model.resolver.js';
import { PlanResolver } from './plan.resolver.js';
import { ProfileSearchResolver } from './profile-search.resolver.js';
import { ProfileResolver } from './profile.resolver.js';
import { maskPersonalData } from './personal.js';
import { enforceScopes } from './scopes.js';
import { ScheduleResolver } from './schedule.resolver.js';
import { TrainingSetResolver } from './training-set.resolver.js';
import { SegmentResolver } from './segment.resolver.js';
import { SegmentProposalResolver } from './segment-proposal.resolver.js';
import { SegmentOverlapResolver } from './segment-overlap.resolver.js';
import { SegmentHistoryResolver } from './segment-history.resolver.js';
import { SegmentRefreshResolver } from './segment-refresh.resolver.js';
import { PromotionPreviewResolver } from './promotion-preview.resolver.js';
import { SegmentPreviewResolver } from './segment-preview.resolver.js';
import { SegmentShadowResolver } from './segment-shadow.resolver.js';
import { SegmentTemplateResolver } from './segment-template.resolver.js';
import { SegmentJobResolver } from './segment-job.resolver.js';
import { SegmentWorkResolver } from './segment-work.resolver.js';
import { SourceActivityResolver } from './source-activity.resolver.js';
import { SourceResolver } from './source.resolver.js';
import { SourceRetentionResolver } from './source-retention.resolver.js';
import { StatisticsResolver } from './statistics.resolver.js';
import { TraitDetailsResolver, TraitHistoryResolver } from './trait-details.resolver.js';
import { TimelineResolver } from './timeline.resolver.js';
import { TraitResolver } from './trait.resolver.js';
import { UndeliveredChangeResolver, WebhookEndpointResolver } from './webhook-endpoint.resolver.js';
import { WebhookResolver } from './webhook.resolver.js';

/**
 * The schema of the API, with the scopes that its fields declare enforced: see `scopes.ts`.
 * @throws Error for a root field without a scope
 */
export function buildApiSchema(): GraphQLSchema {
  const schema = buildSchemaSync({
    resolvers: [
      ProfileResolver,
      GroupResolver,
      ProfileSearchResolver,
      TimelineResolver,
      SegmentResolver,
      SegmentPreviewResolver,
      ChangeResolver,
      ChangeSubscriptionResolver,
      FeatureDefinitionResolver,
      FeatureResolver,
      FeatureServiceResolver,
      FeatureMonitoringResolver,
      FeatureReferenceResolver,
      HistoricalFeaturesResolver,
      LineageResolver,
      VocabularyResolver,
      MembershipExplanationResolver,
      ModelResolver,
      PromotionPreviewResolver,
      IngestResolver,
      KeyResolver,
      SourceResolver,
      SegmentHistoryResolver,
      SegmentRefreshResolver,
      SegmentOverlapResolver,
      SegmentProposalResolver,
      SegmentShadowResolver,
      SegmentTemplateResolver,
      SegmentWorkResolver,
      SegmentJobResolver,
      SourceActivityResolver,
      SourceRetentionResolver,
      PlanResolver,
      DeadLetterResolver,
      DeadLetterRepairResolver,
      LoadResolver,
      ScheduleResolver,
      TrainingSetResolver,
      StatisticsResolver,
      TraitResolver,
      IdentityResolver,
      IdentityUpkeepResolver,
      IdentityRulesResolver,
      IdentityExplanationResolver,
      IdentityModelResolver,
      IdentityReviewResolver,
      TraitDetailsResolver,
      TraitHistoryResolver,
      ConsentResolver,
      ListResolver,
      ConsentHistoryResolver,
      WebhookResolver,
      WebhookEndpointResolver,
      UndeliveredChangeResolver,
      EdgeResolver,
      DocumentResolver,
      EntityRecordResolver,
      ErasureResolver,
      AuditResolver,
    ],
    validate: false,
    // Wanted by the library; every subscription here brings its own source.
    pubSub: NO_TOPICS,
    // Wanted by the library for `@Authorized`; `enforceScopes` is what asks, around whatever resolves.
    authChecker: () => true,
  });
  resolveReadsDirectly(schema);
  maskPersonalData(schema);
  enforceScopes(schema);
  auditOperations(schema);
  return schema;
}

const NO_TOPICS: PubSub = {
  publish: () => undefined,
  subscribe: (topic) => {
    throw new Error(`nothing is published under ${topic}`);
  },
};
