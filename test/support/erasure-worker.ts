/**
 * A process that carries out what was asked for on a sealed installation, to be killed at any moment and started again.
 *
 *     node erasure-worker.js <database url> <database of keys> <ledger> <secret> <time, ms>
 *
 * Prints a dot before each round of its worker that does something, and `done` when nobody is left to be erased.
 */
import { ManualClock } from '../../src/platform/clock.js';
import { RootSecret } from '../../src/platform/installation-secret.js';
import { createDataSource, Database } from '../../src/platform/postgres.js';
import { KeyVault } from '../../src/privacy/key-vault.js';
import { unattendedEngine } from './unattended-engine.js';

const [url = '', keysUrl = '', ledgerPath = '', words = '', time = ''] = process.argv.slice(2);
const db = await Database.open(await createDataSource(url, { poolSize: 4 }));
const keys = await Database.open(await createDataSource(keysUrl, { poolSize: 2 }));
const secret = new RootSecret(Buffer.from(words));
const clock = new ManualClock(Number(time));
const engine = await unattendedEngine({
  db,
  clock,
  maxBatchEvents: 3,
  maxRetractionEvents: 2,
  erasing: {
    secret,
    vault: new KeyVault(keys, secret),
    ledgerPath,
    exportsPath: `${ledgerPath}.exports`,
    onError: (error) => {
      throw error as Error;
    },
  },
});
const isOpen = async (): Promise<boolean> =>
  (await db.query(`SELECT FROM erasures WHERE status IN ('waiting', 'running')`)).length > 0;
while (await isOpen()) {
  process.stdout.write('.');
  // A killed process holds its place for a moment, and what has to wait is looked at again later.
  while (!(await engine.worker.runOnce()) && (await isOpen())) clock.advance(1_000);
}
await engine.worker.stop();
await engine.scorer.close();
await db.close();
await keys.close();
process.stdout.write('done\n');
