/**
 * A process that runs `weft load` on files, one after the other, and applies what it loads, to be killed at any moment
 * and started again.
 *
 *     node load-worker.js <database url> <file with a LoadPlan as JSON> <time, ms>
 *
 * Prints `ready` before the first load, a dot for each batch that the log has acknowledged, and `done` when everything
 * is loaded and applied.
 */
import { readFile } from 'node:fs/promises';
import { setImmediate, setTimeout } from 'node:timers/promises';
import { IdentityDecisionReader } from '../../src/identity/identity-decision.reader.js';
import { ManualClock } from '../../src/platform/clock.js';
import { WeftError } from '../../src/platform/errors.js';
import { createDataSource, Database } from '../../src/platform/postgres.js';
import type { LoadLimits } from '../../src/sources/load-feed.js';
import { loadCommand } from '../../src/sources/load.command.js';
import { LoadService } from '../../src/sources/load.service.js';
import { LoadStore } from '../../src/sources/load.store.js';
import { SourceEntity } from '../../src/sources/source.entity.js';
import { SourceService } from '../../src/sources/source.service.js';
import { SourceStore } from '../../src/sources/source.store.js';
import { unattendedEngine } from './unattended-engine.js';
import { NO_REVERTER, NO_REVERTS } from './no-reverter.js';

export interface LoadPlan {
  readonly limits: LoadLimits;
  /** Arguments of each `weft load`. */
  readonly commands: readonly (readonly string[])[];
}

const [url = '', planFile = '', time = ''] = process.argv.slice(2);
const plan = JSON.parse(await readFile(planFile, 'utf8')) as LoadPlan;
const clock = new ManualClock(Number(time));
const db = await Database.open(await createDataSource(url, { poolSize: 6, entities: [SourceEntity] }));
const engine = await unattendedEngine({
  db,
  clock,
  maxBatchEvents: 50,
  // What does not pass would be tried again for ever.
  retrying: (error) => {
    if (!(error instanceof WeftError && error.code === 'UNAVAILABLE')) throw error as Error;
  },
});
const loads = new LoadService({
  sources: new SourceService(new SourceStore(db.dataSource), clock),
  loads: new LoadStore(db),
  acceptor: {
    accept: async (source, events, options) => {
      const results = await engine.accept.accept(source, events, options);
      process.stdout.write('.');
      return results;
    },
  },
  checker: engine.accept,
  deadLetters: engine.deadLetters,
  identities: new IdentityDecisionReader(),
  db,
  clock,
  sleep: (ms) => setTimeout(ms),
  reverter: NO_REVERTER,
  stdin: process.stdin,
  limits: plan.limits,
});
engine.worker.start();
process.stdout.write('ready\n');
for (const args of plan.commands) {
  const command = loadCommand({
    withLoadService: (use) => use(loads),
    ...NO_REVERTS,
    stdin: process.stdin,
    withDryRun: (use) => use(loads),
    signal: new AbortController().signal,
    clock,
    stdout: { write: () => undefined },
    stderr: process.stderr,
    setExitCode: (code) => {
      if (code !== 0 && code !== 3) throw new Error(`weft load ended with ${String(code)}`);
    },
  });
  await command.parseAsync([...args, '--quiet'], { from: 'user' });
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
