import { describe, expect, it } from 'vitest';

import type { StoredList } from './profiles/list.model.js';
import { outlivedSnapshots, snapshotKey } from './snapshot-job.js';

const list = (key: string, more: { segment?: string | null; isDone?: boolean } = {}): StoredList => {
  const { segment = 'buyers', isDone = true } = more;
  return {
    ...{ key, name: key, description: '', createdAt: 0, changedAt: 0 },
    origin: segment === null ? null : { segment, version: 1, at: 0 },
    lastChange: { kind: 'replace', isDone, rows: 0, taken: 0, refused: 0, removed: 0 },
  };
};

describe('lists that snapshots have made', () => {
  it('are called by the minute in UTC, and sort by it', () => {
    expect(snapshotKey('buyers', Date.UTC(2026, 2, 1, 4, 0, 59, 999))).toBe('buyers_20260301_0400');
  });

  it('go when they are too many, the oldest first, and at once where they are not whole', () => {
    const of = { segment: 'buyers', prefix: 'buyers', keep: 2, newest: 'buyers_20260304_0400' };
    const all = [
      list('buyers_20260301_0400'),
      list('buyers_20260302_0400'),
      list('buyers_20260303_0400', { isDone: false }),
      list('buyers_20260304_0400'),
    ];
    expect(outlivedSnapshots(all, of)).toEqual(['buyers_20260303_0400', 'buyers_20260301_0400']);
    expect(outlivedSnapshots([...all].reverse(), { ...of, keep: 3 })).toEqual(['buyers_20260303_0400']);
  });

  it('are told from lists of others by key and segment', () => {
    const all = [
      list('buyers'),
      list('buyers_vip_20260301_0400'),
      list('buyers_20260301_0400', { segment: 'others' }),
      list('buyers_20260302_0400', { segment: null }),
      list('buyers_2026'),
      // Of a run whose time is later, as where one was asked for by hand.
      list('buyers_20260401_0400'),
    ];
    const of = { segment: 'buyers', prefix: 'buyers', keep: 1, newest: 'buyers_20260304_0400' };
    expect(outlivedSnapshots(all, of)).toEqual([]);
  });
});
