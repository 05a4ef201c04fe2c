import { setTimeout as sleep } from 'node:timers/promises';
import { WeftError } from './platform/errors.js';
import type { Uuid } from './platform/ids.js';
import type { Database } from './platform/postgres.js';
import type { StoredList } from './profiles/list.model.js';
import { ListReader } from './profiles/list.reader.js';
import type { ListService } from './profiles/list.service.js';
import { SegmentProgressReader } from './segments/segment-progress.reader.js';
import { SegmentReader } from './segments/segment.reader.js';
import { retryUnavailable } from './sources/retry-unavailable.js';

export interface SegmentSnapshotParts {
  readonly db: Database;
  readonly now: () => number;
  readonly lists: Pick<ListService, 'begin' | 'end' | 'remove' | 'say' | 'upsert'>;
  readonly signal: AbortSignal;
  /** Called with the members there are, once that is known, and with how many were taken. */
  readonly onProgress: (done: number, total: number) => void;
}

export interface SegmentSnapshot {
  readonly list: StoredList;
  readonly taken: number;
  /** Members whom the list of the erased names by now. */
  readonly refused: number;
}

const MEMBERS_PER_PAGE = 1_000;
/** For as long the members are read from one cut: those of a segment of many millions. */
const CUT_TIMEOUT_MS = 6 * 60 * 60_000;
const LEAST_ID = '00000000-0000-0000-0000-000000000000';

interface Member {
  readonly id: Uuid;
  readonly ns: string;
  readonly value: string;
}

/**
 * Puts those on a new list who are in a segment at this instant, each by the identifier that founded the profile, so that
 * they stay on it whatever their profiles become part of. All members are read from one cut, some at a time. Whole or not
 * at all: broken off, the list is removed again.
 * @throws WeftError NOT_FOUND, CONFLICT (there is a list of this key, the segment is not live, or people have yet
 *   to be evaluated since something was activated)
 */
export async function snapshotSegment(
  { db, now, lists, signal, onProgress }: SegmentSnapshotParts,
  {
    segment: key,
    list: listKey,
    name,
  }: { readonly segment: string; readonly list: string; readonly name: string | null },
): Promise<SegmentSnapshot> {
  const segment = await new SegmentReader(db).byKey(key);
  if (segment === null) throw new WeftError('NOT_FOUND', `there is no segment ${key}`, { hint: 'list the segments' });
  const { activeVersion } = segment;
  if (activeVersion === null) {
    throw new WeftError('CONFLICT', `segment ${key} is not live, so it has no members`, {
      where: key,
      hint: `let it decide by weft segment activate ${key}, or see whom it would have by weft segment preview ${key}`,
    });
  }
  const { profilesLeft } = await new SegmentProgressReader(db).of([]);
  if (profilesLeft > 0) {
    throw new WeftError('CONFLICT', `${String(profilesLeft)} profiles have yet to be evaluated`, {
      where: key,
      hint: 'wait until a worker has done so: what was activated last may have other members by then',
    });
  }
  const reader = new ListReader(db);
  if ((await reader.byKey(listKey)) !== null) {
    throw new WeftError('CONFLICT', `there is a list ${listKey} already`, {
      where: '--as',
      hint: `take another key, or remove it by weft list rm ${listKey}`,
    });
  }
  await lists.upsert({ key: listKey, name: name ?? `${segment.name}, as they were`, description: '' });
  try {
    const counts = await db.transaction(
      async (tx) => {
        const change = await lists.begin(listKey, 'replace', { segment: key, version: activeVersion, at: now() });
        const [count] = await tx.query<{ total: number }>(
          'SELECT count(*)::int8 AS total FROM memberships WHERE segment_id = $1',
          [segment.id],
        );
        const total = count?.total ?? 0;
        let [taken, refused] = [0, 0];
        for (let after: Uuid | null = LEAST_ID; after !== null;) {
          signal.throwIfAborted();
          const page: Member[] = await tx.query<Member>(PAGE, [segment.id, after, MEMBERS_PER_PAGE]);
          const named = page.map(({ ns, value }) => ({ ns, value, isStanding: true }));
          const results = await retryUnavailable(
            () => lists.say(change, named),
            (ms) => sleep(ms, undefined, { signal }),
          );
          const ofPage = results.filter(({ status }) => status === 'refused').length;
          refused += ofPage;
          taken += page.length - ofPage;
          onProgress(taken + refused, total);
          after = page.length < MEMBERS_PER_PAGE ? null : (page.at(-1)?.id ?? null);
        }
        await lists.end(change, { rows: taken + refused, taken, refused, removed: 0 });
        return { taken, refused };
      },
      { isolation: 'REPEATABLE READ', readOnly: true, timeoutMs: CUT_TIMEOUT_MS },
    );
    const list = await reader.byKey(listKey);
    if (list === null) throw new WeftError('CONFLICT', 'the list was removed meanwhile', { where: listKey });
    return { list, ...counts };
  } catch (error) {
    await lists.remove(listKey).catch(() => undefined);
    throw error;
  }
}

/** The founder stands for a profile for as long as it is one; should it be gone, any other identifier does. */
const PAGE = `
  SELECT m.profile_id AS id, i.ns, i.value
  FROM (SELECT profile_id FROM memberships WHERE segment_id = $1 AND profile_id > $2::uuid ORDER BY profile_id LIMIT $3) m
  JOIN profiles p ON p.id = m.profile_id
  CROSS JOIN LATERAL (
    SELECT ns, value FROM identifiers WHERE profile_id = m.profile_id ORDER BY id <> p.founding_id, id LIMIT 1
  ) i
  ORDER BY m.profile_id`;
