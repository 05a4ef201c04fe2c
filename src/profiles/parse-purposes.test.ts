import { describe, expect, it } from 'vitest';
import { parsePurposes } from './parse-purposes.js';
import { findsMore, planPurposes } from './purpose.model.js';

const FILE = `purposes:
  - key: ads
    name: Advertising
    description: Offers that fit.
    default: granted
    expires_after_days: 365
    edge: true
    categories: { web: [C0004, Advertising], "*": [ads] }
  - { key: mail }
`;

describe('a file of purposes', () => {
  it('says of each what it is, and leaves the rest as it is for all', () => {
    expect(parsePurposes(FILE, 'p.yaml')).toEqual([
      {
        key: 'ads',
        name: 'Advertising',
        description: 'Offers that fit.',
        default: 'granted',
        expiresAfterDays: 365,
        edge: true,
        categories: { web: ['Advertising', 'C0004'], '*': ['ads'] },
      },
      {
        key: 'mail',
        name: 'mail',
        description: '',
        default: 'denied',
        expiresAfterDays: null,
        edge: false,
        categories: {},
      },
    ]);
  });

  it('tells all of its faults at once, with their places', () => {
    const yaml = `purposes:
  - { key: Ads, default: allowed }
  - { key: mail, expires_after_days: 0 }
  - { key: mail, categories: { "no key": [a], web: a } }
`;
    expect(() => parsePurposes(yaml, 'p.yaml')).toThrow(
      new RegExp(
        [
          '^p.yaml:2:12: a purpose needs a key, and "Ads" is none; .*',
          'p.yaml:2:26: default cannot be "allowed"; use one of denied, granted, not_required',
          'p.yaml:3:38: expires_after_days must be a whole number; from 1 to 3660',
          'p.yaml:4:12: the purpose mail is defined twice; define it once',
          'p.yaml:4:42: "no key" is no key of a source; .*',
          'p.yaml:4:52: the categories of a source must be a list; .*$',
        ].join('\n'),
      ),
    );
  });

  it('is the same however its fields are ordered, and finds more in events only by purposes and categories', () => {
    const [ads, mail] = parsePurposes(FILE, 'p.yaml');
    if (ads === undefined || mail === undefined) throw new Error('two purposes were expected');
    const turned = { ...ads, categories: { '*': ['ads'], web: ['Advertising', 'C0004'] } };
    expect(planPurposes([ads], [turned, mail], false)).toEqual({
      added: ['mail'],
      changed: [],
      changes: [],
      removed: [],
    });
    expect(planPurposes([ads, mail], [{ ...ads, edge: false }], true)).toEqual({
      added: [],
      changed: ['ads'],
      changes: [{ name: 'ads', fields: [{ field: 'edge', before: true, after: false }] }],
      removed: ['mail'],
    });
    expect(findsMore([ads, mail], [turned])).toBe(false);
    expect(findsMore([ads], [{ ...ads, default: 'denied', name: 'Ads' }])).toBe(false);
    expect(findsMore([ads], [ads, mail])).toBe(true);
    expect(findsMore([ads], [{ ...ads, categories: {} }])).toBe(true);
  });
});
