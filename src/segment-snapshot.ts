import { setTimeout as sleep } from 'node:timers/promises';
import type { Clock } from './platform/clock.js';
import { WeftError } from './platform/errors.js';
import type { Uuid } from './platform/ids.js';
import { isKey, KEY_HINT } from './platform/key.js';
import { formatInstant } from './platform/instant.js';
import type { Database, Transaction } from './platform/postgres.js';
import type { ListOrigin } from './profiles/list.model.js';
import { ListReader } from './profiles/list.reader.js';
import type { ListService, RunningChange } from './profiles/list.service.js';
import { SegmentHistoryReader } from './segments/segment-history.reader.js';
import { SegmentProgressReader } from './segments/segment-progress.reader.js';
import { MAX_ASKED_MEMBERS, type SegmentSnapshot, type SegmentSnapshotAsk } from './segments/segment-snapshot.model.js';
import { SegmentReader, type StoredSegment } from './segments/segment.reader.js';
import { retryUnavailable } from './sources/retry-unavailable.js';

export interface SegmentSnapshotParts {
  readonly db: Database;
  readonly now: () => number;
  readonly lists: Pick<ListService, 'begin' | 'end' | 'remove' | 'say' | 'upsert'>;
  readonly signal: AbortSignal;
  /** Called with the members there are, once that is known, and with how many were taken. */
  readonly onProgress: (done: number, total: number) => void;
}

const MEMBERS_PER_PAGE = 1_000;
/** For as long the members are read from one cut: those of a segment of many millions. */
const CUT_TIMEOUT_MS = 6 * 60 * 60_000;
/** For a snapshot that somebody waits for over the API. */
const ASKED_TIMEOUT_MS = 25_000;

interface Member {
  readonly id: Uuid;
  readonly ns: string;
  readonly value: string;
}

/**
 * Puts those on a new list who were in a segment at an instant, each by the identifier that founded the profile, so that
 * they stay on it whatever their profiles become part of. They are the members of one cut, with what the feed has told
 * since that instant taken back; some are read at a time. Whole or not at all: broken off, the list is removed again, and
 * what was killed is begun anew by whoever asks for the same.
 * @throws WeftError NOT_FOUND, BAD_REQUEST (an instant to come), CONFLICT (there is a list of this key, the segment is not
 *   live, people have yet to be evaluated since something was activated, the feed does not tell who was in it then, there
 *   are more members than asked for)
 */
export async function snapshotSegment(parts: SegmentSnapshotParts, ask: SegmentSnapshotAsk): Promise<SegmentSnapshot> {
  const { db, now, lists } = parts;
  const segment = await liveSegment(db, ask.segment);
  await demandHistory(parts, segment, ask.asOf);
  const timeoutMs = ask.maxMembers === undefined ? CUT_TIMEOUT_MS : ASKED_TIMEOUT_MS;
  const [head] = await db.query<{ seq: number }>('SELECT seq FROM feed_head');
  const from = { nowMs: now(), seq: ask.asOf === null ? (head?.seq ?? 0) : 0 };
  return db.transaction(
    async (cut) => {
      // For as long as it takes: who finds a list that is half made knows that nobody is making it any more.
      const [alone] = await cut.query<{ isAlone: boolean }>(
        `SELECT pg_try_advisory_xact_lock(hashtextextended('snapshot of a segment: ' || $1::text, 0)) AS "isAlone"`,
        [ask.list],
      );
      if (alone?.isAlone !== true) throw taken(ask.list, 'is being made', 'wait until that has ended');
      await clearHalfMade(parts, ask);
      await lists.upsert({ key: ask.list, name: ask.name ?? `${segment.name}, as they were`, description: '' });
      try {
        const counts = await copyMembers(parts, cut, { segment, ask, from });
        const list = await new ListReader(db).byKey(ask.list);
        if (list === null) throw new WeftError('CONFLICT', 'the list was removed meanwhile', { where: ask.list });
        return { list, ...counts };
      } catch (error) {
        throw await removed(parts, ask.list, error);
      }
    },
    { isolation: 'REPEATABLE READ', readOnly: true, timeoutMs },
  );
}

/** One that is waited for by whoever asks over the API: of few members, and ended with the time for it. */
export function takeSnapshot(
  { db, clock }: { readonly db: Database; readonly clock: Clock },
  lists: SegmentSnapshotParts['lists'],
  ask: SegmentSnapshotAsk,
): Promise<SegmentSnapshot> {
  const signal = AbortSignal.timeout(ASKED_TIMEOUT_MS);
  const parts = { db, now: () => clock.now(), lists, signal, onProgress: () => undefined };
  return snapshotSegment(parts, { ...ask, maxMembers: MAX_ASKED_MEMBERS });
}

