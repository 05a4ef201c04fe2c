import { describe, expect, it } from 'vitest';
import { planTraits, type TraitDefinition } from './trait-definition.model.js';

const aTrait = (name: string, edge = false, description = ''): TraitDefinition => ({ name, edge, description });

describe('what applying definitions of traits would do', () => {
  const standing = [aTrait('country', true), aTrait('email')];

  it('tells new ones from those that differ and those that are the same', () => {
    const given = [aTrait('country', true), aTrait('email', false, 'where we write to'), aTrait('plan', true)];
    expect(planTraits(standing, given, false)).toEqual({ added: ['plan'], changed: ['email'], removed: [] });
  });

  it('counts a mark that is taken back as a change', () => {
    expect(planTraits(standing, [aTrait('country', false)], false).changed).toEqual(['country']);
  });

  it('removes what is left out only where it prunes', () => {
    expect(planTraits(standing, [aTrait('email')], true).removed).toEqual(['country']);
    expect(planTraits(standing, [aTrait('email')], false).removed).toEqual([]);
  });
});
