import { describe, expect, it } from 'vitest';
import type { Uuid } from '../../platform/ids.js';
import type { SnapshotSource } from '../api-services.js';
import { SnapshotBatcher } from './snapshot-batcher.js';

function aSource(failing: (id: Uuid) => boolean = () => false) {
  const calls: (readonly Uuid[])[] = [];
  const source: SnapshotSource = {
    byIds: () => Promise.reject(new Error('not asked')),
    byIdentifiers: () => Promise.reject(new Error('not asked')),
    committedByIdentifiers: () => Promise.reject(new Error('not asked')),
    atHand: () => undefined,
    lastAtHand: () => undefined,
    idsOf: (ids) => {
      calls.push(ids);
      const bad = ids.find(failing);
      if (bad !== undefined) return Promise.reject(new Error(`cannot read ${bad}`));
      return Promise.resolve(ids.map((id) => (id === 'none' ? null : `of ${id}`)));
    },
  };
  return { calls, batcher: SnapshotBatcher.of(source), source };
}

describe('SnapshotBatcher', () => {
  it('makes one call of what several requests ask for in one turn, each key with its own answer', async () => {
    const { calls, batcher } = aSource();
    const [first, second] = [{}, {}];
    const asked = [batcher.idOf('a', first), batcher.idOf('none', second), batcher.idOf('a', second)];
    expect(await Promise.all(asked)).toEqual(['of a', null, 'of a']);
    expect(calls).toEqual([['a', 'none', 'a']]);
    expect(await batcher.idOf('a', first)).toBe('of a');
    expect(calls).toHaveLength(2);
  });

  it('is one for each source, whoever asks for it', () => {
    const { batcher, source } = aSource();
    expect(SnapshotBatcher.of(source)).toBe(batcher);
    expect(SnapshotBatcher.of(aSource().source)).not.toBe(batcher);
  });

  it('asks for what a request wants alone where it failed together, so that it fails alone', async () => {
    const { calls, batcher } = aSource((id) => id === 'bad');
    const [good, broken] = [{}, {}];
    const answers = await Promise.allSettled([
      batcher.idOf('a', good),
      batcher.idOf('bad', broken),
      batcher.idOf('b', broken),
      batcher.idOf('c', good),
    ]);
    expect(answers.map((answer) => (answer.status === 'fulfilled' ? answer.value : String(answer.reason)))).toEqual([
      'of a',
      'Error: cannot read bad',
      'Error: cannot read bad',
      'of c',
    ]);
    expect(calls).toEqual([
      ['a', 'bad', 'b', 'c'],
      ['a', 'c'],
      ['bad', 'b'],
    ]);
  });

  it('asks for a thousand keys at once at most', async () => {
    const { calls, batcher } = aSource();
    const keys = Array.from({ length: 2_500 }, (_, i) => `k${String(i)}`);
    const answers = await Promise.all(keys.map((key) => batcher.idOf(key, keys)));
    expect(answers).toEqual(keys.map((key) => `of ${key}`));
    expect(calls.map(({ length }) => length)).toEqual([1_000, 1_000, 500]);
  });
});