/**
 * That a snapshot can be asked for; the feed is looked into once it is taken.
 * @throws WeftError NOT_FOUND, BAD_REQUEST, CONFLICT
 */
export async function demandSnapshot(
  { db, now }: Pick<SegmentSnapshotParts, 'db' | 'now'>,
  { segment, list, asOf }: SegmentSnapshotAsk,
): Promise<void> {
  await activeSegment(db, segment);
  if (asOf !== null && asOf > now()) throw toCome(asOf);
  if (!isKey(list)) {
    throw new WeftError('BAD_REQUEST', 'a list cannot be called so', { where: 'list', hint: KEY_HINT });
  }
  if ((await new ListReader(db).byKey(list)) !== null) {
    throw taken(list, 'is there already', `take another key, or remove it by weft list rm ${list}`);
  }
}

function toCome(asOf: number): WeftError {
  return new WeftError('BAD_REQUEST', `${formatInstant(asOf)} is to come`, {
    where: 'asOf',
    hint: 'leave it out for now',
  });
}

type LiveSegment = StoredSegment & { readonly activeVersion: number };

async function activeSegment(db: Database, key: string): Promise<LiveSegment> {
  const segment = await new SegmentReader(db).byKey(key);
  if (segment === null) {
    throw new WeftError('NOT_FOUND', `there is no segment ${key}`, { where: 'segment', hint: 'list the segments' });
  }
  const { activeVersion } = segment;
  if (activeVersion === null) {
    throw new WeftError('CONFLICT', `segment ${key} is not live, so it has no members`, {
      where: key,
      hint: `let it decide by weft segment activate ${key}, or see whom it would have by weft segment preview ${key}`,
    });
  }
  return { ...segment, activeVersion };
}

async function liveSegment(db: Database, key: string): Promise<LiveSegment> {
  const segment = await activeSegment(db, key);
  const { profilesLeft } = await new SegmentProgressReader(db).of([]);
  if (profilesLeft > 0) {
    throw new WeftError('CONFLICT', `${String(profilesLeft)} profiles have yet to be evaluated`, {
      where: key,
      hint: 'wait until a worker has done so: what was activated last may have other members by then',
    });
  }
  return segment;
}

/** Whether the feed tells who was in a segment at a past instant. @throws WeftError BAD_REQUEST, CONFLICT */
async function demandHistory(
  { db, now }: SegmentSnapshotParts,
  { key, createdAt }: StoredSegment,
  asOf: number | null,
): Promise<void> {
  if (asOf === null) return;
  const at = formatInstant(asOf);
  if (asOf > now()) throw toCome(asOf);
  const preview = `weft segment preview ${key} --as-of ${at} tells how many its condition would have had`;
  if (asOf < createdAt) {
    throw new WeftError('CONFLICT', `segment ${key} was not there at ${at}`, { where: 'asOf', hint: preview });
  }
  if (!(await new SegmentHistoryReader(db).isAppliedUntil(asOf))) {
    throw new WeftError('CONFLICT', `not all events that were accepted by ${at} are applied`, {
      where: 'asOf',
      hint: 'wait until a worker has done so',
    });
  }
  // What loaded history changes is told to nobody, so it cannot be taken back.
  const silent = await db.query('SELECT FROM event_log WHERE accepted_at > $1::int8 AND historical LIMIT 1', [asOf]);
  if (silent.length > 0) {
    throw new WeftError('CONFLICT', `history was loaded since ${at}, and the feed does not tell what that changed`, {
      where: 'asOf',
      hint: `take one as of an instant after it; ${preview}`,
    });
  }
}

/** @throws WeftError CONFLICT where there is a list, other than a snapshot of the same segment that was killed */
async function clearHalfMade({ db, lists }: SegmentSnapshotParts, { segment, list: key }: SegmentSnapshotAsk) {
  const list = await new ListReader(db).byKey(key);
  if (list === null) return;
  const isHalfMade = list.origin?.segment === segment && list.lastChange?.isDone === false;
  if (!isHalfMade) throw taken(key, 'is there already', `take another key, or remove it by weft list rm ${key}`);
  await lists.remove(key);
}

function taken(key: string, what: string, hint: string): WeftError {
  return new WeftError('CONFLICT', `a list ${key} ${what}`, { where: 'list', hint });
}

