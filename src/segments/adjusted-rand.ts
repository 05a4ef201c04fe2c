/** People of one cluster before and one after. */
export interface ContingencyCell {
  readonly before: number;
  readonly after: number;
  readonly count: number;
}

/**
 * How alike two clusterings of the same people are, whatever their clusters are called: 1 where they are the same, about 0
 * where one says nothing of the other, less where it says less than chance does (at least -0.5). The adjusted Rand index of
 * Hubert and Arabie, Comparing partitions, Journal of Classification 2 (1985), 193–218, equation 5.
 * @param cells of the contingency table, those without anybody left out or not; each pair of clusters once
 * @returns null with fewer than two people, of whom there is no pair
 */
export function adjustedRandIndex(cells: readonly ContingencyCell[]): number | null {
  const before = new Map<number, number>();
  const after = new Map<number, number>();
  let [people, both] = [0, 0];
  for (const cell of cells) {
    before.set(cell.before, (before.get(cell.before) ?? 0) + cell.count);
    after.set(cell.after, (after.get(cell.after) ?? 0) + cell.count);
    people += cell.count;
    both += pairs(cell.count);
  }
  if (people < 2) return null;
  const [inBefore, inAfter] = [pairsIn(before), pairsIn(after)];
  const expected = (inBefore * inAfter) / pairs(people);
  const most = (inBefore + inAfter) / 2;
  // Both have everybody in one cluster, or each by themselves.
  return most === expected ? 1 : (both - expected) / (most - expected);
}

function pairs(count: number): number {
  return (count * (count - 1)) / 2;
}

function pairsIn(sizes: ReadonlyMap<number, number>): number {
  return [...sizes.values()].reduce((sum, size) => sum + pairs(size), 0);
}
