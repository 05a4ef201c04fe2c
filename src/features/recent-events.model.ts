/** The events of a ring, and from where on they are in a feature's window. */
export interface RecentEvents {
  /** ms, oldest first; not empty. */
  readonly times: readonly number[];
  /** What each event is, beside its time. */
  readonly marks: readonly number[];
  /** Index of the oldest event in the window; there is one. */
  readonly from: number;
  /** Whether there may be events in the window that are older than the oldest here. */
  readonly mayMissOlder: boolean;
}

/** What a feature makes of the events in its window. */
export interface RingAnswer {
  readonly value: number | readonly number[];
  /** Index of the event with which the answer can change when it leaves the window; all before it make no difference. */
  readonly changesWith: number;
  /** Older events that are not known could make another answer. */
  readonly approximate: boolean;
}
