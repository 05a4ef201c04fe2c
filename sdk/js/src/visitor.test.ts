import { describe, expect, it } from 'vitest';
import { isUnguessable, newUuid } from './ids.js';
import { createStore } from './storage.js';
import { createVisitor, readCookie } from './visitor.js';

describe('the visitor, without a document', () => {
  it('is the same until forgotten, and then somebody else', () => {
    const visitor = createVisitor(createStore(null), 'weft:');
    const id = visitor.anonymousId();
    visitor.setUserId('ann');
    expect([visitor.anonymousId(), visitor.known(), visitor.userId()]).toEqual([id, id, 'ann']);
    visitor.forget();
    expect([visitor.known(), visitor.userId()]).toEqual([null, undefined]);
    expect(visitor.anonymousId()).not.toBe(id);
  });

  it('does not go by an id that somebody could guess', () => {
    const store = createStore(null);
    store.set('weft:id', '4711');
    expect(createVisitor(store, 'weft:').known()).toBeNull();
  });
});

describe('an anonymous id', () => {
  it('is a random UUID of version 4', () => {
    const ids = Array.from({ length: 200 }, newUuid);
    for (const id of ids) expect(id).toMatch(/^[\da-f]{8}-[\da-f]{4}-4[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/);
    expect(new Set(ids).size).toBe(ids.length);
    expect(ids.every(isUnguessable)).toBe(true);
  });
});

describe('a cookie header', () => {
  it.each([
    ['weft_id=abc', 'abc'],
    ['other=1; weft_id=abc; more=2', 'abc'],
    ['xweft_id=no;weft_id=abc', 'abc'],
    ['weft_id', null],
    ['', null],
    [null, null],
  ])('%s holds %s', (header, expected) => {
    expect(readCookie(header, 'weft_id')).toBe(expected);
  });
});
