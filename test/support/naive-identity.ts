import { ruleOf, type IdentityRules, type NamespaceRule } from '../../src/identity/identity-rules.model.js';
import { hashId } from '../../src/platform/ids.js';

/*
 * Who is who, as docs/identity.md and docs/merging.md have it, with names in place of ids and no cleverness: whatever
 * happens, everything concerned is worked out again from all that was ever sent. Quadratic and worse.
 */

const DAY_MS = 24 * 60 * 60 * 1000;
/** Of more people than this, what they share is with none of them. */
const MAX_USERS = 10;

/** An event by those of its identifiers that count, as `email:ann@example.com`. */
export interface NaiveEvent {
  readonly pos: number;
  readonly atMs: number;
  readonly sourceId: number;
  readonly messageId: string;
  readonly acceptedAt: number;
  /** By falling priority, as of when it was accepted. */
  readonly names: readonly string[];
}

/** That these were seen together on a day. */
export interface NaiveRow extends Omit<NaiveEvent, 'pos'> {
  /** UTC, since 1970; 0 for one name alone. */
  readonly day: number;
  readonly anchor: string;
  /** Those that count; never empty. */
  readonly names: readonly string[];
  readonly generic: readonly string[];
}

export type NaivePair = readonly [string, string];
export interface NaiveLinks {
  readonly must: readonly NaivePair[];
  readonly cannot: readonly NaivePair[];
}

const ids = new Map<string, string>();

export function idOfName(name: string): string {
  const colon = name.indexOf(':');
  const id = ids.get(name) ?? hashId(name.slice(0, colon), name.slice(colon + 1));
  ids.set(name, id);
  return id;
}

export function sortNames(groups: Iterable<Iterable<string>>): string[][] {
  return [...groups].map((group) => [...group].sort()).sort((a, b) => ((a[0] ?? '') < (b[0] ?? '') ? -1 : 1));
}

const namespaceOf = (name: string): string => name.slice(0, name.indexOf(':'));

function ruleFor(name: string, rules: IdentityRules): NamespaceRule {
  const rule = ruleOf(rules, namespaceOf(name));
  if (rule === undefined) throw new Error(`no rule for ${name}`);
  return rule;
}

const isUnique = ({ limit, windowMs }: NamespaceRule): boolean => limit === 1 && windowMs === null;

/** By falling priority, then by namespace and value. */
export function byPriority(rules: IdentityRules): (a: string, b: string) => number {
  return (a, b) => {
    const [x, y] = [ruleFor(a, rules).priority, ruleFor(b, rules).priority];
    if (x !== y) return y - x;
    const [n, m] = [namespaceOf(a), namespaceOf(b)];
    return n !== m ? (n < m ? -1 : 1) : a < b ? -1 : a > b ? 1 : 0;
  };
}

interface Keyed {
  readonly atMs: number;
  readonly sourceId: number;
  readonly messageId: string;
}

function canonically(a: Keyed, b: Keyed): number {
  const byMessage = a.messageId < b.messageId ? -1 : a.messageId > b.messageId ? 1 : 0;
  return a.atMs - b.atMs || a.sourceId - b.sourceId || byMessage;
}

/** Connected parts of sets. */
function connected(sets: readonly (readonly string[])[]): Set<string>[] {
  let parts: Set<string>[] = [];
  for (const set of sets) {
    const touched = parts.filter((part) => set.some((name) => part.has(name)));
    parts = [...parts.filter((part) => !touched.includes(part)), new Set([...set, ...touched.flatMap((t) => [...t])])];
  }
  return parts;
}

/**
 * One row for each set of names and day, with the least event of them.
 * @param byAnchor true: for each anchor, set and day, as they are written; a replay hears a set once, whatever it hangs on
 */
