import { setImmediate as turn } from 'node:timers/promises';
import type { EventHistoryReader } from '../events/event-history.reader.js';
import { readBesideErasures } from '../events/beside-erasures.reader.js';
import type { LoggedEvent } from '../events/event.model.js';
import type { EventIdentity, ProfileMove } from '../identity/identity-outcome.model.js';
import type {
  HashSlice,
  HistoricalMove,
  ProfileHistory,
  ProfileHistoryReader,
} from '../identity/profile-history.reader.js';
import type { Uuid } from '../platform/ids.js';
import type { Database, Transaction } from '../platform/postgres.js';
import type { Definitions } from './definitions.model.js';
import { foldEvents, foldTimers, type FoldChange } from './fold-batch.js';
import { foldRevision } from './fold-revision.js';
import { newProfileWork, timerOfEdit, type ProfileWork } from './profile-work.model.js';

/*
 * The past of people lived through again, under other definitions: the events of the log in the order in which they were
 * accepted, through the fold that live traffic goes through (`fold-batch.ts`).
 *
 * R1  Who is who does not depend on segments. So it is not resolved anew: identifiers go from profile to profile where
 *     they went (`identity_moves`), with the event that did it, or between two events where none did.
 * R2  Profiles that never exchanged identifiers have nothing to do with each other (F1 of the fold), so one history after
 *     the other is lived through, and memory is bounded by the largest few.
 * R3  Until `fromMs` events are folded in and nobody is evaluated. Then everybody is, as by an edit, at `fromMs + 1`; from
 *     there on it is live traffic. This is what activating the segments at `fromMs` would have done.
 */

export interface ReplayPlan {
  readonly definitions: Definitions;
  /** When the segments become active, ms. */
  readonly fromMs: number;
  /** The last instant that is lived through, ms; at least `fromMs`. */
  readonly toMs: number;
  /** Events after this position of the log are left out. */
  readonly toPos: number;
}

/** What became of one history. */
export interface ReplayedHistory {
  readonly owner: Uuid;
  /** Those that live at the end and have events. */
  readonly profiles: readonly ProfileWork[];
  /**
   * How many more live at the end, known by identifiers that events name beside the one they hang on: nobody evaluates
   * them, and they are in no segment.
   */
  readonly withoutEvents: number;
  /** In order; with those that emit nothing. */
  readonly changes: readonly FoldChange[];
  readonly events: number;
  /** Whether events of it were taken back since: they are not lived through, though they were there. */
  readonly isRevised: boolean;
}

export interface ReplayedPage {
  readonly histories: readonly ReplayedHistory[];
  /** Histories that are left out, because they have too many events or profiles. */
  readonly tooBig: number;
  /** Rows of the log that could not be read. */
  readonly damaged: number;
  readonly next: Uuid | null;
}

interface HistoryReplayParts {
  readonly db: Database;
  readonly histories: ProfileHistoryReader;
  readonly events: EventHistoryReader;
  /** Of one history; with more it is left out and counted. */
  readonly maxEvents?: number;
}

const MAX_EVENTS = 50_000;
const PAGE_PROFILES = 100;
/** Steps that are folded before others have their turn: a few ms. */
const MAX_STEPS_AT_ONCE = 100;
/** A page is read in one snapshot. */
const SNAPSHOT_TIMEOUT_MS = 10 * 60_000;

export class HistoryReplay {
  readonly #parts: HistoryReplayParts;

  constructor(parts: HistoryReplayParts) {
    this.#parts = parts;
  }

  /** The next profiles of a slice, with whoever belongs to them. @param after where the page before ended */
  async page(plan: ReplayPlan, slice: HashSlice, after: Uuid | null, signal?: AbortSignal): Promise<ReplayedPage> {
    return readBesideErasures(
      this.#parts.db,
      (tx, onUnreadable) => this.#page(tx, plan, { slice, after, signal, onUnreadable }),
      { timeoutMs: SNAPSHOT_TIMEOUT_MS },
    );
  }

