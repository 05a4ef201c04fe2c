/**
 * A process that resolves anew whom rules concern, in small steps, kills itself in the midst of one, and may be started
 * again.
 *
 *     node --import tsx revision-worker.ts <database url> <time, ms> <round to be killed in, 0: none>
 *
 * Prints `done` when no revision is left.
 */
import { setImmediate } from 'node:timers/promises';
import { ManualClock } from '../../src/platform/clock.js';
import { createDataSource, Database } from '../../src/platform/postgres.js';
import { unattendedEngine } from './unattended-engine.js';

const [url = '', time = '', killInRound = ''] = process.argv.slice(2);
/** Of the event loop, while which a round works on before it is killed: more than one round trip to the database. */
const TURNS = 300;
const db = await Database.open(await createDataSource(url, { poolSize: 4 }));
const clock = new ManualClock(Number(time));
const limits = { maxRevisionComponents: 1, maxReanchoredEvents: 2 };
const engine = await unattendedEngine({ db, clock, maxBatchEvents: 100, limits });
const isOpen = async (): Promise<boolean> =>
  (await db.query(`SELECT FROM identity_revisions WHERE status IN ('waiting', 'running') LIMIT 1`)).length > 0;
for (let round = 1; await isOpen();) {
  const working = engine.worker.runOnce();
  if (round === Number(killInRound)) {
    for (let turn = 0; turn < TURNS; turn++) await setImmediate();
    process.kill(process.pid, 'SIGKILL');
  }
  // A killed process holds its place for a moment, and what has to wait is looked at again later.
  if (await working) round++;
  else clock.advance(1_000);
}
await engine.worker.stop();
await engine.scorer.close();
await db.close();
process.stdout.write('done\n');
