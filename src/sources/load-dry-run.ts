import type { EventChecker } from '../events/accept.model.js';
import type { PreparedEvent } from '../events/event-log.model.js';
import type { AcceptResult, IncomingEvent } from '../events/event.model.js';
import type { Queryable } from '../platform/postgres.js';
import type { DryRunResult } from './load.model.js';
import type { LoadForecast } from './load-forecast.js';
import type { EventAcceptor, LoadDeadLetter, LoadDeadLetterStore } from './load-sender.js';

const EXAMPLES = 3;

/** Stands for the log and the dead letters in a dry run: checks what would be sent, and keeps the first of it. */
export class DryRunTarget implements EventAcceptor, LoadDeadLetterStore {
  readonly #refusedByCode: Record<string, number> = {};
  readonly #firstEvents: IncomingEvent[] = [];
  readonly #firstRefusals: DryRunResult['firstRefusals'][number][] = [];
  #firstTimeMs = Number.POSITIVE_INFINITY;
  #lastTimeMs = Number.NEGATIVE_INFINITY;

  /** @param forecast null: duplicates are not looked for */
  constructor(
    private readonly checker: EventChecker,
    private readonly forecast: LoadForecast | null,
  ) {}

  async accept(
    source: Parameters<EventAcceptor['accept']>[0],
    events: readonly IncomingEvent[],
    options: Parameters<EventAcceptor['accept']>[2],
  ): Promise<AcceptResult[]> {
    const prepared: PreparedEvent[] = [];
    const preparedAt: number[] = [];
    const results = this.checker.check(source, events, options, (event, index) => {
      prepared.push(event);
      preparedAt.push(index);
    });
    const areDuplicates = (await this.forecast?.look(prepared)) ?? [];
    for (const [i, isDuplicate] of areDuplicates.entries()) {
      const at = preparedAt[i] ?? 0;
      const result = results[at];
      if (isDuplicate && result?.status === 'accepted') results[at] = { ...result, status: 'duplicate' };
    }
    for (const [i, event] of events.entries()) {
      if (results[i]?.status === 'refused') continue;
      if (this.#firstEvents.length < EXAMPLES) this.#firstEvents.push(event);
      if (event.timestampMs === undefined) continue;
      this.#firstTimeMs = Math.min(this.#firstTimeMs, event.timestampMs);
      this.#lastTimeMs = Math.max(this.#lastTimeMs, event.timestampMs);
    }
    return results;
  }

  insert(_db: Queryable, letters: readonly LoadDeadLetter[]): Promise<void> {
    const inOrder = this.#firstRefusals.length < EXAMPLES ? letters.toSorted(byRow) : letters;
    for (const { rowNumber, code, reason } of inOrder) {
      this.#refusedByCode[code] = (this.#refusedByCode[code] ?? 0) + 1;
      if (this.#firstRefusals.length < EXAMPLES) this.#firstRefusals.push({ rowNumber, code, reason });
    }
    return Promise.resolve();
  }

  get findings(): Pick<DryRunResult, 'refusedByCode' | 'firstEvents' | 'firstRefusals' | 'firstTimeMs' | 'lastTimeMs'> {
    return {
      refusedByCode: this.#refusedByCode,
      firstEvents: this.#firstEvents,
      firstRefusals: this.#firstRefusals,
      firstTimeMs: Number.isFinite(this.#firstTimeMs) ? this.#firstTimeMs : null,
      lastTimeMs: Number.isFinite(this.#lastTimeMs) ? this.#lastTimeMs : null,
    };
  }
}

function byRow(a: LoadDeadLetter, b: LoadDeadLetter): number {
  return a.rowNumber - b.rowNumber;
}
