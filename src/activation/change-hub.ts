import type { SegmentChange } from '../segments/segment.model.js';
import { matchesFilter, type ChangeFilter, type ChangeFeedReader } from './change-feed.reader.js';

/*
 * Hands committed changes to the subscribers of this process, in the feed's order.
 *
 *   commits here ──notify──▶ ┌─────┐ ──push──▶ queue ─┐
 *   commits elsewhere ─poll▶ │ hub │                  ├─▶ subscriber
 *                            └─────┘    pages of the table ─┘
 *
 * Invariants
 * H1  The hub has a position: every change up to it was offered to every queue, none after it.
 * H2  It moves only to the next position, by a local commit that continues it, or by reading on in the table. Positions
 *     become visible in their own order and without gaps, so reading on misses nothing.
 * H3  A subscriber reads pages of the table up to the position at which it joined, then its queue; each change comes by
 *     exactly one of the two.
 * H4  A full queue is thrown away, and its subscriber goes back to reading pages from where it is, at its own speed. So
 *     a slow one costs no memory, delays nobody and misses nothing.
 * H5  A subscriber whose queue is empty has been handed everything up to the hub's position. At that moment, and in the
 *     same turn, it may go over to an audience that joined the hub before it did (`change-audience.ts`).
 */

export interface ChangeHubOptions {
  readonly feed: Pick<ChangeFeedReader, 'head' | 'after'>;
  /** How soon changes that were committed by other processes are looked for, ms. Default 50. */
  readonly pollMs?: number;
  /** Changes that wait for one subscriber at most. Default 1,000. */
  readonly maxQueuedChanges?: number;
  /** Changes handed out at once at most. Default 100. */
  readonly maxPageChanges?: number;
  /** Told when the feed could not be read; it is read again after `retryMs`. */
  readonly onError: (error: unknown) => void;
  /** Default 1,000. */
  readonly retryMs?: number;
}

export interface Subscription {
  /** Only changes after this position; default: those from now on. Not beyond the feed's head. */
  readonly after?: number;
  readonly filter: ChangeFilter;
  /** Told of the hub's position, once, when it has joined. */
  readonly onJoined?: (position: number) => void;
  /** Given: the pages end at the first moment at which there is nothing more, and this is told of the hub's position then. */
  readonly onCurrent?: (position: number) => void;
  /** True: it reads for others, who are counted by {@link ChangeHub.takeSeat}. */
  readonly isAudience?: boolean;
}

/** Pages of changes. `return()` ends it at once, also while it waits for the next change. */
export type ChangePages = AsyncIterableIterator<readonly SegmentChange[], void, undefined>;

interface Subscriber {
  readonly filter: ChangeFilter;
  readonly isAudience: boolean;
  ended: boolean;
  queue: SegmentChange[];
  /** The hub's position when the queue was begun. */
  joinedAt: number;
  overflowed: boolean;
  wake: (() => void) | null;
}

const READ_CHANGES = 1_000;

export class ChangeHub {
  readonly #options: Required<ChangeHubOptions>;
  readonly #subscribers = new Set<Subscriber>();
  /** Null while nobody listens: then the hub has no position and does no work. */
  #position: number | null = null;
  #starting: Promise<void> | null = null;
  #polling: Promise<void> | null = null;
  #wakePoll: (() => void) | null = null;
  #woken = false;
  #closed = false;
  #overflows = 0;
  #audiences = 0;
  #seats = 0;

  constructor(options: ChangeHubOptions) {
    this.#options = { pollMs: 50, maxQueuedChanges: 1_000, maxPageChanges: 100, retryMs: 1_000, ...options };
  }

  get subscribers(): number {
    return this.#subscribers.size - this.#audiences + this.#seats;
  }

  /** Counts one more subscriber, who is told by an audience. @returns what takes the seat back; safe to call twice */
  takeSeat(): () => void {
    this.#seats++;
    let isTaken = true;
    return () => {
      if (isTaken) this.#seats--;
      isTaken = false;
    };
  }

  /** How often a queue was full, since the start. */
  get overflows(): number {
    return this.#overflows;
  }

