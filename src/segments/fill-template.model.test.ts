import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { WeftError } from '../platform/errors.js';
import { fillTemplate, missingFor } from './fill-template.model.js';
import { parseSegment } from './parse-segment.js';
import { SEGMENT_TEMPLATES } from './segment-template.model.js';

/** Whatever names it reads are taken. */
const ANY = { features: new Map<string, never>() };

function filled(key: string, values: Readonly<Record<string, string>> = {}) {
  return fillTemplate(key, new Map(Object.entries(values)));
}

function faultOf(run: () => unknown): WeftError {
  try {
    run();
  } catch (error) {
    if (error instanceof WeftError) return error;
    throw error;
  }
  throw new Error('it was taken');
}

describe('templates of segments', () => {
  it.each(SEGMENT_TEMPLATES.map((template) => [template.key, template] as const))(
    '%s is a condition with its defaults, and asks for each of its parameters',
    (key, { expression, exit, parameters }) => {
      const made = filled(key);
      for (const text of [made.expression, made.exitExpression]) {
        if (text !== null) expect(() => parseSegment(text, ANY), text).not.toThrow();
      }
      const asked = [...`${expression} ${exit ?? ''}`.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
      expect(new Set(asked)).toEqual(new Set(parameters.map(({ name }) => name)));
    },
  );

  it('have keys of their own', () => {
    expect(new Set(SEGMENT_TEMPLATES.map(({ key }) => key)).size).toBe(SEGMENT_TEMPLATES.length);
  });

  it('take values as they are meant, whatever stands in them', () => {
    const { expression } = filled('cart_abandoned', { cart: 'Put "in" {purchase}', after: '60s', until: '2d' });
    expect(expression).toContain('since("Put \\"in\\" {purchase}") >= "1m"');
    expect(filled('local', { place: 'preferences.home town', places: 'Leeds,  York' }).expression).toBe(
      'traits.preferences["home town"] in ["Leeds", "York"]',
    );
    expect(filled('birthday', { zone: 'traits.timezone', days: '0' }).expression).toBe(
      'days_until_anniversary(traits.birth_date, traits.timezone) <= 0',
    );
    expect(filled('big_spenders', { spent: '12.5', exit_below: '8' }).exitExpression).toBe(
      'sum("order_completed", "properties.total", "365d") < 8',
    );
  });

  it('let no value out of its quotes', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1, maxLength: 100, unit: 'grapheme' }), (event) => {
        fc.pre(event.trim() !== '');
        const { expression } = filled('active', { event });
        const [feature] = parseSegment(expression, ANY).requires.inlineFeatures;
        expect(feature?.events).toEqual([event]);
      }),
    );
  });

  it.each([
    ['cart_abandon', {}, 'template', 'did you mean cart_abandoned?'],
    ['cart_abandoned', { affter: '5m' }, 'affter', 'did you mean after?'],
    ['cart_abandoned', { after: '5 min' }, 'after', 'write 5m'],
    ['cart_abandoned', { after: '1s' }, 'after', 'give from 1m to 1098d'],
    ['cart_abandoned', { cart: ' ' }, 'cart', 'write it as add_to_cart'],
    ['repeat_buyers', { at_least: '2.5' }, 'at_least', 'write it as 2'],
    ['repeat_buyers', { at_least: '0' }, 'at_least', 'give from 1 to 100000'],
    ['cart_abandoned', { after: '2d' }, 'after', 'give less for after, or more for until'],
    ['big_spenders', { spent: '12.5' }, 'exit_below', 'give less for exit_below, or more for spent'],
    ['big_spenders', { amount: '-5' }, 'amount', 'write it as properties.total'],
    ['holdout', { share: '5' }, 'share', 'give from 0 to 1'],
    ['holdout', { sample: 'x'.repeat(501) }, 'sample', 'give it at most 500 characters'],
    ['local', { places: 'Leeds,,York' }, 'places', 'write them with commas, as Austria, Germany'],
  ])('%s refuses %j', (key, values, where, hint) => {
    const fault = faultOf(() => filled(key, values));
    expect([fault.where, fault.hint]).toEqual([where, hint]);
  });

  it('say what they need that is not there', async () => {
    const unknown = new WeftError('EXPRESSION_INVALID', 'unknown purpose "newsletter"', { where: '1:9' });
    const checker = { check: () => Promise.reject(unknown) };
    expect(await missingFor(filled('newsletter_engaged'), checker)).toEqual([
      { message: 'unknown purpose "newsletter"', where: '1:9', hint: 'give another value' },
    ]);
    const broken = { check: () => Promise.reject(new WeftError('UNAVAILABLE', 'no database')) };
    await expect(missingFor(filled('active'), broken)).rejects.toThrow('no database');
  });
});
