import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MemoryIdentity } from '../../test/support/memory-identity.js';
import {
  byPriority,
  idOfName,
  naiveEvidence,
  NaiveIdentity,
  naiveGenerics,
  naivePartition,
  sortNames,
  type NaiveEvent,
  type NaiveRow,
} from '../../test/support/naive-identity.js';
import { decisionOf, pickOf, rawOf, type StandingIds } from '../../test/support/random-decision.js';
import {
  prioritiesOf,
  randomHistory,
  SOME_RULES,
  type RandomEvent,
  type Step,
} from '../../test/support/random-identities.js';
import type { IdentityRules } from './identity-rules.model.js';

/*
 * The steps that a worker resolves identities with, beside an oracle that was written from the definition
 * (`test/support/naive-identity.ts`). More histories, and others: WEFT_TEST_HISTORIES=20000 WEFT_TEST_SEED=7.
 */

const HISTORIES = Number(process.env['WEFT_TEST_HISTORIES'] ?? 400);
const SEED = Number(process.env['WEFT_TEST_SEED'] ?? 20_261_122);

/** A history lived by the product and by its oracle. */
class Run {
  readonly product: MemoryIdentity;
  readonly oracle: NaiveIdentity;
  /** Events that were refused are not in it. */
  readonly told: { event: RandomEvent; pos: number }[] = [];
  /** Ids of profiles by who founded them: they never change. */
  readonly ids = new Map<string, string>();
  hasToggled = false;
  hasReordered = false;
  decided = 0;

  constructor(readonly firstRules: IdentityRules) {
    this.product = new MemoryIdentity(firstRules);
    this.oracle = new NaiveIdentity(firstRules);
  }

  async live(step: Step): Promise<void> {
    if (step.kind === 'batch') return this.#batch(step);
    if (step.kind === 'rules') {
      this.#rules(step.pick);
      return;
    }
    if (step.kind === 'generic') return this.#generic(step.pick);
    const decision = decisionOf(step, this.oracle, this.#ids(), this.product.pos);
    if (decision === null) return;
    this.decided++;
    await this.product.decide(decision.revision);
    decision.tell();
  }

  async #batch({ events, isCold }: Step & { kind: 'batch' }): Promise<void> {
    const accepted = events.flatMap((event) => {
      const origin = { authenticated: event.isAuthenticated };
      const logged = this.product.accept({ ...event, origin });
      expect(logged === null).toBe(event.names.length === 0);
      if (logged !== null) this.told.push({ event, pos: logged.pos });
      return logged === null ? [] : [{ event, logged }];
    });
    const all = accepted.map(({ logged }) => logged);
    // Some in two batches, of which the second is prepared while the first is written.
    const first = all.length % 2 === 0 ? all.splice(0, all.length / 2) : all.splice(0);
    await this.product.apply(first, { isCold, next: all });
    if (all.length > 0) await this.product.apply(all, { isCold: false });
    for (const { event, logged } of accepted) this.oracle.hear(naive(event, logged.pos, this.oracle.rules));
  }

