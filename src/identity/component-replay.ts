import type { Identifier } from '../events/event.model.js';
import type { Uuid } from '../platform/ids.js';
import { compareEvidence, evidenceKey, type Evidence } from './evidence.model.js';
import { IdentifierGroups, type GroupNode, type UnitedPair } from './identifier-groups.js';
import { NO_LINKS, type IdentifierPair, type IdentityLinks } from './identity-links.model.js';
import {
  caresForSharing,
  compareByPriority,
  maxIdentifiersOf,
  isHeardOnce,
  ruleOf,
  type IdentityRules,
} from './identity-rules.model.js';
import { SharedIdentifiers } from './shared-identifiers.js';

/*
 * The canonical replay of one raw component, kept so that it can be continued.
 *
 *   evidence ──sort──▶ for each row: R = its identifiers, by falling priority, the anchor first
 *                        │
 *                        ▼
 *                 may the groups of R be united? ──yes──▶ unite them, next row
 *                        │no                                   ▲
 *                        ▼                                      │
 *                 drop the last of R ──only the anchor left────┘
 *
 * Evidence later than all that was replayed, which is the usual case, is one more step of this loop. Late evidence has
 * the steps after its place undone. They are done again as they were decided as long as nothing before them has changed,
 * which is all of them where the late row unites nothing: beyond a limit, that is the usual case too.
 *
 * Invariants
 * 1. After `advance` the groups are a function of the *set* of evidence, the rules and the links: those of a replay in
 *    the order of (occurredAt, sourceId, messageId, setId), however the evidence came.
 * 2. The result is a partition: every identifier stands in exactly one group. One that was dropped from a row keeps the
 *    group it had, alone if it had none.
 * 3. An anchor is never dropped from its row, so that a row's events always stand where their anchor stands.
 * 4. No group breaks a limit or has more identifiers than a profile may hold, save by must-links, and none holds both ends of a cannot-link (`identifier-groups.ts`).
 * 5. Where no union can break a rule (`withinLimits`), nothing is dropped and the groups are the connected parts of the
 *    evidence and the must-links; for a raw component that is one group.
 * 6. Rows that share no identifier, link or chain of such do not influence each other: resolving components one by one
 *    or all at once is the same. So what two components replayed may stand one after the other (`absorb`): where a row
 *    stands before a lesser one, no row up to the greater one joins the two.
 * 7. A set that was heard has nothing new to say: only its least row is kept. Where some namespace may not merge this is
 *    not so, because to be named by a group's own member makes a difference; there the least row of each day is kept.
 *    The same where who was there last decides on a shared identifier.
 * 8. A single identifier joins nothing: of its row only the time matters, which counts towards windows.
 * 9. An identifier that several people share is left out of rows by which it may not be joined (`shared-identifiers.ts`);
 *    who that is follows from all rows, so that one more may have those before it decided anew.
 */

interface Row {
  /** The day of evidence that it is the least row of. */
  readonly day: number;
  readonly key: Evidence['key'];
  readonly setId: Uuid;
  /** Its identifiers as nodes, the anchor first, then by falling priority. */
  readonly members: readonly number[];
}

/** A row that was replayed. Changed in place where it is replayed again. */
interface Step {
  readonly row: Row;
  /** The greatest row up to this one. */
  greatest: Row;
  /** Unions made before it. */
  unions: number;
  /** How many of its members are in one group since. */
  count: number;
}

interface ReplayNode extends GroupNode {
  readonly identifier: Identifier;
}

export class ComponentReplay {
  readonly #rules: IdentityRules;
  #links: IdentityLinks;
  #linked: ReadonlySet<Uuid>;
  readonly #isHeardOnce: boolean;
  /** Null: the rules do not care who shares an identifier. */
  #shared: SharedIdentifiers | null;
  readonly #nodes: ReplayNode[] = [];
  readonly #indexOf = new Map<Uuid, number>();
  readonly #rows = new Map<string, Row>();
  readonly #steps: Step[] = [];
  /** Rows that wait for `advance`, in any order. */
  #pending: Row[] = [];
  /** Steps undone since the last `advance`, in the order in which they were done. */
  #undoneSteps: Step[] = [];
  /** Whether they may have to be decided otherwise, whatever the rows that wait do. */
  #isDisturbed = false;
  /** Pairs whose unions were undone since the last `advance`. */
  #undone: UnitedPair[] = [];
  /** Nodes that no `advance` has spoken of. */
  #fresh: number[] = [];
  /** Null: to be made anew, because must-links come before all evidence. */
  #groups: IdentifierGroups | null;
  #decided = 0;

