import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { dehydrate, hydrate, type WeftState } from './hydration.js';
import { newUuid } from './ids.js';
import type { Profile } from './profile.model.js';

const profileWith = (traits: Profile['traits']): Profile => ({
  known: true,
  degraded: false,
  asOf: '2026-01-01T00:00:00.000Z',
  segments: ['vip'],
  traits,
  scores: [],
});

describe('the state of a page', () => {
  it('comes back as it was, and can end no script and open no comment', () => {
    const nasty = fc.oneof(
      fc.string(),
      fc.constantFrom('</script>', '<!--', ']]>', '&lt;', '\u2028', '\u2029', '\\u003c'),
    );
    fc.assert(
      fc.property(fc.dictionary(nasty, nasty), (traits) => {
        const state = dehydrate(profileWith(traits), 'someone');
        expect(state).not.toMatch(/[<>&\u2028\u2029]/);
        expect((JSON.parse(state) as WeftState).profile.traits).toEqual(traits);
        expect(hydrate(state, 'someone')?.traits).toEqual(traits);
      }),
    );
  });

  it('does not give the anonymous id away', () => {
    const id = newUuid();
    expect(dehydrate(profileWith({}), id)).not.toContain(id);
    expect((JSON.parse(dehydrate(profileWith({}), id)) as WeftState).whose?.length).toBeLessThan(9);
  });

  it('is not taken by another visitor, to whom a cache showed the page', () => {
    const state = dehydrate(profileWith({}), newUuid());
    expect(hydrate(state, newUuid())).toBeNull();
    expect(hydrate(state, null)).toBeNull();
  });

  it('is taken where nobody can know whose it is, as while a server renders', () => {
    expect(hydrate(dehydrate(profileWith({}), newUuid()), undefined)?.segments).toEqual(['vip']);
  });

  it('is taken by everybody where it is of nobody', () => {
    expect(hydrate(dehydrate(profileWith({})), newUuid())?.segments).toEqual(['vip']);
    expect(hydrate(JSON.parse(dehydrate(profileWith({}))) as WeftState, null)?.segments).toEqual(['vip']);
  });

  it.each([null, undefined, '', 'null', '{', '{}', '[]', '{"profile":{}}', '{"profile":null}'])(
    'is none in %s',
    (initial) => {
      expect(hydrate(initial, null)).toBeNull();
    },
  );
});
