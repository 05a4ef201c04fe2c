import type { LoadUnit } from './group-rows.js';
import type { DryRunResult } from './load.model.js';

const EXAMPLES = 3;

/** What a load would do, counted from units. */
export class DryRunCounts {
  rows = 0;
  #events = 0;
  #refused = 0;
  #firstTimeMs = Number.POSITIVE_INFINITY;
  #lastTimeMs = Number.NEGATIVE_INFINITY;
  readonly #byCode: Record<string, number> = {};
  readonly #firstEvents: unknown[] = [];
  readonly #firstRefusals: { rowNumber: number; code: string; reason: string }[] = [];

  add(units: LoadUnit[]): void {
    for (const { event, refusal, row } of units) {
      if (event !== null) {
        this.#events++;
        if (this.#firstEvents.length < EXAMPLES) this.#firstEvents.push(event);
        if (event.timestampMs === undefined) continue;
        this.#firstTimeMs = Math.min(this.#firstTimeMs, event.timestampMs);
        this.#lastTimeMs = Math.max(this.#lastTimeMs, event.timestampMs);
      } else if (refusal !== null) {
        this.#refused++;
        this.#byCode[refusal.code] = (this.#byCode[refusal.code] ?? 0) + 1;
        const { code, reason } = refusal;
        if (this.#firstRefusals.length < EXAMPLES) this.#firstRefusals.push({ rowNumber: row.number, code, reason });
      }
    }
    units.length = 0;
  }

  result(source: string, skipped: number, complete: boolean, share: number): DryRunResult {
    return {
      source,
      firstEvents: this.#firstEvents,
      rows: this.rows,
      events: this.#events,
      skipped,
      refused: this.#refused,
      refusedByCode: this.#byCode,
      firstRefusals: this.#firstRefusals,
      complete,
      estimatedRows: Math.round(this.rows / share),
      estimatedEvents: Math.round(this.#events / share),
      firstTimeMs: Number.isFinite(this.#firstTimeMs) ? this.#firstTimeMs : null,
      lastTimeMs: Number.isFinite(this.#lastTimeMs) ? this.#lastTimeMs : null,
    };
  }
}
