import { withModelVersion } from './candidate-definitions.js';
import type { LoadedDefinitions } from './definitions.js';
import type { AnchorStateStore } from './features/anchor-state.store.js';
import { HASH_RANGE } from './identity/profile-history.reader.js';
import type { Clock } from './platform/clock.js';
import { WeftError } from './platform/errors.js';
import { LEAST_ID, type Uuid } from './platform/ids.js';
import type { Database } from './platform/postgres.js';
import { readWorks } from './profile-snapshot.reader.js';
import type { ProfileReader } from './profiles/profile.reader.js';
import { isSealed } from './profiles/trait-definition.model.js';
import { PromotionTally, type Answered, type JudgedProfile } from './promotion-tally.js';
import type { RegisteredModel } from './scoring/model-manifest.model.js';
import type { Prediction } from './scoring/prediction.model.js';
import {
  MIN_GROUP,
  type PromotionAsk,
  type PromotionPreview,
  type PromotionPreviewer,
} from './scoring/promotion-preview.model.js';
import type { Scorer } from './scoring/scorer.js';
import type { CompiledSegment } from './segments/compile-segment.js';
import type { SegmentIndex } from './segments/definitions.model.js';
import { foldTimers } from './segments/fold-batch.js';
import { FoldContext } from './segments/fold-context.js';
import { consentGate } from './segments/gates.js';
import type { MembershipStore } from './segments/membership.store.js';
import { timerOfEdit, type ProfileWork } from './segments/profile-work.model.js';
import { isShadow } from './segments/shadow.model.js';

export interface PromotionPreviewParts {
  readonly db: Database;
  readonly clock: Clock;
  /** As they are in force. */
  readonly definitions: () => Promise<LoadedDefinitions>;
  /** The version, if it can be promoted. @throws WeftError */
  readonly promotable: (key: string, version: number) => Promise<RegisteredModel>;
  /** For the version alone, for as long as one preview. */
  readonly createScorer: () => Scorer;
  readonly profiles: ProfileReader;
  readonly anchors: AnchorStateStore;
  readonly memberships: MembershipStore;
}

/** Profiles that are read and evaluated together; others have their turn between two of these. */
const PAGE_PROFILES = 200;
/** A sample is taken in so many slices by hash, each a sample by itself, so that one that is cut short is one, too. */
const SAMPLE_SLICES = 4;
const HASH_OF_ID = `(uuid_hash_extended(id, 0) & ${String(HASH_RANGE - 1)})`;

/**
 * Says what promoting a version would change: people as they are now are evaluated by the live fold twice, once as things
 * are and once with the version, as the sweep after a promotion does. Writes nothing; memory is bounded whatever the
 * number of people.
 */
export class PromotionPreviews implements PromotionPreviewer {
  readonly #parts: PromotionPreviewParts;

  constructor(parts: PromotionPreviewParts) {
    this.#parts = parts;
  }

  async preview(ask: PromotionAsk): Promise<PromotionPreview> {
    const model = await this.#parts.promotable(ask.key, ask.version);
    // What is only tried is no live traffic.
    const loaded = { ...(await this.#parts.definitions()), onScored: undefined };
    checkTrait(ask.by, loaded);
    const scorer = this.#parts.createScorer();
    try {
      return await this.#preview(ask, {
        loaded,
        next: withModelVersion(loaded, model, await scorer.reload([{ ...model, canaryPercent: null }])),
      });
    } finally {
      await scorer.close();
    }
  }

