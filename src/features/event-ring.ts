import type { JsonValue } from '../events/event.model.js';
import type { FeatureDefinition, FeatureEvent, FeatureValue } from './feature.model.js';
import { corruptState, type PackedReader, type PackedWriter } from './packed-bytes.js';
import { funnelTimes, readFunnel } from './read-funnel.js';
import { readGaps } from './read-gaps.js';
import { readSessions } from './read-sessions.js';
import type { RecentEvents, RingAnswer } from './recent-events.model.js';
import { present, StreamState, type FeatureReading } from './stream-state.js';

/**
 * The latest `capacity` events by `(time, mark)`, and whether there were older ones. A mark says what an event is to the
 * features that read the ring: see {@link markReader}. Exact to the millisecond: windows over it are no sawtooth, an
 * event at `ts` is in a window of W at `t` while `t < ts + W`.
 *
 *  1. Events of one time and mark cannot be told apart, so the greatest of a union are the same however it was put
 *     together. No identifier of an event is needed to break ties.
 *  2. `overflowed` is true exactly if more than `capacity` events were folded in. Those that are gone are not newer than
 *     the oldest that is here.
 */
export class EventRing extends StreamState {
  readonly #capacity: number;
  readonly #isMarked: boolean;
  /** Oldest first, and beside them their marks. */
  #times: number[] = [];
  #marks: number[] = [];
  #overflowed = false;

  /** @param isMarked false: all marks are 0, and none are packed */
  constructor(capacity: number, isMarked: boolean) {
    super();
    this.#capacity = capacity;
    this.#isMarked = isMarked;
  }

  static unpack(reader: PackedReader, capacity: number, isMarked: boolean): EventRing {
    const ring = new EventRing(capacity, isMarked);
    const head = reader.varint();
    const count = Math.floor(head / 2);
    if (count === 0 || count > capacity) throw corruptState('a ring has a wrong number of events', reader.at);
    ring.#overflowed = head % 2 === 1;
    const times = new Array<number>(count);
    const marks = new Array<number>(count);
    let time = reader.signed();
    for (let i = count - 1; i >= 0; i--) {
      if (i < count - 1) time -= reader.varint();
      times[i] = time;
      marks[i] = isMarked ? reader.varint() : 0;
    }
    ring.#times = times;
    ring.#marks = marks;
    return ring;
  }

  get isEmpty(): boolean {
    return this.#times.length === 0;
  }

  /** @param mark a number, from a {@link markReader}; negative: the event does not belong here */
  add(_tile: number, event: FeatureEvent, mark: JsonValue | undefined): boolean {
    if (typeof mark !== 'number') return this.#put(event.occurredAt, 0);
    return mark >= 0 && this.#put(event.occurredAt, mark);
  }

  merge(other: EventRing): void {
    const [times, marks] = [this.#times, this.#marks];
    const [otherTimes, otherMarks] = [other.#times, other.#marks];
    const total = times.length + otherTimes.length;
    const count = Math.min(total, this.#capacity);
    const mergedTimes = new Array<number>(count);
    const mergedMarks = new Array<number>(count);
    let [i, j] = [times.length - 1, otherTimes.length - 1];
    for (let k = count - 1; k >= 0; k--) {
      const [time, otherTime] = [times[i] ?? -Infinity, otherTimes[j] ?? -Infinity];
      const isMine = time > otherTime || (time === otherTime && (marks[i] ?? -1) >= (otherMarks[j] ?? -1));
      mergedTimes[k] = isMine ? time : otherTime;
      mergedMarks[k] = (isMine ? marks[i--] : otherMarks[j--]) ?? 0;
    }
    this.#times = mergedTimes;
    this.#marks = mergedMarks;
    this.#overflowed ||= other.#overflowed || total > count;
    this.packed = null;
  }

  /** At most `capacity` events are kept whatever their age, so that a later feature may have any window. */
  dropBefore(): void {
    return;
  }

  read(feature: FeatureReading, t: number): FeatureValue {
    const windowMs = feature.definition.windowMs ?? Infinity;
    const newest = this.#times.at(-1);
    const recent = this.#within(windowMs, t);
    if (newest === undefined || recent === null) return feature.empty;
    const { times, from } = recent;
    const answer = answerOf(feature, recent);
    // There are events, and their time is part of the answer: whoever reads values as of another instant goes by it.
    if (answer === null) {
      return { status: 'NULL_VALUE', value: null, eventTs: newest, validUntil: newest + windowMs, approximate: false };
    }
    const changesWith = answer.approximate ? from : answer.changesWith;
    return present(answer.value, newest, (times[changesWith] ?? newest) + windowMs, answer.approximate);
  }

  /** Times, ms, of the events by which a funnel has got as far as it has at `t`, one for each step, in order. */
  funnelTimes(definition: FeatureDefinition, t: number): readonly number[] {
    const recent = this.#within(definition.windowMs ?? Infinity, t);
    return recent === null ? [] : funnelTimes(definition, recent);
  }

  /** Null: no event is in the window. */
  #within(windowMs: number, t: number): RecentEvents | null {
    const times = this.#times;
    const newest = times[times.length - 1];
    if (newest === undefined || t - newest >= windowMs) return null;
    let from = 0;
    while (t - (times[from] ?? newest) >= windowMs) from++;
    return { times, marks: this.#marks, from, mayMissOlder: this.#overflowed && from === 0 };
  }

  write(writer: PackedWriter): void {
    const times = this.#times;
    const last = times.length - 1;
    writer.varint(times.length * 2 + (this.#overflowed ? 1 : 0));
    let newer = times[last] ?? 0;
    writer.signed(newer);
    for (let i = last; i >= 0; i--) {
      const time = times[i] ?? 0;
      if (i < last) writer.varint(newer - time);
      if (this.#isMarked) writer.varint(this.#marks[i] ?? 0);
      newer = time;
    }
  }

  #put(time: number, mark: number): boolean {
    const [times, marks] = [this.#times, this.#marks];
    let position = times.length;
    while (position > 0) {
      const older = times[position - 1] ?? 0;
      if (older < time || (older === time && (marks[position - 1] ?? 0) <= mark)) break;
      position--;
    }
    const isFull = times.length === this.#capacity;
    if (isFull && position === 0) {
      if (this.#overflowed) return false;
    } else if (position === times.length) {
      times.push(time);
      marks.push(mark);
    } else {
      times.splice(position, 0, time);
      marks.splice(position, 0, mark);
    }
    if (isFull) {
      this.#overflowed = true;
      if (times.length > this.#capacity) {
        times.shift();
        marks.shift();
      }
    }
    this.packed = null;
    return true;
  }
}

function answerOf({ definition }: FeatureReading, recent: RecentEvents): RingAnswer | null {
  switch (definition.aggregate) {
    case 'session_count':
    case 'session_depth':
    case 'session_duration':
    case 'session_entropy':
      return readSessions(definition, recent);
    case 'inter_event':
      return readGaps(definition, recent);
    case 'funnel':
      return readFunnel(definition, recent);
    default:
      return lastMarks(definition.limit ?? 1, recent);
  }
}

function lastMarks(limit: number, { marks, from }: RecentEvents): RingAnswer {
  const first = Math.max(from, marks.length - limit);
  return { value: marks.slice(first), changesWith: first, approximate: false };
}
