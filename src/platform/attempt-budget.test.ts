import { expect, it } from 'vitest';
import { AttemptBudget } from './attempt-budget.js';

it('gives so many attempts within any window, and each again once it is out of the window', () => {
  const budget = new AttemptBudget(2, 100);
  expect([0, 40, 99].map((nowMs) => budget.take(nowMs))).toEqual([true, true, false]);
  expect([100, 139, 140, 141].map((nowMs) => budget.take(nowMs))).toEqual([true, false, true, false]);
});
