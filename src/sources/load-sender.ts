import type { DeadLetter, MendedRow } from '../events/dead-letter.model.js';
import { dedupeIdOf, type AcceptResult, type IncomingEvent } from '../events/event.model.js';
import type { Uuid } from '../platform/ids.js';
import type { Queryable } from '../platform/postgres.js';
import type { RowMapper } from './compile-mapping.js';
import type { LoadUnit } from './group-rows.js';
import { addBatch, type LoadCounts } from './load.model.js';
import { retryUnavailable } from './retry-unavailable.js';

/** The way into the event log, as far as a load needs it. */
export interface EventAcceptor {
  accept(
    source: { readonly id: number; readonly key: string },
    events: readonly IncomingEvent[],
    options: {
      readonly historical: boolean;
      readonly receivedAtMs: number;
      readonly deadLetters: false;
      readonly loadId: Uuid;
    },
  ): Promise<AcceptResult[]>;
}

/** A refused row or group, kept with its row number. A second letter for the same row is left out. */
export type LoadDeadLetter = DeadLetter & { readonly stage: 'load'; readonly rowNumber: number };

export interface LoadDeadLetterStore {
  insert(db: Queryable, letters: readonly LoadDeadLetter[]): Promise<void>;
}

/** Letters of rows that were mended since. */
export interface LetterSettler {
  hasOpenRows(db: Queryable, sourceId: number, exceptLoadId: Uuid): Promise<boolean>;
  settleRows(
    db: Queryable,
    rows: readonly MendedRow[],
    settling: { readonly sourceId: number; readonly loadId: Uuid; readonly nowMs: number },
  ): Promise<void>;
  countSettled(db: Queryable, loadId: Uuid): Promise<number>;
}

export interface SenderOptions {
  readonly source: { readonly id: number; readonly key: string };
  readonly loadId: Uuid;
  readonly historical: boolean;
  /** When the load began, ms: the time of events that have none, the same in each run. */
  readonly receivedAtMs: number;
  readonly mapper: RowMapper;
  readonly acceptor: EventAcceptor;
  readonly deadLetters: LoadDeadLetterStore;
  /** Null where no letters of the source are open but those of this load. */
  readonly settler: Pick<LetterSettler, 'settleRows'> | null;
  readonly db: Queryable;
  readonly now: () => number;
  readonly sleep: (ms: number) => Promise<void>;
  readonly maxInFlight: number;
  readonly startFrom: LoadCounts;
}

export type RowsRead = Pick<LoadCounts, 'rowsRead' | 'rowsSkipped'>;

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
   * @param read rows read so far.
   */
  async send(units: readonly LoadUnit[], read: RowsRead): Promise<void> {
    const sent = this.#send(units, read);
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
    this.counts = addBatch(this.counts, done);
  }

  async #send(units: readonly LoadUnit[], read: RowsRead): Promise<LoadCounts> {
    const { acceptor, source, historical, receivedAtMs, deadLetters, db, loadId } = this.#options;
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
        : await this.#retry(() =>
            acceptor.accept(source, events, { historical, receivedAtMs, deadLetters: false, loadId }),
          );
    let accepted = 0;
    let duplicates = 0;
    const dropped: Record<string, number> = {};
    for (const [i, unit] of eventUnits.entries()) {
      const result = results[i] ?? NO_ANSWER;
      if (result.status === 'refused') {
        letters.push(this.#letter(unit, result.code, result.reason));
        continue;
      }
      if (result.status === 'accepted') accepted++;
      else duplicates++;
      for (const { ns, reason } of result.dropped ?? []) {
        const key = `${ns}.${reason}`;
        dropped[key] = (dropped[key] ?? 0) + 1;
      }
    }
    if (letters.length > 0) await this.#retry(() => deadLetters.insert(db, letters));
    await this.#settle(eventUnits.filter((_, i) => results[i]?.status !== 'refused'));
    return { ...read, accepted, duplicates, refused: letters.length, dropped };
  }

  /** After the events are durable: run again, the same rows are duplicates, and settle the same letters. */
  async #settle(units: readonly LoadUnit[]): Promise<void> {
    const { settler, source, loadId, mapper, db, now } = this.#options;
    if (settler === null) return;
    const rows = units.flatMap(({ event, row }): MendedRow[] =>
      event?.messageId === undefined
        ? []
        : [{ dedupeId: dedupeIdOf(source.id, event.messageId), former: mapper.formerPlace(row) }],
    );
    if (rows.length === 0) return;
    await this.#retry(() => settler.settleRows(db, rows, { sourceId: source.id, loadId, nowMs: now() }));
  }

  #letter(unit: LoadUnit, code: string, reason: string): LoadDeadLetter {
    const { mapper, source } = this.#options;
    const messageId = unit.event?.messageId ?? mapper.messageIdOf(unit.row);
    return {
      sourceId: source.id,
      stage: 'load',
      code,
      reason,
      messageId: unit.event?.messageId ?? null,
      loadId: this.#options.loadId,
      rowNumber: unit.row.number,
      receivedAt: this.#options.now(),
      form: { kind: 'row' },
      dedupeId: messageId === null ? null : dedupeIdOf(source.id, messageId),
      payload: mapper.describe(unit.row),
    };
  }

  #retry<T>(attempt: () => Promise<T>): Promise<T> {
    return retryUnavailable(attempt, this.#options.sleep);
  }
}

const NO_ANSWER: AcceptResult = { status: 'refused', code: 'INTERNAL', reason: 'no answer for this event' };
