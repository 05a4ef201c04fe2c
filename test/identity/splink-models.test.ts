import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { compileConditions } from '../../src/identity/linkage/compile-condition.js';
import { compileSteps } from '../../src/identity/linkage/value-steps.js';
import { forEachCandidate, blockingColumns, RuleBlocks } from '../../src/identity/linkage/blocking.js';
import type { ValueExpression } from '../../src/identity/linkage/condition.model.js';
import type { LinkageModel, LinkageRecord, LinkageValue } from '../../src/identity/linkage/linkage-model.model.js';
import { PairScorer, scoredColumns } from '../../src/identity/linkage/pair-scorer.js';
import { parseCondition } from '../../src/identity/linkage/parse-condition.js';
import { readLinkageModel, writeLinkageModel } from '../../src/identity/linkage/read-linkage-model.js';
import { countTerms, untrainedColumns, withKeyedTerms } from '../../src/identity/linkage/term-frequencies.js';
import { TermHash } from '../../src/identity/matching/term-hash.js';
import { RootSecret } from '../../src/platform/installation-secret.js';
import { RecordTable } from '../../src/identity/linkage/record-table.js';
import { scorePair } from '../../src/identity/linkage/score-pair.js';
import { ValueStore } from '../../src/identity/linkage/value-store.js';
import { readPeople } from '../support/people-data.js';

function fixture(name: string): string {
  return readFileSync(new URL(`../fixtures/linkage/${name}`, import.meta.url), 'utf8');
}

interface Levels {
  readonly rows: readonly Readonly<Record<string, string | number | readonly string[] | null>>[];
  readonly pairs: readonly (readonly [number, number])[];
  /** What DuckDB makes of each condition, by pair: 1, 0 or -. */
  readonly conditions: Readonly<Record<string, string>>;
}

/** The value as records hold it. */
function valueOf(value: string | number | readonly string[] | null | undefined): LinkageValue {
  return typeof value === 'number' ? String(value) : (value ?? null);
}

describe('conditions that the comparison library of Splink writes', () => {
  const { rows, pairs, conditions } = JSON.parse(fixture('levels.json')) as Levels;

  it.each(Object.entries(conditions))('mean what DuckDB makes of them: %s', (sql, expected) => {
    const store = new ValueStore('bytes');
    const rowsOf = ({ expression }: { expression: ValueExpression }): Int32Array => {
      const steps = compileSteps(expression, store);
      return Int32Array.from(rows, (row) => steps(store.intern(valueOf(row[expression.column]))));
    };
    const { tests, memo } = compileConditions([parseCondition(sql)], store, rowsOf);
    const found = pairs.map(([left, right]) => {
      memo.next();
      return { 1: '1', 0: '0', [-1]: '-' }[tests[0]?.(left, right) ?? NaN];
    });
    // DuckDB intersects a list with a missing one to an empty list, or to none: which depends on the side.
    const isClear = (i: number): boolean =>
      !sql.includes('list_intersect') || (pairs[i] ?? []).every((row) => rows[row]?.['arr'] !== null);
    const clear = Array.from(expected, (_, i) => i).filter(isClear);
    expect(clear.map((i) => found[i]).join('')).toBe(clear.map((i) => expected[i]).join(''));
  });
});

describe('a model that Splink saved', () => {
  const model: LinkageModel = readLinkageModel(fixture('model.json'), 'model.json');
  const people: LinkageRecord[] = readPeople('fake_1000.csv.gz', 'unique_id');
  const byId = new Map(people.map((record) => [record.id, record]));
  const { pairs, weights } = JSON.parse(fixture('weights.json')) as {
    pairs: number;
    weights: [string, string, number, string][];
  };
  const columns = [...new Set([...scoredColumns(model), ...blockingColumns(model.blockingRules)])];
  const table = RecordTable.of(people, model, columns);
  const scorer = new PairScorer(model, table);
  const numberOf = new Map(table.ids.map((id, i) => [id, i]));

  it('makes the same pairs, by the same rules', async () => {
    const rules = model.blockingRules.map((rule) => new RuleBlocks(rule, table));
    const ruleOf = new Map<string, string>();
    await forEachCandidate(rules, (left, right, rule) => {
      const key = [table.ids[left], table.ids[right]].sort().join(' ');
      expect(ruleOf.has(key)).toBe(false);
      ruleOf.set(key, String(rule));
    });
    expect(ruleOf.size).toBe(pairs);
    for (const [a, b, , rule] of weights) expect(ruleOf.get([a, b].sort().join(' '))).toBe(rule);
  });

  it('gives the match weights of Splink', () => {
    for (const [a, b, weight] of weights) {
      const [i = NaN, j = NaN] = [numberOf.get(a), numberOf.get(b)].sort((x = 0, y = 0) => x - y);
      expect(scorer.weight(i, j)).toBeCloseTo(weight, 9);
    }
  });

  it('gives them also where it is stored, with hashes of the values that it counts', () => {
    const adjusted = untrainedColumns(model);
    expect(adjusted.length).toBeGreaterThan(0);
    const counted = { ...model, termFrequencies: new Map(adjusted.map((name) => [name, countTerms(table, name)])) };
    const [one, other] = ['a', 'b'].map((letter) => TermHash.of(new RootSecret(Buffer.from(letter.repeat(32)))));
    if (one == null || other == null) throw new Error('there is a secret');
    const stored = writeLinkageModel(withKeyedTerms(counted, one.keysOf(model.version)));
    const read = readLinkageModel(stored, 'stored', one.keysOf(model.version));
    const keyed = new PairScorer(read, table);
    for (const [a, b, weight] of weights) {
      const [i = NaN, j = NaN] = [numberOf.get(a), numberOf.get(b)].sort((x = 0, y = 0) => x - y);
      expect(keyed.weight(i, j)).toBe(scorer.weight(i, j));
      expect(keyed.weight(i, j)).toBeCloseTo(weight, 9);
    }
    // Nothing of the values is in it, and another secret makes others of them.
    for (const { counts } of counted.termFrequencies.values()) {
      for (const value of counts.keys()) expect(stored).not.toContain(JSON.stringify(value));
    }
    expect(one.keysOf('v')('name')('ann')).not.toBe(other.keysOf('v')('name')('ann'));
    expect(() => readLinkageModel(stored, 'stored')).toThrow('one installation alone can tell');
  });

  it('explains a pair by steps that add up to its weight', () => {
    const [a, b] = weights[0] ?? ['', ''];
    const left = byId.get(a) as LinkageRecord;
    const right = byId.get(b) as LinkageRecord;
    const { weight, probability, waterfall } = scorePair(model, left, right);
    expect(waterfall.reduce((sum, step) => sum + step.weight + step.adjustment, 0)).toBeCloseTo(weight, 12);
    expect(probability).toBeCloseTo(1 / (1 + 2 ** -weight), 12);
    expect(scorePair(model, right, left)).toEqual(scorePair(model, left, right));
  });
});
