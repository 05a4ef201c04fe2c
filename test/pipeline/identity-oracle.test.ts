import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { GENERIC_BOUND } from '../../src/identity/generic-value.model.js';
import type { IdentityRules } from '../../src/identity/identity-rules.model.js';
import {
  idOfName,
  naiveEvidence,
  naiveGenerics,
  NaiveIdentity,
  naivePartition,
  sortNames,
} from '../support/naive-identity.js';
import { decisionOf, pickOf, rawOf, type StandingIds } from '../support/random-decision.js';
import { prioritiesOf, randomHistory, SOME_RULES, type RandomEvent, type Step } from '../support/random-identities.js';
import { strays } from '../support/retraction-builders.js';
import { settleGenerics } from '../support/settle-generics.js';
import { createWorld, DAY_MS, MINUTE_MS, type World } from '../support/world.js';

/*
 * The histories of `src/identity/identity-oracle.test.ts`, by the whole pipeline and on PostgreSQL; generic values are
 * those that many people share, and what people say of them. More of them, and others: WEFT_TEST_HISTORIES=500
 * WEFT_TEST_SEED=7.
 */

const HISTORIES = Number(process.env['WEFT_TEST_HISTORIES'] ?? 25);
const SEED = Number(process.env['WEFT_TEST_SEED'] ?? 20_261_122);
const who = { actor: 'a test', reason: '' };

let world: World;
const sources = new Map<number, { id: number; key: string; authenticated: boolean }>();

beforeAll(async () => {
  // After all that happens.
  world = await createWorld(Date.UTC(2024, 0, 6), { limits: { maxRevisionComponents: 50 } });
  for (const [i, key] of ['web', 'server'].entries()) {
    await world.accept([], { source: key });
    const [row] = await world.db.query<{ id: number }>('SELECT id FROM sources WHERE key = $1', [key]);
    sources.set(i + 1, { id: row?.id ?? 0, key, authenticated: i === 1 });
  }
});

afterAll(() => world.close());

/** The name in a history of its own. */
function ownName(name: string, run: number): string {
  const { ns, value } = rawOf(name);
  const [mailbox = '', domain] = value.split('@');
  if (ns === 'phone') return `phone:+44207${String(run).padStart(5, '0')}${value.slice(-2)}`;
  return `${ns}:${mailbox}${String(run)}${domain === undefined ? '' : `@${domain}`}`;
}

class Run {
  readonly oracle: NaiveIdentity;
  readonly kept = new Set<string>();
  hasToggled = false;
  hasCrowd = false;
  hasReordered = false;

  constructor(
    readonly run: number,
    rules: IdentityRules,
  ) {
    this.oracle = new NaiveIdentity(rules);
  }

  async live(step: Step): Promise<void> {
    switch (step.kind) {
      case 'batch':
        return this.#batch(step.events, step.isCold);
      case 'rules':
        return this.#rules(step.pick);
      case 'generic':
        return this.#protect(step.pick);
      default:
        return this.#decide(step);
    }
  }

