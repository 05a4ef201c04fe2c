import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  anEvent,
  anIdentifier,
  DAY_MS,
  evidenceRows,
  HOUR_MS,
  naiveComponents,
  naiveResolve,
  sortGroups,
  START_MS,
  whereShared,
} from '../../test/support/identity-builders.js';
import type { Identifier, LoggedEvent } from '../events/event.model.js';
import type { Uuid } from '../platform/ids.js';
import { compareEvidence, evidenceOf, type Evidence } from './evidence.model.js';
import { NO_LINKS, type IdentityLinks } from './identity-links.model.js';
import {
  checkIdentityRules,
  DEFAULT_IDENTITY_RULES,
  withinLimits,
  type IdentityRules,
} from './identity-rules.model.js';
import { resolveComponent } from './resolve-component.js';

/** Limits so low that random histories meet them all the time. */
const TIGHT: IdentityRules = checkIdentityRules({
  ...DEFAULT_IDENTITY_RULES,
  namespaces: new Map([
    ['user_id', { priority: 100, limit: 1, windowMs: null, normaliser: 'id', mayMerge: true }],
    ['email', { priority: 80, limit: 2, windowMs: null, normaliser: 'email', mayMerge: true }],
    ['device_id', { priority: 40, limit: 1, windowMs: 2 * DAY_MS, normaliser: 'id', mayMerge: true }],
    ['anonymous_id', { priority: 20, limit: 2, windowMs: DAY_MS, normaliser: 'id', mayMerge: true }],
  ]),
});
const device = { priority: 40, limit: 2, windowMs: null, normaliser: 'id', mayMerge: false } as const;
const DEVICES_MAY_NOT_MERGE: IdentityRules = {
  ...TIGHT,
  namespaces: new Map([...TIGHT.namespaces, ['device_id', device]]),
};
const WIDE: IdentityRules = {
  ...TIGHT,
  namespaces: new Map([...TIGHT.namespaces].map(([ns, rule]) => [ns, { ...rule, limit: 1000 }])),
};

const SMALL: IdentityRules = { ...WIDE, maxIdentifiers: 3 };

const NAMES = [
  ...['user_id:1', 'user_id:2', 'user_id:3', 'email:1', 'email:2', 'email:3', 'email:4'],
  ...[
    'device_id:1',
    'device_id:2',
    'device_id:3',
    'anonymous_id:1',
    'anonymous_id:2',
    'anonymous_id:3',
    'anonymous_id:4',
  ],
];

/** Events with few identifiers out of few, within days; times collide so that ties are broken too. */
const history: fc.Arbitrary<LoggedEvent[]> = fc
  .array(
    fc.record({
      hours: fc.integer({ min: 0, max: 96 }),
      sourceId: fc.integer({ min: 1, max: 2 }),
      names: fc.subarray(NAMES, { minLength: 1, maxLength: 4 }),
    }),
    { minLength: 1, maxLength: 16 },
  )
  .map((sketches) =>
    sketches.map(({ hours, sourceId, names }, i) =>
      anEvent({ atMs: START_MS + hours * HOUR_MS, sourceId, names, messageId: `m${String(i)}` }, TIGHT),
    ),
  );

const pairs = fc.array(fc.tuple(fc.constantFrom(...NAMES), fc.constantFrom(...NAMES)), { maxLength: 3 });
const links: fc.Arbitrary<IdentityLinks> = fc.record({ mustLinks: pairs, cannotLinks: pairs }).map((byName) => ({
  mustLinks: byName.mustLinks.map(([a, b]) => [anIdentifier(a).id, anIdentifier(b).id] as const),
  cannotLinks: byName.cannotLinks.map(([a, b]) => [anIdentifier(a).id, anIdentifier(b).id] as const),
}));
const ISOLATED = whereShared(TIGHT, { anonymous_id: 'isolate', device_id: 'isolate', email: 'isolate' });
const OF_LAST_USERS = whereShared(DEVICES_MAY_NOT_MERGE, { anonymous_id: 'last_user', device_id: 'last_user' });
const SHARED_BOTH_WAYS = whereShared(TIGHT, { anonymous_id: 'last_user', device_id: 'isolate' });
const anyRules = fc.constantFrom(ISOLATED, OF_LAST_USERS, SHARED_BOTH_WAYS, TIGHT, DEVICES_MAY_NOT_MERGE, WIDE, SMALL, {
  ...TIGHT,
  maxIdentifiers: 4,
});

function shuffled<T>(items: T[]): fc.Arbitrary<T[]> {
  return fc.shuffledSubarray(items, { minLength: items.length });
}

function countsOf(identifiers: Iterable<Identifier>): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { ns } of identifiers) counts.set(ns, (counts.get(ns) ?? 0) + 1);
  return counts;
}

