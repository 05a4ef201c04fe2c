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
    ).toEqual({ path: '/users/u***/orders?for=u-10423', url: 'h***@***.com' });
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

  it.each([
    'call +43 664 123 45 67 now',
    'call 0043 (664) 123-4567 now',
    'call +43 (0)664/1234567 now',
    'call 0664 1234567 now',
    'call 06641234567 now',
  ])('hides the telephone number of the event in %j', (text) => {
    const shown = maskPayload({ [text]: text }, new Set(), new Set(['+436641234567']));
    expect(shown).toEqual({ 'call +***67 now': 'call +***67 now' });
  });

  it.each([
    'Anna.B@Example.com',
    'anna.b%40example.com',
    'anna.b (at) example.com',
    'anna.b [at] example.com',
    'anna.b at example.com',
    'anna.b＠example.com',
  ])('hides the address of the event written as %j', (spelled) => {
    const shown = JSON.stringify(
      maskPayload({ note: `of ${spelled}, once`, [spelled]: 1 }, new Set(), new Set(['anna.b@example.com'])),
    );
    expect(shown.toLowerCase()).not.toContain('anna');
    expect(shown).not.toMatch(/example\.com/i);
  });

  it('hides the address of somebody else that stands right beside its own', () => {
    const shown = maskPayload('anna@example.com,bob@secret.org', new Set(), new Set(['anna@example.com']));
    expect(shown).toBe('a***@***.org');
  });

  it('hides numbers that are its telephone number, leaves others, and keeps all fields whose names are masked', () => {
    const phones = new Set(['+436641234567', '+436649999999']);
    const shown = maskPayload({ order: 4711, sum: 123.45, phone: 436641234567 }, new Set(), phones);
    expect(shown).toEqual({ order: 4711, sum: 123.45, phone: null });
    const named = maskPayload({ 'a@x.org': 1, 'a@y.org': 2, 'order 17': 3 }, new Set(), phones);
    expect(named).toEqual({ '***@***.org': 1, '***@***.org (2)': 2, 'order 17': 3 });
  });

  it('costs no more for texts that are made to cost', () => {
    const identifiers = new Set(['+436641234567', 'anna@example.com', `${'a'.repeat(100)}@example.com`]);
    for (const text of ['6 '.repeat(20_000), '64123456'.repeat(5_000), 'a'.repeat(40_000), 'anna   '.repeat(6_000)]) {
      expect(maskPayload(text, new Set(), identifiers)).toBeTypeOf('string');
    }
  });
});
