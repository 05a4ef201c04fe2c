import { describe, expect, it } from 'vitest';
import { parseTraits } from './parse-traits.js';

describe('a file of traits', () => {
  it('names traits, says what they are, which are personal, and which of them browsers may see', () => {
    const text = `
traits:
  - { name: country, edge: true, description: Two letters. }
  - name: email
`;
    const personal = 'traits: [{ name: birthday, pii: true }]';
    expect(parseTraits(personal, 'x.yaml')).toEqual([{ name: 'birthday', edge: false, pii: true, description: '' }]);
    expect(parseTraits(text, 'traits.yaml')).toEqual([
      { name: 'country', edge: true, description: 'Two letters.' },
      { name: 'email', edge: false, description: '' },
    ]);
  });

  it.each([
    ['traits: [{ edge: true }]', 'the trait has no name'],
    ['traits: [{ name: a }, { name: a }]', 'the trait a is defined twice'],
    ['traits: [{ name: a, edge: "yes" }]', 'edge must be true or false'],
    ['traits: [{ name: a, edgy: true }]', 'did you mean "edge"?'],
    ['traits: [{ name: a, edge: true, pii: true }]', 'say either edge: true or pii: true'],
    ['traits: [{ name: $consent.ads }]', 'the name $consent.ads is reserved'],
    ['traits: 7', 'traits must be a list'],
  ])('says where it is wrong: %s', (text, message) => {
    expect(() => parseTraits(text, 'traits.yaml')).toThrow(message);
  });
});
