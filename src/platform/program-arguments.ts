import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * What Node.js is started with to run a module of Weft as a process of its own: as it was compiled, or from its source
 * where this process runs from sources, with the loader that it has them from.
 * @param module without its ending, relative to `from`, such as `./run-definition-module`
 * @param from `import.meta.url` of who starts it
 */
export function programArguments(module: string, from: string): readonly string[] {
  const program = fileURLToPath(new URL(`${module}${extname(from)}`, from));
  if (extname(program) !== '.ts') return [program];
  const tsconfig = fileURLToPath(new URL('../../tsconfig.json', import.meta.url));
  const loader = `import { register } from ${JSON.stringify(import.meta.resolve('tsx/esm/api'))};
register(${JSON.stringify({ tsconfig })});`;
  return ['--import', `data:text/javascript,${encodeURIComponent(loader)}`, program];
}
