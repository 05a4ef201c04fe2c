import { mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { decompressedBytes, storedAs } from './stored-bytes.js';
import { unzstd } from './unzstd.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'weft-bytes-'));
});
afterAll(async () => {
  await rm(folder, { recursive: true });
});

/** What `zstd -19` made of "a,b\n1,2\n3,4\n", with a checksum. */
const SMALL = Buffer.from('KLUv/QRoYQAAYSxiCjEsMgozLDQK4bPLLg==', 'base64');
/** The same, of `row N` and twenty times the same digits, for N from 1 to 300: with entropy-coded blocks. */
const CODED = Buffer.from(
  'KLUv/QBoXAsARhkyErAVNAcH9DB0ISIiQiSE2WEuASoALAAsAJ2mj3SJHu1lZ+ihx8+4FS/iNHyES/AoLzkDD7zPtrpomkeWOHoBnA8CggxzmJPPZCu5SKaRR2QJOSqXMoMc5OKz2CouimnikVgijsZlzBCHuH7WrXpRU4/UEnW0LmuGOtTRZ7QVXUTT0CO0BB2lS5qBDnTz2Ww1F80088gsMUfncg4h8O6z2+ouumnukVvijt7lzXCHO/vMtrKLbBp7xJawo3ZpM9jBrj6rreqimgKAyKgAJRA3BvC44RJAsKAFv0f4H78ZLlrgwXUFNZGwS6S+tHtAhPTJVFVGf7oaIimXbFAVqVda1WmUZKJQUqQnoWqh6tPWlKS65IGqDL1Sq8xRLYGOEgB1OXSKVptHpQBdJQFUZeiVWmWOagl0lACoy6FTtNo8KgXoKgmgKkOv1CpzVEugsZmUDSAVsIlRplNOijwVeSLyVOZJa6CDnMMpvAUAkwQJRSNRBjorGokyzFnRSJRBzopGogxxVjQSZehZ0UiUgWdFI1EGgMiocH0Q8JsBEoAVUKDh///9AYmpZhrZDrPCrDIqmCWVeW1cmAVGmVViSjONbIdZYZYG7GNzwGwyCuwqq8wus0pMZabMZL3aZ7aRKWCbjAJ2lVVml1klkHltXBgLjDKrxFQzjWyHWcEsDdjH5oBtMgrsKquYXWaVmGqmzGS92mdmI1PANhkFdpVVZpdDxokGpQoAY4kSgBDirGgkynBnRSNRBjsrGoky1FnRSJSBzopGogxzVjQSZZCzopEoQ5wVjUQZelY0EmXgWdFIlCH0rGgkynBnRSNRBjsrGoky1FmBkJix8g0BEoAlFGf4/39/Fhgsy9wqsE1MJVvANDLFbJPdZeaFDGdjwrbavWaL3WuVmNV2ldWONjXtZ2vQHLdHrUPz1B42z82YwTKyvm2r3Wu22L1WiVltV1ntaFPTfrYGzXF71Do0T+1h89yMGSwj69u22r1mi91rlZjVdpXVjjY17Wdr0By3R61D89QeNs/NmMEysr5tq91rtti9VolZbVdZ7WhT0362Bs1xe9Q6NE/tYfPcjBksI+vbttq9Zovda5WY1XaV1R6UZW4V2Camki1gGplitsnuMvNChrMxYVvtXrPF7rVKzGq7ympHm5r2szVojtuj1qF5ag+b52bMYBlZ3xZoAw==',
  'base64',
);

async function read(content: Buffer): Promise<string> {
  const path = join(folder, 'file');
  await writeFile(path, content);
  const file = await open(path);
  try {
    const progress = { bytesRead: 0 };
    const parts: Uint8Array[] = [];
    for await (const part of decompressedBytes(file, await storedAs(file), progress)) parts.push(part);
    expect(progress.bytesRead).toBe(content.length);
    return Buffer.concat(parts).toString();
  } finally {
    await file.close();
  }
}

/** What `zstd` made of "id,total\n1,19.90\n2,45.00\n", with a checksum: one raw block. */
const RAW = Buffer.from('KLUv/SQZyQAAaWQsdG90YWwKMSwxOS45MAoyLDQ1LjAwCkYK6fU=', 'base64');

