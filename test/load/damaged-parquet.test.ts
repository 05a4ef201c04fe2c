import { fork, type ChildProcess } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';

import type { JsonObject } from '../../src/events/event.model.js';
import { openRows } from '../../src/sources/row-reader.js';
import { compiled } from '../support/compiled-program.js';
import type { FuzzedFile, FuzzOutcome } from '../support/parquet-fuzz.program.js';

const FOLDER = join(import.meta.dirname, '../fixtures/parquet');
const FILES = readdirSync(FOLDER).filter((name) => name.endsWith('.parquet'));
const CONTENTS = FILES.map((name) => readFileSync(join(FOLDER, name)));
/** Far more than any of these files takes. What goes on for longer would be ended by the reader, too. */
const ENDLESS_MS = 2_000;
const PROGRAM = new URL('../support/parquet-fuzz.program.ts', import.meta.url);

let decoder: ChildProcess | null = null;
afterAll(() => decoder?.kill('SIGKILL'));

/** Null: the decoder did not end, or its process did. */
function decode(content: Uint8Array): Promise<FuzzOutcome | null> {
  const child = (decoder ??= fork(compiled(PROGRAM), {
    serialization: 'advanced',
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
  }));
  return new Promise<FuzzOutcome | null>((done) => {
    const give = (outcome: FuzzOutcome | null): void => {
      clearTimeout(timer);
      child.removeAllListeners();
      if (outcome === null) {
        child.kill('SIGKILL');
        decoder = null;
      }
      done(outcome);
    };
    const timer = setTimeout(give, ENDLESS_MS, null);
    child.once('message', (outcome) => {
      give(outcome as FuzzOutcome);
    });
    child.once('close', () => {
      give(null);
    });
    child.send({ content } satisfies FuzzedFile);
  });
}

async function rowsOf(name: string): Promise<(JsonObject | null)[]> {
  const file = await open(join(FOLDER, name));
  try {
    const format = { format: 'parquet', encoding: 'utf-8', delimiter: ',', header: null } as const;
    const { chunks } = await openRows(file, format, name);
    const records: (JsonObject | null)[] = [];
    for await (const { rows } of chunks) records.push(...rows.map(({ record }) => record));
    return records;
  } finally {
    await file.close();
  }
}

describe('Parquet files of other writers', () => {
  it('are read as they were written', async () => {
    const people = Array.from({ length: 12 }, (_, n) => ({
      who: n % 5 === 4 ? null : `u${String(n % 3)}`,
      n,
      x: n % 4 === 0 ? null : n / 4,
    }));
    const read = new Map<string, unknown>();
    for (const name of FILES) read.set(name, await rowsOf(name));
    expect(Object.fromEntries(read)).toEqual({
      'dictionary-gzip.parquet': people,
      'checksums-zstd.parquet': people,
      'delta.parquet': people,
      'empty-groups.parquet': people.slice(0, 3),
      'nested-snappy.parquet': [
        { tags: ['a', 'b'], counts: { k: 1 }, home: { no: 1, names: ['x'] } },
        { tags: [], counts: {}, home: null },
        { tags: null, counts: null, home: { no: null, names: [] } },
        { tags: ['c', null], counts: { a: 2, b: 3 }, home: { no: 2, names: null } },
      ],
      'odd-types.parquet': [
        { at: '2026-01-01T01:02:03.000Z', price: 1.1, kind: 'y' },
        { at: null, price: null, kind: null },
      ],
    });
  });
});

describe('a damaged Parquet file', () => {
  it('is read to rows, as many as it says, or refused by reason, or ended', async () => {
    const flips = fc.array(fc.record({ place: fc.noBias(fc.nat(99_999)), byte: fc.nat(255) }), {
      minLength: 1,
      maxLength: 3,
    });
    const counts = { read: 0, refused: 0, ended: 0 };
    await fc.assert(
      fc.asyncProperty(fc.nat(CONTENTS.length - 1), flips, async (which, changes) => {
        const content = Uint8Array.from(CONTENTS[which] ?? []);
        for (const { place, byte } of changes) content[Math.floor((place / 100_000) * content.length)] = byte;
        const outcome = await decode(content);
        if (outcome === null) {
          counts.ended++;
          return;
        }
        expect(outcome.defect).toBeNull();
        if (outcome.refused === null) counts.read++;
        else {
          counts.refused++;
          expect(outcome.refused).toMatch(/Parquet/);
          if (outcome.claimed !== null) expect(outcome.rows).toBeLessThan(Math.max(outcome.claimed, 1));
        }
      }),
      { numRuns: 500 },
    );
    expect(counts.read).toBeGreaterThan(20);
    expect(counts.refused).toBeGreaterThan(100);
    // One of some thousands in truth; more would be for want of checks before anything is decoded.
    expect(counts.ended).toBeLessThan(10);
  });

  it('is refused for any byte of a page that has a checksum', async () => {
    const name = 'checksums-zstd.parquet';
    const content = CONTENTS[FILES.indexOf(name)] ?? Buffer.alloc(0);
    // Magic bytes of a zstd frame: the first page is packed from there on.
    const start = content.indexOf(Buffer.from('28b52ffd', 'hex'));
    expect(start).toBeGreaterThan(4);
    for (let at = start; at < start + 20; at++) {
      const changed = Uint8Array.from(content);
      changed[at] = (changed[at] ?? 0) ^ 1;
      expect((await decode(changed))?.refused).toContain('the checksum of a page of the column "who"');
    }
  });
});
