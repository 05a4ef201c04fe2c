import type { HistoricalFeatures } from './historical-features.js';
import type { Previewed } from './bounded-previews.js';
import type { PromotionAsk, PromotionPreview } from '../scoring/promotion-preview.model.js';
import type { SegmentPreview } from '../segments/segment-preview.model.js';
import type { PreviewAsk } from '../segments/segment-preview.service.js';
import type { ChangeFeedReader } from '../activation/change-feed.reader.js';
import type { ChangeHub } from '../activation/change-hub.js';
import type { EndpointService } from '../activation/endpoints/endpoint.service.js';
import type { ChangeSubscriptionService } from '../activation/change-subscription.service.js';
import type { EventAcceptor } from '../events/accept.model.js';
import type { DeadLetterService } from '../events/dead-letter.service.js';
import type { RetractionService } from '../events/retraction.service.js';
import type { AppliedWatch } from '../events/applied-watch.js';
import type { EventSealer } from '../events/event-seal.model.js';
import type { EventLog } from '../events/event-log.model.js';
import type { IdentifierPolicy } from '../events/event.model.js';
import type { DamagedItemService } from '../features/damaged-item.service.js';
import type { EntityRecordService } from '../features/entity-record.service.js';
import type { ExportFolder } from '../features/export-folder.js';
import type { FeatureDefinitionService } from '../features/feature.service.js';
import type { LabelFileService } from '../features/label-file.service.js';
import type { TrainingSetJobService } from '../features/training-set-job.service.js';
import type { VocabularyReader } from '../features/vocabulary.reader.js';
import type { FeatureReferenceService } from '../monitoring/feature-reference.service.js';
import type { MaterializationService } from '../features/materialization.service.js';
import type { NamespaceReader } from '../identity/namespace.reader.js';
import type { GenericValueService } from '../identity/generic-value.service.js';
import type { IdentityRulesPreviews } from '../identity/identity-rules-preview.service.js';
import type { IdentityRulesService } from '../identity/identity-rules.service.js';
import type { IdentityExplanationReader } from '../identity/identity-explanation.reader.js';
import type { IdentityReviewService } from '../identity/matching/identity-review.service.js';
import type { IdentityRevisionService } from '../identity/identity-revision.service.js';
import type { AuditLogReader } from '../audit/audit-log.reader.js';
import type { AuditRecorder } from '../audit/audit-recorder.js';
import type { Clock } from '../platform/clock.js';
import type { Uuid } from '../platform/ids.js';
import type { InstallationSecret } from '../platform/installation-secret.js';
import type { Database } from '../platform/postgres.js';
import type { PlanService } from '../plans/plan.service.js';
import type { ErasureService } from '../privacy/erasure.service.js';
import type { ProfileExports } from '../privacy/profile-export.model.js';
import type { ListService } from '../profiles/list.service.js';
import type { ConsentService } from '../profiles/consent.service.js';
import type { ProfileReader } from '../profiles/profile.reader.js';
import type { TraitDefinitionService } from '../profiles/trait-definition.service.js';
import type { BackgroundJobService } from '../schedules/background-job.service.js';
import type { ScheduleService } from '../schedules/schedule.service.js';
import type { ModelService } from '../scoring/model.service.js';
import type { GraphRunner } from '../scoring/graph-runner.js';
import type { ScoringBatcher } from '../scoring/scoring-batcher.js';
import type { ProfileGlance, ProfileSnapshot } from '../segments/profile-snapshot.model.js';
import type { IdentityPreviewer } from '../segments/identity-preview.model.js';
import type { MergeProposals } from '../segments/merge-proposal.service.js';
import type { SegmentSnapshot, SegmentSnapshotAsk } from '../segments/segment-snapshot.model.js';
import type { SegmentGuards } from '../segments/segment-guards.reader.js';
import type { SegmentService } from '../segments/segment.service.js';
import type { SegmentWorkService } from '../segments/segment-work.service.js';
import type { SourceService } from '../sources/source.service.js';
import type { TraitDeletionService } from '../profiles/trait-deletion.service.js';
import type { WebhookReceiver } from '../sources/webhooks/webhook-receiver.js';
import type { WebhookService } from '../sources/webhooks/webhook.service.js';
import type { ApiKeyService } from './auth/api-key.service.js';
import type { EdgeSigning } from './auth/edge-signing.js';
import type { StoredDocumentService } from './documents/stored-document.service.js';
import type { EdgeProfiles } from './edge/edge-profiles.js';
import type { Credentials } from './auth/credentials.js';
import type { RequestLimits } from './request-limits.js';

