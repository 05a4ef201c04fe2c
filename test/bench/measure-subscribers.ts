import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { ProgramCalls } from './program-calls.js';
import { figure, percentile, type Figure, type Section } from './report.js';
import type { Ready, ServerProcess } from './server-process.js';

export interface SubscriberOptions {
  readonly subscribers: number;
  readonly changes: number;
  readonly rounds: number;
  /** Where a profile of the server is written; null: none is made. */
  readonly profileTo: string | null;
}

export interface CrowdOptions extends Pick<Ready, 'url' | 'writeKey' | 'readKey'> {
  readonly subscribers: number;
}

/** One change at all subscribers. */
export interface Told {
  /** From the 200 for its event to each of them, ms. */
  readonly delaysMs: readonly number[];
  /** Of the process that all of them are in, from the event to the last. */
  readonly cpuMs: number;
}

/** What `crowd.program.ts` does. */
export interface CrowdCalls {
  open(): Promise<void>;
  tell(): Promise<Told>;
}

const PROGRAM = fileURLToPath(new URL('./crowd.program.ts', import.meta.url));
const SPACING_MS = 1_000;
const US_PER_MS = 1_000;

/** From an event that is acknowledged to the change that it causes, at each of very many subscribers. */
export async function measureSubscribers(
  host: Ready & { readonly server: ServerProcess },
  { subscribers, changes, rounds, profileTo }: SubscriberOptions,
): Promise<Section> {
  const { pid: serverPid, server, url, writeKey, readKey } = host;
  const before = await residentMb(serverPid);
  const options: CrowdOptions = { url, writeKey, readKey, subscribers };
  const crowd = new ProgramCalls<CrowdCalls>(PROGRAM, options, 'the crowd');
  try {
    await crowd.ready;
    await crowd.call('open');
    const opened = await residentMb(serverPid);
    const rounded: Round[] = [];
    for (let i = 0; i < rounds; i++) rounded.push(await measureRound(crowd, server, changes));
    const after = await residentMb(serverPid);
    const of = (what: keyof Round): number[] => rounded.map((round) => round[what]);
    const perTold = (what: keyof Round): number[] => of(what).map((ms) => (ms * US_PER_MS) / (changes * subscribers));
    const figures: Figure[] = [
      figure('p50 from the 200', 'ms', of('p50Ms')),
      figure('p99 from the 200', 'ms', of('p99Ms'), '≤ 250'),
      figure('last of all from the 200', 'ms', of('lastMs')),
      figure('CPU of the server, a subscriber and change', 'µs', perTold('serverCpuMs')),
      figure('CPU of the clients, a subscriber and change', 'µs', perTold('clientCpuMs')),
      figure('the server’s thread held up, longest', 'ms', of('heldUpMs')),
      figure('memory of the server a subscriber', 'KB', [((opened - before) * 1_024) / subscribers]),
      figure('memory that the changes left behind', 'MB', [after - opened]),
    ];
    const profile = profileTo === null ? null : await profiled(crowd, server, `${profileTo}/subscribers.cpuprofile`);
    return {
      title: `One change to ${subscribers.toLocaleString('en')} subscribers`,
      notes: [
        `${String(subscribers)} WebSocket connections with a subscription each, all told of each change;`,
        `${String(changes)} changes a round, a second apart; the clients are one other process on the machine.`,
      ],
      figures,
      ...(profile === null ? {} : { profile }),
    };
  } finally {
    await crowd.stop();
  }
}

interface Round {
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly lastMs: number;
  readonly serverCpuMs: number;
  readonly clientCpuMs: number;
  readonly heldUpMs: number;
}

async function measureRound(crowd: ProgramCalls<CrowdCalls>, server: ServerProcess, changes: number): Promise<Round> {
  const delays: number[] = [];
  const last: number[] = [];
  let serverCpuMs = 0;
  let clientCpuMs = 0;
  await server.call('loopPauses');
  for (let i = 0; i < changes; i++) {
    const before = await server.call('cpuMs');
    const { delaysMs, cpuMs } = await crowd.call('tell');
    serverCpuMs += (await server.call('cpuMs')) - before;
    clientCpuMs += cpuMs;
    for (const ms of delaysMs) delays.push(ms);
    last.push(delaysMs.reduce((a, b) => Math.max(a, b), 0));
    await new Promise((resolve) => setTimeout(resolve, SPACING_MS));
  }
  const { maxMs } = await server.call('loopPauses');
  return {
    p50Ms: percentile(delays, 50),
    p99Ms: percentile(delays, 99),
    lastMs: Math.max(...last),
    serverCpuMs,
    clientCpuMs,
    heldUpMs: maxMs,
  };
}

async function profiled(
  crowd: ProgramCalls<CrowdCalls>,
  server: ServerProcess,
  file: string,
): Promise<NonNullable<Section['profile']>> {
  await server.call('startProfile');
  for (let i = 0; i < 5; i++) await crowd.call('tell');
  const { parts } = await server.call('stopProfile', file);
  return parts;
}

async function residentMb(pid: number): Promise<number> {
  const status = await readFile(`/proc/${String(pid)}/status`, 'utf8').catch(() => '');
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1] ?? Number.NaN) / 1_024;
}
