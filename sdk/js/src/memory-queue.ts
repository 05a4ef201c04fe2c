import { byteLength, type EventQueue, type QueuedEvent } from './event-queue.js';

/** The queue of a server: one process, nothing kept, and never a walk over all that waits. */
export function createMemoryQueue(maxEvents: number, maxBytes: number): EventQueue {
  // In the order of insertion.
  const waiting = new Map<string, QueuedEvent>();
  let bytesWaiting = 0;
  let count = 0;
  const remove: EventQueue['remove'] = (events) => {
    for (const { key } of events) {
      const found = waiting.get(key);
      if (found !== undefined) bytesWaiting -= found.bytes;
      waiting.delete(key);
    }
  };
  return {
    add: (json) => {
      const event = { key: String(count++), bytes: byteLength(json), json };
      let dropped = 0;
      for (const oldest of waiting.values()) {
        if (waiting.size < maxEvents && bytesWaiting + event.bytes <= maxBytes) break;
        remove([oldest]);
        dropped += 1;
      }
      waiting.set(event.key, event);
      bytesWaiting += event.bytes;
      return { key: event.key, dropped };
    },
    peek: (limits, skips) => {
      const batch: QueuedEvent[] = [];
      let sum = 0;
      for (const event of waiting.values()) {
        if (skips(event.key)) continue;
        sum += event.bytes + 1;
        if (batch.length > 0 && (batch.length >= limits.events || sum > limits.bytes)) break;
        batch.push(event);
      }
      return batch;
    },
    remove,
    size: () => waiting.size,
    clear: () => {
      waiting.clear();
      bytesWaiting = 0;
    },
  };
}
