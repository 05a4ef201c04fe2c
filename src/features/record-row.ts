import type { JsonValue } from '../events/event.model.js';
import { isInstant, parseInstant, type InstantPolicy } from '../platform/instant.js';
import type { FeatureEvent, FeatureValue } from './feature.model.js';
import type { PackedReader, PackedWriter } from './packed-bytes.js';
import { isEarlier, readRow, rowOf, valueOfRow, writeRow, type Row } from './row-value.js';
import { StreamState, type FeatureReading } from './stream-state.js';
import { parseValuePath, valueAt, type ValuePath } from './value-path.js';

/** A record's row: what it says, and when it was created at its source, ms. */
interface CreatedRow {
  readonly createdAt: number;
  readonly row: Row;
}

/** Without an offset, the meaning of a time would depend on who sends it. */
const POLICY: InstantPolicy = { date: 'refused', time: 'refused' };

const paths = new Map<string, ValuePath>();

/**
 * The winning row of the records of a batch view, as Feast chooses it: the greatest `(event_ts, created_ts)`, ties by
 * source and message, so that neither order nor split can be told from it. It is chosen by row: one whose value is null
 * wins all the same.
 *
 * A row counts as of T while `T − ttl ≤ event_ts ≤ T`, both inclusive. A value read at `t` is one as of T = t − 1.
 */
export class RecordRow extends StreamState {
  readonly #created: ValuePath | null;
  #winner: CreatedRow | null = null;

  /** @param created path of the time at which a record was created; null: when its event was accepted */
  constructor(created: string | null) {
    super();
    this.#created = created === null ? null : pathOf(created);
  }

  static unpack(reader: PackedReader, created: string | null): RecordRow {
    const state = new RecordRow(created);
    const createdAt = reader.signed();
    state.#winner = { createdAt, row: readRow(reader, createdAt) };
    return state;
  }

  get isEmpty(): boolean {
    return this.#winner === null;
  }

  add(_tile: number, event: FeatureEvent, value: JsonValue | undefined): boolean {
    // Most late rows are told by their event's time alone.
    if (this.#winner !== null && event.occurredAt < this.#winner.row.occurredAt) return false;
    return this.#put({ createdAt: this.#createdAt(event), row: rowOf(event, value) });
  }

  merge(other: RecordRow): void {
    if (other.#winner !== null) this.#put(other.#winner);
  }

  /** One row is kept whatever its age: it tells one that is too old from none. */
  dropBefore(): void {
    return;
  }

  read(feature: FeatureReading, t: number): FeatureValue {
    if (this.#winner === null) return feature.empty;
    const { row } = this.#winner;
    const ttlMs = feature.definition.options?.ttlMs ?? Infinity;
    const validUntil = row.occurredAt + ttlMs + 2;
    if (t < validUntil) return valueOfRow(row, feature, validUntil);
    return {
      status: 'OUTSIDE_MAX_AGE',
      value: null,
      eventTs: row.occurredAt,
      validUntil: Infinity,
      approximate: false,
    };
  }

  write(writer: PackedWriter): void {
    if (this.#winner === null) return;
    const { createdAt, row } = this.#winner;
    writer.signed(createdAt);
    writeRow(writer, row, createdAt);
  }

  #createdAt(event: FeatureEvent): number {
    const written = this.#created === null ? undefined : valueAt(event, this.#created);
    const ms = typeof written === 'string' ? parseInstant(written, POLICY) : written;
    return typeof ms === 'number' && isInstant(ms) ? ms : (event.acceptedAt ?? 0);
  }

  #put(next: CreatedRow): boolean {
    if (this.#winner !== null && !wins(next, this.#winner)) return false;
    this.#winner = next;
    this.packed = null;
    return true;
  }
}

/** Whether a row replaces the winner; the same row does not. */
function wins(next: CreatedRow, winner: CreatedRow): boolean {
  const byTime = next.row.occurredAt - winner.row.occurredAt || next.createdAt - winner.createdAt;
  return byTime === 0 ? isEarlier(winner.row, next.row) : byTime > 0;
}

function pathOf(text: string): ValuePath {
  const path = paths.get(text) ?? parseValuePath(text);
  paths.set(text, path);
  return path;
}
