import { describe, expect, it } from 'vitest';
import { maskPayload, maskText, maskTraits, maskValue } from './mask.model.js';

describe('a masked text', () => {
  it.each([
    ['anna@example.com', 'a***@***.com'],
    ['a@b.co.uk', '***@***.uk'],
    ['anna@intranet', 'a***@***'],
    ['+436641234567', '+***67'],
    ['u-1042', 'u***'],
    ['42', '***'],
    ['', '***'],
    ['@anna', '@***'],
    ['🦊 fox', '🦊***'],
  ])('of %j is %j', (text, masked) => {
    expect(maskText(text)).toBe(masked);
  });
});

describe('a masked value', () => {
  it('keeps its form and tells nothing of numbers', () => {
    expect(maskValue({ street: 'Ringstrasse 1', zip: 1010, tags: ['vip', true], none: null })).toEqual({
      street: 'R***',
      zip: null,
      tags: ['v***', null],
      none: null,
    });
  });

  it('stands among traits in the place of those that are personal alone', () => {
    const traits = { plan: 'gold', phone: '+436641234567' };
    expect(maskTraits(traits, new Set(['phone']))).toEqual({ plan: 'gold', phone: '+***67' });
    expect(maskTraits(traits, new Set(['other']))).toBe(traits);
  });
});

describe('a masked payload', () => {
  const masked = (payload: object): unknown =>
    maskPayload(payload as never, new Set(['birthday']), new Set(['anna@example.com', 'u-1042', '77']));

  it('hides identifiers of the event, personal traits and addresses wherever they are, and nothing else', () => {
    expect(
      masked({
        total: 77.5,
        customer: 'U-1042 ',
        number: 77,
        note: 'write to bob@example.org or call',
        items: [{ sku: 'a-1', gift: { birthday: '1984-02-03', for: 'Anna' } }],
      }),
    ).toEqual({
      total: 77.5,
      customer: 'U***',
      number: null,
      note: 'write to b***@***.org or call',
      items: [{ sku: 'a-1', gift: { birthday: '1***', for: 'Anna' } }],
    });
  });
});
