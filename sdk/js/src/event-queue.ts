import type { KeyValueStore } from './storage.js';

/** An event that waits to be sent. */
export interface QueuedEvent {
  readonly key: string;
  /** Of its JSON, in UTF-8. */
  readonly bytes: number;
  readonly json: string;
}

export interface BatchLimits {
  readonly events: number;
  readonly bytes: number;
}

/** Events that wait to be sent, oldest first, shared by all tabs of a site. */
export interface EventQueue {
  /** Drops the oldest where a bound is reached, and says how many. */
  add(json: string): { readonly key: string; readonly dropped: number };
  /** The oldest, as many as fit the limits, but at least one if there is any; without those that `skips` names. */
  peek(limits: BatchLimits, skips: (key: string) => boolean): QueuedEvent[];
  remove(events: readonly { readonly key: string }[]): void;
  /** How many events wait. */
  size(): number;
  clear(): void;
}

export interface EventQueueOptions {
  readonly store: KeyValueStore;
  /** Of the keys in the store. */
  readonly prefix: string;
  readonly maxQueuedEvents: number;
  readonly maxQueuedBytes: number;
  readonly now: () => number;
  /** Of this page among the tabs. */
  readonly pageId: string;
}

/**
 * One entry of the store for each event, so that tabs never overwrite one another: a list under one key would lose what
 * two tabs add at once. The key is `<prefix><time>.<count>.<bytes>.<page>`, numbers in base 36 and of fixed width, so
 * that the keys alone tell order and size.
 */
export function createEventQueue(options: EventQueueOptions): EventQueue {
  const { store, prefix, now, pageId } = options;
  let count = 0;

  const entries = (): { key: string; bytes: number }[] =>
    store
      .keys(prefix)
      .sort()
      .map((key) => ({ key, bytes: parseInt(key.split('.').at(-2) ?? '', 36) || 0 }));
  const remove: EventQueue['remove'] = (events) => {
    for (const { key } of events) store.remove(key);
  };

  return {
    add: (json) => {
      const bytes = byteLength(json);
      const key = prefix + [base36(now(), 9), base36(count++, 6), bytes.toString(36), pageId].join('.');
      const waiting = entries();
      let sum = waiting.reduce((total, each) => total + each.bytes, bytes);
      let dropped = 0;
      while (
        dropped < waiting.length &&
        (waiting.length - dropped >= options.maxQueuedEvents || sum > options.maxQueuedBytes)
      ) {
        sum -= waiting[dropped++]?.bytes ?? 0;
      }
      remove(waiting.slice(0, dropped));
      store.set(key, json);
      return { key, dropped };
    },
    peek: (limits, skips) => {
      const batch: QueuedEvent[] = [];
      let sum = 0;
      for (const { key, bytes } of entries()) {
        if (skips(key)) continue;
        // Another tab may have sent it by now.
        const json = store.get(key);
        if (json === null) continue;
        sum += bytes + 1;
        if (batch.length > 0 && (batch.length >= limits.events || sum > limits.bytes)) break;
        batch.push({ key, bytes, json });
      }
      return batch;
    },
    remove,
    size: () => entries().length,
    clear: () => remove(entries()),
  };
}

/** Of the text in UTF-8. */
export function byteLength(text: string): number {
  return new TextEncoder().encode(text).length;
}

function base36(value: number, width: number): string {
  return value.toString(36).padStart(width, '0');
}
