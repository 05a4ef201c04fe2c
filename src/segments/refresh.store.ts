import { FeatureReader } from '../features/feature.reader.js';
import type { Uuid } from '../platform/ids.js';
import type { Database, Transaction } from '../platform/postgres.js';
import { measureRefresh, type FoundChange, type NewRefresh, type RefreshedSegment } from './measure-refresh.js';
import { KEPT_REFRESHES, partOf } from './refresh.model.js';
import { parseRule } from './segment-rule.model.js';
import { SegmentReader } from './segment.reader.js';

export interface RefreshAsk {
  readonly nowMs: number;
  /** Changes that are looked at, about; beyond that those of a part of all people. */
  readonly maxChanges: number;
}

const TIMEOUT_MS = 30 * 60_000;
/** As `uuid_hash_extended` is cut elsewhere: a sample is the same people each time. */
const HASH_RANGE = 2 ** 30;

/** What was live when it was looked at last, and what is. */
interface Place {
  readonly seq: number;
  readonly head: number;
  /** Whether everybody was evaluated by what is live, and nobody is being evaluated anew. */
  readonly isSettled: boolean;
  /** Whether what decides changed, or somebody had everybody evaluated anew, or changes are there that it made. */
  readonly isDue: boolean;
  /** Whether nothing changed but which versions of models answer. */
  readonly isOfModels: boolean;
  readonly segments: Readonly<Record<string, number>>;
  readonly segmentsNow: Readonly<Record<string, number>>;
  readonly models: Readonly<Record<string, string>>;
  readonly modelsNow: Readonly<Record<string, string>>;
  readonly definitionsVersion: number;
  /** Of those that ended since: the segments that they were asked for; none: all. */
  readonly recomputed: readonly (readonly number[])[];
  /** The one that ended last; null: none did. */
  readonly recomputeId: Uuid | null;
  readonly recomputedAt: number;
}

/** Rows of `segment_refreshes`: how many of its members each segment kept when what decides changed. */
export class RefreshStore {
  readonly #db: Database;

  constructor(db: Database) {
    this.#db = db;
  }

  /**
   * Measures what came of a change of what decides, once everybody was evaluated by it; of several processes one does.
   * @returns how many segments it measured
   */
  async measureIfDue({ nowMs, maxChanges }: RefreshAsk): Promise<number> {
    return this.#db.transaction(
      async (tx) => {
        const [place] = await tx.query<Place>(PLACE);
        if (place?.isSettled !== true) return 0;
        const refreshes = place.isDue ? await measure(tx, place, maxChanges) : [];
        await insert(tx, refreshes, nowMs);
        // Not what is live by now: an edit since is yet to be evaluated.
        await tx.execute(ADVANCE, advanced(place));
        return refreshes.length;
      },
      { timeoutMs: TIMEOUT_MS, statementTimeoutMs: TIMEOUT_MS },
    );
  }
}

async function measure(tx: Transaction, place: Place, maxChanges: number): Promise<NewRefresh[]> {
  // Whoever was in is read in one go, beside the workers.
  for (const setting of ["work_mem = '64MB'", 'jit = off']) await tx.execute(`SET LOCAL ${setting}`);
  const segments = await liveSegments(tx, place.segmentsNow);
  const cut = Math.max(1, Math.round(Math.min(1, maxChanges / Math.max(1, place.head - place.seq)) * HASH_RANGE));
  const share = cut / HASH_RANGE;
  const parts = segments.flatMap(({ id, rule }) => (partOf(rule) === null ? [] : [id]));
  const found = await tx.query<FoundChange>(CHANGES, [place.seq, place.head, share < 1 ? cut : null, share, parts]);
  const sizes = await new SegmentReader(tx).sizes(segments.map(({ id }) => id));
  const { segments: versionsBefore, models: modelsBefore, modelsNow, isOfModels, recomputed } = place;
  return measureRefresh({
    segments,
    found,
    sizes,
    share,
    versionsBefore,
    modelsBefore,
    modelsNow,
    isOfModels,
    recomputed,
  });
}

async function liveSegments(tx: Transaction, versions: Place['segmentsNow']): Promise<RefreshedSegment[]> {
  const views = await new FeatureReader(tx).allViews();
  const types = new Map(views.flatMap(({ features }) => features).map(({ name, type }) => [name, type]));
  return (await new SegmentReader(tx).active()).flatMap(({ id, activeRule }) => {
    const version = versions[String(id)];
    if (version === undefined || activeRule === null) return [];
    const { models } = parseRule(activeRule, { features: types }).requires;
    return [{ id, version, rule: activeRule, models }];
  });
}

function advanced({ head, definitionsVersion, segmentsNow, modelsNow, recomputeId, recomputedAt }: Place): unknown[] {
  return [head, definitionsVersion, JSON.stringify(segmentsNow), JSON.stringify(modelsNow), recomputeId, recomputedAt];
}

