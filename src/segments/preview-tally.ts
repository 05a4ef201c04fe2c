import type { Uuid } from '../platform/ids.js';
import type { FoldChange } from './fold-batch.js';
import { sampleNumber } from './sample-number.js';
import {
  MAX_OVERLAPS,
  MAX_SAMPLE,
  type DayOfChanges,
  type LiveComparison,
  type SegmentOverlap,
  type SpanPreview,
} from './segment-preview.model.js';

const DAY_MS = 86_400_000;
const SECOND_MS = 1_000;
const MINUTE_MS = 60_000;

interface TallyAsk {
  readonly segmentId: number;
  /** Null: no span. */
  readonly fromMs: number | null;
  readonly toMs: number;
  readonly flapsAbove: number;
}

interface OtherSegment {
  readonly segmentId: number;
  readonly key: string;
}

/** A profile at the end, and all segments that it is in then. */
interface JudgedProfile {
  readonly id: Uuid;
  readonly isMember: boolean;
  readonly others: Iterable<number>;
}

/**
 * Counts what histories came to. Bounded whatever their number: by the days and the periods of the span, by the segments,
 * and by the size of the sample.
 */
export class PreviewTally {
  size = 0;
  profiles = 0;
  readonly #ask: TallyAsk;
  readonly #sizes = new Map<number, number>();
  readonly #common = new Map<number, number>();
  #sample: { readonly id: Uuid; readonly place: number }[] = [];
  readonly #days = new Map<number, { enters: number; leaves: number }>();
  readonly #periodMs: number;
  readonly #periods: Uint32Array;
  readonly #counts = { initial: 0, enters: 0, leaves: 0, silent: 0, flapping: 0, most: 0 };

  constructor(ask: TallyAsk) {
    this.#ask = ask;
    const { fromMs, toMs } = ask;
    this.#periodMs = fromMs !== null && toMs - fromMs > DAY_MS ? MINUTE_MS : SECOND_MS;
    // The last change may be a millisecond after the end: of an event that was accepted then.
    const periods = fromMs === null ? 0 : this.#periodOf(toMs + 1) + 1;
    this.#periods = new Uint32Array(periods);
  }

  addProfile({ id, isMember, others }: JudgedProfile): void {
    this.profiles++;
    for (const other of others) {
      count(this.#sizes, other);
      if (isMember) count(this.#common, other);
    }
    if (!isMember) return;
    this.size++;
    this.#draw([{ id, place: sampleNumber('preview', id) }]);
  }

  /** Those who are looked at and are in nothing. */
  addWithoutEvents(profiles: number): void {
    this.profiles += profiles;
  }

  /** @param changes of one history, in order */
  addChanges(changes: readonly FoldChange[]): void {
    const counts = this.#counts;
    const timesOf = new Map<Uuid, number>();
    for (const { profileId, segmentId, kind, at, emit, cause } of changes) {
      if (segmentId !== this.#ask.segmentId || this.#ask.fromMs === null) continue;
      if (!emit) counts.silent++;
      // What a list did comes of an event, and is traffic like any other.
      else if (cause.kind === 'edit' && cause.pos === null) counts.initial++;
      else {
        this.#count(kind, at);
        timesOf.set(profileId, (timesOf.get(profileId) ?? 0) + 1);
      }
    }
    for (const times of timesOf.values()) {
      if (times > this.#ask.flapsAbove) counts.flapping++;
      counts.most = Math.max(counts.most, times);
    }
  }

  /** Takes over what another one of the same question counted. */
  addAll(other: PreviewTally): void {
    this.size += other.size;
    this.profiles += other.profiles;
    for (const [id, n] of other.#sizes) count(this.#sizes, id, n);
    for (const [id, n] of other.#common) count(this.#common, id, n);
    this.#draw(other.#sample);
    for (const [day, { enters, leaves }] of other.#days) {
      const own = this.#dayOf(day);
      own.enters += enters;
      own.leaves += leaves;
    }
    for (const [i, n] of other.#periods.entries()) this.#periods[i] = (this.#periods[i] ?? 0) + n;
    const { most, ...sums } = other.#counts;
    for (const name of Object.keys(sums) as (keyof typeof sums)[]) this.#counts[name] += sums[name];
    this.#counts.most = Math.max(this.#counts.most, most);
  }

  sample(): Uuid[] {
    return this.#sample.map(({ id }) => id);
  }

  overlaps(others: readonly OtherSegment[]): SegmentOverlap[] {
    const overlaps = others.map(({ segmentId, key }) => {
      const [size, common] = [this.#sizes.get(segmentId) ?? 0, this.#common.get(segmentId) ?? 0];
      const either = this.size + size - common;
      return { key, size, common, jaccard: either === 0 ? 0 : common / either };
    });
    return overlaps
      .filter(({ common }) => common > 0)
      .sort((a, b) => b.jaccard - a.jaccard || b.common - a.common || (a.key < b.key ? -1 : 1))
      .slice(0, MAX_OVERLAPS);
  }

  /** @param live the segment's id, of which another version is live */
  against(live: number): LiveComparison {
    const [size, common] = [this.#sizes.get(live) ?? 0, this.#common.get(live) ?? 0];
    return { size, entering: this.size - common, leaving: size - common };
  }

  /** Null where no span was asked for. */
  span(): SpanPreview | null {
    if (this.#ask.fromMs === null) return null;
    const { initial, enters, leaves, silent, flapping, most } = this.#counts;
    const days = [...this.#days].map(([at, changes]): DayOfChanges => ({ at, ...changes })).sort((a, b) => a.at - b.at);
    return {
      ...{ initialSize: initial, enters, leaves, silent, days, peak: this.#peak(this.#ask.fromMs) },
      flapping: { above: this.#ask.flapsAbove, profiles: flapping, mostChanges: most },
    };
  }

  #peak(fromMs: number): SpanPreview['peak'] {
    let best = -1;
    for (const [i, n] of this.#periods.entries()) if (n > (this.#periods[best] ?? 0)) best = i;
    const changes = this.#periods[best];
    if (changes === undefined) return null;
    const periodMs = this.#periodMs;
    return { at: (Math.floor(fromMs / periodMs) + best) * periodMs, changes, periodMs };
  }

  #count(kind: FoldChange['kind'], at: number): void {
    const day = this.#dayOf(Math.floor(at / DAY_MS) * DAY_MS);
    const what = kind === 'enter' ? 'enters' : 'leaves';
    day[what]++;
    this.#counts[what]++;
    const period = this.#periodOf(at);
    this.#periods[period] = (this.#periods[period] ?? 0) + 1;
  }

  #dayOf(at: number): { enters: number; leaves: number } {
    const day = this.#days.get(at) ?? { enters: 0, leaves: 0 };
    this.#days.set(at, day);
    return day;
  }

  /** Periods begin at whole ones of the clock. */
  #periodOf(at: number): number {
    return Math.floor(at / this.#periodMs) - Math.floor((this.#ask.fromMs ?? 0) / this.#periodMs);
  }

  #draw(drawn: readonly { readonly id: Uuid; readonly place: number }[]): void {
    this.#sample = [...this.#sample, ...drawn].sort((a, b) => a.place - b.place).slice(0, MAX_SAMPLE);
  }
}

function count(counts: Map<number, number>, id: number, n = 1): void {
  counts.set(id, (counts.get(id) ?? 0) + n);
}
