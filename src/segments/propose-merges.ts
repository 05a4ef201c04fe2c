import { createHash } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { stringify } from 'yaml';
import { durationText } from '../platform/duration.js';
import { formatInstant } from '../platform/instant.js';
import { isDuplicate, type PairCounts } from './guard-segments.js';
import type { FilterUse, MergeProposal, ProposalReason, SegmentUse } from './merge-proposal.model.js';
import { SUBSET_SHARE, type SegmentPair } from './overlap.model.js';
import { MAX_EXPRESSION_LENGTH, type SegmentRequirements } from './parse-segment.js';
import { renameReferences } from './rename-references.js';
import type { SmallSegment } from './segment-guards.reader.js';
import { ruleOf, type SegmentRule } from './segment-rule.model.js';
import type { SegmentSchema } from './segment-schema.model.js';
import type { StoredSegment } from './segment.reader.js';

/** A live segment with what its conditions read. */
export interface LiveSegment {
  readonly stored: StoredSegment;
  readonly rule: SegmentRule;
  readonly requires: SegmentRequirements;
}

export interface MergeMaterial {
  readonly segments: readonly LiveSegment[];
  /** Near duplicates, those most alike first. */
  readonly alike: readonly SegmentPair[];
  readonly small: readonly SmallSegment[];
  /** Of the small ones, those that they have members in common with. */
  readonly near: ReadonlyMap<number, readonly SegmentPair[]>;
  readonly filters: readonly FilterUse[];
  /** Keys of proposals that are not to be made. */
  readonly declined: ReadonlySet<string>;
  readonly schema: SegmentSchema;
}

/** One of two: which would go. */
interface Merge {
  readonly reason: ProposalReason;
  readonly drop: LiveSegment;
  readonly keep: LiveSegment | null;
  readonly pair: SegmentPair | null;
}

/** Small segments that are looked at: each is held against all others. */
const MAX_SMALL = 100;

/**
 * Which segments could be one: near duplicates, of which the one remains that more name (of equals the one that was made
 * first), and small ones, which the one takes in that they have most in common with, by members, else by what the
 * conditions read. All of them can be done together: who goes by one proposal remains by no other, and goes by no other.
 */
export function proposeMerges(material: MergeMaterial): MergeProposal[] {
  const byId = new Map(material.segments.map((segment) => [segment.stored.id, segment]));
  const graph = new Graph(material);
  const gone = new Set<number>();
  const staying = new Set<number>();
  const proposals: MergeProposal[] = [];
  const take = (merge: Merge | null): boolean => {
    if (merge === null) return false;
    const { drop, keep } = merge;
    if (gone.has(drop.stored.id) || staying.has(drop.stored.id)) return false;
    if (keep !== null && gone.has(keep.stored.id)) return false;
    if (material.declined.has(keyOf(merge))) return false;
    gone.add(drop.stored.id);
    if (keep !== null) staying.add(keep.stored.id);
    proposals.push(proposalOf(merge, graph, material.schema));
    return true;
  };
  for (const pair of material.alike) {
    const [a, b] = [byId.get(pair.segmentId), byId.get(pair.otherId)];
    if (a === undefined || b === undefined || !isDuplicate(pair)) continue;
    take(duplicates(a, b, pair, graph));
  }
  const reads = new Map(material.segments.map((segment) => [segment, readsOf(segment)]));
  for (const { segmentId } of material.small.slice(0, MAX_SMALL)) {
    const drop = byId.get(segmentId);
    if (drop === undefined) continue;
    for (const merge of takers(drop, material, { byId, graph, reads })) if (take(merge)) break;
  }
  return proposals;
}

function duplicates(a: LiveSegment, b: LiveSegment, pair: SegmentPair, graph: Graph): Merge | null {
  const rank = (segment: LiveSegment): number => graph.usesOf(segment).length;
  const isFirst = rank(a) > rank(b) || (rank(a) === rank(b) && a.stored.id < b.stored.id);
  const [keep, drop] = isFirst ? [a, b] : [b, a];
  if (graph.canReplace(keep, drop)) return { reason: 'near_duplicate', drop, keep, pair };
  return graph.canReplace(drop, keep) ? { reason: 'near_duplicate', drop: keep, keep: drop, pair } : null;
}

interface Found {
  readonly byId: ReadonlyMap<number, LiveSegment>;
  readonly graph: Graph;
  /** What the conditions of each read. */
  readonly reads: ReadonlyMap<LiveSegment, ReadonlySet<string>>;
}

