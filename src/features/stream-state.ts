import type { JsonValue } from '../events/event.model.js';
import { compareValue, type CompareOp, type Constant } from './compare-value.model.js';
import type { FeatureDefinition, FeatureEvent, FeatureValue } from './feature.model.js';
import type { PackedWriter } from './packed-bytes.js';
import type { ZoneOffsets } from '../platform/zone-offsets.js';

/** The packed form of one stream: a range of bytes that nobody writes to any more. */
export class PackedStream {
  constructor(
    readonly bytes: Buffer,
    readonly start: number,
    readonly end: number,
  ) {}
}

/** Packed streams of several anchors that nobody has needed together yet. */
export class UnmergedStream {
  constructor(readonly parts: readonly PackedStream[]) {}
}

/** How one feature reads its stream. */
export interface FeatureReading {
  readonly definition: FeatureDefinition;
  readonly hopMs: number | null;
  /** Its wall clock; null: it needs none. */
  readonly zone: ZoneOffsets | null;
  /** The feature's value where no event is in its window. */
  readonly empty: FeatureValue;
}

/**
 * What is known of one stream, for one anchor or for the anchors of one profile: a mergeable partial aggregate.
 *
 *  1. A state is a function of the set of events folded in: neither their order nor how they were split over states
 *     that were merged later can be told from it, nor from its packed form.
 *  2. `dropBefore(tile)` leaves exactly the state of the events in that tile and later ones (`times` keeps all).
 *  3. Every window that is read ends after the newest event folded in. So all that lies behind the newest tiles may be
 *     forgotten as soon as no window, however it moves on, could show it: `min`, `max`, `last` and `distinct` do.
 */
export abstract class StreamState {
  /** The packed form while nothing has changed since, so that most streams are never packed anew. */
  packed: PackedStream | null = null;

  /**
   * Folds one event in.
   *
   * @param value what the stream's path found in the event; undefined if there is nothing
   * @param by what the path of its keys found, where events are grouped
   * @returns whether the state changed
   */
  abstract add(tile: number, event: FeatureEvent, value: JsonValue | undefined, by?: JsonValue): boolean;
  /** Folds in all that another state of the same stream knows; the other stays as it is. */
  abstract merge(other: StreamState): void;
  /**
   * Takes out what another state of the same stream knows, whose events are all in this one. Of the newest instant that is left no more may be known than its tile.
   * @returns false: that cannot be told, and this stays as it is
   */
  takeOut(_: StreamState): boolean {
    return false;
  }

  abstract dropBefore(tile: number): void;
  abstract get isEmpty(): boolean;
  abstract write(writer: PackedWriter): void;
  /** The feature's value at `t`, which lies after every event folded in. */
  abstract read(feature: FeatureReading, t: number): FeatureValue;

  /**
   * The next instant after `t` at which `value op constant` changes its answer if no more events come; Infinity if
   * never. Too early at most, where the value is approximate.
   */
  flipAt(feature: FeatureReading, t: number, op: CompareOp, constant: Constant): number {
    let value = this.read(feature, t);
    const before = compareValue(value, op, constant);
    while (value.validUntil !== Infinity) {
      const at = value.validUntil;
      if (value.approximate) return at;
      value = this.read(feature, at);
      if (compareValue(value, op, constant) !== before) return at;
    }
    return Infinity;
  }
}

export function present(
  value: NonNullable<FeatureValue['value']>,
  eventTs: number | null,
  validUntil: number,
  approximate = false,
): FeatureValue {
  return { status: 'PRESENT', value, eventTs, validUntil, approximate };
}
