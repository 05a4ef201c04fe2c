import { readAppliedPos } from '../events/applied-log.reader.js';
import { HASH_RANGE, type HashSlice, type ProfileHistoryReader } from '../identity/profile-history.reader.js';
import type { Clock } from '../platform/clock.js';
import { WeftError } from '../platform/errors.js';
import type { Uuid } from '../platform/ids.js';
import { formatInstant } from '../platform/instant.js';
import type { Database } from '../platform/postgres.js';
import type { Warning } from '../platform/warning.js';
import { GROUPS } from '../profiles/groups.model.js';
import { foldTimers } from './fold-batch.js';
import { duplicateWarning, isDuplicate, isSmall, previewSmallWarning, type PairCounts } from './guard-segments.js';
import type { HistoryReplay, ReplayedHistory, ReplayPlan } from './history-replay.js';
import { PreviewTally } from './preview-tally.js';
import { timerOfEdit, type ProfileWork } from './profile-work.model.js';
import {
  MAX_SPAN_MS,
  type SegmentOverlap,
  type SegmentPreview,
  type TrialDefinitions,
} from './segment-preview.model.js';
import type { TrialAsk } from './segment.service.js';

export interface PreviewAsk {
  readonly segment: TrialAsk;
  /** Key of the segment that a rule is to be the next version of, to be held against what is live; default: of none. */
  readonly versionOf?: string;
  /** When the segment becomes active, ms; null: it is only asked who is in it as of `toMs`. */
  readonly fromMs: number | null;
  /** The last instant that counts, ms; null: now. */
  readonly toMs: number | null;
  /** About how many profiles are looked at, drawn by a hash of their ids; null: all. */
  readonly maxProfiles: number | null;
  /** Profiles with more changes count as flapping. */
  readonly flapsAbove: number;
  /**
   * After so long, ms, what is left is not looked at, and `share` says so. Default: as long as it takes.
   */
  readonly timeLimitMs?: number;
  readonly onProgress?: (seen: number, total: number) => void;
  readonly signal?: AbortSignal;
}

/** What is asked of one that a worker makes. */
export type PreviewJobAsk = Pick<
  PreviewAsk,
  'segment' | 'versionOf' | 'fromMs' | 'toMs' | 'maxProfiles' | 'flapsAbove'
>;

interface SegmentPreviewParts {
  readonly db: Database;
  readonly clock: Clock;
  readonly trial: (asked: TrialAsk) => Promise<TrialDefinitions>;
  readonly histories: ProfileHistoryReader;
  readonly replay: Pick<HistoryReplay, 'page'>;
  /** Below it a segment is warned of; 0: never. */
  readonly minSegmentSize: number;
}

/** Slices that a sample is taken in: each is a sample by itself, so that one that is cut short is one, too. */
const SAMPLE_SLICES = 4;
const MAX_FLAPS_ABOVE = 1_000_000;

/** What was left out on the way. */
interface LeftOut {
  tooBig: number;
  damaged: number;
  revised: number;
  /** At the end of the span no model said whether they are in. */
  unanswered: number;
  events: number;
}

/**
 * Says who would be in a segment, and what the feed would have been told had it been active: by living through the past
 * again (`history-replay.ts`). Writes nothing; memory is bounded whatever the number of people.
 */
export class SegmentPreviews {
  readonly #parts: SegmentPreviewParts;

  constructor(parts: SegmentPreviewParts) {
    this.#parts = parts;
  }

  /** That it can be asked. @throws WeftError as {@link preview}, which looks at nobody here */
  async check(ask: PreviewAsk): Promise<void> {
    const nowMs = this.#parts.clock.now();
    checkTimes(ask, ask.toMs ?? nowMs, nowMs);
    await this.#parts.trial(ask.segment);
  }

