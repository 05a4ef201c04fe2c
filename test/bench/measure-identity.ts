import type { LoggedEvent, RawIdentifier } from '../../src/events/event.model.js';
import { CachedIdentifierPolicy } from '../../src/identity/identifier-policy.js';
import { ContestedComponentStore } from '../../src/identity/contested-component.store.js';
import { GenericValueStore } from '../../src/identity/generic-value.store.js';
import { IdentityLinkStore } from '../../src/identity/identity-link.store.js';
import { DEFAULT_IDENTITY_RULES as RULES } from '../../src/identity/identity-rules.model.js';
import { IdentityStep } from '../../src/identity/identity.step.js';
import { IdentityStore } from '../../src/identity/identity.store.js';
import { newId } from '../../src/platform/ids.js';
import type { Database } from '../../src/platform/postgres.js';
import type { BenchWorld } from './bench-world.js';
import { figure, percentile, type Figure, type Section } from './report.js';

const BATCH_ROWS = 1_000;
const IDENTIFIERS_PER_ROW = 3;
const ROUNDS = 3;
const ROWS_PER_ROUND = 40_000;
const PARTITIONS = 16;
/** Of a person who comes again; a round spans days, and each day is evidence of its own. */
const VISITS = 10;
const ROW_MS = 20_000;
/** Single events that are not timed: the first ones are planned, compiled and read from disk. */
const WARM_UP_EVENTS = 500;
const NOON_MS = Date.UTC(2026, 0, 1, 12);

interface IdentityOptions {
  /** Profiles that there are before single events are resolved. */
  readonly profiles: number;
  /** Single events that are timed. */
  readonly events: number;
}

/**
 * Deterministic resolution by itself: rows of three identifiers in transactions of a thousand, as batch loads bring
 * them, then single events, each in a transaction of its own, among as many profiles as a large installation has.
 */
export async function measureIdentity(world: BenchWorld, options: IdentityOptions): Promise<Section> {
  const url = await world.createDatabase('identity');
  const db = await world.connect(url);
  await db.runMigrations();
  const resolver = new Resolver(db, () => world.postgresCpuMs());
  const rounds = { unseen: [] as Rate[], coming: [] as Rate[] };
  await resolver.batch(peopleRows({ from: -10_000, count: 10_000 }));
  let people = 0;
  for (let round = 0; round < ROUNDS; round++) {
    rounds.unseen.push(await resolver.batch(peopleRows({ from: people, count: ROWS_PER_ROUND })));
    people += ROWS_PER_ROUND;
    const visits = { from: people, count: ROWS_PER_ROUND / VISITS };
    rounds.coming.push(await resolver.batch(visitRows(visits)));
    people += visits.count;
  }
  while (people < options.profiles) {
    const count = Math.min(100_000, options.profiles - people);
    await resolver.batch(peopleRows({ from: people, count }));
    people += count;
  }
  await db.execute('VACUUM (ANALYZE) identifiers, profiles, evidence, assignments');
  // Else what the bulk left in memory is written during what is timed.
  await db.execute('CHECKPOINT');
  await resolver.singly({ from: 0, count: WARM_UP_EVENTS }, people);
  const single = await resolver.singly({ from: WARM_UP_EVENTS, count: options.events }, people);
  const bare = await bareCommits(db, options.events);
  const ms = (name: string, percent: number, of: readonly number[], aim?: string) =>
    figure(name, 'ms', [percentile(of, percent)], aim);
  return {
    title: 'Identity, deterministic',
    notes: [
      `batch: rows of ${String(IDENTIFIERS_PER_ROW)} identifiers over days, ${String(BATCH_ROWS)} a transaction, normalised, resolved, written and committed;`,
      `single: among ${String(people)} profiles with ${String(people * IDENTIFIERS_PER_ROW)} identifiers, ${String(options.events)} events of random people, each in a transaction of its own until it is durable.`,
    ],
    figures: [
      ...ratesOf('people who come ten times', rounds.coming),
      ...ratesOf('people never seen before', rounds.unseen),
      ms('single, known identifiers: p50', 50, single.known),
      ms('single, known identifiers: p99', 99, single.known, '≤ 5'),
      ms('single, a new cookie: p50', 50, single.cookie),
      ms('single, a new cookie: p99', 99, single.cookie, '≤ 5'),
      ms('single, a merge: p50', 50, single.merge),
      ms('single, a merge: p99', 99, single.merge, '≤ 5'),
      ms('one row alone, inserted and durable: p50', 50, bare),
      ms('one row alone, inserted and durable: p99', 99, bare),
    ],
  };
}

/** What disk and database take for any transaction at all: durations in ms, of one row each. */
async function bareCommits(db: Database, count: number): Promise<number[]> {
  await db.execute('CREATE TABLE bare_commits (id uuid PRIMARY KEY, at int8 NOT NULL)');
  const durations: number[] = [];
  for (let i = 0; i < count + WARM_UP_EVENTS; i++) {
    const startMs = performance.now();
    await db.transaction((tx) => tx.execute('INSERT INTO bare_commits VALUES ($1, $2)', [newId(NOON_MS + i), i]));
    if (i >= WARM_UP_EVENTS) durations.push(performance.now() - startMs);
  }
  return durations;
}

interface Rate {
  readonly perSecond: number;
  readonly nodeUs: number;
  /** NaN where it cannot be told. */
  readonly postgresUs: number;
}

