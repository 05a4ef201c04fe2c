import { Command } from 'commander';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createDecisionServices } from '../../src/decision-services.js';
import { addDecisionCommands, type DecisionServices } from '../../src/identity-decisions.command.js';
import { addUpkeepCommands } from '../../src/identity-upkeep.command.js';
import { runWith } from '../support/command-runner.js';
import { aTrack, anIdentify, createWorld, MINUTE_MS, type World } from '../support/world.js';

let world: World;

beforeAll(async () => {
  world = await createWorld();
  await world.defineSegment('viewers', 'performed("view")');
  await world.drain();
  await world.accept([aTrack('view', { user_id: 'ann' })]);
  await world.drain();
  world.clock.advance(MINUTE_MS);
  await world.accept([anIdentify({ email: 'ann@example.com', anonymous_id: 'c1' }, {}, { messageId: 'first' })]);
  await world.drain();
});

afterAll(async () => {
  await world.close();
});

async function weft(...args: string[]) {
  world.clock.advance(MINUTE_MS);
  const services = createDecisionServices({
    db: world.db,
    engine: world.engine,
    sourceKeys: () => Promise.resolve(new Map([[1, 'web']])),
    actor: 'tester',
    signal: new AbortController().signal,
  });
  const use = <T>(work: (given: DecisionServices) => Promise<T>): Promise<T> =>
    work({
      ...services,
      decide: async (revision, reason) => {
        const asked = services.decide(revision, reason);
        await Promise.race([asked.catch(() => undefined), drained()]);
        return asked;
      },
      decideGeneric: async (value, isKept, reason) => {
        const asked = services.decideGeneric(value, isKept, reason);
        await Promise.race([asked.catch(() => undefined), drained()]);
        return asked;
      },
      reresolve: async (reason, onProgress) => {
        const asked = services.reresolve(reason, onProgress);
        await Promise.race([asked.catch(() => undefined), drained()]);
        return asked;
      },
    });
  return runWith((io) => {
    const command = new Command('identity');
    const deps = { ...io, signal: new AbortController().signal, withReader: use, withDecider: use };
    addDecisionCommands(command, deps);
    addUpkeepCommands(command, deps);
    return command;
  }, args);
}

/** Once there is something to do. */
async function drained(): Promise<void> {
  for (;;) {
    const [open] = await world.db.query(`SELECT FROM identity_revisions WHERE status = 'waiting'`);
    await world.drain();
    if (open !== undefined) return;
  }
}

const profileOf = async (value: string) =>
  (await world.db.query<{ id: string }>('SELECT profile_id AS id FROM identifiers WHERE value = $1', [value]))[0]?.id ??
  '';

