import type { IdentifierPolicy } from './events/event.model.js';
import type { AnchorStateStore } from './features/anchor-state.store.js';
import { ContestedComponentStore } from './identity/contested-component.store.js';
import { GenericValueService } from './identity/generic-value.service.js';
import { GenericValueStore } from './identity/generic-value.store.js';
import { IdentityDecisionReader } from './identity/identity-decision.reader.js';
import { IdentityExplanationReader } from './identity/identity-explanation.reader.js';
import { IdentityLinkStore } from './identity/identity-link.store.js';
import { IdentityRetractionStore } from './identity/identity-retraction.store.js';
import { IdentityRevisionService } from './identity/identity-revision.service.js';
import { IdentityRevisionStep, type IdentityRevisionOptions } from './identity/identity-revision.step.js';
import { IdentityRevisionStore } from './identity/identity-revision.store.js';
import { IdentityRulesPreviews } from './identity/identity-rules-preview.service.js';
import type { IdentityRules } from './identity/identity-rules.model.js';
import { IdentityStore } from './identity/identity.store.js';
import { RevisionDecider } from './identity/revision-decider.js';
import { IdentityPreviews } from './identity-preview.js';
import type { Clock } from './platform/clock.js';
import { newId } from './platform/ids.js';
import type { Database } from './platform/postgres.js';
import { ErasureStore } from './privacy/erasure.store.js';
import { ProfileReader } from './profiles/profile.reader.js';
import { MembershipStore } from './segments/membership.store.js';
import type { TimerStore } from './segments/timer.store.js';

/** What people ask of identities. */
export interface IdentityServices {
  readonly revisions: IdentityRevisionService;
  readonly generics: GenericValueService;
  readonly previews: IdentityPreviews;
  readonly rulesPreviews: IdentityRulesPreviews;
  readonly explanations: IdentityExplanationReader;
}

interface IdentityDependencies {
  readonly db: Database;
  readonly clock: Clock;
  readonly policy: IdentifierPolicy;
  /** Those in force, as far as this process knows. */
  readonly rules: () => IdentityRules;
  readonly partitions: number;
  readonly anchors: AnchorStateStore;
  readonly timers: TimerStore;
  /** Rows of evidence beyond which a component is contested; default: that of the pipeline. */
  readonly maxReplayRows?: number | undefined;
  /** Told of each revision that there is to do. */
  readonly onRequested: () => void;
  /** Rejects when the signal is aborted. */
  readonly sleep: (ms: number, signal: AbortSignal | undefined) => Promise<void>;
}

/** How identities are resolved, live and anew, and what decides on them. */
export interface IdentityParts {
  readonly resolving: Pick<
    IdentityRevisionOptions,
    'store' | 'links' | 'contested' | 'generics' | 'partitions' | 'newId' | 'maxReplayRows'
  >;
  readonly rules: () => IdentityRules;
  readonly revision: IdentityRevisionStep;
  readonly decider: RevisionDecider;
  readonly revisions: IdentityRevisionStore;
  readonly services: IdentityServices;
}

export function createIdentity(options: IdentityDependencies): IdentityParts {
  const { db, clock, policy, rules, partitions, anchors, timers, onRequested, sleep } = options;
  const stores = {
    store: new IdentityStore(),
    links: new IdentityLinkStore(),
    contested: new ContestedComponentStore(),
    generics: new GenericValueStore(),
  };
  const bounds = options.maxReplayRows === undefined ? {} : { maxReplayRows: options.maxReplayRows };
  const resolving = { ...stores, partitions, newId, ...bounds };
  const revision = new IdentityRevisionStep({ ...resolving, retractions: new IdentityRetractionStore() });
  const decisions = new IdentityDecisionReader();
  const erasures = new ErasureStore();
  const decider = new RevisionDecider({
    ...{ reader: decisions, policy, rules, newId },
    isBeingErased: (tx, ids) => erasures.names(tx, ids),
  });
  const revisions = new IdentityRevisionStore();
  const service = new IdentityRevisionService({ db, clock, revisions, decider, onRequested, sleep });
  return {
    resolving,
    rules,
    revision,
    decider,
    revisions,
    services: {
      revisions: service,
      generics: new GenericValueService({ db, clock, policy, generics: stores.generics, revisions: service }),
      previews: new IdentityPreviews({
        db,
        clock,
        decider,
        identity: revision,
        revisions: service,
        profiles: new ProfileReader(),
        anchors,
        memberships: new MembershipStore(),
        timers,
      }),
      rulesPreviews: new IdentityRulesPreviews({ db, clock, identity: revision, generics: stores.generics }),
      explanations: new IdentityExplanationReader({ db, decisions, rules }),
    },
  };
}
