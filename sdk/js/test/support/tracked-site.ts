import { EventEmitter, once } from 'node:events';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { LoggedEvent } from '../../../../src/events/event.model.js';
import { systemClock } from '../../../../src/platform/clock.js';
import { createTestDatabase } from '../../../../test/support/database.js';
import {
  readLog,
  startTrackingServer,
  TRACKING_ENTITIES,
  trackingServices,
  type TrackingServer,
} from '../../../../test/support/tracking-server.js';

/** What a test does to a request before Weft sees it, or to its answer; false where it has answered by itself. */
export type Fault = (request: FastifyRequest, reply: FastifyReply) => 'pass' | 'answered' | 'lose the answer';

/** Weft's tracking API on a real database, which can be taken away and brought back. */
export interface TrackedSite {
  readonly writeKey: string;
  readonly url: string;
  /** Of the requests that came, the message ids; those that the fault answered are not among them. */
  readonly received: string[][];
  /** How often the fault had its way. */
  faults(): number;
  setFault(fault: Fault | null): void;
  stop(): Promise<void>;
  /** On the port it had. */
  start(): Promise<void>;
  /** Every event since the last `begin`. */
  events(): Promise<LoggedEvent[]>;
  /** Once there are at least as many; the time-out of the test bounds the wait. */
  arrived(count: number): Promise<LoggedEvent[]>;
  /** Forgets what was. */
  begin(): Promise<void>;
  close(): Promise<void>;
}

export async function createTrackedSite(): Promise<TrackedSite> {
  const test = await createTestDatabase({ entities: TRACKING_ENTITIES });
  const services = trackingServices(test.database, systemClock);
  const source = await services.sources.create({ key: 'shop', kind: 'http' });
  const { secret } = await services.keys.create({ name: 'shop', scopes: ['ingest'], sourceId: source.id });
  const answers = new EventEmitter();
  answers.setMaxListeners(100);
  const received: string[][] = [];
  let fault: Fault | null = null;
  let faults = 0;
  let startPos = 0;

  const prepare = (app: FastifyInstance): void => {
    app.addHook('preHandler', async (request, reply) => {
      if (request.method !== 'POST') return;
      const outcome = fault?.(request, reply) ?? 'pass';
      if (outcome !== 'pass') faults += 1;
      if (outcome === 'answered') return reply;
      received.push(messageIds(request.body));
      if (outcome === 'lose the answer') reply.header('x-test-lost', 'yes');
      return undefined;
    });
    app.addHook('onSend', async (request, reply) => {
      if (reply.getHeader('x-test-lost') !== undefined) request.raw.socket.destroy();
    });
    app.addHook('onResponse', (_request, _reply, done) => {
      answers.emit('answer');
      done();
    });
  };
  let weft: TrackingServer = await startTrackingServer(services, { prepare });
  let isRunning = true;
  const events = (): Promise<LoggedEvent[]> => readLog(services.log, startPos);
  const stop = async (): Promise<void> => {
    if (isRunning) await weft.app.close();
    isRunning = false;
  };

  return {
    writeKey: secret,
    url: weft.url,
    received,
    faults: () => faults,
    setFault: (next) => {
      fault = next;
    },
    stop,
    start: async () => {
      weft = await startTrackingServer(services, { prepare, port: weft.port });
      isRunning = true;
    },
    events,
    arrived: async (count) => {
      for (;;) {
        const answered = once(answers, 'answer');
        const found = await events();
        if (found.length >= count) return found;
        await answered;
      }
    },
    begin: async () => {
      fault = null;
      faults = 0;
      received.length = 0;
      startPos = (await services.log.head()).pos;
    },
    close: async () => {
      await stop();
      await services.keys.drain();
      await test.drop();
    },
  };
}

export function refuseWith(status: number, headers: Readonly<Record<string, string>> = {}): Fault {
  return (_request, reply) => {
    void reply.code(status).headers(headers).send({ success: false, code: 'TEST' });
    return 'answered';
  };
}

/** The fault for the first requests, then none. */
export function first(count: number, fault: Fault): Fault {
  let seen = 0;
  return (request, reply) => (seen++ < count ? fault(request, reply) : 'pass');
}

/** Of a batch that can be read. */
function messageIds(body: unknown): string[] {
  try {
    const { batch } = JSON.parse(String(body)) as { batch: { messageId: string }[] };
    return batch.map(({ messageId }) => messageId);
  } catch {
    return [];
  }
}
