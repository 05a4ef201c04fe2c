import { readFile } from 'node:fs/promises';

import { describe, expect, test } from 'vitest';

import { WeftError } from '../platform/errors.js';
import { parseManifest, readManifest } from './parse-manifest.js';

const VALID = `
key: purchase_intent
version: first
description: Probability of a purchase within a day.
featureService: { name: purchase_intent_v1, features: [views_7d, days_since_order, last_platform] }
inputs:
  - { tensor: numbers, type: float, features: [days_since_order, views_7d] }
  - { tensor: texts, type: string, features: [last_platform] }
missing: 0
fill: { days_since_order: nan, last_platform: unknown }
outputs: { score: { output: probabilities, index: 1 } }
metrics: { auc: 0.81 }
goldenVectors:
  - features: { views_7d: 3, days_since_order: null, last_platform: web }
    expected: { score: 0.42 }
`;

function refusal(text: string): WeftError {
  try {
    parseManifest(text);
  } catch (error) {
    if (error instanceof WeftError) return error;
    throw error;
  }
  throw new Error('the manifest was accepted');
}

/** The valid manifest with one change, as a value. */
function changed(change: Record<string, unknown>): Record<string, unknown> {
  return { ...(parseManifest(VALID) as unknown as Record<string, unknown>), ...change };
}

describe('a manifest', () => {
  test('is read with its defaults', () => {
    const manifest = parseManifest(VALID);
    expect(manifest.tolerance).toBe(1e-5);
    expect(manifest.fill).toEqual({ days_since_order: 'nan', last_platform: 'unknown' });
    expect(manifest.inputs[0]).toEqual({
      tensor: 'numbers',
      type: 'float',
      features: ['days_since_order', 'views_7d'],
    });
    expect(manifest.outputs).toEqual({ score: { output: 'probabilities', index: 1 } });
  });

  test('is read as the guide shows it', async () => {
    const guide = await readFile(new URL('../../docs/models.md', import.meta.url), 'utf8');
    const [, example] = /```yaml\n([^]*?)```/.exec(guide) ?? [];
    expect(parseManifest(example ?? '').outputs.label?.names).toEqual(['stays', 'buys']);
  });

  test('may bind a list as a sequence, padded on the left', () => {
    const list = VALID.replace(
      '{ tensor: texts',
      '{ tensor: steps, type: int64, features: [steps], sequence: { length: 3 } }\n  - { tensor: texts',
    )
      .replace('[views_7d,', '[steps, views_7d,')
      .replace('{ views_7d: 3,', '{ steps: [1, 2], views_7d: 3,');
    const manifest = parseManifest(list);
    expect(manifest.inputs[1]).toMatchObject({ features: ['steps'], sequence: { length: 3, pad: 'left' } });
    expect(manifest.goldenVectors[0]?.features['steps']).toEqual([1, 2]);
    expect(() => parseManifest(list.replace('[1, 2]', '[1, [2]]'))).toThrow('is not a plain value');
  });

  test('comes back the same through JSON, as the registry keeps it', () => {
    const manifest = parseManifest(VALID);
    expect(readManifest(JSON.parse(JSON.stringify(manifest)))).toEqual(manifest);
  });

  test('may leave out the features of an input that reads the whole service', () => {
    const inputs = [{ tensor: 'x', type: 'string' }];
    const fill = { views_7d: '', days_since_order: '', last_platform: '' };
    const manifest = readManifest(changed({ inputs, fill }));
    expect(manifest.inputs[0]?.features).toEqual(['views_7d', 'days_since_order', 'last_platform']);
  });

  test('is refused with every problem at once', () => {
    const error = refusal(`
key: Purchase Intent
featureService: { name: s, features: [a, a] }
inputs: [{ tensor: x, type: float16, features: [a, b] }]
outputs: {}
extra: 1
goldenVectors: [{ features: {}, expected: {} }]
`);
    expect(error.code).toBe('MODEL_INVALID');
    for (const where of [
      'extra: is not a known field',
      'key: is not a name',
      'version: is missing',
      'featureService.features[1]: a is there twice',
      'inputs[0].type: is not a tensor type',
      'inputs[0].features[1]: b is not in the feature service',
      'missing: is missing',
      'outputs: maps nothing',
      'goldenVectors[0].features.a: is missing',
      'goldenVectors[0].expected: expects nothing',
    ]) {
      expect(error.message).toContain(where);
    }
  });

  test('says where its text is not YAML', () => {
    const error = refusal('key: [a\nversion: b');
    expect(error.where).toMatch(/^line \d+, column \d+$/);
  });

  test('is refused over its bound of bytes', () => {
    expect(refusal(`# ${'x'.repeat(1024 * 1024)}\n${VALID}`).code).toBe('PAYLOAD_TOO_LARGE');
  });

  test.each([
    [
      'a feature that no input reads',
      { inputs: [{ tensor: 'x', type: 'float', features: ['views_7d'] }], fill: {} },
      'no input reads days_since_order, last_platform',
    ],
    [
      'one feature as text and as number',
      {
        inputs: [
          { tensor: 'x', type: 'float' },
          { tensor: 'y', type: 'string', features: ['views_7d'] },
        ],
        fill: { views_7d: '' },
      },
      'views_7d is read as a number here and as a text elsewhere',
    ],
    [
      'two bindings of one tensor',
      {
        inputs: [
          { tensor: 'x', type: 'float' },
          { tensor: 'x', type: 'float' },
        ],
        fill: {},
      },
      'inputs[1].tensor: x is there twice',
    ],
    [
      'a fill of no bound feature',
      { fill: { last_platform: '', nothing: 1 } },
      'fill.nothing: is not the fill of a bound feature',
    ],
    [
      'a sequence of several features',
      { inputs: [{ tensor: 'x', type: 'float', sequence: { length: 9 } }], fill: {} },
      'inputs[0].features: are not one feature',
    ],
    [
      'a sequence without a length',
      { inputs: [{ tensor: 'x', type: 'float', features: ['views_7d'], sequence: { pad: 'top' } }], fill: {} },
      'inputs[0].sequence.length: is not a whole number',
    ],
    ['no golden vectors', { goldenVectors: [] }, 'goldenVectors: is not a list of at least one item'],
    [
      'an output that no golden vector proves',
      { outputs: { score: { output: 'p' }, cluster: { output: 'c' } } },
      'goldenVectors: none expects a cluster',
    ],
    [
      'an expectation of what is not mapped',
      {
        goldenVectors: [
          { features: { views_7d: 1, days_since_order: 1, last_platform: 'web' }, expected: { score: 1, label: 'x' } },
        ],
      },
      'goldenVectors[0].expected.label: is not a known field',
    ],
    ['a tolerance that lets everything pass', { tolerance: 7 }, 'tolerance: is not a number from 0 to 1'],
  ])('is refused for %s', (_, change, message) => {
    expect(() => readManifest(changed(change))).toThrow(message);
  });

  test.each([null, 3, 'text', [], undefined])('is refused where it is no object: %s', (value) => {
    expect(() => readManifest(value)).toThrow(WeftError);
  });
});
