import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { WeftError } from '../platform/errors.js';
import { orderSegments, SegmentGraph, type GraphNode } from './segment-graph.js';

function node(key: string, parts: Partial<GraphNode> = {}): GraphNode {
  const none = { featureDeps: [], traitDeps: [], modelDeps: [], segmentDeps: [], timeDependent: false };
  return { key, ...none, ...parts };
}

function keysOf(nodes: readonly GraphNode[]): string[] {
  return nodes.map(({ key }) => key);
}

function failure(act: () => unknown): WeftError {
  try {
    act();
  } catch (error) {
    if (error instanceof WeftError) return error;
  }
  throw new Error('expected a WeftError');
}

describe('the order of segments', () => {
  it('puts each after those that it refers to', () => {
    const nodes = [node('c', { segmentDeps: ['b', 'a'] }), node('b', { segmentDeps: ['a'] }), node('a')];
    expect(orderSegments(nodes)).toEqual(['a', 'b', 'c']);
  });

  it('shows the circle, without the way that led to it', () => {
    const circle = [
      node('start', { segmentDeps: ['a'] }),
      node('a', { segmentDeps: ['b'] }),
      node('b', { segmentDeps: ['c'] }),
      node('c', { segmentDeps: ['a'] }),
    ];
    const error = failure(() => orderSegments(circle));
    expect(error.message).toBe('segments refer to each other in a circle: a → b → c → a');
    expect(error.code).toBe('EXPRESSION_INVALID');
    expect(failure(() => orderSegments([node('a', { segmentDeps: ['a'] })])).message).toMatch(/a → a$/);
  });

  it('names a reference to nothing', () => {
    const error = failure(() => orderSegments([node('a', { segmentDeps: ['bigspenders'] }), node('big_spenders')]));
    expect(error).toMatchObject({
      message: 'unknown segment "bigspenders"; did you mean "big_spenders"?',
      where: 'a',
    });
  });
});

describe('what a change affects', () => {
  it('includes the segments that refer to an affected one', () => {
    const graph = SegmentGraph.build([
      node('hot', { segmentDeps: ['big', 'fresh'] }),
      node('big', { featureDeps: [3] }),
      node('fresh', { traitDeps: ['country'], timeDependent: true }),
      node('likely', { modelDeps: ['intent'] }),
    ]);
    expect(keysOf(graph.ordered)).toEqual(['big', 'fresh', 'hot', 'likely']);
    expect(keysOf(graph.affectedBy({ features: [3, 99] }))).toEqual(['big', 'hot']);
    expect(keysOf(graph.affectedBy({ traits: ['country'], models: ['intent'] }))).toEqual(['fresh', 'hot', 'likely']);
    expect(keysOf(graph.affectedBy({}))).toEqual([]);
    expect(keysOf(graph.timeDriven)).toEqual(['fresh', 'hot']);
  });

  it('is what a walk over all references finds', () => {
    const acyclic = fc
      .array(
        fc.record({
          refs: fc.array(fc.nat(1000), { maxLength: 3 }),
          features: fc.array(fc.nat(9), { maxLength: 3 }),
          timeDependent: fc.boolean(),
        }),
        { maxLength: 80 },
      )
      .map((rows) =>
        rows.map((row, i) =>
          node(`s${String(i)}`, {
            segmentDeps: i === 0 ? [] : [...new Set(row.refs.map((ref) => `s${String(ref % i)}`))],
            featureDeps: [...new Set(row.features)],
            timeDependent: row.timeDependent,
          }),
        ),
      );
    fc.assert(
      fc.property(acyclic, fc.array(fc.nat(9), { maxLength: 3 }), fc.nat(), (nodes, features, seed) => {
        const shuffled = [...nodes].sort((a, b) => ((a.key.length * 7 + seed) % 5) - ((b.key.length * 3 + seed) % 5));
        const graph = SegmentGraph.build(shuffled);
        const closure = (direct: (n: GraphNode) => boolean): Set<string> => {
          const found = new Set<string>();
          for (const n of nodes) if (direct(n) || n.segmentDeps.some((key) => found.has(key))) found.add(n.key);
          return found;
        };
        const position = new Map(graph.ordered.map((n, i) => [n.key, i]));
        for (const n of nodes) {
          for (const key of n.segmentDeps) expect(position.get(key)).toBeLessThan(position.get(n.key) as number);
        }
        const affected = graph.affectedBy({ features });
        expect(new Set(keysOf(affected))).toEqual(closure((n) => n.featureDeps.some((f) => features.includes(f))));
        const positions = affected.map((n) => position.get(n.key) as number);
        expect(positions).toEqual([...positions].sort((a, b) => a - b));
        expect(new Set(keysOf(graph.timeDriven))).toEqual(closure((n) => n.timeDependent));
      }),
    );
  });
});
