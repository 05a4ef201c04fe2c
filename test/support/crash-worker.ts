/**
 * A process that loads a log and applies it, to be killed at any moment and started again.
 *
 *     node crash-worker.js <database url> <file with the steps as JSON> <time, ms>
 *
 * Prints `ready` once it works and `done` when everything is accepted and applied.
 */
import { readFile } from 'node:fs/promises';
import { setImmediate } from 'node:timers/promises';
import { ManualClock } from '../../src/platform/clock.js';
import { createDataSource, Database } from '../../src/platform/postgres.js';
import type { LogStep } from './random-log.js';
import { unattendedEngine } from './unattended-engine.js';

const [url = '', file = '', time = ''] = process.argv.slice(2);
const steps = JSON.parse(await readFile(file, 'utf8')) as LogStep[];
const db = await Database.open(await createDataSource(url, { poolSize: 4 }));
const engine = await unattendedEngine({
  db,
  clock: new ManualClock(Number(time)),
  maxBatchEvents: 3,
});
engine.worker.start();
process.stdout.write('ready\n');
for (const { events, historical } of steps) {
  await engine.accept.accept({ id: 1, key: 'web' }, events, { historical });
}
const { pos } = await engine.log.head();
for (;;) {
  const [row] = await db.query<{ pos: number }>('SELECT min(applied_pos) AS pos FROM partitions');
  if ((row?.pos ?? 0) >= pos) break;
  await setImmediate();
}
await engine.worker.stop();
await engine.scorer.close();
await db.close();
process.stdout.write('done\n');
