import { describe, expect, it } from 'vitest';
import { parseDefinitionFiles } from './definition-files.js';
import { parseManifest } from './scoring/parse-manifest.js';
import { parseMapping } from './sources/parse-mapping.js';

/** A list of ten, a list of ten of these, and so on. */
const BOMB = ['a0: &a0 [x, x, x, x, x, x, x, x, x, x]']
  .concat(
    Array.from({ length: 30 }, (_, i) => `a${String(i + 1)}: &a${String(i + 1)} [${`*a${String(i)}, `.repeat(10)}]`),
  )
  .join('\n');

describe('files that are read as YAML', () => {
  const nested = '['.repeat(5_000) + ']'.repeat(5_000);

  it.each([
    ['a bomb of aliases', BOMB, 'its aliases repeat more than 100000 values'],
    ['a text without bottom', `key: ${nested}`, 'it is nested deeper than 64 levels'],
  ])('refuse %s as they refuse other faults', (_, text, message) => {
    expect(() => parseManifest(text)).toThrow(expect.objectContaining({ code: 'MODEL_INVALID' }) as Error);
    expect(() => parseManifest(text)).toThrow(message);
    expect(() => parseMapping(text)).toThrow(expect.objectContaining({ code: 'DEFINITION_INVALID' }) as Error);
    expect(() => parseMapping(text)).toThrow(message);
    for (const top of ['views', 'segments']) {
      const file = { name: 'd.yaml', text: `${text}\n${top}: []` };
      expect(() => parseDefinitionFiles([file], [])).toThrow(
        expect.objectContaining({
          code: 'DEFINITION_INVALID',
          where: expect.stringContaining('d.yaml:1:') as string,
        }) as Error,
      );
      expect(() => parseDefinitionFiles([file], [])).toThrow(message);
    }
  });

  it('tell of fifty faults of a manifest and of the number of the others', () => {
    const fields = Array.from({ length: 80 }, (_, i) => `unknown_${String(i)}: 1`).join('\n');
    expect(() => parseManifest(fields)).toThrow(/unknown_9[^]*and \d+ more$/);
  });
});