  async #page(
    tx: Transaction,
    plan: ReplayPlan,
    asked: {
      readonly slice: HashSlice;
      readonly after: Uuid | null;
      readonly signal: AbortSignal | undefined;
      readonly onUnreadable: () => void;
    },
  ): Promise<ReplayedPage> {
    const { events: reader, histories: people, maxEvents = MAX_EVENTS } = this.#parts;
    const { histories, tooBig, next } = await people.page(tx, asked.slice, asked.after, PAGE_PROFILES);
    const fold = new PageFold(plan, histories);
    const groups = histories.map(({ identifiers }) => ({
      anchorIds: identifiers.map(({ id }) => id),
      untilMs: Number.MAX_SAFE_INTEGER,
    }));
    let damaged = 0;
    const pages = reader.read(tx, groups, {
      toPos: plan.toPos,
      acceptedUntilMs: plan.toMs,
      order: 'accepted',
      onDamaged: () => damaged++,
      onUnreadable: asked.onUnreadable,
    });
    for await (const page of pages) {
      for (const { group, event } of page) {
        const past = fold.pasts[group];
        if (past === undefined || past.isTooBig) continue;
        if (++past.events > maxEvents) past.isTooBig = true;
        else await fold.add(past, event);
        asked.signal?.throwIfAborted();
      }
    }
    await fold.finish(asked.signal);
    const small = fold.pasts.filter(({ isTooBig }) => !isTooBig);
    return {
      histories: small.map((past) => replayed(past, plan.toMs)),
      tooBig: tooBig + fold.pasts.length - small.length,
      damaged,
      next,
    };
  }
}

/** A history while it is lived through. */
interface Past {
  readonly history: ProfileHistory;
  readonly profiles: readonly ProfileWork[];
  /** Whom each identifier stands for so far. */
  readonly ownerOf: Map<Uuid, Uuid>;
  readonly changes: FoldChange[];
  /** Of its moves the next one. */
  move: number;
  events: number;
  /** Whether its profiles are evaluated by now (R3). */
  isLive: boolean;
  isRevised: boolean;
  isTooBig: boolean;
}

/** The histories of a page, one after the other; steps of several are folded together. */
class PageFold {
  readonly pasts: readonly Past[];
  readonly #plan: ReplayPlan;
  readonly #quiet: Definitions;
  readonly #profiles = new Map<Uuid, ProfileWork>();
  readonly #pastOf = new Map<Uuid, Past>();
  /** Steps of before `fromMs`, those whose people become live then, and steps of after it: to be folded in this order. */
  #before: EventIdentity[] = [];
  #waking: Past[] = [];
  #after: EventIdentity[] = [];

  constructor(plan: ReplayPlan, histories: readonly ProfileHistory[]) {
    this.#plan = plan;
    this.#quiet = withoutSegments(plan.definitions);
    this.pasts = histories.map((history) => this.#begin(history));
  }

  async add(past: Past, event: LoggedEvent): Promise<void> {
    await this.#moveUntil(past, event.pos);
    const moved = this.#takeMoves(past, ({ pos, cause }) => pos === event.pos && cause === 'event');
    const [anchor] = event.identifiers;
    const profileId = anchor === undefined ? undefined : past.ownerOf.get(anchor.id);
    if (profileId === undefined) throw new Error(`the event at ${String(event.pos)} stands for nobody`);
    const moves = moved.flatMap((move) => move.moves);
    for (const { identifierId, from, to } of moves) this.#carry(identifierId, from, to);
    const merged = mergedBy(moved);
    if (event.acceptedAt <= this.#plan.fromMs) this.#before.push({ event, profileId, moves, merged });
    else {
      this.#wake(past);
      this.#after.push({ event, profileId, moves, merged });
    }
    if (this.#before.length + this.#after.length >= MAX_STEPS_AT_ONCE) await this.#flush();
  }

  /** What comes after the last events, and the timers that are due by the end. */
  async finish(signal: AbortSignal | undefined): Promise<void> {
    for (const past of this.pasts) {
      if (past.isTooBig) continue;
      await this.#moveUntil(past, Infinity);
      this.#wake(past);
    }
    await this.#flush();
    const { definitions, fromMs, toMs } = this.#plan;
    const living = this.pasts.flatMap((past) => (past.isTooBig ? [] : past.profiles.filter(isLiving)));
    for (let i = 0; i < living.length; i += MAX_STEPS_AT_ONCE) {
      const ids = living.slice(i, i + MAX_STEPS_AT_ONCE).map(({ id }) => id);
      this.#note(await foldTimers(definitions, this.#profileOf, ids, Math.max(toMs, fromMs + 1)));
      await turn();
      signal?.throwIfAborted();
    }
  }

  #begin(history: ProfileHistory): Past {
    const { features } = this.#plan.definitions;
    const profiles = history.profileIds.map((id) => newProfileWork({ id, part: 0, createdAt: 0 }, features));
    const past: Past = {
      ...{ history, profiles, ownerOf: new Map(), changes: [] },
      ...{ move: 0, events: 0, isLive: false, isRevised: false, isTooBig: false },
    };
    for (const profile of profiles) {
      this.#profiles.set(profile.id, profile);
      this.#pastOf.set(profile.id, past);
    }
    for (const { id, ns, value, firstProfileId } of history.identifiers) {
      past.ownerOf.set(id, firstProfileId);
      this.#profileOf(firstProfileId).identifiers.set(id, { id, ns, value });
    }
    return past;
  }

  readonly #profileOf = (id: Uuid): ProfileWork => {
    const profile = this.#profiles.get(id);
    if (profile === undefined) throw new Error(`profile ${id} is not part of the page`);
    return profile;
  };

  /** Moves that no event of this history did: people decided them, or an event that is not in the log any more. */
  async #moveUntil(past: Past, pos: number): Promise<void> {
    for (;;) {
      const next = past.history.moves[past.move];
      const { definitions, fromMs, toMs, toPos } = this.#plan;
      if (next === undefined || next.pos >= pos || next.pos > toPos || next.at > toMs) return;
      const together = ({ pos: its, at, cause }: HistoricalMove): boolean =>
        its === next.pos && at === next.at && cause === next.cause;
      const moved = this.#takeMoves(past, together);
      past.isRevised ||= next.cause === 'retraction';
      const moves = moved.flatMap((move) => move.moves);
      const isBefore = next.at <= fromMs;
      if (!isBefore) this.#wake(past);
      await this.#flush();
      const involved = new Set(moves.flatMap(({ from, to }) => [from, to]));
      const step = { acceptedAt: next.at, involved: [...involved], anchors: [], cause: 'identity', moves } as const;
      this.#note(
        await foldRevision(isBefore ? this.#quiet : definitions, this.#profileOf, { ...step, merged: mergedBy(moved) }),
      );
    }
  }