describe('replay of a component', () => {
  it('does what its definition says, step by step', () => {
    fc.assert(
      fc.property(history, links, anyRules, (events, decided, rules) => {
        const rows = evidenceRows(events);
        expect(sortGroups(resolveComponent(rows, rules, decided).groups)).toEqual(naiveResolve(rows, rules, decided));
      }),
      { numRuns: 2_000 },
    );
  });

  it('weighs long rows of cookies in every window as the definition does', () => {
    const cookiesOfTwoDays = {
      priority: 20,
      limit: 3,
      windowMs: 2 * DAY_MS,
      normaliser: 'id',
      mayMerge: true,
    } as const;
    const rules = { ...TIGHT, namespaces: new Map([...TIGHT.namespaces, ['anonymous_id', cookiesOfTwoDays]]) };
    const cookies = Array.from({ length: 14 }, (_, i) => `anonymous_id:${String(i)}`);
    const meeting = fc.record({
      days: fc.integer({ min: 0, max: 12 }),
      names: fc
        .tuple(
          fc.constantFrom('email:1', 'email:2', 'device_id:1'),
          fc.subarray(cookies, { minLength: 1, maxLength: 3 }),
        )
        .map(([known, seenWith]) => [known, ...seenWith]),
    });
    fc.assert(
      fc.property(fc.array(meeting, { minLength: 5, maxLength: 24 }), (meetings) => {
        const rows = evidenceRows(
          meetings.map(({ days, names }, i) =>
            anEvent({ atMs: START_MS + days * DAY_MS, names, messageId: `m${String(i)}` }, rules),
          ),
        );
        expect(sortGroups(resolveComponent(rows, rules).groups)).toEqual(naiveResolve(rows, rules, NO_LINKS));
      }),
      { numRuns: 1_000 },
    );
  });

  it('meets limits in these histories, so that the tests above and below mean something', () => {
    const demoted = fc.sample(history, { numRuns: 500, seed: 1 }).filter((events) => {
      return resolveComponent(evidenceRows(events), TIGHT).demotedRows > 0;
    });
    expect(demoted.length).toBeGreaterThan(200);
  });

  it('meets shared identifiers in these histories, and decides otherwise because of them', () => {
    const changed = fc.sample(history, { numRuns: 500, seed: 1 }).filter((events) => {
      const rows = evidenceRows(events);
      const [isolated, ofLast, limited] = [ISOLATED, OF_LAST_USERS, TIGHT].map((rules) =>
        JSON.stringify(resolveComponent(rows, rules).groups),
      );
      return isolated !== limited && ofLast !== limited && isolated !== ofLast;
    });
    expect(changed.length).toBeGreaterThan(100);
  });

  it('does not depend on the order of events, rows, identifiers or links', () => {
    const reordered = fc.tuple(history, links).chain(([events, decided]) =>
      fc.record({
        events: fc.constant(events),
        decided: fc.constant(decided),
        eventsAgain: shuffled(events),
        decidedAgain: fc.record({
          mustLinks: shuffled([...decided.mustLinks]),
          cannotLinks: shuffled([...decided.cannotLinks]),
        }),
      }),
    );
    fc.assert(
      fc.property(reordered, anyRules, ({ events, decided, eventsAgain, decidedAgain }, rules) => {
        const rows = evidenceRows(eventsAgain).map((row) => ({ ...row, identifiers: [...row.identifiers].reverse() }));
        const flipped = { ...decidedAgain, mustLinks: decidedAgain.mustLinks.map(([a, b]) => [b, a] as const) };
        expect(resolveComponent(rows, rules, flipped)).toEqual(resolveComponent(evidenceRows(events), rules, decided));
      }),
      { numRuns: 3_000 },
    );
  });

  it('hears nothing new in a set that it has heard, where all may merge: the least row of each set would do', () => {
    const repeating = history.chain((events) =>
      fc.array(fc.tuple(fc.constantFrom(...events), fc.nat({ max: 96 })), { maxLength: 16 }),
    );
    fc.assert(
      fc.property(repeating, links, fc.constantFrom(TIGHT, WIDE), (sketches, decided, rules) => {
        const events = sketches.map(([event, hours], i) => {
          return { ...event, occurredAt: START_MS + hours * HOUR_MS, messageId: `m${String(i)}` };
        });
        const rowPerEvent = events.map((event, day) => ({ ...evidenceOf(event), day }));
        const rowPerSet = new Map<Uuid, Evidence>();
        for (const row of [...rowPerEvent].sort(compareEvidence).reverse()) rowPerSet.set(row.setId, row);
        const groups = naiveResolve(evidenceRows(events), rules, decided);
        expect(naiveResolve(rowPerEvent, rules, decided)).toEqual(groups);
        expect(naiveResolve([...rowPerSet.values()], rules, decided)).toEqual(groups);
      }),
      { numRuns: 1_000 },
    );
  });

  it('gives one group wherever the quick test says so', () => {
    let quick = 0;
    fc.assert(
      fc.property(history, anyRules, (events, rules) => {
        const rows = evidenceRows(events);
        for (const component of naiveComponents(rows.map((row) => row.identifiers.map(({ id }) => id)))) {
          const own = rows.filter((row) => component.includes(row.anchorId));
          const members = new Map(own.flatMap((row) => row.identifiers.map((i) => [i.id, i])));
          if (!withinLimits(countsOf(members.values()), rules)) continue;
          quick++;
          expect(resolveComponent(own, rules)).toEqual({ groups: [component], demotedRows: 0 });
        }
      }),
      { numRuns: 2_000 },
    );
    expect(quick).toBeGreaterThan(1_000);
  });

  it('resolves components one by one as it does all at once', () => {
    fc.assert(
      fc.property(history, anyRules, (events, rules) => {
        const rows = evidenceRows(events);
        const components = naiveComponents(rows.map((row) => row.identifiers.map(({ id }) => id)));
        const oneByOne = components.flatMap((ids) => {
          return resolveComponent(
            rows.filter((row) => ids.includes(row.anchorId)),
            rules,
          ).groups;
        });
        expect(sortGroups(oneByOne)).toEqual(sortGroups(resolveComponent(rows, rules).groups));
      }),
      { numRuns: 1_000 },
    );
  });
});
