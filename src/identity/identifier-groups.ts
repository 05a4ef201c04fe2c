import type { Identifier } from '../events/event.model.js';
import type { NamespaceRule } from './identity-rules.model.js';

/** One identifier of a component that is being resolved. */
export interface GroupNode {
  readonly identifier: Identifier;
  readonly rule: NamespaceRule;
  /** The least `occurredAt` of the evidence that carries it, ms. */
  readonly firstSeen: number;
}

/** Sorted first-seen times of the distinct values that a group holds, by namespace. Owned by one group. */
type Holdings = Map<string, number[]>;

/**
 * Disjoint groups of the identifiers of one component, which know what each group holds and refuse unions that break a
 * rule. Nodes are named by their index.
 *
 * Invariants
 * 1. No group holds both ends of a cannot-link.
 * 2. No group holds more distinct values of a namespace than its limit, where values that must-links join (directly or
 *    through others) count once: a human said that they are one person's, so no rule may say otherwise.
 * 3. Under a window of W ms, 2 holds for every interval [t, t + W) of the values' first-seen times.
 * 4. Groups only grow. So a set of nodes that may not be united now may not be united later, nor may any superset.
 *    (The establishment rule of {@link longestMergingPrefix} is the exception: it looks at the set's own members.)
 */
export class IdentifierGroups {
  readonly #nodes: readonly GroupNode[];
  readonly #rules: ReadonlyMap<string, NamespaceRule>;
  readonly #parent: Int32Array;
  readonly #size: Int32Array;
  /** By root. */
  readonly #holdings: Holdings[];
  /** By root: the other ends of the cannot-links of the group's nodes; absent if it has none. */
  readonly #enemies = new Map<number, number[]>();
  readonly #seenIn: Int32Array;
  readonly #hasNonMerging: boolean;
  #mark = 0;

