import { setImmediate as turn } from 'node:timers/promises';
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
import { IdentityCopier } from './copy-identity.js';
import { figure, percentile, ratio, type Figure, type Section } from './report.js';

const BATCH_ROWS = 1_000;
const IDENTIFIERS_PER_ROW = 3;
const ROUNDS = 3;
const SINGLE_ROUNDS = 3;
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
  /** Single events that are timed, in each round. */
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
  const rounds = { unseen: [] as Rate[], coming: [] as Rate[], copied: [] as Rate[] };
  const copier = await IdentityCopier.open(url);
  await resolver.batch(peopleRows({ from: -10_000, count: 10_000 }));
  let people = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const fromPos = resolver.pos + 1;
    rounds.unseen.push(await resolver.batch(peopleRows({ from: people, count: ROWS_PER_ROUND })));
    const lines = await copier.linesOf(fromPos, resolver.pos, ROWS_PER_ROUND / BATCH_ROWS);
    rounds.copied.push(await resolver.rateOf(ROWS_PER_ROUND * IDENTIFIERS_PER_ROW, () => copier.copy(lines)));
    people += ROWS_PER_ROUND;
    const visits = { from: people, count: ROWS_PER_ROUND / VISITS };
    rounds.coming.push(await resolver.batch(visitRows(visits)));
    people += visits.count;
  }
  await copier.close();
  while (people < options.profiles) {
    const count = Math.min(100_000, options.profiles - people);
    await resolver.batch(peopleRows({ from: people, count }));
    people += count;
  }
  await db.execute('VACUUM (ANALYZE) identifiers, profiles, evidence, assignments');
  // Else what the bulk left in memory is written during what is timed.
  await db.execute('CHECKPOINT');
  await resolver.singly({ from: 0, count: WARM_UP_EVENTS }, people);
  const singles: (Singles & { readonly bare: number[] })[] = [];
  for (let round = 0, from = WARM_UP_EVENTS; round < SINGLE_ROUNDS; round++, from += options.events) {
    const single = await resolver.singly({ from, count: options.events }, people);
    singles.push({ ...single, bare: await bareCommits(db, options.events) });
  }
  const ms = (name: string, percent: number, of: 'known' | 'cookie' | 'merge' | 'bare', aim?: string) =>
    figure(
      name,
      'ms',
      singles.map((round) => percentile(round[of], percent)),
      aim,
    );
  return {
    title: 'Identity, deterministic',
    notes: [
      `batch: rows of ${String(IDENTIFIERS_PER_ROW)} identifiers over days, ${String(BATCH_ROWS)} a transaction, resolved, written and committed; the next ones are normalised meanwhile, as at the door, and looked for, as by a worker that is behind;`,
      'COPY: the same rows into tables with the same indexes, as many a transaction;',
      `single: among ${String(people)} profiles with ${String(people * IDENTIFIERS_PER_ROW)} identifiers, ${String(options.events)} events of random people a round, each in a transaction of its own until it is durable.`,
    ],
    figures: [
      ...ratesOf('people who come ten times', rounds.coming),
      ...ratesOf('people never seen before', rounds.unseen),
      figure('batch, people never seen before: WAL', 'bytes/identifier', walOf(rounds.unseen)),
      figure('COPY of what they write', 'identifiers/s', speedOf(rounds.copied)),
      figure('COPY of what they write: PostgreSQL CPU', 'µs/identifier', cpuOf(rounds.copied)),
      ratio('people never seen before ÷ COPY of what they write', speedOf(rounds.unseen), speedOf(rounds.copied)),
      ratio('… by PostgreSQL CPU', cpuOf(rounds.copied), cpuOf(rounds.unseen)),
      ms('single, known identifiers: p50', 50, 'known'),
      ms('single, known identifiers: p99', 99, 'known', '≤ 5'),
      ms('single, a new cookie: p50', 50, 'cookie'),
      ms('single, a new cookie: p99', 99, 'cookie', '≤ 5'),
      ms('single, a merge: p50', 50, 'merge'),
      ms('single, a merge: p99', 99, 'merge', '≤ 5'),
      ms('one row alone, inserted and durable: p50', 50, 'bare'),
      ms('one row alone, inserted and durable: p99', 99, 'bare'),
    ],
  };
}

