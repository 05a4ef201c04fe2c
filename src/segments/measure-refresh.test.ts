import { describe, expect, it } from 'vitest';
import { measureRefresh, type FoundRefresh } from './measure-refresh.js';
import { partOf } from './refresh.model.js';
import { NO_TERMS, type SegmentRule } from './segment-rule.model.js';

function aRule(expression: string, more: Partial<SegmentRule> = {}): SegmentRule {
  return { expression, exitExpression: null, purposes: [], ...NO_TERMS, ...more };
}

const SEGMENTS = [
  { id: 1, version: 2, rule: aRule('f.x > 1'), models: [] },
  { id: 2, version: 1, rule: aRule('cluster("rfm") == 0'), models: ['rfm'] },
  { id: 3, version: 1, rule: aRule('cluster("rfm") == 1'), models: ['rfm'] },
  { id: 4, version: 1, rule: aRule('performed("x")'), models: [] },
];

function measured(more: Partial<FoundRefresh>): string[] {
  const refreshes = measureRefresh({
    segments: SEGMENTS,
    found: [],
    sizes: new Map([
      [1, 10],
      [2, 20],
      [3, 5],
      [4, 7],
    ]),
    share: 1,
    versionsBefore: { 1: 2, 2: 1, 3: 1, 4: 1 },
    modelsBefore: { rfm: '1' },
    modelsNow: { rfm: '1' },
    isOfModels: true,
    recomputed: [],
    ...more,
  });
  return refreshes.map(
    ({ segmentId, kind, before, entered, left, versionBefore, version, models, adjustedRand }) =>
      `${String(segmentId)} ${kind} ${[before, entered, left].join(' ')}` +
      (versionBefore === version ? '' : ` v${String(versionBefore)}`) +
      models.map((model) => ` ${model.key} ${model.before ?? '-'}>${model.after ?? '-'}`).join('') +
      (adjustedRand === null ? '' : ` rand ${adjustedRand.toFixed(2)}`),
  );
}

describe('a refresh', () => {
  it('is of the segments that it was about, also where it changed nothing', () => {
    expect(measured({})).toEqual([]);
    expect(measured({ versionsBefore: { 1: 1, 2: 1, 3: 1, 4: 1 }, isOfModels: false })).toEqual(['1 edit 10 0 0 v1']);
    expect(measured({ modelsNow: { rfm: '1, 2 for 10 %' } })).toEqual([
      '2 model 20 0 0 rfm 1>1, 2 for 10 % rand 1.00',
      '3 model 5 0 0 rfm 1>1, 2 for 10 % rand 1.00',
    ]);
    expect(measured({ recomputed: [[4], [1]] })).toEqual(['1 recompute 10 0 0', '4 recompute 7 0 0']);
    expect(measured({ recomputed: [[]] })).toHaveLength(4);
  });

  it('is an edit where definitions changed together with models, and says which models', () => {
    expect(measured({ modelsNow: { rfm: '2' }, isOfModels: false }).map((each) => each.slice(0, 6))).toEqual([
      '2 edit',
      '3 edit',
    ]);
  });

  it('is none of a segment that was not live before', () => {
    const found = [{ segmentId: 1, toId: null, kind: 'edit', entered: 10, left: 0 }] as const;
    expect(measured({ versionsBefore: { 2: 1, 3: 1, 4: 1 }, found })).toEqual([]);
  });

  it('compares who is in with who would be, and people who moved between clusters', () => {
    // Of 20 in cluster 0 five came out of cluster 1, which lost two more to no cluster.
    const found = [
      { segmentId: 2, toId: null, kind: 'model', entered: 5, left: 0 },
      { segmentId: 3, toId: null, kind: 'model', entered: 0, left: 7 },
      { segmentId: 3, toId: 2, kind: 'model', entered: 0, left: 5 },
      { segmentId: 4, toId: null, kind: 'model', entered: 1, left: 2 },
    ] as const;
    // Cells 15 and 5 that stayed, 5 that moved: pairs 105 + 10 + 10 together both times, 105 + 45 before, 190 + 10 after.
    const [both, before, after, all] = [125, 150, 200, 300];
    const rand = (both - (before * after) / all) / ((before + after) / 2 - (before * after) / all);
    expect(measured({ found })).toEqual([
      `2 model 15 5 0 rand ${rand.toFixed(2)}`,
      `3 model 12 0 7 rand ${rand.toFixed(2)}`,
      '4 model 8 1 2',
    ]);
  });

  it('bounds what a sample says by the members that there are', () => {
    const found = [{ segmentId: 1, toId: null, kind: 'edit', entered: 14, left: 3 }] as const;
    expect(measured({ found, share: 0.1 })).toEqual(['1 edit 3 10 3']);
  });
});

describe('a segment for one class of a model', () => {
  it.each([
    ['cluster("rfm") == 0', 'cluster rfm', '0'],
    [' label("rfm") == "at \\"risk\\"" ', 'label rfm', '"at \\"risk\\""'],
  ])('is a part of a clustering: %s', (expression, clustering, part) => {
    expect(partOf(aRule(expression))).toEqual({ clustering, part });
  });

  it.each([
    aRule('cluster("rfm") == 0 && f.x > 1'),
    aRule('cluster("rfm") != 0'),
    aRule('cluster("rfm") == 0', { exitExpression: 'cluster("rfm") == 1' }),
    aRule('cluster("rfm") == 0', { minDwellMs: 1_000 }),
    aRule('cluster("rfm") == 0', { activeUntil: 1 }),
  ])('is none where it says more: %j', (rule) => {
    expect(partOf(rule)).toBeNull();
  });
});
