import { ManualClock } from '../../src/platform/clock.js';
import type { Database } from '../../src/platform/postgres.js';
import { TraitDefinitionService } from '../../src/profiles/trait-definition.service.js';

/** Traits that people of the bench are found by, each made of the number of the profile. */
const TRAITS = ['age', 'country', 'last_name'] as const;
/** Segments, with one in how many profiles is a member. */
export const SEGMENT_SHARES = { half: 2, some: 20, few: 1_000 } as const;

const FIRST_MS = Date.UTC(2025, 0, 1);
/** Between two profiles. */
const STEP_MS = 20_000;

/** By the number `n` of a profile, as the tables hold them. */
const ID = `(lpad(to_hex(${String(FIRST_MS)} + n * ${String(STEP_MS)}), 12, '0') || '7000' || lpad(to_hex(n), 16, '8'))::uuid`;
const AGE = '(18 + n % 60)';
const COUNTRY = `(ARRAY['de', 'de', 'de', 'at', 'fr', 'fr', 'gb', 'es', 'it', 'lu'])[(1 + n * 7919 % 10)::int]`;
const LAST_NAME = `('name' || substr(md5(n::text), 1, 5))`;
const CREATED = `(${String(FIRST_MS)} + n * ${String(STEP_MS)})`;

/** The name that the profile of a number has. */
export const LAST_NAME_PREFIX = 'name';

/** Fills an empty database with people, as Weft would have kept them, without a worker's having seen them. */
export async function makePeople(db: Database, profiles: number): Promise<void> {
  await new TraitDefinitionService(db, new ManualClock(FIRST_MS)).apply(
    TRAITS.map((name) => ({ name, description: '', edge: false, searchable: true })),
  );
  await db.query('UPDATE partitions SET search_version = 1, search_target = 1');
  await db.query(`INSERT INTO sources (key, name, kind, created_at) VALUES ('crm', 'crm', 'http', 0)`);
  const chunk = 100_000;
  for (let from = 0; from < profiles; from += chunk) {
    const series = `generate_series(${String(from)}::int8, ${String(Math.min(profiles, from + chunk) - 1)}) AS s (n)`;
    for (const statement of statementsOf(series)) {
      await db.transaction((tx) => tx.query(statement), { timeoutMs: 300_000 });
    }
  }
  for (const [key, share] of Object.entries(SEGMENT_SHARES)) {
    const [row] = await db.query<{ id: number }>(
      `INSERT INTO segments (key, name, description, stage, version, created_at, updated_at)
       VALUES ($1, $1, '', 'draft', 1, 0, 0) RETURNING id`,
      [key],
    );
    await db.query(
      `INSERT INTO segment_versions (segment_id, version, expression, created_at) VALUES ($1, 1, 'true', 0)`,
      [row?.id],
    );
    await db.query(
      `INSERT INTO memberships (profile_id, segment_id, since, version, cause)
       SELECT ${ID}, $1, ${CREATED}, 1, '{"kind":"event","pos":null}'
       FROM generate_series(0, $2::int8 - 1, $3::int8) AS s (n)`,
      [row?.id, profiles, share],
    );
  }
  await db.execute('VACUUM (ANALYZE) profiles, identifiers, anchor_states, memberships, profile_search');
}

function statementsOf(series: string): string[] {
  const value = `('p' || n || '@example.com')`;
  const identifier = `encode(substring(sha256('email'::bytea || '\\x00'::bytea || convert_to(${value}, 'UTF8')), 1, 16), 'hex')::uuid`;
  // As `encodeTraits` writes them: a byte 0, then rows sorted by name.
  const traits = `'\\x00'::bytea || convert_to(format(
    '[["age",%s,${String(FIRST_MS)},1,"m"],["country","%s",${String(FIRST_MS)},1,"m"],["last_name","%s",${String(FIRST_MS)},1,"m"]]',
    ${AGE}, ${COUNTRY}, ${LAST_NAME}), 'UTF8')`;
  const number = (sql: string): string =>
    `set_byte(float8send((${sql})::float8), 0, get_byte(float8send((${sql})::float8), 0) | 128)`;
  const text = (sql: string): string => `'\\x40'::bytea || convert_to(${sql}, 'UTF8')`;
  // As `scalarKey` makes them, of numbers that are not negative and texts that are folded.
  const keys = {
    age: `'\\x20'::bytea || ${number(AGE)}`,
    country: text(COUNTRY),
    last_name: text(LAST_NAME),
    $updated: `'\\x30'::bytea || ${number(`${CREATED} / 300000 * 300000`)}`,
  };
  return [
    `INSERT INTO profiles (id, founding_id, founded_pos, created_at, part)
     SELECT ${ID}, ${identifier}, n, ${CREATED}, n % 16 FROM ${series}`,
    `INSERT INTO identifiers (id, ns, value, component_id, profile_id, first_pos)
     SELECT ${identifier}, 'email', ${value}, ${identifier}, ${ID}, n FROM ${series}`,
    `INSERT INTO anchor_states (anchor_id, part, traits, state) SELECT ${identifier}, n % 16, ${traits}, '' FROM ${series}`,
    ...Object.entries(keys).map(
      ([name, key]) => `INSERT INTO profile_search (profile_id, field_id, key)
        SELECT ${ID}, (SELECT id FROM search_fields WHERE name = '${name}'), ${key} FROM ${series}`,
    ),
  ];
}
