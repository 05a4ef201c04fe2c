import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readFilledColumns } from '../../src/filled-columns.js';
import { LinkageModelReader } from '../../src/identity/matching/linkage-model.reader.js';
import { addModelsCommands } from '../../src/identity/matching/models.command.js';
import { ProfileLinker } from '../../src/profile-linker.js';
import { throwInsteadOfExiting } from '../../src/platform/command-line.js';
import { settle } from '../support/matching-world.js';
import { anIdentify, createWorld, type World } from '../support/world.js';

let world: World;
let folder = '';

beforeAll(async () => {
  world = await createWorld();
  folder = await mkdtemp(join(tmpdir(), 'weft-models-'));
  await world.accept([
    anIdentify({ user_id: 'ann', email: 'a.tanner@example.com' }, { surname: 'Tanner', birthday: '1980-01-31' }),
    anIdentify({ user_id: 'ann2' }, { surname: 'Tanner', birthday: '1980-01-31' }),
    anIdentify({ user_id: 'bob' }, { surname: 'Baker', birthday: '1981-02-01' }),
  ]);
  await world.drain();
});

afterAll(async () => {
  await world.close();
  await rm(folder, { recursive: true });
});

async function run(...args: string[]) {
  let [code, out, err] = [NaN, '', ''];
  const command = new Command('identity');
  addModelsCommands(command, {
    stdout: { write: (text) => (out += text) },
    stderr: { write: (text) => (err += text) },
    setExitCode: (ended) => (code = ended),
    withModels: (use) => {
      const { definitions, matching } = world.engine;
      const parts = { db: world.db, definitions, records: matching.records };
      const reader = new LinkageModelReader(world.db);
      return use({ models: matching.models, reader, filledColumns: (version) => readFilledColumns(parts, version) });
    },
    user: 'a test',
  });
  await throwInsteadOfExiting(command).parseAsync(['models', ...args], { from: 'user' });
  return { code, out, err };
}

const level = (when: string, more: object) => ({ when, ...more });

async function modelFile(name: string, more: object = {}): Promise<string> {
  const path = join(folder, name);
  const equal = (column: string, more: object = {}) => ({
    name: column,
    levels: [level(`${column}_l = ${column}_r`, { m: 0.9, u: 0.001, ...more }), level('ELSE', { m: 0.1, u: 0.999 })],
  });
  const model = {
    format: 'weft-linkage-1',
    prior: 0.01,
    comparisons: [equal('surname', more), equal('dob')],
    blocking: [{ on: ['dob'] }],
  };
  await writeFile(path, JSON.stringify(model));
  return path;
}

describe('weft identity models', () => {
  it('keeps a model by its content, applies it, and says what came of it', async () => {
    const path = await modelFile('customers.json');
    const added = await run('add', path, '--json');
    expect(added.err).toBe('');
    const { version, name, status } = JSON.parse(added.out) as Record<string, string>;
    expect({ name, status }).toEqual({ name: 'customers', status: 'added' });
    expect(JSON.parse((await run('add', path, '--json')).out)).toMatchObject({ version });

    const activated = await run('activate', version?.slice(0, 8) ?? '', '--map', 'dob=trait:birthday');
    expect(activated.out).toContain('dob=trait:birthday surname=trait:surname');
    await settle(world);
    const listed = await run('list');
    expect(listed.out).toContain('customers');
    expect(listed.out).toContain('3 records, 1 links, 0 pairs to look at');
    const profiles = await world.db.query(`SELECT DISTINCT profile_id FROM identifiers WHERE ns = 'user_id'`);
    expect(profiles).toHaveLength(2);

    expect((await run('retire', '--unlink')).out).toContain('takes back');
    await settle(world);
    expect(await world.db.query('SELECT DISTINCT profile_id FROM identifiers')).toHaveLength(3);
  });

  it('says which trait, namespace or column there is not, and what was meant', async () => {
    const { version } = JSON.parse((await run('add', await modelFile('m.json'), '--json')).out) as { version: string };
    const traits = await run('activate', version, '--map', 'dob=trait:birthdy');
    expect(traits.code).toBe(2);
    expect(traits.err).toContain('did you mean birthday?');
    expect((await run('activate', version, '--map', 'dob=identifier:emial')).err).toContain('did you mean email?');
    expect((await run('activate', version, '--map', 'surnam=trait:surname')).err).toContain('did you mean surname?');
    const both = await run('activate', version, '--map', 'dob=trait:birthdy', '--map', 'surname=identifier:emial');
    expect(both.err).toContain('nobody has a trait birthdy; there is no namespace emial');
    expect(both.err).toContain('for birthdy, did you mean birthday? for emial, did you mean email?');
    await expect(run('activate', version, '--map', 'surname')).rejects.toThrow('Write column=trait:name');
    expect((await run('activate', 'ffffffff')).err).toContain('there is no model of this version');
    expect((await run('activate', version, '--threshold', '0.5', '--review-threshold', '0.6')).code).toBe(2);
  });

  it('takes no model whose frequencies would be counted anew for each pair', async () => {
    const path = await modelFile('frequent.json', { termFrequency: { column: 'surname' } });
    const refused = await run('add', path);
    expect(refused.code).toBe(2);
    expect(refused.err).toContain('no frequencies of surname');
    const people = join(folder, 'people.csv');
    await writeFile(people, 'id,surname,dob\n1,Tanner,19800131\n2,Tanner,19800131\n3,Baker,19810201\n');
    expect((await run('add', path, '--frequencies', people)).code).toBe(0);
  });

  it('says what linking everybody would come to, and does it', async () => {
    const { version } = JSON.parse((await run('add', await modelFile('l.json'), '--json')).out) as { version: string };
    await run('activate', version, '--map', 'dob=trait:birthday');
    const linker = new ProfileLinker({
      ...{ db: world.db, definitions: world.engine.definitions, ...world.engine.matching, actor: 'a test' },
      sleep: () => settle(world),
      breathe: () => Promise.resolve(),
    });
    const told: string[] = [];
    const preview = await linker.preview({}, (text) => told.push(text));
    expect(preview).toMatchObject({ model: version, records: 3, links: 1, reviews: 0, people: 2 });
    expect(preview.rules).toEqual([{ rule: 'dob', pairs: 1, newPairs: 1, largestBlock: 2, hasLargeBlocks: false }]);
    expect(told).toContain('3 records read');
    const linked = await linker.link({ model: version.slice(0, 8), threshold: 0.8 }, () => undefined);
    expect(linked).toMatchObject({ phase: 'live', records: 3, waiting: 0, links: 1, reviews: 0 });
    expect((await linker.preview({ threshold: 0.999999 }, () => undefined)).links).toBe(0);
    await run('retire');
    await expect(linker.preview({}, () => undefined)).rejects.toMatchObject({ message: 'no model is active' });
  });

  it('warns of columns that few profiles fill, and says how few', async () => {
    const { version } = JSON.parse((await run('add', await modelFile('few.json'), '--json')).out) as {
      version: string;
    };
    await world.accept(
      Array.from({ length: 17 }, (_, i) =>
        anIdentify({ user_id: `few ${String(i)}` }, { surname: `Miller ${String(i)}` }),
      ),
    );
    await settle(world);
    const { code, out, err } = await run('activate', version, '--map', 'dob=trait:birthday', '--json');
    expect(code).toBe(0);
    expect(err).toMatch(/^warning: .*the column dob is filled for 15% of 20 profiles that were looked at/);
    expect(err).not.toContain('the column surname');
    expect(JSON.parse(out)).toMatchObject({ columns: { profiles: 20, filled: { dob: 3, surname: 20 } } });
  });
});
