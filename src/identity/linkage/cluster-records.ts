/** Links between records, by the numbers that these have in a table, which are in the order of their ids. */
export interface Links {
  readonly left: ArrayLike<number>;
  readonly right: ArrayLike<number>;
  readonly weight: ArrayLike<number>;
}

export type RecordPair = readonly [left: number, right: number];

export interface ClusterRules {
  /** Pairs that are never in one cluster, whatever links them. */
  readonly cannotLink?: readonly RecordPair[];
  /** Pairs that are in one cluster, whatever their weight. */
  readonly mustLink?: readonly RecordPair[];
  /** Records that links may bring together at most. */
  readonly maxSize?: number;
}

export interface Clusters {
  /** By record: the least record of its cluster. */
  readonly clusterOf: Int32Array;
  /** Links that were not followed, because two records that must stay apart or too many would have come together. */
  readonly refused: number;
}

/**
 * Records that hang together by links. Links are followed from the strongest on, equally strong ones in the order of
 * their records, and one that would bring together what must stay apart is left out: so clusters are a function of the
 * sets of records and links, in whatever order these come.
 */
export function clusterRecords(records: number, links: Links, rules: ClusterRules = {}): Clusters {
  const { mustLink = [], cannotLink = [], maxSize = Infinity } = rules;
  const groups = new Groups(records, cannotLink);
  let refused = 0;
  for (const [a, b] of [...mustLink].sort(inOrder)) if (!groups.join(a, b, Infinity)) refused++;
  const isFree = cannotLink.length === 0 && maxSize === Infinity;
  for (const i of isFree ? numbersTo(links.left.length) : strongestFirst(links)) {
    if (!groups.join(links.left[i] as number, links.right[i] as number, maxSize)) refused++;
  }
  return { clusterOf: groups.named(), refused };
}

function inOrder([a, b]: RecordPair, [c, d]: RecordPair): number {
  return Math.min(a, b) - Math.min(c, d) || Math.max(a, b) - Math.max(c, d);
}

function numbersTo(count: number): Int32Array {
  return Int32Array.from({ length: count }, (_, i) => i);
}

function strongestFirst({ left, right, weight }: Links): Int32Array {
  const at = (values: ArrayLike<number>, i: number): number => values[i] as number;
  return numbersTo(left.length).sort(
    (i, j) => at(weight, j) - at(weight, i) || inOrder([at(left, i), at(right, i)], [at(left, j), at(right, j)]),
  );
}

/** Groups by union and find, which know what must not come to them. */
class Groups {
  readonly #parent: Int32Array;
  readonly #size: Int32Array;
  /** By root: members that must not come to the group. */
  readonly #apart = new Map<number, number[]>();

  constructor(records: number, cannotLink: readonly RecordPair[]) {
    this.#parent = numbersTo(records);
    this.#size = new Int32Array(records).fill(1);
    for (const [a, b] of cannotLink) {
      this.#keepApart(a, b);
      this.#keepApart(b, a);
    }
  }

  /** Whether both are in one group now. */
  join(a: number, b: number, maxSize: number): boolean {
    let into = this.#root(a);
    let from = this.#root(b);
    if (into === from) return true;
    const [sizeA, sizeB] = [this.#size[into] as number, this.#size[from] as number];
    if (sizeA + sizeB > maxSize || this.#isApart(into, from)) return false;
    if (sizeA < sizeB) [into, from] = [from, into];
    this.#parent[from] = into;
    this.#size[into] = sizeA + sizeB;
    for (const other of this.#apart.get(from) ?? []) this.#keepApart(into, other);
    return true;
  }

  named(): Int32Array {
    const least = new Int32Array(this.#parent.length).fill(-1);
    return this.#parent.map((_, record) => {
      const root = this.#root(record);
      if (least[root] === -1) least[root] = record;
      return least[root] as number;
    });
  }

  #keepApart(root: number, other: number): void {
    const apart = this.#apart.get(root);
    if (apart === undefined) this.#apart.set(root, [other]);
    else apart.push(other);
  }

  #isApart(a: number, b: number): boolean {
    return this.#apart.get(a)?.some((other) => this.#root(other) === b) ?? false;
  }

  #root(record: number): number {
    let root = record;
    for (let parent = this.#parent[root] as number; parent !== root; parent = this.#parent[root] as number) {
      this.#parent[root] = this.#parent[parent] as number;
      root = parent;
    }
    return root;
  }
}
