import { describe, expect, it } from 'vitest';
import type { JsonObject } from '../../events/event.model.js';
import type { ApiDefinitions } from '../api-definitions.model.js';
import { UNKNOWN_VISITOR, type EdgeAnswer } from './edge-answer.model.js';
import { RememberedAnswers } from './remembered-answers.js';

const definitions = {} as ApiDefinitions;
const anAnswer = (traits: JsonObject = {}): EdgeAnswer => ({ ...UNKNOWN_VISITOR, known: true, traits });

describe('answers that are remembered', () => {
  it('are told for a minute, and only by the definitions that they were made with', () => {
    const remembered = new RememberedAnswers();
    const answer = anAnswer();
    remembered.set('ann', answer, definitions, 1_000);
    expect(remembered.get('ann', definitions, 61_000)).toBe(answer);
    expect(remembered.get('ann', definitions, 61_001)).toBeNull();
    expect(remembered.get('ann', {} as ApiDefinitions, 1_000)).toBeNull();
    expect(remembered.get('bob', definitions, 1_000)).toBeNull();
  });

  it('are bounded in number, the newest 5,000 at least among them', () => {
    const remembered = new RememberedAnswers();
    for (let i = 0; i < 23_456; i++) remembered.set(String(i), anAnswer(), definitions, 0);
    expect(remembered.size).toBeLessThanOrEqual(10_000);
    for (let i = 18_456; i < 23_456; i++) expect(remembered.get(String(i), definitions, 0)).not.toBeNull();
    expect(remembered.get('0', definitions, 0)).toBeNull();
  });

  it.each([
    [{ a: 'x'.repeat(1_900), b: 7 }, true],
    [{ a: 'x'.repeat(2_000) }, false],
    [{ a: ['x'.repeat(2_000)] }, false],
    [{ ['x'.repeat(2_000)]: null }, false],
  ])('are bounded in size: case %#', (traits, isKept) => {
    const remembered = new RememberedAnswers();
    remembered.set('ann', anAnswer(traits), definitions, 0);
    expect(remembered.get('ann', definitions, 0) !== null).toBe(isKept);
  });
});