  /** The next moves that are so, of identifiers that stand for whom they left. */
  #takeMoves(past: Past, isSo: (move: HistoricalMove) => boolean): TakenMove[] {
    const taken: TakenMove[] = [];
    for (let next = past.history.moves[past.move]; next !== undefined && isSo(next);) {
      const { from, to, kind, identifierIds } = next;
      const moves = identifierIds.flatMap((identifierId) => {
        if (past.ownerOf.get(identifierId) !== from) return [];
        past.ownerOf.set(identifierId, to);
        return [{ identifierId, from, to }];
      });
      taken.push({ from, to, kind, moves });
      next = past.history.moves[++past.move];
    }
    return taken;
  }

  #carry(identifierId: Uuid, from: Uuid, to: Uuid): void {
    const own = this.#profileOf(from).identifiers;
    const identifier = own.get(identifierId);
    if (identifier === undefined) return;
    own.delete(identifierId);
    this.#profileOf(to).identifiers.set(identifierId, identifier);
  }

  #wake(past: Past): void {
    if (past.isLive) return;
    past.isLive = true;
    this.#waking.push(past);
  }

  async #flush(): Promise<void> {
    const { definitions, fromMs } = this.#plan;
    const [before, waking, after] = [this.#before, this.#waking, this.#after];
    [this.#before, this.#waking, this.#after] = [[], [], []];
    if (before.length > 0) await foldEvents(this.#quiet, this.#profileOf, before);
    for (const profile of waking.flatMap(({ profiles }) => profiles)) {
      if (!isLiving(profile)) continue;
      profile.dueAt = fromMs + 1;
      profile.timer = timerOfEdit(profile.dueAt);
    }
    if (after.length > 0) this.#note((await foldEvents(definitions, this.#profileOf, after)).changes);
    await turn();
  }

  #note(changes: readonly FoldChange[]): void {
    for (const change of changes) this.#pastOf.get(change.profileId)?.changes.push(change);
  }
}

interface TakenMove extends Pick<HistoricalMove, 'from' | 'to' | 'kind'> {
  readonly moves: readonly (ProfileMove & { readonly from: Uuid })[];
}

/** Profiles that ended, each with its survivor. */
function mergedBy(moved: readonly TakenMove[]): Map<Uuid, Uuid> {
  return new Map(moved.flatMap(({ kind, from, to }) => (kind === 'merge' ? [[from, to] as const] : [])));
}

function isLiving({ mergedInto, anchors }: ProfileWork): boolean {
  return mergedInto === null && anchors.size > 0;
}

function replayed({ history, profiles, changes, events, isRevised }: Past, toMs: number): ReplayedHistory {
  const firstAt = new Map(history.identifiers.map((identifier) => [identifier.id, identifier.firstAt ?? 0]));
  const isKnown = ({ mergedInto, anchors, identifiers }: ProfileWork): boolean =>
    mergedInto === null && anchors.size === 0 && [...identifiers.keys()].some((id) => (firstAt.get(id) ?? 0) <= toMs);
  return {
    owner: history.owner,
    profiles: profiles.filter(isLiving),
    withoutEvents: profiles.filter(isKnown).length,
    ...{ changes, events, isRevised },
  };
}

/** Definitions by which events are folded in and nobody is in anything. */
function withoutSegments(definitions: Definitions): Definitions {
  return {
    ...definitions,
    models: new Map(),
    segments: { ordered: [], byId: new Map(), byKey: new Map(), affectedBy: () => [] },
  };
}
