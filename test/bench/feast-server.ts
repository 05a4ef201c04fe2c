import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort } from '../support/free-port.js';

const SCRIPT = fileURLToPath(new URL('./serve_feast.py', import.meta.url));
const START_TIMEOUT_MS = 120_000;
const POLL_MS = 250;
/** Linux counts the time of processes in hundredths of a second. */
const TICK_MS = 10;

/** What Feast's server is to answer. */
export interface FeastValues {
  readonly join_key: string;
  /** Types by name. */
  readonly features: Readonly<Record<string, string>>;
  /** Values by column, the join key among them. */
  readonly rows: Readonly<Record<string, readonly unknown[]>>;
}

/** Feast's own feature server, in a group of processes of its own. */
export interface FeastServer {
  readonly url: string;
  /** CPU time of all of its processes until now; without that of Redis. */
  cpuMs(): Promise<number>;
  stop(): Promise<void>;
}

/** @param redisUrl as `redis://127.0.0.1:6379` */
export async function startFeastServer(
  python: string,
  { folder, redisUrl, values }: { readonly folder: string; readonly redisUrl: string; readonly values: FeastValues },
): Promise<FeastServer> {
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'values.json'), JSON.stringify(values));
  const port = String(await freePort());
  const child = spawn(python, [SCRIPT, folder, new URL(redisUrl).host, port], {
    detached: true,
    stdio: 'ignore',
    env: { ...process.env, FEAST_USAGE: 'False' },
  });
  const exited = once(child, 'exit');
  const group = child.pid ?? 0;
  const stop = async (): Promise<void> => {
    if (child.exitCode === null) process.kill(-group, 'SIGTERM');
    await exited;
  };
  const url = `http://127.0.0.1:${port}`;
  const deadlineMs = performance.now() + START_TIMEOUT_MS;
  while (!(await answers(`${url}/health`))) {
    if (child.exitCode !== null || performance.now() > deadlineMs) {
      await stop();
      throw new Error(`Feast's feature server did not start: ${python} ${SCRIPT}`);
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  return { url, cpuMs: () => cpuMsOfGroup(group), stop };
}

async function answers(url: string): Promise<boolean> {
  return (await fetch(url).catch(() => null))?.status === 200;
}

async function cpuMsOfGroup(group: number): Promise<number> {
  let ticks = 0;
  for (const pid of (await readdir('/proc').catch(() => [])).filter((name) => /^\d+$/.test(name))) {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
    // The name of the program, in brackets, may hold spaces.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    if (Number(fields[2]) !== group) continue;
    ticks += Number(fields[11] ?? 0) + Number(fields[12] ?? 0);
  }
  return ticks * TICK_MS;
}
