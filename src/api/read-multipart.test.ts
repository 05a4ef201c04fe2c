import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { readMultipart } from './read-multipart.js';

const BOUNDARY = 'weft-27';
const TYPE = `multipart/form-data; boundary=${BOUNDARY}`;
const BOUNDS = { manifest: 1_000, model: 5_000 };

function bodyOf(parts: readonly (readonly [name: string, content: Uint8Array | string])[], before = ''): Buffer {
  const written = parts.flatMap(([name, content]) => [
    `--${BOUNDARY}\r\nContent-Disposition: form-data; name="${name}"; filename="a file"\r\nContent-Type: x/y\r\n\r\n`,
    content,
    '\r\n',
  ]);
  return Buffer.concat([before, ...written, `--${BOUNDARY}--\r\n`].map((piece) => Buffer.from(piece)));
}

/** In pieces of these lengths, over and over. */
async function* inPieces(body: Buffer, lengths: readonly number[]) {
  for (let at = 0, i = 0; at < body.length; i++) {
    const length = lengths[i % lengths.length] ?? 1;
    yield await Promise.resolve(body.subarray(at, at + length));
    at += length;
  }
}

const read = (body: Buffer, lengths: readonly number[] = [1_000], type = TYPE) =>
  readMultipart(inPieces(body, lengths), type, BOUNDS);

describe('reading multipart bodies', () => {
  test('gives each part as it was sent, in whatever pieces it comes', async () => {
    const bytes = fc.uint8Array({ maxLength: 400 });
    // Parts that hold what looks like the beginning of a boundary.
    const tricky = fc
      .array(fc.constantFrom('\r', '\n', '--', `\r\n--${BOUNDARY.slice(0, 5)}`, 'x'))
      .map((all) => Buffer.from(all.join('')));
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(bytes, tricky),
        fc.oneof(bytes, tricky),
        fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 5 }),
        async (model, manifest, lengths) => {
          const body = bodyOf([
            ['model', model],
            ['manifest', manifest],
          ]);
          fc.pre(body.toString('latin1').split(`\r\n--${BOUNDARY}`).length === 3);
          const parts = await read(body, lengths);
          expect([...parts.keys()]).toEqual(['model', 'manifest']);
          expect(parts.get('model')).toEqual(Buffer.from(model));
          expect(parts.get('manifest')).toEqual(Buffer.from(manifest));
        },
      ),
    );
  });

  test('takes a boundary in quotes, a preamble, and nothing behind the last one', async () => {
    const body = Buffer.concat([bodyOf([['manifest', 'a']], 'for old mail programs\r\n'), Buffer.alloc(100_000)]);
    const parts = await read(body, [300], `multipart/form-data; charset=utf-8; boundary="${BOUNDARY}"`);
    expect(parts).toEqual(new Map([['manifest', Buffer.from('a')]]));
  });

  test.each([
    ['another part', bodyOf([['other', 'a']]), 'there is no part other'],
    [
      'a part twice',
      bodyOf([
        ['model', 'a'],
        ['model', 'b'],
      ]),
      'model is there twice',
    ],
    ['a part that is too large', bodyOf([['manifest', 'a'.repeat(1_001)]]), 'manifest is too large'],
    ['what is cut off', bodyOf([['manifest', 'abc']]).subarray(0, -12), 'the body ends before its last boundary'],
    ['no boundary at all', Buffer.from('abc'), 'the body ends before its last boundary'],
    ['a long preamble', Buffer.alloc(70_000), 'what stands before the parts is too large'],
    ['a head without an end', Buffer.from(`--${BOUNDARY}\r\n${'a'.repeat(9_000)}`), 'the head of a part does not end'],
    ['a part without a name', Buffer.from(`--${BOUNDARY}\r\nX: y\r\n\r\nabc\r\n--${BOUNDARY}--`), 'a part has no name'],
  ])('refuses %s', async (_what, body, message) => {
    await expect(read(body)).rejects.toMatchObject({ message, hint: expect.any(String) as unknown });
  });

  test('refuses other types of body', async () => {
    await expect(read(bodyOf([]), [10], 'application/json')).rejects.toThrow('not multipart/form-data');
  });
});
