import { LRUCache } from 'lru-cache';
import type { AppliedWatch } from '../../events/applied-watch.js';
import type { Uuid } from '../../platform/ids.js';
import type { CounterHandle, Metrics } from '../../platform/metrics.js';
import type { ProfileSnapshot } from '../../segments/profile-snapshot.model.js';
import type { ApiDefinitions } from '../api-definitions.model.js';
import {
  defaultAnswer,
  EdgeMarks,
  UNKNOWN_VISITOR,
  type EdgeAnswer,
  type EdgeDefault,
  type EdgeScoreView,
} from './edge-answer.model.js';

/** Why an answer was not what it should have been. */
export const DEGRADED_CAUSES = ['deadline', 'not_applied', 'store', 'scoring', 'overloaded'] as const;
export type DegradedCause = (typeof DEGRADED_CAUSES)[number];

/** Reads under way at most, of all visitors; those that nobody waits for any more count, too. */
const MAX_READS = 1_000;
/** Questions at most that wait for events to be applied, and read nothing yet. */
const MAX_WAITS = 1_000;
/** Visitors whose last answer is remembered. */
const MAX_REMEMBERED = 10_000;
/** In UTF-16 units of their traits and keys, of all of them together. */
const MAX_REMEMBERED_TEXT = 10_000_000;
/** How old a remembered answer may be to stand in for one that is late, ms. */
const REMEMBERED_MS = 60_000;
/** Of the deadline, kept for reading once events have been waited for, ms. */
const READ_RESERVE_MS = 10;

export interface EdgeQuestion {
  /** Of an identifier that the one who asks may ask for; null for one that no event can carry. */
  readonly identifierId: Uuid | null;
  /** ms */
  readonly deadlineMs: number;
  readonly onMiss: EdgeDefault;
  /** Events of the log up to here are to count; null: as things stand. */
  readonly afterPos: number | null;
  /** The request's; ends with it. */
  readonly definitions: ApiDefinitions;
  /** What a model says of a profile. */
  readonly score: (snapshot: ProfileSnapshot, model: string) => Promise<EdgeScoreView>;
}

export interface EdgeProfilesOptions {
  /** The profile of an identifier; null where it is unknown. */
  readonly read: (identifierId: Uuid) => Promise<ProfileSnapshot | null>;
  /** The same as it is committed, past any copy. */
  readonly readCommitted: (identifierId: Uuid) => Promise<ProfileSnapshot | null>;
  readonly applied: Pick<AppliedWatch, 'until'>;
  readonly metrics: Pick<Metrics, 'counter'>;
  readonly onError: (error: unknown) => void;
  /** ms, of any origin. */
  readonly now: () => number;
  readonly maxReads?: number;
  readonly maxWaits?: number;
}

/** Null: nothing is amiss. */
interface Outcome {
  readonly answer: EdgeAnswer;
  readonly cause: DegradedCause | null;
}

interface Remembered {
  readonly answer: EdgeAnswer;
  /** What is marked may have changed since. */
  readonly definitions: ApiDefinitions;
  readonly atMs: number;
}

/**
 * Answers for page views: within the deadline, whatever happens.
 *
 *  1. A question is answered by its deadline: with what is known, with what was known of this visitor a moment ago, or
 *     with the caller's default. The last two are marked `degraded`, and counted by cause.
 *  2. A read that is late goes on, because others may share it; its outcome is remembered, not answered. Reads under way
 *     are bounded; beyond the bound nothing is read. So are, apart from them, questions that wait for events.
 *  3. Nothing leaves that is not marked edge-safe in the definitions of the request, remembered or not.
 */
