/**
 * Who sends events and hears of changes, a process of its own, so that what it costs does not count as the server's.
 *
 *     node --import tsx test/bench/latency.program.ts '<LatencyClient as JSON>'
 *
 * Its parent calls it over IPC (`measure-latency.ts`); it ends when the parent does.
 */
import { HttpCalls } from './http-calls.js';
import type { LatencyCalls, LatencyClient, LatencyStep, StepDelays } from './measure-latency.js';
import { RawSubscriber } from './raw-subscriber.js';
import { asTrackingCall, ENTERED_SEGMENT, shopEvents } from './shop-workload.js';

const client = JSON.parse(process.argv[2] ?? '{}') as LatencyClient;
const { url, writeKey, readKey } = client;
const QUERY = `subscription Changes($segment: String!) {
  segmentChanges(segments: [$segment]) { cursor kind profile { identifiers { value } } }
}`;
const MAX_CONNECTIONS = 50;
const WAIT_MS = 10_000;
const MARK = 'fresh-cookie-';

/** An event that is told of. */
interface Visit {
  readonly dueMs: number;
  answeredMs: number;
  changedMs: number;
}

const http = new HttpCalls(MAX_CONNECTIONS, writeKey);
const visits = new Map<string, Visit>();
let failure: string | null = null;
let sent = 0;
let rounds = 0;

const subscriber: RawSubscriber = new RawSubscriber(url, {
  onText: (message) => {
    const arrivedMs = performance.now();
    const text = message.toString();
    if (text === 'open') {
      subscriber.send(JSON.stringify({ type: 'connection_init', payload: { apiKey: readKey } }));
    } else if (text.includes('connection_ack')) {
      const payload = { query: QUERY, variables: { segment: ENTERED_SEGMENT.key } };
      subscriber.send(JSON.stringify({ id: '1', type: 'subscribe', payload }));
    } else if (text.includes('"next"') && !text.includes('"errors"')) note(text, arrivedMs);
    else failure = text;
  },
  onEnd: (why) => (failure ??= why),
});

function note(text: string, arrivedMs: number): void {
  const from = text.indexOf(MARK);
  const visit = from < 0 ? undefined : visits.get(text.slice(from, text.indexOf('"', from)));
  if (visit !== undefined) visit.changedMs = arrivedMs;
}

async function open(): Promise<void> {
  // A subscription does not say when it stands; the first change does.
  while ([...visits.values()].every(({ changedMs }) => Number.isNaN(changedMs))) {
    check();
    await post([signUp()], performance.now());
    await pause(50);
  }
}

/** Sends by the schedule, whatever is still under way: what is late is late for all behind it. */
async function run({ perSecond, seconds, batch, told }: LatencyStep): Promise<StepDelays> {
  visits.clear();
  const others = otherEvents(perSecond * seconds * (1 - told / batch));
  const calls: Promise<void>[] = [];
  const everyMs = (batch * 1_000) / perSecond;
  const startMs = performance.now();
  for (let i = 0; i * everyMs < seconds * 1_000; i++) {
    const dueMs = startMs + i * everyMs;
    const aheadMs = dueMs - performance.now();
    // A timer is a millisecond late on average; what is due by then is sent at once.
    if (aheadMs > 0) await pause(aheadMs);
    const events = [...others.splice(0, batch - told), ...Array.from({ length: told }, signUp)];
    calls.push(post(events, dueMs));
  }
  await Promise.all(calls);
  const untilMs = performance.now() + WAIT_MS;
  const all = [...visits.values()];
  while (all.some(({ changedMs }) => Number.isNaN(changedMs))) {
    check();
    if (performance.now() > untilMs) throw new Error('changes did not arrive');
    await pause(5);
  }
  return {
    ofAnswerMs: all.map(({ answeredMs, changedMs }) => changedMs - answeredMs),
    ofScheduleMs: all.map(({ dueMs, changedMs }) => changedMs - dueMs),
  };
}

type Call = Record<string, unknown>;

/** What a visitor does who enters the segment by it. */
function signUp(): Call {
  const anonymousId = `${MARK}${String(sent++)}`;
  return { type: 'track', event: ENTERED_SEGMENT.event, anonymousId, messageId: `visit-${anonymousId}` };
}

/** What the shop's visitors do. */
function otherEvents(count: number): Call[] {
  if (count < 1) return [];
  return shopEvents({ count: Math.ceil(count), round: 1_000 + rounds++, nowMs: Date.now() - 1_000 }).map(
    asTrackingCall,
  );
}

async function post(events: readonly Call[], dueMs: number): Promise<void> {
  const told = events.flatMap(({ anonymousId }) =>
    typeof anonymousId === 'string' && anonymousId.startsWith(MARK) ? [anonymousId] : [],
  );
  const visit: Visit[] = told.map((id) => {
    const made = { dueMs, answeredMs: Number.NaN, changedMs: Number.NaN };
    visits.set(id, made);
    return made;
  });
  const [only] = events;
  const isAlone = events.length === 1 && only !== undefined;
  const body = Buffer.from(JSON.stringify(isAlone ? only : { batch: events }));
  await http.post(`${url}/v1/${isAlone ? 'track' : 'batch'}`, body);
  const answeredMs = performance.now();
  for (const each of visit) each.answeredMs = answeredMs;
}

function check(): void {
  if (failure !== null) throw new Error(`the subscription failed: ${failure}`);
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

const calls: LatencyCalls = { open, run };

process.on('message', ({ id, name, args }: { id: number; name: keyof LatencyCalls; args: never[] }) => {
  (calls[name] as (...given: never[]) => Promise<unknown>)(...args)
    .then((result) => process.send?.({ id, result }))
    .catch((error: unknown) => process.send?.({ id, error: error instanceof Error ? error.stack : String(error) }));
});
process.on('SIGINT', () => undefined);
process.on('disconnect', () => {
  subscriber.destroy();
  http.close();
  process.exit();
});
process.send?.({ id: 0, result: null });
