import type { LoggedEvent } from '../events/event.model.js';
import type { EventIdentity } from '../identity/identity-outcome.model.js';
import type { Uuid } from '../platform/ids.js';
import { isListEvent } from '../profiles/list.model.js';
import { foldTraits, mergeTraits } from '../profiles/traits.model.js';
import type { TraitConflict } from '../profiles/trait-rule.model.js';
import type { CompiledSegment } from './compile-segment.js';
import type { Definitions } from './definitions.model.js';
import { FoldContext } from './fold-context.js';
import { heldSince, inheritMemory, NOTHING_INHERITED, type InheritedMemory } from './inherit-memory.js';
import { newAnchorWork, remerge, type AnchorWork, type ProfileWork } from './profile-work.model.js';
import { RECOMPUTE_SWEEP } from './recompute.model.js';
import { nextScoreStep } from './score-steps.model.js';
import {
  MAX_DECIDING_MODELS,
  type ChangeCause,
  type ChangeKind,
  type DecidingModel,
  type Membership,
  type SegmentChange,
} from './segment.model.js';
import { isShadow, shadowIdOf } from './shadow.model.js';

/*
 * The fold: live membership as a function of events and due timers, in acceptance order.
 *
 * Invariants
 * F1  A profile's steps run in the order given. Steps of different profiles are independent and may interleave.
 * F2  An event is evaluated by itself at `acceptedAt + 1`: how events fell into batches cannot show.
 * F3  A timer due at or before an event's `acceptedAt` fires before that event, at its due time.
 * F4  Loaded history is folded in like live events, in silence: what its evaluations change is not emitted.
 * F5  A profile that stops being one leaves its segments before its survivor enters any.
 * F6  The order of the changes is that of the steps, whatever order the work was done in.
 * F7  Whether a profile is in a segment at `t` is a function of the definitions, of the events folded into it so far and
 *     of `t`; for segments that remember (`compile-segment.ts`) also of since when it was in there until then. Nothing else
 *     that was computed before goes into it: features are read from the state, scores as `score-steps.model.ts` says, and
 *     what a profile keeps of them only spares work.
 * F8  `dueAt` lies at or before the next instant at which time alone changes one of these truths, and each evaluation
 *     flips what differs. So a profile is evaluated at all instants of change, and an evaluation at any other, because
 *     a timer was merely too early, after a restart or for a sweep, changes nothing and leaves no trace.
 *
 * By F2, F3, F7 and F8 the fold is a function of the definitions and the events in acceptance order. Timers are what
 * finds the instants of change, no input: a row that is too early need not be rewritten.
 *
 * F9  Where consent is what a segment lost a member by, the cause says so: its gate is closed at that very instant.
 *
 * F10 What segments remember goes along with people (`inherit-memory.ts`); where events are taken back, it is forgotten.
 *
 * F11 Where a model that a segment has to ask gives no answer, membership stays as it was, is marked, and is evaluated
 *     again at the next step of scores; so it is a function of when models answer, too, until all that were asked did.
 *     Consent and active periods ask no model, and count all the same.
 *
 * F12 Shadows (`shadow.model.ts`) are folded like all others and emit nothing. A segment that is activated out of its shadow
 *     takes over what that remembers.
 *
 * F13 Where nothing changed but which versions of models answer, the cause of what a sweep changes is `model`, of segments
 *     that ask one; of all others it is time.
 *
 * Scores are what makes this more than a loop: a model wants many rows at once. So each step is a generator that stops
 * wherever it needs an evaluation; one round takes all steps that wait on different profiles, scores them in one batch
 * per model, evaluates, and resumes them.
 */

/** One thing that happened to membership; `emit` false for loaded history. */
export interface FoldChange extends Omit<SegmentChange, 'seq'> {
  readonly emit: boolean;
}

/** A profile to be evaluated. */
export interface Evaluation {
  readonly profile: ProfileWork;
  readonly t: number;
  readonly cause: ChangeCause;
  readonly emit: boolean;
  /** Null: all active segments. */
  readonly segments: readonly CompiledSegment[] | null;
  /** F10. */
  readonly inherited?: InheritedMemory;
  /** F10: whether it is held for a member of nothing. */
  readonly forgets?: boolean;
  readonly out: FoldChange[];
}

