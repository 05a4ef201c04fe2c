import { describe, expect, it } from 'vitest';
import { cacheControl, CachingNotes, entityTag, namesTag } from './caching.model.js';

describe('what resolvers say of an answer', () => {
  it.each([
    [[], null],
    [['shared'], 'shared'],
    [['shared', 'private'], 'private'],
    [['none', 'shared'], 'none'],
    [['private', 'none', 'private'], 'none'],
  ] as const)('%j comes to %s', (said, caching) => {
    const notes = new CachingNotes();
    for (const each of said) notes.note(each);
    expect(notes.caching).toBe(caching);
  });

  it('lets shared caches keep only what is shared', () => {
    expect(cacheControl('shared')).toBe('public, max-age=5, stale-while-revalidate=30');
    expect(cacheControl('private')).not.toContain('public');
    expect(cacheControl('none')).toBe('no-store');
  });
});

describe('a validator', () => {
  it('is the same for the same text only', () => {
    expect(entityTag('a')).toBe(entityTag('a'));
    expect(entityTag('a')).not.toBe(entityTag('b'));
  });

  it.each([
    ['the tag itself', (tag: string) => tag, true],
    ['its strong form', (tag: string) => tag.replace('W/', ''), true],
    ['one of several', (tag: string) => `"x", ${tag} , W/"y"`, true],
    ['any', () => '*', true],
    ['another', () => 'W/"x"', false],
    ['none', () => undefined, false],
    ['what is no list of tags', () => 'W/', false],
  ])('is matched by %s: %s', (_, header, expected) => {
    const tag = entityTag('a');
    expect(namesTag(header(tag), tag)).toBe(expected);
  });
});
