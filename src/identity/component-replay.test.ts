import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  anEvent,
  anIdentifier,
  DAY_MS,
  evidenceRows,
  HOUR_MS,
  naiveResolve,
  seen,
  sortGroups,
  START_MS,
  whereShared,
} from '../../test/support/identity-builders.js';
import type { LoggedEvent } from '../events/event.model.js';
import type { Uuid } from '../platform/ids.js';
import { ComponentReplay } from './component-replay.js';
import { evidenceOf, type Evidence } from './evidence.model.js';
import { NO_LINKS, type IdentityLinks } from './identity-links.model.js';
import { DEFAULT_IDENTITY_RULES, type IdentityRules, type NamespaceRule } from './identity-rules.model.js';

const rule = (priority: number, limit: number, windowMs: number | null, mayMerge = true): NamespaceRule => ({
  priority,
  limit,
  windowMs,
  normaliser: 'id',
  mayMerge,
});

/** Limits so low that random histories meet them all the time. */
const TIGHT: IdentityRules = {
  ...DEFAULT_IDENTITY_RULES,
  namespaces: new Map([
    ['user_id', rule(100, 1, null)],
    ['email', rule(80, 2, null)],
    ['device_id', rule(40, 1, 2 * DAY_MS)],
    ['anonymous_id', rule(20, 2, DAY_MS)],
  ]),
};
const DEVICES_MAY_NOT_MERGE: IdentityRules = {
  ...TIGHT,
  namespaces: new Map([...TIGHT.namespaces, ['device_id', rule(40, 2, null, false)]]),
};
const ISOLATED = whereShared(TIGHT, { anonymous_id: 'isolate', device_id: 'isolate', email: 'isolate' });
const OF_LAST_USERS = whereShared(DEVICES_MAY_NOT_MERGE, { anonymous_id: 'last_user', device_id: 'last_user' });
const SHARED_BOTH_WAYS = whereShared(TIGHT, { anonymous_id: 'last_user', device_id: 'isolate' });
const anyRules = fc.constantFrom(ISOLATED, OF_LAST_USERS, SHARED_BOTH_WAYS, TIGHT, DEVICES_MAY_NOT_MERGE);

const NAMES = ['user_id', 'email', 'device_id', 'anonymous_id'].flatMap((ns) =>
  ['1', '2', '3', '4'].map((value) => `${ns}:${value}`),
);

