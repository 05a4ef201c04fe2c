import type { Delivery, DeliveryOptions } from './delivery.model.js';
import { byteLength, type QueuedEvent } from './event-queue.js';
import type { Pace } from './pace.js';
import {
  bodyOf,
  MAX_BODY_BYTES,
  MAX_BODY_EVENTS,
  MAX_EVENT_BYTES,
  MAX_KEEPALIVE_BYTES,
  postBatch,
} from './post-batch.js';
import type { Problem } from './problem.js';

/** What becomes of the events of the queue; when, is for others to say. */
export interface Sender extends Omit<Delivery, 'flush'> {
  /** Sends all that waits, until something is in the way. */
  drain(): Promise<void>;
}

export function createSender(options: DeliveryOptions, pace: Pace): Sender {
  const { writeKey, queue, exclusive, isAllowed, now, onProblem } = options;
  const endpoint = `${options.url}/v1/batch`;
  /** Keys of events that this page added. */
  const own = new Set<string>();
  const inFlight = new Set<string>();
  let sent = 0;
  let dropped = 0;

  const drop = (count: number, code: Problem['code'], message: string): void => {
    if (count === 0) return;
    dropped += count;
    onProblem({ code, message, events: count });
  };
  const done = (events: readonly QueuedEvent[]): void => {
    queue.remove(events);
    for (const { key } of events) own.delete(key);
  };
  const send = async (events: readonly QueuedEvent[]): Promise<boolean> => {
    exclusive.renew();
    for (const { key } of events) inFlight.add(key);
    const outcome = await postBatch(endpoint, bodyOf(events, writeKey, now()), options.later);
    for (const { key } of events) inFlight.delete(key);
    switch (outcome.kind) {
      case 'taken':
        pace.taken();
        done(events);
        sent += events.length - outcome.refused;
        drop(outcome.refused, 'REFUSED', 'see dead letters');
        if (outcome.token !== undefined) options.onToken(outcome.token);
        return true;
      case 'split': {
        const middle = Math.ceil(events.length / 2);
        if (events.length > 1) return (await send(events.slice(0, middle))) && send(events.slice(middle));
        done(events);
        drop(1, 'REFUSED', `Weft answered ${outcome.status}`);
        return true;
      }
      case 'refused': {
        const { answer } = outcome;
        if (pace.refused(answer)) {
          onProblem({ code: 'KEY_REFUSED', message: `Weft answered ${answer?.status}: url or writeKey is wrong` });
        }
        return false;
      }
    }
  };

  const drain = async (): Promise<void> => {
    for (;;) {
      const batch = queue.peek({ events: MAX_BODY_EVENTS, bytes: MAX_BODY_BYTES }, (key) => inFlight.has(key));
      if (!isAllowed() || batch.length === 0 || !(await send(batch))) return;
    }
  };

  return {
    drain,
    add: (event) => {
      const json = toJson(event);
      if (json === null || byteLength(json) > MAX_EVENT_BYTES) {
        drop(1, 'NOT_AN_EVENT', 'not JSON, or over 32 KB');
        return;
      }
      const added = queue.add(json);
      own.add(added.key);
      drop(added.dropped, 'QUEUE_FULL', 'queue is full');
    },
    leave: () => {
      exclusive.release();
      if (pace.isPaused() || !isAllowed()) return;
      const limits = { events: MAX_BODY_EVENTS, bytes: MAX_KEEPALIVE_BYTES };
      const events = queue.peek(limits, (key) => !own.has(key) || inFlight.has(key));
      if (events.length === 0) return;
      if ('keepalive' in Request.prototype) void send(events);
      else navigator.sendBeacon(endpoint, bodyOf(events, writeKey, now()));
    },
    clear: () => {
      queue.clear();
      own.clear();
    },
    stats: () => ({ sent, dropped, queued: queue.size() }),
  };
}

function toJson(event: object): string | null {
  try {
    return JSON.stringify(event);
  } catch {
    return null;
  }
}
