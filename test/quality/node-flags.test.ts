import { readFile } from 'node:fs/promises';
import { expect, it } from 'vitest';

/* However the program is started, Node has the same flags. */

it('starts Node with the same flags by each way', async () => {
  const [firstLine] = (await readFile('bin/weft.js', 'utf8')).split('\n');
  const flags = /^#!\/usr\/bin\/env -S node (.+)$/.exec(firstLine ?? '')?.[1];
  const { scripts } = JSON.parse(await readFile('package.json', 'utf8')) as { scripts: Record<string, string> };
  expect(flags).toBe('--max-semi-space-size=64');
  expect(scripts['weft']).toBe(`node ${String(flags)} bin/weft.js`);
  expect(scripts['demo']).toBe(`node ${String(flags)} bin/weft.js demo`);
  expect(await readFile('test/bench/server-process.ts', 'utf8')).toContain(`execArgv: ['${String(flags)}', `);
});
