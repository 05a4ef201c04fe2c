import type { CausingEvent } from '../../events/causing-event.reader.js';
import type { JsonObject, JsonValue } from '../../events/event.model.js';
import { formatInstant } from '../../platform/instant.js';
import type { SegmentChange } from '../../segments/segment.model.js';
import { CHANGE_CURSOR } from '../change-cursor.model.js';
import type { PersonPayload } from './endpoint.model.js';
import { renderPayload, type PayloadTemplate } from './payload-template.model.js';

/** What tells a change from all others, the same with each attempt: what a receiver does twice by it, it does once. */
export function deliveryId(endpointKey: string, seq: number): string {
  return `${endpointKey}-${String(seq)}`;
}

/** The body of a request; null: the template requires what is not known of the person. */
export function composePayload(
  template: PayloadTemplate,
  {
    id,
    change,
    segment,
    person,
    event,
  }: {
    readonly id: string;
    readonly change: SegmentChange;
    readonly segment: { readonly key: string; readonly name: string };
    readonly person: PersonPayload;
    /** Null: no event did it, or it is not in the log any more. */
    readonly event: CausingEvent | null;
  },
): JsonValue | null {
  const identifiers = Object.entries(person.identifiers).flatMap(([ns, [first]]) =>
    first === undefined ? [] : [[ns, first] as const],
  );
  return renderPayload(template, {
    change: {
      id,
      type: change.kind === 'enter' ? 'segment.entered' : 'segment.left',
      kind: change.kind,
      at: formatInstant(change.at),
      cursor: CHANGE_CURSOR.encode({ seq: change.seq }),
      cause: change.cause.kind,
      version: change.version,
      event: event === null ? null : eventValue(event),
      models: (change.models ?? []).map(({ key, version, digest }) => ({ key, version, digest })),
    },
    segment: { key: segment.key, name: segment.name },
    profile: { id: change.profileId },
    identifiers: Object.fromEntries(identifiers),
    traits: person.traits,
    features: person.features,
  });
}

function eventValue({ messageId, type, name, occurredAt }: CausingEvent): JsonObject {
  return { messageId, type, name, occurredAt: formatInstant(occurredAt) };
}