describe('weft identity', () => {
  it('merges, explains, lists and takes apart again', async () => {
    const [ann, other] = [await profileOf('ann'), await profileOf('c1')];
    const dry = await weft('merge', 'user_id:ann', 'anonymous_id:c1', '--dry-run');
    expect(dry).toMatchObject({ code: 0, stderr: '' });
    expect(dry.stdout).toBe(
      [
        `${ann}: 3 identifiers`,
        `${other}: becomes part of ${ann}`,
        '1 links would be made, 0 removed. Nothing was changed.',
        '',
      ].join('\n'),
    );
    expect(await profileOf('c1')).toBe(other);

    const merged = await weft('merge', ann, other, '--reason', 'she called', '--json');
    expect(merged.code).toBe(0);
    expect(JSON.parse(merged.stdout)).toMatchObject({ status: 'done', profileId: ann, merged: [other], moved: 2 });

    const explained = await weft('explain', 'user_id:ann', 'anonymous_id:c1');
    expect(explained.stdout.split('\n')).toEqual([
      'One profile.',
      expect.stringMatching(/^ {2}user_id:ann - email:ann@example.com by tester at 20.*Z: she called$/) as unknown,
      expect.stringMatching(/^ {2}email:ann@example.com - anonymous_id:c1 by web first at 20.*Z$/) as unknown,
      '',
    ]);

    const apart = await weft('unmerge', ann, 'email:ann@example.com', 'anonymous_id:c1');
    expect(apart).toMatchObject({
      code: 0,
      stdout: `profile ${ann}\napart: profile ${other}\n2 identifiers moved.\n`,
    });
    const why = await weft('explain', 'user_id:ann', 'email:ann@example.com');
    expect(why.stdout).toContain('Not one profile.\n');
    const barring = why.stdout.match(/^ {2}.* - .*(?=: tester decided so at 20.*Z$)/gm) ?? [];
    expect(barring).toEqual(['  email:ann@example.com - user_id:ann', '  user_id:ann - anonymous_id:c1']);

    const listed = JSON.parse((await weft('links', '--json')).stdout) as { id: string; kind: string }[];
    expect(listed.map(({ kind }) => kind)).toEqual(['cannot', 'cannot']);
    expect((await weft('links', '--removed')).stdout.split('\n')).toHaveLength(5);
    const further = `1 further link keeps the same two apart; weft identity merge takes all of them back:\n  ${listed[1]?.id ?? ''} `;
    expect((await weft('unlink', listed[0]?.id ?? '', '--dry-run')).stdout).toContain(further);
    const unlinked = await weft('unlink', listed[0]?.id ?? '');
    expect(unlinked).toMatchObject({ code: 0, stdout: expect.stringContaining(further) as unknown });
    expect(JSON.parse((await weft('links', '--json')).stdout)).toHaveLength(1);
    const revisions = JSON.parse((await weft('revisions', '--json')).stdout) as { kind: string; status: string }[];
    expect(revisions.map(({ kind, status }) => `${kind} ${status}`)).toEqual([
      'unlink done',
      'unmerge done',
      'merge done',
    ]);
  });

  it('says that a link waits for those whom nobody has seen, and names some of many that keep two apart', async () => {
    const nobody = await weft('merge', 'user_id:later', 'email:later@example.com', 'user_id:ann', '--dry-run');
    expect(nobody.stdout).toContain('2 of them have not been seen yet: the link waits');
    const merged = await weft('merge', 'user_id:later', 'email:later@example.com');
    expect(merged.stdout).toBe(
      '0 identifiers moved.\n2 of them have not been seen yet: the link waits, and counts from the first event that names them.\n',
    );
    const names = { user_id: 'gil', email: 'gil@example.com', crm_id: 'c-7' };
    await world.accept([1, 2, 3, 4, 5, 6].map((n) => anIdentify({ ...names, anonymous_id: `g${String(n)}` })));
    await world.drain();
    expect((await weft('unmerge', await profileOf('gil'), 'anonymous_id:g1')).code).toBe(0);
    const [newest] = JSON.parse((await weft('links', '--json')).stdout) as { id: string }[];
    const lines = (await weft('unlink', newest?.id ?? '')).stdout.trimEnd().split('\n');
    expect(lines[1]).toMatch(/^6 further links keep the same two apart/);
    expect(lines.slice(2, 7).filter((line) => /^ {2}\S{36} .*:.* - .*:/.test(line))).toHaveLength(5);
    expect(lines.slice(7)).toEqual(['  and 1 more']);
    const told = JSON.parse((await weft('unlink', lines[2]?.trim().split(' ')[0] ?? '', '--json')).stdout) as object;
    expect(told).toMatchObject({ status: 'done', othersBarring: 5, examples: { length: 5 } });
  });

  it.each([
    ['an identifier of no form', ['merge', 'ann', 'bob'], 2, 'written as namespace:value'],
    ['both kinds', ['merge', 'user_id:ann', '01900000-0000-7000-8000-000000000000'], 2, 'not of both'],
    ['nobody there', ['unmerge', '01900000-0000-7000-8000-000000000000', 'user_id:x'], 1, 'no such profile'],
    ['nothing to take out', ['unmerge'], 2, 'by a profile and identifiers of it, or by --merge'],
    ['no id', ['unlink', 'x'], 1, 'It is an id such as'],
    ['a placeholder', ['explain', 'user_id:null', 'user_id:ann'], 2, 'stands for nobody'],
  ])('says what is wrong: %s', async (_, args, code, message) => {
    const outcome = await weft(...args);
    expect(outcome).toMatchObject({ code, stderr: expect.stringContaining(message) as unknown, stdout: '' });
  });

  it('keeps values that many people share, and takes that back', async () => {
    expect((await weft('generic', 'list')).stdout).toBe('There are none.\n');
    expect(await weft('generic', 'clear', 'email:ann@example.com')).toMatchObject({ code: 1 });
    const kept = await weft('generic', 'keep', 'email:ann@example.com', '--reason', 'a large family');
    expect(kept).toMatchObject({ code: 0, stdout: '0 identifiers moved.\n' });
    const listed = JSON.parse((await weft('generic', 'list', '--json')).stdout) as unknown[];
    expect(listed).toMatchObject([{ value: 'ann@example.com', isKept: true, decidedBy: 'tester' }]);
    expect((await weft('generic', 'list')).stdout).toContain('a large family');
    expect(JSON.parse((await weft('generic', 'clear', 'email:ann@example.com', '--json')).stdout)).toMatchObject({
      status: 'done',
    });
    expect((await weft('generic', 'list')).stdout).toBe('There are none.\n');
    expect(await weft('generic', 'keep', 'nothing')).toMatchObject({ code: 2 });
  });

  it('resolves all identities anew', async () => {
    const { code, stdout } = await weft('reresolve', '--reason', 'other rules');
    expect(code).toBe(0);
    expect(stdout).toMatch(/^\d+ components resolved, 0 identifiers moved, 0 contested, 0 failed\.\n$/);
    expect(JSON.parse((await weft('reresolve', '--json')).stdout)).toMatchObject({ status: 'done', moved: 0 });
  });
});
