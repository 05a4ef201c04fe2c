import { WeftError } from './platform/errors.js';
import { isKey } from './platform/key.js';
import type { Database } from './platform/postgres.js';
import type { StoredList } from './profiles/list.model.js';
import { ListReader } from './profiles/list.reader.js';
import type { ListService } from './profiles/list.service.js';
import type { JobKind, JobResult, JobRun, JobSettings } from './schedules/schedule.model.js';
import { snapshotSegment } from './segment-snapshot.js';
import { SNAPSHOT_JOB, SNAPSHOT_LIMITS, type SegmentJobRequests } from './segments/segment-jobs.model.js';
import { SegmentProgressReader } from './segments/segment-progress.reader.js';
import { SegmentReader } from './segments/segment.reader.js';

export interface SnapshotJobParts {
  readonly db: Database;
  readonly now: () => number;
  readonly lists: Pick<ListService, 'begin' | 'end' | 'remove' | 'say' | 'upsert'>;
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>;
}

interface StoredSnapshotJob {
  readonly segment: string;
  /** The lists are called by this and the instant, as `buyers_20260301_0400`. */
  readonly list: string;
  readonly keep: number;
}

/**
 * Keeps those who are in a segment when it is due as a list, as `weft segment snapshot` does, and removes the oldest of
 * its lists. Those that live segments ask about stay.
 */
export class SnapshotJobKind implements JobKind {
  readonly kind = SNAPSHOT_JOB;

  constructor(private readonly parts: SnapshotJobParts) {}

  describe(job: JobSettings): string {
    const { segment, list, keep } = job as unknown as StoredSnapshotJob;
    return `keep who is in ${segment} as a list ${list}_…, the latest ${String(keep)}`;
  }

  /** @throws WeftError BAD_REQUEST, NOT_FOUND */
  async prepare(request: JobSettings): Promise<JobSettings> {
    const { segment, list, keep } = request as unknown as SegmentJobRequests[typeof SNAPSHOT_JOB];
    const { maxKept, defaultKept, maxPrefixLength } = SNAPSHOT_LIMITS;
    const found = isKey(segment) ? await new SegmentReader(this.parts.db).byKey(segment) : null;
    if (found === null) {
      throw new WeftError('NOT_FOUND', `there is no segment ${segment.slice(0, 100)}`, {
        where: 'segment',
        hint: 'weft segment list shows all of them',
      });
    }
    const prefix = list ?? segment;
    if (!isKey(prefix) || prefix.length > maxPrefixLength) {
      throw new WeftError('BAD_REQUEST', `no list can be called by "${prefix.slice(0, 100)}" and an instant`, {
        where: 'list',
        hint: `use lower-case letters, digits and underscores, starting with a letter, at most ${String(maxPrefixLength)} characters`,
      });
    }
    const kept = keep ?? defaultKept;
    if (!Number.isInteger(kept) || kept < 1 || kept > maxKept) {
      throw new WeftError('BAD_REQUEST', `${String(kept)} lists cannot be kept`, {
        where: 'keep',
        hint: `keep 1 to ${String(maxKept)}`,
      });
    }
    return { segment, list: prefix, keep: kept };
  }

  async run(job: JobSettings, { dueAt, signal, report }: JobRun): Promise<JobResult> {
    const { segment, list: prefix, keep } = job as unknown as StoredSnapshotJob;
    const { db, now, lists } = this.parts;
    const key = snapshotKey(prefix, dueAt);
    const known = await new ListReader(db).byKey(key);
    const isTaken = known !== null && isWhole(known) && (known.origin?.at ?? 0) >= dueAt;
    let counts = { taken: known?.lastChange?.taken ?? 0, refused: known?.lastChange?.refused ?? 0 };
    if (!isTaken) {
      // An attempt whose process was killed has left it.
      if (known !== null) await lists.remove(key);
      await untilEvaluated(this.parts, signal);
      const onProgress = (done: number, total: number): void => {
        report({ done, total });
      };
      counts = await snapshotSegment(
        { db, now, lists, signal, onProgress },
        { segment, list: key, name: null, asOf: null },
      );
    }
    const { removed, held } = await this.#removeOldest({ segment, prefix, keep, newest: key });
    const { taken, refused } = counts;
    const parts = [
      `list ${key}: ${taken.toLocaleString('en-US')} people`,
      ...(refused === 0 ? [] : [`${refused.toLocaleString('en-US')} who are being erased left out`]),
      ...(removed === 0 ? [] : [`${String(removed)} older removed`]),
      ...held,
    ];
    return { isDone: true, note: parts.join(', '), result: { list: key, segment, taken, refused, removed } };
  }

  /** Also what attempts that were killed have left. */
  async #removeOldest(of: {
    readonly segment: string;
    readonly prefix: string;
    readonly keep: number;
    readonly newest: string;
  }): Promise<{ readonly removed: number; readonly held: readonly string[] }> {
    const all = await new ListReader(this.parts.db).all();
    let removed = 0;
    const held: string[] = [];
    for (const key of outlivedSnapshots(all, of)) {
      try {
        await this.parts.lists.remove(key);
        removed++;
      } catch (error) {
        if (!(error instanceof WeftError) || error.code === 'UNAVAILABLE') throw error;
        // Somebody removed it meanwhile, or a live segment asks about it.
        if (error.code !== 'NOT_FOUND') held.push(`${key} stays: ${error.message}`);
      }
    }
    return { removed, held: held.slice(0, MAX_TOLD) };
  }
}

const MAX_TOLD = 3;
/** Beyond it the attempt fails, and others have its place until the next. */
const MAX_WAIT_MS = 600_000;
const POLL_MS = 1_000;
const INSTANT = /^_\d{8}_\d{4}$/;

/**
 * Waits a while until everybody is evaluated by what is in force: a list that was removed, by an earlier run or just
 * now, is a change of definitions.
 */
export async function untilEvaluated(
  { db, now, sleep }: Pick<SnapshotJobParts, 'db' | 'now' | 'sleep'>,
  signal: AbortSignal,
): Promise<void> {
  const reader = new SegmentProgressReader(db);
  for (const untilMs = now() + MAX_WAIT_MS; now() < untilMs; await sleep(POLL_MS, signal)) {
    if ((await reader.of([])).profilesLeft === 0) return;
  }
}

/** By the minute, in UTC: they sort by when they were taken, and no local time comes twice. @param dueAt ms */
export function snapshotKey(prefix: string, dueAt: number): string {
  const text = new Date(dueAt).toISOString();
  return `${prefix}_${text.slice(0, 10).replaceAll('-', '')}_${text.slice(11, 16).replace(':', '')}`;
}

/** Of the lists that snapshots of this segment made under this beginning: those that are too many, or are not whole. */
export function outlivedSnapshots(
  lists: readonly StoredList[],
  {
    segment,
    prefix,
    keep,
    newest,
  }: { readonly segment: string; readonly prefix: string; readonly keep: number; readonly newest: string },
): string[] {
  const own = lists
    .filter(
      ({ key, origin }) =>
        key.startsWith(prefix) && INSTANT.test(key.slice(prefix.length)) && origin?.segment === segment,
    )
    .filter(({ key }) => key <= newest)
    .sort((a, b) => (a.key < b.key ? 1 : -1));
  const whole = own.filter(isWhole).slice(0, keep);
  return own.filter((list) => !whole.includes(list)).map(({ key }) => key);
}

function isWhole({ lastChange }: StoredList): boolean {
  return lastChange?.isDone === true;
}