  constructor(rules: IdentityRules, links: IdentityLinks = NO_LINKS) {
    this.#rules = rules;
    this.#links = links;
    this.#linked = endsOf(links);
    this.#isHeardOnce = isHeardOnce(rules);
    this.#shared = caresForSharing(rules) ? new SharedIdentifiers(rules, links.mustLinks) : null;
    this.#groups = new IdentifierGroups([], [], [], maxIdentifiersOf(rules));
  }

  /** Puts these links in the place of those that it was made with: what is known is replayed anew. */
  relink(links: IdentityLinks): void {
    this.#links = links;
    this.#linked = endsOf(links);
    if (this.#shared !== null) {
      this.#shared = new SharedIdentifiers(this.#rules, links.mustLinks);
      for (const row of this.#rows.values()) this.#shared.hear(this.#identified(row));
    }
    this.#startOver();
  }

  /** Rows that matter: see invariants 7 and 8. */
  get rows(): number {
    return this.#rows.size;
  }

  /** Rows and identifiers held in memory. */
  get size(): number {
    return this.#rows.size + this.#nodes.length;
  }

  /** Rows decided so far, each time counted. */
  get decided(): number {
    return this.#decided;
  }

  /** Rows that could not join all of their identifiers, as of the last `advance`. */
  get demotedRows(): number {
    return this.#steps.filter(({ row, count }) => count < row.members.length).length;
  }

  /** True if just this is known: an earlier row of the same anchor, set and day. */
  knows(evidence: Evidence): boolean {
    const standing = this.#rows.get(this.#heardAs(evidence));
    if (standing?.day !== evidence.day || compareEvidence(standing, evidence) > 0) return false;
    return this.#indexOf.get(evidence.anchorId) === standing.members[0];
  }

  /**
   * Takes evidence in; false if it changes nothing that the groups depend on.
   * @throws RangeError if an identifier's namespace is not allowed by the rules
   */
  add(evidence: Evidence): boolean {
    const { day, identifiers, key, setId } = evidence;
    const heard = this.#heardAs(evidence);
    const standing = this.#rows.get(heard);
    if (standing !== undefined && compareEvidence(standing, evidence) <= 0) return false;
    let isNews = false;
    for (const identifier of identifiers) if (this.#see(identifier, key.occurredAt)) isNews = true;
    if (identifiers.length === 1) return isNews;
    const row = { day, key, setId, members: this.#membersOf(evidence) };
    const greatest = this.#steps.at(-1)?.greatest;
    if (greatest !== undefined && compareEvidence(greatest, row) > 0) {
      this.#rewindTo(this.#steps.findIndex((step) => compareEvidence(step.row, row) > 0));
    }
    if (standing !== undefined) this.#drop(standing);
    this.#pending.push(row);
    this.#rows.set(heard, row);
    this.foresee(evidence);
    return true;
  }

  /**
   * Hears who is named with whom, ahead of `add`: that several people share an identifier changes what came before, and
   * who knows all rows spares doing it again.
   */
  foresee(evidence: Evidence): void {
    if (this.#shared === null || evidence.identifiers.length === 1) return;
    for (const id of this.#shared.hear(evidence)) {
      const index = this.#indexOf.get(id);
      if (index === undefined) continue;
      this.#isDisturbed = true;
      this.#rewindTo(this.#steps.findIndex((step) => step.row.members.includes(index)));
    }
  }

  /** Takes over what another component's replay knows, which costs what is known there. They share no identifier. */
  absorb(other: ComponentReplay): void {
    const mapped = other.#nodes.map((node) => this.#addNode(node));
    for (const node of other.#fresh) this.#fresh.push(mapped[node] ?? 0);
    if (other.#shared !== null) this.#shared?.absorb(other.#shared);
    const rows = new Map<Row, Row>();
    for (const [heard, row] of other.#rows) {
      const own = { ...row, members: row.members.map((node) => mapped[node] ?? 0) };
      rows.set(row, own);
      this.#rows.set(heard, own);
    }
    for (const own of rows.values()) this.#pending.push(own);
    for (const [a, b] of [...other.#undone, ...(other.#groups?.pairsFrom(0) ?? [])]) {
      this.#undone.push([mapped[a] ?? 0, mapped[b] ?? 0]);
    }
  }

  /** Replays what is new, and gives the groups that may differ from those of the `advance` before. */
  advance(): Uuid[][] {
    const isAnew = this.#groups === null;
    const groups = this.#current();
    const before = groups.unions;
    this.#playAll();
    const changed = pairsInOne(this.#undone, groups.pairsFrom(before));
    const seeds = isAnew ? this.#nodes.keys() : [...this.#fresh, ...changed.flat()];
    this.#undone = [];
    this.#fresh = [];
    return this.#groupsAround(groups, seeds);
  }

  /** The identifiers that stand for the same person as this one, as of the last `advance`; null if it is not known. */
  groupOf(id: Uuid): Uuid[] | null {
    const node = this.#indexOf.get(id);
    return node === undefined
      ? null
      : this.#current()
          .groupOf(node)
          .map((member) => this.#idOf(member));
  }

  #heardAs(evidence: Evidence): string {
    return this.#isHeardOnce ? evidence.setId : evidenceKey(evidence);
  }

  /** True if something changed. A node that is seen earlier than before counts so from its first row on. */
  #see(identifier: Identifier, firstSeen: number): boolean {
    const index = this.#indexOf.get(identifier.id);
    const known = index === undefined ? undefined : this.#nodes[index];
    if (index === undefined || known === undefined) {
      const rule = ruleOf(this.#rules, identifier.ns);
      if (rule === undefined) throw new RangeError(`namespace ${identifier.ns} is not allowed by the rules`);
      this.#fresh.push(this.#addNode({ identifier, ns: identifier.ns, rule, firstSeen }));
      return true;
    }
    if (known.firstSeen <= firstSeen) return false;
    this.#isDisturbed = true;
    if (this.#linked.has(identifier.id)) this.#startOver();
    else this.#rewindTo(this.#steps.findIndex((step) => step.row.members.includes(index)));
    const node = { ...known, firstSeen };
    this.#nodes[index] = node;
    this.#groups?.replace(index, node);
    return true;
  }

  #addNode(node: ReplayNode): number {
    if (this.#linked.has(node.identifier.id)) this.#startOver();
    const index = this.#nodes.push(node) - 1;
    this.#indexOf.set(node.identifier.id, index);
    this.#groups?.add(node);
    return index;
  }

  /** Undoes the steps from this one on; -1: none. */
  #rewindTo(index: number): void {
    const first = index < 0 ? undefined : this.#steps[index];
    if (first === undefined || this.#groups === null) return;
    this.#undoneSteps = [...this.#steps.splice(index), ...this.#undoneSteps];
    this.#undone.push(...this.#groups.pairsFrom(first.unions));
    this.#groups.undo(first.unions);
  }

  #startOver(): void {
    this.#rewindTo(0);
    this.#groups = null;
    this.#isDisturbed = true;
  }

  /** A row that waits, or whose step is undone, is no longer the least of its set. */
  #drop(row: Row): void {
    const undone = this.#undoneSteps.findIndex((step) => step.row === row);
    if (undone === -1) this.#pending = this.#pending.filter((other) => other !== row);
    else this.#undoneSteps.splice(undone, 1);
    this.#isDisturbed = true;
  }

  #current(): IdentifierGroups {
    return (this.#groups ??= new IdentifierGroups(
      this.#nodes,
      this.#pairsOf(this.#links.mustLinks),
      this.#pairsOf(this.#links.cannotLinks),
      maxIdentifiersOf(this.#rules),
    ));
  }

  #playAll(): void {
    const again = this.#undoneSteps;
    if (again.some((step) => step.greatest !== step.row)) again.sort((a, b) => compareEvidence(a.row, b.row));
    if (this.#pending.length > 1) this.#pending.sort(compareEvidence);
    let isAsBefore = !this.#isDisturbed;
    let next = 0;
    for (const row of this.#pending) {
      for (let step = again[next]; step !== undefined && compareEvidence(step.row, row) < 0; step = again[++next]) {
        this.#play(step, isAsBefore);
      }
      const step = { row, greatest: row, unions: 0, count: 0 };
      if (this.#play(step, false)) isAsBefore = false;
    }
    for (let step = again[next]; step !== undefined; step = again[++next]) this.#play(step, isAsBefore);
    this.#pending = [];
    this.#undoneSteps = [];
    this.#isDisturbed = false;
  }

  /** Does the step, as it was decided or to be decided now; true if it united anything. */
  #play(step: Step, isDecided: boolean): boolean {
    const groups = this.#current();
    const { row } = step;
    const members = this.#shared === null ? row.members : this.#joinable(row, this.#shared);
    step.unions = groups.unions;
    if (!isDecided) {
      step.count = groups.longestMergingPrefix(members, groups.longestLawfulPrefix(members));
      this.#decided++;
    }
    groups.unite(members, step.count);
    const last = this.#steps.at(-1)?.greatest;
    step.greatest = last === undefined || compareEvidence(last, row) < 0 ? row : last;
    this.#steps.push(step);
    return groups.unions > step.unions;
  }

  /** Of a row's members those that it may join; the anchor alone where it may not be joined to anybody. */
  #joinable(row: Row, shared: SharedIdentifiers): readonly number[] {
    const { identifiers } = this.#identified(row);
    const [anchor] = row.members;
    if (anchor === undefined || !shared.mayJoin(this.#idOf(anchor), identifiers)) return row.members.slice(0, 1);
    return row.members.filter((member) => shared.mayJoin(this.#idOf(member), identifiers));
  }

  #identified(row: Row): Row & Pick<Evidence, 'identifiers'> {
    return { ...row, identifiers: row.members.map((member) => this.#identifierOf(member)) };
  }

  /** Evidence names its identifiers in this order already, but for what was written under older rules. */
  #membersOf({ anchorId, identifiers }: Evidence): number[] {
    const order = (a: Identifier, b: Identifier): number =>
      a.id === anchorId ? -1 : b.id === anchorId ? 1 : compareByPriority(this.#rules, a, b);
    const inOrder = identifiers.every((identifier, i) => {
      const before = identifiers[i - 1];
      return before === undefined ? identifier.id === anchorId : order(before, identifier) < 0;
    });
    return (inOrder ? identifiers : [...identifiers].sort(order)).map(({ id }) => this.#indexOf.get(id) ?? 0);
  }

  /** The pairs that apply here, by falling priority of their ends, in whatever order they were handed in. */
  #pairsOf(pairs: readonly IdentifierPair[]): UnitedPair[] {
    if (pairs.length === 0) return [];
    const byPriority = this.#nodes
      .map((_, index) => index)
      .sort((a, b) => compareByPriority(this.#rules, this.#identifierOf(a), this.#identifierOf(b)));
    const rankOf = new Map(byPriority.map((index, rank) => [this.#idOf(index), rank]));
    const ranked: [number, number][] = [];
    for (const [idA, idB] of pairs) {
      const a = rankOf.get(idA);
      const b = rankOf.get(idB);
      if (a !== undefined && b !== undefined && a !== b) ranked.push([Math.min(a, b), Math.max(a, b)]);
    }
    ranked.sort((p, q) => p[0] - q[0] || p[1] - q[1]);
    return ranked.map(([a, b]): UnitedPair => [byPriority[a] ?? 0, byPriority[b] ?? 0]);
  }

  #groupsAround(groups: IdentifierGroups, nodes: Iterable<number>): Uuid[][] {
    const roots = new Set<number>();
    for (const node of nodes) roots.add(groups.find(node));
    return [...roots].map((root) => groups.groupOf(root).map((node) => this.#idOf(node)));
  }

  #identifierOf(index: number): Identifier {
    const node = this.#nodes[index];
    if (node === undefined) throw new RangeError(`no identifier ${String(index)}`);
    return node.identifier;
  }

  #idOf(index: number): Uuid {
    return this.#identifierOf(index).id;
  }
}

function endsOf({ mustLinks, cannotLinks }: IdentityLinks): ReadonlySet<Uuid> {
  return new Set([...mustLinks, ...cannotLinks].flat());
}

/**
 * The pairs that are in one of the two lists only. A group without an end of such a pair is held together by the same
 * pairs as before, and by no others.
 */
function pairsInOne(before: readonly UnitedPair[], after: readonly UnitedPair[]): UnitedPair[] {
  if (before.length === 0) return [...after];
  const codeOf = ([a, b]: UnitedPair): number => a * MAX_NODES + b;
  const inBefore = new Map(before.map((pair) => [codeOf(pair), pair]));
  const changed: UnitedPair[] = [];
  for (const pair of after) if (!inBefore.delete(codeOf(pair))) changed.push(pair);
  for (const pair of inBefore.values()) changed.push(pair);
  return changed;
}

/** More than fit into memory; squared still an exact integer. */
const MAX_NODES = 2 ** 26;