/** Who could take in a small one, the nearest first; at last nobody, where nothing names it. */
function takers(drop: LiveSegment, { segments, near }: MergeMaterial, { byId, graph, reads }: Found): Merge[] {
  const reason = 'too_small' as const;
  const by = (near.get(drop.stored.id) ?? []).map((pair): Merge => {
    const other = byId.get(pair.segmentId === drop.stored.id ? pair.otherId : pair.segmentId) ?? null;
    return { reason, drop, keep: other, pair };
  });
  const alike = segments
    .filter((other) => other !== drop)
    .map((other) => ({ other, share: sharedReads(reads.get(drop), reads.get(other)) }))
    .filter(({ share }) => share > 0)
    .sort((a, b) => b.share - a.share || a.other.stored.id - b.other.stored.id)
    .map(({ other }): Merge => ({ reason, drop, keep: other, pair: null }));
  const fit = [...by, ...alike].filter(({ keep }) => keep !== null && graph.canReplace(keep, drop));
  return graph.usesOf(drop).length > 0 ? fit : [...fit, { reason, drop, keep: null, pair: null }];
}

/** Of all that the conditions of either read, the share that both do, in 0…1. */
function sharedReads(of: ReadonlySet<string> | undefined, other: ReadonlySet<string> | undefined): number {
  if (of === undefined || other === undefined) return 0;
  const common = [...of].filter((name) => other.has(name)).length;
  return common === 0 ? 0 : common / (of.size + other.size - common);
}

function readsOf({ requires }: LiveSegment): Set<string> {
  const { features, inlineFeatures, traits, groupTraits, models, segments, lists } = requires;
  const events = inlineFeatures.flatMap((feature) => feature.events);
  return new Set(
    Object.entries({ features, events, traits, groupTraits, models, segments, lists }).flatMap(([kind, names]) =>
      names.map((name) => `${kind} ${name}`),
    ),
  );
}

function proposalOf(merge: Merge, graph: Graph, schema: SegmentSchema): MergeProposal {
  const { reason, drop, keep, pair } = merge;
  const counts = pair === null ? null : countsFrom(pair, drop.stored.id);
  const dropUses = graph.usesOf(drop);
  const said = keep === null ? null : mergedExpression(merge, counts, graph);
  const isWider = keep !== null && said !== null && said !== keep.rule.expression;
  const users = keep === null ? [] : graph.segmentUsers(drop);
  const written = [
    ...(keep !== null && isWider ? [fileEntry(keep, { ...keep.rule, expression: said })] : []),
    ...users.map((user) =>
      fileEntry(
        user,
        renameReferences(user.rule, { from: drop.stored.key, to: keep?.stored.key ?? '' }, openTo(user, schema)),
      ),
    ),
  ];
  const file = written.length === 0 ? '' : stringify({ segments: written }, { lineWidth: 0 });
  const key = keyOf(merge);
  return {
    ...{ key, reason, counts, file, dropUses },
    drop: drop.stored.key,
    keep: keep?.stored.key ?? null,
    keepUses: keep === null ? [] : graph.usesOf(keep),
    expression: said,
    gained: counts === null || said === null ? null : counts.otherSize - counts.common,
    lost: counts === null || said === null ? null : isWider ? 0 : counts.size - counts.common,
    steps: stepsOf(merge, key, said, file, graph),
  };
}

/** The references that a rule was written with are all there. */
function openTo({ requires }: LiveSegment, schema: SegmentSchema): SegmentSchema {
  return { ...schema, segments: new Set(requires.segments) };
}

/** What the one that remains says then; null: the two cannot be said as one. */
function mergedExpression({ reason, drop, keep }: Merge, counts: PairCounts | null, graph: Graph): string | null {
  if (keep === null) return null;
  const own = keep.rule.expression;
  const isWithin = counts !== null && counts.size > 0 && counts.common / counts.size >= SUBSET_SHARE;
  if (reason === 'near_duplicate' || isWithin) return own;
  const terms = ({ exitExpression, minDwellMs, activeFrom, activeUntil, purposes }: SegmentRule) => [
    exitExpression,
    minDwellMs,
    activeFrom,
    activeUntil,
    purposes,
  ];
  const isPlain = keep.rule.exitExpression === null && isDeepStrictEqual(terms(keep.rule), terms(drop.rule));
  const both = `(${own})\n|| (${drop.rule.expression})`;
  return isPlain && both.length <= MAX_EXPRESSION_LENGTH && !graph.dependsOn(drop, keep) ? both : null;
}

