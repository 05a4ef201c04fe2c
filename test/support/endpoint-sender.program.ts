/** A process that sends changes to the endpoints of a database until it is killed. Arguments: URL, secret. */
import { createEndpoints } from '../../src/create-endpoints.js';
import { NO_SEALER } from '../../src/events/event-seal.model.js';
import { systemClock } from '../../src/platform/clock.js';
import { RootSecret } from '../../src/platform/installation-secret.js';
import { createDataSource, Database } from '../../src/platform/postgres.js';

const [url = '', secret = ''] = process.argv.slice(2);
const db = await Database.open(await createDataSource(url));
const { runner } = createEndpoints({
  db,
  clock: systemClock,
  secret: new RootSecret(Buffer.from(secret)),
  networks: ['127.0.0.0/8'],
  persons: () => Promise.resolve(new Map()),
  sealer: NO_SEALER,
  random: () => 0.5,
  observer: { attempted: () => undefined, skipped: () => undefined, died: () => undefined, paused: () => undefined },
  onError: (error) => {
    process.stderr.write(`${String(error)}\n`);
  },
});
runner.start();
process.stdout.write('ready\n');
setInterval(() => undefined, 1_000);
