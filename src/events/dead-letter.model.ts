import type { JsonObject, LoggedEvent } from './event.model.js';

/** Where an input was given up: at the door, as a row of a file, or when it was applied. */
export const DEAD_LETTER_STAGES = ['accept', 'load', 'apply'] as const;
export type DeadLetterStage = (typeof DEAD_LETTER_STAGES)[number];

/** An input that was not taken, kept so that its sender can find out why. */
export interface DeadLetter {
  /** Null where the source is not known. */
  readonly sourceId: number | null;
  readonly stage: DeadLetterStage;
  readonly code: string;
  /** For people; names fields and limits. */
  readonly reason: string;
  readonly messageId?: string | null;
  /** Log position, for stage `apply`; one letter a position. */
  readonly pos?: number | null;
  /** For stage `load`; one letter a load and row. */
  readonly loadId?: string | null;
  readonly rowNumber?: number | null;
  readonly receivedAt: number;
  /** What was handed in, as text; JSON where it was. Cut to {@link MAX_DEAD_LETTER_BYTES}. */
  readonly payload: string;
}

export const MAX_DEAD_LETTER_BYTES = 8 * 1024;

/** JSON, cut, of what may be no JSON: undefined, too deep, cyclic, with a BigInt. */
export function deadLetterText(input: unknown): string {
  try {
    const text = JSON.stringify(input) as string | undefined;
    return (text ?? 'null').slice(0, MAX_DEAD_LETTER_BYTES);
  } catch {
    return 'null';
  }
}

/** An event of the log in the form in which it was handed in, so that letters of all stages read alike. */
export function deadEventText(event: LoggedEvent): string {
  const withContent = (name: 'properties' | 'traits' | 'context'): JsonObject | undefined =>
    Object.keys(event[name]).length === 0 ? undefined : { [name]: event[name] };
  return deadLetterText({
    type: event.type,
    ...(event.type === 'track' ? { name: event.name } : undefined),
    messageId: event.messageId,
    identifiers: event.identifiers.map(({ ns, value }) => ({ ns, value })),
    timestampMs: event.occurredAt,
    ...(event.groupId === null ? undefined : { groupId: event.groupId }),
    ...withContent('properties'),
    ...withContent('traits'),
    ...withContent('context'),
  });
}
