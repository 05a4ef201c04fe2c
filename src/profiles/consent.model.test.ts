import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { JsonObject, JsonValue } from '../events/event.model.js';
import {
  allowedUntil,
  compileConsents,
  consentsIn,
  consentTrait,
  isAllowed,
  type ConsentTerms,
  type ConsentMapping,
} from './consent.model.js';
import { CONSENT_DEFAULTS, type PurposeDefinition } from './purpose.model.js';

const DAY_MS = 86_400_000;

function aPurpose(key: string, categories: PurposeDefinition['categories'] = {}): PurposeDefinition {
  return { key, name: key, description: '', default: 'denied', expiresAfterDays: null, edge: false, categories };
}

function mappingOf(purposes: readonly PurposeDefinition[]): ConsentMapping {
  const mapping = compileConsents(
    purposes,
    new Map([
      ['web', 1],
      ['crm', 2],
    ]),
  );
  if (mapping === null) throw new Error('no purposes');
  return mapping;
}

const MAPPING = mappingOf([
  aPurpose('ads', { '*': ['Advertising', 'Sale'], crm: ['post'] }),
  aPurpose('mail', { '*': ['Advertising'], web: [] }),
]);

const said = (consent: JsonValue, sourceId = 3): JsonObject | null =>
  consentsIn({ context: { consent }, sourceId }, MAPPING);
const granted = { status: 'granted', expiresAt: null };
const denied = { status: 'denied', expiresAt: null };

describe('the consents of an event', () => {
  it('are those of the categories that its source has for a purpose', () => {
    const consent = { categoryPreferences: { Advertising: true, post: false, Other: true } };
    expect(said(consent)).toEqual({ '$consent.ads': granted, '$consent.mail': granted });
    expect(said(consent, 1)).toEqual({ '$consent.ads': granted });
    expect(said(consent, 2)).toEqual({ '$consent.ads': denied, '$consent.mail': granted });
  });

  it('grant a purpose only where all of its categories are', () => {
    expect(said({ categoryPreferences: { Advertising: true, Sale: false } })).toMatchObject({ '$consent.ads': denied });
    expect(said({ categoryPreferences: { Sale: false, Advertising: true } })).toMatchObject({ '$consent.ads': denied });
  });

  it('go before those of categories where they name the purpose', () => {
    const purposes = { ads: { status: 'granted', expiresAt: '2027-01-01' }, mail: true };
    expect(said({ categoryPreferences: { Advertising: false }, purposes })).toEqual({
      '$consent.ads': { status: 'granted', expiresAt: Date.UTC(2027, 0, 1) },
      '$consent.mail': granted,
    });
  });

  it('say nothing where they cannot be read, but for a no', () => {
    const unclear = [null, 'yes', 1, [], {}, { status: 'maybe' }, { status: 'granted', expiresAt: 'soon' }];
    for (const ads of unclear) expect(said({ purposes: { ads } })).toBeNull();
    expect(said({ purposes: { ads: { status: 'granted', expiresAt: 1e300 } } })).toBeNull();
    expect(said({ purposes: { ads: { status: 'denied', expiresAt: 'soon' } } })).toEqual({ '$consent.ads': denied });
    expect(said({ purposes: { constructor: true, unknown: true } })).toBeNull();
    expect(said({ categoryPreferences: { Advertising: 'true', constructor: true } })).toBeNull();
    for (const consent of [null, true, [true], 'granted']) expect(said(consent)).toBeNull();
  });
});

describe('a purpose', () => {
  it('is allowed until the instant that allowedUntil names, and changes at it, whatever was said', () => {
    const terms = fc.record({
      default: fc.constantFrom(...CONSENT_DEFAULTS),
      expiresAfterDays: fc.constantFrom(null, 1, 2),
    });
    const word = fc.record({
      status: fc.constantFrom('granted', 'denied'),
      expiresAt: fc.constantFrom(null, DAY_MS / 2, DAY_MS, 3 * DAY_MS),
    });
    const held = fc.option(fc.record({ value: word, occurredAt: fc.constantFrom(0, DAY_MS) }), { nil: undefined });
    const instants = [0, DAY_MS / 2 - 1, DAY_MS / 2, DAY_MS, 2 * DAY_MS - 1, 2 * DAY_MS, 3 * DAY_MS, 4 * DAY_MS];
    fc.assert(
      fc.property(terms, held, fc.constantFrom(...instants), (of: ConsentTerms, given, t) => {
        const before = isAllowed(of, given, t);
        const until = allowedUntil(of, given, t);
        const later = [...instants, until - 1].filter((at) => at > t && at < until && Number.isFinite(at));
        expect(later.map((at) => isAllowed(of, given, at))).toEqual(later.map(() => before));
        if (until !== Infinity) expect(isAllowed(of, given, until)).toBe(!before);
      }),
    );
  });

  it('is allowed by default, by word and by law, in that order of rising strength', () => {
    const no = { value: denied, occurredAt: 0 };
    const allowed = CONSENT_DEFAULTS.map((byDefault) => {
      const terms = { default: byDefault, expiresAfterDays: null };
      return [isAllowed(terms, undefined, 1), isAllowed(terms, no, 1), isAllowed(terms, { ...no, value: granted }, 1)];
    });
    expect(allowed).toEqual([
      [false, false, true],
      [true, false, true],
      [true, true, true],
    ]);
    expect(consentTrait('ads')).toBe('$consent.ads');
  });
});