/** A frame of raw blocks and blocks of one repeated byte (RFC 8878 §3.1.1.2). */
function frameOf(
  blocks: readonly { readonly byte: number; readonly length: number; readonly isRle: boolean }[],
): Buffer {
  const parts = [Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58])];
  for (const [i, { byte, length, isRle }] of blocks.entries()) {
    const header = Buffer.alloc(3);
    header.writeUIntLE((length << 3) | (isRle ? 2 : 0) | (i === blocks.length - 1 ? 1 : 0), 0, 3);
    parts.push(header, isRle ? Buffer.from([byte]) : Buffer.alloc(length, byte));
  }
  return Buffer.concat(parts);
}

describe('bytes of a stored file', () => {
  it('are told and decompressed by their first bytes', async () => {
    for (const stored of [Buffer.from('a,b\n1,2\n3,4\n'), gzipSync('a,b\n1,2\n3,4\n'), SMALL]) {
      expect(await read(stored)).toBe('a,b\n1,2\n3,4\n');
    }
    expect(await read(Buffer.alloc(0))).toBe('');
  });

  it('are those of all frames of a zstd file', async () => {
    const lines = Array.from({ length: 300 }, (_, i) => `row ${String(i + 1)} ${String(i + 1).repeat(20)}\n`).join('');
    expect(await read(CODED)).toBe(lines);
    expect(await read(Buffer.concat([CODED, SMALL, CODED]))).toBe(`${lines}a,b\n1,2\n3,4\n${lines}`);
  });

  it('do not depend on how a zstd file is cut', async () => {
    const block = fc.record({ byte: fc.nat(255), length: fc.integer({ min: 1, max: 40_000 }), isRle: fc.boolean() });
    const frames = fc.array(fc.array(block, { minLength: 1, maxLength: 5 }), { minLength: 1, maxLength: 4 });
    await fc.assert(
      fc.asyncProperty(frames, fc.integer({ min: 1, max: 30_000 }), async (blocks, step) => {
        const stored = Buffer.concat(blocks.map(frameOf));
        async function* cut(): AsyncGenerator<Uint8Array> {
          for (let at = 0; at < stored.length; at += step) yield stored.subarray(at, at + step);
        }
        const parts: Uint8Array[] = [];
        for await (const part of unzstd(cut())) parts.push(part);
        const expected = Buffer.concat(blocks.flat().map(({ byte, length }) => Buffer.alloc(length, byte)));
        expect(Buffer.concat(parts).equals(expected)).toBe(true);
      }),
      { numRuns: 60 },
    );
  });

  it('of a zstd frame that still decode are an error where they have not its checksum', async () => {
    const content = 'id,total\n1,19.90\n2,45.00\n';
    expect(await read(RAW)).toBe(content);
    const flipped = Buffer.from(RAW);
    flipped[flipped.indexOf('19.90')] = '9'.charCodeAt(0);
    await expect(read(flipped)).rejects.toMatchObject({ code: 'BAD_REQUEST', where: 'frame 1' });
    const skippable = Buffer.from('502a4d1803000000aabbcc', 'hex');
    const parts: string[] = [];
    async function* stored(): AsyncGenerator<Uint8Array> {
      yield Buffer.concat([RAW, skippable, flipped, SMALL]);
    }
    const reading = (async () => {
      for await (const part of unzstd(stored())) parts.push(Buffer.from(part).toString());
    })();
    await expect(reading).rejects.toMatchObject({ code: 'BAD_REQUEST', where: 'frame 3' });
    expect(parts.join('')).toBe(content + content.replace('19.90', '99.90'));
    const wrongSum = Buffer.from(SMALL);
    wrongSum[wrongSum.length - 1] = 0;
    await expect(read(wrongSum)).rejects.toThrow('a checksum does not match');
  });

  it('that are cut off or damaged are an error that says so', async () => {
    for (const length of [CODED.length - 5, CODED.length >> 1, 20, 6]) {
      await expect(read(CODED.subarray(0, length))).rejects.toThrow('the zstd data ends early');
    }
    const damaged = Buffer.from(CODED);
    damaged.fill(0xff, 20, 60);
    await expect(read(damaged)).rejects.toThrow(/zstd data (is broken|ends early)/);
    await expect(read(gzipSync('a'.repeat(1_000)).subarray(0, 20))).rejects.toThrow('the gzip data ends early');
    const huge = Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xf8, 0, 0, 0, 0, 0, 0]);
    await expect(read(huge)).rejects.toThrow('a window of more than 128 MiB');
  });
});
