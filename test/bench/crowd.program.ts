/**
 * Ten thousand subscribers, a process of their own, so that what they cost is told apart from the server.
 *
 *     node --import tsx test/bench/crowd.program.ts '<CrowdOptions as JSON>'
 *
 * Its parent calls it over IPC (`measure-subscribers.ts`); it ends when the parent does.
 */
import { HttpCalls } from './http-calls.js';
import type { CrowdCalls, CrowdOptions, Told } from './measure-subscribers.js';
import { RawSubscriber } from './raw-subscriber.js';
import { ENTERED_SEGMENT } from './shop-workload.js';

const options = JSON.parse(process.argv[2] ?? '{}') as CrowdOptions;
const { url, writeKey, readKey, subscribers } = options;
const INIT = JSON.stringify({ type: 'connection_init', payload: { apiKey: readKey } });
const NEXT = Buffer.from('"type":"next"');
const ACK = Buffer.from('connection_ack');
const OPEN = Buffer.from('open');
const CONNECTING = 100;
const SETTLE_MS = 2_000;
const WAIT_MS = 30_000;

const http = new HttpCalls(1, writeKey);
const crowd: RawSubscriber[] = [];
let failure: string | null = null;
let sent = 0;
let arrivedMs = new Float64Array(0);
let arrived = 0;
/** What the first was told of the change under way: all are told the same. */
let expected: Buffer | null = null;

/** Each operation has an id of its own, of one length. */
function subscription(i: number): string {
  const query = `subscription { segmentChanges(segments: ["${ENTERED_SEGMENT.key}"]) { cursor kind profileId } }`;
  return JSON.stringify({ id: idOf(i), type: 'subscribe', payload: { query } });
}

function idOf(i: number): string {
  return `operation-${String(i).padStart(8, '0')}`;
}

const ID_FROM = '{"id":"'.length;
const ID_TO = ID_FROM + idOf(0).length;

function told(message: Buffer): void {
  if (expected === null) expected = Buffer.from(message);
  else if (message.compare(expected, ID_TO, expected.length, ID_TO) !== 0) failure = 'two were told different things';
  arrivedMs[arrived++] = performance.now();
}

function join(i: number): Promise<void> {
  return new Promise((resolve) => {
    const subscriber: RawSubscriber = new RawSubscriber(url, {
      onText: (message) => {
        if (message.includes(NEXT)) {
          if (message.toString('latin1', ID_FROM, ID_TO) === idOf(i)) told(message);
          else failure = `operation ${idOf(i)} was told ${message.toString()}`;
        } else if (message.equals(OPEN)) subscriber.send(INIT);
        else if (message.includes(ACK)) {
          subscriber.send(subscription(i));
          resolve();
        } else failure = message.toString();
      },
      onEnd: (why) => (failure ??= why),
    });
    crowd.push(subscriber);
  });
}

async function tellOne(waitMs: number): Promise<Told> {
  arrivedMs = new Float64Array(subscribers);
  arrived = 0;
  expected = null;
  const anonymousId = `crowd-${String(sent++)}`;
  const call = { event: ENTERED_SEGMENT.event, anonymousId, messageId: anonymousId };
  const cpu = process.cpuUsage();
  await http.post(`${url}/v1/track`, Buffer.from(JSON.stringify(call)));
  const answeredMs = performance.now();
  while (arrived < subscribers && performance.now() - answeredMs < waitMs) {
    if (failure !== null) throw new Error(failure);
    await pause(5);
  }
  const { user, system } = process.cpuUsage(cpu);
  const delaysMs = [...arrivedMs.subarray(0, arrived)].map((ms) => ms - answeredMs);
  return { delaysMs, cpuMs: (user + system) / 1_000 };
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

const calls: CrowdCalls = {
  open: async () => {
    while (crowd.length < subscribers) {
      const count = Math.min(CONNECTING, subscribers - crowd.length);
      await Promise.all(Array.from({ length: count }, () => join(crowd.length)));
    }
    // A subscription does not say when it stands; a change that all hear of does.
    for (;;) {
      await pause(SETTLE_MS);
      if ((await tellOne(SETTLE_MS)).delaysMs.length === subscribers) return;
    }
  },
  tell: async () => {
    const one = await tellOne(WAIT_MS);
    if (one.delaysMs.length === subscribers) return one;
    throw new Error(`${String(one.delaysMs.length)} of ${String(subscribers)} were told`);
  },
};

process.on('message', ({ id, name }: { id: number; name: keyof CrowdCalls }) => {
  calls[name]()
    .then((result) => process.send?.({ id, result }))
    .catch((error: unknown) => process.send?.({ id, error: error instanceof Error ? error.stack : String(error) }));
});
process.on('SIGINT', () => undefined);
process.on('disconnect', () => {
  for (const subscriber of crowd) subscriber.destroy();
  http.close();
  process.exit();
});
process.send?.({ id: 0, result: null });
