/**
 * A process that folds events into items, in small steps, and is killed at the first of them.
 *
 *     node entity-fold-process.js <database url> <time, ms> <before or after the commit>
 *
 * Prints the place where it is killed (`killed-database.ts`), or `done` when nothing is left to be folded.
 */
import { readEntityFoldLag } from '../../src/features/entity-fold-lag.reader.js';
import { ManualClock } from '../../src/platform/clock.js';
import { createDataSource, Database } from '../../src/platform/postgres.js';
import { killedDatabase } from './killed-database.js';
import { unattendedEngine } from './unattended-engine.js';

const IS_STEP = /(?:UPDATE|INSERT INTO) entity_(?:folds|states|events)\b/;

const [url = '', time = '', place = ''] = process.argv.slice(2);
const own = await Database.open(await createDataSource(url, { poolSize: 4 }));
const db = killedDatabase(own, place === 'before' ? 'before' : 'after', IS_STEP);
const clock = new ManualClock(Number(time));
const engine = await unattendedEngine({ db, clock, maxBatchEvents: 100, limits: { maxBackfillEvents: 8 } });
// A killed process holds its place for a moment.
while (((await readEntityFoldLag(own))?.events ?? 0) > 0) await engine.worker.runOnce();
await engine.worker.stop();
await engine.scorer.close();
await own.close();
process.stdout.write('done\n');
