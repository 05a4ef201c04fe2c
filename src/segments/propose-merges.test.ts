import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { FilterUse } from './merge-proposal.model.js';
import type { SegmentPair } from './overlap.model.js';
import { parseSegments } from './parse-segments.js';
import { proposeMerges, type LiveSegment, type MergeMaterial } from './propose-merges.js';
import { orderSegments } from './segment-graph.js';
import { NO_TERMS, parseRule, type SegmentRule } from './segment-rule.model.js';

const SCHEMA = { features: new Map() };

function live(id: number, key: string, expression: string, more: Partial<SegmentRule> = {}): LiveSegment {
  const rule = { expression, exitExpression: null, purposes: [], ...NO_TERMS, ...more };
  const stored = {
    ...{ id, key, name: key, description: '', tags: [], edge: false, stage: 'active' as const, version: 1 },
    ...{ activeVersion: 1, activeRule: rule, shadowVersion: null, shadowRule: null, createdAt: 0, updatedAt: 0 },
    ...rule,
  };
  return { stored, rule, requires: parseRule(rule, SCHEMA).requires };
}

function pairOf(a: number, b: number, common = 100, otherSize = 100): SegmentPair {
  return { segmentId: a, otherId: b, size: 100, otherSize, common, jaccard: common / (100 + otherSize - common) };
}

function proposed(segments: readonly LiveSegment[], more: Partial<MergeMaterial>) {
  const none = { alike: [], small: [], near: new Map(), filters: [], declined: new Set<string>() };
  return proposeMerges({ segments, schema: SCHEMA, ...none, ...more });
}

describe('of two near duplicates', () => {
  const [a, b] = [live(1, 'a', 'traits.x == 1'), live(2, 'b', 'traits.x == 2')];

  it('the one that was made first remains where nobody names either', () => {
    expect(proposed([a, b], { alike: [pairOf(2, 1, 95)] })).toMatchObject([
      {
        ...{ reason: 'near_duplicate', drop: 'b', keep: 'a', expression: 'traits.x == 1', file: '' },
        ...{ counts: { size: 100, otherSize: 100, common: 95 }, gained: 5, lost: 5, steps: ['weft segment archive b'] },
      },
    ]);
  });

  it('the one remains that more name, and whoever names the other names it', () => {
    const filters: FilterUse[] = [
      { kind: 'webhook', key: 'crm', segments: ['b', 'z'] },
      { kind: 'webhook', key: 'ads', segments: ['a', 'b'] },
      { kind: 'subscription', key: 'sync', segments: ['a'] },
    ];
    const user = live(3, 'user', 'segment("a") && traits.y == "segment(\'a\')" || !segment( \'a\' )', {
      exitExpression: 'segment("a")',
      minDwellMs: 60_000,
      purposes: ['ads'],
    });
    const twice = live(4, 'twice', 'segment("b")');
    const [proposal] = proposed([a, b, user, twice, live(5, 'third', 'segment("b")')], {
      alike: [pairOf(1, 2)],
      filters,
    });
    expect(proposal).toMatchObject({ drop: 'a', keep: 'b' });
    expect(proposal?.dropUses).toEqual([
      { kind: 'segment', key: 'user' },
      { kind: 'webhook', key: 'ads' },
      { kind: 'subscription', key: 'sync' },
    ]);
    expect(proposal?.steps).toEqual([
      `weft segment proposals file ${proposal?.key ?? ''} > merge.yaml`,
      'weft apply merge.yaml',
      'weft endpoints update ads --segments b',
      '# subscription sync: weft subscriptions show tells its cursor; remove it, and create it with --segments b --from CURSOR',
      'weft segment archive a',
    ]);
    expect(parseSegments(proposal?.file ?? '', 'merge.yaml')).toMatchObject([
      {
        key: 'user',
        expression: 'segment("b") && traits.y == "segment(\'a\')" || !segment( "b" )',
        ...{ exitExpression: 'segment("b")', minDwellMs: 60_000, purposes: ['ads'], active: true },
      },
    ]);
  });

  it('the one remains that the other rests on, whoever names them', () => {
    const resting = live(1, 'resting', 'segment("b") || traits.x == 1');
    const users = [live(3, 'u', 'segment("resting")'), live(4, 'v', 'segment("resting")')];
    expect(proposed([resting, b, ...users], { alike: [pairOf(1, 2)] })).toMatchObject([{ drop: 'resting', keep: 'b' }]);
  });

  it('nothing is proposed again that was declined, until a version of either is another', () => {
    const alike = [pairOf(1, 2)];
    const [first] = proposed([a, b], { alike });
    const declined = new Set([first?.key ?? '']);
    expect(proposed([a, b], { alike, declined })).toEqual([]);
    const edited = { ...b, stored: { ...b.stored, activeVersion: 2 } };
    expect(proposed([a, edited], { alike, declined })).toHaveLength(1);
  });
});