/** In any order of time. Sets come back, on the same day and on others; times collide. */
const history: fc.Arbitrary<LoggedEvent[]> = fc
  .array(fc.subarray(NAMES, { minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 8 })
  .chain((sets) =>
    fc.array(fc.record({ hours: fc.integer({ min: 0, max: 96 }), names: fc.constantFrom(...sets) }), {
      minLength: 1,
      maxLength: 20,
    }),
  )
  .map((sketches) =>
    sketches.map(({ hours, names }, i) =>
      anEvent({ atMs: START_MS + hours * HOUR_MS, names, messageId: `m${String(i)}` }, TIGHT),
    ),
  );

const pairs = fc.array(fc.tuple(fc.constantFrom(...NAMES), fc.constantFrom(...NAMES)), { maxLength: 3 });
const links: fc.Arbitrary<IdentityLinks> = fc.record({ mustLinks: pairs, cannotLinks: pairs }).map((byName) => ({
  mustLinks: byName.mustLinks.map(([a, b]) => [anIdentifier(a).id, anIdentifier(b).id] as const),
  cannotLinks: byName.cannotLinks.map(([a, b]) => [anIdentifier(a).id, anIdentifier(b).id] as const),
}));

/** A partition that hears of changed groups only. */
class Partition {
  readonly #groupOf = new Map<Uuid, readonly Uuid[]>();

  take(groups: readonly (readonly Uuid[])[]): void {
    for (const group of groups) for (const id of group) this.#groupOf.set(id, group);
  }

  get groups(): string[][] {
    return sortGroups([...new Set(this.#groupOf.values())]);
  }
}

/** Replays of components as they come about: each by itself until an event joins them. */
class Components {
  readonly #of = new Map<Uuid, ComponentReplay>();

  constructor(readonly rules: IdentityRules) {}

  get all(): ReadonlySet<ComponentReplay> {
    return new Set(this.#of.values());
  }

  take(event: LoggedEvent): ComponentReplay {
    const joined = new Set(event.identifiers.map(({ id }) => this.#of.get(id)).filter((r) => r !== undefined));
    const [first = new ComponentReplay(this.rules), ...others] = [...joined];
    for (const other of others) {
      first.absorb(other);
      for (const [id, replay] of this.#of) if (replay === other) this.#of.set(id, first);
    }
    for (const { id } of event.identifiers) this.#of.set(id, first);
    first.add(evidenceOf(event));
    return first;
  }
}

describe('a replay that is continued', () => {
  it('is after every event what a whole replay of all that is known would be, late evidence or not', () => {
    fc.assert(
      fc.property(history, links, anyRules, (events, decided, rules) => {
        const replay = new ComponentReplay(rules, decided);
        const partition = new Partition();
        events.forEach((event, i) => {
          replay.add(evidenceOf(event));
          partition.take(replay.advance());
          const rows = evidenceRows(events.slice(0, i + 1));
          expect(partition.groups).toEqual(naiveResolve(rows, rules, decided));
        });
      }),
      { numRuns: 1_000 },
    );
  });

  it('is the same where components were replayed one by one before they met, and some were not for a while', () => {
    fc.assert(
      fc.property(history, anyRules, fc.func(fc.boolean()), (events, rules, isNow) => {
        const components = new Components(rules);
        const partition = new Partition();
        events.forEach((event, i) => {
          components.take(event);
          const isLast = i === events.length - 1;
          if (!isLast && !isNow(i)) return;
          for (const replay of components.all) partition.take(replay.advance());
          const rows = evidenceRows(events.slice(0, i + 1));
          expect(partition.groups).toEqual(naiveResolve(rows, rules, NO_LINKS));
        });
      }),
      { numRuns: 2_000 },
    );
  });

  it('meets late evidence, limits and joins in these histories, so that the tests above mean something', () => {
    let [late, demoted, joins] = [0, 0, 0];
    for (const events of fc.sample(history, { numRuns: 300, seed: 1 })) {
      const [alone, components] = [new ComponentReplay(TIGHT), new Components(TIGHT)];
      let before = 0;
      for (const event of events) {
        alone.add(evidenceOf(event));
        alone.advance();
        if (alone.decided > before + 1) late++;
        before = alone.decided;
        if (components.take(event).rows > 2) joins++;
      }
      demoted += alone.demotedRows;
    }
    expect(late).toBeGreaterThan(200);
    expect(demoted).toBeGreaterThan(200);
    expect(joins).toBeGreaterThan(200);
  });
});

describe('what a step costs', () => {
  const cookies = (count: number): Evidence[] =>
    Array.from({ length: count }, (_, i) => seen(i, 'email:info@shop.example', `anonymous_id:c${String(i)}`));

  function replayOf(evidence: readonly Evidence[]): ComponentReplay {
    const replay = new ComponentReplay(DEFAULT_IDENTITY_RULES);
    for (const row of evidence) replay.add(row);
    replay.advance();
    return replay;
  }

  it('is one row for evidence that is later than all before, however many came before', () => {
    const replay = replayOf(cookies(2_000));
    const before = replay.decided;
    replay.add(seen(3_000, 'email:info@shop.example', 'anonymous_id:new'));
    expect(replay.advance()).toHaveLength(1);
    expect(replay.decided).toBe(before + 1);
  });

  it('is one row for late evidence that unites nothing', () => {
    const replay = replayOf(cookies(2_000));
    const before = replay.decided;
    replay.add(seen(7.5, 'email:info@shop.example', 'anonymous_id:late'));
    expect(replay.advance()).toEqual([[anIdentifier('anonymous_id:late').id]]);
    expect(replay.decided).toBe(before + 1);
  });

  it('is the rows after its place for late evidence that unites something', () => {
    const replay = replayOf(cookies(2_000));
    const before = replay.decided;
    replay.add(seen(1_989.5, 'anonymous_id:c1995', 'anonymous_id:late'));
    replay.advance();
    expect(replay.decided).toBe(before + 11);
  });

  it('is nothing for a set that was heard, a day later or a year', () => {
    const replay = replayOf(cookies(10));
    expect(replay.add(seen(24 * 365, 'email:info@shop.example', 'anonymous_id:c3'))).toBe(false);
    expect(replay.rows).toBe(10);
  });

  it('is what the smaller component knows where two meet', () => {
    const replay = replayOf(cookies(2_000));
    const other = replayOf([seen(5, 'anonymous_id:x'), seen(7, 'anonymous_id:x', 'phone:+1')]);
    const before = replay.decided;
    replay.absorb(other);
    replay.add(seen(3_000, 'email:info@shop.example', 'phone:+1'));
    replay.advance();
    expect(replay.decided).toBe(before + 2);
  });
});
