import { WeftError } from '../platform/errors.js';
import { ZoneOffsets } from '../platform/zone-offsets.js';
import { valueWithoutEvents } from './aggregate.model.js';
import { AnchorState, packedParts, type StreamSlot } from './anchor-state.model.js';
import type { CompareOp, Constant } from './compare-value.model.js';
import { compileWhere, type WhereFilter } from './compile-where.js';
import { derivedValue, flipOfDerived, partsOf } from './derived-feature.js';
import { markReader, type MarkReader } from './event-marks.js';
import { EventRing } from './event-ring.js';
import type { FeatureDefinition, FeatureEvent, FeatureValue, RequestValues } from './feature.model.js';
import { LatestTimes } from './latest-times.js';
import { computationOf, type Computation, type ExpressionLanguage } from './on-demand.model.js';
import { decodeState, encodeState, oldestTileOf } from './packed-state.js';
import type { FeatureReading } from './stream-state.js';
import { MAX_STREAM_ID, streamOf, streamsOf, tileOf, type StreamSpec } from './stream.model.js';
import { parseValuePath, valueAt, type ValuePath } from './value-path.js';

/** A stream as `apply` needs it. */
interface FoldedStream extends StreamSlot {
  readonly path: ValuePath | null;
  readonly byPath: ValuePath | null;
  /** Of a ring that tells events apart. */
  readonly mark: MarkReader | null;
  /** Indexes of the features that read it. */
  readonly features: readonly number[];
}

/** Streams with one condition on the event beyond its name; the condition is tested once for all of them. */
interface StreamGroup {
  /** Null: any source. */
  readonly sourceId: number | null;
  readonly where: WhereFilter | null;
  readonly streams: readonly FoldedStream[];
}

interface ReadFeature extends FeatureReading {
  readonly stream: FoldedStream;
  /** What it is computed from; null: the stream itself. */
  readonly parts: readonly ReadFeature[] | null;
  /** Of one that is computed on demand. */
  readonly compute: Computation | null;
}

const NONE: readonly number[] = [];

/**
 * Feature definitions made ready to fold events and to read values: the one implementation of every aggregate, online
 * and offline.
 *
 *  1. Fold, merge and split in any order: the state depends on the set of events alone, and so do its bytes.
 *  2. `value(state, i, t)` is the feature by definition over the events with `occurredAt < t`, provided that no other
 *     events were folded in. It is constant in `[t, validUntil)`.
 *  3. `prune(state, beforeT)` changes no value at any `t ≥ beforeT`.
 *  4. Stream ids stay the same as definitions come and go: a state that was packed by another set gives each of its
 *     streams to the features here that read the same stream; those that nobody reads are dropped.
 *
 * A state belongs to the set that made it. To take it to another set, encode it there and decode it here.
 */
export class FeatureSet {
  readonly definitions: readonly FeatureDefinition[];
  readonly #indexes: ReadonlyMap<string, number>;
  readonly #features: readonly ReadFeature[];
  /** Whether an event may touch a feature through several streams. */
  readonly #hasDerived: boolean;
  readonly #streams: readonly FoldedStream[];
  readonly #slotOf: Int16Array;
  /** Which streams an event may be folded into, by its name. */
  readonly #routes: ReadonlyMap<string, readonly StreamGroup[]>;
  /** For events whose name no feature mentions. */
  readonly #otherwise: readonly StreamGroup[];

  private constructor(
    definitions: readonly FeatureDefinition[],
    streams: readonly FoldedStream[],
    sources: SourceIds,
    language: ExpressionLanguage | null,
  ) {
    this.definitions = definitions;
    this.#streams = streams;
    this.#indexes = new Map(definitions.map(({ name }, index) => [name, index]));
    this.#slotOf = new Int16Array(MAX_STREAM_ID + 1).fill(-1);
    for (const stream of streams) this.#slotOf[stream.id] = stream.slot;
    const byKey = new Map(streams.map((stream) => [stream.spec.key, stream]));
    const shared = { streams: byKey, zones: new Map<string, ZoneOffsets>(), language };
    this.#features = definitions.map((definition) => readingOf(definition, shared));
    this.#hasDerived = this.#features.some(({ parts }) => parts !== null);
    const names = new Set(streams.flatMap(({ spec }) => spec.events));
    const filters = new Map<string, WhereFilter>();
    this.#routes = new Map([...names].map((name) => [name, routeOf(name, streams, sources, filters)]));
    this.#otherwise = routeOf(null, streams, sources, filters);
  }

