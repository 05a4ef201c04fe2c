import { describe, expect, it } from 'vitest';
import { readManifestStatistics } from './feature-reference.model.js';

const TALLIED = {
  statistics: {
    feature: 'f',
    profiles: 9,
    nulls: 1,
    approximate: 0,
    distinct: 2,
    numbers: null,
    topValues: [],
    ...{ newestEventAt: null, medianAgeMs: null },
  },
  sample: [1, 2],
};
const MANIFEST = {
  ...{ format: 1, startedAt: '2026-11-01T00:00:00.000Z', service: { name: 'intent', version: 2 } },
  statistics: { rows: 9, of: 'all', share: 1, features: [TALLIED] },
};
const read = (manifest: unknown) => readManifestStatistics(JSON.stringify(manifest), 'set.manifest.json');

describe('the manifest of a training set', () => {
  it('says how values were spread, when, and of which service', () => {
    expect(read(MANIFEST)).toEqual({
      ...{ service: 'intent', madeAt: Date.parse(MANIFEST.startedAt), rows: 9, features: [TALLIED] },
    });
    expect(read({ ...MANIFEST, service: null }).service).toBeNull();
  });

  it('is kept without what else it says', () => {
    const more = {
      ...TALLIED,
      note: 'of ann@example.com',
      statistics: { ...TALLIED.statistics, emails: ['ann@example.com'] },
    };
    expect(read(withFeatures(more)).features).toEqual([TALLIED]);
  });

  it.each([
    ['no JSON', () => readManifestStatistics('a,b\n', 'set.csv'), 'the file is not JSON'],
    ['another file', () => read({ rows: 3 }), 'no manifest of a training set'],
    [
      'one of a former version',
      () => read({ ...MANIFEST, statistics: undefined }),
      'does not say how values were spread',
    ],
    ['unsorted numbers', () => read(withFeatures({ ...TALLIED, sample: [2, 1] })), 'damaged'],
    ['a text for a number', () => read(withFeatures({ ...TALLIED, sample: ['x'] })), 'damaged'],
    ['no feature', () => read(withFeatures(null)), 'damaged'],
    ['more numbers than are kept', () => read(withFeatures({ ...TALLIED, sample: Array(513).fill(1) })), 'damaged'],
    ['a text that is long', () => read(withTops({ value: 'x'.repeat(101), count: 5 })), 'damaged'],
    ['an address', () => read(withTops({ value: 'ann@example.com', count: 5 })), 'damaged'],
    [
      'more texts than are kept',
      () => read(withTops(...Array.from({ length: 21 }, (_, i) => ({ value: String(i), count: 5 })))),
      'damaged',
    ],
    ['a service without a name', () => read({ ...MANIFEST, service: {} }), 'damaged'],
    ['a service that cannot be called so', () => read({ ...MANIFEST, service: { name: 'No Key' } }), 'damaged'],
    ['a feature twice', () => read(withFeatures(TALLIED, TALLIED)), 'damaged'],
  ])('is refused where it is %s', (_what, readIt, message) => {
    expect(readIt).toThrow(message);
  });
});

function withTops(...topValues: unknown[]) {
  return withFeatures({ ...TALLIED, statistics: { ...TALLIED.statistics, topValues } });
}

function withFeatures(...features: unknown[]) {
  return { ...MANIFEST, statistics: { ...MANIFEST.statistics, features } };
}