export type StepProgram = Generator<Evaluation, void, void>;

export interface RunningStep {
  readonly involved: readonly Uuid[];
  readonly out: FoldChange[];
  readonly program: StepProgram;
}

/** Profiles of a batch by id; every profile that a step names is there. */
export type ProfileLookup = (id: Uuid) => ProfileWork;

/** What folding events in did. */
interface FoldedEvents {
  /** In order. */
  readonly changes: readonly FoldChange[];
  /** Values of traits that were left out: their anchors have enough of them. */
  readonly droppedTraits: number;
  /** Values of traits of another type than declared. */
  readonly traitConflicts: readonly TraitConflict[];
  /** Those that name a group. */
  readonly groupEvents: readonly LoggedEvent[];
}

/** Folds events in. The profiles and anchors are changed in place. */
export async function foldEvents(
  definitions: Definitions,
  profiles: ProfileLookup,
  steps: readonly EventIdentity[],
): Promise<FoldedEvents> {
  const context = new FoldContext(definitions);
  const running = steps.map((step): RunningStep => {
    const involved = involvedProfiles(step);
    const out: FoldChange[] = [];
    return { involved, out, program: eventProgram(context, profiles, step, involved, out) };
  });
  await runAll(context, running);
  const { droppedTraits, traitConflicts, groupEvents } = context;
  return { changes: running.flatMap((step) => step.out), droppedTraits, traitConflicts, groupEvents };
}

/** Fires timers, each at its due time and again for whatever falls due until `untilT`. */
export async function foldTimers(
  definitions: Definitions,
  profiles: ProfileLookup,
  profileIds: readonly Uuid[],
  untilT: number,
): Promise<FoldChange[]> {
  const context = new FoldContext(definitions);
  const running = profileIds.map((id): RunningStep => {
    const out: FoldChange[] = [];
    return { involved: [id], out, program: fireDue(profiles(id), untilT, out) };
  });
  await runAll(context, running);
  // By instant, ties by profile: the order in which they would have fired one by one.
  return running.flatMap((step) => step.out).sort((a, b) => a.at - b.at || compareIds(a.profileId, b.profileId));
}

export function compareIds(a: Uuid, b: Uuid): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function involvedProfiles(step: EventIdentity): Uuid[] {
  if (step.moves.length === 0 && step.merged.size === 0) return [step.profileId];
  const involved = new Set<Uuid>([step.profileId]);
  for (const move of step.moves) {
    involved.add(move.to);
    if (move.from !== null) involved.add(move.from);
  }
  for (const [from, into] of step.merged) involved.add(from).add(into);
  return [...involved];
}

/**
 * Rounds: of the waiting steps take each whose profiles no earlier one waits for; evaluate those together. Without
 * models there is nothing to gain by that, and the steps run one after the other.
 */
export async function runAll(context: FoldContext, steps: readonly RunningStep[]): Promise<void> {
  if (context.definitions.models.size === 0) {
    for (const { program } of steps) for (const evaluation of program) evaluate(context, evaluation);
    return;
  }
  let waiting = steps;
  while (waiting.length > 0) {
    const busy = new Set<Uuid>();
    const still: RunningStep[] = [];
    const evaluations: Evaluation[] = [];
    for (const step of waiting) {
      if (step.involved.some((id) => busy.has(id))) {
        for (const id of step.involved) busy.add(id);
        still.push(step);
        continue;
      }
      const next = step.program.next();
      if (next.done === true) continue;
      for (const id of step.involved) busy.add(id);
      evaluations.push(next.value);
      still.push(step);
    }
    await evaluateAll(context, evaluations);
    waiting = still;
  }
}