  /** To be told of every commit of this process that wrote changes, in any order. */
  notify(changes: readonly SegmentChange[]): void {
    const first = changes[0];
    if (this.#position === null || first === undefined) return;
    if (first.seq === this.#position + 1) this.#offer(changes);
    else if (first.seq > this.#position) this.#wake();
  }

  /**
   * The changes after a position, in pages, for as long as they are asked for. Ends when the hub is closed; whoever reads
   * on later passes the position of the last change that they have dealt with.
   */
  subscribe(subscription: Subscription): ChangePages {
    const { filter, isAudience = false } = subscription;
    const subscriber: Subscriber = {
      filter,
      isAudience,
      ended: false,
      queue: [],
      joinedAt: 0,
      overflowed: false,
      wake: null,
    };
    const pages = this.#run(subscriber, subscription);
    const end = async (): Promise<IteratorReturnResult<void>> => {
      // A generator that waits does not hear its return().
      subscriber.ended = true;
      subscriber.wake?.();
      await pages.return();
      return { done: true, value: undefined };
    };
    return {
      next: () => pages.next(),
      return: end,
      throw: end,
      [Symbol.asyncIterator]() {
        return this;
      },
    };
  }

  async *#run(
    subscriber: Subscriber,
    { after, onJoined, onCurrent }: Subscription,
  ): AsyncGenerator<readonly SegmentChange[], void, undefined> {
    await this.#join(subscriber);
    try {
      onJoined?.(subscriber.joinedAt);
      let position = after ?? subscriber.joinedAt;
      while (!this.#isOver(subscriber)) {
        for await (const page of this.#catchUp(subscriber, position)) {
          position = page.at(-1)?.seq ?? position;
          yield page;
        }
        position = Math.max(position, subscriber.joinedAt);
        while (!subscriber.overflowed && !this.#isOver(subscriber)) {
          const page = subscriber.queue.splice(0, this.#options.maxPageChanges).filter((c) => c.seq > position);
          const last = page.at(-1);
          if (last !== undefined) {
            position = last.seq;
            yield page;
          } else if (subscriber.queue.length === 0) {
            if (onCurrent !== undefined) {
              onCurrent(Math.max(position, this.#position ?? 0));
              return;
            }
            await sleepUntilWoken(subscriber);
          }
        }
        if (subscriber.overflowed) this.#begin(subscriber);
      }
    } finally {
      this.#leave(subscriber);
    }
  }

  /** Ends every subscription. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const subscriber of this.#subscribers) subscriber.wake?.();
    this.#wake();
    await this.#polling;
  }

  async *#catchUp(subscriber: Subscriber, after: number): AsyncGenerator<readonly SegmentChange[], void, undefined> {
    const { feed, maxPageChanges } = this.#options;
    const { joinedAt, filter } = subscriber;
    for (let position = after; position < joinedAt && !this.#isOver(subscriber);) {
      const rows = await feed.after(position, maxPageChanges, filter);
      const page = rows.filter((change) => change.seq <= joinedAt);
      if (page.length > 0) yield page;
      if (rows.length < maxPageChanges || page.length < rows.length) return;
      position = rows.at(-1)?.seq ?? joinedAt;
    }
  }

  async #join(subscriber: Subscriber): Promise<void> {
    if (this.#position === null) {
      this.#starting ??= this.#start();
      await this.#starting;
    }
    this.#subscribers.add(subscriber);
    if (subscriber.isAudience) this.#audiences++;
    this.#begin(subscriber);
    this.#polling ??= this.#poll().finally(() => {
      this.#polling = null;
    });
  }

  async #start(): Promise<void> {
    try {
      this.#position = await this.#options.feed.head();
    } finally {
      this.#starting = null;
    }
  }

  #begin(subscriber: Subscriber): void {
    subscriber.queue = [];
    subscriber.overflowed = false;
    subscriber.joinedAt = this.#position ?? 0;
  }

  #leave(subscriber: Subscriber): void {
    if (this.#subscribers.delete(subscriber) && subscriber.isAudience) this.#audiences--;
    if (this.#subscribers.size === 0) this.#wake();
  }

  #offer(changes: readonly SegmentChange[]): void {
    for (const change of changes) {
      this.#position = change.seq;
      for (const subscriber of this.#subscribers) {
        if (subscriber.overflowed || !matchesFilter(change, subscriber.filter)) continue;
        if (subscriber.queue.length >= this.#options.maxQueuedChanges) {
          subscriber.overflowed = true;
          subscriber.queue = [];
          this.#overflows++;
        } else {
          subscriber.queue.push(change);
        }
        subscriber.wake?.();
      }
    }
  }

  /** Reads what others committed, for as long as anybody listens. */
  async #poll(): Promise<void> {
    const { feed, pollMs, retryMs, onError } = this.#options;
    while (!this.#closed && this.#subscribers.size > 0) {
      let delayMs = pollMs;
      try {
        const position = this.#position ?? 0;
        const rows = await feed.after(position, READ_CHANGES);
        // A local commit may have moved the position while the table was read.
        const fresh = rows.filter((change) => change.seq > (this.#position ?? 0));
        this.#offer(fresh);
        if (rows.length === READ_CHANGES) delayMs = 0;
      } catch (error) {
        onError(error);
        delayMs = retryMs;
      }
      if (delayMs > 0) await this.#pause(delayMs);
    }
    if (this.#subscribers.size === 0) this.#position = null;
  }

  async #pause(ms: number): Promise<void> {
    if (!this.#woken) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, ms);
        timer.unref();
        this.#wakePoll = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    this.#wakePoll = null;
    this.#woken = false;
  }

  #wake(): void {
    this.#woken = true;
    this.#wakePoll?.();
  }

  #isOver(subscriber: Subscriber): boolean {
    return this.#closed || subscriber.ended;
  }
}

async function sleepUntilWoken(subscriber: Subscriber): Promise<void> {
  await new Promise<void>((resolve) => {
    subscriber.wake = resolve;
  });
  subscriber.wake = null;
}