describe('a small segment', () => {
  const small = [{ segmentId: 1, most: 3 }];
  const few = live(1, 'few', 'performed("rare")');

  it('is taken in by the one that it has most in common with', () => {
    const [wide, other] = [
      live(2, 'wide', 'performed("often")'),
      live(3, 'other', 'performed("rare") && traits.z == 1'),
    ];
    const near = new Map([[1, [{ ...pairOf(1, 2, 2, 1_000), size: 4 }]]]);
    const [proposal] = proposed([few, wide, other], { small, near });
    expect(proposal).toMatchObject({ reason: 'too_small', drop: 'few', keep: 'wide', gained: 998, lost: 0 });
    expect(proposal?.expression).toBe('(performed("often"))\n|| (performed("rare"))');
    expect(parseSegments(proposal?.file ?? '', 'f.yaml')).toMatchObject([
      { key: 'wide', expression: proposal?.expression },
    ]);
    const within = new Map([[1, [{ ...pairOf(1, 2, 4, 1_000), size: 4 }]]]);
    expect(proposed([few, wide], { small, near: within })).toMatchObject([
      { expression: 'performed("often")', file: '' },
    ]);
  });

  it('without members in common by the one whose condition reads the same', () => {
    const others = [live(2, 'far', 'traits.q == 1'), live(3, 'near', 'performed("rare", "7d") || traits.q == 2')];
    expect(proposed([few, ...others], { small })).toMatchObject([
      { drop: 'few', keep: 'near', counts: null, gained: null },
    ]);
  });

  it('is archived where none is near and nobody names it', () => {
    const far = live(2, 'far', 'traits.q == 1');
    expect(proposed([few, far], { small })).toMatchObject([
      { drop: 'few', keep: null, expression: null, steps: ['weft segment archive few'] },
    ]);
    const filters: FilterUse[] = [{ kind: 'webhook', key: 'crm', segments: ['few'] }];
    expect(proposed([few, far], { small, filters })).toEqual([]);
  });

  it('that differs in more than its condition is left to its author to write', () => {
    const wide = live(2, 'wide', 'performed("rare", "30d")', { minDwellMs: 1_000 });
    const [proposal] = proposed([few, wide], { small });
    expect(proposal).toMatchObject({ keep: 'wide', expression: null, file: '' });
    expect(proposal?.steps[0]).toMatch(/^# write into wide/);
  });
});

it('done one after the other, proposals end, and at each step everything that is named is there, in no circle', () => {
  const count = 7;
  const index = fc.nat(count - 1);
  fc.assert(
    fc.property(
      fc.array(fc.array(index, { maxLength: 3 }), { minLength: count, maxLength: count }),
      fc.array(fc.tuple(index, index), { maxLength: 8 }),
      fc.array(index, { maxLength: 4 }),
      (references, pairs, few) => {
        let segments = references.map((named, i) => {
          const before = [...new Set(named.filter((n) => n < i))].map((n) => `segment("s${String(n)}")`);
          return live(i + 1, `s${String(i)}`, [...before, `traits.t${String(i % 3)} == ${String(i)}`].join(' || '));
        });
        const alike = pairs.filter(([a, b]) => a !== b).map(([a, b]) => pairOf(a + 1, b + 1));
        const small = [...new Set(few)].map((i) => ({ segmentId: i + 1, most: 1 }));
        for (let rounds = 0; ; rounds++) {
          expect(rounds).toBeLessThanOrEqual(count);
          const isThere = (id: number): boolean => segments.some(({ stored }) => stored.id === id);
          const proposals = proposed(segments, {
            alike: alike.filter(({ segmentId, otherId }) => isThere(segmentId) && isThere(otherId)),
            small: small.filter(({ segmentId }) => isThere(segmentId)),
          });
          const dropped = proposals.map(({ drop }) => drop);
          expect(new Set(dropped).size).toBe(dropped.length);
          for (const { keep } of proposals) expect(dropped).not.toContain(keep);
          const [next] = proposals;
          if (next === undefined) break;
          const written = new Map(
            (next.file === '' ? [] : parseSegments(next.file, 'merge.yaml')).map((each) => [each.key, each.expression]),
          );
          segments = segments
            .filter(({ stored }) => stored.key !== next.drop)
            .map(({ stored, rule }) => live(stored.id, stored.key, written.get(stored.key) ?? rule.expression));
          const keys = new Set(segments.map(({ stored }) => stored.key));
          for (const { requires } of segments) for (const key of requires.segments) expect(keys).toContain(key);
          const nodes = segments.map(({ stored, requires }) => ({ key: stored.key, segmentDeps: requires.segments }));
          expect(orderSegments(nodes)).toHaveLength(nodes.length);
        }
      },
    ),
    { numRuns: 300 },
  );
});
