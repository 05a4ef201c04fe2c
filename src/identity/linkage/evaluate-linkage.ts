import { blockingColumns, RuleBlocks } from './blocking.js';
import { clusterRecords, type Links } from './cluster-records.js';
import { evaluateClusters, qualityOf, type ClusterQuality, type Quality } from './evaluate-clusters.js';
import { linkRecords, type LinkOptions } from './link-records.js';
import { ruleText, weightOfProbability, type LinkageModel, type LinkageRecord } from './linkage-model.model.js';
import { RecordTable } from './record-table.js';

/** Match probabilities that the table of thresholds has, beside that of the model. */
const THRESHOLDS = [0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999];

export interface AtThreshold {
  /** Match probability from which on pairs are linked. */
  readonly threshold: number;
  /** Of the scored pairs alone, before clusters bring further ones together. */
  readonly links: Quality;
  readonly clusters: ClusterQuality;
}

export interface Evaluation {
  readonly records: number;
  /** Pairs that were scored. */
  readonly pairs: number;
  readonly rules: readonly RuleEvaluation[];
  /** Share of the pairs of one person that any rule makes: what no threshold can bring back. */
  readonly blockingRecall: number;
  /** By the model's threshold. */
  readonly linked: AtThreshold;
  readonly thresholds: readonly AtThreshold[];
}

export interface RuleEvaluation {
  readonly rule: string;
  /** Pairs that no earlier rule makes. */
  readonly pairs: number;
  /** Share of the pairs of one person that the rule makes by itself. */
  readonly recall: number;
}

/**
 * Links the records and compares the clusters with the truth.
 * @param personOf who a record is of, by its id
 */
export async function evaluateLinkage(
  model: LinkageModel,
  records: readonly LinkageRecord[],
  personOf: ReadonlyMap<string, string>,
  options: Omit<LinkOptions, 'leastProbability'> = {},
): Promise<Evaluation> {
  const { table, links, pairsByRule } = await linkRecords(model, records, { ...options, leastProbability: 0 });
  const people = numbered(table.ids.map((id) => personOf.get(id) ?? `record ${id}`));
  const matches = matchesOf(people);
  const at = (threshold: number): AtThreshold => evaluateAt(threshold, links, people, matches.length);
  const thresholds = [...new Set([...THRESHOLDS, model.thresholds.link])].sort((a, b) => a - b).map(at);
  const recalls = ruleRecalls(model, records, matches);
  return {
    records: table.size,
    pairs: links.left.length,
    rules: model.blockingRules.map((rule, i) => ({
      rule: ruleText(rule),
      pairs: pairsByRule[i] ?? 0,
      recall: recalls[i] ?? 0,
    })),
    blockingRecall: at(0).links.recall,
    linked: at(model.thresholds.link),
    thresholds,
  };
}

function evaluateAt(threshold: number, all: Links, people: Int32Array, matches: number): AtThreshold {
  const least = threshold <= 0 ? -Infinity : weightOfProbability(threshold);
  const left: number[] = [];
  const right: number[] = [];
  const weight: number[] = [];
  let correct = 0;
  for (let i = 0; i < all.left.length; i++) {
    const [a, b, w] = [all.left[i] as number, all.right[i] as number, all.weight[i] as number];
    if (w < least) continue;
    left.push(a);
    right.push(b);
    weight.push(w);
    if (people[a] === people[b]) correct++;
  }
  const { clusterOf } = clusterRecords(people.length, { left, right, weight });
  return { threshold, links: qualityOf(correct, left.length, matches), clusters: evaluateClusters(clusterOf, people) };
}

function numbered(names: readonly string[]): Int32Array {
  const numbers = new Map<string, number>();
  return Int32Array.from(names, (name) => {
    const number = numbers.get(name) ?? numbers.size;
    numbers.set(name, number);
    return number;
  });
}

/** Pairs of records of one person, the lower number first. */
function matchesOf(people: Int32Array): (readonly [left: number, right: number])[] {
  const byPerson = new Map<number, number[]>();
  const pairs: (readonly [number, number])[] = [];
  people.forEach((person, record) => {
    const others = byPerson.get(person) ?? [];
    for (const other of others) pairs.push([other, record]);
    byPerson.set(person, [...others, record]);
  });
  return pairs;
}

function ruleRecalls(
  model: LinkageModel,
  records: readonly LinkageRecord[],
  matches: readonly (readonly [left: number, right: number])[],
): number[] {
  const table = RecordTable.of(records, model, blockingColumns(model.blockingRules));
  return model.blockingRules.map((rule) => {
    const blocks = new RuleBlocks(rule, table);
    const made = matches.filter(([left, right]) => blocks.makes(left, right)).length;
    return matches.length === 0 ? 1 : made / matches.length;
  });
}
