import { setTimeout as delay } from 'node:timers/promises';
import { WeftError } from './errors.js';

/** How a started part goes. Both are called once at most; a failure is reported and the rest go on. */
export interface Departure<T> {
  /** First phase: take no new work and finish what runs. The parts that it needs are still there. */
  readonly drain?: (part: T) => Promise<void> | void;
  /** Second phase: release connections, timers, processes. */
  readonly stop?: (part: T) => Promise<void> | void;
}

export interface LifecycleObserver {
  started(name: string, tookMs: number): void;
  /** A part did not drain or stop: it failed, or its share of the time was up. */
  departureFailed(name: string, phase: 'drain' | 'stop', error: unknown): void;
}

interface Running {
  readonly name: string;
  readonly drain: () => Promise<void> | void;
  readonly stop: () => Promise<void> | void;
}

/**
 * The parts of a program in the order in which they were started.
 *
 * Start: when one fails, those before it are stopped, last first, and the failure is thrown. Stop: all drain, last
 * started first, then all stop, last started first, under one deadline. A part gets at most half of the time that is
 * left, so that one that hangs cannot take the time of those after it.
 */
export class Lifecycle {
  readonly #running: Running[] = [];
  readonly #observer: LifecycleObserver;
  readonly #timeoutMs: number;
  #stopping: Promise<boolean> | undefined;

  /** @param timeoutMs for draining and stopping all parts together */
  constructor(observer: LifecycleObserver, timeoutMs: number) {
    this.#observer = observer;
    this.#timeoutMs = timeoutMs;
  }

  /**
   * @returns what `open` made
   * @throws whatever `open` throws, after everything started before was stopped; UNAVAILABLE when a stop came between
   */
  async start<T>(name: string, open: () => Promise<T> | T, departure: Departure<T> = {}): Promise<T> {
    if (this.#isStopping()) throw stopped(name);
    const startedMs = performance.now();
    let part: T;
    try {
      part = await open();
    } catch (error) {
      await this.stop();
      throw error;
    }
    const running: Running = {
      name,
      drain: () => departure.drain?.(part),
      stop: () => departure.stop?.(part),
    };
    // The signal to stop came while this part was starting: nobody else will stop it.
    if (this.#isStopping()) {
      const deadlineMs = performance.now() + this.#timeoutMs;
      await this.#depart(running, 'drain', deadlineMs);
      await this.#depart(running, 'stop', deadlineMs);
      throw stopped(name);
    }
    this.#running.push(running);
    this.#observer.started(name, performance.now() - startedMs);
    return part;
  }

  /** True if every part drained and stopped in time. Later calls give the answer of the first. */
  stop(): Promise<boolean> {
    this.#stopping ??= this.#stopAll();
    return this.#stopping;
  }

  #isStopping(): boolean {
    return this.#stopping !== undefined;
  }

  async #stopAll(): Promise<boolean> {
    const deadlineMs = performance.now() + this.#timeoutMs;
    const parts = this.#running.splice(0).reverse();
    let isClean = true;
    for (const phase of ['drain', 'stop'] as const) {
      for (const part of parts) isClean = (await this.#depart(part, phase, deadlineMs)) && isClean;
    }
    return isClean;
  }

  async #depart(part: Running, phase: 'drain' | 'stop', deadlineMs: number): Promise<boolean> {
    const shareMs = Math.max(0, (deadlineMs - performance.now()) / 2);
    const timer = new AbortController();
    try {
      const work = Promise.resolve(part[phase]()).then(() => true);
      // Without `ref`, a part that hangs could end the process before the others were stopped.
      const late = delay(shareMs, false, { signal: timer.signal }).catch(() => false);
      if (await Promise.race([work, late])) return true;
      work.catch(() => undefined);
      throw new WeftError('UNAVAILABLE', `${part.name} did not ${phase} within ${String(Math.round(shareMs))} ms`);
    } catch (error) {
      this.#observer.departureFailed(part.name, phase, error);
      return false;
    } finally {
      timer.abort();
    }
  }
}

function stopped(name: string): WeftError {
  return new WeftError('UNAVAILABLE', `${name} was not started: the program is stopping`);
}