  /**
   * @param streamIds id of each stream by its key, 1 … {@link MAX_STREAM_ID}, the same for ever
   * @param sourceIds id of each source by its key; a feature of a source that is not there sees no event
   * @param language what expressions of on-demand features are written in; null: there are none
   * @throws WeftError DEFINITION_INVALID for a stream without an id, a bad filter, path or window, or a name used twice
   */
  static compile(
    definitions: readonly FeatureDefinition[],
    streamIds: ReadonlyMap<string, number>,
    sourceIds: SourceIds,
    language: ExpressionLanguage | null = null,
  ): FeatureSet {
    const byKey = new Map<string, { spec: StreamSpec; features: number[] }>();
    const names = new Set<string>();
    for (const [index, definition] of definitions.entries()) {
      if (names.has(definition.name))
        throw invalid(definition.name, 'is defined twice', 'give each feature its own name');
      names.add(definition.name);
      for (const spec of streamsOf([definition])) {
        const entry = byKey.get(spec.key);
        if (entry === undefined) byKey.set(spec.key, { spec, features: [index] });
        else entry.features.push(index);
      }
    }
    const withIds = [...byKey.values()].map(({ spec, features }) => {
      const id = streamIds.get(spec.key);
      if (id === undefined || !Number.isInteger(id) || id < 1 || id > MAX_STREAM_ID) {
        const name = definitions[features[0] ?? 0]?.name ?? '';
        throw invalid(name, `has a stream without an id: ${spec.key}`, 'register the streams of all features first');
      }
      return { id, spec, features };
    });
    withIds.sort((a, b) => a.id - b.id);
    const streams = withIds.map(({ id, spec, features }, slot) => {
      const path = spec.value === null ? null : parseValuePath(spec.value);
      const mark = spec.marks === undefined ? null : markReader(spec.marks, compileWhere);
      const byPath = spec.by === null ? null : parseValuePath(spec.by);
      return { slot, id, spec, features, path, byPath, mark };
    });
    return new FeatureSet(definitions, streams, sourceIds, language);
  }

  get size(): number {
    return this.definitions.length;
  }

  /** Streams that states of this set hold, by rising id. */
  get streams(): readonly StreamSlot[] {
    return this.#streams;
  }

  indexOf(name: string): number | undefined {
    return this.#indexes.get(name);
  }

  empty(): AnchorState {
    return new AnchorState(this);
  }

  /**
   * Folds one event in. An event must not be folded in twice.
   *
   * @returns indexes of the features whose value may have changed; do not change the list
   */
  apply(state: AnchorState, event: FeatureEvent): readonly number[] {
    this.#own(state);
    const route = this.#routes.get(event.name) ?? this.#otherwise;
    let touched: number[] | null = null;
    for (const { sourceId, where, streams } of route) {
      if ((sourceId !== null && sourceId !== event.sourceId) || (where !== null && !where(event))) continue;
      for (const stream of streams) {
        const { spec, path, byPath, mark } = stream;
        const value = path !== null ? valueAt(event, path) : mark === null ? undefined : mark(event);
        const by = byPath === null ? undefined : valueAt(event, byPath);
        if (!state.open(stream).add(tileOf(event.occurredAt, spec.hopMs), event, value, by)) continue;
        touched ??= [];
        for (const index of stream.features) touched.push(index);
      }
    }
    if (touched === null) return NONE;
    return this.#hasDerived ? [...new Set(touched)] : touched;
  }

  /** A new state that knows what all of these know; they stay as they are and may go on without it. */
  merge(states: readonly AnchorState[]): AnchorState {
    const merged = this.empty();
    for (const state of states) this.mergeInto(merged, state);
    return merged;
  }

  /** Folds `source` into `target`. The two must not share events. `source` stays as it is. */
  mergeInto(target: AnchorState, source: AnchorState): void {
    this.#own(target);
    this.#own(source);
    for (let position = 0; position < source.size; position++) {
      const stream = this.#streams[source.slotAt(position)];
      const part = source.partAt(position);
      if (stream === undefined || part === undefined) continue;
      target.merge(stream, part);
    }
  }

