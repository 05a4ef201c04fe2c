import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { EventHistoryReader } from '../../src/events/event-history.reader.js';
import { parseFeatures } from '../../src/features/parse-features.js';
import type { KnownAsOf } from '../../src/features/training-set.model.js';
import { TrainingSetService } from '../../src/features/training-set.service.js';
import { DEFAULT_IDENTITY_RULES } from '../../src/identity/identity-rules.model.js';
import { IdentityHistoryReader } from '../../src/identity/identity-history.reader.js';
import { aTrack, createWorld, DAY_MS, HOUR_MS, type World } from '../support/world.js';

/* Feast's own point-in-time join, where there is a Python with Feast: WEFT_TEST_FEAST_PYTHON=/path/to/bin/python. */

const PYTHON = process.env['WEFT_TEST_FEAST_PYTHON'];
const SCRIPT = new URL('../fixtures/feast/historical_features.py', import.meta.url).pathname;
const TIMEOUT_MS = 240_000;
const TTL_MS = 2 * DAY_MS;
const FEATURES = { tier: 'string', credit: 'double', is_member: 'bool' } as const;
/** `written`: created when the record says so; `accepted`: when Weft took it. */
const VIEWS = ['written', 'accepted'] as const;
const DEFINITIONS = `views:
${VIEWS.map(
  (view) => `  - name: ${view}
    kind: batch
    source: crm
    event: customer
    ttl: 2d
${view === 'written' ? '    created: properties.created\n' : ''}    features:
${Object.entries(FEATURES)
  .map(([name, type]) => `      - { name: ${view}_${name}, value: properties.${name}, type: ${type} }`)
  .join('\n')}`,
).join('\n')}
`;

interface CustomerRecord {
  readonly user: string;
  readonly atMs: number;
  readonly createdMs: number;
  /** Which of the batches that were loaded one after the other it came with. */
  readonly batch: number;
  readonly values: { readonly [Name in keyof typeof FEATURES]: string | number | boolean | null };
}

interface Label {
  readonly user: string;
  readonly atMs: number;
}

type Joined = Readonly<Record<string, unknown>>;

const BATCHES = 4;
const MAX_TIED = 12;
const TIERS = ['gold', 'silver', 'bronze', null];

/** A number that looks drawn, of two others: 0 … 2³² − 1. */
function drawn(a: number, b: number): number {
  let x = Math.imul(a + 1, 0x9e3779b1) ^ Math.imul(b + 7, 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 15), 0x2c1b3c6d);
  x = Math.imul(x ^ (x >>> 12), 0x297a2d39);
  return (x ^ (x >>> 15)) >>> 0;
}

/** Times on a grid of 6 hours up to when the batch is accepted, so that some tie; those of one batch do not. */
function recordsOf(acceptedMs: readonly number[]): CustomerRecord[] {
  const records = Array.from({ length: 30 }, (_, user) =>
    Array.from({ length: drawn(user, 0) % 9 }, (__, i): CustomerRecord => {
      const value = drawn(user, 100 + i);
      const batch = drawn(user, 300 + i) % BATCHES;
      const atMs = (acceptedMs[batch] ?? 0) - (drawn(user, 10 + i) % 24) * 6 * HOUR_MS;
      return {
        user: `u${String(user)}`,
        atMs,
        createdMs: atMs - DAY_MS + ((drawn(user, 200 + i) % 1_000) * 10 + i) * 1_000,
        batch,
        values: {
          tier: TIERS[value % 4] ?? null,
          credit: value % 5 === 0 ? null : (value % 1_000) / 8,
          is_member: value % 7 === 0 ? null : value % 2 === 0,
        },
      };
    }),
  ).flat();
  return [...new Map(records.map((record) => [`${keyOf(record)} ${String(record.batch)}`, record])).values()];
}

/** On the times of records, at both ends of the ttl, a millisecond to either side, and when batches were accepted. */
function labelsAround(records: readonly CustomerRecord[], acceptedMs: readonly number[]): Label[] {
  const offsets = [0, -1, 1, TTL_MS, TTL_MS + 1, TTL_MS - 1, HOUR_MS];
  const labels = records.flatMap(({ user, atMs }, i): Label[] => [
    ...[0, 1].map((k) => ({ user, atMs: atMs + (offsets[(i + 3 * k) % offsets.length] ?? 0) })),
    { user, atMs: (acceptedMs[i % BATCHES] ?? 0) + (i % 3) - 1 },
  ]);
  const endMs = (acceptedMs.at(-1) ?? 0) + DAY_MS;
  const all = [...labels, { user: 'nobody', atMs: endMs }].filter(({ atMs }) => atMs <= endMs);
  // Feast takes several labels of one person and time for one.
  return [...new Map(all.map((label) => [keyOf(label), label])).values()];
}

/** Whether the newest record up to then has the time of another. */
function isTied({ user, atMs }: Label, records: readonly CustomerRecord[]): boolean {
  const times = records.filter((record) => record.user === user && record.atMs <= atMs).map((record) => record.atMs);
  const newest = Math.max(...times);
  return times.filter((time) => time === newest).length > 1;
}

const keyOf = ({ user, atMs }: Label): string => `${user} ${String(atMs)}`;

