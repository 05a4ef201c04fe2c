import { isListEvent } from '../../src/profiles/list.model.js';
import type { JsonValue, LoggedEvent } from '../../src/events/event.model.js';
import { compareCanonical } from '../../src/events/event.model.js';
import { evidenceOf, leastEvidence, type Evidence } from '../../src/identity/evidence.model.js';
import { compareByPriority, type IdentityRules } from '../../src/identity/identity-rules.model.js';
import { resolveComponent } from '../../src/identity/resolve-component.js';

/*
 * Live membership by its definition: after each event everything is computed anew from the list of all events so far,
 * and between events at every instant at which anything could flip. No batches, no states, no timers kept, no caches.
 */

export type Truth = boolean | null;

/** A profile as a condition sees it. */
export interface NaiveView {
  readonly profileId: string;
  /** Events whose anchor is one of its identifiers. */
  readonly events: readonly LoggedEvent[];
  readonly traits: ReadonlyMap<string, JsonValue>;
  /** By key. */
  readonly segments: ReadonlyMap<string, NaiveEntry>;
}

interface NaiveEntry {
  readonly since: number;
  /** `since 170… version 1 by event 12`. */
  readonly text: string;
}

export interface NaiveSegment {
  readonly key: string;
  truth(view: NaiveView, t: number): Truth;
  /** Every instant after `t` at which time alone could change it. */
  instants(view: NaiveView, t: number): readonly number[];
  /** Whether somebody may be in it at all, by what they consent to. */
  isOpen(view: NaiveView, t: number): boolean;
  readonly version: number;
  /** Who leaves; null: who is not to enter. */
  readonly exit: ((view: NaiveView, t: number) => Truth) | null;
  /** How long members stay at least, ms. */
  readonly dwellMs: number;
  /** The active period, ms. */
  readonly from: number;
  readonly until: number;
}

/** From an instant on there are other segments, which everybody is evaluated for. */
export interface NaiveEdit {
  /** Every event up to this position comes before. */
  readonly afterPos: number;
  readonly t: number;
  readonly segments: readonly NaiveSegment[];
}

export interface NaiveWorld {
  readonly rules: IdentityRules;
  /** Each after those that it refers to. */
  readonly segments: readonly NaiveSegment[];
  /** Ids of profiles, which nothing else tells, by the identifiers that founded them. */
  readonly profileIds: ReadonlyMap<string, string>;
}

export interface NaiveOutcome {
  /** `<profile> in <segment>`, sorted; a profile by its identifiers, as in `readState`. */
  readonly memberships: readonly string[];
  /** The same with how each came about, as in `readState`. */
  readonly entries: readonly string[];
  readonly profiles: readonly string[];
  /** By profile, named by the identifier that founded it: `enter keen at 170… event 12`. */
  readonly feed: Readonly<Record<string, readonly string[]>>;
}

interface NaiveProfile {
  readonly foundingId: string;
  readonly name: string;
  readonly foundedPos: number;
  members: Set<string>;
  /** By key. */
  segments: Map<string, NaiveEntry>;
  evaluatedAt: number;
}

interface Cause {
  readonly kind: string;
  readonly pos: number | null;
  readonly emit: boolean;
}

export function naiveFold(
  world: NaiveWorld,
  events: readonly LoggedEvent[],
  untilT: number,
  edits: readonly NaiveEdit[] = [],
): NaiveOutcome {
  const run = new NaiveRun(world);
  const ahead = [...edits];
  const editUpTo = (pos: number): void => {
    for (let next = ahead[0]; next !== undefined && next.afterPos < pos; next = ahead[0])
      run.edit(ahead.shift() ?? next);
  };
  for (const event of events) {
    editUpTo(event.pos);
    run.apply(event);
  }
  editUpTo(Infinity);
  return run.finish(untilT);
}

class NaiveRun {
  #world: NaiveWorld;
  readonly #seen: LoggedEvent[] = [];
  readonly #evidence = new Map<string, Evidence>();
  readonly #firstPos = new Map<string, number>();
  readonly #names = new Map<string, string>();
  #profiles: NaiveProfile[] = [];
  readonly #feed: Record<string, string[]> = {};

  constructor(world: NaiveWorld) {
    this.#world = world;
  }