function stepsOf({ drop, keep }: Merge, key: string, said: string | null, file: string, graph: Graph): string[] {
  const [from, to] = [drop.stored.key, keep?.stored.key ?? null];
  const archive = `weft segment archive ${from}`;
  if (to === null) return [archive];
  const follows = ({ segments }: FilterUse): string =>
    [...new Set(segments.map((each) => (each === from ? to : each)))].join(',');
  return [
    ...(said === null
      ? [`# write into ${to} whom it is to take in of ${from}: they differ in more than their condition`]
      : []),
    ...(file === '' ? [] : [`weft segment proposals file ${key} > merge.yaml`, 'weft apply merge.yaml']),
    ...graph
      .filterUsers(drop)
      .map((use) =>
        use.kind === 'webhook'
          ? `weft endpoints update ${use.key} --segments ${follows(use)}`
          : `# subscription ${use.key}: weft subscriptions show tells its cursor; remove it, and create it with --segments ${follows(use)} --from CURSOR`,
      ),
    archive,
  ];
}

function countsFrom(pair: SegmentPair, firstId: number): PairCounts {
  const { size, otherSize, common, jaccard } = pair;
  return pair.segmentId === firstId
    ? { size, otherSize, common, jaccard }
    : { size: otherSize, otherSize: size, common, jaccard };
}

/** Of the versions of both: what is declined comes again once either says anything else. */
function keyOf({ reason, drop, keep }: Merge): string {
  const parts = [drop, keep].map((each) =>
    each === null ? '' : `${String(each.stored.id)}.${String(each.stored.activeVersion)}`,
  );
  return `p${createHash('sha256')
    .update([reason, ...parts.sort()].join(' '))
    .digest('hex')
    .slice(0, 15)}`;
}

function fileEntry({ stored }: LiveSegment, rule: SegmentRule): object {
  const { key, name, description, tags, edge } = stored;
  const { expression, exitExpression, minDwellMs, activeFrom, activeUntil, purposes } = ruleOf(rule);
  return {
    ...{ key, name },
    ...(description === '' ? {} : { description }),
    ...(tags.length === 0 ? {} : { tags }),
    expression,
    ...(exitExpression === null ? {} : { exit: exitExpression }),
    ...(minDwellMs === null ? {} : { min_dwell: durationText(minDwellMs) }),
    ...(activeFrom === null ? {} : { active_from: formatInstant(activeFrom) }),
    ...(activeUntil === null ? {} : { active_until: formatInstant(activeUntil) }),
    ...(edge ? { edge } : {}),
    ...(purposes.length === 0 ? {} : { purposes }),
  };
}

/** Who names whom. */
class Graph {
  readonly #byKey: ReadonlyMap<string, LiveSegment>;
  readonly #users = new Map<string, LiveSegment[]>();
  readonly #filters = new Map<string, FilterUse[]>();

  constructor({ segments, filters }: Pick<MergeMaterial, 'segments' | 'filters'>) {
    this.#byKey = new Map(segments.map((segment) => [segment.stored.key, segment]));
    for (const segment of segments) {
      for (const key of segment.requires.segments) this.#users.set(key, [...(this.#users.get(key) ?? []), segment]);
    }
    for (const filter of filters) {
      for (const key of new Set(filter.segments)) this.#filters.set(key, [...(this.#filters.get(key) ?? []), filter]);
    }
  }

  segmentUsers({ stored }: LiveSegment): readonly LiveSegment[] {
    return this.#users.get(stored.key) ?? [];
  }

  filterUsers({ stored }: LiveSegment): readonly FilterUse[] {
    return this.#filters.get(stored.key) ?? [];
  }

  usesOf(segment: LiveSegment): SegmentUse[] {
    return [
      ...this.segmentUsers(segment).map(({ stored }) => ({ kind: 'segment' as const, key: stored.key })),
      ...this.filterUsers(segment).map(({ kind, key }) => ({ kind, key })),
    ];
  }

  /** Whether whoever names `drop` can name `keep` in its place: not where `keep` rests on any of them. */
  canReplace(keep: LiveSegment, drop: LiveSegment): boolean {
    return this.segmentUsers(drop).every((user) => user !== keep && !this.dependsOn(keep, user));
  }

  /** Whether the conditions of one name the other, also by way of others. */
  dependsOn(of: LiveSegment, on: LiveSegment): boolean {
    const seen = new Set<LiveSegment>();
    const waiting = [of];
    for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
      for (const key of next.requires.segments) {
        const named = this.#byKey.get(key);
        if (named === undefined || seen.has(named)) continue;
        if (named === on) return true;
        seen.add(named);
        waiting.push(named);
      }
    }
    return false;
  }
}