export function naiveEvidence(
  events: readonly NaiveEvent[],
  generics: ReadonlySet<string>,
  { byAnchor = false }: { readonly byAnchor?: boolean } = {},
): NaiveRow[] {
  const rows = new Map<string, NaiveRow>();
  for (const { pos: _, ...event } of [...events].sort(canonically)) {
    const all = event.names;
    const counting = all.filter((name) => !generics.has(name));
    // What is generic counts for itself where there is nothing else.
    const names = counting.length > 0 ? counting : all.slice(0, 1);
    const day = all.length === 1 ? 0 : Math.floor(event.atMs / DAY_MS);
    const key = `${byAnchor ? (names[0] ?? '') : ''} ${[...all].sort().join(' ')} ${String(day)}`;
    const least = rows.get(key);
    const generic = all.filter((name) => !names.includes(name));
    const row = { ...event, names, generic, day, anchor: names[0] ?? '' };
    rows.set(key, least === undefined ? row : { ...least, acceptedAt: Math.min(least.acceptedAt, event.acceptedAt) });
  }
  return [...rows.values()];
}

/** Values that were seen with more than the bound of others of unique namespaces. */
export function naiveGenerics(
  events: readonly NaiveEvent[],
  rules: IdentityRules,
  { bound, kept }: { readonly bound: number; readonly kept: ReadonlySet<string> },
): Set<string> {
  const all = new Set(events.flatMap(({ names }) => names));
  const neighbours = (name: string): Set<string> => {
    const beside = events.filter(({ names }) => names.includes(name)).flatMap(({ names }) => names);
    return new Set(beside.filter((other) => other !== name && isUnique(ruleFor(other, rules))));
  };
  return new Set([...all].filter((name) => !kept.has(name) && neighbours(name).size > bound));
}

/** Which of a row's names may be joined to the others, given who shares what. */
function sharing(rows: readonly NaiveRow[], rules: IdentityRules, links: NaiveLinks) {
  const oneByHand = connected(links.must);
  const personOf = (name: string): string => {
    const same = oneByHand.find((part) => part.has(name));
    return same === undefined ? name : ([...same].sort()[0] ?? name);
  };
  const namespaces = [...new Set(rows.flatMap(({ names }) => names))]
    .filter((name) => isUnique(ruleFor(name, rules)))
    .sort(byPriority(rules))
    .map(namespaceOf);
  return (name: string, row: NaiveRow): boolean => {
    const { shared = 'link' } = ruleFor(name, rules);
    if (shared === 'link') return true;
    const peopleIn = ({ names }: NaiveRow, ns: string): string[] =>
      names
        .filter((other) => other !== name && namespaceOf(other) === ns)
        .sort()
        .map(personOf);
    const seen = rows.filter(({ names }) => names.includes(name)).sort(canonically);
    for (const ns of new Set(namespaces)) {
      const people = new Set(seen.flatMap((other) => peopleIn(other, ns)));
      if (people.size < 2) continue;
      if (shared === 'isolate' || people.size > MAX_USERS) return false;
      const last = seen.flatMap((other) => peopleIn(other, ns).slice(0, 1)).at(-1) ?? '';
      return peopleIn(row, ns).includes(last);
    }
    return true;
  };
}

