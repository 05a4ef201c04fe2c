import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SeenNameReader } from '../../src/events/seen-name.reader.js';
import { EventSampleReader } from '../../src/events/event-sample.reader.js';
import { parseTraits } from '../../src/profiles/parse-traits.js';
import { SearchFieldReader } from '../../src/profiles/search-field.reader.js';
import { TraitDefinitionReader } from '../../src/profiles/trait-definition.reader.js';
import { traitsCommand } from '../../src/profiles/traits.command.js';
import { runWith, type CommandOutcome } from '../support/command-runner.js';
import { anIdentify, createWorld, type World } from '../support/world.js';

let world: World;

beforeAll(async () => {
  world = await createWorld();
  const people = Array.from({ length: 40 }, (_, i) =>
    anIdentify({ user_id: `u${String(i)}` }, { age: i, born: '1984-01-01T00:00:00Z', mixed: i % 2 === 0 ? i : 'odd' }),
  );
  await world.accept(people);
  await world.drain();
});

afterAll(async () => {
  await world.close();
});

function run(...args: string[]): Promise<CommandOutcome> {
  const { db, clock, engine } = world;
  return runWith(
    (io) =>
      traitsCommand({
        ...io,
        withTraits: (use) =>
          use({
            reader: new TraitDefinitionReader(db),
            search: new SearchFieldReader(db),
            service: engine.services.traits,
            seen: new SeenNameReader(world.db),
            samples: new EventSampleReader(db, engine.sealer),
            sourceKeys: async () => new Map((await engine.definitions.current()).sourceKeys),
          }),
        clock,
        confirm: null,
      }),
    args,
  );
}

describe('weft traits', () => {
  it('drafts a file that can be applied, of what was sent', async () => {
    const { stdout, code } = await run('infer');
    expect(code).toBe(0);
    expect(parseTraits(stdout, 'draft.yaml').map(({ name, rule }) => [name, rule?.type])).toEqual([
      ['age', 'number'],
      ['born', 'date-time'],
    ]);
    expect(stdout).toMatch(/# "mixed" has values of several types: 20 number, 20 string/);
    expect(await run('infer', '--source', 'nowhere')).toMatchObject({ code: 1 });
  });

  it('changes rules, and lists them with the values of another type', async () => {
    expect(await run('list')).toMatchObject({ stdout: expect.stringMatching(/No trait is defined/) as string });
    expect(await run('set', 'age', '--type', 'number', '--on-conflict', 'refuse')).toMatchObject({ code: 0 });
    await run('set', 'age', '--survivorship', 'source_priority', '--sources', 'crm,web');
    await world.accept([anIdentify({ user_id: 'u1' }, { age: 'old' })]);
    await world.drain();
    const { stdout } = await run('list');
    expect(stdout).toMatch(/age +number +refuse +source_priority crm,web +0 kept, 0 coerced, 1 refused/);
    expect(await run('set', 'age', '--sources', 'crm')).toMatchObject({ code: 2 });
  });

  it('warns of traits that look personal and are not declared so, and drafts them as personal', async () => {
    await world.accept([anIdentify({ user_id: 'u1' }, { Email: 'u1@example.org', last_name: 'One', plan: 'gold' })]);
    await world.drain();
    const { stderr } = await run('list');
    expect(stderr).toContain('Email, last_name may be personal data');
    expect(stderr).toContain('weft traits set Email --pii yes');
    const drafted = parseTraits((await run('infer')).stdout, 'draft.yaml');
    expect(drafted.filter(({ pii }) => pii).map(({ name }) => name)).toEqual(['Email', 'last_name']);
    for (const name of ['Email', 'last_name']) await run('set', name, '--pii', 'yes');
    expect((await run('list')).stderr).toBe('');
  });

  it('makes a trait searchable, and tells how far the index is', async () => {
    expect(await run('set', 'age', '--searchable', 'yes')).toMatchObject({ code: 0, stdout: 'Changed.\n' });
    expect((await run('list')).stdout).toMatch(/age .* 0 of 40 profiles/);
    await world.drain();
    expect((await run('list')).stdout).toMatch(/age .* crm,web +yes/);
    expect(await run('set', 'age', '--searchable', 'no')).toMatchObject({ code: 0 });
    expect((await run('list')).stdout).not.toMatch(/age .* crm,web +yes/);
  });

  it('deletes a trait of everybody, and tells when that is done', async () => {
    expect(await run('delete', 'born')).toMatchObject({ code: 2 });
    expect(await run('delete', 'born', '--yes')).toMatchObject({ code: 0 });
    expect((await run('changes')).stdout).toMatch(/running +0 +born/);
    await world.drain();
    const [newest] = JSON.parse((await run('changes', '--json')).stdout) as readonly Record<string, unknown>[];
    expect(newest).toMatchObject({ names: ['born'], anchors: 40, finishedAt: expect.any(String) as string });
  });
});