  /**
   * A state that is folded anew from some of its events, with what came of the others. A stream from which nothing goes
   * keeps what stands, with what arrived. From counts and sums what goes is taken out. Any other is as it was folded: what
   * went is not to stay in it, for nothing would lead to it there any more.
   *
   * @param folded of the events that are left of `before`, and of those in `arrived`
   * @param before of those events that stood for `standing` and are still there
   * @param t what is invisible by then does not matter
   * @param isShared what came of the others may be of somebody else: of it counts and sums alone stay
   */
  outlived(
    folded: AnchorState,
    { standing, before, arrived }: { standing: AnchorState; before: AnchorState; arrived: AnchorState },
    t: number,
    isShared = false,
  ): AnchorState {
    for (const state of [folded, standing, before, arrived]) this.prune(state, t);
    const kept = this.empty();
    for (const stream of this.#streams) {
      const [own, stands, was, came] = [folded, standing, before, arrived].map((state) => this.#only(state, stream));
      if (own === undefined || stands === undefined || was === undefined || came === undefined) continue;
      if (this.#isSame(stands, was)) this.mergeInto(kept, own);
      else if (!isShared && this.#isSame(own, this.merge([was, came])))
        this.mergeInto(kept, this.merge([stands, came]));
      else if (stands.open(stream).takeOut(was.open(stream))) this.mergeInto(kept, this.merge([stands, own]));
      else this.mergeInto(kept, own);
    }
    return kept;
  }

  #isSame(a: AnchorState, b: AnchorState): boolean {
    return this.encode(a).equals(this.encode(b));
  }

  /** One stream of a state. */
  #only(state: AnchorState, stream: StreamSlot): AnchorState {
    const only = this.empty();
    for (let position = 0; position < state.size; position++) {
      const part = state.partAt(position);
      if (state.slotAt(position) === stream.slot && part !== undefined) only.merge(stream, part);
    }
    return only;
  }

  /** Drops the tiles that no window can see at `beforeT` or later. */
  prune(state: AnchorState, beforeT: number): void {
    this.#own(state);
    for (let position = state.size - 1; position >= 0; position--) {
      const stream = this.#streams[state.slotAt(position)];
      const part = state.partAt(position);
      if (stream === undefined || part === undefined) continue;
      const { hopMs, retentionMs } = stream.spec;
      if (hopMs === null || retentionMs === null) continue;
      const oldest = Math.floor((beforeT - retentionMs) / hopMs);
      if (packedParts(part)?.every((packed) => oldestTileOf(packed) >= oldest) === true) continue;
      const unpacked = state.unpackAt(position, stream);
      unpacked.dropBefore(oldest);
      if (unpacked.isEmpty) state.removeAt(position);
    }
  }

  /** Equal sets of events give equal bytes, once pruned to the same instant. */
  encode(state: AnchorState): Buffer {
    this.#own(state);
    return encodeState(state, this.#streams);
  }

  /** @throws WeftError INTERNAL if the bytes are damaged; for damage within a stream, when that stream is first needed */
  decode(bytes: Buffer): AnchorState {
    return decodeState(bytes, this, this.#slotOf);
  }

  /**
   * The feature at this index as of `t`, which lies after every event folded in.
   *
   * @param request what whoever asks says, of the types that are declared; only on-demand features read it
   */
  value(state: AnchorState, index: number, t: number, request: RequestValues | null = null): FeatureValue {
    const feature = this.#feature(state, index);
    return readFeature(state, feature, t, request);
  }

  /**
   * The next instant after `t` at which the answer to `value op constant` changes if no more events come, the answer
   * being true, false, or none where there is no value; Infinity if never. It is exact, except where the value is
   * approximate or text is compared by order: there it may be too early. A recency is compared as {@link value} gives
   * it, in whole units; a list of times by its length.
   */
  flipAt(state: AnchorState, index: number, t: number, op: CompareOp, constant: Constant): number {
    const feature = this.#feature(state, index);
    if (feature.parts !== null) return flipOfReading(state, feature, t, op, constant);
    const stream = state.find(feature.stream);
    if (stream === undefined) return Infinity;
    if (typeof constant === 'string' && op !== '==' && op !== '!=') return stream.read(feature, t).validUntil;
    return stream.flipAt(feature, t, op, constant);
  }

  /**
   * Times of the latest matching events of a `times` or `recency` feature, newest first, at most as many as its limit,
   * whatever its window.
   *
   * @throws RangeError for other features
   */
  lastTimes(state: AnchorState, index: number): readonly number[] {
    const { definition, stream } = this.#feature(state, index);
    if (stream.spec.kind !== 'times') throw new RangeError(`feature ${definition.name} keeps no event times`);
    const times = state.find(stream);
    return times instanceof LatestTimes ? times.latest(definition.limit ?? 1) : NONE;
  }

  /**
   * Times of the events by which a funnel has got as far as it has at `t`, one for each step that was reached, in order.
   *
   * @throws RangeError for other features
   */
  funnelTimes(state: AnchorState, index: number, t: number): readonly number[] {
    const { definition, stream } = this.#feature(state, index);
    if (definition.aggregate !== 'funnel') throw new RangeError(`feature ${definition.name} is no funnel`);
    const ring = state.find(stream);
    return ring instanceof EventRing ? ring.funnelTimes(definition, t) : NONE;
  }

  #feature(state: AnchorState, index: number): ReadFeature {
    this.#own(state);
    const feature = this.#features[index];
    if (feature === undefined) throw new RangeError(`there is no feature ${String(index)}`);
    return feature;
  }

  #own(state: AnchorState): void {
    if (state.set !== this)
      throw new TypeError('this state belongs to another feature set: encode it there, decode it here');
  }
}

type SourceIds = ReadonlyMap<string, number>;

/** @param name null: an event that no feature mentions by name */
function routeOf(
  name: string | null,
  streams: readonly FoldedStream[],
  sourceIds: SourceIds,
  filters: Map<string, WhereFilter>,
): StreamGroup[] {
  const groups = new Map<string, { sourceId: number | null; where: WhereFilter | null; streams: FoldedStream[] }>();
  for (const stream of streams) {
    const { events, source, where } = stream.spec;
    if (events.length > 0 && (name === null || !events.includes(name))) continue;
    const sourceId = source === null ? null : sourceIds.get(source);
    if (sourceId === undefined) continue;
    const key = JSON.stringify([source, where]);
    const group = groups.get(key) ?? { sourceId, where: filterOf(where, filters), streams: [] };
    group.streams.push(stream);
    groups.set(key, group);
  }
  return [...groups.values()];
}

function filterOf(where: string | null, filters: Map<string, WhereFilter>): WhereFilter | null {
  if (where === null) return null;
  const filter = filters.get(where) ?? compileWhere(where);
  filters.set(where, filter);
  return filter;
}

/** The wall clock of a feature that has one, the same for all of its zone: what it knows of the zone is kept once. */
function zoneOf({ aggregate, options }: FeatureDefinition, zones: Map<string, ZoneOffsets>): ZoneOffsets | null {
  if (aggregate !== 'hour_of_week' && aggregate !== 'frequency') return null;
  const name = options?.zone ?? 'UTC';
  const zone = zones.get(name) ?? new ZoneOffsets(name);
  zones.set(name, zone);
  return zone;
}

interface SharedReadings {
  /** By key. */
  readonly streams: ReadonlyMap<string, FoldedStream>;
  readonly zones: Map<string, ZoneOffsets>;
  readonly language: ExpressionLanguage | null;
}

function readingOf(definition: FeatureDefinition, shared: SharedReadings): ReadFeature {
  const parts = partsOf(definition).map((part) => readingOf(part, shared));
  const stream = parts[0]?.stream ?? shared.streams.get(streamOf(definition).key);
  if (stream === undefined) throw invalid(definition.name, 'has no stream', 'register the streams of all features');
  return {
    definition,
    hopMs: stream.spec.hopMs,
    zone: zoneOf(definition, shared.zones),
    empty: emptyValue(definition),
    stream,
    parts: parts.length === 0 ? null : parts,
    compute: computationOf(definition, shared.language),
  };
}

function readFeature(state: AnchorState, feature: ReadFeature, t: number, request: RequestValues | null): FeatureValue {
  // What is derived is read apart, since a closure here would be made for every feature.
  if (feature.parts !== null) return readDerived(state, feature, feature.parts, t, request);
  return state.find(feature.stream)?.read(feature, t) ?? feature.empty;
}

function flipOfReading(state: AnchorState, feature: ReadFeature, t: number, op: CompareOp, constant: Constant): number {
  return flipOfDerived((at) => readFeature(state, feature, at, null), t, op, constant);
}

function readDerived(
  state: AnchorState,
  { definition, compute }: ReadFeature,
  parts: readonly ReadFeature[],
  t: number,
  request: RequestValues | null,
): FeatureValue {
  const values = parts.map((part) => readFeature(state, part, t, request));
  return compute === null ? derivedValue(definition, values) : compute(values, request);
}

/** What the feature is where nothing happened. */
function emptyValue(definition: FeatureDefinition): FeatureValue {
  const value = valueWithoutEvents(definition);
  const status = value === null ? 'NOT_FOUND' : 'PRESENT';
  return Object.freeze({ status, value, eventTs: null, validUntil: Infinity, approximate: false });
}

function invalid(feature: string, what: string, hint: string): WeftError {
  return new WeftError('DEFINITION_INVALID', `feature ${feature} ${what}`, { where: feature, hint });
}