/** The groups of a canonical replay of all rows. */
export function naivePartition(rows: readonly NaiveRow[], rules: IdentityRules, links: NaiveLinks): Set<string>[] {
  const replayed = [...rows].sort(canonically);
  const names = [...new Set(rows.flatMap((row) => row.names))].sort(byPriority(rules));
  const groupOf = new Map(names.map((name) => [name, new Set([name])]));
  const groupsOf = (some: readonly string[]): Set<string>[] => [
    ...new Set(some.map((name) => groupOf.get(name) ?? new Set([name]))),
  ];
  const union = (some: readonly string[]): Set<string> => new Set(groupsOf(some).flatMap((group) => [...group]));
  const unite = (some: readonly string[]): void => {
    const united = union(some);
    for (const name of united) groupOf.set(name, united);
  };
  const isBarred = (some: ReadonlySet<string>): boolean =>
    links.cannot.some(([a, b]) => a !== b && some.has(a) && some.has(b));

  const places = new Map(names.map((name, i) => [name, i]));
  const inOrder = links.must
    .map((pair) => [...pair].sort((a, b) => (places.get(a) ?? -1) - (places.get(b) ?? -1)))
    .filter((pair) => pair.every((name) => places.has(name)))
    .sort(([a = '', b = ''], [c = '', d = '']) => {
      const at = (name: string): number => places.get(name) ?? 0;
      return at(a) - at(c) || at(b) - at(d);
    });
  for (const pair of inOrder) if (!isBarred(union(pair))) unite(pair);
  const oneByHand = [...new Set(groupOf.values())].map((group) => [...group]);

  const firstSeen = new Map<string, number>();
  for (const row of replayed) {
    for (const name of row.names) if (!firstSeen.has(name)) firstSeen.set(name, row.atMs);
  }
  const isBeyond = (some: ReadonlySet<string>): boolean => {
    if (some.size > (rules.maxIdentifiers ?? Infinity)) return true;
    return [...new Set([...some].map(namespaceOf))].some((ns) => {
      const { limit, windowMs } = ruleFor(`${ns}:`, rules);
      const seen = oneByHand
        .map((same) => same.filter((name) => some.has(name) && namespaceOf(name) === ns))
        .filter((same) => same.length > 0)
        .map((same) => Math.min(...same.map((name) => firstSeen.get(name) ?? 0)));
      if (windowMs === null) return seen.length > limit;
      return seen.some((from) => seen.filter((at) => at >= from && at < from + windowMs).length > limit);
    });
  };
  const isBridge = (some: readonly string[]): boolean => {
    const established = groupsOf(some).filter((group) => group.size > 1);
    const vouched = established.filter((group) =>
      some.some((name) => group.has(name) && ruleFor(name, rules).mayMerge),
    );
    return established.length > 1 && vouched.length < established.length;
  };

  const mayJoin = sharing(replayed, rules, links);
  for (const row of replayed) {
    const others = row.names.filter((name) => name !== row.anchor).sort(byPriority(rules));
    let joining = mayJoin(row.anchor, row)
      ? [row.anchor, ...others.filter((name) => mayJoin(name, row))]
      : [row.anchor];
    const isRefused = (): boolean => isBeyond(union(joining)) || isBarred(union(joining)) || isBridge(joining);
    while (joining.length > 1 && isRefused()) joining = joining.slice(0, -1);
    unite(joining);
  }
  return [...new Set(groupOf.values())];
}

interface Founded {
  readonly pos: number;
}

/** Links that a decision adds and takes away. */
interface NaiveLink {
  readonly kind: 'must' | 'cannot';
  readonly pair: NaivePair;
}

interface NaiveMove {
  readonly pos: number;
  readonly isByEvent: boolean;
  /** By their founding names. */
  readonly from: string;
  readonly to: string;
  readonly names: readonly string[];
  /** Who stood in `to` before. */
  readonly before: readonly string[];
}

/** Who is who after each event and decision, in the order in which they were taken in. Profiles are named by who founded them. */
export class NaiveIdentity {
  readonly events: NaiveEvent[] = [];
  readonly generics = new Set<string>();
  /** The profile of each name. */
  readonly profileOf = new Map<string, string>();
  readonly founded = new Map<string, Founded>();
  /** Profiles that became part of others, and how. */
  readonly merges: NaiveMove[] = [];
  #links: NaiveLink[] = [];
  /** As of so many events and these generic values. */
  #evidence: { readonly of: string; readonly rows: readonly NaiveRow[] } | null = null;
  readonly #firstPos = new Map<string, number>();

  constructor(public rules: IdentityRules) {}

