/**
 * A process that runs `weft webhooks replay` and applies what comes of it, to be killed at any moment.
 *
 *     node replay-worker.js <database url> <time, ms> <stop: yes or no> <arguments of the command…>
 *
 * Prints `ready` before it begins, a dot for each page once its events are taken back, where it waits for ever if it is
 * to stop, and `done` with the result of the command at last.
 */
import { setTimeout } from 'node:timers/promises';
import { parseTimestamp } from '../../src/api/parse-timestamp.js';
import { ManualClock } from '../../src/platform/clock.js';
import { createDataSource, Database } from '../../src/platform/postgres.js';
import { webhooksCommand, type WebhooksCommandServices } from '../../src/sources/webhooks/webhooks.command.js';
import { SourceEntity } from '../../src/sources/source.entity.js';
import { replayDoors, webhooksOn } from './replay-builders.js';
import { unattendedEngine } from './unattended-engine.js';

const [url = '', time = '', stop = '', ...args] = process.argv.slice(2);
const clock = new ManualClock(Number(time));
const db = await Database.open(await createDataSource(url, { poolSize: 6, entities: [SourceEntity] }));
const engine = await unattendedEngine({ db, clock, maxBatchEvents: 50 });
const doors = replayDoors(engine);
const services: WebhooksCommandServices = {
  webhooks: webhooksOn(db, clock, engine).service,
  doors: {
    ...doors,
    takeBack: async (source, messageIds, guard) => {
      await doors.takeBack(source, messageIds, guard);
      process.stdout.write('.');
      while (stop === 'yes') await setTimeout(1_000);
    },
  },
};
const use = <T>(act: (with_: WebhooksCommandServices) => Promise<T>): Promise<T> => act(services);
engine.worker.start();
process.stdout.write('ready\n');
const command = webhooksCommand({
  withWebhooks: use,
  withNewDatabase: use,
  withReplay: use,
  stdin: process.stdin,
  clock,
  parseTime: parseTimestamp,
  signal: new AbortController().signal,
  stdout: { write: (text) => process.stdout.write(`done ${text}`) },
  stderr: process.stderr,
  setExitCode: (code) => {
    process.exitCode = code;
  },
});
await command.parseAsync(args, { from: 'user' });
await engine.worker.stop();
await engine.scorer.close();
await db.close();