/** What disk and database take for any transaction at all: durations in ms, of one row each. */
async function bareCommits(db: Database, count: number): Promise<number[]> {
  await db.execute('CREATE TABLE IF NOT EXISTS bare_commits (id uuid PRIMARY KEY, at int8 NOT NULL)');
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
  readonly walBytes: number;
}

type Singles = Record<'known' | 'cookie' | 'merge', number[]>;

const speedOf = (rates: readonly Rate[]): number[] => rates.map(({ perSecond }) => perSecond);
const cpuOf = (rates: readonly Rate[]): number[] => rates.map(({ postgresUs }) => postgresUs);
const walOf = (rates: readonly Rate[]): number[] => rates.map(({ walBytes }) => walBytes);

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

  /** Of the last event. */
  get pos(): number {
    return this.#pos;
  }

  async batch(rows: readonly (readonly RawIdentifier[])[]): Promise<Rate> {
    const eventsFrom = (i: number): LoggedEvent[] => rows.slice(i, i + BATCH_ROWS).map((raw) => this.#eventOf(raw));
    return this.rateOf(rows.length * IDENTIFIERS_PER_ROW, async () => {
      const startMs = performance.now();
      let events = eventsFrom(0);
      for (let i = BATCH_ROWS; events.length > 0; i += BATCH_ROWS) {
        let next: LoggedEvent[] = [];
        await this.#resolve(events, async () => {
          await turn();
          next = eventsFrom(i);
          await this.#step.prepare(this.db, next);
        });
        events = next;
      }
      return performance.now() - startMs;
    });
  }

  /** @param work returns the time that it took, ms */
  async rateOf(identifiers: number, work: () => Promise<number>): Promise<Rate> {
    const startPgMs = (await this.postgresCpuMs()) ?? NaN;
    const startWal = await this.#walBytes();
    const startCpu = process.cpuUsage();
    const ms = await work();
    const { user, system } = process.cpuUsage(startCpu);
    const pgMs = ((await this.postgresCpuMs()) ?? NaN) - startPgMs;
    return {
      perSecond: (identifiers / ms) * 1_000,
      nodeUs: (user + system) / identifiers,
      postgresUs: (pgMs * 1_000) / identifiers,
      walBytes: ((await this.#walBytes()) - startWal) / identifiers,
    };
  }

  async #walBytes(): Promise<number> {
    const [row] = await this.db.query<{ bytes: number }>(
      `SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::float8 AS bytes`,
    );
    return row?.bytes ?? NaN;
  }

  /** Durations in ms. @param from which of the events, so that each has cookies of its own */
  async singly({ from, count }: { readonly from: number; readonly count: number }, people: number): Promise<Singles> {
    const next = random(11 + from);
    const durations = { known: [] as number[], cookie: [] as number[], merge: [] as number[] };
    for (let i = from; i < from + count; i++) {
      const kind = i % 10 === 9 ? 'merge' : i % 10 >= 6 ? 'cookie' : 'known';
      const row = singleRow(kind, i, Math.floor(next() * people));
      if (kind === 'merge') await this.#resolve([this.#eventOf([loneCookie(i)])]);
      const startMs = performance.now();
      await this.#resolve([this.#eventOf(row)]);
      durations[kind].push(performance.now() - startMs);
    }
    return durations;
  }

  /** @param meanwhile what is done while the database writes */
  async #resolve(events: readonly LoggedEvent[], meanwhile?: () => Promise<void>): Promise<void> {
    await this.db.transaction(async (tx) => {
      const who = await this.#step.resolve(tx, events, false);
      await Promise.all([this.#step.save(tx, who), meanwhile?.()]);
    });
    this.#step.release();
  }

  #eventOf(raw: readonly RawIdentifier[]): LoggedEvent {
    const pos = ++this.#pos;
    const at = NOON_MS + pos * ROW_MS;
    return {
      pos,
      part: 0,
      sourceId: 1,
      messageId: `m${String(pos)}`,
      type: 'track',
      name: 'seen',
      historical: false,
      occurredAt: at,
      acceptedAt: at,
      properties: {},
      traits: {},
      context: {},
      groupId: null,
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