  get links(): NaiveLinks {
    const of = (kind: NaiveLink['kind']): NaivePair[] => this.#links.filter((l) => l.kind === kind).map((l) => l.pair);
    return { must: of('must'), cannot: of('cannot') };
  }

  get evidence(): readonly NaiveRow[] {
    const of = [this.events.length, ...this.generics].join(' ');
    if (this.#evidence?.of !== of) this.#evidence = { of, rows: naiveEvidence(this.events, this.generics) };
    return this.#evidence.rows;
  }

  get partition(): string[][] {
    const groups = new Map<string, string[]>();
    for (const [name, profile] of this.profileOf) groups.set(profile, [...(groups.get(profile) ?? []), name]);
    return sortNames(groups.values());
  }

  namesOf(profile: string): string[] {
    return [...this.profileOf].filter(([, of]) => of === profile).map(([name]) => name);
  }

  /** As an event that is accepted now has them. */
  inOrder(names: readonly string[]): string[] {
    return [...new Set(names)].sort(byPriority(this.rules));
  }

  hear(event: NaiveEvent): void {
    this.events.push(event);
    const counting = event.names.filter((name) => !this.generics.has(name));
    const names = counting.length > 0 ? counting : event.names.slice(0, 1);
    for (const name of names) if (!this.#firstPos.has(name)) this.#firstPos.set(name, event.pos);
    this.#resolve(names, { pos: event.pos, isByEvent: true });
  }

  /** Everybody anew. */
  resolveAll(pos: number): void {
    this.#resolve([...this.profileOf.keys()], { pos, isByEvent: false });
  }

  /** That a value stands for many people, or does not any more. */
  setGeneric(value: string, isGeneric: boolean, pos: number): void {
    const anchors = (): string[] =>
      this.evidence
        .filter(({ names, generic }) => names.includes(value) || generic.includes(value))
        .map(({ anchor }) => anchor);
    const before = [...anchors().flatMap((anchor) => [...this.#componentOf(anchor)])];
    if (isGeneric) this.generics.add(value);
    else this.generics.delete(value);
    const counting = new Set(this.evidence.flatMap(({ names }) => names));
    for (const name of [...this.profileOf.keys()]) if (!counting.has(name)) this.profileOf.delete(name);
    for (const name of counting) if (!this.#firstPos.has(name)) this.#firstPos.set(name, pos);
    this.#resolve([...before, ...anchors()], { pos, isByEvent: false });
  }

  /** @param names who is one, each with all that stands with it; those that are not known wait */
  merge(names: readonly string[], pos: number): void {
    const sides = names.map((name) => new Set([name, ...this.#standingWith(name)]));
    this.#links = this.#links.filter(({ kind, pair: [a, b] }) => {
      const [x, y] = [sides.findIndex((side) => side.has(a)), sides.findIndex((side) => side.has(b))];
      return kind !== 'cannot' || x === -1 || y === -1;
    });
    names.forEach((a, i) => {
      for (const b of names.slice(i + 1)) this.#link('must', a, b);
    });
    const middle = names.find((name) => this.profileOf.has(name));
    const wanted = names.flatMap((name) => this.#standingWith(name));
    for (let round = 0; round < 3 && middle !== undefined; round++) {
      const groups = naivePartition(this.evidence, this.rules, this.links);
      const together = groups.find((group) => group.has(middle)) ?? new Set();
      for (const name of wanted) if (!together.has(name)) this.#link('must', middle, name);
    }
    this.#resolve(names, { pos, isByEvent: false });
  }

  unmerge(taken: readonly string[], left: readonly string[], pos: number): void {
    const isBetween = ([a, b]: NaivePair): boolean =>
      (taken.includes(a) && left.includes(b)) || (left.includes(a) && taken.includes(b));
    this.#links = this.#links.filter(({ kind, pair }) => kind === 'cannot' || !isBetween(pair));
    for (const a of taken) for (const b of left) this.#link('cannot', a, b);
    this.#resolve([...taken, ...left], { pos, isByEvent: false });
  }

  /** The two sides of a past merge, as far as they stand together now. */
  sidesOf({ to, names, before }: NaiveMove): { taken: string[]; left: string[] } {
    const now = this.namesOf(this.profileOf.get(to) ?? to);
    return { taken: now.filter((name) => names.includes(name)), left: now.filter((name) => before.includes(name)) };
  }

  unlink(kind: NaiveLink['kind'], [a, b]: NaivePair, pos: number): void {
    this.#links = this.#links.filter((link) => !isSame(link, kind, a, b));
    this.#resolve([a, b], { pos, isByEvent: false });
  }

  #link(kind: NaiveLink['kind'], a: string, b: string): void {
    if (a !== b && !this.#links.some((link) => isSame(link, kind, a, b))) this.#links.push({ kind, pair: [a, b] });
  }

  #standingWith(name: string): string[] {
    const profile = this.profileOf.get(name);
    return profile === undefined ? [] : this.namesOf(profile);
  }

  #components(): Set<string>[] {
    const rows = this.evidence;
    const known = new Set(rows.flatMap(({ names }) => names));
    const linked = this.links.must.filter((pair) => pair.every((name) => known.has(name)));
    return connected([...rows.map(({ names }) => names), ...linked]);
  }

  #componentOf(name: string): Set<string> {
    return this.#components().find((part) => part.has(name)) ?? new Set();
  }

  /** Works out who all are that these, or whoever stands with these, hang together with. */
  #resolve(names: readonly string[], { pos, isByEvent }: { pos: number; isByEvent: boolean }): void {
    const standing = new Set(names.flatMap((name) => [name, ...this.#standingWith(name)]));
    const parts = this.#components().filter((part) => [...part].some((name) => standing.has(name)));
    const concerned = new Set(parts.flatMap((part) => [...part]));
    const rows = this.evidence.filter(({ anchor }) => concerned.has(anchor));
    const groups = naivePartition(rows, this.rules, this.links);
    const before = new Map(this.profileOf);
    for (const group of groups) this.#place([...group], pos);
    this.#noteMerges(before, pos, isByEvent);
  }

  /** The eldest profile of those that these founded stands for them. */
  #place(group: readonly string[], pos: number): void {
    const rank = (name: string): string =>
      `${String(this.founded.get(name)?.pos ?? 0).padStart(9, '0')} ${idOfName(name)}`;
    const founders = group.filter((name) => this.founded.has(name)).sort((a, b) => (rank(a) < rank(b) ? -1 : 1));
    let [profile] = founders;
    if (profile === undefined) {
      const firstPos = (name: string): number => this.#firstPos.get(name) ?? 0;
      [profile = ''] = [...group].sort((a, b) => firstPos(a) - firstPos(b) || byPriority(this.rules)(a, b));
      this.founded.set(profile, { pos });
    }
    for (const name of group) this.profileOf.set(name, profile);
  }

  #noteMerges(before: ReadonlyMap<string, string>, pos: number, isByEvent: boolean): void {
    const living = new Set(this.profileOf.values());
    const gone = [...new Set(before.values())].filter((profile) => !living.has(profile));
    for (const from of gone) {
      const moved = [...before].filter(([, profile]) => profile === from).map(([name]) => name);
      for (const to of new Set(moved.flatMap((name) => this.profileOf.get(name) ?? []))) {
        const names = moved.filter((name) => this.profileOf.get(name) === to);
        const stood = [...before].filter(([, profile]) => profile === to).map(([name]) => name);
        this.merges.push({ pos, isByEvent, from, to, names, before: stood });
      }
    }
  }
}

function isSame({ kind, pair: [x, y] }: NaiveLink, of: NaiveLink['kind'], a: string, b: string): boolean {
  return kind === of && ((x === a && y === b) || (x === b && y === a));
}
