import { afterEach, describe, expect, it } from 'vitest';
import type { Engine } from '../../src/engine.js';
import type { EngineLimits } from '../../src/engine-limits.js';
import { SourceEntity } from '../../src/sources/source.entity.js';
import {
  ASKER,
  BLOCKED,
  blockedWorld,
  knownTogether,
  OPEN,
  putInForce,
  sentBySharers,
  valuesOf,
} from '../support/blocked-world.js';
import { storedAndFolded } from '../support/folded-log.js';
import { activateByTown } from '../support/matching-world.js';
import { pick, randomFrom } from '../support/random-log.js';
import { aLoad, loadIdOf, strays } from '../support/retraction-builders.js';
import { partitionShares } from '../support/partition-shares.js';
import { settleGenerics } from '../support/settle-generics.js';
import type { World } from '../support/world.js';

const HISTORIES = Number(process.env['WEFT_TEST_HISTORIES'] ?? 2);
const SEED = Number(process.env['WEFT_TEST_SEED'] ?? 1);
const SEEDS = Array.from({ length: HISTORIES }, (_, i) => SEED + i);

const RULES = [
  OPEN,
  BLOCKED,
  `{ namespaces: { email: { limit: 2 } }, blocked: { values: [desk, card-1-0],
    patterns: [{ namespace: user_id, pattern: 'test-1' }] } }`,
  `{ blocked: { patterns: [{ namespace: user_id, pattern: 'test-0|u.*' }], mailboxes: [info] } }`,
  `{ namespaces: { email: { limit: 3 } }, blocked: { patterns: ['p[0-2]-0@.*'] } }`,
];
/** Joined by hand, whatever is blocked. */
const LINKED = [
  [
    { ns: 'user_id', value: 'test-1' },
    { ns: 'user_id', value: 'u2' },
  ],
  [
    { ns: 'email', value: 'p1-0@example.org' },
    { ns: 'email', value: 'p4-1@example.org' },
  ],
];

const worlds: World[] = [];

afterEach(async () => {
  await Promise.all(worlds.splice(0).map((world) => world.close()));
});

/** One in which rules change, are carried out, and are changed again meanwhile, and one in which that is done once. */
class Histories {
  readonly #trail: string[] = [];
  readonly #takenBack = new Set<string>();
  /** Events that the first worker applied since, and that the second one did, whoever these were at the time. */
  readonly applied = { first: 0, second: 0 };
  #engine: Engine;
  #second: Engine | null = null;

  constructor(
    readonly busy: World,
    readonly calm: World,
    private readonly limits: Partial<EngineLimits>,
    private readonly random: () => number,
  ) {
    this.#engine = busy.engine;
  }

  get trail(): string {
    return this.#trail.join(', ');
  }

  /** Accepts these events with all else that may happen in between, by two workers at first. */
  async run(events: ReturnType<typeof sentBySharers>): Promise<void> {
    await this.#restart();
    await this.#toggleSecond();
    for (let i = 0; i < events.length;) {
      const what = this.random();
      if (what < 0.45) {
        const batch = events.slice(i, i + 1 + this.#any(8));
        i += batch.length;
        await this.#accept(batch);
      } else if (what < 0.6) await this.#changeRules();
      else if (what < 0.64) await this.#takeBack(`l${String(this.#any(3))}`);
      else if (what < 0.68) await this.#restart();
      else if (what < 0.72) await this.#toggleSecond();
      else if (what < 0.76) for (const world of this.#worlds) world.clock.advance(11_000);
      else await this.#work(1 + this.#any(6));
    }
  }

  /** By rules that both have in the end, with all that this concerns resolved. */
  async end(): Promise<void> {
    await this.#second?.worker.stop();
    this.#second = null;
    await this.#share();
    const rules = pick(this.random, RULES);
    this.#trail.push(`in the end ${rules}`);
    for (const world of this.#worlds) {
      await putInForce(world, rules, false);
      await world.engine.identity.revisions.request({ kind: 'rules', input: {} }, ASKER);
    }
    await settleGenerics(this.busy, this.#engine);
    await settleGenerics(this.calm);
  }

  /** @returns what is known in both */
  async known() {
    const busy = { ...this.busy, engine: this.#engine };
    return knownTogether(busy, this.calm);
  }

  get #worlds(): readonly World[] {
    return [this.busy, this.calm];
  }

  #any(most: number): number {
    return Math.floor(this.random() * most);
  }

  async #accept(batch: ReturnType<typeof sentBySharers>): Promise<void> {
    const load = this.random() < 0.25 ? `l${String(this.#any(3))}` : null;
    this.#trail.push(`${String(batch.length)} events${load === null ? '' : ` of ${load}`}`);
    for (const world of this.#worlds) {
      const loadId = load === null || this.#takenBack.has(load) ? {} : { loadId: await aLoad(world.db, load) };
      await world.engine.accept.accept({ id: 1, key: 'web' }, batch, { historical: false, ...loadId });
    }
  }

  async #changeRules(): Promise<void> {
    const rules = pick(this.random, RULES);
    const isReresolving = this.random() < 0.7;
    this.#trail.push(`rules ${String(RULES.indexOf(rules))}${isReresolving ? ', carried out' : ''}`);
    await putInForce(this.busy, rules, isReresolving);
    await putInForce(this.calm, rules, false);
  }

