import { monitorEventLoopDelay, PerformanceObserver } from 'node:perf_hooks';

/** What held up the one thread of a process. */
export interface LoopPauses {
  /** How late a timer of 1 ms was, ms. */
  readonly p99Ms: number;
  readonly maxMs: number;
  /** The longest single pause of the garbage collector, ms. */
  readonly gcMaxMs: number;
}

const NS_PER_MS = 1e6;
const RESOLUTION_MS = 1;

/** Watches the event loop of this process; {@link LoopWatch.read} says what there was since the last time. */
export class LoopWatch {
  readonly #delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  #gcMaxMs = 0;

  constructor() {
    this.#delay.enable();
    new PerformanceObserver((list) => {
      for (const { duration } of list.getEntries()) this.#gcMaxMs = Math.max(this.#gcMaxMs, duration);
    }).observe({ entryTypes: ['gc'] });
  }

  read(): LoopPauses {
    const late = (ns: number): number => Math.max(0, ns / NS_PER_MS - RESOLUTION_MS);
    const pauses = { p99Ms: late(this.#delay.percentile(99)), maxMs: late(this.#delay.max), gcMaxMs: this.#gcMaxMs };
    this.#delay.reset();
    this.#gcMaxMs = 0;
    return pauses;
  }
}
