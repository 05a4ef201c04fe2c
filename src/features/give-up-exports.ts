import { WeftError } from '../platform/errors.js';
import type { Database } from '../platform/postgres.js';
import { SessionLease } from '../platform/session-lease.js';
import type { ExportFolder } from './export-folder.js';
import { TrainingSetJobStore, type ForgottenExports } from './training-set-job.store.js';
import { TRAINING_SET_LOCK } from './training-set-runner.js';

const GIVEN_UP = { code: 'NOT_FOUND', message: 'the folder of the files was lost; send the labels again' };

/**
 * Forgets all label files and training sets that the database tells of, whose folder is lost; the next folder that labels
 * are sent to becomes the one of the installation.
 * @throws WeftError CONFLICT where the folder is there, in this process or in one that works with it
 */
export async function giveUpExports(db: Database, folder: ExportFolder, nowMs: number): Promise<ForgottenExports> {
  if (await folder.isOurs()) throw notLost('this process has the folder');
  const lease = new SessionLease(db, TRAINING_SET_LOCK, () => undefined);
  if ((await lease.hold()) === 'elsewhere') throw notLost('a process that runs has the folder');
  try {
    const store = new TrainingSetJobStore(db);
    const forgotten = await store.forgetLost(null, nowMs, GIVEN_UP);
    await store.forgetFolder();
    return forgotten;
  } finally {
    await lease.close();
  }
}

function notLost(message: string): WeftError {
  return new WeftError('CONFLICT', `${message}, so it is not lost`, {
    where: 'weft export forget-folder',
    hint: 'remove label files that are not needed by removeLabelFile; they take their sets with them',
  });
}
