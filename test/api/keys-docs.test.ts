import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { keysCommand } from '../../src/api/auth/keys.command.js';
import { RetentionReader } from '../../src/events/retention.reader.js';
import { SourceActivityReader } from '../../src/sources/source-activity.reader.js';
import { sourcesCommand } from '../../src/sources/sources.command.js';
import { createApiWorld, type ApiWorld } from '../support/api-world.js';
import { runWith, type CommandOutcome } from '../support/command-runner.js';

/* What docs/keys.md shows is done here. */

const page = await readFile(new URL('../../docs/keys.md', import.meta.url), 'utf8');
const commands = [...page.matchAll(/^weft .*$/gm)].map(([line]) => line);
const queries = [...page.matchAll(/```graphql\n(.*?)```/gs)].map(([, query = '']) => query);

let world: ApiWorld;

beforeAll(async () => {
  world = await createApiWorld();
});
afterAll(() => world.close());

async function weft(line: string): Promise<CommandOutcome> {
  const [, command = '', ...args] = [...line.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain);
  const { keys, sources } = world.services;
  const sourceKeys = async () => new Map((await sources.list()).map(({ id, key }) => [id, key]));
  return runWith(
    (io) => {
      if (command === 'keys') {
        const ensureSource = async (key: string) => (await sources.ensure({ key, kind: 'http' })).id;
        return keysCommand({
          ...io,
          clock: world.clock,
          withKeys: (use) => use({ keys, sourceKeys, ensureSource }),
        });
      }
      const activity = new SourceActivityReader(world.db);
      const retention = new RetentionReader(world.db);
      const use = { sources, activity, retention, keysOf: (id: number) => keys.ofSource(id) };
      return sourcesCommand({
        ...io,
        clock: world.clock,
        withSources: (run) => run(use),
        withNewDatabase: (run) => run(use),
      });
    },
    args.filter((arg) => arg !== undefined),
  );
}

describe('docs/keys.md', () => {
  it('shows commands and queries', () => {
    expect(commands.length).toBeGreaterThanOrEqual(10);
    expect(queries.length).toBeGreaterThanOrEqual(2);
  });

  it.each(commands)('%s does what it says', async (command) => {
    const shown = /weft_([re])_x7Kp/.exec(command);
    const scope = shown?.[1] === 'e' ? 'edge' : 'read';
    const origins = scope === 'edge' ? ['https://old.example'] : [];
    const prefix =
      shown === null ? '' : (await world.services.keys.create({ name: 'shown', scopes: [scope], origins })).key.prefix;
    // The world has a source of this name already.
    const line = command.replace(/weft_[re]_x7Kp/, prefix).replace('sources create web', 'sources create site');
    const { code, stderr } = await weft(line);
    expect(code, stderr).toBe(0);
  });

  it.each(queries.map((query) => [query.slice(0, query.indexOf('\n')), query]))('%s is answered', async (_, query) => {
    const { key } = await world.services.keys.create({ name: 'old', scopes: ['read'] });
    const { data, errors } = await world.ask(query, { old: key.id });
    expect(errors).toBeUndefined();
    for (const value of Object.values(data ?? {})) expect(value).not.toHaveProperty('message');
    expect(Object.values(data ?? {})).not.toContain(null);
  });
});

describe('weft keys origins', () => {
  it('changes the origins of a key in use and shows them, and refuses what is none', async () => {
    const { key } = await world.services.keys.create({
      name: 'bound',
      scopes: ['edge'],
      origins: ['https://a.example', 'https://b.example'],
    });
    const changed = await weft(`weft keys origins ${key.id} --add https://c.example --remove https://a.example`);
    expect(changed).toMatchObject({ code: 0, stdout: 'https://b.example\nhttps://c.example\n' });
    const refused = await weft(`weft keys origins ${key.id} --add https://c.example/`);
    expect(refused).toMatchObject({ code: 2, stdout: '' });
    expect(refused.stderr).toContain('this is no origin');
    expect(refused.stderr).toContain('write https://c.example, without path or slash behind it');
    const shown = await weft(`weft keys origins ${key.id} --json`);
    expect(JSON.parse(shown.stdout)).toMatchObject({ origins: ['https://b.example', 'https://c.example'] });
    const none = await weft(`weft keys origins ${key.id} --remove https://b.example https://c.example`);
    expect(none).toMatchObject({ code: 0, stdout: '' });
    expect(none.stderr).toContain('only servers can use it');
  });

  it.each(['add', 'remove'])('--%s is for edge keys', async (change) => {
    const { key } = await world.services.keys.create({ name: 'server', scopes: ['read'] });
    const refused = await weft(`weft keys origins ${key.id} --${change} https://c.example`);
    expect(refused).toMatchObject({ code: 2 });
    expect(refused.stderr).toContain('only keys with the scope edge are bound to origins');
    expect((await weft(`weft keys origins ${key.id}`)).stderr).toContain('is no edge key');
  });

  it.each([
    ['https://a.example/', 'this is no origin', 'did you mean https://a.example?'],
    ['https://b.example', 'the key does not name this origin', 'did you mean https://a.example?'],
    ['https://elsewhere.test:8443', 'the key does not name this origin', 'https://a.example'],
  ])('refuses to remove %s, which is not there, and changes nothing', async (origin, message, hint) => {
    const { key } = await world.services.keys.create({ name: 'a', scopes: ['edge'], origins: ['https://a.example'] });
    const refused = await weft(`weft keys origins ${key.id} --add https://new.example --remove ${origin}`);
    expect(refused).toMatchObject({ code: 2, stdout: '' });
    expect(refused.stderr).toContain(message);
    expect(refused.stderr).toContain(hint);
    expect((await weft(`weft keys origins ${key.id}`)).stdout).toBe('https://a.example\n');
  });
});
