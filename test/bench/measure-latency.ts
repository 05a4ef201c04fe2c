import { createClient } from 'graphql-ws';
import { WebSocket } from 'ws';
import { HttpCalls } from './http-calls.js';
import { figure, percentile, type Figure, type Section } from './report.js';
import type { Ready } from './server-process.js';
import { ENTERED_SEGMENT } from './shop-workload.js';

const CHANGES = `subscription Changes($segment: String!) {
  segmentChanges(segments: [$segment]) { cursor kind profile { identifiers { value } } }
}`;
const MAX_CONNECTIONS = 50;
const WAIT_MS = 10_000;
const WARM_UP = { perSecond: 100, seconds: 2 };

export interface LatencyOptions {
  readonly rounds: number;
  readonly steps: readonly { readonly perSecond: number; readonly seconds: number; readonly aim?: string }[];
}

interface Change {
  readonly segmentChanges: { readonly profile: { readonly identifiers: readonly { readonly value: string }[] } };
}

/** From an event that is acknowledged to the change that it causes, at a subscriber. */
export async function measureLatency(host: Ready, { rounds, steps }: LatencyOptions): Promise<Section> {
  const visits = await Visits.open(host);
  try {
    await visits.run(WARM_UP);
    const figures: Figure[] = [];
    for (const step of steps) {
      const p50: number[] = [];
      const p99: number[] = [];
      const p99OfRequest: number[] = [];
      for (let round = 0; round < rounds; round++) {
        const { ofAnswerMs, ofRequestMs } = await visits.run(step);
        p50.push(percentile(ofAnswerMs, 50));
        p99.push(percentile(ofAnswerMs, 99));
        p99OfRequest.push(percentile(ofRequestMs, 99));
      }
      const at = `${String(step.perSecond)} events/s`;
      figures.push(figure(`${at}: p50 from the 200`, 'ms', p50));
      figures.push(figure(`${at}: p99 from the 200`, 'ms', p99, step.aim));
      figures.push(figure(`${at}: p99 from the request`, 'ms', p99OfRequest));
    }
    return {
      title: 'From an accepted event to a subscriber',
      notes: [
        'events one by one over HTTP, evenly spaced, each of a new visitor who enters a segment by it;',
        'a subscriber over WebSocket, in the process that sends, who asks for the profile’s identifiers with each change.',
      ],
      figures,
    };
  } finally {
    await visits.close();
  }
}

interface Visit {
  readonly requestedMs: number;
  answeredMs: number;
  changedMs: number;
}

/** Sends events and notes when the changes arrive. */
class Visits {
  readonly #visits = new Map<string, Visit>();
  readonly #http: HttpCalls;
  readonly #client: ReturnType<typeof createClient>;
  #failure: unknown = null;
  #sent = 0;

  private constructor(private readonly host: Ready) {
    this.#http = new HttpCalls(MAX_CONNECTIONS, host.writeKey);
    this.#client = createClient({
      url: `${host.url.replace(/^http/, 'ws')}/graphql`,
      webSocketImpl: WebSocket,
      connectionParams: { apiKey: host.readKey },
      retryAttempts: 0,
      lazy: false,
      onNonLazyError: (error) => (this.#failure = error),
    });
    this.#client.subscribe<Change>(
      { query: CHANGES, variables: { segment: ENTERED_SEGMENT.key } },
      {
        next: ({ data, errors }) => {
          if (data == null) this.#failure = errors;
          else this.#note(data);
        },
        error: (error) => (this.#failure = error),
        complete: () => undefined,
      },
    );
  }

  /** Resolves when changes arrive. */
  static async open(host: Ready): Promise<Visits> {
    const visits = new Visits(host);
    // A subscription does not say when it stands; the first change does.
    while ([...visits.#visits.values()].every(({ changedMs }) => Number.isNaN(changedMs))) {
      visits.#check();
      await visits.#visit();
      await pause(50);
    }
    return visits;
  }

  async run({ perSecond, seconds }: { readonly perSecond: number; readonly seconds: number }): Promise<{
    readonly ofAnswerMs: readonly number[];
    readonly ofRequestMs: readonly number[];
  }> {
    this.#visits.clear();
    const startMs = performance.now();
    const answers: Promise<void>[] = [];
    for (let i = 0; i < perSecond * seconds; i++) {
      const aheadMs = startMs + (i * 1_000) / perSecond - performance.now();
      // A timer is a millisecond late on average; what is due by then is sent at once.
      if (aheadMs > 0) await pause(aheadMs);
      answers.push(this.#visit());
    }
    await Promise.all(answers);
    const visits = [...this.#visits.values()];
    const untilMs = performance.now() + WAIT_MS;
    while (visits.some(({ changedMs }) => Number.isNaN(changedMs))) {
      this.#check();
      if (performance.now() > untilMs) throw new Error('changes did not arrive');
      await pause(5);
    }
    return {
      ofAnswerMs: visits.map(({ answeredMs, changedMs }) => changedMs - answeredMs),
      ofRequestMs: visits.map(({ requestedMs, changedMs }) => changedMs - requestedMs),
    };
  }

  async close(): Promise<void> {
    await this.#client.dispose();
    this.#http.close();
  }

  async #visit(): Promise<void> {
    const anonymousId = `fresh-cookie-${String(this.#sent++)}`;
    const call = { event: ENTERED_SEGMENT.event, anonymousId, messageId: `visit-${anonymousId}` };
    const body = Buffer.from(JSON.stringify(call));
    const visit: Visit = { requestedMs: performance.now(), answeredMs: NaN, changedMs: NaN };
    this.#visits.set(anonymousId, visit);
    await this.#http.post(`${this.host.url}/v1/track`, body);
    visit.answeredMs = performance.now();
  }

  #note({ segmentChanges }: Change): void {
    for (const { value } of segmentChanges.profile.identifiers) {
      const visit = this.#visits.get(value);
      if (visit !== undefined) visit.changedMs = performance.now();
    }
  }

  #check(): void {
    if (this.#failure !== null) throw new Error(`the subscription failed: ${JSON.stringify(this.#failure)}`);
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