  apply(event: LoggedEvent): void {
    const before = new Map(this.#profiles.map((profile) => [profile, profile.members]));
    const after = this.#partition(event);
    const anchorId = event.identifiers[0]?.id ?? '';
    const target = [...after].find(([, members]) => members.has(anchorId))?.[0];
    const changed = [...after.keys()].filter((p) => !equalSets(before.get(p) ?? new Set(), after.get(p) ?? new Set()));
    const involved = new Set(target === undefined ? changed : [...changed, target]);
    for (const profile of involved) this.#fire(profile, event.acceptedAt);

    const alive = (sets: ReadonlyMap<NaiveProfile, Set<string>>, p: NaiveProfile): boolean =>
      (sets.get(p)?.size ?? 0) > 0;
    const ended = [...involved].filter((p) => alive(before, p) && !alive(after, p));
    const owner = (sets: ReadonlyMap<NaiveProfile, Set<string>>, id: string): NaiveProfile | undefined =>
      [...sets].find(([, members]) => members.has(id))?.[0];
    const isStructural = [...this.#firstPos.keys()].some((id) => {
      const from = owner(before, id);
      return from !== undefined && from !== owner(after, id);
    });
    const inherited = new Map<NaiveProfile, Map<string, number>>();
    for (const id of this.#firstPos.keys()) {
      const [from, to] = [owner(before, id), owner(after, id)];
      if (from === undefined || to === undefined || from === to) continue;
      const memory = inherited.get(to) ?? new Map<string, number>();
      inherited.set(to, memory);
      for (const [key, { since }] of from.segments) memory.set(key, Math.max(since, memory.get(key) ?? since));
    }
    for (const [profile, members] of after) profile.members = members;
    this.#profiles = [...after.keys()];
    this.#seen.push(event);
    const t = event.acceptedAt + 1;
    const emit = !event.historical;
    const structural = ended.length > 0 ? 'merge' : 'unmerge';
    const kind = isStructural ? structural : isListEvent(event) ? 'edit' : 'event';
    const cause = emit ? { kind, pos: event.pos, emit } : { kind: 'load', pos: null, emit };
    for (const profile of ended) this.#leaveAll(profile, t, { kind: 'merge', pos: event.pos, emit });
    for (const profile of involved) {
      if (profile !== target && !isStructural) continue;
      if (alive(after, profile)) this.#evaluate(profile, t, cause, this.#view(profile), inherited.get(profile));
    }
  }

