import { randomInt } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Chores } from './chores.js';
import type { ChoreObserver } from './chore-turns.js';
import { ContestedChore, type ContestedObserver } from './contested-chore.js';
import { BlockedRevision } from './blocked-revision.js';
import { ReanchoringFinder } from './reanchoring-finder.js';
import { DecisionRevision } from './decision-revision.js';
import { GenericLookStore } from './identity/generic-look.store.js';
import { GenericRevision } from './generic-revision.js';
import type { EngineLimits } from './engine-limits.js';
import { GroupChore } from './group-chore.js';
import { GroupKnowledge } from './group-knowledge.js';
import { createDefinitionServices, type DefinitionServices } from './definition-changes.js';
import { createIdentity, type IdentityParts, type IdentityServices } from './create-identity.js';
import { createMatching, type Matching, type MatchingServices } from './create-matching.js';
import { createScorer } from './create-scorer.js';
import { createErasing, createSuppressions, NO_ERASING, type ErasingOptions } from './create-erasing.js';
import { DefinitionsLoader } from './definitions.js';
import type { ErasureObserver } from './erasure-chore.js';
import type { PassedOverObserver } from './events/damaged-rows.model.js';
import { AcceptService, type AcceptObserver } from './events/accept.service.js';
import { notingDamage } from './events/damaged-row.store.js';
import { DeadLetterStore } from './events/dead-letter.store.js';
import type { EventEnrichers } from './events/enrichment.model.js';
import type { EventPlans } from './events/event-plan.model.js';
import { PostgresEventLog } from './events/event-log.postgres.js';
import { NO_SEALER, type EventSealer } from './events/event-seal.model.js';
import { PartitionLeases } from './events/partition-lease.store.js';
import { RetractionService } from './events/retraction.service.js';
import { RetentionStore } from './events/retention.store.js';
import { RetractionStore } from './events/retraction.store.js';
import { AnchorStateStore } from './features/anchor-state.store.js';
import { StreamBackfillStore } from './features/stream-backfill.store.js';
import { CachedIdentifierPolicy } from './identity/identifier-policy.js';
import { IdentityRulesReader, type RulesInForce } from './identity/identity-rules.reader.js';
import { IdentityStep } from './identity/identity.step.js';
import type { BatchResult } from './pipeline-transaction.js';
import { Pipeline } from './pipeline.js';
import type { Clock } from './platform/clock.js';
import type { Database } from './platform/postgres.js';
import { GroupStore } from './profiles/group.store.js';
import type { OnlineStore } from './profiles/online-store.model.js';
import { ProfileSearchStore } from './profiles/profile-search.store.js';
import { RemovedWordStore } from './profiles/removed-word.store.js';
import { TraitConflictStore } from './profiles/trait-conflict.store.js';
import { TraitRefoldStore } from './profiles/trait-refold.store.js';
import type { ErasureService } from './privacy/erasure.service.js';
import { ErasureStore } from './privacy/erasure.store.js';
import type { SuppressionList } from './privacy/suppression-list.js';
import { ProfileReader } from './profiles/profile.reader.js';
import { PublicationStore, type PublicationObserver } from './publication.store.js';
import { ScoreTally } from './scoring/score-tally.js';
import type { Scorer } from './scoring/scorer.js';
import type { ScoringObserver } from './scoring/scoring-observer.model.js';
import { SearchIndexChore } from './search-index-chore.js';
import { EntityFoldChore, type EntityFoldObserver } from './entity-fold-chore.js';
import { EntityRecordChore } from './entity-record-chore.js';
import { EntityEventStore } from './features/entity-event.store.js';
import { EntityRecordStore } from './features/entity-record.store.js';
import { RetentionChore } from './retention-chore.js';
import { SealingChore } from './sealing-chore.js';
import { RetractionChore } from './retraction-chore.js';
import { RevisionChore } from './revision-chore.js';
import { MembershipStore } from './segments/membership.store.js';
import { RecomputeStore } from './segments/recompute.store.js';
import type { SegmentWorkService } from './segments/segment-work.service.js';
import { createRecomputes } from './create-recomputes.js';
import { TimerStore } from './segments/timer.store.js';
import { TraitRefoldChore } from './trait-refold-chore.js';
import { Worker, type WorkerObserver } from './worker.js';
import { WorkingSet } from './working-set.js';

