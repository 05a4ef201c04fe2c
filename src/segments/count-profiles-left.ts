/** Counted one by one, at most: a million would take a second, for whoever looks how far it is. */
const MAX_COUNTED = 100_000;

/**
 * SQL of how many profiles are yet to be evaluated by the newest definitions: those whose timer waits, and those of
 * partitions that are not through. 0 where none is; exact as far as is counted; beyond that the share of all profiles that
 * is in such partitions, by the statistics of the table.
 */
export function profilesLeftSql(maxCounted = MAX_COUNTED): string {
  return `(SELECT (CASE WHEN n <= ${String(maxCounted)} THEN n ELSE greatest(n, (
      SELECT ceil(c.reltuples * (SELECT count(*) FILTER (WHERE swept_version < d.version) / count(*)::float8 FROM partitions))
      FROM pg_class c WHERE c.oid = 'profiles'::regclass)) END)::int8
    FROM (SELECT definitions_version AS version FROM installation) d
    CROSS JOIN LATERAL (
      SELECT (SELECT count(*) FROM timers WHERE is_swept) + (SELECT count(*) FROM (
        SELECT FROM profiles p JOIN partitions q ON q.part = p.part
        WHERE p.merged_into IS NULL AND q.swept_version < d.version
          AND NOT EXISTS (SELECT FROM timers t WHERE t.profile_id = p.id AND t.is_swept)
        LIMIT ${String(maxCounted + 1)}) waiting) AS n
    ) counted)`;
}
