import { describe, expect, it } from 'vitest';
import type { LinkageModel, LinkageRecord } from './linkage-model.model.js';
import { randomNumbers } from './random-numbers.js';
import { readLinkageModel, writeLinkageModel } from './read-linkage-model.js';
import { DEFAULT_TRAINING, trainLinkage, type TrainingStep } from './train-linkage.js';

const COLUMNS = ['a', 'b', 'c'] as const;
/** Of each column: how many values there are, and how often a record has another than its person's. */
const VALUES = { a: 50, b: 20, c: 200 };
const ERRORS = { a: 0.1, b: 0.2, c: 0.05 };

const SETTINGS: LinkageModel = readLinkageModel(
  JSON.stringify({
    format: 'weft-linkage-1',
    comparisons: COLUMNS.map((name) => ({
      name,
      levels: [
        { when: `${name}_l IS NULL OR ${name}_r IS NULL`, isNull: true },
        { when: `${name}_l = ${name}_r` },
        { when: 'ELSE' },
      ],
    })),
    blocking: [{ on: ['a'] }],
    training: {
      deterministic: [{ on: ['a', 'b', 'c'] }],
      recall: 0.5,
      passes: [{ on: ['a'] }, { on: ['b'] }, { on: ['c'] }],
    },
  }),
  'settings.json',
);

/** Two records of each of 600 people, whose values are as often wrong as `ERRORS` says. */
function people(seed: number): LinkageRecord[] {
  const random = randomNumbers(seed);
  const draw = (column: (typeof COLUMNS)[number]): string => String(Math.floor(random() * VALUES[column]));
  return Array.from({ length: 600 }, (_, person) => {
    const own = Object.fromEntries(COLUMNS.map((column) => [column, draw(column)]));
    return [0, 1].map((copy) => ({
      id: `${person}-${copy}`,
      values: Object.fromEntries(
        COLUMNS.map((column) => [column, random() < ERRORS[column] ? draw(column) : (own[column] ?? null)]),
      ),
    }));
  }).flat();
}

describe('training', () => {
  it('finds m, u and the prior that the records were made with, without knowing who is who', async () => {
    const model = await trainLinkage(SETTINGS, people(3), DEFAULT_TRAINING);
    COLUMNS.forEach((column, i) => {
      const equal = model.comparisons[i]?.levels[1];
      const stays = (1 - ERRORS[column]) ** 2;
      const m = stays + (1 - stays) / VALUES[column];
      expect(equal?.m).toBeGreaterThan(m - 0.08);
      expect(equal?.m).toBeLessThan(m + 0.08);
      expect((equal?.u ?? 0) * VALUES[column]).toBeGreaterThan(0.9);
      expect((equal?.u ?? 0) * VALUES[column]).toBeLessThan(1.1);
    });
    const truth = 600 / ((1_200 * 1_199) / 2);
    expect(model.prior / truth).toBeGreaterThan(0.7);
    expect(model.prior / truth).toBeLessThan(1.4);
  });

  it('gives the same model for the same records in any order, and another for another seed', async () => {
    const options = { ...DEFAULT_TRAINING, maxSampledPairs: 50_000 };
    const records = people(3);
    const model = await trainLinkage(SETTINGS, records, options);
    const again = await trainLinkage(SETTINGS, records.toReversed(), options);
    expect(writeLinkageModel(again)).toBe(writeLinkageModel(model));
    const other = await trainLinkage(SETTINGS, records, { ...options, seed: 2 });
    expect(other.version).not.toBe(model.version);
  });

  it('says what it learnt from, and that a rule makes no pair', async () => {
    const steps: TrainingStep[] = [];
    const records = people(3).map(({ id, values }) => ({ id, values: { ...values, c: null } }));
    await trainLinkage(SETTINGS, records, { ...DEFAULT_TRAINING, onProgress: (step) => steps.push(step) });
    expect(steps).toContainEqual({ kind: 'skipped', rule: 'c', reason: 'it makes no pair' });
    expect(steps.filter(({ kind }) => kind === 'pass').length).toBeGreaterThan(0);
  });

  it('ends when it is told to', async () => {
    const stop = trainLinkage(SETTINGS, people(3), {
      ...DEFAULT_TRAINING,
      breathe: async () => {
        throw new Error('stopped');
      },
    });
    await expect(stop).rejects.toThrow('stopped');
  });

  it('refuses records of which there are no two', async () => {
    await expect(trainLinkage(SETTINGS, [], DEFAULT_TRAINING)).rejects.toMatchObject({ code: 'BAD_REQUEST' });
  });
});
