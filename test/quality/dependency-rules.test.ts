import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const ROOT = resolve(import.meta.dirname, '../..');

interface Violation {
  readonly rule: string;
  readonly from: string;
}

let folder: string;

/** A project that keeps the rules: two modules that may know each other in one direction, a shell around them. */
const CLEAN: Readonly<Record<string, string>> = {
  'src/platform/clock.ts': `export const clock = 1;`,
  'src/events/event.model.ts': `import { clock } from '../platform/clock.js';\nexport const event = clock;`,
  'src/events/event.reader.ts': `export const reader = 1;`,
  'src/events/event.store.ts': `export const store = 1;`,
  'src/events/event.service.ts': `export const service = 1;`,
  'src/segments/segment.model.ts': `import { event } from '../events/event.model.js';\nexport const segment = event;`,
  'src/segments/segment.test.ts': `import { helper } from '../../test/support/helper.js';\nexport const test = helper;`,
  'src/api/schema.ts': `import { service } from '../events/event.service.js';\nexport const schema = service;`,
  'src/app.ts': `import { store } from './events/event.store.js';\nexport const app = store;`,
  'test/support/helper.ts': `export const helper = 1;`,
  'seeds/demo.ts': `export const demo = 1;`,
};

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'weft-rules-'));
  for (const file of ['.dependency-cruiser.cjs', 'tsconfig.json', 'package.json']) {
    await cp(join(ROOT, file), join(folder, file));
  }
  await symlink(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
  for (const [path, text] of Object.entries(CLEAN)) await plant(path, text);
});

afterAll(() => rm(folder, { recursive: true, force: true }));

async function plant(path: string, text: string): Promise<void> {
  await mkdir(dirname(join(folder, path)), { recursive: true });
  await writeFile(join(folder, path), text);
}

async function check(): Promise<Violation[]> {
  const cruiser = join(ROOT, 'node_modules/dependency-cruiser/bin/dependency-cruise.mjs');
  const args = [cruiser, '--config', '.dependency-cruiser.cjs', '--output-type', 'json', 'src', 'test', 'seeds'];
  const { stdout } = await promisify(execFile)(process.execPath, args, {
    cwd: folder,
    maxBuffer: 64 * 1024 * 1024,
  }).catch((error: unknown) => error as { stdout: string });
  const { summary } = JSON.parse(stdout) as { summary: { violations: { from: string; rule: { name: string } }[] } };
  return summary.violations.map(({ from, rule }) => ({ rule: rule.name, from }));
}

interface Planted {
  readonly what: string;
  readonly rule: string;
  readonly from: string;
  readonly to: string;
  /** Import the type only: what the compiler erases, a reader still has to know. */
  readonly typeOnly?: boolean;
}

const PLANTED: readonly Planted[] = [
  {
    what: 'a module that looks to its right',
    rule: 'flow-events',
    from: 'src/events/right.ts',
    to: '../segments/segment.model.js',
  },
  {
    what: 'a type from the right',
    rule: 'flow-events',
    from: 'src/events/right-type.ts',
    to: '../segments/segment.model.js',
    typeOnly: true,
  },
  {
    what: "another module's store",
    rule: 'role-segments',
    from: 'src/segments/store.ts',
    to: '../events/event.store.js',
  },
  {
    what: "another module's service",
    rule: 'role-segments',
    from: 'src/segments/service.ts',
    to: '../events/event.service.js',
  },
  { what: 'a module that knows the API', rule: 'flow-segments', from: 'src/segments/api.ts', to: '../api/schema.js' },
  {
    what: 'an API that writes past the services',
    rule: 'api-never-writes-by-itself',
    from: 'src/api/store.ts',
    to: '../events/event.store.js',
  },
  {
    what: 'a platform with domain words',
    rule: 'platform-knows-no-domain',
    from: 'src/platform/domain.ts',
    to: '../events/event.model.js',
  },
  {
    what: 'a module that knows who composes it',
    rule: 'modules-do-not-know-their-composition',
    from: 'src/events/composition.ts',
    to: '../app.js',
  },
  {
    what: 'test code in the program',
    rule: 'no-test-code-in-the-program',
    from: 'src/events/test-code.ts',
    to: '../../test/support/helper.js',
  },
  {
    what: 'a program that leans on its seeds',
    rule: 'the-program-stands-without-its-seeds',
    from: 'src/seeded.ts',
    to: '../seeds/demo.js',
  },
  {
    what: 'seeds that write past the interfaces',
    rule: 'seeds-come-in-through-the-door',
    from: 'seeds/shortcut.ts',
    to: '../src/events/event.store.js',
  },
  {
    what: 'a tool of development in the program',
    rule: 'no-development-dependency-in-the-program',
    from: 'src/tool.ts',
    to: 'fast-check',
  },
  {
    what: 'a package that is there only because another needs it',
    rule: 'only-declared-dependencies',
    from: 'src/undeclared.ts',
    to: 'pg-pool',
  },
  { what: 'a file that is not there', rule: 'everything-resolves', from: 'src/missing.ts', to: './nowhere.js' },
  { what: 'a cycle', rule: 'no-cycles', from: 'src/events/one.ts', to: './two.js', typeOnly: true },
];

/** Planted beside the violations, and right. */
const RIGHT: Readonly<Record<string, string>> = {
  'src/events/two.ts': `export type { x } from './one.js';`,
  'src/segments/right.ts': `export * from '../events/event.model.js';\nexport { reader } from '../events/event.reader.js';`,
};

describe('the dependency rules', () => {
  let found: Violation[];

  beforeAll(async () => {
    expect(await check()).toEqual([]);
    for (const { from, to, typeOnly } of PLANTED) {
      await plant(from, `import ${typeOnly === true ? 'type ' : ''}* as x from '${to}';\nexport { x };`);
    }
    for (const [path, text] of Object.entries(RIGHT)) await plant(path, text);
    found = await check();
  });

  it.each(PLANTED)('catch $what', ({ rule, from }) => {
    expect(found).toContainEqual({ rule, from });
  });

  it('find fault with nothing else', () => {
    const planted = new Set([...PLANTED.map(({ from }) => from), 'src/events/two.ts']);
    expect(found.filter(({ from }) => !planted.has(from))).toEqual([]);
  });
});