  async #takeBack(load: string): Promise<void> {
    if (this.#takenBack.has(load)) return;
    for (const world of this.#worlds) {
      await aLoad(world.db, load);
      await world.engine.retractions.takeBackLoad(loadIdOf(load));
    }
    this.#takenBack.add(load);
    this.#trail.push(`${load} taken back`);
  }

  async #restart(): Promise<void> {
    await this.#engine.worker.stop();
    this.#engine = await this.#another('first');
    this.#trail.push('restart');
    await this.#share();
  }

  async #toggleSecond(): Promise<void> {
    if (this.#second === null) this.#second = await this.#another('second');
    else if (this.applied.second === 0) return;
    else {
      await this.#second.worker.stop();
      this.#second = null;
    }
    this.#trail.push(`a second worker ${this.#second === null ? 'goes' : 'comes'}`);
    await this.#share();
  }

  /** A worker on a pool of its own, of which is counted what it applies. */
  async #another(which: 'first' | 'second'): Promise<Engine> {
    const db = await this.busy.test.connect({ entities: [SourceEntity] });
    return this.busy.engineOn(db, this.limits, {
      onCommitted: ({ events }) => {
        this.applied[which] += events;
      },
    });
  }

  /** Works until each has its share of the partitions. */
  async #share(): Promise<void> {
    const shares = this.#second === null ? '16' : '8,8';
    for (let i = 0; (await partitionShares(this.busy.db)).join() !== shares; i++) {
      if (i === 1_000) throw new Error(`the partitions are never shared as ${shares}`);
      await this.#engine.worker.runOnce();
      await this.#second?.worker.runOnce();
    }
  }

  async #work(rounds: number): Promise<void> {
    this.#trail.push(`${String(rounds)} rounds`);
    for (let i = 0; i < rounds; i++) {
      await this.#engine.worker.runOnce();
      if (this.random() < 0.5) await this.#second?.worker.runOnce();
    }
  }
}

/** By `WEFT_TEST_HISTORIES` more of them, from `WEFT_TEST_SEED` on. */
describe('values that are blocked, and let go of, again and again', () => {
  it.each(SEEDS)(
    'leave nothing behind, whatever comes, is taken back or is joined by hand meanwhile (seed %i)',
    async (seed) => {
      const random = randomFrom(seed);
      const limits = { maxRevisionComponents: 5, maxRetractionEvents: 7, leaseRefreshMs: 0 };
      const [busy, calm] = [await blockedWorld(limits, { sealed: seed % 2 === 0 }), await blockedWorld(limits)];
      worlds.push(busy, calm);
      const events = sentBySharers(seed, 140);
      for (const world of [busy, calm]) {
        if (seed % 2 === 0) await activateByTown(world);
        await world.accept(events.slice(0, 20));
        await world.drain();
        for (const identifiers of LINKED) {
          await world.engine.identity.revisions.request({ kind: 'merge', input: { identifiers } }, ASKER);
        }
        await settleGenerics(world);
      }
      const histories = new Histories(busy, calm, limits, random);
      await histories.run(events.slice(20));
      const { first, second } = histories.applied;
      expect(first, histories.trail).toBeGreaterThan(0);
      expect(second, histories.trail).toBeGreaterThan(0);
      await histories.end();
      const [often, once] = await histories.known();
      expect(often, histories.trail).toEqual(once);
      const { stored, folded } = await storedAndFolded(busy);
      expect(stored, histories.trail).toEqual(folded);
      expect(await strays(busy.db)).toEqual([]);
      expect((await valuesOf(busy)).filter(({ isMoving }) => isMoving)).toEqual([]);
    },
    240_000,
  );
});