  async #preview(ask: PromotionAsk, both: BothDefinitions): Promise<PromotionPreview> {
    const { db, clock } = this.#parts;
    const [row] = await db.query<{ n: number }>('SELECT count(*)::int8 AS n FROM profiles WHERE merged_into IS NULL');
    const total = row?.n ?? 0;
    const segments = askingSegments(both.loaded.segments, ask.key);
    const tally = new PromotionTally(
      segments.map(({ key }) => key),
      ask.by,
    );
    const wanted = ask.maxProfiles === null || total === 0 ? 1 : Math.min(1, ask.maxProfiles / total);
    const slices = wanted === 1 && ask.timeLimitMs === undefined ? 1 : SAMPLE_SLICES;
    const end = Math.max(slices, Math.round(wanted * HASH_RANGE));
    const deadline = deadlineOf(ask);
    let taken = 0;
    for (let slice = 0; slice < slices; slice++) {
      const [from, to] = [Math.floor((end * slice) / slices), Math.floor((end * (slice + 1)) / slices)];
      const isWhole = await this.#slice({ ask, ...both, segments, tally, total, deadline, from, to });
      if (!isWhole) break;
      taken = to;
    }
    if (taken === 0) throw tooSlow(ask.timeLimitMs ?? 0);
    return {
      ...{ key: ask.key, version: ask.version, active: both.loaded.models.get(ask.key)?.version ?? null },
      ...{
        asOf: clock.now(),
        profilesTotal: total,
        profilesSeen: tally.profiles + tally.withoutEvents,
        share: taken / HASH_RANGE,
      },
      ...tally.finish(),
      notes: notesOf(both, segments, tally, ask),
    };
  }

  /** Whether there was time for all of it; what there was no time for is not counted. */
  async #slice(work: SliceWork): Promise<boolean> {
    const { ask, deadline, tally, total, from, to } = work;
    // Of a slice that is cut short, whoever has a lower id would be there and others not.
    const judged: JudgedProfile[] = [];
    let withoutEvents = 0;
    for (let after: Uuid | null = null; ;) {
      ask.signal?.throwIfAborted();
      if (deadline?.aborted === true) return false;
      const { db, profiles, anchors, memberships } = this.#parts;
      const rows: { id: Uuid }[] = await db.query<{ id: Uuid }>(
        `SELECT id FROM profiles WHERE id > $1 AND merged_into IS NULL AND ${HASH_OF_ID} >= $2::int8
           AND ${HASH_OF_ID} < $3::int8 ORDER BY id LIMIT $4`,
        [after ?? LEAST_ID, from, to, PAGE_PROFILES],
      );
      const works = await db.transaction(
        (tx) =>
          readWorks(
            tx,
            { profiles, anchors, memberships },
            work.loaded.features,
            rows.map(({ id }) => id),
          ),
        { isolation: 'REPEATABLE READ', readOnly: true },
      );
      const withEvents = works.filter(({ work: { anchors: own } }) => own.size > 0);
      withoutEvents += works.length - withEvents.length;
      const page = await judge(work, withEvents, this.#parts.clock.now());
      if (deadline === null) for (const each of page) tally.add(each);
      else judged.push(...page);
      ask.onProgress?.(tally.profiles + judged.length, total);
      if (rows.length < PAGE_PROFILES) break;
      after = rows.at(-1)?.id ?? null;
      await new Promise((resolve) => setImmediate(resolve));
    }
    for (const each of judged) tally.add(each);
    tally.withoutEvents += withoutEvents;
    return true;
  }
}

interface BothDefinitions {
  readonly loaded: LoadedDefinitions;
  readonly next: LoadedDefinitions;
}

interface SliceWork extends BothDefinitions {
  readonly ask: PromotionAsk;
  readonly segments: readonly CompiledSegment[];
  readonly tally: PromotionTally;
  readonly total: number;
  readonly deadline: AbortSignal | null;
  /** Of hashes of ids. */
  readonly from: number;
  readonly to: number;
}

/** The segments that ask a model, themselves or by one that they refer to, by key; those that are evaluated. */
export function askingSegments(
  { ordered, byKey }: Pick<SegmentIndex, 'ordered' | 'byKey'>,
  model: string,
): CompiledSegment[] {
  const asks = ({ modelDeps, segmentDeps }: CompiledSegment): boolean =>
    modelDeps.includes(model) ||
    segmentDeps.some((key) => {
      const other = byKey.get(key);
      return other !== undefined && asks(other);
    });
  return ordered
    .filter((segment) => !isShadow(segment.segmentId) && asks(segment))
    .sort((a, b) => (a.key < b.key ? -1 : 1));
}

async function judge(
  { loaded, next, ask, segments }: SliceWork,
  works: readonly { readonly work: ProfileWork; readonly asOf: number }[],
  now: number,
): Promise<JudgedProfile[]> {
  // No instant before anything that is folded in can be asked about.
  const t = works.reduce((latest, { asOf }) => Math.max(latest, asOf + 1), now);
  const before = await evaluated(loaded, ask.key, works, t);
  const after = await evaluated(next, ask.key, works, t);
  return works.map(({ work }, i): JudgedProfile => {
    const [was, is] = [before[i] as ProfileWork, after[i] as ProfileWork];
    return {
      before: answerOf(was.scores.get(ask.key)),
      after: answerOf(is.scores.get(ask.key)),
      isUnanswered: is.unscored.has(ask.key),
      inBefore: segments.map(({ segmentId }) => was.memberships.has(segmentId)),
      inAfter: segments.map(({ segmentId }) => is.memberships.has(segmentId)),
      group: ask.by === null ? null : groupOf(work.traits.get(ask.by)?.value),
    };
  });
}