  #rules(pick: number): void {
    const generics = this.oracle.generics.size === 0 ? undefined : this.#generics();
    const picked = pickOf(SOME_RULES, pick) ?? this.firstRules;
    const isReordered = prioritiesOf(picked) !== prioritiesOf(this.oracle.rules);
    // An event that moves because of a generic value is put in the order of the rules by then.
    if (isReordered && this.hasToggled) return;
    this.hasReordered ||= isReordered;
    const rules = { ...picked, version: this.oracle.rules.version + 100, ...(generics && { generics }) };
    this.product.use(rules);
    this.oracle.rules = rules;
  }

  #generics() {
    this.hasToggled = true;
    return { version: this.decided, ids: new Set([...this.oracle.generics].map(idOfName)) };
  }

  async #generic(pick: number): Promise<void> {
    const value = pickOf([...new Set(this.oracle.events.flatMap(({ names }) => names))].sort(), pick);
    if (value === undefined || this.hasReordered) return;
    this.decided++;
    const isGeneric = !this.oracle.generics.has(value);
    this.oracle.setGeneric(value, isGeneric, this.product.pos);
    await this.product.setGenerics(idOfName(value), this.#generics().ids);
  }

  #ids(): StandingIds {
    const { identifiers, links, moves } = this.product.tables;
    return {
      profileIds: new Map([...identifiers.values()].map(({ id, profileId }) => [id, profileId])),
      links: [...links.values()]
        .filter(({ removedAt }) => removedAt === null)
        .map((link) => ({ ...link, a: link.a.id, b: link.b.id })),
      merges: moves.filter(({ kind }) => kind === 'merge'),
    };
  }

  /** The product is what the oracle is. */
  check(): void {
    const { product, oracle } = this;
    same([product.partition, linksOf(product), product.strays], [oracle.partition, plainLinks(oracle.links), []]);
    same(evidenceOf(product), plainEvidence(naiveEvidence(oracle.events, oracle.generics, { byAnchor: true })));
    const { identifiers, profiles } = product.tables;
    // Where values came or went with what is generic, others may have founded profiles in their place.
    if (this.hasToggled) return;
    const founderOf = new Map([...profiles.values()].map(({ id, foundingId }) => [id, product.nameOf(foundingId)]));
    for (const [id, founder] of founderOf) {
      if ((this.ids.get(founder) ?? id) !== id) throw new Error(`${founder} has another id than before`);
      this.ids.set(founder, id);
    }
    const stands = [...identifiers.values()].map((each) => [product.nameOf(each.id), founderOf.get(each.profileId)]);
    same(stands.sort(), [...oracle.profileOf].sort());
    same([...founderOf.values()].sort(), [...oracle.founded.keys()].sort());
  }
}

/** As `expect` has it, without what that costs where they are the same. */
function same(actual: unknown, expected: unknown): void {
  if (JSON.stringify(actual) !== JSON.stringify(expected)) expect(actual).toEqual(expected);
}

function naive({ names, ...event }: RandomEvent, pos: number, rules: IdentityRules): NaiveEvent {
  const { atMs, sourceId, messageId } = event;
  return { pos, atMs, sourceId, messageId, acceptedAt: pos, names: [...names].sort(byPriority(rules)) };
}

/** The same events and links, the links first, and the events at once in another order. */
async function atOnce({ told, product }: Run, rules: IdentityRules, order: (event: RandomEvent) => number) {
  const again = new MemoryIdentity(rules);
  again.link([...product.tables.links.values()].filter(({ removedAt }) => removedAt === null));
  const logged = [...told]
    .sort((a, b) => order(a.event) - order(b.event))
    .flatMap(({ event }) => again.accept({ ...event, origin: { authenticated: event.isAuthenticated } }) ?? []);
  await again.apply(logged, { isCold: false });
  return again;
}

const rowText = (
  { atMs, sourceId, messageId }: Pick<NaiveEvent, 'atMs' | 'sourceId' | 'messageId'>,
  anchor: string,
  day: number,
  names: readonly string[],
): string => [anchor, day, [...names].sort().join('+'), atMs, sourceId, messageId].join(' ');

function plainEvidence(rows: readonly NaiveRow[]): string[] {
  return rows
    .map((row) => `${rowText(row, row.anchor, row.day, [...row.names, ...row.generic])} ${String(row.acceptedAt)}`)
    .sort();
}

function evidenceOf(product: MemoryIdentity): string[] {
  const names = new Map(product.log.flatMap(({ identifiers }) => identifiers.map((i) => [i.id, `${i.ns}:${i.value}`])));
  const nameOf = (id: string): string => names.get(id) ?? id;
  return [...product.tables.evidence.values()]
    .map(({ anchorId, day, key, knownAt, identifierIds }) => {
      const row = { atMs: key.occurredAt, sourceId: key.sourceId, messageId: key.messageId };
      return `${rowText(row, nameOf(anchorId), day, identifierIds.map(nameOf))} ${String(knownAt)}`;
    })
    .sort();
}

