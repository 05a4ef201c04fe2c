import { createScorer } from './create-scorer.js';
import type { DefinitionsLoader } from './definitions.js';
import { AnchorStateStore } from './features/anchor-state.store.js';
import type { Clock } from './platform/clock.js';
import type { Database } from './platform/postgres.js';
import { ProfileReader } from './profiles/profile.reader.js';
import { PromotionPreviews } from './promotion-preview.js';
import type { ModelService } from './scoring/model.service.js';
import type { ScoringObserver } from './scoring/scoring-observer.model.js';
import { MembershipStore } from './segments/membership.store.js';

export interface PromotionPreviewerParts {
  readonly db: Database;
  readonly clock: Clock;
  readonly definitions: Pick<DefinitionsLoader, 'current' | 'isCurrent' | 'invalidate'>;
  readonly models: Pick<ModelService, 'promotable'>;
  /** Told of what the version that is tried does. */
  readonly observer: ScoringObserver;
}

export function createPromotionPreviews({
  db,
  clock,
  definitions,
  models,
  observer,
}: PromotionPreviewerParts): PromotionPreviews {
  return new PromotionPreviews({
    ...{ db, clock },
    promotable: (key, version) => models.promotable(key, version),
    definitions: async () => {
      if (!(await definitions.isCurrent())) definitions.invalidate();
      return definitions.current();
    },
    createScorer: () => createScorer(db, observer),
    ...{ profiles: new ProfileReader(), anchors: new AnchorStateStore(), memberships: new MembershipStore() },
  });
}