  async #batch(events: readonly RandomEvent[], isCold: boolean): Promise<void> {
    for (const event of events) {
      const source = sources.get(event.sourceId);
      if (source === undefined) throw new Error('no such source');
      const names = event.names.map((name) => ownName(name, this.run));
      const counting = names.filter((name) => source.authenticated || !name.startsWith('crm_id:'));
      const messageId = `${String(this.run)} ${event.messageId}`;
      const before = await lastPos();
      const identifiers = names.map(rawOf);
      await world.engine.accept.accept(
        source,
        [{ type: 'track', name: 'seen', messageId, identifiers, timestampMs: event.atMs }],
        { historical: false },
      );
      const pos = await lastPos();
      expect(pos > before).toBe(counting.length > 0);
      if (counting.length > 0) this.#hear(event, counting, pos, messageId);
      if (isCold) await world.drain();
    }
    await world.drain();
    await this.#settle();
  }

  #hear({ atMs, sourceId }: RandomEvent, counting: readonly string[], pos: number, messageId: string): void {
    const names = this.oracle.inOrder(counting);
    this.oracle.hear({ atMs, sourceId, pos, messageId, acceptedAt: pos, names });
  }

  async #rules(pick: number): Promise<void> {
    const rules = pickOf(SOME_RULES, pick) ?? this.oracle.rules;
    const isReordered = prioritiesOf(rules) !== prioritiesOf(this.oracle.rules);
    // An event that moves because of a generic value is put in the order of the rules by then.
    if (this.hasCrowd && isReordered) return;
    this.hasReordered ||= isReordered;
    await applyRules(rules, this.hasCrowd ? who : undefined);
    this.oracle.rules = rules;
    // What many people share is counted once they are resolved anew.
    if (!this.hasCrowd) return;
    this.oracle.resolveAll(this.oracle.events.at(-1)?.pos ?? 0);
    await this.#settle();
  }

  /** Many people come with one value; or somebody says of it that it is one person's, or takes that back. */
  async #protect(pick: number): Promise<void> {
    // An event that moves because of it is put in the order of the rules by then.
    if (this.hasReordered) return;
    const shared = ownName(pickOf(['email:ann@example.com', 'device_id:aa-11'], pick) ?? '', this.run);
    if (!this.hasCrowd) {
      this.hasCrowd = true;
      const crowd = Array.from(
        { length: GENERIC_BOUND + 1 },
        (_, i) => `user_id:crowd${String(i)}-${String(this.run)}`,
      );
      const atMs = Date.UTC(2024, 0, 2);
      const events = crowd.map((name, i) => ({
        names: [name, shared],
        messageId: `${String(this.run)} c${String(i)}`,
      }));
      const [web] = [...sources.values()];
      await world.engine.accept.accept(
        web ?? { id: 1, key: 'web' },
        events.map(({ names, messageId }) => ({
          type: 'track',
          name: 'seen',
          messageId,
          identifiers: names.map(rawOf),
          timestampMs: atMs,
        })),
        { historical: false },
      );
      const last = await lastPos();
      for (const [i, { names, messageId }] of events.entries()) {
        const pos = last - events.length + 1 + i;
        this.oracle.hear({ atMs, sourceId: 1, pos, messageId, acceptedAt: pos, names: this.oracle.inOrder(names) });
      }
    } else {
      const { generics } = world.engine.identity;
      if (this.kept.delete(shared)) await generics.clear(rawOf(shared), who);
      else {
        await generics.keep(rawOf(shared), who);
        this.kept.add(shared);
      }
    }
    await this.#settle();
  }

  /** Once it is found what is generic, the oracle is told so. */
  async #settle(): Promise<void> {
    if (this.hasCrowd) await settleGenerics(world);
    const wanted = naiveGenerics(this.oracle.events, this.oracle.rules, { bound: GENERIC_BOUND, kept: this.kept });
    const { generics } = this.oracle;
    const pos = this.oracle.events.at(-1)?.pos ?? 0;
    for (const value of new Set([...wanted, ...generics])) {
      if (wanted.has(value) === generics.has(value)) continue;
      this.hasToggled = true;
      this.oracle.setGeneric(value, wanted.has(value), pos);
    }
  }

  async #decide(step: Exclude<Step, { kind: 'batch' }>): Promise<void> {
    const pos = this.oracle.events.at(-1)?.pos ?? 0;
    const decision = decisionOf(step, this.oracle, await standingIds(), pos);
    if (decision === null) return;
    const { id } = await world.engine.identity.revisions.request(decision.revision, who);
    await world.drain();
    expect(await world.engine.identity.revisions.settled(id, { timeoutMs: 0 })).toMatchObject({ status: 'done' });
    decision.tell();
    await this.#settle();
  }

  async resolveAll(): Promise<void> {
    const { id } = await world.engine.identity.revisions.request({ kind: 'rules', input: {} }, who);
    await world.drain();
    expect(await world.engine.identity.revisions.settled(id, { timeoutMs: 0 })).toMatchObject({ status: 'done' });
    this.oracle.resolveAll(this.oracle.events.at(-1)?.pos ?? 0);
  }

  async check(): Promise<void> {
    const { events, generics, profileOf } = this.oracle;
    const names = [...new Set(events.flatMap((event) => event.names))];
    const rows = await world.db.query<{ name: string; profile: string; founder: string | null }>(
      `SELECT i.ns || ':' || i.value AS name, i.profile_id AS profile, f.ns || ':' || f.value AS founder FROM identifiers i
       JOIN profiles p ON p.id = i.profile_id LEFT JOIN identifiers f ON f.id = p.founding_id
       WHERE i.id = ANY ($1::uuid[]) AND p.merged_into IS NULL`,
      [names.map(idOfName)],
    );
    const groups = new Map<string, string[]>();
    for (const { name, profile } of rows) groups.set(profile, [...(groups.get(profile) ?? []), name]);
    expect(sortNames(groups.values())).toEqual(this.oracle.partition);
    const evidence = await evidenceOf(names);
    const expected = naiveEvidence(events, generics, { byAnchor: true })
      .map(
        (row) =>
          `${row.anchor} ${[...row.names, ...row.generic].sort().join('+')} ${String(row.day)} ${String(row.atMs)} ${row.messageId}`,
      )
      .sort();
    expect(evidence).toEqual(expected);
    if (this.hasToggled) return;
    expect(Object.fromEntries(rows.map(({ name, founder }) => [name, founder]))).toEqual(Object.fromEntries(profileOf));
  }
}