function* eventProgram(
  context: FoldContext,
  profiles: ProfileLookup,
  step: EventIdentity,
  involved: readonly Uuid[],
  out: FoldChange[],
): StepProgram {
  const { event } = step;
  for (const id of involved) yield* fireDue(profiles(id), event.acceptedAt, out);
  const structural = step.moves.some((move) => move.from !== null);
  const inheritedBy = structural ? inheritMemory(context.definitions, profiles, step) : NOTHING_INHERITED;
  if (step.moves.length > 0) moveAnchors(context, profiles, step);
  for (const [from, into] of step.merged) {
    const cause: ChangeCause = { kind: 'merge', pos: event.pos, profileId: into };
    endProfile(profiles(from), into, { at: event.acceptedAt + 1, emit: !event.historical, cause }, out);
  }
  const target = profiles(step.profileId);
  const touched = applyEvent(context, target, event);
  const cause = causeOf(step, structural);
  for (const id of involved) {
    const profile = profiles(id);
    if (profile.mergedInto !== null) continue;
    const isTarget = profile === target;
    if (!isTarget && !structural) continue;
    const all = structural || !profile.evaluated;
    const inherited = inheritedBy.get(id);
    yield {
      profile,
      t: event.acceptedAt + 1,
      cause,
      emit: !event.historical,
      segments: all ? null : touched,
      ...(inherited === undefined ? undefined : { inherited }),
      out,
    };
  }
}

function causeOf({ event, merged }: EventIdentity, structural: boolean): ChangeCause {
  const { historical, pos } = event;
  if (historical) return { kind: 'load', pos: null };
  if (structural) return { kind: merged.size > 0 ? 'merge' : 'unmerge', pos };
  // Somebody changed a list; the person did nothing.
  return { kind: isListEvent(event) ? 'edit' : 'event', pos };
}

/** One evaluation, unless the profile is an alias by then. */
export function* evaluateOnce(evaluation: Evaluation): StepProgram {
  if (evaluation.profile.mergedInto === null) yield evaluation;
}

/** F3. An evaluation always moves `dueAt` on, so this ends. */
export function* fireDue(profile: ProfileWork, untilT: number, out: FoldChange[]): StepProgram {
  while (profile.mergedInto === null && profile.dueAt <= untilT) {
    const cause: ChangeCause = { kind: causeOfTimer(profile), pos: null };
    yield { profile, t: profile.dueAt, cause, emit: true, segments: null, out };
  }
}

function causeOfTimer({ timer, dueAt }: ProfileWork): 'edit' | 'model' | 'recompute' | 'timer' {
  if (timer?.sweep == null || timer.dueAt !== dueAt) return 'timer';
  if (timer.sweep === RECOMPUTE_SWEEP) return 'recompute';
  return timer.sweep < 0 ? 'model' : 'edit';
}

function moveAnchors(context: FoldContext, profiles: ProfileLookup, step: EventIdentity): void {
  const changed = new Set<ProfileWork>();
  for (const move of step.moves) {
    profiles(move.to).mergedInto = null;
    if (move.from === null) continue;
    const from = profiles(move.from);
    const anchor = from.anchors.get(move.identifierId);
    if (anchor === undefined) continue;
    const to = profiles(move.to);
    from.anchors.delete(anchor.id);
    to.anchors.set(anchor.id, anchor);
    changed.add(from).add(to);
  }
  for (const profile of changed) remerge(profile, context.definitions.features);
}

/** F5. */
export function endProfile(
  profile: ProfileWork,
  survivor: Uuid,
  change: Pick<FoldChange, 'at' | 'emit' | 'cause'>,
  out: FoldChange[],
): void {
  if (profile.mergedInto !== null) return;
  for (const segmentId of [...profile.memberships.keys()].sort((a, b) => a - b)) {
    const membership = profile.memberships.get(segmentId);
    if (membership === undefined) continue;
    profile.memberships.delete(segmentId);
    const emit = change.emit && !isShadow(segmentId);
    out.push({ profileId: profile.id, segmentId, kind: 'leave', version: membership.version, ...change, emit });
  }
  profile.mergedInto = survivor;
  profile.stale.clear();
  profile.evaluated = false;
  profile.dueAt = Number.POSITIVE_INFINITY;
}