export interface EngineOptions {
  readonly db: Database;
  readonly clock: Clock;
  /** Asked for at each use: it may be replaced. */
  readonly onlineStore: () => OnlineStore;
  /** True where the online store outlives this process and others read it. */
  readonly onlineStoreIsShared: boolean;
  /** Given where the worker has to be the only one; see `LeaseOptions`. */
  readonly onAlone?: (isAlone: boolean) => void;
  readonly observers: AcceptObserver &
    PublicationObserver &
    WorkerObserver &
    ContestedObserver &
    EntityFoldObserver &
    ChoreObserver &
    ErasureObserver &
    PassedOverObserver &
    ScoringObserver;
  readonly onCommitted: (result: BatchResult) => void;
  readonly limits?: Partial<EngineLimits>;
  /** Default: no source has one. */
  readonly plans?: EventPlans;
  /** Default: nothing is found out about events. */
  readonly enrichers?: EventEnrichers;
  /** Default: nobody can be erased. */
  readonly erasing?: ErasingOptions;
}

/** The write side: what takes events in and what applies them. Holds no listening socket. */
export interface Engine {
  readonly log: PostgresEventLog;
  readonly policy: CachedIdentifierPolicy;
  readonly accept: AcceptService;
  readonly deadLetters: DeadLetterStore;
  readonly retractions: RetractionService;
  readonly identity: IdentityServices;
  readonly matching: MatchingServices;
  readonly erasures: ErasureService;
  /** What is done about segments behind live traffic. */
  readonly segmentWork: SegmentWorkService;
  /** Those who were erased; to be started before anything is accepted. */
  readonly suppressions: SuppressionList;
  /** What payloads of the log are sealed with. */
  readonly sealer: EventSealer;
  readonly definitions: DefinitionsLoader;
  readonly services: DefinitionServices;
  readonly scorer: Scorer;
  /** What models say of whom the worker evaluates. */
  readonly scores: ScoreTally;
  readonly worker: Worker;
}

/** Reads `installation` and wires the write side over one database; starts nothing. */
export async function createEngine(options: EngineOptions): Promise<Engine> {
  const { db, clock, observers, limits = {} } = options;
  const partitions = await partitionCount(db);
  const { policy, renewPolicy } = await createPolicy(db);
  const erasing = options.erasing ?? NO_ERASING;
  const sealer = erasing.vault ?? NO_SEALER;
  const suppressions = createSuppressions(erasing, { db, policy });
  const log = new PostgresEventLog(db, clock, partitions, {}, { suppressions, sealer });
  const deadLetters = new DeadLetterStore(suppressions, sealer);
  const scorer = createScorer(db, observers, limits.modelRunTimeoutMs);
  const scores = new ScoreTally();
  const onRules = (inForce: RulesInForce): void => {
    policy.use(inForce.rules, inForce.former);
  };
  const definitions = new DefinitionsLoader(db, scorer, onRules, erasing.secret, scores);
  const leases = new PartitionLeases(db, randomInt(1, 2 ** 31 - 1), {
    ...(options.onAlone === undefined ? {} : { onAlone: options.onAlone }),
  });
  const stores = createStores(sealer);
  const wakeRevisions = (): void => {
    aside.revisionChore.wake();
    worker.wake();
  };
  const identity = createIdentity({
    ...stores,
    ...{ db, clock, policy, partitions },
    rules: () => policy.rules,
    maxReplayRows: options.limits?.maxReplayRows,
    onRequested: wakeRevisions,
    sleep: sleeping,
  });
  const matching = createMatching({
    ...{ db, clock, identity },
    secret: erasing.secret,
    ...(limits.maxBlockRecords === undefined ? {} : { maxBlockRecords: limits.maxBlockRecords }),
    wakeWorker: () => {
      worker.wake();
    },
  });
  const pipeline = createPipeline(options, {
    ...{ identity, matching, log, leases },
    ...stores,
    onNews: () => {
      aside.groupChore.wake();
    },
  });
  const applying = { db, clock, log, leases, pipeline, timers: stores.timers };
  const noting = { ...options, observers: notingDamage(db, clock, observers) };
  const aside = createAside(noting, {
    ...applying,
    ...stores,
    identity,
    matching,
    erasing,
    sealer,
    policy,
    definitions,
    wakeWorker: () => {
      worker.wake();
    },
  });
  const { chores } = aside;
  const worker = new Worker({ ...applying, deadLetters, definitions, chores, observer: observers, limits });
  const { plans, enrichers } = options;
  const checks = { ...(plans === undefined ? {} : { plans }), ...(enrichers === undefined ? {} : { enrichers }) };
  return {
    log,
    policy,
    accept: new AcceptService({ renewPolicy, log, policy, deadLetters, db, clock, observer: observers, ...checks }),
    deadLetters,
    ...aside.services,
    identity: identity.services,
    matching: matching.services,
    suppressions,
    sealer,
    definitions,
    services: createDefinitionServices(
      db,
      clock,
      { revisions: identity.services.revisions, onApplied: () => renewPolicy().then(wakeRevisions) },
      erasing.secret,
    ),
    scorer,
    scores,
    worker,
  };
}