async function applyRules(rules: IdentityRules, reresolve?: typeof who): Promise<void> {
  await world.engine.services.identityRules.apply(rules, { by: 'a test', isDryRun: false, reresolve });
  await world.drain();
}

async function lastPos(): Promise<number> {
  const [row] = await world.db.query<{ pos: number }>('SELECT coalesce(max(pos), 0) AS pos FROM event_log');
  return row?.pos ?? 0;
}

async function evidenceOf(names: readonly string[]): Promise<string[]> {
  const nameOf = new Map(names.map((name) => [idOfName(name), name]));
  const rows = await world.db.query<{ anchor: string; ids: string[]; day: number; at: number; message: string }>(
    `SELECT anchor_id AS anchor, identifier_ids AS ids, day, occurred_at AS at, message_id AS message FROM evidence
     WHERE anchor_id = ANY ($1::uuid[])`,
    [[...nameOf.keys()]],
  );
  return rows
    .map(({ anchor, ids, day, at, message }) =>
      [
        nameOf.get(anchor),
        ids
          .map((id) => nameOf.get(id) ?? id)
          .sort()
          .join('+'),
        day,
        at,
        message,
      ].join(' '),
    )
    .sort();
}

async function standingIds(): Promise<StandingIds> {
  const identifiers = await world.db.query<{ id: string; profile: string }>(
    'SELECT id, profile_id AS profile FROM identifiers',
  );
  return {
    profileIds: new Map(identifiers.map(({ id, profile }) => [id, profile])),
    links: await world.db.query('SELECT id, kind, a_id AS a, b_id AS b FROM identity_links WHERE removed_at IS NULL'),
    merges: await world.db.query(
      `SELECT id, pos, identifier_ids AS "identifierIds" FROM identity_moves WHERE kind = 'merge' ORDER BY seq`,
    ),
  };
}

describe('identity by the whole pipeline', () => {
  it(
    'is what its definition makes of all that was sent and decided, through other rules and values that many people share',
    { timeout: 60_000 * Math.max(5, HISTORIES) },
    async () => {
      let run = 0;
      await fc.assert(
        fc.asyncProperty(
          fc.constantFrom(...SOME_RULES),
          fc.boolean().chain((withProtection) => randomHistory({ withProtection })),
          async (rules, history) => {
            const lived = new Run(++run, rules);
            await applyRules(rules);
            for (const step of history) {
              await lived.live(step);
              await lived.check();
              world.clock.advance(MINUTE_MS);
            }
            await lived.resolveAll();
            await lived.check();
            const { events, generics, links } = lived.oracle;
            expect(lived.oracle.partition).toEqual(
              sortNames(naivePartition(naiveEvidence(events, generics), lived.oracle.rules, links)),
            );
          },
        ),
        { numRuns: HISTORIES, seed: SEED },
      );
      world.clock.advance(DAY_MS);
      await world.drain();
      expect(await strays(world.db)).toEqual([]);
    },
  );
});