/** Folds the event into its anchor and so into the profile; returns the segments whose truth it may have changed. */
function applyEvent(context: FoldContext, profile: ProfileWork, event: LoggedEvent): readonly CompiledSegment[] {
  const { features, segments, traitRules } = context.definitions;
  const anchor = anchorOf(context, profile, event);
  const { changed: traits, dropped, conflicts } = foldTraits(anchor.traits, event, traitRules);
  context.droppedTraits += dropped;
  if (conflicts.length > 0) context.traitConflicts.push(...conflicts);
  if (event.groupId !== null) context.groupEvents.push(event);
  const touched = features.apply(anchor.state, event);
  if (profile.merged !== anchor.state) features.apply(profile.merged, event);
  if (profile.traits !== anchor.traits && traits.length > 0) {
    profile.traits = mergeTraits([...profile.anchors.values()].map((a) => a.traits));
  }
  if (traits.length > 0) anchor.packedTraits = null;
  // An event that no feature and no trait took in leaves the state as it was stored.
  if (traits.length > 0 || touched.length > 0) anchor.dirty = true;
  if (profile.scores.size > 0) context.dropStaleScores(profile, touched);
  return segments.affectedBy(touched, traits);
}

function anchorOf(context: FoldContext, profile: ProfileWork, event: LoggedEvent): AnchorWork {
  const [identifier] = event.identifiers;
  if (identifier === undefined) throw new Error(`event at ${String(event.pos)} has no identifier`);
  let anchor = profile.anchors.get(identifier.id);
  if (anchor === undefined) {
    const state = context.definitions.features.empty();
    anchor = newAnchorWork({ id: identifier.id, part: event.part, traits: new Map(), state });
    anchor.dirty = true;
    profile.anchors.set(anchor.id, anchor);
    remerge(profile, context.definitions.features);
  }
  return anchor;
}

async function evaluateAll(context: FoldContext, evaluations: readonly Evaluation[]): Promise<void> {
  await context.score(evaluations.map((e) => ({ profile: e.profile, t: e.t, segments: scopeOf(context, e) })));
  for (const evaluation of evaluations) evaluate(context, evaluation);
}

/** What to look at: all segments too where time flips something at this very instant, nothing for nobody. */
function scopeOf(context: FoldContext, { profile, t, segments }: Evaluation): readonly CompiledSegment[] {
  if (profile.anchors.size === 0) return [];
  return segments === null || profile.dueAt <= t ? context.definitions.segments.ordered : segments;
}

function evaluate(context: FoldContext, evaluation: Evaluation): void {
  const { profile, t, out } = evaluation;
  const { ordered } = context.definitions.segments;
  const scope = scopeOf(context, evaluation);
  const whole = scope === ordered || profile.anchors.size === 0;
  if (whole) leaveAllBut(profile.anchors.size === 0 ? null : context.definitions.segments.byId, evaluation);
  if (whole) profile.stale.clear();
  context.bind(profile, t);
  let dueAt = whole ? Number.POSITIVE_INFINITY : profile.dueAt;
  for (const segment of scope) {
    if (context.isUnanswered(segment, t)) {
      profile.stale.add(segment.segmentId);
      dueAt = Math.min(dueAt, nextScoreStep(t));
      continue;
    }
    profile.stale.delete(segment.segmentId);
    const standing = profile.memberships.get(segment.segmentId);
    const truth = segment.evaluate(context, t, heldSince(segment, evaluation, standing ?? shadowOf(segment, profile)));
    if (truth !== (standing !== undefined)) {
      const cause = causeFor(context, segment, evaluation);
      if (truth) flip(profile, segment, 'enter', { ...evaluation, cause });
      else flip(profile, segment, 'leave', { ...evaluation, cause: causeOfLeaving(context, segment, { t, cause }) });
    }
    const since = profile.memberships.get(segment.segmentId)?.since ?? t;
    dueAt = Math.min(dueAt, segment.nextFlip(context, t, truth, since));
  }
  if (dueAt <= t) throw new Error(`the next evaluation at ${String(dueAt)} is not after ${String(t)}`);
  if (whole) leaveShadows(profile.anchors.size === 0 ? null : context.definitions.segments.byId, evaluation);
  profile.dueAt = dueAt;
  profile.evaluated = profile.anchors.size > 0;
  if (out.length > MAX_CHANGES_PER_STEP)
    throw new Error(`more than ${String(MAX_CHANGES_PER_STEP)} changes in one step`);
}

