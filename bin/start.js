import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const built = new URL('../dist/src/main.js', import.meta.url);
const source = new URL('../src/main.ts', import.meta.url);

if (!existsSync(built)) {
  try {
    const { register } = await import('tsx/esm/api');
    // Not the one of the folder that the command happens to be run in.
    register({ tsconfig: fileURLToPath(new URL('../tsconfig.json', import.meta.url)) });
  } catch {
    console.error(
      'weft is not built, and tsx, which runs it from source, is not installed: run npm ci and npm run build.',
    );
    process.exit(1);
  }
}
await import((existsSync(built) ? built : source).href);
