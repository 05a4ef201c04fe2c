/** An object of an event whose fields can be referred to by name. */
export const FIELD_OBJECTS = ['properties', 'traits'] as const;
export type FieldObject = (typeof FIELD_OBJECTS)[number];

/**
 * Names that accepted events have carried so far: what a definition can be held against, to find the name that nobody
 * ever sent.
 */
export interface SeenNames {
  /** By name of the event ({@link LoggedEvent.name}): the fields at the top of it, as `properties.total`. */
  readonly events: ReadonlyMap<string, ReadonlySet<string>>;
  /** False once {@link MAX_SEEN_NAMES} was reached: a name that is missing may then have been sent all the same. */
  readonly isComplete: boolean;
}

/** Most names that are kept, events and fields together. */
export const MAX_SEEN_NAMES = 20_000;

/** Fields with other names are not kept: nothing can refer to them by a path. */
export const FIELD_NAME = /^[A-Za-z_][A-Za-z0-9_-]{0,99}$/;
