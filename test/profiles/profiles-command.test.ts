import { Command } from 'commander';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { buildApiSchema } from '../../src/api/graphql/build-schema.js';
import { parseTimestamp } from '../../src/api/parse-timestamp.js';
import { snapshotsIn } from '../../src/create-profile-exports.js';
import { addFindCommands } from '../../src/find-profiles.command.js';
import { NamespaceReader } from '../../src/identity/namespace.reader.js';
import { PeopleFinder } from '../../src/people-finder.js';
import { MemoryOnlineStore } from '../../src/profiles/online-store.memory.js';
import { ProfileReader } from '../../src/profiles/profile.reader.js';
import { runWith, type CommandOutcome } from '../support/command-runner.js';
import { anIdentify, aTrack, createWorld, type World } from '../support/world.js';

let world: World;
const shown: string[] = [];

beforeAll(async () => {
  world = await createWorld();
  await world.engine.services.traits.apply(
    ['country', 'age', 'name', 'tags', 'zip'].map((name) => ({ name, description: '', edge: false, searchable: true })),
  );
  await world.defineSegment('keen', 'count("view", "1h") >= 1');
  await world.drain();
  await world.accept([
    anIdentify({ user_id: 'ann', email: 'ann@example.com' }, { country: 'DE', age: 41, name: 'Ann', tags: ['golf'] }),
    anIdentify({ user_id: 'bob' }, { country: 'at', age: 17, name: 'Bob', zip: '4109' }),
    anIdentify({ user_id: 'cleo' }, { country: 'fr', age: 30, name: 'Cleo', zip: 4109 }),
    aTrack('view', { user_id: 'cleo' }),
  ]);
  await world.drain();
});

afterAll(() => world.close());

function run(...args: string[]): Promise<CommandOutcome> {
  const { db, clock, engine } = world;
  const { definitions, policy, sealer, erasures } = engine;
  const profiles = new ProfileReader();
  const store = new MemoryOnlineStore({ maxBytes: 1_000_000, clock });
  const people = new PeopleFinder({
    ...{ db, clock, profiles, policy, sealer },
    definitions: () => definitions.current(),
    snapshots: snapshotsIn(store, { db, profiles, definitions }),
    namespaces: new NamespaceReader({ db, clock, declared: () => ['user_id', 'email'] }),
    profileOf: (target) => erasures.profileOf(target),
    schema: buildApiSchema,
    onShown: (id) => shown.push(id),
  });
  return runWith((io) => {
    const command = new Command('profiles');
    addFindCommands(command, { ...io, withPeople: (use) => use(people), parseTime: parseTimestamp });
    return command;
  }, args);
}

async function names(...args: string[]): Promise<string[]> {
  const { stdout, stderr } = await run('find', ...args, '--json');
  expect(stderr).toBe('');
  return (JSON.parse(stdout) as { traits: { name: string } }[]).map(({ traits }) => traits.name);
}

describe('weft profiles find', () => {
  it.each<[string[], string[]]>([
    [['--trait', 'country=de'], ['Ann']],
    [
      ['--trait', 'country=de,at', '--order', 'name', '--desc'],
      ['Bob', 'Ann'],
    ],
    [['--trait', 'age>=18', '--trait', 'age<41'], ['Cleo']],
    [['--trait', 'name^=c'], ['Cleo']],
    [['--trait', 'tags~=Golf'], ['Ann']],
    [
      ['--trait', 'zip', '--order', 'age'],
      ['Bob', 'Cleo'],
    ],
    [['--trait', 'zip="4109"'], ['Bob']],
    [['--trait', 'zip=4109'], ['Cleo']],
    [['--identifier', 'email:ann@*'], ['Ann']],
    [['--identifier', 'user_id:bob'], ['Bob']],
    [['--identifier', 'email:*'], ['Ann']],
    [['--segment', 'keen'], ['Cleo']],
    [
      ['--not-segment', 'keen', '--order', 'age', '--limit', '5'],
      ['Bob', 'Ann'],
    ],
    [
      ['--created-from', '2023-11-14', '--updated-to', '2030-01-01', '--order', 'name'],
      ['Ann', 'Bob', 'Cleo'],
    ],
    [
      ['--filter', '{"or":[{"trait":{"name":"age","lt":18}},{"segment":{"in":["keen"]}}]}', '--order', 'name'],
      ['Bob', 'Cleo'],
    ],
    [['--filter', '{"created":{"from":"2023-11-14T00:00:00Z"},"trait":{"name":"age","eq":30}}'], ['Cleo']],
  ])('%j', async (args, expected) => {
    expect(await names(...args)).toEqual(expected);
  });

  it('shows a table, says that there are more, and counts', async () => {
    const { stdout, stderr, code } = await run('find', '--order', 'age', '--limit', '2', '--show', 'name,age');
    expect(stdout).toMatch(
      /^id +identifiers +name +age +segments\n\S+ +user_id:bob +Bob +17\n\S+ +user_id:cleo +Cleo +30 +keen\n$/,
    );
    expect(stderr).toMatch(/There are more than these 2/);
    expect(code).toBe(0);
    expect(shown.length).toBeGreaterThanOrEqual(2);
    expect((await run('find', '--trait', 'age>=18', '--count')).stdout).toBe('2\n');
    for (const [typo, meant] of [
      ['=>', '>='],
      ['=<', '<='],
      ['==', '='],
    ] as const) {
      const outcome = await run('find', '--feature', `views_1h${typo}2`);
      expect(outcome).toMatchObject({ code: 2, stdout: '' });
      expect(outcome.stderr).toContain(`${typo} is no comparison`);
      expect(outcome.stderr).toContain(`write ${meant} in its place`);
    }
    expect(await run('find', '--trait', 'age>90')).toMatchObject({ code: 1, stdout: '', stderr: 'Nobody is so.\n' });
  });

  it.each<[string[], RegExp]>([
    [['--trait', 'contry=de'], /the trait contry is not searchable[^]*did you mean country\?/],
    [['--trait', '=de'], /write it as country=de/],
    [['--identifier', 'ann'], /write it as email:anna@example.com/],
    [['--created-from', 'soon'], /this is no time/],
    [['--filter', '{"trait":{"nam":"age"}}'], /--filter/],
    [['--segment', 'ken'], /there is no segment ken/],
  ])('says what is wrong with %j', async (args, message) => {
    const { stderr, code } = await run('find', ...args);
    expect(stderr).toMatch(message);
    expect(code).toBeGreaterThan(0);
  });
});

describe('weft profiles show', () => {
  it('shows identifiers, traits with their source, segments and what happened last', async () => {
    const { stdout, code } = await run('show', 'user_id:cleo');
    expect(code).toBe(0);
    expect(stdout).toMatch(/user_id +cleo/);
    expect(stdout).toMatch(/age +30 +web +2023-11-14T22:13:20.000Z +observed/);
    expect(stdout).toMatch(/keen +2023-/);
    expect(stdout).toMatch(/event +web +view/);
    const json = JSON.parse((await run('show', 'user_id:cleo', '--json')).stdout) as object;
    expect(json).toMatchObject({
      segments: [{ segment: 'keen' }],
      timeline: [{ kind: 'event' }, { name: 'identify' }],
    });
    expect(await run('show', 'user_id:nobody')).toMatchObject({ code: 1 });
    expect(await run('show', 'nobody')).toMatchObject({ code: 2 });
    expect(await run('show', 'email:noreply@example.com')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('blocked, by the rule: blocked mailbox "noreply"') as string,
    });
  });
});
