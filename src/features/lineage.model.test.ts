import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { lineageGraph, MAX_LINEAGE_NODES, walkLineage, type LineageEdge } from './lineage.model.js';

const feature = (name: string) => ({ kind: 'feature' as const, name });
const edge = (from: string, to: string): LineageEdge => ({ from: feature(from), to: feature(to) });

describe('a walk through what hangs together', () => {
  it('reaches what a search by definition reaches, each at its least distance', () => {
    const name = fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f');
    fc.assert(
      fc.property(
        fc.array(fc.tuple(name, name)),
        fc.constantFrom('up', 'down'),
        fc.integer({ min: 1, max: 6 }),
        (pairs, way, depth) => {
          const graph = lineageGraph(
            [feature('a')],
            pairs.map(([from, to]) => edge(from, to)),
          );
          const want = new Map([['a', 0]]);
          for (let round = 1; round <= depth; round++) {
            for (const [from, to] of pairs) {
              const [here, there] = way === 'down' ? [from, to] : [to, from];
              if (want.get(here) === round - 1 && !want.has(there)) want.set(there, round);
            }
          }
          const got = walkLineage(graph, feature('a'), way, depth);
          expect(new Map(got?.nodes.map((node) => [node.name, node.distance]))).toEqual(want);
          for (const { from, to } of got?.edges ?? []) expect(want.has(from.name) && want.has(to.name)).toBe(true);
        },
      ),
    );
  });

  it('looks both ways from where it began, and not at what else the ends lead to', () => {
    const graph = lineageGraph([], [edge('x', 'a'), edge('a', 'y'), edge('x', 'other'), edge('third', 'y')]);
    expect(walkLineage(graph, feature('a'), 'both', 9)?.nodes.map(({ name }) => name)).toEqual(['a', 'x', 'y']);
    expect(walkLineage(graph, feature('gone'), 'both', 9)).toBeNull();
  });

  it('says where it has left something out', () => {
    const wide = Array.from({ length: MAX_LINEAGE_NODES }, (_, i) => edge('a', String(i)));
    const lineage = walkLineage(lineageGraph([], wide), feature('a'), 'down', 1);
    expect(lineage).toMatchObject({ isTruncated: true });
    expect(lineage?.nodes).toHaveLength(MAX_LINEAGE_NODES);
  });
});
