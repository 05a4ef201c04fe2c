/** Class of the advisory locks that mark live workers; any number, the same in each release. */
export const WORKER_LOCK_CLASS = 7_729_115;

/**
 * SQL of the ids of all workers whose sessions stand, int8. One that was killed stands as the holder of its partitions
 * until another takes them, but not here.
 */
export const LIVE_WORKERS = `
  SELECT objid::int8 FROM pg_locks
  WHERE locktype = 'advisory' AND classid = ${String(WORKER_LOCK_CLASS)} AND objsubid = 2 AND granted
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`;
