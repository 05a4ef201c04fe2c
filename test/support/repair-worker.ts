/**
 * A process that replays dead letters and stops in the middle, to be killed there.
 *
 *     node repair-worker.js <database url> <time, ms> <before or after> <ids…>
 *
 * Prints `claimed` before or after the log has accepted the event of a letter, and waits for ever.
 */
import { setTimeout } from 'node:timers/promises';
import { createDeadLetters } from '../../src/create-dead-letters.js';
import type { EventAcceptor } from '../../src/events/accept.model.js';
import { ManualClock } from '../../src/platform/clock.js';
import { createDataSource, Database } from '../../src/platform/postgres.js';
import { SourceEntity } from '../../src/sources/source.entity.js';
import { SourceService } from '../../src/sources/source.service.js';
import { SourceStore } from '../../src/sources/source.store.js';
import { unattendedEngine } from './unattended-engine.js';

const [url = '', time = '', place = '', ...ids] = process.argv.slice(2);
const clock = new ManualClock(Number(time));
const db = await Database.open(await createDataSource(url, { poolSize: 6, entities: [SourceEntity] }));
const engine = await unattendedEngine({ db, clock, maxBatchEvents: 50 });
const stopping: EventAcceptor = {
  accept: async (...call) => {
    if (place === 'after') await engine.accept.accept(...call);
    process.stdout.write('claimed\n');
    for (;;) await setTimeout(1_000);
  },
};
const sources = new SourceService(new SourceStore(db.dataSource), clock);
await createDeadLetters(engine, sources, stopping, { db, clock }).replay(ids.map(Number));
