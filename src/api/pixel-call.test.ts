import { describe, expect, it } from 'vitest';
import { pixelCall } from './pixel-call.js';

const call = { userId: 'ann', event: 'Größe gewählt', properties: { size: 'M', tags: ['ä', '✓'] } };
const base64 = Buffer.from(JSON.stringify(call)).toString('base64');

describe('the call in the URL of a pixel', () => {
  it.each([
    ['padded', base64],
    ['without padding', base64.replace(/=+$/, '')],
    ['base64url', Buffer.from(JSON.stringify(call)).toString('base64url')],
    ['with plus signs that a query turned into spaces', base64.replaceAll('+', ' ')],
  ])('is read from data, %s', (_form, data) => {
    expect(pixelCall({ data })).toEqual(call);
  });

  it('is read field by field, everything as text', () => {
    expect(
      pixelCall({
        writeKey: 'k',
        userId: 'ann',
        event: 'Opened',
        'properties.mail': '7',
        'context.ua.x': 'y',
        utm: 'no',
      }),
    ).toEqual({ writeKey: 'k', userId: 'ann', event: 'Opened', properties: { mail: '7' }, context: { 'ua.x': 'y' } });
  });

  it('prefers what data says and takes the rest from the fields', () => {
    expect(pixelCall({ data: base64, userId: 'bob', writeKey: 'k' })).toEqual({ ...call, writeKey: 'k' });
  });

  it('leaves out what is given twice or has no name', () => {
    expect(pixelCall({ userId: ['ann', 'bob'], 'properties.': 'x', '.x': 'y' })).toEqual({});
  });

  it('has no way to a prototype', () => {
    const parsed = pixelCall({ 'properties.__proto__': 'x', 'traits.constructor': 'y', __proto__: 'z' });
    expect(Object.getPrototypeOf(parsed['properties'])).toBe(Object.prototype);
    expect(({} as Record<string, unknown>)['x']).toBeUndefined();
  });

  it.each(['', 'bm8', Buffer.from('[1]').toString('base64'), Buffer.from('null').toString('base64')])(
    'is refused where data is no object: %j',
    (data) => {
      expect(() => pixelCall({ data })).toThrow(expect.objectContaining({ code: 'BAD_REQUEST', where: 'data' }));
    },
  );
});
