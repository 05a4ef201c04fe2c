import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import type { FeatureValue } from '../features/feature.model.js';
import { bindRows, compileBinding, readOutputs } from './bind-features.js';
import { withImputed, type ModelManifest } from './model-manifest.model.js';

const NEVER = Number.POSITIVE_INFINITY;

function present(value: FeatureValue['value']): FeatureValue {
  return { status: 'PRESENT', value, eventTs: 1, validUntil: NEVER, approximate: false };
}

function absent(status: FeatureValue['status'] = 'NOT_FOUND'): FeatureValue {
  return { status, value: null, eventTs: null, validUntil: NEVER, approximate: false };
}

function aManifest(overrides: Partial<ModelManifest>): ModelManifest {
  return {
    key: 'm',
    version: '1',
    description: '',
    featureService: { name: 's', features: ['a', 'b', 'c'] },
    inputs: [{ tensor: 'x', type: 'float', features: ['a', 'b', 'c'] }],
    missing: 0,
    fill: {},
    outputs: {},
    metrics: {},
    tolerance: 1e-5,
    goldenVectors: [],
    ...overrides,
  };
}

describe('binding rows to tensors', () => {
  test('columns follow the input, not the service', () => {
    const manifest = aManifest({
      inputs: [
        { tensor: 'x', type: 'double', features: ['c', 'a'] },
        { tensor: 'y', type: 'int64', features: ['b'] },
      ],
    });
    const feeds = bindRows(
      compileBinding(manifest, () => 2),
      [[1, 2, 3].map(present), [4, 5, 6].map(present)],
      0,
      2,
    );
    expect(feeds['x']).toEqual({ type: 'double', data: Float64Array.of(3, 1, 6, 4), dims: [2, 2] });
    expect(feeds['y']).toEqual({ type: 'int64', data: BigInt64Array.of(2n, 5n), dims: [2, 1] });
  });

  test('a missing value is the fill of the manifest, else what the service imputes, else what is for all', () => {
    const manifest = withImputed(
      aManifest({
        featureService: { name: 's', features: ['a', 'b', 'c', 'd', 'e'] },
        inputs: [
          { tensor: 'x', type: 'double', features: ['a', 'b', 'c', 'e'] },
          { tensor: 'y', type: 'string', features: ['d'] },
        ],
        missing: -1,
        fill: { a: 7 },
      }),
      { a: { value: 1 }, b: { value: 2.5, statistic: 'median' }, d: { value: 'web' }, e: { value: true } },
    );
    const row = [absent(), absent('NULL_VALUE'), absent(), absent(), absent()];
    const feeds = bindRows(
      compileBinding(manifest, () => 2),
      [row],
      0,
      1,
    );
    expect(feeds['x']?.data).toEqual(Float64Array.of(7, 2.5, -1, 1));
    expect(feeds['y']?.data).toEqual(['web']);
    expect(Object.keys(manifest.imputed ?? {})).toEqual(['b', 'd', 'e']);
  });

  test('an input of rank one gets one dimension', () => {
    const manifest = aManifest({ inputs: [{ tensor: 'x', type: 'float', features: ['b'] }] });
    const feeds = bindRows(
      compileBinding(manifest, () => 1),
      [[1, 2, 3].map(present)],
      0,
      1,
    );
    expect(feeds['x']?.dims).toEqual([1]);
  });

  test('a list becomes a sequence, padded with the fill at one end and cut at the same', () => {
    const bound = (pad: 'left' | 'right', fill: Record<string, number>): unknown => {
      const manifest = aManifest({
        inputs: [{ tensor: 'x', type: 'int64', features: ['b'], sequence: { length: 3, pad } }],
        fill,
      });
      const lists = [[7], [1, 2, 3, 4], []].map((list) => [present(0), present(list), absent()]);
      return bindRows(
        compileBinding(manifest, () => 2),
        [...lists, [absent(), absent(), absent()]],
        0,
        4,
      )['x'];
    };
    const dims = [4, 3];
    const left = [-1, -1, 7, 2, 3, 4, -1, -1, -1, -1, -1, -1].map(BigInt);
    expect(bound('left', { b: -1 })).toEqual({ type: 'int64', data: BigInt64Array.from(left), dims });
    const right = [7, 0, 0, 1, 2, 3, 0, 0, 0, 0, 0, 0].map(BigInt);
    expect(bound('right', {})).toEqual({ type: 'int64', data: BigInt64Array.from(right), dims });
  });

  test('truth becomes 1 or 0, and plain values become text in a text tensor', () => {
    const numbers = bindRows(
      compileBinding(aManifest({}), () => 2),
      [[true, false, 7].map(present)],
      0,
      1,
    );
    expect(numbers['x']?.data).toEqual(Float32Array.of(1, 0, 7));
    const manifest = aManifest({
      inputs: [{ tensor: 'x', type: 'string', features: ['a', 'b', 'c'] }],
      fill: { a: '?', b: '?', c: '?' },
    });
    const texts = bindRows(
      compileBinding(manifest, () => 2),
      [[present('web'), present(3), absent()]],
      0,
      1,
    );
    expect(texts['x']?.data).toEqual(['web', '3', '?']);
  });

  test.each(['NOT_FOUND', 'NULL_VALUE', 'OUTSIDE_MAX_AGE'] as const)(
    'a feature that is %s takes its fill',
    (status) => {
      const manifest = aManifest({ missing: 'nan', fill: { b: -1 } });
      const feeds = bindRows(
        compileBinding(manifest, () => 2),
        [[absent(status), absent(status), present(0)]],
        0,
        1,
      );
      expect(feeds['x']?.data).toEqual(Float32Array.of(Number.NaN, -1, 0));
    },
  );

  test('a value that the tensor cannot hold takes the fill', () => {
    const manifest = aManifest({ inputs: [{ tensor: 'x', type: 'int64', features: ['a', 'b', 'c'] }], missing: 9 });
    const feeds = bindRows(
      compileBinding(manifest, () => 2),
      [[present('x'), present(1.5), present([1, 2])]],
      0,
      1,
    );
    expect(feeds['x']?.data).toEqual(BigInt64Array.of(9n, 9n, 9n));
  });

  test('any slice of rows binds as those rows alone would', () => {
    const value = fc.oneof(fc.double({ noNaN: true, min: -1e6, max: 1e6 }).map(present), fc.constant(absent()));
    const rows = fc.array(fc.tuple(value, value, value), { minLength: 1, maxLength: 20 });
    const binding = compileBinding(aManifest({ fill: { b: 5 } }), () => 2);
    fc.assert(
      fc.property(rows, fc.nat(19), fc.nat(20), (all, a, b) => {
        const from = Math.min(a, all.length - 1);
        const to = Math.max(from + 1, Math.min(b, all.length));
        const cell = (feature: FeatureValue, fill: number) => Math.fround((feature.value as number | null) ?? fill);
        const expected = all.slice(from, to).flatMap(([x, y, z]) => [cell(x, 0), cell(y, 5), cell(z, 0)]);
        expect([...(bindRows(binding, all, from, to)['x']?.data ?? [])]).toEqual(expected);
      }),
    );
  });
});

describe('reading outputs', () => {
  const outputs: ModelManifest['outputs'] = {
    score: { output: 'p', index: 1 },
    label: { output: 'l', names: ['no', 'yes'] },
    cluster: { output: 'l' },
  };
  const binding = compileBinding(aManifest({ outputs }), () => 2);

  test('row i is read from row i of every output', () => {
    const tensors = {
      p: { data: Float64Array.of(0.9, 0.1, 0.25, 0.75), dims: [2, 2] },
      l: { data: BigInt64Array.of(0n, 1n), dims: [2] },
    };
    expect(readOutputs(binding, tensors, 2)).toEqual([
      { score: 0.1, label: 'no', cluster: 0 },
      { score: 0.75, label: 'yes', cluster: 1 },
    ]);
  });

  test('a number that is not finite is no score, and a class without a name keeps its number', () => {
    const tensors = {
      p: { data: Float64Array.of(1, Number.NaN), dims: [1, 2] },
      l: { data: BigInt64Array.of(7n), dims: [1] },
    };
    expect(readOutputs(binding, tensors, 1)).toEqual([{ label: 7, cluster: 7 }]);
  });
});