function plainLinks({ must, cannot }: NaiveIdentity['links']): string[] {
  const text = (kind: string) => (pair: readonly [string, string]) => [kind, ...[...pair].sort()].join(' ');
  return [...must.map(text('must')), ...cannot.map(text('cannot'))].sort();
}

function linksOf({ tables }: MemoryIdentity): string[] {
  return [...tables.links.values()]
    .filter(({ removedAt }) => removedAt === null)
    .map(({ kind, a, b }) => [kind, ...[a, b].map(({ ns, value }) => `${ns}:${value}`).sort()].join(' '))
    .sort();
}

const anyRules = fc.constantFrom(...SOME_RULES);
const anySalt = fc.nat({ max: 100 });

const withoutKnownAt = (rows: readonly string[]): string[] => rows.map((row) => row.slice(0, row.lastIndexOf(' ')));

/** All at once, in another order, with the links that stand at the end: the same people by the same evidence. */
async function checkAtOnce(run: Run, salt: number): Promise<void> {
  const { events, generics, links, rules } = run.oracle;
  const known = { ...rules, generics: { version: 1, ids: new Set([...generics].map(idOfName)) } };
  const again = await atOnce(run, known, ({ messageId }) => (Number(messageId.slice(1)) * (salt + 7)) % 101);
  const evidence = naiveEvidence(events, generics);
  expect(again.partition).toEqual(sortNames(naivePartition(evidence, rules, links)));
  expect(run.product.partition).toEqual(again.partition);
  expect(again.strays).toEqual([]);
  if (run.hasReordered) return;
  expect(withoutKnownAt(evidenceOf(again))).toEqual(withoutKnownAt(evidenceOf(run.product)));
}

describe('other rules', () => {
  it('join whom they do not keep apart any more as soon as an event names one of them, whatever it says', async () => {
    const [tight, , , wide] = SOME_RULES;
    if (tight === undefined || wide === undefined) throw new Error('there are no such rules');
    const identity = new MemoryIdentity(tight);
    const tell = async (messageId: string, ...names: string[]): Promise<void> => {
      const key = { atMs: 0, sourceId: 1, messageId, origin: {} };
      const event = identity.accept({ ...key, raw: names.map(rawOf) });
      await identity.apply(event === null ? [] : [event], { isCold: false });
    };
    await tell('a', 'user_id:u1', 'user_id:u2');
    identity.use({ ...wide, version: 2 });
    expect(identity.partition).toEqual([['user_id:u1'], ['user_id:u2']]);
    await tell('b', 'user_id:u1');
    expect(identity.partition).toEqual([['user_id:u1', 'user_id:u2']]);
  });

  it('do so beyond limits, too, when nothing comes but what is known', async () => {
    const [narrow] = SOME_RULES.slice(1);
    const [wider] = SOME_RULES;
    if (narrow === undefined || wider === undefined) throw new Error('there are no such rules');
    const identity = new MemoryIdentity(narrow);
    const tell = async (messageId: string, ...names: string[]): Promise<void> => {
      const event = identity.accept({ atMs: 0, sourceId: 1, messageId, origin: {}, raw: names.map(rawOf) });
      await identity.apply(event === null ? [] : [event], { isCold: false });
    };
    const ann = ['user_id:u1', 'email:ann@example.com', 'twitter:ann', 'device_id:aa-11', 'anonymous_id:x1'];
    await tell('a', 'user_id:u1', 'user_id:u2');
    await tell('b', ...ann);
    expect(identity.partition).toContainEqual(['anonymous_id:x1']);
    identity.use({ ...wider, version: 7 });
    await tell('c', ...ann);
    expect(identity.partition).toEqual([[...ann].sort(), ['user_id:u2']]);
  });
});

