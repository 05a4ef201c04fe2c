/**
 * A process that loads a log and applies it, to be killed at any moment and started again.
 *
 *     node --import tsx crash-worker.ts <database url> <file with the steps as JSON> <time, ms>
 *
 * Prints `ready` once it works and `done` when everything is accepted and applied.
 */
import { readFile } from 'node:fs/promises';
import { setImmediate } from 'node:timers/promises';
import { createEngine } from '../../src/engine.js';
import { ManualClock } from '../../src/platform/clock.js';
import { createDataSource, Database } from '../../src/platform/postgres.js';
import type { LogStep } from './random-log.js';

const [url = '', file = '', time = ''] = process.argv.slice(2);
const steps = JSON.parse(await readFile(file, 'utf8')) as LogStep[];
const ignore = (): void => undefined;
const fail = (error: unknown): void => {
  throw error as Error;
};
const db = await Database.open(await createDataSource(url, { poolSize: 4 }));
const engine = await createEngine({
  db,
  clock: new ManualClock(Number(time)),
  onlineStore: () => ({
    putMany: () => Promise.resolve(),
    getMany: (keys) => Promise.resolve(keys.map(() => null)),
    deleteMany: () => Promise.resolve(),
  }),
  onlineStoreIsShared: true,
  observers: {
    accepted: ignore,
    duplicates: ignore,
    refused: ignore,
    deadLettersLost: (_, __, error) => {
      fail(error);
    },
    failed: fail,
    retrying: ignore,
    poisoned: (_, error) => {
      fail(error);
    },
    lagging: ignore,
    onRun: ignore,
  },
  onCommitted: ignore,
  limits: { maxBatchEvents: 3 },
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
