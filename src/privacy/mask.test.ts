import { describe, expect, it } from 'vitest';
import { maskPayload, maskText, maskValue } from './mask.model.js';

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

  it('hides identifiers within other texts, in any case, where they stand by themselves', () => {
    expect(
      masked({ path: '/users/U-1042/orders?for=u-10423', url: 'https://shop.example/?mail=anna%40example.com' }),
    ).toEqual({ path: '/users/u***/orders?for=u-10423', url: 'h***' });
  });

  it('hides telephone numbers, however they are written', () => {
    const ofPhone = (payload: object): unknown => maskPayload(payload as never, new Set(), new Set(['+442071838750']));
    expect(
      ofPhone({
        note: 'call +44 (20) 7183-8750 or +436641234567 before 10',
        national: '020 7183 8750',
        digits: 442071838750,
        score: '+12 points',
        other: '020 7183 1111',
      }),
    ).toEqual({
      note: 'call +***50 or +***67 before 10',
      national: '0***',
      digits: null,
      score: '+12 points',
      other: '020 7183 1111',
    });
  });
});
