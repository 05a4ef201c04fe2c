import type { LoggedEvent } from '../events/event.model.js';
import type { Uuid } from '../platform/ids.js';

/** An identifier that went over from one profile to another. */
export interface ProfileMove {
  readonly identifierId: Uuid;
  /** Null: it is new. */
  readonly from: Uuid | null;
  readonly to: Uuid;
}

/** An event, and what it did to who is who. */
export interface EventIdentity {
  readonly event: LoggedEvent;
  /** The profile of its anchor, once the event is taken into account. */
  readonly profileId: Uuid;
  readonly moves: readonly ProfileMove[];
  /** Profiles that ended with this event, each with its survivor. */
  readonly merged: ReadonlyMap<Uuid, Uuid>;
}
