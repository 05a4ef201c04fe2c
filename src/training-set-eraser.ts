import { open } from 'node:fs/promises';
import { extname } from 'node:path';
import type { IdentifierPolicy } from './events/event.model.js';
import type { ExportFolder } from './features/export-folder.js';
import { manifestPathOf } from './features/hashed-file.js';
import { readManifest } from './features/reproduce-order.js';
import type { LabelFile, TrainingSetJob } from './features/training-set-job.model.js';
import { TrainingSetJobStore } from './features/training-set-job.store.js';
import { readLabels, type LabelTimes } from './features/training-set-labels.js';
import { knownIds } from './identity/identifier-forms.model.js';
import type { Clock } from './platform/clock.js';
import { WeftError } from './platform/errors.js';
import type { Uuid } from './platform/ids.js';
import type { Queryable } from './platform/postgres.js';
import type { PersonMatcher } from './privacy/person-matcher.js';
import { openRows } from './sources/row-reader.js';

export interface TrainingSetEraserParts extends Pick<LabelTimes, 'parseTime'> {
  readonly db: Queryable;
  readonly clock: Clock;
  readonly folder: ExportFolder;
  readonly policy: IdentifierPolicy;
  /** Files were looked through, in the background: it is to be asked again. */
  readonly onLooked: () => void;
}

/** Ids of label files and of jobs whose sets name somebody. */
interface Found {
  readonly labels: readonly LabelFile[];
  readonly sets: readonly TrainingSetJob[];
}

type Phase =
  | { readonly is: 'waiting' }
  | { readonly is: 'looking'; readonly outcome: Promise<Found>; isOver: boolean }
  | { readonly is: 'removing'; readonly labelIds: ReadonlySet<Uuid>; readonly count: number };

interface Work {
  /** Label files that were there when it began: later ones are kept free of the person as they come. */
  readonly labelIds: ReadonlySet<Uuid>;
  /** ms */
  askedAt: number;
  phase: Phase;
}

/** Erasures at which it is; one more waits until one ends, or was not asked of for so long that another process ended it. */
const MAX_WORKS = 100;
const FORGOTTEN_AFTER_MS = 60_000;

const ERASED = {
  code: 'NOT_FOUND',
  message: 'the files named somebody who was erased since; send the labels again, which leaves their rows out',
};
/** Types of features that no identifier can be in. */
const NUMBERS: ReadonlySet<string> = new Set(['int', 'double', 'bool', 'timestamp', 'times']);
const OWN_COLUMNS = ['time', 'profile_id', 'entity_status', 'split', 'imputed_features'];

/**
 * Takes a person out of label files and training sets that are kept: each that names them goes as a whole.
 *
 * 1. Sets that are being made begin anew, without what is kept of them: the log has no event of the person any more.
 * 2. Label files that are being received are waited for. Whatever comes later is checked against the list of those who
 *    must not come back, which the person is on.
 * 3. Every label file and every set is read, in the background. Label files go with all their sets.
 * 4. The files are removed by whoever makes training sets (`sweep-exports.ts`), which is waited for.
 * 5. A folder that nobody has is waited for until it is given up (`give-up-exports.ts`), or its label files are forgotten,
 *    a day after their time is over.
 * 6. Files are read for one erasure at a time; one that waits for files to be removed lets others go on.
 */
export class TrainingSetEraser {
  readonly #parts: TrainingSetEraserParts;
  readonly #store: TrainingSetJobStore;
  /** What was asked of last comes last. */
  readonly #works = new Map<Uuid, Work>();

  constructor(parts: TrainingSetEraserParts) {
    this.#parts = parts;
    this.#store = new TrainingSetJobStore(parts.db);
  }

  /**
   * How many label files and sets went; null: it takes longer, ask again.
   * @throws where files cannot be read or removed; asked again, it tries so again
   */
  async forget(erasureId: Uuid, person: PersonMatcher): Promise<number | null> {
    const now = this.#parts.clock.now();
    const known = this.#works.get(erasureId);
    if (known === undefined && this.#works.size >= MAX_WORKS) {
      // They are asked of in turn: to give up the first one of many for one more would bring none of them to an end.
      const [first] = this.#works;
      if (first === undefined || Math.abs(now - first[1].askedAt) < FORGOTTEN_AFTER_MS) return null;
      this.#works.delete(first[0]);
    }
    const work = known ?? (await this.#begin(now));
    if (work === null) return 0;
    work.askedAt = now;
    this.#works.delete(erasureId);
    this.#works.set(erasureId, work);
    const count = await this.#goOn(work, person);
    if (count !== null) this.#works.delete(erasureId);
    return count;
  }

  async #begin(askedAt: number): Promise<Work | null> {
    const ids = await this.#store.labelFileIds();
    if (ids.length === 0) return null;
    await this.#store.restartAll();
    return { labelIds: new Set(ids), askedAt, phase: { is: 'waiting' } };
  }

  async #goOn(work: Work, person: PersonMatcher): Promise<number | null> {
    if (work.phase.is === 'waiting') return this.#wait(work, person);
    if (work.phase.is === 'looking') return this.#remove(work, work.phase);
    const { labelIds, count } = work.phase;
    return (await this.#store.standing([...labelIds])).all > 0 ? null : count;
  }