/** The error to tell, once the list is removed: where it is not, that says so, too. */
async function removed({ db, lists }: SegmentSnapshotParts, key: string, error: unknown): Promise<unknown> {
  try {
    if ((await new ListReader(db).byKey(key)) !== null) await lists.remove(key);
    return error;
  } catch (failure) {
    const why = error instanceof Error ? error.message : String(error);
    return new WeftError('INTERNAL', `${why}; and the list ${key} is left half made`, {
      where: key,
      hint: 'the same once more removes it and begins anew; so does weft list rm, which leaves it at that',
      cause: new AggregateError([error, failure]),
    });
  }
}

interface Cut {
  readonly segment: StoredSegment & { readonly activeVersion: number };
  readonly ask: SegmentSnapshotAsk;
  /** The instant before the cut, ms, and the change of the feed behind which those after the instant are. */
  readonly from: { readonly nowMs: number; readonly seq: number };
}

async function copyMembers(
  { lists, signal, onProgress }: SegmentSnapshotParts,
  cut: Transaction,
  { segment, ask, from }: Cut,
): Promise<{ taken: number; refused: number }> {
  const at = ask.asOf ?? from.nowMs;
  const values = [segment.id, at, from.seq];
  const [count] = await cut.query<{ total: number; version: number | null }>(
    `SELECT (SELECT count(*) FROM (${MEMBERS}) m)::int8 AS total,
            (SELECT version FROM changes WHERE segment_id = $1::int4 AND at <= $2::int8 ORDER BY seq DESC LIMIT 1) AS version`,
    values,
  );
  const total = count?.total ?? 0;
  if (ask.maxMembers !== undefined && total > ask.maxMembers) {
    throw new WeftError('CONFLICT', `segment ${segment.key} had ${String(total)} members`, {
      where: 'segment',
      hint: `more than ${String(ask.maxMembers)} are taken by weft segment snapshot ${segment.key} --as ${ask.list}`,
    });
  }
  const version = ask.asOf === null ? segment.activeVersion : (count?.version ?? segment.activeVersion);
  const origin: ListOrigin = { segment: segment.key, version, at };
  const change: RunningChange = await lists.begin(ask.list, 'replace', origin);
  let [done, refused] = [0, 0];
  await cut.execute(`DECLARE members NO SCROLL CURSOR FOR ${MEMBERS} ORDER BY profile_id`, values);
  for (let isLast = false; !isLast;) {
    signal.throwIfAborted();
    const ids = await cut.query<{ profile_id: Uuid }>(`FETCH FORWARD ${String(MEMBERS_PER_PAGE)} FROM members`);
    isLast = ids.length < MEMBERS_PER_PAGE;
    const page = await cut.query<Member>(FOUNDERS, [ids.map((row) => row.profile_id)]);
    const named = page.map(({ ns, value }) => ({ ns, value, isStanding: true }));
    const results = await retryUnavailable(
      () => lists.say(change, named),
      (ms) => sleep(ms, undefined, { signal }),
    );
    refused += results.filter(({ status }) => status === 'refused').length;
    done += page.length;
    onProgress(done, total);
  }
  const counts = { taken: done - refused, refused };
  await lists.end(change, { rows: done, ...counts, removed: 0 });
  return counts;
}

/**
 * Who was in segment $1 at $2, since when the feed has told what is behind $3: whoever has entered first since then was not, whoever has left first since then was, and
 * of all others who is in it now. What was entered in silence since then was told by nobody, and is known by its instant.
 */
const MEMBERS = `
  SELECT m.profile_id FROM memberships m
  WHERE m.segment_id = $1::int4 AND m.since <= $2::int8
    AND NOT EXISTS (SELECT FROM changes c WHERE c.profile_id = m.profile_id AND c.segment_id = $1::int4 AND c.seq > $3::int8 AND c.at > $2::int8)
  UNION ALL
  SELECT profile_id FROM (
    SELECT DISTINCT ON (profile_id) profile_id, kind FROM changes
    WHERE segment_id = $1::int4 AND seq > $3::int8 AND at > $2::int8 ORDER BY profile_id, seq
  ) later WHERE kind = 'leave'`;

/**
 * The founder stands for a profile for as long as it is one, and for whatever that became part of; should it be gone, any
 * other identifier does. Of the erased there is none.
 */
const FOUNDERS = `
  SELECT p.id, i.ns, i.value
  FROM unnest($1::uuid[]) AS asked (id)
  JOIN profiles p ON p.id = asked.id
  CROSS JOIN LATERAL (
    SELECT ns, value FROM (
      SELECT 0 AS place, id, ns, value FROM identifiers WHERE id = p.founding_id
      UNION ALL (SELECT 1, id, ns, value FROM identifiers WHERE profile_id = p.id ORDER BY id LIMIT 1)
    ) known ORDER BY place, id LIMIT 1
  ) i
  ORDER BY p.id`;
