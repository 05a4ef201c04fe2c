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
import { assignProfiles, type FoundedProfile, type PlacedIdentifier } from './assign-profiles.js';
import { compareEvidence, evidenceOf, leastEvidence, type Evidence } from './evidence.model.js';
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
      { numRuns: 3_000 },
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

/** What a pipeline does with each event, as plainly as it can be written. */
class World {
  readonly identifiers = new Map<Uuid, PlacedIdentifier>();
  readonly evidence = new Map<string, Evidence>();
  readonly profiles = new Map<Uuid, FoundedProfile>();

  #lastProfile = 0;

  constructor(readonly rules: IdentityRules) {}

  apply(event: LoggedEvent, pos: number): void {
    const row = evidenceOf(event);
    const key = `${row.setId} ${String(row.day)}`;
    const known = this.evidence.get(key);
    this.evidence.set(key, known === undefined ? row : leastEvidence(known, row));
    for (const identifier of event.identifiers) {
      if (!this.identifiers.has(identifier.id)) {
        this.identifiers.set(identifier.id, { ...identifier, firstPos: pos, profileId: null });
      }
    }
    const sets = [...this.evidence.values()].map((e) => e.identifiers.map(({ id }) => id));
    const component = naiveComponents(sets).find((ids) => ids.includes(row.anchorId)) ?? [];
    const members = component.flatMap((id) => this.identifiers.get(id) ?? []);
    const groups = withinLimits(countsOf(members), this.rules)
      ? [component]
      : resolveComponent(
          [...this.evidence.values()].filter((e) => component.includes(e.anchorId)),
          this.rules,
        ).groups;
    this.#assign(members, groups, pos);
  }

  #assign(members: readonly PlacedIdentifier[], groups: readonly (readonly Uuid[])[], pos: number): void {
    const byId = new Map(members.map((member) => [member.id, member]));
    const { moved, created, merged, revived } = assignProfiles({
      groups: groups.map((group) => group.flatMap((id) => byId.get(id) ?? [])),
      foundedBy: (id) => [...this.profiles.values()].find((profile) => profile.foundingId === id),
      rules: this.rules,
      pos,
      newProfileId: () => `p${String(++this.#lastProfile)}`,
    });
    for (const profile of created) this.profiles.set(profile.id, profile);
    for (const { from, into, previously } of merged) this.#redirect(from, previously, into);
    for (const { id, previously } of revived) this.#redirect(id, previously, null);
    for (const { identifierId, to } of moved) {
      const member = byId.get(identifierId);
      if (member !== undefined) this.identifiers.set(identifierId, { ...member, profileId: to });
    }
  }

  #redirect(id: Uuid, from: Uuid | null, to: Uuid | null): void {
    const profile = this.profiles.get(id);
    if (profile?.mergedInto !== from) throw new Error(`profile ${id} was not an alias of ${String(from)}`);
    this.profiles.set(id, { ...profile, mergedInto: to });
  }

  partition(): string[][] {
    const byProfile = new Map<Uuid | null, Uuid[]>();
    for (const { id, profileId } of this.identifiers.values()) {
      byProfile.set(profileId, [...(byProfile.get(profileId) ?? []), id]);
    }
    return sortGroups([...byProfile.values()]);
  }

  profileOf(id: Uuid): FoundedProfile | undefined {
    return this.profiles.get(this.identifiers.get(id)?.profileId ?? '');
  }
}

describe('identity, one event after another', () => {
  it('ends in the partition of all events at once, in whatever order they arrive', () => {
    const arrivals = history.chain((events) => fc.record({ events: fc.constant(events), arriving: shuffled(events) }));
    fc.assert(
      fc.property(arrivals, anyRules, ({ events, arriving }, rules) => {
        const world = new World(rules);
        arriving.forEach((event, i) => world.apply(event, i + 1));
        expect(world.partition()).toEqual(naiveResolve(evidenceRows(events), rules, NO_LINKS));
      }),
      { numRuns: 1_000 },
    );
  });

  it('is right after every event, not only at the end', () => {
    fc.assert(
      fc.property(history, (events) => {
        const world = new World(TIGHT);
        events.forEach((event, i) => {
          world.apply(event, i + 1);
          expect(world.partition()).toEqual(
            sortGroups(resolveComponent(evidenceRows(events.slice(0, i + 1)), TIGHT).groups),
          );
        });
      }),
      { numRuns: 300 },
    );
  });

  it('keeps every profile: alive where its founding identifier is, else an alias of the one that lives there', () => {
    fc.assert(
      fc.property(history, anyRules, (events, rules) => {
        const world = new World(rules);
        events.forEach((event, i) => {
          const before = [...world.profiles.keys()];
          world.apply(event, i + 1);
          expect([...world.profiles.keys()].slice(0, before.length)).toEqual(before);
          for (const { id, foundingId, mergedInto } of world.profiles.values()) {
            const standing = world.profileOf(foundingId);
            expect(standing?.mergedInto).toBeNull();
            expect(standing?.id).toBe(mergedInto ?? id);
          }
          for (const { id } of world.identifiers.values()) expect(world.profileOf(id)?.mergedInto).toBeNull();
        });
      }),
      { numRuns: 500 },
    );
  });

  it('only ever moves an identifier to an older profile while no limit is met', () => {
    fc.assert(
      fc.property(history, (events) => {
        const world = new World(WIDE);
        const foundedPos = new Map<Uuid, number>();
        events.forEach((event, i) => {
          world.apply(event, i + 1);
          for (const { id } of world.identifiers.values()) {
            const now = world.profileOf(id)?.foundedPos ?? Infinity;
            expect(now).toBeLessThanOrEqual(foundedPos.get(id) ?? Infinity);
            foundedPos.set(id, now);
          }
        });
      }),
      { numRuns: 500 },
    );
  });
});
