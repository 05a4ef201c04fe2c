import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { LoggedEvent } from '../../src/events/event.model.js';
import { newLink } from '../../src/identity/identity-decision.model.js';
import { NO_LINKS, sortedPair, type IdentityLinks } from '../../src/identity/identity-links.model.js';
import { DEFAULT_IDENTITY_RULES, type IdentityRules } from '../../src/identity/identity-rules.model.js';
import { IdentityStep } from '../../src/identity/identity.step.js';
import { assignmentsOf } from '../../src/identity/assignment.store.js';
import { ContestedComponentStore } from '../../src/identity/contested-component.store.js';
import { GenericValueStore } from '../../src/identity/generic-value.store.js';
import { IdentityLinkStore } from '../../src/identity/identity-link.store.js';
import { IdentityStore } from '../../src/identity/identity.store.js';
import { newId } from '../../src/platform/ids.js';
import type { Transaction } from '../../src/platform/postgres.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import {
  anEvent,
  anIdentifier,
  DAY_MS,
  evidenceRows,
  HOUR_MS,
  naiveResolve,
  sortGroups,
  START_MS,
  whereShared,
} from '../support/identity-builders.js';

/** Limits so low that random histories meet them all the time. */
const rule = { windowMs: null, normaliser: 'id', mayMerge: true } as const;
const TIGHT: IdentityRules = {
  ...DEFAULT_IDENTITY_RULES,
  namespaces: new Map([
    ['user_id', { ...rule, priority: 100, limit: 1 }],
    ['email', { ...rule, priority: 80, limit: 2 }],
    ['device_id', { ...rule, priority: 40, limit: 1, windowMs: 2 * DAY_MS }],
    ['anonymous_id', { ...rule, priority: 20, limit: 2, windowMs: DAY_MS }],
  ]),
};
const DEVICES_MAY_NOT_MERGE: IdentityRules = {
  ...TIGHT,
  namespaces: new Map([
    ...TIGHT.namespaces,
    ['device_id', { ...rule, priority: 40, limit: 2, windowMs: null, mayMerge: false }],
  ]),
};

const NAMES = ['user_id', 'email', 'device_id', 'anonymous_id'].flatMap((ns) =>
  ['1', '2', '3', '4'].map((value) => `${ns}:${value}`),
);

