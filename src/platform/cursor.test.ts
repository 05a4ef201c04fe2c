import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CursorCodec } from './cursor.js';

const codec = new CursorCodec({ kind: 'change', version: 1 }, { seq: 'integer', id: 'text' });

describe('CursorCodec', () => {
  it('reads back what it wrote, in characters that a URL needs not escape', () => {
    fc.assert(
      fc.property(fc.maxSafeInteger(), fc.string({ maxLength: 100, unit: 'binary' }), (seq, text) => {
        const id = text.replaceAll('\0', '');
        const cursor = codec.encode({ seq, id });
        expect(cursor).toMatch(/^[\w-]+$/);
        expect(codec.decode(cursor)).toEqual({ seq, id });
      }),
    );
  });

  it.each([
    ['nothing', ''],
    ['no base64', '!!!'],
    ['no JSON', Buffer.from('[').toString('base64url')],
    ['another spelling of a good one', `${codec.encode({ seq: 1, id: 'a' })}=`],
    [
      'another kind',
      new CursorCodec({ kind: 'other', version: 1 }, { seq: 'integer', id: 'text' }).encode({ seq: 1, id: 'a' }),
    ],
    [
      'another version',
      new CursorCodec({ kind: 'change', version: 2 }, { seq: 'integer', id: 'text' }).encode({ seq: 1, id: 'a' }),
    ],
    ['too few values', new CursorCodec({ kind: 'change', version: 1 }, { seq: 'integer' }).encode({ seq: 1 })],
    ['a fraction', Buffer.from('["change.1",1.5,"a"]').toString('base64url')],
    ['too many values', Buffer.from('["change.1",1,"a",2]').toString('base64url')],
    ['a text that no database holds', codec.encode({ seq: 1, id: 'a\0b' })],
    ['half of a character', Buffer.from('["change.1",1,"\\ud83d"]').toString('base64url')],
    ['a number beyond what is exact', Buffer.from('["change.1",9007199254740993,"a"]').toString('base64url')],
    ['values of other types', Buffer.from('["change.1","1",1]').toString('base64url')],
    ['far too long a text', 'A'.repeat(100_000)],
  ])('refuses %s', (_name, cursor) => {
    expect(() => codec.decode(cursor)).toThrow(
      expect.objectContaining({ code: 'CURSOR_INVALID', where: 'after' }) as Error,
    );
  });

  it('refuses garbage without any other error', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        expect(() => codec.decode(text)).toThrow(/^the cursor /);
      }),
    );
  });
});
