import { describe, expect, it } from 'vitest';
import { planDiscovery, type DiscoverableModel } from './plan-discovery.js';
import { NO_TERMS } from './segment-rule.model.js';
import type { StoredSegment } from './segment.reader.js';

const CLUSTERS: DiscoverableModel = {
  ...{ key: 'rfm', version: 3, hasCluster: true, hasLabel: false, names: null },
  expected: [{ cluster: 2 }, { cluster: 0 }],
};
const NAMED: DiscoverableModel = { ...CLUSTERS, hasLabel: true, names: ['lo"yal', 'new'] };

const standing = (key: string, expression: string, of: Partial<StoredSegment> = {}): StoredSegment => ({
  ...{ id: 1, key, name: `Name of ${key}`, description: '', tags: [], edge: false, stage: 'active', version: 1 },
  ...{
    activeVersion: 1,
    activeRule: null,
    shadowVersion: null,
    shadowRule: null,
    expression,
    exitExpression: null,
    purposes: [],
  },
  ...{ ...NO_TERMS, createdAt: 0, updatedAt: 0 },
  ...of,
});

const plan = (model: DiscoverableModel, ask: object = {}, segments: StoredSegment[] = []) =>
  planDiscovery(model, { model: model.key, names: new Map(), ...ask }, segments);

describe('segments for the classes of a model', () => {
  it('are one for each cluster up to the greatest that golden vectors name', () => {
    const { from, classes } = plan(CLUSTERS, { names: new Map([[2, 'Loyal']]) });
    expect(from).toBe('golden_vectors');
    expect(classes.map(({ draft: { key, name, expression } }) => [key, name, expression])).toEqual([
      ['rfm_0', 'rfm 0', 'cluster("rfm") == 0'],
      ['rfm_1', 'rfm 1', 'cluster("rfm") == 1'],
      ['rfm_2', 'Loyal', 'cluster("rfm") == 2'],
    ]);
    expect(plan(CLUSTERS, { count: 5 }).classes).toHaveLength(5);
  });

  it('ask for the label where the manifest has names, whatever characters are in them', () => {
    const { from, classes } = plan(NAMED);
    expect(from).toBe('labels');
    expect(classes.map(({ draft }) => draft.expression)).toEqual([
      'label("rfm") == "lo\\"yal"',
      'label("rfm") == "new"',
    ]);
    expect(() => plan(NAMED, { count: 3 })).toThrow('the model has 2 labels, not 3');
  });

  it('take texts of the graph from golden vectors', () => {
    const model = {
      ...CLUSTERS,
      hasCluster: false,
      hasLabel: true,
      expected: [{ label: 'b' }, { label: 'a' }, { label: 'b' }],
    };
    expect(plan(model).classes.map(({ label }) => label)).toEqual(['a', 'b']);
  });

  it('are there already where a segment says just that, under any key', () => {
    const segments = [
      standing('old', 'cluster("rfm") == 1', { stage: 'archived' }),
      standing('loyal', ' cluster("rfm") == 1\n'),
      standing('leaves', 'cluster("rfm") == 2', { exitExpression: 'cluster("rfm") == 0' }),
    ];
    expect(plan(CLUSTERS, {}, segments).classes.map((each) => each.standing?.key ?? null)).toEqual([
      null,
      'loyal',
      null,
    ]);
    expect(plan(CLUSTERS, {}, segments.slice(0, 1)).classes[1]?.standing?.key).toBe('old');
  });

  it('are refused where a key is taken by something else', () => {
    const taken = [standing('rfm_1', 'performed("order")')];
    expect(() => plan(CLUSTERS, {}, taken)).toThrow('segment rfm_1 is there and says something else');
    expect(plan(CLUSTERS, { prefix: 'group' }, taken).classes[1]?.draft.key).toBe('group_1');
  });

  it('are refused for models that do not tell their classes, and for counts, names and prefixes that do not fit', () => {
    expect(() => plan({ ...CLUSTERS, hasCluster: false })).toThrow('neither a cluster nor a label');
    expect(() => plan({ ...CLUSTERS, expected: [{ cluster: -1 }] })).toThrow('not known how many classes');
    expect(() => plan({ ...CLUSTERS, expected: [{ cluster: 200 }] })).toThrow('has 201 classes');
    expect(() => plan({ ...NAMED, names: Array.from({ length: 201 }, String) })).toThrow('has 201 classes');
    for (const count of [0, 201, 1.5, Number.NaN])
      expect(() => plan(CLUSTERS, { count })).toThrow('no number of clusters');
    expect(() => plan(CLUSTERS, { names: new Map([[3, 'None']]) })).toThrow('there is no class 3');
    expect(() => plan(CLUSTERS, { prefix: 'Not A Key' })).toThrow('is no segment key');
  });
});