  /**
   * @throws WeftError BAD_REQUEST (times, or not even a part is looked at in time), NOT_FOUND, EXPRESSION_INVALID; the
   * reason of `signal`
   */
  async preview(ask: PreviewAsk): Promise<SegmentPreview> {
    const { db, clock, histories } = this.#parts;
    const nowMs = clock.now();
    const toMs = ask.toMs ?? nowMs;
    checkTimes(ask, toMs, nowMs);
    const trial = await this.#parts.trial(ask.segment);
    const total = await histories.count(db);
    const wanted = ask.maxProfiles === null || total === 0 ? 1 : Math.min(1, ask.maxProfiles / total);
    const plan: ReplayPlan = {
      definitions: trial.definitions,
      fromMs: ask.fromMs ?? toMs,
      toMs,
      toPos: await readAppliedPos(db),
    };
    const question = { segmentId: trial.segmentId, fromMs: ask.fromMs, toMs, flapsAbove: ask.flapsAbove };
    const newTally = (): PreviewTally => new PreviewTally(question);
    const tally = newTally();
    const left: LeftOut = { tooBig: 0, damaged: 0, revised: 0, unanswered: 0, events: 0 };
    const slices = slicesOf(wanted, ask.maxProfiles === null ? 1 : SAMPLE_SLICES);
    const deadline = deadlineOf(ask);
    let taken = 0;
    for (const slice of slices) {
      const part = newTally();
      const isWhole = await this.#slice({
        plan,
        trial,
        slice,
        tally: part,
        left,
        deadline,
        ask,
        total,
        seen: tally.profiles,
      });
      if (!isWhole) break;
      tally.addAll(part);
      taken += slice.to - slice.from;
    }
    if (taken === 0) throw tooSlow(ask.timeLimitMs ?? 0);
    const compared = comparedTo(trial, ask);
    const share = taken / HASH_RANGE;
    const overlaps = tally.overlaps(compared.others);
    return {
      fromMs: ask.fromMs,
      toMs,
      profilesTotal: total,
      profilesSeen: tally.profiles,
      share,
      eventsRead: left.events,
      size: tally.size,
      sample: tally.sample(),
      overlaps,
      live: compared.live === null ? null : tally.against(compared.live),
      span: tally.span(),
      notes: [...(await this.#beforeTheLog(ask.fromMs)), ...notesOf(trial, left)],
      warnings: warningsOf(tally.size, share, overlaps, { people: total, minSize: this.#parts.minSegmentSize }),
    };
  }

  /** A note where the span begins before anything was accepted. */
  async #beforeTheLog(fromMs: number | null): Promise<string[]> {
    if (fromMs === null) return [];
    const [first] = await this.#parts.db.query<{ at: number }>(
      'SELECT accepted_at AS at FROM event_log ORDER BY pos LIMIT 1',
    );
    if (first !== undefined && first.at <= fromMs) return [];
    const from = first === undefined ? 'no event' : `only events that were accepted from ${formatInstant(first.at)} on`;
    return [`The log has ${from}: loads count when they were loaded, not when things happened.`];
  }

  /** Whether there was time for all of it. */
  async #slice({ plan, trial, slice, tally, left, deadline, ask, total, seen }: SliceWork): Promise<boolean> {
    let after: Uuid | null = null;
    do {
      let page;
      try {
        page = await this.#parts.replay.page(plan, slice, after, deadline);
        for (const history of page.histories) {
          tally.addChanges(history.changes);
          tally.addWithoutEvents(history.withoutEvents);
          left.events += history.events;
          if (history.isRevised) left.revised++;
          left.unanswered += history.profiles.filter(({ stale }) => stale.has(trial.segmentId)).length;
        }
        await judge(trial, page.histories, plan.toMs + 1, tally);
      } catch (error) {
        ask.signal?.throwIfAborted();
        if (deadline?.aborted === true) return false;
        throw error;
      }
      left.tooBig += page.tooBig;
      left.damaged += page.damaged;
      ask.onProgress?.(seen + tally.profiles, total);
      after = page.next;
    } while (after !== null);
    return true;
  }
}

/**
 * The active segments that it is held against, those that remember left out; where it is a version of an active segment,
 * what is live of it is none of them, but what it would come after.
 */
function comparedTo({ others }: TrialDefinitions, { segment: asked, versionOf }: PreviewAsk) {
  const key = 'key' in asked ? asked.key : (versionOf ?? null);
  const plain = others.segments.ordered.filter(({ remembers }) => !remembers);
  const live = plain.find((other) => other.key === key)?.segmentId ?? null;
  return { others: plain.filter((other) => other.key !== key), live };
}

/** @param size members that were seen */
function warningsOf(
  size: number,
  share: number,
  overlaps: readonly SegmentOverlap[],
  { people, minSize }: { readonly people: number; readonly minSize: number },
): Warning[] {
  const alike = overlaps.flatMap((overlap) => {
    const counts = countsOf(size, overlap);
    return isDuplicate(counts) ? [duplicateWarning(overlap.key, counts)] : [];
  });
  return isSmall(size, share, people, minSize) ? [...alike, previewSmallWarning(size, share, minSize)] : alike;
}

function countsOf(size: number, overlap: SegmentOverlap): PairCounts {
  return { size, otherSize: overlap.size, common: overlap.common, jaccard: overlap.jaccard };
}

interface SliceWork {
  readonly plan: ReplayPlan;
  readonly trial: TrialDefinitions;
  readonly slice: HashSlice;
  readonly tally: PreviewTally;
  readonly left: LeftOut;
  readonly deadline: AbortSignal | undefined;
  readonly ask: PreviewAsk;
  readonly total: number;
  /** Profiles of the slices before. */
  readonly seen: number;
}

