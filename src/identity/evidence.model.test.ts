import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  anEvent,
  anIdentifier,
  DAY_MS,
  evidenceRows,
  HOUR_MS,
  START_MS,
} from '../../test/support/identity-builders.js';
import type { LoggedEvent } from '../events/event.model.js';
import { EvidenceBehind } from './evidence-behind.model.js';
import { compareEvidence, evidenceOf, leastEvidence, setIdOf } from './evidence.model.js';

describe('evidence of an event', () => {
  it('names the anchor, the set and the UTC day', () => {
    const midnight = Date.UTC(2024, 0, 2);
    const before = evidenceOf(anEvent({ atMs: midnight - 1, names: ['anonymous_id:c', 'user_id:1'] }));
    const after = evidenceOf(
      anEvent({ atMs: midnight, names: ['user_id:1', 'anonymous_id:c'], acceptedAt: midnight + 5 }),
    );
    expect(before.anchorId).toBe(anIdentifier('user_id:1').id);
    expect(before.setId).toBe(after.setId);
    expect([before.day, after.day]).toEqual([19_723, 19_724]);
    expect(after).toMatchObject({ key: { occurredAt: midnight, sourceId: 1 }, knownAt: midnight + 5 });
  });

  it('is refused where there is nobody', () => {
    expect(() => evidenceOf(anEvent({ atMs: 0, names: [] }))).toThrow(RangeError);
  });

  it('tells sets apart, and only sets', () => {
    const [a, b, c] = ['email:a', 'email:b', 'email:c'].map(anIdentifier);
    if (!a || !b || !c) throw new Error('three identifiers');
    const sets = [[a], [b], [a, b], [a, c], [b, c], [a, b, c]];
    expect(new Set(sets.map(setIdOf)).size).toBe(sets.length);
    expect(setIdOf([c, a, b])).toBe(setIdOf([a, b, c]));
  });
});

describe('evidence of a single identifier', () => {
  it('is one row for all days', () => {
    const visits = [3, 0, 1, 2].map((days) => anEvent({ atMs: START_MS + days * DAY_MS, names: ['anonymous_id:c'] }));
    expect(evidenceRows(visits)).toMatchObject([{ day: 0, key: { occurredAt: START_MS }, knownAt: START_MS }]);
  });
});

describe('the least evidence', () => {
  const sketch = fc.record({
    atMs: fc.integer({ min: START_MS, max: START_MS + 3 }),
    sourceId: fc.integer({ min: 1, max: 2 }),
    messageId: fc.constantFrom('a', 'b', 'c'),
    acceptedAt: fc.integer({ min: START_MS, max: START_MS + 3 }),
  });
  const row = sketch.map((s) => evidenceOf(anEvent({ ...s, names: ['user_id:1', 'anonymous_id:c'] })));

  it('takes the lesser key and the earlier knowledge, whichever comes first', () => {
    fc.assert(
      fc.property(row, row, row, (a, b, c) => {
        const least = leastEvidence(a, b);
        expect(leastEvidence(b, a)).toEqual(least);
        expect(leastEvidence(least, c)).toEqual(leastEvidence(a, leastEvidence(b, c)));
        expect(leastEvidence(a, a)).toBe(a);
        expect(least.knownAt).toBe(Math.min(a.knownAt, b.knownAt));
        expect(least.key).toEqual(compareEvidence(a, b) <= 0 ? a.key : b.key);
      }),
      { numRuns: 1_000 },
    );
  });

  it('is not there for different sets or days', () => {
    const one = evidenceOf(anEvent({ atMs: START_MS, names: ['user_id:1', 'anonymous_id:c'] }));
    const other = evidenceOf(anEvent({ atMs: START_MS, names: ['user_id:2', 'anonymous_id:c'] }));
    const nextDay = evidenceOf(anEvent({ atMs: START_MS + DAY_MS, names: ['user_id:1', 'anonymous_id:c'] }));
    expect(() => leastEvidence(one, other)).toThrow(RangeError);
    expect(() => leastEvidence(one, nextDay)).toThrow(RangeError);
  });
});

describe('rows of evidence', () => {
  const event: fc.Arbitrary<LoggedEvent> = fc
    .record({
      hours: fc.integer({ min: 0, max: 72 }),
      messageId: fc.constantFrom('a', 'b'),
      names: fc.subarray(['user_id:1', 'email:a', 'anonymous_id:c'], { minLength: 1 }),
    })
    .map(({ hours, ...rest }) => anEvent({ ...rest, atMs: START_MS + hours * HOUR_MS }));

  it('are the same, in one order, for the same events in any order', () => {
    const twice = fc
      .array(event, { maxLength: 20 })
      .chain((events) => fc.tuple(fc.constant(events), fc.shuffledSubarray(events, { minLength: events.length })));
    fc.assert(
      fc.property(twice, ([events, again]) => {
        expect(evidenceRows(again).sort(compareEvidence)).toEqual(evidenceRows(events).sort(compareEvidence));
      }),
      { numRuns: 500 },
    );
  });
});

describe('evidence behind an event of which the key alone is known', () => {
  const others = fc.subarray(['email:a', 'email:b', 'email:c']);
  const sent = fc.array(fc.record({ hour: fc.nat(72), others }), { minLength: 1, maxLength: 12 });

  it('has the row that stands for the event, and no other where the row has its key', () => {
    fc.assert(
      fc.property(sent, (all) => {
        const events = all.map(({ hour, others: names }, i) =>
          anEvent({ atMs: START_MS + hour * HOUR_MS, names: ['user_id:till', ...names], messageId: `m${String(i)}` }),
        );
        const rows = evidenceRows(events).map(({ key, identifiers }) => ({ ...key, identifiers }));
        const behind = new EvidenceBehind(rows);
        for (const event of events) {
          const sets = [...behind.of(event)].map(({ identifiers }) => setIdOf(identifiers));
          expect(sets).toContain(setIdOf(event.identifiers));
          if (rows.some(({ messageId }) => messageId === event.messageId)) expect(sets).toHaveLength(1);
        }
      }),
    );
  });

  it('leaves out other days, and what began later', () => {
    const row = (atMs: number, ...names: string[]) => anEvent({ atMs, names: ['user_id:till', ...names] });
    const [early, late, next] = [
      row(START_MS + 1, 'email:a'),
      row(START_MS + 9, 'email:b'),
      row(START_MS + DAY_MS, 'email:c'),
    ];
    const alone = row(START_MS - 3 * DAY_MS);
    const key = { occurredAt: START_MS + 5, sourceId: 1, messageId: 'removed' };
    const behind = (...rows: LoggedEvent[]) => [...new EvidenceBehind(rows).of(key)];
    expect(behind(early, late, next)).toEqual([early]);
    expect(behind(early, late, next, alone)).toEqual([alone, early]);
    expect(behind(late, next)).toEqual([]);
  });
});