/** Batches of events in any order of time, whether the worker has lost its memory before, and when the next is prepared. */
const batches = fc
  .array(fc.subarray(NAMES, { minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 8 })
  .chain((sets) =>
    fc.array(
      fc.record({
        isCold: fc.boolean(),
        preparesNext: fc.constantFrom('never', 'while it is written', 'once it is committed'),
        events: fc.array(fc.record({ hours: fc.integer({ min: 0, max: 96 }), names: fc.constantFrom(...sets) }), {
          minLength: 1,
          maxLength: 6,
        }),
      }),
      { minLength: 1, maxLength: 6 },
    ),
  );

/** Pairs of names, each with whether they are one person's. */
const linkedNames = fc.array(
  fc.record({ names: fc.subarray(NAMES, { minLength: 2, maxLength: 2 }), isMust: fc.boolean() }),
  { maxLength: 4 },
);

function linksOf(linked: readonly { names: readonly string[]; isMust: boolean }[], history: string): IdentityLinks {
  const pairs = linked.map(({ names, isMust }) => {
    const [a = '', b = ''] = names.map((name) => anIdentifier(`${name}-${history}`).id);
    return { isMust, pair: sortedPair(a, b) };
  });
  return {
    mustLinks: pairs.filter(({ isMust }) => isMust).map(({ pair }) => pair),
    cannotLinks: pairs.filter(({ isMust }) => !isMust).map(({ pair }) => pair),
  };
}

describe('the identity step', () => {
  let test: TestDatabase;
  let histories = 0;

  beforeAll(async () => {
    test = await createTestDatabase();
  });

  afterAll(async () => {
    await test.drop();
  });

  /** Written down before anybody was seen. */
  async function standing({ mustLinks, cannotLinks }: IdentityLinks, history: string): Promise<void> {
    const named = new Map(NAMES.map((name) => anIdentifier(`${name}-${history}`)).map((each) => [each.id, each]));
    const linked = (kind: 'must' | 'cannot', pairs: IdentityLinks['mustLinks']) =>
      pairs.flatMap(([x, y]) => {
        const [a, b] = [named.get(x), named.get(y)];
        return a === undefined || b === undefined ? [] : [newLink(kind, a, b, newId(START_MS))];
      });
    const decision = { revisionId: newId(START_MS), actor: 'test', reason: '', at: START_MS };
    await test.database.transaction((tx) =>
      new IdentityLinkStore().insert(tx, [...linked('must', mustLinks), ...linked('cannot', cannotLinks)], decision),
    );
  }

  async function partition(events: readonly LoggedEvent[]): Promise<string[][]> {
    const ids = idsOf(events);
    const rows = await test.database.query<{ id: string; profile_id: string }>(
      `SELECT i.id, i.profile_id FROM identifiers i JOIN profiles p ON p.id = i.profile_id
       WHERE i.id = ANY ($1::uuid[]) AND p.merged_into IS NULL`,
      [ids],
    );
    const groups = new Map<string, string[]>();
    for (const { id, profile_id } of rows) groups.set(profile_id, [...(groups.get(profile_id) ?? []), id]);
    return sortGroups([...groups.values()]);
  }

  function idsOf(events: readonly LoggedEvent[]): string[] {
    return [...new Set(events.flatMap((event) => event.identifiers.map(({ id }) => id)))].sort();
  }

  /** What each identifier stands for. */
  async function profilesOf(events: readonly LoggedEvent[]): Promise<Map<string, string>> {
    const rows = await test.database.query<{ id: string; profile_id: string }>(
      'SELECT id, profile_id FROM identifiers WHERE id = ANY ($1::uuid[]) ORDER BY id',
      [idsOf(events)],
    );
    return new Map(rows.map(({ id, profile_id: profileId }) => [id, profileId]));
  }

  /** What each stood for at a position of the log, by what is kept of the past. */
  async function profilesAsOf(events: readonly LoggedEvent[], pos: number): Promise<Map<string, string>> {
    const rows = await test.database.query<{ id: string; profile_id: string }>(
      `SELECT DISTINCT ON (identifier_id) identifier_id AS id, profile_id FROM ${assignmentsOf('$1::uuid[]')}
       WHERE from_pos <= $2::int8 ORDER BY identifier_id, from_pos DESC`,
      [idsOf(events), pos],
    );
    return new Map(rows.map(({ id, profile_id: profileId }) => [id, profileId]));
  }

  it.each([
    ['all may merge', TIGHT, 100_000, false],
    ['devices may not merge', DEVICES_MAY_NOT_MERGE, 100_000, false],
    ['hardly anything stays in memory', TIGHT, 12, false],
    ['browsers are isolated where they are shared', whereShared(TIGHT, { anonymous_id: 'isolate' }), 100_000, false],
    [
      "devices are their last users'",
      whereShared(TIGHT, { device_id: 'last_user', anonymous_id: 'last_user' }),
      12,
      true,
    ],
    ['people have said who is who', TIGHT, 100_000, true],
    ['people have said who is who, within limits', DEFAULT_IDENTITY_RULES, 100_000, true],
    ['people have said who is who, and hardly anything stays in memory', DEVICES_MAY_NOT_MERGE, 12, true],
  ])(
    'leaves after each batch what all that is known comes to, and what everybody stood for before, whatever was in memory (%s)',
    { timeout: 120_000 },
    async (_, rules, maxCachedIdentifiers, hasLinks) => {
      await fc.assert(
        fc.asyncProperty(batches, linkedNames, fc.constantFrom(1, 3, 1_000), async (sketches, linked, rowsAhead) => {
          const history = String(++histories);
          const links = hasLinks ? linksOf(linked, history) : NO_LINKS;
          await standing(links, history);
          const step = new IdentityStep({
            store: new IdentityStore(),
            links: new IdentityLinkStore(),
            contested: new ContestedComponentStore(),
            generics: new GenericValueStore(),
            rules,
            partitions: 16,
            newId,
            maxCachedIdentifiers,
            rowsAhead,
          });
          const stood: { upTo: number; profiles: Map<string, string> }[] = [];
          const known: LoggedEvent[] = [];
          let sent = 0;
          const all = sketches.map(({ events }) =>
            events.map(({ hours, names }) => {
              const pos = ++sent;
              const own = names.map((name) => `${name}-${history}`);
              return anEvent(
                { atMs: START_MS + hours * HOUR_MS, names: own, messageId: `m${String(pos)}`, pos },
                rules,
              );
            }),
          );
          for (const [i, { isCold, preparesNext }] of sketches.entries()) {
            const [events, next] = [all[i] ?? [], all[i + 1] ?? []];
            known.push(...events);
            if (isCold) step.forget();
            await test.database.transaction(async (tx) => {
              if (isCold) await step.lock(tx, events, hasLinks);
              const who = await step.resolve(tx, events, hasLinks);
              const preparing = preparesNext === 'while it is written' ? step.prepare(test.database, next) : null;
              await Promise.all([step.save(tx, who), preparing]);
            });
            step.release();
            if (preparesNext === 'once it is committed') await step.prepare(test.database, next);
            expect(await partition(known)).toEqual(naiveResolve(evidenceRows(known), rules, links));
            stood.push({ upTo: known.length, profiles: await profilesOf(known) });
          }
          const past = await Promise.all(stood.map(({ upTo }) => profilesAsOf(known, upTo)));
          expect(past).toEqual(stood.map(({ profiles }) => profiles));
        }),
        { numRuns: 30 },
      );
    },
  );

  it('looks for those asked for alone, however many have been merged since the database counted', async () => {
    const everybody = Array.from({ length: 1_000 }, (_, i) => anIdentifier(`email:merged-${String(i)}`).id);
    await test.database.query(
      `WITH living AS (
         INSERT INTO profiles (id, founding_id, founded_pos, created_at, part)
         SELECT id, id, 1, $2, 0 FROM unnest($1::uuid[]) AS id
       ) INSERT INTO identifiers (id, ns, value, component_id, profile_id, first_pos)
         SELECT id, 'email', 'of nobody', id, id, 1 FROM unnest($1::uuid[]) AS id`,
      [everybody, START_MS],
    );
    await test.database.execute('ANALYZE profiles, identifiers');
    const [into] = everybody;
    await test.database.execute('UPDATE profiles SET merged_into = $2 WHERE id = ANY ($1::uuid[])', [
      everybody.slice(1),
      into,
    ]);
    const read = async (tx: Transaction): Promise<number> => {
      const [row] = await tx.query<{ rows: number }>(
        `SELECT sum(seq_tup_read + idx_tup_fetch)::int8 AS rows FROM pg_stat_xact_user_tables
         WHERE relname IN ('profiles', 'identifiers')`,
      );
      return row?.rows ?? NaN;
    };
    const fetched = await test.database.transaction(async (tx) => {
      // As where there are so many that whole tables are not read.
      for (const way of ['seqscan', 'hashjoin', 'mergejoin']) await tx.execute(`SET LOCAL enable_${way} = off`);
      const before = await read(tx);
      await new IdentityStore().loadStandingComponents(tx, everybody.slice(0, 3));
      return (await read(tx)) - before;
    });
    expect(fetched).toBeGreaterThan(0);
    expect(fetched).toBeLessThan(50);
  });
});