/** Counts the profiles, with all other segments that each is in at `t`. */
async function judge(
  { segmentId, others }: TrialDefinitions,
  histories: readonly ReplayedHistory[],
  t: number,
  tally: PreviewTally,
): Promise<void> {
  const profiles = histories.flatMap((history) => history.profiles);
  const judged = new Map(profiles.map((profile) => [profile.id, toBeJudged(profile, t)]));
  await foldTimers(others, (id) => judged.get(id) as ProfileWork, [...judged.keys()], t);
  for (const { id, memberships } of profiles) {
    tally.addProfile({ id, isMember: memberships.has(segmentId), others: judged.get(id)?.memberships.keys() ?? [] });
  }
}

/** The same profile as one that is in nothing, and is evaluated at `t`. */
function toBeJudged(profile: ProfileWork, t: number): ProfileWork {
  const nothing = { memberships: new Map(), scores: new Map(), unscored: new Set<string>(), stale: new Set<number>() };
  return { ...profile, ...nothing, dueAt: t, timer: timerOfEdit(t) };
}

function slicesOf(share: number, count: number): HashSlice[] {
  const end = Math.max(count, Math.round(share * HASH_RANGE));
  return Array.from({ length: count }, (_, i) => ({
    from: Math.floor((end * i) / count),
    to: Math.floor((end * (i + 1)) / count),
  }));
}

function deadlineOf({ timeLimitMs, signal }: PreviewAsk): AbortSignal | undefined {
  if (timeLimitMs === undefined) return signal;
  const limit = AbortSignal.timeout(timeLimitMs);
  return signal === undefined ? limit : AbortSignal.any([limit, signal]);
}

/** @throws WeftError BAD_REQUEST */
function checkTimes({ fromMs, maxProfiles, flapsAbove }: PreviewAsk, toMs: number, nowMs: number): void {
  const refuse = (where: string, message: string, hint: string): never => {
    throw new WeftError('BAD_REQUEST', message, { where, hint });
  };
  if (toMs > nowMs) refuse('to', 'the end lies in the future', 'leave it out for now');
  if (fromMs !== null && fromMs >= toMs)
    refuse('from', 'the span ends before it begins', 'give it a time before the end');
  if (fromMs !== null && toMs - fromMs > MAX_SPAN_MS) {
    refuse('from', 'the span is longer than 366 days', 'let it begin later, or end earlier');
  }
  if (maxProfiles !== null && !(Number.isInteger(maxProfiles) && maxProfiles >= 1)) {
    refuse('maxProfiles', 'not even one profile is asked about', 'give at least 1');
  }
  if (!Number.isInteger(flapsAbove) || flapsAbove < 0 || flapsAbove > MAX_FLAPS_ABOVE) {
    refuse('flapsAbove', 'it is no number of changes', `give a whole number from 0 to ${String(MAX_FLAPS_ABOVE)}`);
  }
}

function tooSlow(timeLimitMs: number): WeftError {
  return new WeftError(
    'BAD_REQUEST',
    `living through these histories takes longer than ${String(timeLimitMs / 1_000)} s`,
    {
      where: 'maxProfiles',
      hint: 'ask for fewer profiles, or let weft segment preview take its time',
    },
  );
}

/** In what the answer is not as it would have been. */
function notesOf({ definitions, segmentId, others, untold }: TrialDefinitions, left: LeftOut): string[] {
  const { ordered, byId } = definitions.segments;
  const trial = byId.get(segmentId);
  const referred = ordered
    .filter(({ remembers, segmentId: id }) => remembers && id !== segmentId)
    .map(({ key }) => key);
  const uncompared = others.segments.ordered.filter(({ remembers }) => remembers).map(({ key }) => key);
  const models = [...definitions.models.values()].map(({ key, version }) => `${key} in version ${String(version)}`);
  return [
    ...(untold.length === 0
      ? []
      : [
          `Events that a retention removed are missing from: ${untold.join(', ')}. Values of then may have been others.`,
        ]),
    ...(trial?.traitDeps.includes(GROUPS) === true
      ? ['What others said of a group is missing: it is not among the events of its members.']
      : []),
    ...(referred.length === 0
      ? []
      : [
          `It refers to segments that remember, which are taken to have become active with it: ${referred.join(', ')}.`,
        ]),
    ...(models.length === 0 ? [] : [`Models answer as they do now: ${models.join(', ')}.`]),
    ...(left.revised === 0
      ? []
      : [`Events were taken back of ${people(left.revised)}: as if they had never been there.`]),
    ...(left.unanswered === 0
      ? []
      : [
          `A model gave no answer about ${people(left.unanswered)}: they count as what they were before, at first as not in it.`,
        ]),
    ...(left.tooBig === 0 ? [] : [`${people(left.tooBig)} left out: too many events or identifiers.`]),
    ...(left.damaged === 0 ? [] : [`${String(left.damaged)} rows of the log cannot be read and are left out.`]),
    ...(uncompared.length === 0
      ? []
      : [`Segments that remember are not compared with it: ${uncompared.slice(0, 20).join(', ')}.`]),
  ];
}

function people(n: number): string {
  return `${String(n)} ${n === 1 ? 'person' : 'people'}`;
}