describe.skipIf(PYTHON === undefined)('a training set of batch views, beside Feast’s own point-in-time join', () => {
  let world: World;
  let folder: string;
  let service: TrainingSetService;
  let records: CustomerRecord[];
  let labels: Label[];
  /** As Feast is asked: labels with a tie each alone. */
  let sets: Label[][];
  /** When each of the batches was accepted, ms. */
  let acceptedMs: readonly number[];

  beforeAll(async () => {
    world = await createWorld();
    folder = await mkdtemp(join(tmpdir(), 'weft-feast-'));
    const { db, clock, engine } = world;
    await world.accept([], { source: 'crm' });
    await engine.services.features.apply(parseFeatures(DEFINITIONS, 'f.yaml'));
    acceptedMs = Array.from({ length: BATCHES }, (_, i) => clock.now() + i * DAY_MS);
    records = recordsOf(acceptedMs);
    for (let batch = 0; batch < BATCHES; batch++) {
      await world.accept(
        records
          .filter((record) => record.batch === batch)
          .map(({ user, atMs, createdMs, values }) =>
            aTrack(
              'customer',
              { user_id: user },
              {
                timestampMs: atMs,
                properties: { ...values, created: new Date(createdMs).toISOString() },
              },
            ),
          ),
        { source: 'crm', historical: true },
      );
      await world.drain();
      clock.advance(DAY_MS);
    }
    const all = labelsAround(records, acceptedMs);
    const tied = all.filter((label) => isTied(label, records)).slice(0, MAX_TIED);
    labels = [...tied, ...all.filter((label) => !isTied(label, records))];
    // Of many rows Feast's file store sorts ties anyhow: its second sort, by time, forgets the first, by creation.
    sets = [...tied.map((label) => [label]), labels.slice(tied.length)];
    const events = new EventHistoryReader();
    const identity = new IdentityHistoryReader({ rules: DEFAULT_IDENTITY_RULES, events });
    service = new TrainingSetService({ db, clock, policy: engine.policy, identity, events });
  }, TIMEOUT_MS);
  afterAll(async () => {
    await world.close();
    await rm(folder, { recursive: true });
  });

  async function ours(view: (typeof VIEWS)[number], knownAsOf: KnownAsOf): Promise<Map<string, unknown[]>> {
    const { rows } = await service.exportTrainingSet({
      labels: labels.map(({ user, atMs }) => ({ ns: 'user_id', value: user, timeMs: atMs, cells: [] })),
      features: Object.keys(FEATURES).map((name) => `${view}_${name}`),
      knownAsOf,
    });
    const found = new Map<string, unknown[]>();
    for await (const { label, values } of rows) {
      found.set(keyOf({ user: label.value, atMs: label.timeMs }), values.map(({ value }) => value)); // prettier-ignore
    }
    return found;
  }

  /** @param createdOf when a record was created, for Feast */
  async function feasts(createdOf: (record: CustomerRecord) => number, asKnownThen: boolean): Promise<Joined[]> {
    const path = join(folder, 'asked.json');
    const asked = {
      features: FEATURES,
      ttlMs: TTL_MS,
      asKnownThen,
      records: records.map((record) => ({
        user_id: record.user,
        event_timestamp: record.atMs,
        created: createdOf(record),
        ...record.values,
      })),
      sets: sets.map((set) => set.map(({ user, atMs }) => ({ user_id: user, event_timestamp: atMs }))),
    };
    await writeFile(path, JSON.stringify(asked));
    const { stdout } = await promisify(execFile)(PYTHON ?? '', [SCRIPT, path], { timeout: TIMEOUT_MS });
    return JSON.parse(stdout.slice(stdout.lastIndexOf('\n[') + 1)) as Joined[];
  }

  /** Rows of nobody with a record that counts are not in Feast's result: they have no values in ours. */
  function compare(found: ReadonlyMap<string, unknown[]>, joined: readonly Joined[]): void {
    const none = Object.keys(FEATURES).map(() => null);
    const theirs = new Map([...found.keys()].map((key): [string, unknown[]] => [key, none]));
    for (const row of joined) {
      const key = keyOf({ user: String(row['user_id']), atMs: Number(row['event_timestamp']) });
      expect(theirs.has(key)).toBe(true);
      theirs.set(key, Object.keys(FEATURES).map((name) => row[`customer__${name}`] ?? null)); // prettier-ignore
    }
    expect([...found]).toEqual([...theirs]);
  }

  it(
    'has its values, of ties, nulls, rows at the ends of the ttl and rows that came late',
    { timeout: TIMEOUT_MS },
    async () => {
      const found = await ours('written', 'now');
      const told = [...found.values()].flat();
      expect(new Set(told.map((value) => value === null))).toEqual(new Set([true, false]));
      expect(sets.length).toBeGreaterThan(5);
      compare(found, await feasts(({ createdMs }) => createdMs, false));
    },
  );

  it(
    'has its values of what was known at each row’s own time, where it counts no record that was created later',
    { timeout: TIMEOUT_MS },
    async () => {
      const then = await feasts(({ batch }) => acceptedMs[batch] ?? 0, true);
      const found = await ours('accepted', 'event-time');
      expect([...found.values()].flat().some((value) => value !== null)).toBe(true);
      compare(found, then);
    },
  );
});
