import type { AcceptResult, IncomingEvent } from '../events/event.model.js';
import { WeftError } from '../platform/errors.js';
import type { Uuid } from '../platform/ids.js';
import type { Queryable } from '../platform/postgres.js';
import type { RowMapper } from './compile-mapping.js';
import type { LoadUnit } from './group-rows.js';
import type { LoadCounts } from './load.store.js';

const MAX_ATTEMPTS = 10;
const FIRST_DELAY_MS = 100;
const MAX_DELAY_MS = 5_000;

/** The way into the event log, as far as a load needs it. */
export interface EventAcceptor {
  accept(
    source: { readonly id: number; readonly key: string },
    events: readonly IncomingEvent[],
    options: { readonly historical: boolean; readonly deadLetters: false },
  ): Promise<AcceptResult[]>;
}

/** A refused row or group, kept with its row number. A second letter for the same row is left out. */
export interface LoadDeadLetter {
  readonly sourceId: number;
  readonly stage: 'load';
  readonly code: string;
  readonly reason: string;
  readonly messageId: string | null;
  readonly loadId: Uuid;
  readonly rowNumber: number;
  readonly receivedAt: number;
  readonly payload: string;
}

export interface LoadDeadLetterStore {
  insert(db: Queryable, letters: readonly LoadDeadLetter[]): Promise<void>;
}

export interface SenderOptions {
  readonly source: { readonly id: number; readonly key: string };
  readonly loadId: Uuid;
  readonly historical: boolean;
  readonly mapper: RowMapper;
  readonly acceptor: EventAcceptor;
  readonly deadLetters: LoadDeadLetterStore;
  readonly db: Queryable;
  readonly now: () => number;
  readonly sleep: (ms: number) => Promise<void>;
  readonly maxInFlight: number;
  readonly startFrom: LoadCounts;
}

/**
 * Sends batches of units, several at a time, and counts them in their order: `counts` always tells of the batches from
 * the first up to some batch, without a gap, so that it may be stored as a checkpoint.
 */
export class LoadSender {
  counts: LoadCounts;
  readonly #options: SenderOptions;
  readonly #inFlight: Promise<LoadCounts>[] = [];

  constructor(options: SenderOptions) {
    this.#options = options;
    this.counts = options.startFrom;
  }

  /**
   * Returns once there is room for the next batch.
   * @param rowsRead rows read so far.
   */
  async send(units: readonly LoadUnit[], rowsRead: number): Promise<void> {
    const sent = this.#send(units, rowsRead);
    // A failure is met when its turn comes; until then it must not count as unhandled.
    sent.catch(() => undefined);
    this.#inFlight.push(sent);
    while (this.#inFlight.length >= this.#options.maxInFlight) await this.#settleFirst();
  }

  async drain(): Promise<void> {
    while (this.#inFlight.length > 0) await this.#settleFirst();
  }

  /** Waits for what is under way, whatever becomes of it; after a failure. Nothing of it is counted. */
  async settle(): Promise<void> {
    await Promise.allSettled(this.#inFlight);
  }

  async #settleFirst(): Promise<void> {
    const done = await this.#inFlight[0];
    void this.#inFlight.shift();
    if (done === undefined) return;
    this.counts = {
      rowsRead: Math.max(this.counts.rowsRead, done.rowsRead),
      accepted: this.counts.accepted + done.accepted,
      duplicates: this.counts.duplicates + done.duplicates,
      refused: this.counts.refused + done.refused,
    };
  }

  async #send(units: readonly LoadUnit[], rowsRead: number): Promise<LoadCounts> {
    const { acceptor, source, historical, deadLetters, db } = this.#options;
    const events: IncomingEvent[] = [];
    const eventUnits: LoadUnit[] = [];
    const letters: LoadDeadLetter[] = [];
    for (const unit of units) {
      if (unit.event !== null) {
        events.push(unit.event);
        eventUnits.push(unit);
      } else if (unit.refusal !== null) {
        letters.push(this.#letter(unit, unit.refusal.code, unit.refusal.reason));
      }
    }
    const results =
      events.length === 0
        ? []
        : await this.#retry(() => acceptor.accept(source, events, { historical, deadLetters: false }));
    let accepted = 0;
    let duplicates = 0;
    for (const [i, unit] of eventUnits.entries()) {
      const result = results[i];
      if (result?.status === 'accepted') accepted++;
      else if (result?.status === 'duplicate') duplicates++;
      else letters.push(this.#letter(unit, result?.code ?? 'INTERNAL', result?.reason ?? 'no answer for this event'));
    }
    if (letters.length > 0) await this.#retry(() => deadLetters.insert(db, letters));
    return { rowsRead, accepted, duplicates, refused: letters.length };
  }

  #letter(unit: LoadUnit, code: string, reason: string): LoadDeadLetter {
    return {
      sourceId: this.#options.source.id,
      stage: 'load',
      code,
      reason,
      messageId: unit.event?.messageId ?? null,
      loadId: this.#options.loadId,
      rowNumber: unit.row.number,
      receivedAt: this.#options.now(),
      payload: this.#options.mapper.describe(unit.row),
    };
  }

  async #retry<T>(attempt: () => Promise<T>): Promise<T> {
    for (let attempts = 1; ; attempts++) {
      try {
        return await attempt();
      } catch (error) {
        const isTransient = error instanceof WeftError && (error.code === 'OVERLOADED' || error.code === 'UNAVAILABLE');
        if (!isTransient || attempts === MAX_ATTEMPTS) throw error;
        const delayMs = error.retryAfterMs ?? FIRST_DELAY_MS * 2 ** (attempts - 1);
        await this.#options.sleep(Math.min(delayMs, MAX_DELAY_MS));
      }
    }
  }
}