function createStores(sealer: EventSealer): Stores {
  return {
    anchors: new AnchorStateStore(),
    timers: new TimerStore(),
    retractions: new RetractionStore(sealer),
    groups: new GroupStore(),
    entityRecords: new EntityRecordStore(),
  };
}

/** By the rules in force, and what brings it up to those that are in force later. */
async function createPolicy(db: Database) {
  const { rules, former } = await new IdentityRulesReader(db).inForce();
  const policy = new CachedIdentifierPolicy(rules, { former });
  const renewPolicy = async (): Promise<void> => {
    const inForce = await new IdentityRulesReader(db).inForce();
    policy.use(inForce.rules, inForce.former);
  };
  return { policy, renewPolicy };
}

interface AsideParts extends Stores {
  readonly db: Database;
  readonly clock: Clock;
  readonly log: PostgresEventLog;
  readonly leases: PartitionLeases;
  readonly pipeline: Pipeline;
  readonly identity: IdentityParts;
  readonly matching: Matching;
  readonly erasing: ErasingOptions;
  readonly sealer: EventSealer;
  readonly policy: CachedIdentifierPolicy;
  readonly definitions: DefinitionsLoader;
  readonly wakeWorker: () => void;
}

/** What resolves anew whomever a decision, rules or values that many people share concern. */
function createRevisions(
  parts: AsideParts,
  observer: WorkerObserver & PassedOverObserver,
  limits: Partial<EngineLimits>,
): RevisionChore {
  const own = { ...parts, ...parts.identity };
  const resolving = { ...own, ...parts.identity.resolving };
  const bounds = { maxStepEvents: limits.maxReanchoredEvents, maxStepReads: limits.maxReanchoringReads };
  const finder = new ReanchoringFinder({ ...resolving, ...bounds, observer });
  const valueParts = { ...resolving, finder, erasures: new ErasureStore() };
  const generic = new GenericRevision({ ...valueParts, looks: new GenericLookStore() });
  return new RevisionChore({
    ...own,
    decisions: new DecisionRevision({ ...own, generic }),
    generic,
    blocked: new BlockedRevision({ ...valueParts, maxBlockedValues: limits.maxBlockedValues }),
    observer,
    ...(limits.maxRevisionComponents === undefined ? {} : { maxStepComponents: limits.maxRevisionComponents }),
  });
}

