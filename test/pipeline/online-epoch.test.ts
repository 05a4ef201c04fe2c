import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { onlineEpoch } from '../../src/profiles/online-epoch.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';

describe('the epoch of the online store', () => {
  let test: TestDatabase;
  /** What the store would answer. */
  const newest = new Map<string, number>();
  const epoch = (): Promise<string> => onlineEpoch(test.database, (known) => Promise.resolve(newest.get(known) ?? 0));
  const draw = async (): Promise<number> => {
    const [row] = await test.database.query<{ version: number }>(`SELECT nextval('publish_version') AS version`);
    return row?.version ?? 0;
  };

  beforeEach(async () => {
    newest.clear();
    test = await createTestDatabase();
  });
  afterEach(() => test.drop());

  it('stays as long as the store holds no version that the database has not drawn', async () => {
    const first = await epoch();
    for (let i = 0; i < 3; i++) newest.set(first, await draw());
    expect(await epoch()).toBe(first);
  });

  it('changes once where the database was put back to an earlier state', async () => {
    const first = await epoch();
    newest.set(first, (await draw()) + 1);
    const second = await epoch();
    expect(second).not.toBe(first);
    expect(await epoch()).toBe(second);
  });

  it('stays where others draw and publish while it is asked for', async () => {
    const first = await epoch();
    expect(await onlineEpoch(test.database, draw)).toBe(first);
  });

  it('is one for processes that start together', async () => {
    newest.set(await epoch(), 1_000);
    const epochs = await Promise.all(Array.from({ length: 5 }, epoch));
    expect(new Set(epochs).size).toBe(1);
  });
});