  async #wait(work: Work, person: PersonMatcher): Promise<number | null> {
    const { folder } = this.#parts;
    const { all, receiving } = await this.#store.standing([...work.labelIds]);
    if (all === 0) return 0;
    if (receiving > 0 || (await this.#store.isRestarting()) || !(await folder.isOurs())) return null;
    if ([...this.#works.values()].some(({ phase }) => phase.is === 'looking' && !phase.isOver)) return null;
    const outcome = this.#look(work.labelIds, person);
    const phase: Phase = { is: 'looking', outcome, isOver: false };
    const over = (): void => {
      phase.isOver = true;
      this.#parts.onLooked();
    };
    outcome.then(over, over);
    work.phase = phase;
    return null;
  }

  async #remove(work: Work, { outcome, isOver }: Extract<Phase, { is: 'looking' }>): Promise<null> {
    if (!isOver) return null;
    const { folder, clock } = this.#parts;
    const found = await outcome.catch((error: unknown) => {
      work.phase = { is: 'waiting' };
      throw error;
    });
    // Of a folder that was lost meanwhile, every file looks removed.
    if (!(await folder.isOurs())) {
      work.phase = { is: 'waiting' };
      return null;
    }
    const { labels, sets } = found;
    for (const { id } of labels) {
      await this.#store.doom(id);
      await this.#store.cancelOf(id, clock.now(), ERASED);
      await this.#store.forgetFilesOf(id, ERASED);
    }
    for (const job of sets) {
      if (job.labelFileId !== null) await folder.removeSet(folder.setOf(job, job.labelFileId));
      await this.#store.forgetFiles(job.id, ERASED);
    }
    const labelIds = new Set(labels.map(({ id }) => id));
    work.phase = { is: 'removing', labelIds, count: labels.length + sets.length };
    return null;
  }

  async #look(labelIds: ReadonlySet<Uuid>, person: PersonMatcher): Promise<Found> {
    const labels: LabelFile[] = [];
    for await (const file of pagesOf((last: LabelFile | null) => this.#store.labelFiles(last))) {
      if (labelIds.has(file.id) && (await orGone(this.#isInLabels(file, person)))) labels.push(file);
    }
    const gone = new Set(labels.map(({ id }) => id));
    const sets: TrainingSetJob[] = [];
    for await (const job of pagesOf((last: TrainingSetJob | null) => this.#store.withFiles(last))) {
      if (job.labelFileId === null || gone.has(job.labelFileId)) continue;
      if (await orGone(this.#isInSet(job, job.labelFileId, person))) sets.push(job);
    }
    return { labels, sets };
  }

  async #isInLabels(file: LabelFile, person: PersonMatcher): Promise<boolean> {
    const { folder, policy, parseTime, clock } = this.#parts;
    const times = { parseTime, nowMs: clock.now() };
    for await (const row of readLabels(folder.labelsOf(file), times)) {
      const ids = knownIds(policy, row);
      if (ids.some((id) => person.isOf({ id })) || person.isNamedIn(JSON.stringify([row.value, ...row.cells]))) {
        return true;
      }
    }
    return false;
  }

  /** Texts that features have of others may name the person: what the set was made of does no more. */
  async #isInSet(job: TrainingSetJob, labelFileId: Uuid, person: PersonMatcher): Promise<boolean> {
    const path = this.#parts.folder.setOf(job, labelFileId);
    const { features } = await readManifest(manifestPathOf(path));
    const hasTexts = features.some(({ type }) => !NUMBERS.has(type));
    if (!hasTexts) return false;
    const numbers = features.flatMap(({ name, type, view }) => (NUMBERS.has(type) ? [name, `${view}__${name}`] : []));
    const unread = new Set([...OWN_COLUMNS, ...numbers]);
    const file = await open(path);
    try {
      const format = extname(path) === '.csv' ? 'csv' : 'parquet';
      const { header, chunks } = await openRows(file, { format, encoding: 'utf-8', delimiter: ',', header: null });
      const names = header ?? [];
      for await (const { rows } of chunks) {
        for (const { cells, record } of rows) {
          const values = names.flatMap((name, i) => (unread.has(name) ? [] : [cells?.[i] ?? record?.[name] ?? null]));
          if (person.isNamedIn(JSON.stringify(values))) return true;
        }
      }
      return false;
    } finally {
      await file.close();
    }
  }
}

/** All rows of pages that each begin behind the last row of the one before. */
async function* pagesOf<T>(pageAfter: (last: T | null) => Promise<readonly T[]>): AsyncGenerator<T, void, undefined> {
  for (let last: T | null = null; ;) {
    const page: readonly T[] = await pageAfter(last);
    yield* page;
    last = page.at(-1) ?? null;
    if (last === null) return;
  }
}

/** Of files that somebody took away: true, so that what tells of them goes, too. */
async function orGone(isNamed: Promise<boolean>): Promise<boolean> {
  try {
    return await isNamed;
  } catch (error) {
    if (error instanceof WeftError ? error.code === 'NOT_FOUND' : (error as { code?: unknown }).code === 'ENOENT') {
      return true;
    }
    throw error;
  }
}