describe('what is known already', () => {
  it('is evidence of the anchor that it hangs on by other priorities, too, so that it is there without the first', async () => {
    const [before, after] = [SOME_RULES[0], SOME_RULES[8]];
    if (before === undefined || after === undefined) throw new Error('there are no such rules');
    const identity = new MemoryIdentity(before);
    for (const [messageId, rules] of [
      ['a', before],
      ['b', { ...after, version: 9 }],
      ['c', { ...after, version: 9 }],
    ] as const) {
      identity.use(rules);
      // More addresses than the second rules let one person have: all that is known is read.
      const raw = ['email:ann@example.com', 'email:ab@gmail.com', 'anonymous_id:x1'].map(rawOf);
      const event = identity.accept({ atMs: 0, sourceId: 1, messageId, origin: {}, raw });
      await identity.apply(event === null ? [] : [event], { isCold: false });
    }
    const rows = [...identity.tables.evidence.values()].map(({ anchorId, key }) => [
      identity.nameOf(anchorId),
      key.messageId,
    ]);
    expect(rows).toEqual([
      ['email:ab@gmail.com', 'a'],
      ['anonymous_id:x1', 'b'],
    ]);
  });
});

describe('values that many people share', () => {
  const bound = 2;
  const names = ['user_id:u1', 'user_id:u2', 'user_id:u3', 'user_id:U1', 'crm_id:c1', 'crm_id:c2'];
  const others = ['email:ann@example.com', 'email:ab@gmail.com', 'anonymous_id:x1'];

  it('are still who people said that they are once an event that names nobody else hangs on them again', async () => {
    const [rules] = SOME_RULES;
    if (rules === undefined) throw new Error('there are no such rules');
    const identity = new MemoryIdentity(rules);
    const [person, cookie, device] = ['user_id:u1', 'anonymous_id:x1', 'device_id:cc-33'] as const;
    const [a, b] = [person, cookie].map((name) => ({ ...rawOf(name), id: idOfName(name) }));
    if (a === undefined || b === undefined) throw new Error('there are two');
    const by = { revisionId: a.id, createdBy: 'ann', createdAt: 0, reason: '', removedBy: null, removedAt: null };
    identity.link([{ id: b.id, kind: 'must', a, b, model: null, ...by }]);
    for (const [i, names] of [
      [person, cookie],
      [person, device],
    ].entries()) {
      const key = { atMs: 0, sourceId: 1, messageId: `m${String(i)}`, origin: {} };
      const event = identity.accept({ ...key, raw: names.map(rawOf) });
      await identity.apply(event === null ? [] : [event], { isCold: false });
    }
    await identity.setGenerics(a.id, new Set([a.id]));
    expect(identity.partition).toEqual([[cookie], [device]]);
    await identity.setGenerics(idOfName(device), new Set([a.id, idOfName(device)]));
    expect(identity.partition).toEqual([[cookie, person]]);
  });

  it('are found in whatever order what they share came, with some that are known and some that are to come', async () => {
    const event = fc.uniqueArray(fc.constantFrom(...names, ...others), { minLength: 1, maxLength: 3 });
    await fc.assert(
      fc.asyncProperty(fc.array(event, { minLength: 4, maxLength: 14 }), async (events) => {
        const [first] = SOME_RULES;
        if (first === undefined) throw new Error('there are no such rules');
        const rules = { ...first, genericBound: bound };
        const product = new MemoryIdentity(rules);
        const told: NaiveEvent[] = [];
        const generics = new Set<string>();
        for (const [i, own] of events.entries()) {
          const key = { atMs: 0, sourceId: 1, messageId: `m${String(i)}` };
          const logged = product.accept({ ...key, raw: own.map(rawOf), origin: { authenticated: true } });
          told.push({ ...key, pos: i + 1, acceptedAt: i + 1, names: own });
          await product.apply(logged === null ? [] : [logged], { isCold: i % 3 === 0 });
          const wanted = new Set([...naiveGenerics(told, rules, { bound, kept: new Set() })].map(idOfName));
          for (let found = product.takeSuspects(); found.length > 0; found = product.takeSuspects()) {
            for (const id of found.filter((each) => wanted.has(each) && !generics.has(each))) {
              generics.add(id);
              await product.setGenerics(id, new Set(generics));
            }
          }
          expect([...generics].sort()).toEqual([...wanted].sort());
        }
      }),
      { numRuns: Math.ceil(HISTORIES / 4), seed: SEED },
    );
  });
});

