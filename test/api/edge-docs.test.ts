import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { signIdentifier } from '../../src/api/auth/edge-signature.js';
import { documentId } from '../../src/api/documents/stored-document.model.js';
import { EDGE_PROFILE_DOCUMENT } from '../../src/api/graphql/edge-documents.js';
import { parseDefinitionFiles } from '../../src/definition-files.js';
import { hasPhp, runPhp } from '../support/php.js';

const text = await readFile(new URL('../../docs/edge.md', import.meta.url), 'utf8');
const blocks = (language: string): string[] =>
  [...text.matchAll(new RegExp(`\`\`\`${language}\\n(.*?)\`\`\``, 'gs'))].map(([, content = '']) => content);

const SECRET = `weft_s_${'7'.repeat(43)}`;
const EXPIRES_S = 1_769_864_400;
/** With all that an encoding could spoil. */
const VALUE = 'änn+"\\\n\u{1f600}@example.com';

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'weft-edge-docs-'));
});

afterAll(() => rm(folder, { recursive: true }));

describe('docs/edge.md', () => {
  it('shows the document of our clients, and its id', () => {
    const [shown] = blocks('graphql');
    expect(shown?.trim()).toBe(EDGE_PROFILE_DOCUMENT);
    expect(text).toContain(`sha256:${documentId(EDGE_PROFILE_DOCUMENT)}`);
  });

  it('shows how marks are declared', () => {
    const [yaml = ''] = blocks('yaml');
    const { segments, traits } = parseDefinitionFiles([{ name: 'marks.yaml', text: yaml }], []);
    expect([segments?.map(({ edge }) => edge), traits?.map(({ edge }) => edge)]).toEqual([[true], [true]]);
  });

  it('shows how a server in JavaScript signs', async () => {
    const file = join(folder, 'sign.mjs');
    await writeFile(file, blocks('js').join('\n'));
    const { weftSign } = (await import(pathToFileURL(file).href)) as {
      weftSign: (secret: string, namespace: string, value: string, expires: number) => string;
    };
    const expected = signIdentifier(SECRET, { namespace: 'email', value: VALUE }, EXPIRES_S);
    expect(weftSign(SECRET, 'email', VALUE, EXPIRES_S)).toBe(expected);
  });

  it.skipIf(!hasPhp())('shows how a server in PHP signs', async () => {
    const file = join(folder, 'sign.php');
    const call = `echo weft_sign($argv[1], 'email', base64_decode($argv[2]), ${String(EXPIRES_S)});`;
    await writeFile(file, `<?php\n${blocks('php').join('\n')}\n${call}\n`);
    const shown = await runPhp([file, SECRET, Buffer.from(VALUE).toString('base64')]);
    expect(shown).toBe(signIdentifier(SECRET, { namespace: 'email', value: VALUE }, EXPIRES_S));
  });
});