function ratesOf(who: string, rounds: readonly Rate[]): Figure[] {
  const of = (field: keyof Rate): number[] => rounds.map((rate) => rate[field]);
  return [
    figure(`batch, ${who}`, 'identifiers/s', of('perSecond'), '≥ 50,000'),
    figure(`batch, ${who}: Node CPU`, 'µs/identifier', of('nodeUs')),
    figure(`batch, ${who}: PostgreSQL CPU`, 'µs/identifier', of('postgresUs')),
  ].filter(({ median }) => !Number.isNaN(median));
}

class Resolver {
  readonly #policy = new CachedIdentifierPolicy(RULES);
  readonly #step: IdentityStep;
  #pos = 0;

  constructor(
    private readonly db: Database,
    private readonly postgresCpuMs: () => Promise<number | null>,
  ) {
    const stores = {
      store: new IdentityStore(),
      links: new IdentityLinkStore(),
      contested: new ContestedComponentStore(),
      generics: new GenericValueStore(),
    };
    this.#step = new IdentityStep({ ...stores, rules: RULES, partitions: PARTITIONS, newId });
  }

  async batch(rows: readonly (readonly RawIdentifier[])[]): Promise<Rate> {
    const startPgMs = (await this.postgresCpuMs()) ?? NaN;
    const startMs = performance.now();
    const startCpu = process.cpuUsage();
    for (let i = 0; i < rows.length; i += BATCH_ROWS) await this.#resolve(rows.slice(i, i + BATCH_ROWS));
    const identifiers = rows.length * IDENTIFIERS_PER_ROW;
    const perSecond = (identifiers / (performance.now() - startMs)) * 1_000;
    const { user, system } = process.cpuUsage(startCpu);
    const pgMs = ((await this.postgresCpuMs()) ?? NaN) - startPgMs;
    return { perSecond, nodeUs: (user + system) / identifiers, postgresUs: (pgMs * 1_000) / identifiers };
  }

  /** Durations in ms. @param from which of the events, so that each has cookies of its own */
  async singly(
    { from, count }: { readonly from: number; readonly count: number },
    people: number,
  ): Promise<Record<'known' | 'cookie' | 'merge', number[]>> {
    const next = random(11 + from);
    const durations = { known: [] as number[], cookie: [] as number[], merge: [] as number[] };
    for (let i = from; i < from + count; i++) {
      const kind = i % 10 === 9 ? 'merge' : i % 10 >= 6 ? 'cookie' : 'known';
      const row = singleRow(kind, i, Math.floor(next() * people));
      if (kind === 'merge') await this.#resolve([[loneCookie(i)]]);
      const startMs = performance.now();
      await this.#resolve([row]);
      durations[kind].push(performance.now() - startMs);
    }
    return durations;
  }

  async #resolve(rows: readonly (readonly RawIdentifier[])[]): Promise<void> {
    const events = rows.map((raw) => this.#eventOf(raw));
    await this.db.transaction(async (tx) => {
      await this.#step.save(tx, await this.#step.resolve(tx, events, false));
    });
    this.#step.release();
  }

  #eventOf(raw: readonly RawIdentifier[]): LoggedEvent {
    const pos = ++this.#pos;
    const at = NOON_MS + pos * ROW_MS;
    return {
      ...{ pos, part: 0, sourceId: 1, messageId: `m${String(pos)}`, type: 'track', name: 'seen', historical: false },
      ...{ occurredAt: at, acceptedAt: at, properties: {}, traits: {}, context: {}, groupId: null },
      identifiers: this.#policy.resolve(raw).identifiers,
    };
  }
}

/** A person's identifiers. */
function personRow(person: number): RawIdentifier[] {
  const name = String(person);
  return [
    { ns: 'user_id', value: `user-${name}` },
    { ns: 'email', value: `Person.${name}@example.com` },
    { ns: 'anonymous_id', value: `5f0c1b2e-0000-4d3a-9b7e-${name.replace('-', 'f').padStart(12, '0')}` },
  ];
}

function peopleRows({ from, count }: { readonly from: number; readonly count: number }): RawIdentifier[][] {
  return Array.from({ length: count }, (_, i) => personRow(from + i));
}

/** Everybody comes {@link VISITS} times, at random. */
function visitRows({ from, count }: { readonly from: number; readonly count: number }): RawIdentifier[][] {
  const next = random(from + 1);
  return Array.from({ length: count * VISITS }, () => personRow(from + Math.floor(next() * count)));
}

function singleRow(kind: 'known' | 'cookie' | 'merge', i: number, person: number): RawIdentifier[] {
  const [user = NOBODY, email = NOBODY, cookie = NOBODY] = personRow(person);
  if (kind === 'known') return [user, cookie];
  if (kind === 'cookie') return [user, { ns: 'anonymous_id', value: `new-cookie-of-a-known-person-${String(i)}` }];
  return [email, loneCookie(i)];
}

/** Of a visitor of whom nothing else is known. */
function loneCookie(i: number): RawIdentifier {
  return { ns: 'anonymous_id', value: `lone-cookie-${String(i)}` };
}

const NOBODY: RawIdentifier = { ns: 'user_id', value: 'nobody' };

/** The multiplicative generator of Park and Miller, so that every run sees the same events. */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
}