  /** All timers before it fire by what was there until then. */
  edit({ t, segments }: NaiveEdit): void {
    for (const profile of this.#profiles) this.#fire(profile, t - 1);
    this.#world = { ...this.#world, segments };
    for (const profile of this.#profiles) {
      if (profile.members.size > 0) this.#evaluate(profile, t, { kind: 'edit', pos: null, emit: true });
    }
  }

  finish(untilT: number): NaiveOutcome {
    for (const profile of this.#profiles) this.#fire(profile, untilT);
    const alive = this.#profiles.filter((profile) => profile.members.size > 0);
    const label = (profile: NaiveProfile): string =>
      [...profile.members]
        .map((id) => this.#names.get(id) ?? '')
        .sort(compareNames)
        .join(' ');
    return {
      profiles: alive.map(label).sort(),
      memberships: alive.flatMap((p) => [...p.segments.keys()].map((key) => `${label(p)} in ${key}`)).sort(),
      entries: alive.flatMap((p) => [...p.segments].map(([key, { text }]) => `${label(p)} in ${key} ${text}`)).sort(),
      feed: this.#feed,
    };
  }

  /** Who is who, with this event: every profile with its identifiers, none for those that are part of another. */
  #partition(event: LoggedEvent): Map<NaiveProfile, Set<string>> {
    const { rules } = this.#world;
    for (const { id, ns, value } of event.identifiers) {
      if (!this.#firstPos.has(id)) this.#firstPos.set(id, event.pos);
      this.#names.set(id, `${ns}:${value}`);
    }
    const row = evidenceOf(event);
    const key = `${row.setId} ${String(row.day)}`;
    const known = this.#evidence.get(key);
    this.#evidence.set(key, known === undefined ? row : leastEvidence(known, row));
    const byId = new Map([...this.#evidence.values()].flatMap((e) => e.identifiers).map((i) => [i.id, i]));
    const order = (a: string, b: string): number => {
      const [x, y] = [byId.get(a), byId.get(b)];
      const byPos = (this.#firstPos.get(a) ?? 0) - (this.#firstPos.get(b) ?? 0);
      return byPos || (x === undefined || y === undefined ? 0 : compareByPriority(rules, x, y));
    };
    const after = new Map<NaiveProfile, Set<string>>(this.#profiles.map((profile) => [profile, new Set()]));
    const groups = resolveComponent([...this.#evidence.values()], rules).groups.map((ids) => [...ids].sort(order));
    for (const ids of groups.sort((a, b) => order(a[0] ?? '', b[0] ?? ''))) {
      const claimants = this.#profiles.filter((profile) => ids.includes(profile.foundingId));
      claimants.sort((a, b) => a.foundedPos - b.foundedPos || (a.foundingId < b.foundingId ? -1 : 1));
      const survivor = claimants[0] ?? this.#found(ids[0] ?? '', event.pos);
      after.set(survivor, new Set(ids));
    }
    return after;
  }

  #found(foundingId: string, foundedPos: number): NaiveProfile {
    const name = this.#names.get(foundingId) ?? '';
    return { foundingId, name, foundedPos, members: new Set(), segments: new Map(), evaluatedAt: 0 };
  }

  #view(profile: NaiveProfile): NaiveView {
    const events = this.#seen.filter((event) => profile.members.has(event.identifiers[0]?.id ?? ''));
    const traits = new Map<string, JsonValue>();
    for (const event of [...events].sort(compareCanonical)) {
      for (const [name, value] of Object.entries(event.traits)) traits.set(name, value);
    }
    const profileId = this.#world.profileIds.get(profile.foundingId) ?? '';
    return { profileId, events, traits, segments: profile.segments };
  }

  /** Evaluates at every instant up to `untilT` at which anything might flip. */
  #fire(profile: NaiveProfile, untilT: number): void {
    const view = this.#view(profile);
    if (view.events.length === 0) return;
    const from = profile.evaluatedAt;
    const instants = this.#world.segments.flatMap((segment) => segment.instants(view, from));
    const ahead = new Set(instants.filter((t) => t > from && t <= untilT));
    while (ahead.size > 0 || this.#dwellEnds(profile, untilT).length > 0) {
      const t = Math.min(...ahead, ...this.#dwellEnds(profile, untilT));
      this.#evaluate(profile, t, { kind: 'timer', pos: null, emit: true }, view);
      ahead.delete(t);
    }
  }

  #dwellEnds(profile: NaiveProfile, untilT: number): number[] {
    const ends = this.#world.segments.map(({ key, dwellMs }) => (profile.segments.get(key)?.since ?? NaN) + dwellMs);
    return ends.filter((t) => t > profile.evaluatedAt && t <= untilT);
  }

  #evaluate(
    profile: NaiveProfile,
    t: number,
    cause: Cause,
    view = this.#view(profile),
    inherited?: ReadonlyMap<string, number>,
  ): void {
    if (view.events.length === 0) {
      this.#leaveAll(profile, t, cause);
      return;
    }
    const lines: string[] = [];
    for (const segment of this.#world.segments) {
      const isOpen = segment.isOpen(view, t);
      const since = profile.segments.get(segment.key)?.since ?? inherited?.get(segment.key) ?? null;
      const truth = isOpen && t >= segment.from && t < segment.until && holds(segment, view, t, since);
      if (truth === profile.segments.has(segment.key)) continue;
      const text = `since ${String(t)} version ${String(segment.version)} by ${causeText(cause)}`;
      if (truth) profile.segments.set(segment.key, { since: t, text });
      else profile.segments.delete(segment.key);
      const isWithdrawn = !isOpen && (cause.kind === 'event' || cause.kind === 'timer');
      lines.push(
        lineOf(truth ? 'enter' : 'leave', segment.key, t, isWithdrawn ? { ...cause, kind: 'consent' } : cause),
      );
    }
    profile.evaluatedAt = t;
    if (cause.emit) this.#emit(profile, lines);
  }

  #leaveAll(profile: NaiveProfile, t: number, cause: Cause): void {
    const lines = [...profile.segments.keys()].map((key) => lineOf('leave', key, t, cause));
    profile.segments.clear();
    profile.evaluatedAt = t;
    if (cause.emit) this.#emit(profile, lines);
  }

  #emit(profile: NaiveProfile, lines: string[]): void {
    if (lines.length > 0) (this.#feed[profile.name] ??= []).push(...lines.sort());
  }
}

/** Of somebody who was in it since then, or was not. */
function holds(segment: NaiveSegment, view: NaiveView, t: number, since: number | null): boolean {
  if (since !== null && t - since < segment.dwellMs) return true;
  if (segment.exit === null) return segment.truth(view, t) === true;
  if (segment.exit(view, t) === true) return false;
  return since !== null || segment.truth(view, t) === true;
}

function lineOf(kind: string, key: string, t: number, cause: Cause): string {
  return `${kind} ${key} at ${String(t)} ${causeText(cause)}`;
}

function causeText({ kind, pos }: Cause): string {
  return pos === null ? kind : `${kind} ${String(pos)}`;
}

/** Changes of one profile at one instant from one cause in the order of their lines, as the naive fold has them. */
export function withStepsSorted(lines: readonly string[]): string[] {
  const sorted: string[] = [];
  // What closes a gate is an event or a timer.
  const stepOf = (line: string | undefined): string =>
    (line?.split(' ').slice(2).join(' ') ?? '').replace(/consent (?=\d)/, 'event ').replace(/consent$/, 'timer');
  for (let i = 0; i < lines.length;) {
    let end = i + 1;
    while (end < lines.length && stepOf(lines[end]) === stepOf(lines[i])) end++;
    sorted.push(...lines.slice(i, end).sort());
    i = end;
  }
  return sorted;
}

function compareNames(a: string, b: string): number {
  const [[nsA = '', valueA = ''], [nsB = '', valueB = '']] = [a.split(':'), b.split(':')];
  return nsA < nsB ? -1 : nsA > nsB ? 1 : valueA < valueB ? -1 : valueA > valueB ? 1 : 0;
}

function equalSets(a: ReadonlySet<string>, b: ReadonlySet<string>): boolean {
  return a.size === b.size && [...a].every((item) => b.has(item));
}
