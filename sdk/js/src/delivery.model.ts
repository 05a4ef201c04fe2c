import type { EventQueue } from './event-queue.js';
import type { Exclusive } from './exclusive.js';
import type { Problem } from './problem.js';
import type { Runtime } from './runtime.js';

/** Counts since the page was opened. */
export interface DeliveryStats {
  /** Taken by Weft, be it that it had them already. */
  readonly sent: number;
  /** Lost: too large, refused, or the oldest of a full queue. */
  readonly dropped: number;
  /** Waiting to be sent, those of other tabs and earlier pages too. */
  readonly queued: number;
}

export interface DeliveryOptions extends Runtime {
  /** Of Weft, without a slash at the end. */
  readonly url: string;
  readonly writeKey: string;
  readonly queue: EventQueue;
  readonly exclusive: Exclusive;
  /** How long an event waits for others, ms. */
  readonly flushDelayMs: number;
  /** Whether anything may be sent at present. */
  readonly isAllowed: () => boolean;
  /** Told of the token of an answer, with which a read counts the events sent. */
  readonly onToken: (token: string) => void;
  readonly onProblem: (problem: Problem) => void;
}

/** Takes events and sees to it that each arrives once. */
export interface Delivery {
  /** Does not wait. */
  add(event: Readonly<Record<string, unknown>>): void;
  /**
   * Sends what waits.
   *
   * @param timeoutMs how long to go on where Weft is away or asks to wait; default: one try.
   * @returns whether nothing is left to send
   */
  flush(timeoutMs?: number): Promise<boolean>;
  /** Sends what this page added and may not live to send otherwise. What is not confirmed is sent again later. */
  leave(): void;
  clear(): void;
  stats(): DeliveryStats;
}
