import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { hashId } from '../../src/platform/ids.js';
import { exitCodeOf } from '../../src/sources/load-files.js';
import { describeDryRun, describeResult } from '../../src/sources/load-report.js';
import { parseMapping } from '../../src/sources/parse-mapping.js';
import { createLoadWorld, type LoadWorld } from '../support/load-world.js';

const MAPPING = parseMapping(`
source: people
format: csv
key: '{id}'
identifiers: { user_id: user, email: email }
event: { type: track, name: seen }
properties: { n: n }
`);

let world: LoadWorld;
beforeAll(async () => {
  world = await createLoadWorld();
});
afterAll(async () => {
  await world.close();
});

function profileId(n: number): string {
  return `018c0000-0000-7000-8000-00000000000${String(n)}`;
}

async function isKnown(ns: string, value: string, profile: number): Promise<void> {
  await world.db.database.execute(
    'INSERT INTO identifiers (id, ns, value, component_id, profile_id, first_pos) VALUES ($1, $2, $3, $4, $4, 1)',
    [hashId(ns, value), ns, value, profileId(profile)],
  );
}

describe('a dry run', () => {
  it('says who would be new, known or merged, and which events are there, and writes nothing', async () => {
    await isKnown('user_id', 'u1', 1);
    await isKnown('email', 'b@example.com', 2);
    await isKnown('user_id', 'u3', 3);
    await isKnown('email', 'untouched@example.com', 4);
    const header = 'id,user,email,n';
    const before = await world.file('before.csv', `${header}\n1,u1,,1\n`);
    await world.loadService().load({ file: before, mapping: MAPPING });
    const lines = [
      '1,u1,,1', // in the log
      '2,u1,a@example.com,2', // joins a@ to profile 1
      '3,u2,a@example.com,3', // and u2
      '4,u2,b@example.com,x', // and profile 2
      '4,u2,b@example.com,x', // in the file before
      '5,u3,,', // profile 3
      '6,u5,c@example.com,4', // somebody new
      '7,u6,c@example.com,5', // the same
      '8,u7,,6', // somebody else
      '9,,,7', // nobody
    ];
    const file = await world.file('people.csv', `${header}\n${lines.join('\n')}\n`);
    const log = await world.logged();
    const result = await world.loadService().dryRun({ file, mapping: MAPPING });
    expect(result).toMatchObject({ events: 9, duplicates: 2, refused: 1 });
    expect(result.people).toEqual({ created: 2, updated: 2, mergedAway: 1, events: 7, isSample: false });
    expect(result.columns.map(({ name, type }) => `${name} ${type}`)).toEqual([
      'id string',
      'user string',
      'email string',
      'n string',
    ]);
    expect(await world.logged()).toEqual(log);
    // What was foretold of duplicates is what comes.
    expect(await world.loadService().load({ file, mapping: MAPPING })).toMatchObject({ accepted: 7, duplicates: 2 });
  });
});

describe('what is expected of a file', () => {
  const rows = ['21,e1,,5', '22,e2,,900', '23,e3,,', '24,e4,,7'];
  const expecting = (text: string) => parseMapping(`${MAPPING.text.slice(0, -1)}, "expect": ${text} }`);
  const wide = async (name: string) => world.file(name, `id,user,email,n\n${rows.join('\n')}\n`);

  it('is told by a load and its dry run, and stops neither where it only warns', async () => {
    const mapping = expecting('{"properties.n": {"null_share": 0.1}, "events": {"max": 3}}');
    const file = await wide('warned.csv');
    const unexpected = [
      { name: 'properties.n', kind: 'null_share', value: 0.25, events: 1, rows: [4] },
      { name: 'events', kind: 'max', value: 4, bound: 3, events: null, rows: [] },
    ];
    const checked = await world.loadService().dryRun({ file, mapping });
    expect(checked).toMatchObject({ outcome: 'loaded', unexpected });
    expect(describeDryRun(checked)).toContain(
      'a share of 0.25 without a value, at most 0.1 is expected (1 events; rows 4)',
    );
    const loaded = await world.loadService().load({ file, mapping });
    expect(loaded).toMatchObject({ outcome: 'loaded', accepted: 4, unexpected });
    expect(describeResult(loaded)).toContain('unexpected  properties.n: a share of 0.25');
  });

  it('stops a load before anything is sent or kept, and its dry run says so', async () => {
    const file = await world.file('stopped.csv', `id,user,email,n\n31,e8,,\n32,e9,,\n`);
    const mapping = expecting('{"properties.n": {"null_share": 0.5, "otherwise": "stop"}}');
    const before = [await world.logged(), await world.db.database.query('SELECT id, status FROM loads ORDER BY id')];
    const checked = await world.loadService().dryRun({ file, mapping });
    expect(checked.outcome).toBe('not_as_expected');
    expect(exitCodeOf(checked)).toBe(2);
    await expect(world.loadService().load({ file, mapping })).rejects.toThrow(
      'nothing of it was loaded:\n  properties.n: a share of 1 without a value, at most 0.5 is expected (2 events; rows 2, 3)',
    );
    expect([await world.logged(), await world.db.database.query('SELECT id, status FROM loads ORDER BY id')]).toEqual(
      before,
    );
    // What is expected is no part of what the load is of.
    const loose = expecting('{"properties.n": {"null_share": 1, "otherwise": "stop"}}');
    expect(await world.loadService().load({ file, mapping: loose })).toMatchObject({
      outcome: 'loaded',
      unexpected: [],
    });
    expect(await world.loadService().load({ file, mapping: MAPPING })).toMatchObject({ outcome: 'already_loaded' });
  });

  it('is asked of no file that is loaded, and of one that was begun says that what is loaded stays', async () => {
    const file = await world.file('tightened.csv', `id,user,email,n\n41,e8,,\n42,e9,,1\n`);
    const tight = expecting('{"properties.n": {"null_share": 0.1, "otherwise": "stop"}}');
    const { loadId } = await world.loadService().load({ file, mapping: MAPPING });
    expect(await world.loadService().load({ file, mapping: tight })).toMatchObject({ outcome: 'already_loaded' });
    expect(await world.loadService().dryRun({ file, mapping: tight })).toMatchObject({
      ...{ outcome: 'loaded', alreadyLoaded: true },
      unexpected: [{ kind: 'null_share' }],
    });
    await world.db.database.execute(`UPDATE loads SET status = 'running' WHERE id = $1`, [loadId]);
    await expect(world.loadService().load({ file, mapping: tight })).rejects.toMatchObject({
      message: expect.stringContaining('nothing more of it was loaded than before:') as string,
      hint: expect.stringContaining(`weft load revert ${loadId}`) as string,
    });
  });
});
