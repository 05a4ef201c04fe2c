import type { NamespaceRule } from './identity-rules.model.js';

/** One identifier of a component that is being resolved. */
export interface GroupNode {
  readonly ns: string;
  readonly rule: NamespaceRule;
  /** The least `occurredAt` of the evidence that carries it, ms. */
  readonly firstSeen: number;
}

/** Two nodes that a union was made for, in the order of {@link IdentifierGroups.unite}. */
export type UnitedPair = readonly [a: number, b: number];

/** Sorted first-seen times of the distinct values that a group holds, by namespace. Owned by one group. */
type Holdings = Map<string, number[]>;

interface Union {
  readonly pair: UnitedPair;
  /** The roots that it joined; `dropped` is none since. */
  readonly kept: number;
  readonly dropped: number;
  /** Other ends of the cannot-links of `kept` before, if that changed. */
  readonly enemies: readonly number[] | null;
}

/**
 * Disjoint groups of the identifiers of one component, which know what each group holds and refuse unions that break a
 * rule. Nodes are named by their index. Unions can be undone, the last first.
 *
 * Invariants
 * 1. No group holds both ends of a cannot-link.
 * 2. No group holds more distinct values of a namespace than its limit, where values that must-links join (directly or
 *    through others) count once: a human said that they are one person's, so no rule may say otherwise.
 * 3. Under a window of W ms, 2 holds for every interval [t, t + W) of the values' first-seen times.
 * 4. No union makes a group larger than `maxSize`, however many must-links are in it.
 * 5. Groups only grow, but for unions undone. So a set of nodes that may not be united now may not be united later, nor
 *    may any superset. (The establishment rule of {@link longestMergingPrefix} is the exception: it looks at the set's
 *    own members.)
 * 6. Undoing leaves everything as it was before: roots are joined by size without shortening paths, what the dropped
 *    root holds is kept with it, and a list that it lent to the other goes back to it.
 */
export class IdentifierGroups {
  readonly #nodes: GroupNode[] = [];
  readonly #rules = new Map<string, NamespaceRule>();
  readonly #parent: number[] = [];
  readonly #size: number[] = [];
  /** The next node of the same group, round in a circle: exchanging two nodes' joins or parts their circles. */
  readonly #next: number[] = [];
  /** By root; of others as it was when they were roots. */
  readonly #holdings: Holdings[] = [];
  /** By root: the other ends of the cannot-links of the group's nodes; absent if it has none. */
  readonly #enemies = new Map<number, readonly number[]>();
  readonly #seenIn: number[] = [];
  readonly #unions: Union[] = [];
  #hasNonMerging = false;
  #mark = 0;

