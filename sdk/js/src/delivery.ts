import type { Delivery, DeliveryOptions } from './delivery.model.js';
import { createPace } from './pace.js';
import { REQUEST_TIMEOUT_MS } from './post-batch.js';
import { createSender } from './sender.js';

/** How long a lease on the queue outlives the last sign of its holder. */
export const LEASE_MS = REQUEST_TIMEOUT_MS + 2_000;
/** Until another tab is asked again whether it still sends. */
const BUSY_MS = 1_000;
const MIN_WAIT_MS = 50;

/**
 * Events go from the queue to Weft in order, one request at a time over all tabs. An event leaves the queue when Weft has
 * confirmed it, or says that it can never take it. Each carries the message id that it was made with, so that sending it
 * again does no harm.
 */
export function createDelivery(options: DeliveryOptions): Delivery {
  const { queue, exclusive, flushDelayMs, isAllowed, now } = options;
  const pace = createPace(options);
  const sender = createSender(options, pace);
  let running: Promise<void> | null = null;
  let callOff: (() => void) | null = null;

  const isEmpty = (): boolean => queue.size() === 0;
  const schedule = (delayMs: number): void => {
    callOff?.();
    callOff = options.later(
      () => {
        callOff = null;
        void pump();
      },
      Math.max(delayMs, pace.waitMs()),
    );
  };

  /** One round at a time in this page; what is still there after it is tried again when its time has come. */
  const pump = async (): Promise<void> => {
    if (!isAllowed() || isEmpty()) return;
    if (pace.waitMs() > 0) {
      schedule(0);
      return;
    }
    running ??= exclusive
      .run(() => sender.drain())
      .then((isOurs) => {
        running = null;
        if (!isEmpty()) schedule(isOurs ? flushDelayMs : BUSY_MS);
      });
    await running;
  };

  return {
    ...sender,
    add: (event) => {
      sender.add(event);
      if (callOff === null && !isEmpty()) schedule(flushDelayMs);
    },
    flush: async (timeoutMs = 0) => {
      const until = now() + timeoutMs;
      pace.hurry();
      for (;;) {
        await pump();
        if (isEmpty()) return true;
        const remainingMs = until - now();
        if (remainingMs <= 0) return false;
        await options.sleep(Math.min(remainingMs, Math.max(MIN_WAIT_MS, pace.waitMs())));
      }
    },
  };
}
