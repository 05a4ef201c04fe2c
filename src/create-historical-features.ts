import { HistoricalFeatures } from './api/historical-features.js';
import type { Engine } from './engine.js';
import { EventHistoryReader } from './events/event-history.reader.js';
import { TrainingSetService } from './features/training-set.service.js';
import { IdentityHistoryReader } from './identity/identity-history.reader.js';
import type { Clock } from './platform/clock.js';
import type { Database } from './platform/postgres.js';
import { FEATURE_EXPRESSIONS } from './segments/feature-expression.js';

/** A statement of theirs ends by itself when nobody waits any more. */
const STATEMENT_TIMEOUT = '30s';

export function createHistoricalFeatures(
  { policy, sealer }: Pick<Engine, 'policy' | 'sealer'>,
  { db, clock }: { readonly db: Database; readonly clock: Clock },
): HistoricalFeatures {
  return new HistoricalFeatures(() => {
    const events = new EventHistoryReader(sealer, STATEMENT_TIMEOUT);
    const identity = new IdentityHistoryReader({ rules: policy.rules, events });
    return new TrainingSetService({ db, clock, policy, language: FEATURE_EXPRESSIONS, events, identity });
  });
}
