import { execFile, spawnSync } from 'node:child_process';

export const PLUGIN_FOLDER = new URL('../../integrations/wordpress/weft/', import.meta.url).pathname.replace(/\/$/, '');
export const FIXTURES = new URL('../fixtures/wordpress/', import.meta.url).pathname;

/** True where the command `php` is version 8 or newer. */
export function hasPhp(): boolean {
  const { status, stdout } = spawnSync('php', ['-r', 'echo PHP_MAJOR_VERSION;'], { encoding: 'utf8' });
  return status === 0 && Number(stdout) >= 8;
}

/** Runs PHP; its output. Rejects with what it said where it fails. */
export function runPhp(
  args: readonly string[],
  input = '',
  options: { readonly uid?: number; readonly gid?: number; readonly cwd?: string } = {},
): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = execFile('php', args, { ...options, maxBuffer: 10_000_000 }, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else reject(new Error(`php ${args.join(' ')}: ${error.message}\n${stderr}${stdout}`));
    });
    // Who does not read it ends without it.
    child.stdin?.on('error', () => undefined).end(input);
  });
}

/** Results of functions of the plugin, called without WordPress, in order. */
export async function callPlugin(calls: readonly (readonly [name: string, args: readonly unknown[]])[]) {
  return JSON.parse(await runPhp([`${FIXTURES}call-plugin.php`, PLUGIN_FOLDER], JSON.stringify(calls))) as unknown[];
}
