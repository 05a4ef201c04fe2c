import pg from 'pg';
import { EmbeddedPostgres } from '../../src/platform/embedded-postgres.js';

/** Started by embedded-postgres.test.ts as a process of its own: starts the server, writes a row, waits. */
const server = await EmbeddedPostgres.start({
  dataDir: process.argv[2] ?? '',
  settings: { shared_buffers: '32MB' },
});
const client = new pg.Client({ connectionString: server.url });
await client.connect();
await client.query('CREATE TABLE written_elsewhere AS SELECT 7 AS n');
await client.end();
process.stdout.write(`${String(server.pid)}\n`);
setInterval(() => undefined, 60_000);
