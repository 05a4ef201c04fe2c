import { describe, expect, it } from 'vitest';
import { hideId, revealId } from './hidden-id.js';
import { hashId, isUuid } from './ids.js';

describe('a hidden id', () => {
  const key = Buffer.alloc(32, 7);
  const id = hashId('email', 'anna@example.com');

  it('is an id again for who has the key, and another one for all others', () => {
    const hidden = hideId(key, id);
    expect(isUuid(hidden)).toBe(true);
    expect(hidden).not.toBe(id);
    expect(revealId(key, hidden)).toBe(id);
    expect(revealId(Buffer.alloc(32, 8), hidden)).not.toBe(id);
  });

  it('is the same each time', () => {
    expect(hideId(key, id)).toBe(hideId(key, id));
  });
});
