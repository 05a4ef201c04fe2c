/**
 * A process that resolves anew whom rules concern, in small steps, is killed at the first of them, and may be started again.
 *
 *     node revision-worker.js <database url> <time, ms> <before or after the commit; else: it is not killed>
 *
 * Prints the place where it is killed (`killed-database.ts`), or `done` when no revision is left.
 */
import { ManualClock } from '../../src/platform/clock.js';
import { createDataSource, Database } from '../../src/platform/postgres.js';
import { killedDatabase } from './killed-database.js';
import { unattendedEngine } from './unattended-engine.js';

const [url = '', time = '', place = ''] = process.argv.slice(2);
const own = await Database.open(await createDataSource(url, { poolSize: 4 }));
const db = place === 'before' || place === 'after' ? killedDatabase(own, place) : own;
const clock = new ManualClock(Number(time));
const limits = { maxRevisionComponents: 20, maxReanchoredEvents: 6, maxReanchoringReads: 12 };
const engine = await unattendedEngine({ db, clock, maxBatchEvents: 100, limits });
const isOpen = async (): Promise<boolean> =>
  (await own.query(`SELECT FROM identity_revisions WHERE status IN ('waiting', 'running') LIMIT 1`)).length > 0;
// A killed process holds its place for a moment, and what has to wait is looked at again later.
while (await isOpen()) if (!(await engine.worker.runOnce())) clock.advance(1_000);
await engine.worker.stop();
await engine.scorer.close();
await own.close();
process.stdout.write('done\n');