describe('values that are blocked after they came', () => {
  const anyBatches = randomHistory({ withProtection: false }).map((steps) =>
    steps.flatMap((step) => (step.kind === 'batch' ? [step] : [])),
  );
  const without = (events: readonly NaiveEvent[], blocked: ReadonlySet<string>): NaiveEvent[] =>
    events
      .map((event) => ({ ...event, names: event.names.filter((name) => !blocked.has(name)) }))
      .filter(({ names }) => names.length > 0);

  it('leave who is who as if they had been blocked from the start, and as if never once they are not, in any order', async () => {
    await fc.assert(
      fc.asyncProperty(
        anyRules,
        anyBatches,
        fc.array(fc.nat({ max: 1_000 }), { maxLength: 3 }),
        async (rules, batches, picks) => {
          const product = new MemoryIdentity(rules);
          const told: NaiveEvent[] = [];
          const send = async ({ events, isCold }: (typeof batches)[number]): Promise<void> => {
            const logged = events.flatMap((event) => {
              const accepted = product.accept({ ...event, origin: { authenticated: event.isAuthenticated } });
              const names = event.names.filter((name) => !product.blocked.has(idOfName(name)));
              if (accepted !== null) told.push(naive({ ...event, names }, accepted.pos, rules));
              return accepted ?? [];
            });
            await product.apply(logged, { isCold });
          };
          const half = Math.ceil(batches.length / 2);
          for (const batch of batches.slice(0, half)) await send(batch);
          const known = [...new Set(told.flatMap(({ names }) => names))].sort();
          const blocked = new Set(picks.flatMap((pick) => pickOf(known, pick) ?? []));
          const ids = new Set<string>();
          for (const name of blocked) product.blocked.add(idOfName(name));
          for (const name of blocked) await product.setGenerics(idOfName(name), new Set(ids.add(idOfName(name))));
          for (const batch of batches.slice(half)) await send(batch);
          const partitionOf = (events: readonly NaiveEvent[]): string[][] =>
            sortNames(naivePartition(naiveEvidence(events, new Set()), rules, { must: [], cannot: [] }));
          const counting = product.partition.filter((group) => !group.every((name) => blocked.has(name)));
          expect(counting).toEqual(partitionOf(without(told, blocked)));
          expect(product.strays).toEqual([]);
          for (const name of blocked) {
            ids.delete(idOfName(name));
            await product.setGenerics(idOfName(name), new Set(ids));
          }
          expect(product.partition).toEqual(partitionOf(told));
          expect(product.strays).toEqual([]);
        },
      ),
      { numRuns: Math.ceil(HISTORIES / 4), seed: SEED },
    );
  });
});

describe('identity, whatever happens', () => {
  it(
    'is after each batch and decision what its definition makes of all that was sent: who is who, by which id, and why',
    { timeout: 3_600_000 },
    async () => {
      let decided = 0;
      await fc.assert(
        fc.asyncProperty(anyRules, randomHistory({ withProtection: false }), anySalt, async (rules, history, salt) => {
          const run = new Run(rules);
          for (const step of history) {
            await run.live(step);
            run.check();
          }
          await checkAtOnce(run, salt);
          decided += run.decided;
        }),
        { numRuns: HISTORIES, seed: SEED },
      );
      expect(decided).toBeGreaterThan(HISTORIES / 2);
    },
  );

  it(
    'is the same through other rules and generic values that come and go, once everybody is resolved anew',
    { timeout: 3_600_000 },
    async () => {
      await fc.assert(
        fc.asyncProperty(anyRules, randomHistory({ withProtection: true }), anySalt, async (rules, history, salt) => {
          const run = new Run(rules);
          for (const step of history) {
            await run.live(step);
            run.check();
          }
          await run.product.resolveAll();
          run.oracle.resolveAll(run.product.pos);
          run.check();
          if (!run.hasReordered) await checkAtOnce(run, salt);
        }),
        { numRuns: HISTORIES, seed: SEED + 1 },
      );
    },
  );
});