/** Far above what any event can cause; a step that reaches it flips for ever. */
const MAX_CHANGES_PER_STEP = 100_000;

function flip(profile: ProfileWork, segment: CompiledSegment, kind: ChangeKind, evaluation: Evaluation): void {
  const { t, cause, emit, out } = evaluation;
  const { segmentId, version } = segment;
  if (kind === 'enter') profile.memberships.set(segmentId, { segmentId, since: t, version, cause });
  else profile.memberships.delete(segmentId);
  const change = { profileId: profile.id, segmentId, kind, at: t, version, cause, emit: emit && !isShadow(segmentId) };
  const models = segment.modelDeps.length === 0 ? [] : decidingModels(profile, segment);
  out.push(models.length === 0 ? change : { ...change, models });
}

function decidingModels({ scores }: ProfileWork, { modelDeps }: CompiledSegment): DecidingModel[] {
  const models = modelDeps.flatMap((key) => {
    const score = scores.get(key);
    return score === undefined ? [] : [{ key, version: score.version, digest: score.digest }];
  });
  return models.slice(0, MAX_DECIDING_MODELS);
}

/** F13. */
function causeFor({ definitions }: FoldContext, segment: CompiledSegment, { cause }: Evaluation): ChangeCause {
  if (cause.kind !== 'model' || asksModels(segment, definitions.segments.byKey)) return cause;
  return { kind: 'timer', pos: null };
}

/** Itself or by one that it refers to. */
function asksModels({ modelDeps, segmentDeps }: CompiledSegment, byKey: ReadonlyMap<string, CompiledSegment>): boolean {
  return (
    modelDeps.length > 0 ||
    segmentDeps.some((key) => {
      const other = byKey.get(key);
      return other !== undefined && asksModels(other, byKey);
    })
  );
}

/** F9. What merges, loads and edits do is told as theirs, whatever consent has to do with it. */
function causeOfLeaving(
  context: FoldContext,
  { gate }: CompiledSegment,
  { t, cause }: Pick<Evaluation, 't' | 'cause'>,
): ChangeCause {
  if (gate === null || (cause.kind !== 'event' && cause.kind !== 'timer') || gate.isOpen(context, t)) return cause;
  return { kind: 'consent', pos: cause.pos };
}

/** What a segment that was activated out of its shadow remembers of those whom it has yet to tell of. */
function shadowOf({ adoptsShadow, segmentId }: CompiledSegment, { memberships }: ProfileWork): Membership | undefined {
  return adoptsShadow ? memberships.get(shadowIdOf(segmentId)) : undefined;
}

/** Those that are no more. Not before what is live has been evaluated, which may take over what they remember. */
function leaveShadows(
  active: ReadonlyMap<number, CompiledSegment> | null,
  { profile, t, cause, out }: Evaluation,
): void {
  for (const [segmentId, { version }] of profile.memberships) {
    if (!isShadow(segmentId) || active?.has(segmentId) === true) continue;
    // What was activated out of it waits for a model.
    if (active !== null && profile.stale.has(-segmentId)) continue;
    profile.memberships.delete(segmentId);
    out.push({ profileId: profile.id, segmentId, kind: 'leave', at: t, version, cause, emit: false });
  }
}

/** A segment that is no longer active has no members, and a profile without anchors is in no segment. */
function leaveAllBut(
  active: ReadonlyMap<number, CompiledSegment> | null,
  { profile, t, cause, emit, out }: Evaluation,
): void {
  for (const [segmentId, membership] of profile.memberships) {
    if (active?.has(segmentId) === true || isShadow(segmentId)) continue;
    profile.memberships.delete(segmentId);
    const why: ChangeCause = active === null ? cause : { kind: 'edit', pos: null };
    out.push({ profileId: profile.id, segmentId, kind: 'leave', at: t, version: membership.version, cause: why, emit });
  }
}
