import type { AppliedOutcome, AppliedWatch } from '../../events/applied-watch.js';
import type { Uuid } from '../../platform/ids.js';
import type { CounterHandle, Metrics } from '../../platform/metrics.js';
import { glanceOf, type ProfileGlance, type ProfileSnapshot } from '../../segments/profile-snapshot.model.js';
import type { ApiDefinitions } from '../api-definitions.model.js';
import {
  defaultAnswer,
  EdgeMarks,
  UNKNOWN_VISITOR,
  type EdgeAnswer,
  type EdgeDefault,
  type EdgeScoreView,
} from './edge-answer.model.js';
import type { EdgeScores } from './edge-scores.js';
import { RememberedAnswers } from './remembered-answers.js';

/** Why an answer was not what it should have been. */
export const DEGRADED_CAUSES = ['deadline', 'not_applied', 'store', 'scoring', 'overloaded'] as const;
export type DegradedCause = (typeof DEGRADED_CAUSES)[number];

/** Reads under way at most, of all visitors; those that nobody waits for any more count, too. */
const MAX_READS = 1_000;
/** Questions at most that wait for events to be applied, and read nothing yet. */
const MAX_WAITS = 1_000;
/** Of the deadline, kept for reading once events have been waited for, ms. */
const READ_RESERVE_MS = 10;

export interface EdgeQuestion {
  /** What the one who is asked for may be known by: the first that is known counts. Empty: nobody can be. */
  readonly identifierIds: readonly Uuid[];
  /** ms */
  readonly deadlineMs: number;
  readonly onMiss: EdgeDefault;
  /** Events of the log up to here are to count; null: as things stand. */
  readonly afterPos: number | null;
  /** The request's; ends with it. */
  readonly definitions: ApiDefinitions;
}

export interface EdgeProfilesOptions {
  /** The profile of an identifier where it is in memory; undefined where somebody has to be asked. */
  readonly atHand: (identifierId: Uuid) => ProfileGlance | undefined;
  /** The same, or as it was a moment ago. */
  readonly lastAtHand: (identifierId: Uuid) => ProfileGlance | undefined;
  /** The profile of an identifier; null where it is unknown. */
  readonly read: (identifierId: Uuid) => Promise<ProfileSnapshot | null>;
  /** The same as it is committed, past any copy. */
  readonly readCommitted: (identifierId: Uuid) => Promise<ProfileSnapshot | null>;
  readonly applied: Pick<AppliedWatch, 'isPublished' | 'until'>;
  readonly scores: Pick<EdgeScores, 'known' | 'ask'>;
  readonly metrics: Pick<Metrics, 'counter'>;
  readonly onError: (error: unknown) => void;
  /** ms, of any origin. */
  readonly now: () => number;
  /** ms UTC; what consents are held against. */
  readonly wallClock: () => number;
  readonly maxReads?: number;
  readonly maxWaits?: number;
}

/** Null: nothing is amiss. */
interface Outcome {
  readonly answer: EdgeAnswer;
  readonly cause: DegradedCause | null;
}

/**
 * Answers for page views: within the deadline, whatever happens.
 *
 *  1. A question is answered by its deadline: with what is known, with what was known of this visitor a moment ago, or
 *     with the caller's default. The last two are marked `degraded`, and counted by cause.
 *  2. A read that is late goes on, because others may share it; its outcome is remembered, not answered. Reads under way
 *     are bounded; beyond the bound nothing is read. So are, apart from them, questions that wait for events.
 *  3. Nothing leaves that is not marked edge-safe in the definitions of the request, remembered or not.
 *  4. Where visitors have to allow it, those who do not are answered as if nobody knew them. What was known a moment ago,
 *     or before the events that were waited for, may be older than their word, and is not told. Where only segments and
 *     models need them to, those are left out of it.
 */
export class EdgeProfiles {
  readonly #options: EdgeProfilesOptions;
  readonly #degraded: CounterHandle;
  readonly #remembered = new RememberedAnswers();
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

  /** At once where all of it is in the memory of this process. */
  answer(question: EdgeQuestion): EdgeAnswer | Promise<EdgeAnswer> {
    const [first] = question.identifierIds;
    if (first === undefined) return UNKNOWN_VISITOR;
    return this.#atHand(question, first) ?? this.#byDeadline(question, first);
  }

  #atHand(question: EdgeQuestion, identifierId: Uuid): EdgeAnswer | undefined {
    const { afterPos } = question;
    if (afterPos !== null && !this.#options.applied.isPublished(afterPos)) return undefined;
    try {
      const profile = this.#options.atHand(identifierId);
      return profile === undefined ? undefined : this.#known(question, profile);
    } catch {
      // The one that waits meets it again, and says so.
      return undefined;
    }
  }

