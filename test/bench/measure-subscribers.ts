import { readFile } from 'node:fs/promises';
import { WebSocket } from 'ws';
import { HttpCalls } from './http-calls.js';
import { figure, percentile, type Figure, type Section } from './report.js';
import type { Ready } from './server-process.js';
import { ENTERED_SEGMENT } from './shop-workload.js';

/** Plain frames: a client library for each of ten thousand would be what is measured. */
const INIT = (apiKey: string): string => JSON.stringify({ type: 'connection_init', payload: { apiKey } });
const SUBSCRIBE = JSON.stringify({
  id: '1',
  type: 'subscribe',
  payload: {
    query: `subscription { segmentChanges(segments: ["${ENTERED_SEGMENT.key}"]) { cursor kind profileId } }`,
  },
});

export interface SubscriberOptions {
  readonly subscribers: number;
  readonly changes: number;
  readonly rounds: number;
}

const CONNECTING = 100;
const SETTLE_MS = 2_000;
const WAIT_MS = 30_000;
const SPACING_MS = 1_000;

/** From an event that is acknowledged to the change that it causes, at each of very many subscribers. */
export async function measureSubscribers(
  host: Ready,
  { subscribers, changes, rounds }: SubscriberOptions,
): Promise<Section> {
  const { pid: serverPid } = host;
  const before = await residentMb(serverPid);
  const crowd = new Crowd(host, subscribers);
  try {
    await crowd.open();
    const opened = await residentMb(serverPid);
    const p50: number[] = [];
    const p99: number[] = [];
    const last: number[] = [];
    for (let round = 0; round < rounds; round++) {
      const delays = await crowd.tell(changes);
      p50.push(percentile(delays, 50));
      p99.push(percentile(delays, 99));
      last.push(Math.max(...crowd.slowest));
    }
    const after = await residentMb(serverPid);
    const figures: Figure[] = [
      figure('p50 from the 200', 'ms', p50),
      figure('p99 from the 200', 'ms', p99, '≤ 250'),
      figure('last of all from the 200', 'ms', last),
      figure('memory of the server a subscriber', 'KB', [((opened - before) * 1_024) / subscribers]),
      figure('memory that the changes left behind', 'MB', [after - opened]),
    ];
    return {
      title: `One change to ${subscribers.toLocaleString('en')} subscribers`,
      notes: [
        `${String(subscribers)} WebSocket connections with a subscription each, all told of each change;`,
        `${String(changes)} changes a round, a second apart; the clients share the machine, and their work counts.`,
      ],
      figures,
    };
  } finally {
    crowd.close();
  }
}

async function residentMb(pid: number): Promise<number> {
  const status = await readFile(`/proc/${String(pid)}/status`, 'utf8').catch(() => '');
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1] ?? Number.NaN) / 1_024;
}

class Crowd {
  readonly #sockets: WebSocket[] = [];
  readonly #http: HttpCalls;
  /** Of the change that is under way. */
  #arrivedMs: number[] = [];
  #sent = 0;
  #failure: string | null = null;
  /** The last arrival of each change of the latest round, ms. */
  slowest: number[] = [];

  constructor(
    private readonly host: Ready,
    private readonly size: number,
  ) {
    this.#http = new HttpCalls(1, host.writeKey);
  }

  async open(): Promise<void> {
    const url = `${this.host.url.replace(/^http/, 'ws')}/graphql`;
    while (this.#sockets.length < this.size) {
      const count = Math.min(CONNECTING, this.size - this.#sockets.length);
      await Promise.all(Array.from({ length: count }, () => this.#connect(url)));
    }
    // A subscription does not say when it stands; a change that all hear of does.
    for (;;) {
      await pause(SETTLE_MS);
      if ((await this.#tellOne(SETTLE_MS)).length === this.size) return;
    }
  }

  /** Delays of all arrivals of so many changes, ms. */
  async tell(changes: number): Promise<number[]> {
    const delays: number[] = [];
    this.slowest = [];
    for (let i = 0; i < changes; i++) {
      const arrived = await this.#tellOne(WAIT_MS);
      if (arrived.length < this.size) throw new Error(`${String(arrived.length)} of ${String(this.size)} were told`);
      for (const ms of arrived) delays.push(ms);
      this.slowest.push(arrived.reduce((a, b) => Math.max(a, b), 0));
      await pause(SPACING_MS);
    }
    return delays;
  }

  close(): void {
    for (const socket of this.#sockets) socket.terminate();
    this.#http.close();
  }

  async #tellOne(waitMs: number): Promise<number[]> {
    const arrived: number[] = [];
    this.#arrivedMs = arrived;
    const anonymousId = `crowd-${String(this.#sent++)}`;
    const call = { event: ENTERED_SEGMENT.event, anonymousId, messageId: anonymousId };
    await this.#http.post(`${this.host.url}/v1/track`, Buffer.from(JSON.stringify(call)));
    const answeredMs = performance.now();
    while (arrived.length < this.size && performance.now() - answeredMs < waitMs) {
      if (this.#failure !== null) throw new Error(this.#failure);
      await pause(5);
    }
    return arrived.map((ms) => ms - answeredMs);
  }

  #connect(url: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const socket = new WebSocket(url, 'graphql-transport-ws');
      this.#sockets.push(socket);
      socket.on('error', reject);
      socket.on('close', (code) => (this.#failure ??= `a subscriber was closed: ${String(code)}`));
      socket.on('open', () => {
        socket.send(INIT(this.host.readKey));
      });
      socket.on('message', (data: Buffer) => {
        const text = data.toString('latin1');
        if (text.includes('"next"')) this.#arrivedMs.push(performance.now());
        else if (text.includes('connection_ack')) {
          socket.send(SUBSCRIBE);
          resolve();
        } else if (text.includes('"error"') || text.includes('"complete"')) this.#failure = text;
      });
    });
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