  /** Must-links are joined at once, in the order given, limits aside; one that contradicts a cannot-link is ignored. */
  constructor(
    nodes: readonly GroupNode[],
    mustLinks: readonly (readonly [number, number])[],
    cannotLinks: readonly (readonly [number, number])[],
  ) {
    this.#nodes = nodes;
    this.#rules = new Map(nodes.map(({ identifier, rule }) => [identifier.ns, rule]));
    this.#parent = Int32Array.from(nodes, (_, i) => i);
    this.#size = new Int32Array(nodes.length).fill(1);
    this.#seenIn = new Int32Array(nodes.length);
    this.#hasNonMerging = nodes.some(({ rule }) => !rule.mayMerge);
    this.#holdings = nodes.map(() => new Map<string, number[]>());
    for (const [a, b] of cannotLinks) {
      this.#addEnemy(a, b);
      this.#addEnemy(b, a);
    }
    for (const [a, b] of mustLinks) {
      const rootA = this.find(a);
      const rootB = this.find(b);
      if (rootA !== rootB && !this.#areEnemies(rootA, rootB)) this.#link(rootA, rootB);
    }
    nodes.forEach(({ identifier, firstSeen }, i) => {
      const holdings = this.#holdingsOf(this.find(i));
      const [known = firstSeen] = holdings.get(identifier.ns) ?? [];
      holdings.set(identifier.ns, [Math.min(known, firstSeen)]);
    });
  }

  find(node: number): number {
    const parent = this.#parent;
    let at = node;
    for (;;) {
      const up = parent[at] ?? at;
      if (up === at) return at;
      const next = parent[up] ?? up;
      parent[at] = next;
      at = next;
    }
  }

  /**
   * How many leading members may be united without breaking invariants 1 to 3; at least 1. Because of invariant 4 this
   * is where dropping the last member, again and again until nothing is broken, would end too.
   */
  longestLawfulPrefix(members: readonly number[]): number {
    const mark = ++this.#mark;
    const roots: number[] = [];
    for (let i = 0; i < members.length; i++) {
      const root = this.find(members[i] ?? 0);
      if (this.#seenIn[root] === mark) continue;
      if (roots.length > 0 && (this.#hasMarkedEnemy(root, mark) || this.#exceeds(roots, root))) return i;
      this.#seenIn[root] = mark;
      roots.push(root);
    }
    return members.length;
  }

  /**
   * How many of the first `count` members may be united so that established groups (of more than one identifier) are
   * brought together only where each is named by an identifier that may merge; at least 1.
   */
  longestMergingPrefix(members: readonly number[], count: number): number {
    if (!this.#hasNonMerging) return count;
    for (let prefix = count; prefix > 1; prefix--) {
      const namedByMerging = new Map<number, boolean>();
      for (const member of members.slice(0, prefix)) {
        const root = this.find(member);
        if (this.#size[root] === 1) continue;
        const mayMerge = this.#nodes[member]?.rule.mayMerge ?? false;
        namedByMerging.set(root, mayMerge || (namedByMerging.get(root) ?? false));
      }
      if (namedByMerging.size < 2 || [...namedByMerging.values()].every(Boolean)) return prefix;
    }
    return 1;
  }

  /** Unites the first `count` members, which must be lawful. */
  unite(members: readonly number[], count: number): void {
    let root = this.find(members[0] ?? 0);
    for (let i = 1; i < count; i++) {
      const other = this.find(members[i] ?? 0);
      if (other === root) continue;
      const holdings = sumOf(this.#holdingsOf(root), this.#holdingsOf(other));
      root = this.#link(root, other);
      this.#holdings[root] = holdings;
    }
  }

  /** The groups as lists of node indices, each and all in the order of their first node. */
  groups(): number[][] {
    const byRoot = new Map<number, number[]>();
    for (let i = 0; i < this.#nodes.length; i++) {
      const root = this.find(i);
      const group = byRoot.get(root);
      if (group === undefined) byRoot.set(root, [i]);
      else group.push(i);
    }
    return [...byRoot.values()];
  }

  #holdingsOf(root: number): Holdings {
    const holdings = this.#holdings[root];
    if (holdings === undefined) throw new RangeError(`no group ${String(root)}`);
    return holdings;
  }

  /** Whether group `root` would break a limit together with groups that break none among themselves. */
  #exceeds(roots: readonly number[], root: number): boolean {
    for (const [ns, times] of this.#holdingsOf(root)) {
      const others: (readonly number[])[] = [];
      let count = times.length;
      for (const other of roots) {
        const held = this.#holdingsOf(other).get(ns);
        if (held === undefined) continue;
        others.push(held);
        count += held.length;
      }
      const rule = this.#rules.get(ns);
      if (others.length === 0 || rule === undefined || count <= rule.limit) continue;
      if (rule.windowMs === null || crowdEachOther(times, others, rule.limit, rule.windowMs)) return true;
    }
    return false;
  }

  #addEnemy(node: number, enemy: number): void {
    const enemies = this.#enemies.get(node);
    if (enemies === undefined) this.#enemies.set(node, [enemy]);
    else enemies.push(enemy);
  }

  #areEnemies(rootA: number, rootB: number): boolean {
    return this.#enemies.get(rootA)?.some((enemy) => this.find(enemy) === rootB) ?? false;
  }

  #hasMarkedEnemy(root: number, mark: number): boolean {
    return this.#enemies.get(root)?.some((enemy) => this.#seenIn[this.find(enemy)] === mark) ?? false;
  }

  #link(rootA: number, rootB: number): number {
    const sizeA = this.#size[rootA] ?? 1;
    const sizeB = this.#size[rootB] ?? 1;
    const [keep, drop] = sizeA >= sizeB ? [rootA, rootB] : [rootB, rootA];
    this.#parent[drop] = keep;
    this.#size[keep] = sizeA + sizeB;
    const dropped = this.#enemies.get(drop);
    if (dropped !== undefined) {
      this.#enemies.set(keep, [...(this.#enemies.get(keep) ?? []), ...dropped]);
      this.#enemies.delete(drop);
    }
    return keep;
  }
}

/** What a union holds. Uses up both: the smaller goes into the larger, so that all unions together stay cheap. */
function sumOf(a: Holdings, b: Holdings): Holdings {
  const [into, from] = a.size >= b.size ? [a, b] : [b, a];
  for (const [ns, times] of from) {
    const held = into.get(ns) ?? [];
    const [many, few] = held.length >= times.length ? [held, times] : [times, held];
    for (const time of few) insertSorted(many, time);
    into.set(ns, many);
  }
  return into;
}

/** Mostly at the end, because evidence is replayed in order of time. */
function insertSorted(times: number[], time: number): void {
  const last = times.at(-1);
  if (last === undefined || last <= time) times.push(time);
  else times.splice(firstAfter(times, time), 0, time);
}

/**
 * True if some interval [t, t + windowMs) holds more than `limit` of all these sorted times, given that neither `times`
 * nor the `others` by themselves fill one so. Then such an interval holds some of both, and it is enough to look around
 * each time of the shorter side; few are there, because no side is crowded.
 */
function crowdEachOther(
  times: readonly number[],
  others: readonly (readonly number[])[],
  limit: number,
  windowMs: number,
): boolean {
  const countOfOthers = others.reduce((sum, list) => sum + list.length, 0);
  for (const time of times.length <= countOfOthers ? times : others.flat()) {
    const near: number[] = [];
    for (const list of [times, ...others]) {
      for (let i = firstAfter(list, time - windowMs); i < list.length; i++) {
        const neighbour = list[i] ?? Infinity;
        if (neighbour >= time + windowMs) break;
        near.push(neighbour);
      }
    }
    near.sort((a, b) => a - b);
    for (let i = limit; i < near.length; i++) {
      if ((near[i] ?? Infinity) - (near[i - limit] ?? -Infinity) < windowMs) return true;
    }
  }
  return false;
}

/** Index of the first sorted time greater than `bound`. */
function firstAfter(times: readonly number[], bound: number): number {
  let low = 0;
  let high = times.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((times[middle] ?? Infinity) > bound) high = middle;
    else low = middle + 1;
  }
  return low;
}
