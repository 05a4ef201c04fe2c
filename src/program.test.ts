import { readFile } from 'node:fs/promises';
import { CommanderError } from 'commander';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { argumentsOf, exitCodeOf } from './platform/command-line.js';
import { createProgram } from './program.js';

/** What the program writes and ends with before any command starts. */
async function run(args: readonly string[]): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const written = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    vi.spyOn(process[name], 'write').mockImplementation((text) => {
      written[name] += String(text);
      return true;
    });
  }
  try {
    await createProgram({ signal: AbortSignal.abort(), setExitCode: () => undefined }).parseAsync(
      argumentsOf(['node', 'weft', ...args]),
      { from: 'user' },
    );
    return { code: null, ...written };
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    return { code: exitCodeOf(error), ...written };
  }
}

afterEach(() => {
  vi.restoreAllMocks();
});

describe('the command line', () => {
  it('tells the version of the package', async () => {
    const { version } = JSON.parse(await readFile('package.json', 'utf8')) as { version: string };
    expect((await run(['--version'])).stdout).toBe(`${version}\n`);
  });

  it.each([
    [['wave'], "unknown command 'wave'"],
    [['serve', '--wave'], "unknown option '--wave'"],
    [['export', 'labels', '--event', 'order'], "required option '-o, --out <f"],
    [['load', 'orders.csv'], "required option '-m, --mapping <yaml>' not specified"],
    [['export', 'training-set', '--labels', 'a.csv'], "required option '-o, --out <file>' not specified"],
    [['doctor', 'everything'], 'too many arguments'],
  ])('ends wrong use with 2 and says what is wrong: %j', async (args, problem) => {
    const { code, stderr, stdout } = await run(args);
    expect(code).toBe(2);
    expect(stderr).toContain(problem);
    expect(stderr).toContain('(run with --help for usage)');
    expect(stdout).toBe('');
  });

  it.each([
    [[]],
    [['--help']],
    [['help']],
    [['load', '--help']],
    [['export', 'training-set', '--help']],
    [['--version']],
  ])('answers %j on standard output with 0', async (args) => {
    const { code, stdout, stderr } = await run(args);
    expect(code).toBe(0);
    expect(stdout).not.toBe('');
    expect(stderr).toBe('');
  });

  it.each([[['export']], [['segment']]])('helps where the command of a group is missing: %j', async (args) => {
    const { code, stderr } = await run(args);
    expect(code).toBe(2);
    expect(stderr).toContain('Usage: weft');
  });
});
