import { describe, expect, it } from 'vitest';
import type { JsonValue } from '../../events/event.model.js';
import { withoutNamed } from './prune-body.js';

const left = (body: JsonValue) => withoutNamed(body, (text) => text.includes('anna'));
const bo = { from: 'bo', text: 'hello' };

describe('a delivery without a person', () => {
  it('keeps the items of its lists that are of others', () => {
    expect(left([{ from: 'anna', text: 'hi' }, bo])).toEqual([bo]);
    expect(left({ data: { items: [bo, { from: { name: 'anna' } }] }, at: 5 })).toEqual({
      data: { items: [bo] },
      at: 5,
    });
  });

  it('looks into an item that has a list of its own', () => {
    const entries = [
      { id: 1, messaging: [{ from: 'anna' }, bo] },
      { id: 2, messaging: [{ from: 'anna' }] },
      { id: 3, messaging: [bo] },
    ];
    expect(left({ object: 'page', entry: entries })).toEqual({
      object: 'page',
      entry: [
        { id: 1, messaging: [bo] },
        { id: 3, messaging: [bo] },
      ],
    });
  });

  it('is nothing where it is hers alone, or names her outside of its lists', () => {
    expect(left({ from: 'anna', text: 'hi' })).toBeUndefined();
    expect(left([{ from: 'anna' }])).toBeUndefined();
    expect(left({ account: 'anna', items: [bo] })).toBeUndefined();
    expect(left({ items: [bo], to: ['bo', 'anna'] })).toBeUndefined();
    expect(left({ anna: [bo] })).toBeUndefined();
    expect(left('anna')).toBeUndefined();
  });

  it('is itself where it does not name her', () => {
    const body = { items: [bo] };
    expect(left(body)).toBe(body);
  });
});
