import { describe, expect, it } from 'vitest';
import { planTraits, type TraitDefinition } from './trait-definition.model.js';
import { DEFAULT_TRAIT_RULE } from './trait-rule.model.js';

const aTrait = (name: string, edge = false, description = ''): TraitDefinition => ({ name, edge, description });

describe('what applying definitions of traits would do', () => {
  const standing = [aTrait('country', true), aTrait('email')];

  it('tells new ones from those that differ and those that are the same', () => {
    const given = [aTrait('country', true), aTrait('email', false, 'where we write to'), aTrait('plan', true)];
    expect(planTraits(standing, given, false)).toEqual({
      added: ['plan'],
      changed: ['email'],
      changes: [{ name: 'email', fields: [{ field: 'description', before: '', after: 'where we write to' }] }],
      removed: [],
    });
  });

  it('counts a mark that is taken back as a change', () => {
    expect(planTraits(standing, [aTrait('country', false)], false).changed).toEqual(['country']);
  });

  it('says of each mark and each part of a rule what it was and what it will be', () => {
    const crmFirst = { ...DEFAULT_TRAIT_RULE, survivorship: 'source_priority' as const, sourcePriority: ['crm'] };
    const answers = [{ event: 'Survey Answered', property: 'answer', where: {} }];
    const other = { ...aTrait('email'), pii: true, searchable: true, rule: { ...crmFirst, answers } };
    expect(planTraits(standing, [other], false).changes[0]?.fields).toEqual([
      { field: 'survivorship', before: 'most_recent', after: 'source_priority ["crm"]' },
      { field: 'answers', before: null, after: JSON.stringify(answers) },
      { field: 'pii', before: false, after: true },
      { field: 'searchable', before: false, after: true },
    ]);
  });

  it('takes a policy for conflicts of a trait without a type for none', () => {
    const policed = { ...aTrait('email'), rule: { ...DEFAULT_TRAIT_RULE, onConflict: 'refuse' as const } };
    expect(planTraits(standing, [policed], false).changes).toEqual([]);
  });

  it('removes what is left out only where it prunes', () => {
    expect(planTraits(standing, [aTrait('email')], true).removed).toEqual(['country']);
    expect(planTraits(standing, [aTrait('email')], false).removed).toEqual([]);
  });
});
