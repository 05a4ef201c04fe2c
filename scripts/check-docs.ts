/**
 * Holds the documentation against the program: links lead somewhere, commands and options exist, variables are those
 * that are read, and the demo that README shows really runs. Run: `npm run check:docs`.
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Command } from 'commander';
import { CONFIG_VARIABLES } from '../src/config.js';
import type { PeopleFindings } from '../src/monitoring/feature-parity.command.js';
import { createProgram } from '../src/program.js';

const ROOT = new URL('..', import.meta.url).pathname;
const DEMO_TIMEOUT_MS = 180_000;
/** Of fewer a parity without mismatches would say little. */
const MIN_COMPARED_VALUES = 10_000;
const PARITY_SAMPLE = '500';

interface Page {
  readonly path: string;
  readonly text: string;
}

async function main(): Promise<void> {
  const pages = await readPages();
  const program = createProgram({ signal: new AbortController().signal, setExitCode: () => undefined });
  const problems = [
    ...pages.flatMap(deadLinks),
    ...pages.flatMap((page) => unknownCommands(page, program)),
    ...variableProblems(pages),
    ...(await demoProblems()),
  ];
  for (const problem of problems) process.stderr.write(`${problem}\n`);
  process.stdout.write(`${String(pages.length)} pages checked, ${String(problems.length)} problems\n`);
  process.exitCode = problems.length === 0 ? 0 : 1;
}

async function readPages(): Promise<Page[]> {
  const names = [
    'README.md',
    'ARCHITECTURE.md',
    'CONTRIBUTING.md',
    'seeds/README.md',
    'trainer/README.md',
    'sdk/js/README.md',
    'integrations/nextjs/README.md',
    'integrations/wordpress/README.md',
  ];
  const docs = (await readdir(join(ROOT, 'docs'), { recursive: true })).filter((name) => name.endsWith('.md'));
  const paths = [...names, ...docs.map((name) => `docs/${name}`)];
  return Promise.all(paths.map(async (path) => ({ path, text: await readFile(join(ROOT, path), 'utf8') })));
}

/** Relative links and the paths in backticks that begin with a folder of ours. */
function deadLinks({ path, text }: Page): string[] {
  const links = [...text.matchAll(/\]\((?!https?:|#|mailto:)([^)#\s]+)/g)].map((match) => [
    match[1] ?? '',
    dirname(path),
  ]);
  const mentions = [...text.matchAll(/`((?:src|test|docs|seeds|scripts|migrations|schema)\/[\w./-]+)`/g)].map(
    (match) => [match[1] ?? '', '.'],
  );
  return [...links, ...mentions]
    .filter(([target = '', base = '']) => !existsSync(join(ROOT, base, target)))
    .map(([target = '']) => `${path}: ${target} does not exist`);
}

/** `weft …` at the start of a line of a code block, or as a whole span of code. */
function unknownCommands({ path, text }: Page, program: Command): string[] {
  const lines = [...text.matchAll(/(?:^|`|\$ )(?:npx )?weft ([a-z][^`\n|]*)/gm)].map((match) => match[1] ?? '');
  return lines.flatMap((line) => {
    const words = line.trim().split(/\s+/);
    let command = program;
    for (const word of words) {
      const next = command.commands.find((each) => each.name() === word);
      if (next === undefined) break;
      command = next;
    }
    if (command === program) return [`${path}: there is no command weft ${words[0] ?? ''}`];
    const known = new Set(['--help', ...command.options.flatMap((option) => [option.long, option.short])]);
    return words
      .filter((word) => /^--?[a-z]/.test(word) && !known.has(word.split('=')[0]))
      .map((word) => `${path}: weft ${command.name()} has no option ${word}`);
  });
}

function variableProblems(pages: readonly Page[]): string[] {
  const known = new Set<string>(CONFIG_VARIABLES);
  // An integration reads variables or constants of its own, of the same family.
  const ours = pages.filter(({ path }) => !path.startsWith('integrations/'));
  const unknown = ours.flatMap(({ path, text }) =>
    [...text.matchAll(/\bWEFT_[A-Z_]+\b/g)]
      .map((match) => match[0])
      .filter((name) => !known.has(name) && !name.startsWith('WEFT_TEST_'))
      .map((name) => `${path}: ${name} is not a variable that is read`),
  );
  const readme = pages.find((page) => page.path === 'README.md')?.text ?? '';
  const missing = CONFIG_VARIABLES.filter((name) => !readme.includes(name)).map(
    (name) => `README.md: ${name} is not described`,
  );
  return [...unknown, ...missing];
}

/** The demo from nothing, in a folder of its own, on any free port. */
async function demoProblems(): Promise<string[]> {
  const folder = await mkdtemp(join(tmpdir(), 'weft-docs-'));
  // As root, the embedded server runs as another user, who has to pass.
  await chmod(folder, 0o711);
  try {
    const demo = spawnSync(process.execPath, ['bin/weft.js', 'demo', '--exit'], {
      cwd: ROOT,
      env: { ...process.env, WEFT_DATA_DIR: join(folder, 'data'), WEFT_PORT: '0' },
      encoding: 'utf8',
      timeout: DEMO_TIMEOUT_MS,
    });
    if (demo.status !== 0 || !demo.stdout.includes('precision')) {
      return [`the demo ended with ${String(demo.status ?? demo.signal)}: ${demo.stderr.slice(-2_000)}`];
    }
    return demoParityProblems(join(folder, 'data/demo'));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Features of some people of the demo, as they are kept, against what its log gives: all of them have to be the same. */
function demoParityProblems(dataDir: string): string[] {
  const args = ['bin/weft.js', 'features', 'parity', '--sample', PARITY_SAMPLE, '--json'];
  const { status, signal, stdout, stderr } = spawnSync(process.execPath, args, {
    cwd: ROOT,
    env: { ...process.env, WEFT_DATA_DIR: dataDir },
    encoding: 'utf8',
    timeout: DEMO_TIMEOUT_MS,
    maxBuffer: 64 * 1_024 * 1_024,
  });
  if (status !== 0 && stdout === '') {
    return [`weft features parity on the demo ended with ${String(status ?? signal)}: ${stderr.slice(-2_000)}`];
  }
  const { figures } = JSON.parse(stdout) as Pick<PeopleFindings, 'figures'>;
  const sum = (of: (each: (typeof figures)[number]) => number): number =>
    figures.reduce((total, each) => total + of(each), 0);
  const [compared, wrong] = [sum((each) => each.compared), sum((each) => each.mismatched + each.missing)];
  process.stdout.write(`parity on the demo: ${String(compared)} values, ${String(wrong)} mismatches\n`);
  if (compared > MIN_COMPARED_VALUES && wrong === 0) return [];
  return [`of ${String(compared)} values of features on the demo ${String(wrong)} are not what its log gives`];
}

await main();
