import { execFile, spawn } from 'node:child_process';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { Redis } from 'ioredis';

const MIN_MAJOR = 7;
const START_TIMEOUT_MS = 10_000;

export interface RedisServer {
  readonly url: string;
  readonly port: number;
  stop(): Promise<void>;
}

/**
 * A private redis-server on a free port of this machine, without persistence. Null, after one line that says so, where
 * none of version 7 or newer is installed. `flags` are appended to its command line.
 */
export async function startRedisServer(folder: string, flags: readonly string[] = []): Promise<RedisServer | null> {
  const problem = await missing();
  if (problem !== null) {
    process.stdout.write(`Redis suites are skipped: ${problem} (scripts/setup-test-services.sh installs it)\n`);
    return null;
  }
  const port = await freePort();
  const options = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', folder];
  const child = spawn('redis-server', [...options, '--logfile', join(folder, `redis-${String(port)}.log`), ...flags], {
    stdio: 'ignore',
  });
  const exited = new Promise<void>((resolve) =>
    child.once('exit', () => {
      resolve();
    }),
  );
  await untilAnswering(port);
  return {
    url: `redis://127.0.0.1:${String(port)}`,
    port,
    stop: async () => {
      child.kill('SIGTERM');
      await exited;
    },
  };
}

async function missing(): Promise<string | null> {
  try {
    const { stdout } = await promisify(execFile)('redis-server', ['--version']);
    const major = Number.parseInt(/v=(\d+)/.exec(stdout)?.[1] ?? '0', 10);
    return major >= MIN_MAJOR ? null : `redis-server here is version ${String(major)}, ${String(MIN_MAJOR)} is needed`;
  } catch {
    return 'there is no redis-server on the PATH';
  }
}

async function untilAnswering(port: number): Promise<void> {
  const client = new Redis({ host: '127.0.0.1', port, retryStrategy: () => 20, maxRetriesPerRequest: null });
  client.on('error', () => undefined);
  const answer = client.ping().then(() => true);
  const answered = await Promise.race([answer, delay(START_TIMEOUT_MS, false, { ref: false })]);
  client.disconnect();
  if (!answered) throw new Error(`redis-server did not answer on port ${String(port)}`);
}

/** A port that nobody listens on right now, given by the system. */
async function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => {
        if (address !== null && typeof address === 'object') resolve(address.port);
        else reject(new Error('no free port'));
      });
    });
  });
}
