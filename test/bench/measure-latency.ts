import { fileURLToPath } from 'node:url';
import { ProgramCalls } from './program-calls.js';
import { figure, percentile, type Figure, type Section } from './report.js';
import type { Ready, ServerProcess } from './server-process.js';

export type LatencyClient = Pick<Ready, 'url' | 'writeKey' | 'readKey'>;

export interface LatencyStep {
  readonly perSecond: number;
  readonly seconds: number;
  /** Events of a request. */
  readonly batch: number;
  /** Of these, how many bring a new visitor into the segment that is listened to. */
  readonly told: number;
}

export interface LatencyOptions {
  readonly rounds: number;
  readonly steps: readonly (LatencyStep & { readonly aim?: string })[];
  /** Where a profile of the server is written, of a round that is not counted; null: none is made. */
  readonly profileTo: string | null;
}

/** Of each change that was listened to, ms. */
export interface StepDelays {
  /** From the 200 for its event. */
  readonly ofAnswerMs: readonly number[];
  /** From when its event was to be sent. */
  readonly ofScheduleMs: readonly number[];
}

/** What `latency.program.ts` does. */
export interface LatencyCalls {
  open(): Promise<void>;
  run(step: LatencyStep): Promise<StepDelays>;
}

const PROGRAM = fileURLToPath(new URL('./latency.program.ts', import.meta.url));
const WARM_UP: LatencyStep = { perSecond: 100, seconds: 2, batch: 1, told: 1 };
const US_PER_MS = 1_000;

/** From an event that is acknowledged to the change that it causes, at a subscriber. */
export async function measureLatency(
  host: Ready & { readonly server: ServerProcess },
  { rounds, steps, profileTo }: LatencyOptions,
): Promise<Section> {
  const { url, writeKey, readKey, server } = host;
  const options: LatencyClient = { url, writeKey, readKey };
  const client = new ProgramCalls<LatencyCalls>(PROGRAM, options, 'the client');
  try {
    await client.ready;
    await client.call('open');
    await client.call('run', WARM_UP);
    const figures: Figure[] = [];
    for (const step of steps) figures.push(...(await measureStep(client, server, step, rounds)));
    const busiest = steps.at(-1);
    const profile =
      profileTo === null || busiest === undefined
        ? null
        : await profiled(client, server, busiest, `${profileTo}/latency.cpuprofile`);
    return {
      title: 'From an accepted event to a subscriber',
      notes: [
        'events over HTTP by a schedule that waits for nobody, some of new visitors who enter a segment by it;',
        'a subscriber over WebSocket asks for the profile’s identifiers with each change; 20 features and 20 segments;',
        'sender and subscriber are one other process on the machine.',
      ],
      figures,
      ...(profile === null ? {} : { profile }),
    };
  } finally {
    await client.stop();
  }
}

async function measureStep(
  client: ProgramCalls<LatencyCalls>,
  server: ServerProcess,
  { aim, ...step }: LatencyOptions['steps'][number],
  rounds: number,
): Promise<Figure[]> {
  const p50: number[] = [];
  const p99: number[] = [];
  const p99OfSchedule: number[] = [];
  const cpuUs: number[] = [];
  const heldUp: number[] = [];
  for (let round = 0; round < rounds; round++) {
    await server.call('loopPauses');
    const before = await server.call('cpuMs');
    const { ofAnswerMs, ofScheduleMs } = await client.call('run', step);
    cpuUs.push((((await server.call('cpuMs')) - before) * US_PER_MS) / (step.perSecond * step.seconds));
    heldUp.push((await server.call('loopPauses')).maxMs);
    p50.push(percentile(ofAnswerMs, 50));
    p99.push(percentile(ofAnswerMs, 99));
    p99OfSchedule.push(percentile(ofScheduleMs, 99));
  }
  const rate = `${step.perSecond.toLocaleString('en')} events/s`;
  const at = step.batch === 1 ? rate : `${rate} in requests of ${String(step.batch)}`;
  return [
    figure(`${at}: p50 from the 200`, 'ms', p50),
    figure(`… p99 from the 200`, 'ms', p99, aim),
    figure(`… p99 from when it was to be sent`, 'ms', p99OfSchedule),
    figure(`… CPU of the server an event`, 'µs', cpuUs),
    figure(`… the server’s thread held up, longest`, 'ms', heldUp),
  ];
}

async function profiled(
  client: ProgramCalls<LatencyCalls>,
  server: ServerProcess,
  step: LatencyStep,
  file: string,
): Promise<NonNullable<Section['profile']>> {
  await server.call('startProfile');
  await client.call('run', step);
  const { parts } = await server.call('stopProfile', file);
  return parts;
}
