import type { JsonValue } from '../events/event.model.js';
import { compareCanonical } from '../events/event.model.js';
import { isInstant, parseInstant, type InstantPolicy } from '../platform/instant.js';
import type { FeatureEvent, FeatureType, FeatureValue } from './feature.model.js';
import { corruptState, type PackedReader, type PackedWriter } from './packed-bytes.js';
import type { FeatureReading } from './stream-state.js';

/** UTF-16 units of a text that are kept of it; the value of a longer one is marked approximate. */
export const MAX_TEXT_LENGTH = 512;

type Scalar = string | number | boolean | null;

/** The event that a first or last value comes from: its canonical key and its value. Null: it has none. */
export interface Row {
  readonly occurredAt: number;
  readonly sourceId: number;
  readonly messageId: string;
  readonly value: Scalar;
  /** The text was longer than {@link MAX_TEXT_LENGTH}. */
  readonly shortened: boolean;
}

/** Without an offset, the meaning of a time would depend on who sends it. */
const POLICY: InstantPolicy = { date: 'refused', time: 'refused' };

const [NULL, FALSE, TRUE, NUMBER, TEXT, SHORTENED_TEXT] = [0, 1, 2, 3, 4, 5];

export function rowOf(event: FeatureEvent, value: JsonValue | undefined): Row {
  const { occurredAt, sourceId, messageId } = event;
  const shortened = typeof value === 'string' && value.length > MAX_TEXT_LENGTH;
  return {
    occurredAt,
    sourceId,
    messageId,
    value: shortened ? value.slice(0, MAX_TEXT_LENGTH) : scalar(value),
    shortened,
  };
}

/** A list or an object is no value, nor is a number too large for a double. −0 becomes 0, which packing does not tell apart. */
function scalar(value: JsonValue | undefined): Scalar {
  if (typeof value === 'number') return Number.isFinite(value) ? value + 0 : null;
  return typeof value === 'string' || typeof value === 'boolean' ? value : null;
}

export function isEarlier(a: Pick<Row, 'occurredAt' | 'sourceId' | 'messageId'>, b: Row): boolean {
  return compareCanonical(a, b) < 0;
}

/** The feature's value if this row is the winner. A value of another type than the feature's is as good as none. */
export function valueOfRow(row: Row, feature: FeatureReading, validUntil: number): FeatureValue {
  const value = typedValue(row.value, feature.definition.type);
  const eventTs = row.occurredAt;
  if (value === null) return { status: 'NULL_VALUE', value, eventTs, validUntil, approximate: false };
  return { status: 'PRESENT', value, eventTs, validUntil, approximate: row.shortened };
}

/** @returns null for a value of another type, and for the types of lists and maps */
export function typedValue(value: Scalar, type: FeatureType): Scalar {
  switch (type) {
    case 'string':
      return typeof value === 'string' ? value : null;
    case 'bool':
      return typeof value === 'boolean' ? value : null;
    case 'double':
      return typeof value === 'number' ? value : null;
    case 'int':
      return Number.isSafeInteger(value) ? value : null;
    case 'timestamp': {
      const ms = typeof value === 'string' ? parseInstant(value, POLICY) : value;
      return isInstant(ms) ? ms : null;
    }
    default:
      return null;
  }
}

/** @param baseMs start of the row's tile, so that its time packs small */
export function writeRow(writer: PackedWriter, row: Row, baseMs: number): void {
  const { value } = row;
  writer.signed(row.occurredAt - baseMs);
  writer.signed(row.sourceId);
  writer.text(row.messageId);
  if (typeof value === 'string') {
    writer.varint(row.shortened ? SHORTENED_TEXT : TEXT);
    writer.text(value);
  } else if (typeof value === 'number') {
    writer.varint(NUMBER);
    writer.number(value);
  } else {
    writer.varint(value === null ? NULL : value ? TRUE : FALSE);
  }
}

export function readRow(reader: PackedReader, baseMs: number): Row {
  const occurredAt = baseMs + reader.signed();
  const sourceId = reader.signed();
  const messageId = reader.text();
  const tag = reader.varint();
  return { occurredAt, sourceId, messageId, value: readScalar(reader, tag), shortened: tag === SHORTENED_TEXT };
}

function readScalar(reader: PackedReader, tag: number): Scalar {
  switch (tag) {
    case NULL:
      return null;
    case FALSE:
    case TRUE:
      return tag === TRUE;
    case NUMBER:
      return reader.number();
    case TEXT:
    case SHORTENED_TEXT:
      return reader.text();
    default:
      throw corruptState('a value has no known type', reader.at);
  }
}
