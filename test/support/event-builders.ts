import { encodePayload } from '../../src/events/event-codec.js';
import type { PreparedEvent } from '../../src/events/event-log.model.js';
import type { IdentifierPolicy } from '../../src/events/event.model.js';
import { hashId } from '../../src/platform/ids.js';

/** Takes every identifier as it is, in the order given. */
export const acceptAllPolicy: IdentifierPolicy = {
  blockedBy: () => null,
  rulesVersion: 1,
  resolve: (raw) => ({
    identifiers: raw.map(({ ns, value }) => ({ id: hashId(ns, value), ns, value })),
    dropped: [],
  }),
};

export interface PreparedEventSpec {
  readonly messageId: string;
  /** Value of its one identifier, a `user_id`; default: the message id. */
  readonly user?: string;
  readonly occurredAt?: number;
  readonly sourceId?: number;
  readonly name?: string;
  /** Makes the payload this much larger. */
  readonly paddingBytes?: number;
}

/** A `track` event, ready for the log. */
export function aPreparedEvent(spec: PreparedEventSpec): PreparedEvent {
  const { messageId, user = messageId, occurredAt = 1_700_000_000_000, sourceId = 1, name = 'x' } = spec;
  const id = hashId('user_id', user);
  return {
    sourceId,
    dedupeId: hashId('dedupe', String(sourceId), messageId),
    anchorId: id,
    identifiers: [{ id, ns: 'user_id', value: user }],
    occurredAt,
    rulesVersion: 1,
    historical: false,
    payload: encodePayload({
      type: 'track',
      name,
      messageId,
      identifiers: [{ id, ns: 'user_id', value: user }],
      properties: { padding: 'x'.repeat(spec.paddingBytes ?? 0) },
      traits: {},
      context: {},
      groupId: null,
    }),
  };
}
