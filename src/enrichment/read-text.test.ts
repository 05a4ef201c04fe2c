import { describe, expect, it } from 'vitest';
import { loadTextReader } from '../platform/text-reader.js';
import { readText } from './read-text.js';

const reader = await loadTextReader();
const PATHS = ['review.text', 'comment'];
const about = (properties: Parameters<typeof readText>[0]): unknown => readText(properties, PATHS, reader)?.['text'];

describe('the text of an event', () => {
  it('has a sentiment where it is English', () => {
    expect(about({ comment: 'I really love this wonderful shop, the staff were great.' })).toMatchObject({
      property: 'comment',
      language: 'en',
      sentiment: { label: 'positive' },
    });
    expect(about({ comment: 'This was a horrible experience and I hate the broken chair.' })).toMatchObject({
      sentiment: { label: 'negative' },
    });
  });

  it('has none in another language, whatever its words mean in English', () => {
    expect(about({ comment: 'Die Lieferung war leider sehr spät und der Stuhl ist kaputt gegangen.' })).toEqual({
      property: 'comment',
      language: 'de',
    });
  });

  it('has neither where nobody can be sure', () => {
    expect(about({ comment: '12345' })).toEqual({ property: 'comment' });
  });

  it('is the first of those that are named', () => {
    const review = { text: 'The best purchase that I have made in a very long time.' };
    expect(about({ comment: 'This is a terrible thing to say about it.', review })).toMatchObject({
      property: 'review.text',
      sentiment: { label: 'positive' },
    });
    expect(about({ review: 'no object', comment: ' ' })).toBeUndefined();
    expect(about({ review: { text: 5 } })).toBeUndefined();
  });
});
