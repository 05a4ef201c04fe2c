import { describe, expect, it } from 'vitest';
import { WeftError } from '../../platform/errors.js';
import { parseCondition } from './parse-condition.js';
import { readLinkageModel, writeLinkageModel } from './read-linkage-model.js';

const LEVELS = [
  { when: 'name_l IS NULL OR name_r IS NULL', isNull: true },
  { when: 'name_l = name_r', m: 0.9, u: 0.01, termFrequency: { column: 'name', minimumU: 0.001 } },
  { when: 'jaro_winkler(name_l, name_r) >= 0.9', label: 'alike', m: 0.05, u: 0.02 },
  { when: 'ELSE', m: 0.05, u: 0.97 },
];
const SETTINGS = {
  format: 'weft-linkage-1',
  columns: [{ name: 'name', kind: 'name', from: ['first', 'last'] }],
  prior: 0.001,
  comparisons: [{ name: 'name', levels: LEVELS }],
  blocking: [{ on: ['soundex(name)'] }, { on: ['substr(name, 1, 3)'] }],
  training: { deterministic: [{ on: ['name'] }], recall: 0.8, passes: [{ on: ['name'] }] },
  termFrequencies: { name: { total: 10, counts: { 'ann lee': 3 } } },
  thresholds: { link: 0.9, review: 0.4 },
};

function failure(run: () => unknown): WeftError {
  try {
    run();
  } catch (error) {
    if (error instanceof WeftError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}

const read = (json: unknown) => readLinkageModel(JSON.stringify(json), 'model.json');

describe('a model as a file', () => {
  it('is the same after it was written and read', () => {
    const model = read(SETTINGS);
    const again = readLinkageModel(writeLinkageModel(model), 'model.json');
    expect(again).toEqual(model);
    expect(model.version).toMatch(/^[0-9a-f]{64}$/);
  });

  it('has another version as soon as a weight differs', () => {
    expect(read({ ...SETTINGS, prior: 0.002 }).version).not.toBe(read(SETTINGS).version);
    expect(read({ ...SETTINGS, version: 'other' }).version).toBe(read(SETTINGS).version);
  });

  it('is refused with the place of what is wrong', () => {
    const wrong = {
      ...SETTINGS,
      comparisons: [{ name: 'name', levels: [{ when: 'name_l ~ name_r' }, { when: 'ELSE' }] }],
    };
    const { code, where, message } = failure(() => read(wrong));
    expect(code).toBe('MODEL_INVALID');
    expect(where).toBe('model.json: comparisons.0.levels.0.when');
    expect(message).toContain('at character 8');
    expect(failure(() => read({ ...SETTINGS, prior: 1 })).where).toBe('model.json: prior');
    expect(failure(() => read({ ...SETTINGS, extra: 1 })).message).toContain('extra');
    expect(failure(() => readLinkageModel('{', 'model.json')).message).toBe('it is no JSON');
    expect(failure(() => read({ ...SETTINGS, thresholds: { link: 0.5, review: 0.9 } })).where).toBe(
      'model.json: thresholds',
    );
  });

  it('is refused where every record would be compared with every other', () => {
    const { where, hint } = failure(() => read({ ...SETTINGS, blocking: ['levenshtein(l.name, r.name) <= 2'] }));
    expect(where).toBe('model.json: blocking.0');
    expect(hint).toContain('l.column = r.column');
  });
});

describe('a condition that cannot be read', () => {
  it.each([
    ['name_l = ', 'a value is expected and not "the end", at character 10'],
    ['name_l = name_r name_r', 'the end is expected and not "name_r", at character 17'],
    ['name = name_r', 'it is not clear of which record "name" is'],
    ['my_distance(name_l, name_r) < 2', 'my_distance() < … is not supported'],
    ['soundex_of(name_l) = soundex_of(name_r)', 'soundex_of is not supported here'],
    ['name_l', 'a condition is expected here'],
    ['name_l = NULL', 'nothing is ever equal to null'],
    [`${'('.repeat(200)}1${')'.repeat(200)} = 1`, 'it is nested too deeply'],
    ["name_l = 'x", '"\'" is not understood, at character 10'],
  ])('says where and what is supported: %s', (sql, message) => {
    const error = failure(() => parseCondition(sql));
    expect(error.code).toBe('MODEL_INVALID');
    expect(error.message).toContain(message);
    expect(error.hint).toBeTruthy();
  });
});
