import { afterEach, expect, it, vi } from 'vitest';
import { warnOnce, withoutErrors } from './problem.js';

afterEach(() => {
  vi.restoreAllMocks();
});

it('a problem is on the console once for each code', () => {
  const warn = vi.spyOn(console, 'warn').mockImplementation(() => undefined);
  const tell = warnOnce();
  for (const code of ['REFUSED', 'REFUSED', 'QUEUE_FULL'] as const) tell({ code, message: 'what' });
  expect(warn.mock.calls).toEqual([
    ['weft: what (REFUSED)', ''],
    ['weft: what (QUEUE_FULL)', ''],
  ]);
});

it('a refusal is on the console with what Weft says of it, once for each of its codes', () => {
  const warn = vi.spyOn(console, 'warn').mockImplementation(() => undefined);
  const tell = warnOnce();
  for (const cause of ['FORBIDDEN', 'FORBIDDEN', 'RATE_LIMITED']) {
    tell({ code: 'PROFILE_REFUSED', message: 'not here', cause, hint: 'ask elsewhere' });
  }
  expect(warn.mock.calls).toEqual([
    ['weft: not here (FORBIDDEN)', 'ask elsewhere'],
    ['weft: not here (RATE_LIMITED)', 'ask elsewhere'],
  ]);
});

it('a listener that throws stops nothing', () => {
  const tell = withoutErrors(() => {
    throw new Error('of the page');
  });
  expect(() => tell({ code: 'REFUSED', message: 'what' })).not.toThrow();
});
