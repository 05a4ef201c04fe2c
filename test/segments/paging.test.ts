import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Database } from '../../src/platform/postgres.js';
import { ProfileReader } from '../../src/profiles/profile.reader.js';
import { MemberReader, type MemberPosition, type SegmentMember } from '../../src/segments/member.reader.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';

let test: TestDatabase;
let db: Database;

const profileId = (n: number): string => `00000000-0000-7000-8000-${String(n).padStart(12, '0')}`;

beforeAll(async () => {
  test = await createTestDatabase();
  db = test.database;
  // Thirty members, many of them since the same instant, as after a sweep; every seventh profile is an alias.
  await db.query(
    `INSERT INTO memberships (profile_id, segment_id, since, version, cause)
     SELECT ('00000000-0000-7000-8000-' || lpad(i::text, 12, '0'))::uuid, s, 1000 + i / 12, 1, '{"kind":"event","pos":1}'
     FROM generate_series(1, 30) i, generate_series(1, 2) s`,
  );
  await db.query(
    `INSERT INTO profiles (id, founding_id, founded_pos, created_at, merged_into, part)
     SELECT ('00000000-0000-7000-8000-' || lpad(i::text, 12, '0'))::uuid, gen_random_uuid(), i, i,
            CASE WHEN i % 7 = 0 THEN gen_random_uuid() END, 0 FROM generate_series(1, 30) i`,
  );
});

afterAll(() => test.drop());

describe('pages', () => {
  it.each([1, 4, 11, 100])('of %i members give each once, those who entered last first', async (size) => {
    const seen: SegmentMember[] = [];
    for (let after: MemberPosition | null = null; ;) {
      const page: SegmentMember[] = await new MemberReader(db).page(1, after, size);
      if (page.length === 0) break;
      seen.push(...page);
      after = page.at(-1) ?? null;
    }
    const numbers = Array.from({ length: 30 }, (_, i) => i + 1);
    const since = (n: number): number => 1_000 + Math.floor(n / 12);
    const expected = numbers.sort((a, b) => since(b) - since(a) || a - b);
    expect(seen.map((member) => [member.profileId, member.since])).toEqual(
      expected.map((n) => [profileId(n), since(n)]),
    );
  });

  it.each([1, 4, 100])('of %i living profiles give each once, by id', async (size) => {
    const seen: string[] = [];
    for (let after: string | null = null; ;) {
      const page: string[] = await new ProfileReader().idsAfter(db, after, size);
      if (page.length === 0) break;
      seen.push(...page);
      after = page.at(-1) ?? null;
    }
    const living = Array.from({ length: 30 }, (_, i) => i + 1).filter((n) => n % 7 !== 0);
    expect(seen).toEqual(living.map(profileId));
  });
});