export class EdgeProfiles {
  readonly #options: EdgeProfilesOptions;
  readonly #degraded: CounterHandle;
  readonly #remembered = new LRUCache<Uuid, Remembered>({
    max: MAX_REMEMBERED,
    maxSize: MAX_REMEMBERED_TEXT,
    sizeCalculation: ({ answer }) => sizeOf(answer),
  });
  #reads = 0;
  #waits = 0;

  constructor(options: EdgeProfilesOptions) {
    this.#options = options;
    this.#degraded = options.metrics.counter(
      'edge_degraded_total',
      'Answers to page views that were not what they should have been, by cause.',
      { cause: DEGRADED_CAUSES },
    );
  }

  /** Reads under way, those that are late included. */
  get reads(): number {
    return this.#reads;
  }

  async answer(question: EdgeQuestion): Promise<EdgeAnswer> {
    const { identifierId, deadlineMs } = question;
    if (identifierId === null) return UNKNOWN_VISITOR;
    const reading = this.#read(question, identifierId).catch((error: unknown) => {
      this.#options.onError(error);
      return this.#fallback(question, identifierId, 'store');
    });
    const inTime = await firstWithin(deadlineMs, reading);
    return this.#given(inTime ?? this.#fallback(question, identifierId, 'deadline'));
  }

  /** Only what is given is counted: a read that was late may fail besides. */
  #given({ answer, cause }: Outcome): EdgeAnswer {
    if (cause === null) return answer;
    this.#degraded.add(1, cause);
    return { ...answer, degraded: true };
  }

  async #read(question: EdgeQuestion, identifierId: Uuid): Promise<Outcome> {
    const { maxReads = MAX_READS, maxWaits = MAX_WAITS } = this.#options;
    if (question.afterPos !== null && this.#waits >= maxWaits) {
      return this.#fallback(question, identifierId, 'overloaded');
    }
    const awaited = await this.#awaited(question);
    if (this.#reads >= maxReads) return this.#fallback(question, identifierId, 'overloaded');
    this.#reads++;
    try {
      return await this.#readAfter(awaited, question, identifierId);
    } finally {
      this.#reads--;
    }
  }

  async #awaited({ afterPos, deadlineMs }: EdgeQuestion): Promise<Awaited<ReturnType<AppliedWatch['until']>>> {
    if (afterPos === null) return 'published';
    this.#waits++;
    try {
      // What is known at the deadline is worth more than a default, and has to be read before it.
      return await this.#options.applied.until(afterPos, Math.max(deadlineMs / 2, deadlineMs - READ_RESERVE_MS));
    } finally {
      this.#waits--;
    }
  }

  async #readAfter(
    awaited: Awaited<ReturnType<AppliedWatch['until']>>,
    question: EdgeQuestion,
    identifierId: Uuid,
  ): Promise<Outcome> {
    const { read, readCommitted } = this.#options;
    const snapshot = await (awaited === 'committed' ? readCommitted : read)(identifierId);
    const known = snapshot === null ? WITHOUT_CAUSE : await this.#answerOf(question, snapshot);
    if (snapshot !== null && known.cause === null) this.#remember(identifierId, known.answer, question.definitions);
    return awaited === 'late' ? { answer: known.answer, cause: 'not_applied' } : known;
  }

  async #answerOf({ definitions, score }: EdgeQuestion, snapshot: ProfileSnapshot): Promise<Outcome> {
    const marks = EdgeMarks.of(definitions);
    const answer: EdgeAnswer = {
      known: true,
      degraded: false,
      asOf: snapshot.asOf,
      segments: marks.segmentsOf(snapshot),
      traits: marks.traitsOf(snapshot),
      scores: NO_SCORES,
    };
    if (marks.models.length === 0) return { answer, cause: null };
    try {
      const scores = await Promise.all(marks.models.map((model) => score(snapshot, model)));
      return { answer: { ...answer, scores }, cause: null };
    } catch (error) {
      this.#options.onError(error);
      return { answer, cause: 'scoring' };
    }
  }

  #fallback({ definitions, onMiss }: EdgeQuestion, identifierId: Uuid, cause: DegradedCause): Outcome {
    const remembered = this.#remembered.get(identifierId);
    const isUsable = remembered?.definitions === definitions && this.#options.now() - remembered.atMs <= REMEMBERED_MS;
    return { answer: isUsable ? remembered.answer : defaultAnswer(onMiss), cause };
  }

  #remember(identifierId: Uuid, answer: EdgeAnswer, definitions: ApiDefinitions): void {
    this.#remembered.set(identifierId, { answer, definitions, atMs: this.#options.now() });
  }
}

const NO_SCORES: readonly EdgeScoreView[] = [];
const WITHOUT_CAUSE: Outcome = { answer: UNKNOWN_VISITOR, cause: null };

/**
 * What `work`, which does not reject, comes to, or null if it takes longer. Timers run before sockets are read, so one more
 * look at them is taken: where this process was busy, the answer may be there already.
 */
function firstWithin<T>(timeoutMs: number, work: Promise<T>): Promise<T | null> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => {
      setImmediate(resolve, null);
    }, timeoutMs);
    void work.then((value) => {
      clearTimeout(timer);
      resolve(value);
    });
  });
}

/** In UTF-16 units, roughly. */
function sizeOf({ segments, traits }: EdgeAnswer): number {
  return 100 + segments.length * 32 + JSON.stringify(traits).length;
}
