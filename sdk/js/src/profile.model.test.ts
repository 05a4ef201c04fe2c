import { describe, expect, it } from 'vitest';
import { choose } from './profile.model.js';

describe('choose', () => {
  const variants = { vip: 'A', new_visitor: 'B' };

  it('takes the first variant, in their order, whose segment the visitor is in', () => {
    expect(choose(['new_visitor', 'vip'], variants, 'C')).toBe('A');
    expect(choose(['new_visitor'], variants, 'C')).toBe('B');
  });

  it('takes the default where there is none', () => {
    expect(choose([], variants, 'C')).toBe('C');
    expect(choose(['constructor', 'toString'], variants, 'C')).toBe('C');
  });
});
