import { describe, expect, it } from 'vitest';
import { changedFields, changedFieldsText } from './changed-fields.js';

describe('what of a definition changes', () => {
  it('is named by field, with what it said and what it will say', () => {
    const changes = changedFields({ type: null, limit: 5, edge: false }, { type: 'number', limit: 5, edge: true });
    expect(changes).toEqual([
      { field: 'type', before: null, after: 'number' },
      { field: 'edge', before: false, after: true },
    ]);
    expect(changedFieldsText(changes)).toBe('type none -> number, edge false -> true');
  });

  it('takes what one of the two leaves out for what that means', () => {
    expect(changedFields({ limit: 1 }, { unique: false }, { limit: 1, unique: false })).toEqual([]);
  });

  it('is said in short where values are long, also where they differ at their ends only', () => {
    const long = '🙂'.repeat(200);
    expect(changedFieldsText(changedFields({ of: '' }, { of: long }))).toBe(`of none -> ${'🙂'.repeat(79)}…`);
    expect(changedFieldsText(changedFields({ of: long }, { of: `${long}!` }))).toBe('of differs');
  });
});
