import { WeftError } from '../platform/errors.js';
import { isUuid, type Uuid } from '../platform/ids.js';
import { isSealed } from './event-seal.model.js';
import type { EventType, Identifier, JsonObject, LoggedEvent } from './event.model.js';

/**
 * The bytes of an event in the log's `payload` column: what is not in columns of their own.
 *
 *     byte 0   format; 0 = plain, 1 and 2 = sealed (`event-seal.model.ts`): whoever reads opens it first
 *     byte 1…  format 0: UTF-8 JSON, one array:
 *              [ type, name, messageId, [ns, value, id, ns, value, id, …], properties, traits, context, groupId|null ]
 *
 * Positions instead of keys save about 70 bytes an event. Identifier ids are stored, not recomputed: 0.1 µs to parse
 * against 0.65 µs to hash, each.
 */
const FORMAT_PLAIN = 0;

export interface EventPayload {
  readonly type: EventType;
  readonly name: string;
  readonly messageId: string;
  /** By falling priority, never empty. */
  readonly identifiers: readonly Identifier[];
  readonly properties: JsonObject;
  readonly traits: JsonObject;
  readonly context: JsonObject;
  readonly groupId: string | null;
}

/** What the log keeps in columns beside the payload. */
export interface EventColumns {
  readonly pos: number;
  readonly part: number;
  readonly sourceId: number;
  readonly occurredAt: number;
  readonly acceptedAt: number;
  readonly historical: boolean;
}

type PlainForm = [
  type: EventType,
  name: string,
  messageId: string,
  identifiers: string[],
  properties: JsonObject,
  traits: JsonObject,
  context: JsonObject,
  groupId: string | null,
];

/** The JSON text of a payload; the values must be JSON data (see `validate-event.ts`). */
export function payloadText(payload: EventPayload): string {
  const identifiers: string[] = [];
  for (const { ns, value, id } of payload.identifiers) identifiers.push(ns, value, id);
  const form: PlainForm = [
    payload.type,
    payload.name,
    payload.messageId,
    identifiers,
    payload.properties,
    payload.traits,
    payload.context,
    payload.groupId,
  ];
  return JSON.stringify(form);
}

/** Payload bytes of a text made by {@link payloadText}. */
export function payloadBytes(text: string): Buffer {
  // U+0000 is the byte 0 in UTF-8: the format byte costs no second copy.
  return Buffer.from(`\0${text}`);
}

export function encodePayload(payload: EventPayload): Buffer {
  return payloadBytes(payloadText(payload));
}

/** The bytes of an event are damaged: of a format that is known, and no event in it. */
export class DamagedPayload extends WeftError {}

/**
 * @throws DamagedPayload
 * @throws WeftError INTERNAL for a format that is not known: of a newer version, and no fault of the event's
 */
export function decodeEvent(bytes: Buffer, columns: EventColumns): LoggedEvent {
  const [type, name, messageId, flat, properties, traits, context, groupId] = parsePlain(bytes, columns);
  const identifiers: Identifier[] = [];
  for (let i = 0; i + 2 < flat.length; i += 3) {
    identifiers.push({ id: flat[i + 2] as Uuid, ns: flat[i] as string, value: flat[i + 1] as string });
  }
  return {
    pos: columns.pos,
    part: columns.part,
    sourceId: columns.sourceId,
    messageId,
    type,
    name,
    occurredAt: columns.occurredAt,
    acceptedAt: columns.acceptedAt,
    historical: columns.historical,
    identifiers,
    properties,
    traits,
    context,
    groupId,
  };
}

/** The ids of whom an event carries; null where its bytes cannot be read. */
export function namedIn(bytes: Buffer): Uuid[] | null {
  try {
    const flat = parsePlain(bytes, { pos: 0, part: 0 })[3];
    return flat.filter((id, i) => i % 3 === 2 && isUuid(id));
  } catch (error) {
    if (error instanceof WeftError) return null;
    throw error;
  }
}

function parsePlain(bytes: Buffer, { pos, part }: Pick<EventColumns, 'pos' | 'part'>): PlainForm {
  const where = `event_log.pos ${String(pos)}, partition ${String(part)}`;
  const format = bytes[0];
  if (isSealed(bytes)) {
    throw new DamagedPayload('INTERNAL', 'event payload is sealed, and its key does not open it', {
      where: `event_log.pos ${String(pos)}`,
    });
  }
  if (format !== FORMAT_PLAIN) {
    throw new WeftError('INTERNAL', `event payload has the unknown format ${String(format)}`, {
      where,
      hint: 'run a version of Weft at least as new as the one that wrote the event',
    });
  }
  try {
    const form: unknown = JSON.parse(bytes.toString('utf8', 1));
    if (Array.isArray(form) && form.length === 8 && Array.isArray(form[3])) return form as unknown as PlainForm;
  } catch (cause) {
    throw new DamagedPayload('INTERNAL', 'event payload is not JSON', { where, cause });
  }
  throw new DamagedPayload('INTERNAL', 'event payload has an unexpected shape', {
    where,
  });
}
