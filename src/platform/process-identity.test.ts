import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { expect, it } from 'vitest';
import { identityOf, isRunning, ownIdentity } from './process-identity.js';

it('knows a process while it runs, and not once it has ended', async () => {
  const child = spawn(process.execPath, ['-e', 'setInterval(() => undefined, 1000)']);
  const identity = await identityOf(child.pid ?? 0);
  expect(identity).toMatch(new RegExp(`^${String(child.pid)} \\S+$`));
  expect(await isRunning(`${String(identity)}\n`)).toBe(true);
  const exited = once(child, 'exit');
  child.kill('SIGKILL');
  await exited;
  expect(await isRunning(String(identity))).toBe(false);
  expect(await identityOf(child.pid ?? 0)).toBeNull();
});

it('takes no later process with the same id for the one that was meant', async () => {
  const [pid, mark] = (await ownIdentity()).split(' ');
  expect(await isRunning(`${String(pid)} ${String(mark)}`)).toBe(true);
  expect(await isRunning(`${String(pid)} ${String(mark)}1`)).toBe(false);
  expect(await isRunning(String(pid))).toBe(true);
});

it('takes an ended process that nobody waited for as gone', async () => {
  if (process.platform !== 'linux') return;
  // Before the child ends, the shell has become a program that waits for no child.
  const parent = spawn('sh', ['-c', 'sleep 0.5 & echo $!; exec sleep 60'], { stdio: ['ignore', 'pipe', 'inherit'] });
  try {
    const [line] = (await once(parent.stdout, 'data')) as [Buffer];
    const pid = Number(line.toString());
    await expect
      .poll(() => spawnSync('ps', ['-o', 'stat=', '-p', String(pid)]).stdout.toString(), {
        timeout: 10_000,
      })
      .toMatch(/^Z/);
    expect(await identityOf(pid)).toBeNull();
    expect(await isRunning(String(pid))).toBe(false);
  } finally {
    parent.kill('SIGKILL');
  }
});

it.each(['', '\n', '\0\0\0', 'garbage', '0', '-1', '12 34 56', '99999999999'])(
  'sees no process in %j',
  async (text) => {
    expect(await isRunning(text)).toBe(false);
  },
);
