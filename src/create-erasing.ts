import { setTimeout as sleep } from 'node:timers/promises';
import { parseTimestamp } from './api/parse-timestamp.js';
import { ErasureChore, type ErasureObserver } from './erasure-chore.js';
import { DeadLetterErasureStore } from './events/dead-letter-erasure.store.js';
import { NO_SEALER } from './events/event-seal.model.js';
import type { RetractionStore } from './events/retraction.store.js';
import { ExportFolder } from './features/export-folder.js';
import type { CachedIdentifierPolicy } from './identity/identifier-policy.js';
import type { Clock } from './platform/clock.js';
import { LinkageModelStore } from './identity/matching/linkage-model.store.js';
import type { MatchingStore } from './identity/matching/matching.store.js';
import { TermHash } from './identity/matching/term-hash.js';
import { IdentityErasureStore } from './identity/identity-erasure.store.js';
import { NO_SECRET, type InstallationSecret } from './platform/installation-secret.js';
import type { Database } from './platform/postgres.js';
import { ErasureLedger } from './privacy/erasure-ledger.js';
import { ErasureService } from './privacy/erasure.service.js';
import { ErasureStore } from './privacy/erasure.store.js';
import type { KeyVault } from './privacy/key-vault.js';
import { SuppressionList } from './privacy/suppression-list.js';
import type { GroupStore } from './profiles/group.store.js';
import { ProfileReader } from './profiles/profile.reader.js';
import { ExportedRowStore } from './activation/exported-rows.store.js';
import { RemovedWordStore } from './profiles/removed-word.store.js';
import { DeliveryEraser } from './sources/webhooks/delivery-eraser.js';
import { TermKeyingChore } from './term-keying-chore.js';
import { TrainingSetEraser } from './training-set-eraser.js';

/** What erasing people needs. */
export interface ErasingOptions {
  readonly secret: InstallationSecret;
  /** What the log is sealed with; null: it is not. */
  readonly vault: KeyVault | null;
  /** The file that the ledger of erasures is in. */
  readonly ledgerPath: string;
  /** The folder that label files and training sets are kept in. */
  readonly exportsPath: string;
  /** The list of those who must not come back could not be read; it is tried again. */
  readonly onError: (error: unknown) => void;
}

/** Where nobody can be erased, for there is no secret. */
export const NO_ERASING: ErasingOptions = {
  secret: NO_SECRET,
  vault: null,
  ledgerPath: '',
  exportsPath: '',
  onError: () => undefined,
};

export interface ErasingParts extends ErasingOptions {
  readonly db: Database;
  readonly clock: Clock;
  readonly policy: CachedIdentifierPolicy;
  readonly retractions: RetractionStore;
  readonly matching: MatchingStore;
  readonly groups: GroupStore;
  /** Told when there are events to be taken back. */
  readonly onRetraction: () => void;
  readonly wakeWorker: () => void;
  readonly observer: ErasureObserver;
}

export interface Erasing {
  readonly service: ErasureService;
  readonly chore: ErasureChore;
  /** What stored models count of people is waited for by erasures. */
  readonly termKeying: TermKeyingChore;
}

/** Those who were erased, as the way in asks for them. */
export function createSuppressions(
  { secret, vault, onError }: ErasingOptions,
  { db, policy }: Pick<ErasingParts, 'db' | 'policy'>,
): SuppressionList {
  // What is remembered of raw identifiers is remembered of those who are erased, too, and so are their keys.
  const onChanged = (): void => {
    policy.forget();
    vault?.forget();
  };
  return new SuppressionList({ db, secret, policy, onChanged, onError });
}

/** Wires what erases people. */
export function createErasing(parts: ErasingParts): Erasing {
  const { secret, ledgerPath, wakeWorker } = parts;
  const profiles = new ProfileReader();
  const store = new ErasureStore();
  const models = new LinkageModelStore();
  const termKeying = new TermKeyingChore({ db: parts.db, models, terms: TermHash.of(secret) });
  const chore = new ErasureChore({
    ...parts,
    profiles,
    erasures: store,
    letters: new DeadLetterErasureStore(parts.vault ?? NO_SEALER),
    deliveries: new DeliveryEraser(secret),
    decisions: new IdentityErasureStore(parts.matching),
    words: new RemovedWordStore(),
    exported: new ExportedRowStore(parts.db),
    models,
    trainingSets: new TrainingSetEraser({
      ...parts,
      folder: new ExportFolder(parts.exportsPath, parts.db),
      parseTime: parseTimestamp,
      onLooked: () => {
        chore.stir();
        wakeWorker();
      },
    }),
    onPlainTerms: () => {
      termKeying.wake();
    },
    ledger: new ErasureLedger(ledgerPath),
  });
  const service = new ErasureService({
    ...parts,
    profiles,
    store,
    onRequested: () => {
      chore.wake();
      wakeWorker();
    },
    sleep: (ms, signal) => sleep(ms, undefined, signal === undefined ? {} : { signal }),
  });
  return { service, chore, termKeying };
}
