import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readProfileTable } from '../../src/create-profile-exports.js';
import { addAnonymisedExport } from '../../src/privacy/export-anonymised.command.js';
import { aPurpose } from '../support/a-purpose.js';
import { anIdentify, aTrack, createWorld, DAY_MS, type World } from '../support/world.js';

describe('weft export profiles', () => {
  let world: World;
  let folder: string;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'weft-anonymised-'));
    world = await createWorld();
    await world.defineSegment('pro', 'traits.plan == "pro"');
    await world.accept(
      Array.from({ length: 40 }, (_, i) =>
        anIdentify(
          { user_id: `u${String(i)}` },
          {
            age: 20 + i,
            postcode: `1011${String(i % 10)}`,
            plan: i % 2 === 0 ? 'pro' : 'free',
            email: `m${String(i)}@x.org`,
          },
        ),
      ),
    );
    await world.drain();
  });

  afterAll(async () => {
    await world.close();
    await rm(folder, { recursive: true });
  });

  async function run(...args: readonly string[]) {
    let [code, stdout, stderr] = [-1, '', ''];
    const exported = new Command('export');
    addAnonymisedExport(exported, {
      stdout: { write: (text) => (stdout += text) },
      stderr: { write: (text) => (stderr += text) },
      setExitCode: (found) => (code = found),
      readTable: (columns, onProgress) =>
        readProfileTable(
          { db: world.db, clock: world.clock, definitions: world.engine.definitions },
          columns,
          onProgress,
        ),
      signal: new AbortController().signal,
    });
    await exported.parseAsync(['profiles', ...args], { from: 'user' });
    return { code, stdout, stderr };
  }

  it('writes who is like whom and not who they are, and says what that cost', async () => {
    const out = join(folder, 'people.csv');
    const traits = ['--traits', 'age,postcode,plan,email', '--segments', 'pro', '--drop', 'email'];
    const ran = await run(...traits, '--anonymise', 'k=5', '--quasi', 'age,postcode', '--out', out, '--json');
    expect(ran).toMatchObject({ code: 0, stderr: '' });
    const report = JSON.parse(ran.stdout) as { rows: number; suppressedRows: number; smallestGroup: number };
    expect(report.rows + report.suppressedRows).toBe(40);
    expect(report.suppressedRows).toBeLessThanOrEqual(2);
    expect(report.smallestGroup).toBeGreaterThanOrEqual(5);
    const [header, ...lines] = (await readFile(out, 'utf8')).trim().split('\r\n');
    expect(header).toBe('age,postcode,plan,pro');
    expect(lines).toHaveLength(report.rows);
    for (const line of lines) expect(line).toMatch(/^(\d+\.\.\d+|\*),(1011\d|1011\*|[\d*]+),(pro,true|free,false)$/);
  });

  it('holds only those who are in all of the segments that it is restricted to', async () => {
    const out = join(folder, 'pro.csv');
    const args = ['--traits', 'plan', '--anonymise', '5', '--quasi', 'plan', '--out', out];
    expect(await run(...args, '--within', 'pro')).toMatchObject({ code: 0 });
    const [header, ...lines] = (await readFile(out, 'utf8')).trim().split('\r\n');
    expect(header).toBe('plan');
    expect(lines.length).toBeGreaterThan(5);
    expect(new Set(lines)).toEqual(new Set(['pro']));
    expect((await run(...args)).stderr).toContain('the file is there already');
    const unknown = await run(...args, '--force', '--within', 'pri');
    expect(unknown).toMatchObject({ code: 1, stderr: expect.stringContaining('--within') as unknown });
    expect(unknown.stderr).toContain('did you mean pro?');
  });

  it('leaves out, and counts, whoever does not allow at this moment what it is for', async () => {
    await world.engine.services.purposes.apply([aPurpose('analytics', { expiresAfterDays: 1 })]);
    const says = (analytics: boolean) => ({ context: { consent: { purposes: { analytics } } } });
    await world.accept(
      Array.from({ length: 30 }, (_, i) => aTrack('choose', { user_id: `u${String(i)}` }, says(i < 20))),
    );
    await world.drain();
    const out = join(folder, 'allowed.csv');
    const args = ['--traits', 'plan', '--purposes', 'analytics', '--anonymise', '5', '--quasi', 'plan', '--out', out];
    expect((await run(...args)).stdout).toContain('20 do not allow analytics and are not in it.');
    expect((await readFile(out, 'utf8')).trim().split('\r\n')).toHaveLength(21);
    world.clock.advance(DAY_MS);
    expect(JSON.parse((await run(...args, '--force', '--json')).stdout)).toMatchObject({
      rows: 0,
      withheldProfiles: 40,
    });
    const unknown = await run('--traits', 'plan', '--purposes', 'analytic', '--force', ...args.slice(4));
    expect(unknown.code).toBe(1);
    expect(unknown.stderr).toContain('did you mean analytics?');
  });

  it('refuses what it does not know, and leaves nothing behind', async () => {
    const out = join(folder, 'none.csv');
    const ran = await run('--traits', 'age', '--anonymise', '5', '--quasi', 'ages', '--out', out);
    expect(ran.code).toBe(2);
    expect(ran.stderr).toContain('there is no column ages');
    await expect(readFile(out)).rejects.toThrow('ENOENT');
  });
});
