import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseTimestamp } from '../../src/api/parse-timestamp.js';
import type { DeadLetter } from '../../src/events/dead-letter.model.js';
import { DeadLetterReader } from '../../src/events/dead-letter.reader.js';
import { DeadLetterStore } from '../../src/events/dead-letter.store.js';
import { deadLettersCommand } from '../../src/events/dead-letters.command.js';
import { runWith, type CommandOutcome } from '../support/command-runner.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';

const NOON = Date.UTC(2026, 0, 31, 12);
const LOAD_ID = '00000000-0000-4000-8000-000000000001';
let test: TestDatabase;

function aLetter(more: Partial<DeadLetter>): DeadLetter {
  return {
    sourceId: 1,
    stage: 'accept',
    code: 'NAME_MISSING',
    reason: 'no name',
    receivedAt: NOON,
    payload: '{}',
    ...more,
  };
}

beforeAll(async () => {
  test = await createTestDatabase();
  await new DeadLetterStore().insert(test.database, [
    aLetter({ messageId: 'm1', payload: '{"email":"ann@example.com"}' }),
    ...[21, 22, 23].map((rowNumber) =>
      aLetter({ sourceId: 2, stage: 'load', code: 'BAD_VALUE', loadId: LOAD_ID, rowNumber, receivedAt: NOON - 60_000 }),
    ),
    aLetter({ sourceId: null, stage: 'apply', code: 'INTERNAL', pos: 7, receivedAt: NOON + 1, reason: 'a\nb' }),
  ]);
});
afterAll(() => test.drop());

function run(...args: string[]): Promise<CommandOutcome> {
  return runWith(
    (io) =>
      deadLettersCommand({
        ...io,
        withDeadLetters: (use) =>
          use({
            letters: new DeadLetterReader(test.database),
            sourceKeys: () =>
              Promise.resolve(
                new Map([
                  [1, 'web'],
                  [2, 'orders'],
                ]),
              ),
            fileNames: (ids) => Promise.resolve(new Map(ids.map((id) => [id, 'orders.csv']))),
          }),
        parseTime: parseTimestamp,
        signal: new AbortController().signal,
        withRepair: () => Promise.reject(new Error('not in these tests')),
      }),
    args,
  );
}

describe('weft dead-letters', () => {
  it('lists letters, newest first, and shows nothing of what was handed in', async () => {
    const { code, stdout, stderr } = await run('list');
    expect(code).toBe(0);
    expect(stdout.split('\n').map((line) => line.trimEnd())).toEqual([
      'id  received                  source  stage   code          where              reason',
      '5   2026-01-31T12:00:00.001Z          apply   INTERNAL      position 7         a b',
      '1   2026-01-31T12:00:00.000Z  web     accept  NAME_MISSING  m1                 no name',
      '4   2026-01-31T11:59:00.000Z  orders  load    BAD_VALUE     orders.csv row 23  no name',
      '3   2026-01-31T11:59:00.000Z  orders  load    BAD_VALUE     orders.csv row 22  no name',
      '2   2026-01-31T11:59:00.000Z  orders  load    BAD_VALUE     orders.csv row 21  no name',
      '',
    ]);
    expect(stderr).toBe('');
  });

  it('lists what is asked for, with what was handed in as JSON', async () => {
    const rows = async (...args: string[]): Promise<unknown[]> =>
      JSON.parse((await run('list', '--json', ...args)).stdout) as unknown[];
    expect(await rows('--source', 'web')).toMatchObject([
      {
        source: 'web',
        payload: '{"email":"ann@example.com"}',
        payloadIsCut: false,
        receivedAt: '2026-01-31T12:00:00.000Z',
      },
    ]);
    expect(await rows('--stage', 'load', '--limit', '2')).toMatchObject([
      { file: 'orders.csv', rowNumber: 23 },
      { file: 'orders.csv', rowNumber: 22 },
    ]);
    expect(await rows('--since', '2026-01-31T12:00:00Z')).toHaveLength(2);
    expect(await rows('--code', 'NONE')).toEqual([]);
    expect((await run('list', '--stage', 'load', '--limit', '2')).stderr).toContain('There may be more');
    expect((await run('list', '--code', 'NONE')).stdout).toContain('no such dead letters');
  });

  it('counts by source, stage and code', async () => {
    const { stdout } = await run('count');
    expect(stdout.split('\n')[1]).toMatch(/^orders +load +BAD_VALUE +3 +2026-01-31T11:59:00.000Z/);
    const asked = await run('count', '--source', 'web', '--json');
    expect(JSON.parse(asked.stdout)).toMatchObject([
      { source: 'web', stage: 'accept', code: 'NAME_MISSING', count: 1 },
    ]);
  });

  it('says what is wrong with its arguments', async () => {
    const unknown = await run('list', '--source', 'order');
    expect(unknown).toMatchObject({ code: 1 });
    expect(unknown.stderr).toContain('did you mean orders?');
    for (const wrong of [
      ['--limit', '0'],
      ['--since', 'soon'],
      ['--stage', 'late'],
    ]) {
      expect((await run('list', ...wrong)).code, wrong.join(' ')).toBe(1);
    }
  });
});
