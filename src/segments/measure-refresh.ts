import { adjustedRandIndex, type ContingencyCell } from './adjusted-rand.js';
import { partOf, type RefreshedModel, type RefreshKind, type SegmentRefresh } from './refresh.model.js';
import type { SegmentRule } from './segment-rule.model.js';

/** A live segment as it is by now. */
export interface RefreshedSegment {
  readonly id: number;
  readonly version: number;
  readonly rule: SegmentRule;
  /** Keys of the models that it asks itself. */
  readonly models: readonly string[];
}

/** Who entered and left a segment by a refresh; with `toId` those who left it and entered that one. */
export interface FoundChange {
  readonly segmentId: number;
  readonly toId: number | null;
  readonly kind: RefreshKind;
  readonly entered: number;
  readonly left: number;
}

export interface FoundRefresh {
  readonly segments: readonly RefreshedSegment[];
  readonly found: readonly FoundChange[];
  /** Members by now, by segment; left out: none. */
  readonly sizes: ReadonlyMap<number, number>;
  /** Of which part of all people changes were counted. */
  readonly share: number;
  /** What was live before: versions by the id of the segment, and which versions of models answered, by key. */
  readonly versionsBefore: Readonly<Record<string, number>>;
  readonly modelsBefore: Readonly<Record<string, string>>;
  readonly modelsNow: Readonly<Record<string, string>>;
  /** Whether nothing changed but which versions of models answer. */
  readonly isOfModels: boolean;
  /** Of each recomputation the segments that it was asked for; none: all. */
  readonly recomputed: readonly (readonly number[])[];
}

export type NewRefresh = Omit<SegmentRefresh, 'id' | 'measuredAt'>;

/**
 * How each live segment came through a refresh: those that it was about, also where it changed nothing, and those that it
 * changed all the same.
 */
export function measureRefresh(asked: FoundRefresh): NewRefresh[] {
  const counts = new Map<string, FoundChange>();
  for (const change of asked.found) if (change.toId === null) counts.set(keyOf(change.segmentId, change.kind), change);
  const refreshes = asked.segments.flatMap((segment) => {
    const { id: segmentId, version } = segment;
    const models = refreshedModels(segment, asked);
    // Of one that was not live before there were no members to keep.
    const versionBefore = asked.versionsBefore[String(segmentId)];
    if (versionBefore === undefined) return [];
    const kinds = concerning(segment, models, asked);
    return (['edit', 'model', 'recompute'] as const).flatMap((kind): NewRefresh[] => {
      const change = counts.get(keyOf(segmentId, kind));
      if (change === undefined && !kinds.has(kind)) return [];
      const { entered, left } = boundedCounts(change, asked.sizes.get(segmentId) ?? 0);
      const before = (asked.sizes.get(segmentId) ?? 0) - entered + left;
      const of = { segmentId, kind, versionBefore, version, models: kind === 'recompute' ? [] : models };
      return [{ ...of, before, entered, left, share: asked.share, adjustedRand: null }];
    });
  });
  return withRand(refreshes, asked);
}

/** A sample may have more who entered than there are members. */
function boundedCounts(change: FoundChange | undefined, size: number): { entered: number; left: number } {
  return { entered: Math.min(change?.entered ?? 0, size), left: change?.left ?? 0 };
}

function refreshedModels(
  { models }: RefreshedSegment,
  { modelsBefore, modelsNow }: Pick<FoundRefresh, 'modelsBefore' | 'modelsNow'>,
): RefreshedModel[] {
  return models.flatMap((key) => {
    const [before, after] = [modelsBefore[key] ?? null, modelsNow[key] ?? null];
    return before === after ? [] : [{ key, before, after }];
  });
}

function concerning(
  { id, version }: RefreshedSegment,
  models: readonly RefreshedModel[],
  { versionsBefore, isOfModels, recomputed }: FoundRefresh,
): Set<RefreshKind> {
  const kinds = new Set<RefreshKind>();
  if (versionsBefore[String(id)] !== version) kinds.add('edit');
  // Where definitions changed as well, everything that came of either is told to be the edit's.
  if (models.length > 0) kinds.add(isOfModels ? 'model' : 'edit');
  if (recomputed.some((ids) => ids.length === 0 || ids.includes(id))) kinds.add('recompute');
  return kinds;
}

/** The same index for all segments of a clustering, as far as there are two or more. */
function withRand(refreshes: readonly NewRefresh[], { segments, found, sizes }: FoundRefresh): NewRefresh[] {
  const clusterings = new Map<string, Map<string, number>>();
  for (const { id, rule } of segments) {
    const { clustering, part } = partOf(rule) ?? {};
    if (clustering === undefined || part === undefined) continue;
    const parts = clusterings.get(clustering) ?? new Map<string, number>();
    // Two segments for one cluster are one part of it.
    if (!parts.has(part)) parts.set(part, id);
    clusterings.set(clustering, parts);
  }
  const indexes = new Map<string, number | null>();
  for (const parts of clusterings.values()) {
    const ids = new Set(parts.values());
    if (ids.size < 2) continue;
    for (const kind of new Set(refreshes.filter(({ segmentId }) => ids.has(segmentId)).map((each) => each.kind))) {
      const changes = found.filter((change) => change.kind === kind && ids.has(change.segmentId));
      const index = adjustedRandIndex(contingency(ids, changes, sizes));
      for (const id of ids) indexes.set(keyOf(id, kind), index);
    }
  }
  return refreshes.map((refresh) => ({
    ...refresh,
    adjustedRand: indexes.get(keyOf(refresh.segmentId, refresh.kind)) ?? null,
  }));
}

/** Of those who are in one of them with and without the refresh. */
function contingency(
  ids: ReadonlySet<number>,
  changes: readonly FoundChange[],
  sizes: ReadonlyMap<number, number>,
): ContingencyCell[] {
  const entered = new Map(changes.flatMap((each) => (each.toId === null ? [[each.segmentId, each.entered]] : [])));
  const stayed = [...ids].map((id) => ({
    before: id,
    after: id,
    count: Math.max(0, (sizes.get(id) ?? 0) - (entered.get(id) ?? 0)),
  }));
  const moved = changes.flatMap(({ segmentId: before, toId: after, left: count }) =>
    after !== null && ids.has(after) ? [{ before, after, count }] : [],
  );
  return [...stayed, ...moved];
}

function keyOf(segmentId: number, kind: RefreshKind): string {
  return `${String(segmentId)} ${kind}`;
}
