import 'reflect-metadata';
import { describe, expect, it } from 'vitest';
import { SharedResult } from './shared-changes.js';

describe('a shared result', () => {
  it('is framed once for each of a few operation ids, in whatever order they are asked for, and is bounded', () => {
    const result = new SharedResult(Buffer.from('{}'));
    const built: string[] = [];
    const frame = (key: string): string =>
      result
        .frameFor(key, (json) => {
          built.push(key);
          return Buffer.concat([Buffer.from(key), json]);
        })
        .toString();
    for (const key of ['a', 'b', 'a', 'b']) expect(frame(key)).toBe(`${key}{}`);
    expect(built).toEqual(['a', 'b']);
    for (let i = 0; i < 20; i++) frame(`other${String(i)}`);
    frame('a');
    expect(built.filter((key) => key === 'a')).toHaveLength(1);
    frame('other19');
    expect(built.filter((key) => key === 'other19')).toHaveLength(2);
  });
});
