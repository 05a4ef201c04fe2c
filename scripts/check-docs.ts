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
import { createProgram } from '../src/program.js';

const ROOT = new URL('..', import.meta.url).pathname;
const DEMO_TIMEOUT_MS = 180_000;

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
    if (demo.status === 0 && demo.stdout.includes('precision')) return [];
    return [`the demo ended with ${String(demo.status ?? demo.signal)}: ${demo.stderr.slice(-2_000)}`];
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

await main();
