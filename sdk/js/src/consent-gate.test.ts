import { describe, expect, it } from 'vitest';
import { createConsentGate, type Consent } from './consent-gate.js';

function gate(initial: Consent) {
  const done: number[] = [];
  const created = createConsentGate(initial);
  return { ...created, done, ask: (n: number) => created.whenGranted(() => done.push(n)) };
}

describe('consent', () => {
  it('lets everything pass once it is granted, what was held first', () => {
    const { ask, set, done } = gate('pending');
    ask(1);
    ask(2);
    expect(done).toEqual([]);
    set('granted');
    ask(3);
    expect(done).toEqual([1, 2, 3]);
  });

  it('that is denied drops what was held, for good', () => {
    const { ask, set, done } = gate('pending');
    ask(1);
    set('denied');
    ask(2);
    set('granted');
    ask(3);
    expect(done).toEqual([3]);
  });

  it('holds the latest hundred calls', () => {
    const { ask, set, done } = gate('pending');
    for (let n = 1; n <= 150; n++) ask(n);
    set('granted');
    expect(done).toEqual(Array.from({ length: 100 }, (_, i) => 51 + i));
  });
});
