import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { Redis } from 'ioredis';
import { freePort } from './free-port.js';

const MIN_MAJOR = 7;
const START_TIMEOUT_MS = 10_000;
const USUAL_URL = 'redis://127.0.0.1:6379';

export interface RedisServer {
  readonly url: string;
  readonly port: number;
  stop(): Promise<void>;
}

/** True where redis-server is installed in version 7 or newer. */
export async function canStartRedis(): Promise<boolean> {
  try {
    const { stdout } = await promisify(execFile)('redis-server', ['--version']);
    return Number.parseInt(/v=(\d+)/.exec(stdout)?.[1] ?? '0', 10) >= MIN_MAJOR;
  } catch {
    return false;
  }
}

/**
 * A private redis-server on a free port of this machine, without persistence; null where none is installed.
 * `flags` are appended to its command line.
 */
export async function startRedisServer(folder: string, flags: readonly string[] = []): Promise<RedisServer | null> {
  if (!(await canStartRedis())) return null;
  const chosen = flags.indexOf('--port');
  const port = chosen === -1 ? await freePort() : Number(flags[chosen + 1]);
  const log = join(folder, `redis-${String(port)}.log`);
  const options = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'];
  const child = spawn('redis-server', [...options, '--dir', folder, '--logfile', log, ...flags], { stdio: 'ignore' });
  const exited = once(child, 'exit');
  const url = `redis://127.0.0.1:${String(port)}`;
  if (!(await answers(url, START_TIMEOUT_MS))) throw new Error(`redis-server did not answer on port ${String(port)}`);
  return {
    url,
    port,
    stop: async () => {
      child.kill('SIGTERM');
      await exited;
    },
  };
}

/** A Redis of version 7 or newer that runs already at the usual place. */
export async function findRunningRedis(): Promise<string | null> {
  if (!(await answers(USUAL_URL, 500))) return null;
  const client = new Redis(USUAL_URL);
  try {
    const version = /^redis_version:(\d+)/m.exec(await client.info('server'))?.[1] ?? '0';
    return Number(version) >= MIN_MAJOR ? USUAL_URL : null;
  } catch {
    return null;
  } finally {
    client.disconnect();
  }
}

/** An answer of any kind counts: a server with a password answers too. */
async function answers(url: string, timeoutMs: number): Promise<boolean> {
  const client = new Redis(url, { retryStrategy: () => 20, maxRetriesPerRequest: null });
  client.on('error', () => undefined);
  const answer = client.ping().then(
    () => true,
    (error: unknown) => error instanceof Error && error.message.startsWith('NOAUTH'),
  );
  const answered = await Promise.race([answer, delay(timeoutMs, false, { ref: false })]);
  client.disconnect();
  return answered;
}