/** The profiles as the sweep after a change of definitions would make them; those given stay as they are. */
async function evaluated(
  definitions: LoadedDefinitions,
  model: string,
  works: readonly { readonly work: ProfileWork }[],
  t: number,
): Promise<ProfileWork[]> {
  const copies = works.map(({ work }): ProfileWork => ({
    ...work,
    ...{ memberships: new Map(work.memberships), scores: new Map(), unscored: new Set(), stale: new Set() },
    ...{ dueAt: t, timer: timerOfEdit(t) },
  }));
  // Whoever may be asked about is, whether or not a segment does; what segments ask for is there then.
  const admission = consentGate(definitions.modelPurposes.get(model) ?? [], definitions.purposes);
  const asking = [{ modelDeps: [model], admission }];
  await new FoldContext(definitions).score(copies.map((profile) => ({ profile, t, segments: asking })));
  const byId = new Map(copies.map((copy) => [copy.id, copy]));
  await foldTimers(definitions, (id) => byId.get(id) as ProfileWork, [...byId.keys()], t);
  return copies;
}

function answerOf(prediction: Prediction | undefined): Answered | null {
  if (prediction === undefined) return null;
  const { score = null, label, cluster } = prediction;
  const told = label ?? cluster;
  return { score, class: told === undefined ? null : String(told) };
}

/** Longer texts stand for no group. */
const MAX_GROUP_TEXT = 100;

function groupOf(value: unknown): string | null {
  if (typeof value === 'boolean' || typeof value === 'number') return String(value);
  return typeof value === 'string' && value !== '' && value.length <= MAX_GROUP_TEXT ? value : null;
}

function deadlineOf({ timeLimitMs }: PromotionAsk): AbortSignal | null {
  return timeLimitMs === undefined ? null : AbortSignal.timeout(timeLimitMs);
}

/** @throws WeftError BAD_REQUEST */
function checkTrait(by: string | null, { traits }: LoadedDefinitions): void {
  const trait = traits.find(({ name }) => name === by);
  if (trait === undefined || !isSealed(trait)) return;
  throw new WeftError('BAD_REQUEST', `values of the trait ${trait.name} are stored sealed`, {
    where: 'by',
    hint: 'name a trait whose values may be compared',
  });
}

function tooSlow(timeLimitMs: number): WeftError {
  const message = `evaluating these people takes longer than ${String(timeLimitMs / 1_000)} s`;
  return new WeftError('BAD_REQUEST', message, {
    where: 'maxProfiles',
    hint: 'ask for fewer profiles, or let weft model promote --dry-run take its time',
  });
}

function notesOf(
  { loaded, next }: BothDefinitions,
  segments: readonly CompiledSegment[],
  { unanswered, ungrouped, profiles }: PromotionTally,
  { key, version, by }: PromotionAsk,
): string[] {
  const active = loaded.models.get(key);
  const waiting = [...loaded.segments.byKey.values()]
    .filter((segment) => !isShadow(segment.segmentId) && !loaded.segments.ordered.includes(segment))
    .filter(({ modelDeps }) => modelDeps.includes(key))
    .map((segment) => segment.key);
  const needed = (next.modelPurposes.get(key) ?? []).filter(
    (each) => !(loaded.modelPurposes.get(key) ?? []).includes(each),
  );
  return [
    ...(active === undefined ? ['No version answers now.'] : []),
    ...(active?.version === version ? [`Version ${String(version)} is the one that answers now.`] : []),
    ...(segments.length === 0 ? ['No active segment asks the model.'] : []),
    ...(waiting.length === 0 ? [] : [`History is still folded in for ${waiting.join(', ')}: they are left out.`]),
    ...(needed.length === 0 ? [] : [`It needs purposes that the active version does not: ${needed.join(', ')}.`]),
    ...(unanswered === 0
      ? []
      : [`It gave no answer about ${String(unanswered)} of ${String(profiles)} people: they stay as they are.`]),
    ...(by === null || ungrouped === 0
      ? []
      : [
          `${String(ungrouped)} people have no value of ${by} that stands for a group. Groups below ${String(MIN_GROUP)} are not told of.`,
        ]),
  ];
}