  #byDeadline(question: EdgeQuestion, identifierId: Uuid): Promise<EdgeAnswer> {
    return new Promise((resolve) => {
      let isGiven = false;
      const give = (outcome: Outcome | null): void => {
        if (isGiven) return;
        isGiven = true;
        clearTimeout(timer);
        resolve(this.#given(outcome ?? this.#fallback(question, identifierId, 'deadline')));
      };
      const timer = setTimeout(() => {
        // Timers run before sockets are read: where this process was busy, the answer may be there already.
        setImmediate(give, null);
      }, question.deadlineMs);
      this.#read(question, identifierId).then(give, (error: unknown) => {
        this.#options.onError(error);
        give(this.#fallback(question, identifierId, 'store'));
      });
    });
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
    const awaited =
      question.afterPos === null ? 'published' : await this.#untilApplied(question.afterPos, question.deadlineMs);
    if (this.#reads >= maxReads) return this.#fallback(question, identifierId, 'overloaded');
    this.#reads++;
    try {
      return await this.#readAfter(awaited, question, identifierId);
    } finally {
      this.#reads--;
    }
  }

  async #readAfter(awaited: AppliedOutcome, question: EdgeQuestion, identifierId: Uuid): Promise<Outcome> {
    const profile = await this.#profileAfter(awaited, question.identifierIds);
    const marks = EdgeMarks.of(question.definitions);
    if (awaited === 'late' && marks.needsConsent) {
      return { answer: defaultAnswer(question.onMiss), cause: 'not_applied' };
    }
    if (profile === null) return awaited === 'late' ? { answer: UNKNOWN_VISITOR, cause: 'not_applied' } : NOBODY;
    const answer = this.#known(question, profile);
    const outcome = answer === undefined ? await this.#scored(question, profile) : wholly(answer);
    if (outcome.cause === null) {
      this.#remembered.set(identifierId, outcome.answer, question.definitions, this.#options.now());
    }
    return awaited === 'late' ? { answer: marks.ungated(outcome.answer), cause: 'not_applied' } : outcome;
  }

  async #profileAfter(awaited: AppliedOutcome, identifierIds: readonly Uuid[]): Promise<ProfileGlance | null> {
    const { atHand, read, readCommitted } = this.#options;
    const isCopyEnough = awaited !== 'committed';
    for (const id of identifierIds) {
      const profile = isCopyEnough ? atHand(id) : undefined;
      if (profile !== undefined) return profile;
      const snapshot = await (isCopyEnough ? read(id) : readCommitted(id));
      if (snapshot !== null) return glanceOf(snapshot);
    }
    return null;
  }

  /** Undefined where a model has to be asked. */
  #known({ definitions }: EdgeQuestion, profile: ProfileGlance): EdgeAnswer | undefined {
    const marks = EdgeMarks.of(definitions);
    if (marks.needsConsent && !marks.allows(profile, this.#options.wallClock())) return UNKNOWN_VISITOR;
    const scores = this.#options.scores.known(profile, definitions);
    return scores === undefined ? undefined : answerOf(definitions, profile, scores);
  }

  async #scored({ definitions }: EdgeQuestion, profile: ProfileGlance): Promise<Outcome> {
    try {
      return wholly(answerOf(definitions, profile, await this.#options.scores.ask(profile, definitions)));
    } catch (error) {
      this.#options.onError(error);
      return { answer: answerOf(definitions, profile, NO_SCORES), cause: 'scoring' };
    }
  }

  async #untilApplied(pos: number, deadlineMs: number): Promise<AppliedOutcome> {
    this.#waits++;
    try {
      // What is known at the deadline is worth more than a default, and has to be read before it.
      return await this.#options.applied.until(pos, Math.max(deadlineMs / 2, deadlineMs - READ_RESERVE_MS));
    } finally {
      this.#waits--;
    }
  }

  #fallback(question: EdgeQuestion, identifierId: Uuid, cause: DegradedCause): Outcome {
    const { definitions, onMiss } = question;
    const marks = EdgeMarks.of(definitions);
    if (marks.needsConsent) return { answer: defaultAnswer(onMiss), cause };
    const remembered = this.#remembered.get(identifierId, definitions, this.#options.now());
    const known = remembered ?? this.#lastKnown(question);
    return { answer: known === undefined ? defaultAnswer(onMiss) : marks.ungated(known), cause };
  }

  /** What was at hand was not remembered: to keep an answer for each page view costs more than to find it. */
  #lastKnown({ definitions, identifierIds }: EdgeQuestion): EdgeAnswer | undefined {
    try {
      let profile: ProfileGlance | undefined;
      for (const id of identifierIds) if ((profile = this.#options.lastAtHand(id)) !== undefined) break;
      if (profile === undefined) return undefined;
      return answerOf(definitions, profile, this.#options.scores.known(profile, definitions) ?? NO_SCORES);
    } catch (error) {
      this.#options.onError(error);
      return undefined;
    }
  }
}

const NO_SCORES: readonly EdgeScoreView[] = [];
const NOBODY: Outcome = { answer: UNKNOWN_VISITOR, cause: null };

function wholly(answer: EdgeAnswer): Outcome {
  return { answer, cause: null };
}

function answerOf(definitions: ApiDefinitions, profile: ProfileGlance, scores: readonly EdgeScoreView[]): EdgeAnswer {
  const marks = EdgeMarks.of(definitions);
  return {
    known: true,
    degraded: false,
    asOf: profile.asOf,
    segments: marks.segmentsOf(profile),
    traits: marks.traitsOf(profile),
    scores,
  };
}
