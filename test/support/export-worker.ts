/**
 * A process that runs `weft export training-set`, to be killed at any moment and started again.
 *
 *     node export-worker.js <database url> <time, ms> <rows kept at a time> <argument>…
 *
 * Ends with the command's exit code.
 */
import { createLabelReaders } from '../../src/create-label-readers.js';
import { parseTimestamp } from '../../src/api/parse-timestamp.js';
import { EventHistoryReader } from '../../src/events/event-history.reader.js';
import { exportCommand } from '../../src/features/export.command.js';
import { TrainingSetService } from '../../src/features/training-set.service.js';
import { DEFAULT_IDENTITY_RULES } from '../../src/identity/identity-rules.model.js';
import { IdentityHistoryReader } from '../../src/identity/identity-history.reader.js';
import { ManualClock } from '../../src/platform/clock.js';
import { createDataSource, Database } from '../../src/platform/postgres.js';
import { unattendedEngine } from './unattended-engine.js';

const [url = '', time = '', keptBlockRows = '', ...args] = process.argv.slice(2);
const clock = new ManualClock(Number(time));
const db = await Database.open(await createDataSource(url, { poolSize: 2 }));
const { policy } = await unattendedEngine({ db, clock, maxBatchEvents: 50 });
const events = new EventHistoryReader();
const identity = new IdentityHistoryReader({ rules: DEFAULT_IDENTITY_RULES, events });
const sets = new TrainingSetService({ db, clock, policy, identity, events, chunkRows: 10 });
const command = exportCommand({
  withTrainingSets: (use) => use(sets),
  withLabels: () => Promise.reject(new Error('no labels are made here')),
  withTables: () => Promise.reject(new Error('not asked for')),
  ...createLabelReaders(clock),
  keptBlockRows: Number(keptBlockRows),
  signal: new AbortController().signal,
  clock,
  parseTime: parseTimestamp,
  stdout: process.stdout,
  stderr: process.stderr,
  setExitCode: (code) => {
    process.exitCode = code;
  },
});
await command.parseAsync(['training-set', ...args], { from: 'user' });
await db.close();
