import type { Clock } from './clock.js';
import { WeftError } from './errors.js';
import type { Logger } from './logger.js';

export interface RepeatedLogOptions {
  /** A cause is told of once in this time. Default one minute. */
  readonly intervalMs?: number;
  /** Causes told apart within an interval; further ones share a line. Default 100. */
  readonly maxCauses?: number;
}

type Level = 'warn' | 'error';

interface Told {
  readonly atMs: number;
  readonly level: Level;
  readonly fields: Readonly<Record<string, unknown>>;
  readonly message: string;
  /** Times that it happened since, unmentioned. */
  repeats: number;
}

const OTHER = 'other';
const MAX_MESSAGE_LENGTH = 200;

/**
 * Log lines for what may happen again with every event or batch: one line for a cause and interval, which says in
 * `repeats` how often the same happened unmentioned before it. What ended is told of with the next line of any cause.
 */
export class RepeatedLog {
  readonly #logger: Pick<Logger, Level>;
  readonly #clock: Clock;
  readonly #intervalMs: number;
  readonly #maxCauses: number;
  readonly #told = new Map<string, Told>();

  constructor(logger: Pick<Logger, Level>, clock: Clock, options: RepeatedLogOptions = {}) {
    this.#logger = logger;
    this.#clock = clock;
    this.#intervalMs = options.intervalMs ?? 60_000;
    this.#maxCauses = options.maxCauses ?? 100;
  }

  /** @param fields of the first occurrence in an interval; those of the others are dropped */
  warn(error: unknown, message: string, fields: Readonly<Record<string, unknown>> = {}): void {
    this.#tell('warn', error, message, fields);
  }

  /** @see warn */
  error(error: unknown, message: string, fields: Readonly<Record<string, unknown>> = {}): void {
    this.#tell('error', error, message, fields);
  }

  #tell(level: Level, error: unknown, message: string, fields: Readonly<Record<string, unknown>>): void {
    const nowMs = this.#clock.now();
    const cause = `${message}\0${causeOf(error)}`;
    const key = this.#told.has(cause) || this.#told.size < this.#maxCauses ? cause : OTHER;
    const told = this.#told.get(key);
    if (told !== undefined && !this.#isOver(told, nowMs)) {
      told.repeats++;
      return;
    }
    this.#told.delete(key);
    this.#expire(nowMs);
    const all = { ...fields, err: error };
    this.#told.set(key, { atMs: nowMs, level, fields: all, message, repeats: 0 });
    this.#write(level, all, message, told?.repeats ?? 0);
  }

  #expire(nowMs: number): void {
    for (const [cause, told] of this.#told) {
      if (!this.#isOver(told, nowMs)) continue;
      this.#told.delete(cause);
      if (told.repeats > 0) this.#write(told.level, told.fields, told.message, told.repeats);
    }
  }

  /** A clock that was set back must not silence anything. */
  #isOver({ atMs }: Told, nowMs: number): boolean {
    return nowMs - atMs >= this.#intervalMs || nowMs < atMs;
  }

  #write(level: Level, fields: Readonly<Record<string, unknown>>, message: string, repeats: number): void {
    this.#logger[level](repeats === 0 ? fields : { ...fields, repeats }, message);
  }
}

/** Errors with the same code, place and words, whatever numbers are in them, are one cause. */
function causeOf(error: unknown): string {
  if (!(error instanceof Error)) return typeof error;
  const place = error instanceof WeftError ? `${error.code}\0${error.where ?? ''}` : error.name;
  return `${place}\0${error.message.slice(0, MAX_MESSAGE_LENGTH)}`.replace(/\d+/g, '0');
}
