/** How well clusters agree with the truth. All shares are from 0 to 1; one of nothing is 1. */
export interface ClusterQuality {
  /** Of the pairs that are together, how many belong together; of those that do, how many are. */
  readonly pairs: Quality;
  /**
   * The same for each record's cluster and person, averaged over records.
   * Source: A. Bagga, B. Baldwin, Algorithms for scoring coreference chains (1998).
   */
  readonly bCubed: Quality;
  /** People whose records are one cluster, with nobody else's in it. */
  readonly exactClusters: number;
  readonly people: number;
  readonly clusters: number;
}

export interface Quality {
  readonly precision: number;
  readonly recall: number;
  /** Harmonic mean of both. */
  readonly f1: number;
}

export function qualityOf(right: number, found: number, wanted: number): Quality {
  return qualityFrom(found === 0 ? 1 : right / found, wanted === 0 ? 1 : right / wanted);
}

function qualityFrom(precision: number, recall: number): Quality {
  return { precision, recall, f1: precision + recall === 0 ? 0 : (2 * precision * recall) / (precision + recall) };
}

/** @param clusterOf @param personOf by record */
export function evaluateClusters(clusterOf: ArrayLike<number>, personOf: ArrayLike<number>): ClusterQuality {
  const clusters = new Map<number, number>();
  const people = new Map<number, number>();
  /** Records by cluster, then person. */
  const both = new Map<number, Map<number, number>>();
  for (let i = 0; i < clusterOf.length; i++) {
    const [cluster, person] = [clusterOf[i] as number, personOf[i] as number];
    countIn(clusters, cluster);
    countIn(people, person);
    let inCluster = both.get(cluster);
    if (inCluster === undefined) {
      inCluster = new Map();
      both.set(cluster, inCluster);
    }
    countIn(inCluster, person);
  }
  let together = 0;
  let precision = 0;
  let recall = 0;
  let exact = 0;
  for (const [cluster, inCluster] of both) {
    const size = clusters.get(cluster) ?? 0;
    for (const [person, count] of inCluster) {
      const ofPerson = people.get(person) ?? 0;
      together += pairsOf(count);
      precision += (count * count) / size;
      recall += (count * count) / ofPerson;
      if (count === size && count === ofPerson) exact++;
    }
  }
  const all = clusterOf.length;
  return {
    pairs: qualityOf(together, sumOfPairs(clusters), sumOfPairs(people)),
    bCubed: qualityFrom(all === 0 ? 1 : precision / all, all === 0 ? 1 : recall / all),
    exactClusters: people.size === 0 ? 1 : exact / people.size,
    people: people.size,
    clusters: clusters.size,
  };
}

/** Pairs of records of one person. */
export function sumOfPairs(sizes: ReadonlyMap<number, number>): number {
  let sum = 0;
  for (const size of sizes.values()) sum += pairsOf(size);
  return sum;
}

function pairsOf(size: number): number {
  return (size * (size - 1)) / 2;
}

function countIn(counts: Map<number, number>, key: number): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}