/** Profiles by id or identifier, many at once, in the order asked. */
export interface SnapshotSource {
  byIds(ids: readonly Uuid[]): Promise<(ProfileSnapshot | null)[]>;
  idsOf(identifierIds: readonly Uuid[]): Promise<(Uuid | null)[]>;
  byIdentifiers(identifierIds: readonly Uuid[]): Promise<(ProfileSnapshot | null)[]>;
  /** The profile of an identifier where it is in memory; undefined where somebody has to be asked. */
  atHand(identifierId: Uuid): ProfileGlance | undefined;
  /** The same, or as it was a moment ago where that memory does not count any more. */
  lastAtHand(identifierId: Uuid): ProfileGlance | undefined;
  /** As they are committed, past copies that may be behind by a moment. */
  committedByIdentifiers(identifierIds: readonly Uuid[]): Promise<(ProfileSnapshot | null)[]>;
}

/** What people ask of identities. */
interface IdentityAnswers {
  readonly generics: Pick<GenericValueService, 'page' | 'keep' | 'clear'>;
  readonly revisions: IdentityRevisionService;
  readonly previews: IdentityPreviewer;
  readonly rulesPreviews: Pick<IdentityRulesPreviews, 'preview'>;
  readonly explanations: IdentityExplanationReader;
}

/** What is asked of pairs that a model of record linkage cannot tell. */
interface MatchingAnswers {
  readonly reviews: IdentityReviewService;
}

/** What is asked of training sets that are made in the background. */
interface TrainingSetAnswers {
  readonly folder: ExportFolder;
  readonly labels: LabelFileService;
  readonly jobs: TrainingSetJobService;
}

/** What the composition root wires for the API. */
export interface WiredServices {
  readonly db: Database;
  readonly clock: Clock;
  readonly secret: InstallationSecret;
  readonly policy: IdentifierPolicy;
  readonly log: Pick<EventLog, 'readByAnchors' | 'appendedPos'>;
  readonly applied: AppliedWatch;
  readonly snapshots: SnapshotSource;
  readonly profiles: ProfileReader;
  readonly feed: ChangeFeedReader;
  readonly hub: ChangeHub;
  readonly changeSubscriptions: ChangeSubscriptionService;
  readonly endpoints: EndpointService;
  readonly batcher: ScoringBatcher;
  /** Asks models with tensors that are sent. */
  readonly graphs: GraphRunner;
  readonly accept: EventAcceptor;
  readonly letters: DeadLetterService;
  readonly retractions: RetractionService;
  readonly erasures: ErasureService;
  readonly sealer: EventSealer;
  readonly identity: IdentityAnswers;
  readonly matching: MatchingAnswers;
  readonly profileExports: ProfileExports;
  readonly sources: SourceService;
  readonly schedules: ScheduleService;
  readonly jobs: BackgroundJobService;
  readonly trainingSets: TrainingSetAnswers;
  readonly keys: ApiKeyService;
  /** Of all who may ask, by key or otherwise. */
  readonly credentials: Credentials;
  readonly webhooks: { readonly service: WebhookService; readonly receiver: WebhookReceiver };
  readonly segments: SegmentService;
  readonly segmentGuards: SegmentGuards;
  readonly mergeProposals: Pick<MergeProposals, 'all' | 'decline'>;
  /** Keeps members of a segment as a list. */
  readonly takeSnapshot: (lists: ListService, ask: SegmentSnapshotAsk) => Promise<SegmentSnapshot>;
  readonly segmentWork: SegmentWorkService;
  readonly segmentPreviews: Previewed<PreviewAsk, SegmentPreview>;
  readonly promotionPreviews: Previewed<PromotionAsk, PromotionPreview>;
  readonly features: FeatureDefinitionService;
  readonly historical: Pick<HistoricalFeatures, 'read'>;
  readonly models: ModelService;
  readonly traits: TraitDefinitionService;
  readonly identityRules: IdentityRulesService;
  readonly plans: PlanService;
  readonly audit: AuditRecorder;
  readonly auditLog: AuditLogReader;
  readonly limits: RequestLimits;
}

/** What the resolvers work with. */
export interface ApiServices extends WiredServices {
  readonly documents: StoredDocumentService;
  readonly edge: EdgeProfiles;
  readonly edgeSigning: EdgeSigning;
  readonly namespaces: NamespaceReader;
  readonly traitDeletion: TraitDeletionService;
  readonly consents: ConsentService;
  readonly lists: ListService;
  readonly entityRecords: EntityRecordService;
  readonly damagedItems: Pick<DamagedItemService, 'refold'>;
  readonly vocabulary: Pick<VocabularyReader, 'entries'>;
  readonly featureReferences: Pick<FeatureReferenceService, 'set' | 'remove'>;
  readonly materialization: Pick<MaterializationService, 'materialize'>;
}