async function insert(tx: Transaction, refreshes: readonly NewRefresh[], nowMs: number): Promise<void> {
  if (refreshes.length === 0) return;
  await tx.execute(
    `INSERT INTO segment_refreshes (segment_id, kind, measured_at, version_before, version, models, before, entered, exited,
                                    share, adjusted_rand)
     SELECT r."segmentId", r.kind, $2::int8, r."versionBefore", r.version, r.models, r.before, r.entered, r."left", r.share,
            r."adjustedRand"
     FROM jsonb_to_recordset($1::jsonb) AS r ("segmentId" int, kind text, "versionBefore" int, version int, models jsonb,
       before int8, entered int8, "left" int8, share float8, "adjustedRand" float8)`,
    [JSON.stringify(refreshes), nowMs],
  );
  await tx.execute(
    `DELETE FROM segment_refreshes r USING (
       SELECT s.id, (SELECT id FROM segment_refreshes WHERE segment_id = s.id ORDER BY id DESC OFFSET $2 LIMIT 1) AS last
       FROM unnest($1::int4[]) AS s (id)) old
     WHERE r.segment_id = old.id AND r.id <= old.last`,
    [[...new Set(refreshes.map(({ segmentId }) => segmentId))], KEPT_REFRESHES],
  );
}

const SEGMENTS_NOW = `(SELECT coalesce(jsonb_object_agg(id, active_version), '{}') FROM segments WHERE stage = 'active')`;
const MODELS_NOW = `(SELECT coalesce(jsonb_object_agg(key, answering), '{}') FROM (
  SELECT key, string_agg(CASE stage WHEN 'active' THEN version::text
                         ELSE version || ' for ' || canary_percent || ' %' END, ', ' ORDER BY stage) AS answering
  FROM models WHERE stage IN ('active', 'canary') GROUP BY key) m)`;
/** Of a change that no event made: a look at a list is no refresh of the segment. */
const OF_REFRESH = `cause ->> 'kind' IN ('edit', 'model', 'recompute') AND cause ->> 'pos' IS NULL`;
/** Recomputations that ended since it was looked at last. */
const RECOMPUTED = `segment_recomputes r
  WHERE r.status = 'done' AND r.finished_at >= p.recomputed_at AND r.id IS DISTINCT FROM p.recompute_id`;

const PLACE = `
  SELECT p.seq, h.seq AS head, p.segments, p.models, m.now AS "modelsNow",
         NOT EXISTS (SELECT FROM partitions WHERE swept_version < i.definitions_version
                       OR trait_rules_version < i.trait_rules_version)
           AND NOT EXISTS (SELECT FROM timers WHERE is_swept) AND NOT EXISTS (SELECT FROM timers WHERE sweep = 0)
           AND NOT EXISTS (SELECT FROM segment_recomputes WHERE status = 'running') AS "isSettled",
         n.segments AS "segmentsNow", i.definitions_version AS "definitionsVersion", r.id AS "recomputeId",
         coalesce(r.finished_at, 0) AS "recomputedAt",
         p.segments <> n.segments OR p.models <> m.now OR EXISTS (SELECT FROM ${RECOMPUTED})
           OR EXISTS (SELECT FROM changes WHERE seq > p.seq AND seq <= h.seq AND ${OF_REFRESH}) AS "isDue",
         i.edited_version <= p.definitions_version AS "isOfModels",
         (SELECT coalesce(jsonb_agg(r.segment_ids), '[]') FROM ${RECOMPUTED}) AS recomputed
  FROM segment_refresh_place p CROSS JOIN feed_head h CROSS JOIN installation i CROSS JOIN (SELECT ${MODELS_NOW} AS now) m
  CROSS JOIN (SELECT ${SEGMENTS_NOW} AS segments) n
  LEFT JOIN (
    SELECT id, finished_at FROM segment_recomputes WHERE status = 'done' ORDER BY finished_at DESC, id LIMIT 1) r ON true
  FOR UPDATE OF p SKIP LOCKED`;

const ADVANCE = `
  UPDATE segment_refresh_place
  SET seq = $1::int8, definitions_version = $2::int8, segments = $3::jsonb, models = $4::jsonb, recompute_id = $5::uuid,
      recomputed_at = $6::int8`;

/**
 * Of everybody the first of these changes says whether they would be in the segment but for it. Whoever would be and is, or
 * would not be and is not, was changed there and back.
 *
 * $1, $2: after which change and up to which. $3: of which hashes of ids people are looked at, below it; null: all. $4: the
 * share of all that these are. $5: segments of clusters, between which moves are told.
 */
const CHANGES = `
  WITH firsts AS MATERIALIZED (
    SELECT DISTINCT ON (segment_id, profile_id) segment_id, profile_id, kind = 'enter' AS is_entry, cause ->> 'kind' AS why
    FROM changes
    WHERE ${OF_REFRESH} AND seq > $1::int8 AND seq <= $2::int8
      AND ($3::int8 IS NULL OR (uuid_hash_extended(profile_id, 0) & ${String(HASH_RANGE - 1)}) < $3::int8)
    ORDER BY segment_id, profile_id, seq
  ), net AS MATERIALIZED (
    SELECT f.* FROM firsts f LEFT JOIN memberships m USING (segment_id, profile_id)
    WHERE f.is_entry = (m.profile_id IS NOT NULL)
  )
  SELECT segment_id AS "segmentId", NULL::int4 AS "toId", why AS kind,
         round(count(*) FILTER (WHERE is_entry) / $4::float8)::int8 AS entered,
         round(count(*) FILTER (WHERE NOT is_entry) / $4::float8)::int8 AS "left"
  FROM net GROUP BY 1, 3
  UNION ALL
  SELECT a.segment_id, b.segment_id, a.why, 0, round(count(*) / $4::float8)::int8
  FROM net a JOIN net b ON b.profile_id = a.profile_id AND b.why = a.why AND b.is_entry
  WHERE NOT a.is_entry AND a.segment_id = ANY ($5::int4[]) AND b.segment_id = ANY ($5::int4[]) GROUP BY 1, 2, 3`;