  /**
   * Must-links are joined at once, in the order given, limits aside, and never undone; one that contradicts a
   * cannot-link is ignored.
   */
  constructor(
    nodes: readonly GroupNode[] = [],
    mustLinks: readonly UnitedPair[] = [],
    cannotLinks: readonly UnitedPair[] = [],
    private readonly maxSize = Number.POSITIVE_INFINITY,
  ) {
    for (const node of nodes) this.add(node);
    for (const [a, b] of cannotLinks) {
      this.#addEnemy(a, b);
      this.#addEnemy(b, a);
    }
    if (mustLinks.length === 0) return;
    for (const holdings of this.#holdings) holdings.clear();
    for (const pair of mustLinks) {
      const [rootA, rootB] = [this.find(pair[0]), this.find(pair[1])];
      if (rootA !== rootB && !this.#areEnemies(rootA, rootB)) this.#link(rootA, rootB, pair);
    }
    this.#unions.length = 0;
    nodes.forEach(({ ns, firstSeen }, i) => {
      const holdings = this.#holdingsOf(this.find(i));
      const [known = firstSeen] = holdings.get(ns) ?? [];
      holdings.set(ns, [Math.min(known, firstSeen)]);
    });
  }

  /** A new group of one; returns the node's index. */
  add(node: GroupNode): number {
    const index = this.#nodes.push(node) - 1;
    this.#rules.set(node.ns, node.rule);
    this.#hasNonMerging ||= !node.rule.mayMerge;
    this.#parent.push(index);
    this.#size.push(1);
    this.#next.push(index);
    this.#seenIn.push(0);
    this.#holdings.push(new Map([[node.ns, [node.firstSeen]]]));
    return index;
  }

  /**
   * A node turns out to have been seen earlier.
   * @throws RangeError unless it is alone in its group
   */
  replace(index: number, node: GroupNode): void {
    if (this.#size[index] !== 1 || this.find(index) !== index) throw new RangeError('the node is not alone');
    this.#nodes[index] = node;
    this.#holdings[index] = new Map([[node.ns, [node.firstSeen]]]);
  }

  find(node: number): number {
    const parent = this.#parent;
    let at = node;
    for (;;) {
      const up = parent[at] ?? at;
      if (up === at) return at;
      at = up;
    }
  }

  /**
   * How many leading members may be united without breaking invariants 1 to 4; at least 1. Because of invariant 5 this
   * is where dropping the last member, again and again until nothing is broken, would end too.
   */
  longestLawfulPrefix(members: readonly number[]): number {
    const mark = ++this.#mark;
    const roots: number[] = [];
    let size = 0;
    for (let i = 0; i < members.length; i++) {
      const root = this.find(members[i] ?? 0);
      if (this.#seenIn[root] === mark) continue;
      size += this.#size[root] ?? 1;
      if (roots.length > 0 && (size > this.maxSize || this.#hasMarkedEnemy(root, mark) || this.#exceeds(roots, root))) {
        return i;
      }
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
    const [first = 0] = members;
    let root = this.find(first);
    for (let i = 1; i < count; i++) {
      const member = members[i] ?? 0;
      const other = this.find(member);
      if (other !== root) root = this.#link(root, other, [first, member]);
    }
  }

  /** How many unions were made; what {@link undo} goes back to. */
  get unions(): number {
    return this.#unions.length;
  }

  /** The pairs of all unions from the `from`-th on, in the order in which they were made. */
  pairsFrom(from: number): UnitedPair[] {
    return this.#unions.slice(from).map((union) => union.pair);
  }

  /** Undoes all unions but the first `unions`. */
  undo(unions: number): void {
    while (this.#unions.length > unions) {
      const union = this.#unions.pop();
      if (union === undefined) return;
      const { kept, dropped, enemies } = union;
      for (const [ns, times] of this.#holdingsOf(dropped)) {
        const held = this.#holdingsOf(kept).get(ns);
        if (held === undefined) continue;
        if (held === times) this.#holdingsOf(kept).delete(ns);
        else for (const time of times) held.splice(firstAfter(held, time) - 1, 1);
      }
      if (enemies !== null) {
        if (enemies.length === 0) this.#enemies.delete(kept);
        else this.#enemies.set(kept, enemies);
      }
      this.#parent[dropped] = dropped;
      this.#size[kept] = (this.#size[kept] ?? 1) - (this.#size[dropped] ?? 1);
      this.#exchangeNext(kept, dropped);
    }
  }

  /** The nodes of the group that this one is in, in no order. */
  groupOf(node: number): number[] {
    const group = [node];
    for (let at = this.#next[node] ?? node; at !== node; at = this.#next[at] ?? node) group.push(at);
    return group;
  }

  #holdingsOf(root: number): Holdings {
    const holdings = this.#holdings[root];
    if (holdings === undefined) throw new RangeError(`no group ${String(root)}`);
    return holdings;
  }

  /** Whether group `root` would break a limit together with groups that break none among themselves. */
  #exceeds(roots: readonly number[], root: number): boolean {
    for (const [ns, times] of this.#holdingsOf(root)) {
      let count = times.length;
      for (const other of roots) count += this.#holdingsOf(other).get(ns)?.length ?? 0;
      const rule = this.#rules.get(ns);
      if (count === times.length || rule === undefined || count <= rule.limit) continue;
      if (rule.windowMs === null) return true;
      const others: (readonly number[])[] = [];
      for (const other of roots) others.push(this.#holdingsOf(other).get(ns) ?? []);
      if (crowdEachOther(times, others, rule.limit, rule.windowMs)) return true;
    }
    return false;
  }

  #addEnemy(node: number, enemy: number): void {
    this.#enemies.set(node, [...(this.#enemies.get(node) ?? []), enemy]);
  }

  #areEnemies(rootA: number, rootB: number): boolean {
    return this.#enemies.get(rootA)?.some((enemy) => this.find(enemy) === rootB) ?? false;
  }

  #hasMarkedEnemy(root: number, mark: number): boolean {
    return this.#enemies.get(root)?.some((enemy) => this.#seenIn[this.find(enemy)] === mark) ?? false;
  }

  #link(rootA: number, rootB: number, pair: UnitedPair): number {
    const sizeA = this.#size[rootA] ?? 1;
    const sizeB = this.#size[rootB] ?? 1;
    const [kept, dropped] = sizeA >= sizeB ? [rootA, rootB] : [rootB, rootA];
    this.#parent[dropped] = kept;
    this.#size[kept] = sizeA + sizeB;
    this.#exchangeNext(kept, dropped);
    addHoldings(this.#holdingsOf(kept), this.#holdingsOf(dropped));
    const gained = this.#enemies.get(dropped);
    let enemies: readonly number[] | null = null;
    if (gained !== undefined) {
      enemies = this.#enemies.get(kept) ?? [];
      this.#enemies.set(kept, [...enemies, ...gained]);
    }
    this.#unions.push({ pair, kept, dropped, enemies });
    return kept;
  }

  #exchangeNext(a: number, b: number): void {
    const next = this.#next[a] ?? a;
    this.#next[a] = this.#next[b] ?? b;
    this.#next[b] = next;
  }
}

/**
 * Adds the times of the smaller group to those of the larger, so that all unions together stay cheap. A list that the
 * larger has none of is lent to it: until the union is undone, it changes only with unions that are undone before.
 */
function addHoldings(into: Holdings, from: Holdings): void {
  for (const [ns, times] of from) {
    const held = into.get(ns);
    if (held === undefined) into.set(ns, times);
    else for (const time of times) insertSorted(held, time);
  }
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
  const [time, second] = times;
  const [held, another] = others;
  // A newcomer meets one group: what nearly every row of a component beyond its limits is.
  if (time !== undefined && second === undefined && held !== undefined && another === undefined) {
    return crowds(time, held, limit, windowMs);
  }
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

/** True if some interval [t, t + windowMs) with this time in it holds more than `limit` of the times and it. */
function crowds(time: number, times: readonly number[], limit: number, windowMs: number): boolean {
  const place = firstAfter(times, time);
  // Of limit + 1 neighbours in a row, the first and the last.
  for (let first = Math.max(0, place - limit); first <= place; first++) {
    const last = first + limit - 1;
    if (last >= times.length && last >= place) return false;
    const from = first < place ? (times[first] ?? time) : time;
    const to = last >= place ? (times[last] ?? time) : time;
    if (to - from < windowMs) return true;
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
