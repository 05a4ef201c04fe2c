import { setTimeout as sleep } from 'node:timers/promises';
import type { Config } from './config.js';
import type { ErasingOptions } from './create-erasing.js';
import type { Clock } from './platform/clock.js';
import type { InstallationSecret } from './platform/installation-secret.js';
import type { Lifecycle } from './platform/lifecycle.js';
import { Periodic } from './platform/periodic.js';
import type { Database } from './platform/postgres.js';
import type { RepeatedLog } from './platform/repeated-log.js';
import { Compactor } from './privacy/compactor.js';
import { startVault } from './start-vault.js';

const LOOK_EVERY_MS = 15 * 60_000;

export interface PrivacyParts {
  readonly lifecycle: Lifecycle;
  readonly config: Config;
  readonly db: Database;
  readonly clock: Clock;
  readonly secret: InstallationSecret;
  readonly log: RepeatedLog;
}

export interface Privacy {
  readonly erasing: ErasingOptions;
  readonly compactor: Compactor;
  /** From now on erasures and sealed traits do not wait longer than configured for the tables to be written anew. */
  compactInTime(): Promise<void>;
}

/** Starts what seals events and erases people. */
export async function startPrivacy({ lifecycle, config, db, clock, secret, log }: PrivacyParts): Promise<Privacy> {
  const vault = await startVault({ lifecycle, config, db, secret });
  const { erasureLedger: ledgerPath, exportsPath, backupHorizonMs, compactAfterMs } = config;
  const compactor = new Compactor({ db, clock, sleep, vault, backupHorizonMs });
  const look = async (): Promise<void> => {
    const since = await compactor.waitingSince();
    if (since !== null && clock.now() - since >= compactAfterMs) await compactor.run();
    else await compactor.settle();
  };
  return {
    compactor,
    erasing: {
      secret,
      vault,
      ledgerPath,
      exportsPath,
      onError: (error) => {
        log.warn(
          error,
          'the list of those who were erased, or files that may name them, could not be read; it is tried again',
        );
      },
    },
    compactInTime: async () => {
      const onError = (error: unknown): void => {
        log.warn(error, 'tables could not be written anew after erasures or sealing; it is tried again');
      };
      await lifecycle.start(
        'compaction',
        () => {
          const periodic = new Periodic(look, LOOK_EVERY_MS, onError);
          periodic.start();
          return periodic;
        },
        { drain: (periodic) => periodic.stop() },
      );
    },
  };
}