/** What workers do between batches, and the services by which it is asked for. */
function createAside({ observers, limits = {} }: EngineOptions, parts: AsideParts) {
  const { db, clock, policy, retractions, timers, anchors, definitions, wakeWorker } = parts;
  const erasures = createErasing({
    ...parts.erasing,
    db,
    clock,
    policy,
    retractions,
    matching: parts.matching.store,
    groups: parts.groups,
    onRetraction: () => {
      retractionChore.wake();
    },
    wakeWorker,
    observer: observers,
  });
  const retractionChore = new RetractionChore({
    ...parts,
    personOf: (id) => erasures.chore.personOf(id),
    observer: observers,
    ...(limits.maxRetractionEvents === undefined ? {} : { maxStepEvents: limits.maxRetractionEvents }),
  });
  const revisionChore = createRevisions(parts, observers, limits);
  const contested = new ContestedChore({
    ...parts,
    ...parts.identity.resolving,
    matching: parts.matching.marks,
    observer: observers,
    ...(limits.maxReplayRows === undefined ? {} : { maxReplayRows: limits.maxReplayRows }),
  });
  const traitRefolds = new TraitRefoldChore({
    ...parts,
    observer: observers,
    refolds: new TraitRefoldStore(),
    ...(limits.maxRefoldAnchors === undefined ? {} : { maxStepAnchors: limits.maxRefoldAnchors }),
  });
  const groupChore = new GroupChore({
    ...parts,
    refolds: new TraitRefoldStore(),
    ...(limits.maxToldMembers === undefined ? {} : { maxStepMembers: limits.maxToldMembers }),
  });
  const recomputes = createRecomputes(parts, limits.maxRecomputedProfiles);
  const chores = new Chores({
    ...parts,
    anchors,
    backfills: new StreamBackfillStore(),
    timers,
    ...{ retractions: retractionChore, revisions: revisionChore, contested, traitRefolds },
    searchIndex: new SearchIndexChore({ ...parts, maxProfiles: limits.maxIndexedProfiles }),
    ...{ groups: groupChore, recomputes: recomputes.chore },
    matching: parts.matching.createChore(parts),
    erasures: erasures.chore,
    termKeying: erasures.termKeying,
    sealing: new SealingChore({ db, clock, sealer: parts.sealer }),
    retention: new RetentionChore({
      ...{ ...parts, store: new RetentionStore(parts.sealer), words: new RemovedWordStore(), observer: observers },
      onRetraction: () => {
        retractionChore.wake();
      },
      ...(limits.maxRetentionStep === undefined ? {} : { maxStep: limits.maxRetentionStep }),
    }),
    entityFolds: new EntityFoldChore({
      ...{ ...parts, observer: observers, store: new EntityEventStore() },
      backfills: new StreamBackfillStore(),
      ...(limits.maxBackfillEvents === undefined ? {} : { maxStepEvents: limits.maxBackfillEvents }),
    }),
    entityRecords: new EntityRecordChore({ db, clock, records: parts.entityRecords }),
    observer: observers,
    invalidate: () => {
      definitions.invalidate();
    },
    ...(limits.maxBackfillEvents === undefined ? {} : { maxBackfillEvents: limits.maxBackfillEvents }),
  });
  const services = {
    retractions: new RetractionService({
      db,
      clock,
      retractions,
      onRequested: () => {
        retractionChore.wake();
        wakeWorker();
      },
      sleep: sleeping,
    }),
    erasures: erasures.service,
    segmentWork: recomputes.service,
  };
  return { chores, services, revisionChore, groupChore };
}

function sleeping(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return sleep(ms, undefined, signal === undefined ? {} : { signal });
}

interface Stores {
  readonly anchors: AnchorStateStore;
  readonly timers: TimerStore;
  readonly retractions: RetractionStore;
  readonly groups: GroupStore;
  readonly entityRecords: EntityRecordStore;
}

interface PipelineWiring {
  readonly identity: IdentityParts;
  readonly matching: Matching;
  readonly log: PostgresEventLog;
  readonly leases: PartitionLeases;
  readonly onNews: () => void;
}

/** All stages of the micro-batch. */
function createPipeline(
  { db, clock, observers, limits = {}, ...options }: EngineOptions,
  { identity, matching, log, leases, anchors, timers, retractions, groups, onNews }: Stores & PipelineWiring,
): Pipeline {
  return new Pipeline({
    ...{ db, clock, log, leases },
    identity: new IdentityStep({
      ...identity.resolving,
      rules: identity.rules(),
      ...(limits.maxCachedIdentifiers === undefined ? {} : { maxCachedIdentifiers: limits.maxCachedIdentifiers }),
    }),
    workingSet: new WorkingSet(
      {
        profiles: new ProfileReader(),
        anchors,
        memberships: new MembershipStore(),
        timers,
        search: new ProfileSearchStore(),
      },
      limits.maxCachedProfiles,
    ),
    timers,
    publications: new PublicationStore(options.onlineStore, options.onlineStoreIsShared, observers),
    traitConflicts: new TraitConflictStore(),
    groups: new GroupKnowledge(groups, onNews),
    revision: {
      retractions,
      identity: identity.revision,
      anchors,
    },
    matching: matching.marks,
    recomputes: new RecomputeStore(),
    onCommitted: options.onCommitted,
  });
}

async function partitionCount(db: Database): Promise<number> {
  const [row] = await db.query<{ partitions: number }>('SELECT partitions FROM installation');
  if (row === undefined) throw new Error('the installation has no row');
  return row.partitions;
}
