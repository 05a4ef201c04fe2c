import { readFile } from 'node:fs/promises';

import { describe, expect, it } from 'vitest';

import { parseMapping } from '../src/sources/parse-mapping.js';
import { parseSeedSegments, parseSeedSources } from './seed-definitions.js';

const SEEDS = new URL('./', import.meta.url);
const read = (path: string): Promise<string> => readFile(new URL(path, SEEDS), 'utf8');
const { sources, truth } = parseSeedSources(await read('sources.yaml'));

describe('sources.yaml', () => {
  it.each(sources)('names files of $key that exist', async (source) => {
    await expect(readFile(new URL(source.file, SEEDS))).resolves.toBeInstanceOf(Buffer);
    await expect(readFile(new URL(truth, SEEDS))).resolves.toBeInstanceOf(Buffer);
  });

  it.each(sources)('has a mapping for $key that parses', async (source) => {
    const mapping = parseMapping(await read(source.mapping), source.mapping);
    expect(mapping.source).toBe(source.key);
    expect(mapping.identifiers.length).toBeGreaterThan(0);
  });

  it('reports every problem of a bad file', () => {
    const bad = 'sources: [{ key: CRM, name: x, file: f, mapping: m, last_event: yesterday, licence: l }]\ntruth: t';
    expect(() => parseSeedSources(bad)).toThrow(/key[\s\S]*last_event/);
  });
});

describe('segments.yaml', () => {
  it('has at least nine segments, each under a key of its own', async () => {
    const segments = parseSeedSegments(await read('segments.yaml'));
    expect(segments.length).toBeGreaterThanOrEqual(9);
    expect(new Set(segments.map((segment) => segment.key)).size).toBe(segments.length);
  });

  it('lists a segment before those that refer to it', async () => {
    const segments = parseSeedSegments(await read('segments.yaml'));
    segments.forEach((segment, index) => {
      for (const [, key] of segment.expression.matchAll(/segment\("(\w+)"\)/g)) {
        expect(segments.slice(0, index).map((earlier) => earlier.key)).toContain(key);
      }
    });
  });
});
