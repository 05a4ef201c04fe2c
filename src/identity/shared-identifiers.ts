import type { Identifier } from '../events/event.model.js';
import type { Uuid } from '../platform/ids.js';
import { compareEvidence, evidenceKey, type Evidence } from './evidence.model.js';
import type { IdentifierPair } from './identity-links.model.js';
import { isUnique, ruleOf, type IdentityRules } from './identity-rules.model.js';

/*
 * Which identifiers several people share, as the browser of a family, and what evidence may join those to.
 *
 *   claim       a value of a unique namespace that evidence names with the identifier: somebody who signed in with it.
 *               Values that must-links join are one claim.
 *   shared      an identifier with two claims or more of one unique namespace. Where several are so contested, the one of
 *               highest priority counts.
 *   link        the namespace does not care: the limits alone decide.
 *   isolate     a shared identifier is joined to nobody. What hangs on it is a profile of its own.
 *   last_user   a shared identifier is joined only by evidence that names its last claim, which is the one of the greatest
 *               row (`compareEvidence`). With more than `MAX_USERS` claims it is joined to nobody.
 *
 * Invariants
 * 1. All of it is a function of the set of evidence, the rules and the must-links; in whatever order it was heard.
 * 2. One more claim can only add to who shares an identifier. Who claimed it last may change with any row that names it.
 */

/** A terminal that more people use is nobody's, whoever was there last. */
export const MAX_USERS = 10;

type Row = Pick<Evidence, 'key' | 'setId' | 'day' | 'identifiers'>;

interface Claim {
  readonly by: Pick<Identifier, 'id' | 'value'>;
  readonly row: Pick<Row, 'key' | 'setId'>;
}

interface Claims {
  readonly classes: Set<Uuid>;
  /** By row; empty where nobody needs to know which is the last. */
  readonly rows: Map<string, Claim>;
}

/** What may join an identifier that is shared: rows that name this claim; null: none. */
interface Standing {
  readonly ns: string;
  readonly claim: Uuid | null;
}

export class SharedIdentifiers {
  readonly #rules: IdentityRules;
  readonly #classes = new Map<Uuid, Uuid>();
  /** By identifier of a namespace that cares, and unique namespace. */
  readonly #claims = new Map<Uuid, Map<string, Claims>>();
  readonly #standings = new Map<Uuid, Standing>();

  constructor(rules: IdentityRules, mustLinks: readonly IdentifierPair[]) {
    this.#rules = rules;
    for (const [a, b] of mustLinks) this.#classes.set(this.#classOf(a), this.#classOf(b));
  }

  /**
   * A row of one set and day may be heard again, as of an earlier event.
   * @returns identifiers that may be joined by other rows than before
   */
  hear(row: Row): Uuid[] {
    const changed: Uuid[] = [];
    for (const { id, ns } of row.identifiers) {
      const policy = ruleOf(this.#rules, ns)?.shared ?? 'link';
      if (policy === 'link') continue;
      let isNews = false;
      for (const other of row.identifiers) {
        if (other.id === id || !this.#isUnique(other)) continue;
        if (this.#claim(id, other, row, policy === 'last_user')) isNews = true;
      }
      if (isNews && this.#stand(id, policy === 'last_user')) changed.push(id);
    }
    return changed;
  }

  /** Takes over what is known of other identifiers, by the same rules and links. */
  absorb(other: SharedIdentifiers): void {
    for (const [id, claims] of other.#claims) this.#claims.set(id, claims);
    for (const [id, standing] of other.#standings) this.#standings.set(id, standing);
  }

  /** Whether evidence that names these identifiers may join this one of them to the others. */
  mayJoin(id: Uuid, named: readonly Identifier[]): boolean {
    const standing = this.#standings.get(id);
    if (standing === undefined) return true;
    const { ns, claim } = standing;
    return claim !== null && named.some((other) => other.ns === ns && this.#classOf(other.id) === claim);
  }

  #isUnique({ ns }: Identifier): boolean {
    const rule = ruleOf(this.#rules, ns);
    return rule !== undefined && isUnique(rule);
  }

  /** True if it is a new claim, or may be another last one. */
  #claim(id: Uuid, by: Identifier, row: Row, isDated: boolean): boolean {
    const byNamespace = this.#claims.get(id) ?? new Map<string, Claims>();
    this.#claims.set(id, byNamespace);
    const claims: Claims = byNamespace.get(by.ns) ?? { classes: new Set<Uuid>(), rows: new Map<string, Claim>() };
    byNamespace.set(by.ns, claims);
    const claim = this.#classOf(by.id);
    const isNew = !claims.classes.has(claim);
    claims.classes.add(claim);
    if (!isDated) return isNew;
    const place = evidenceKey(row);
    const known = claims.rows.get(place);
    const order = known === undefined ? 1 : compareEvidence(known.row, row);
    // Of several values of one namespace in a row the least counts, as when rows are replayed.
    if (order < 0 || (order === 0 && known !== undefined && known.by.value <= by.value)) return isNew;
    claims.rows.set(place, { by, row: { key: row.key, setId: row.setId } });
    return true;
  }

  /** Works out who may join it; true if that is otherwise than before. */
  #stand(id: Uuid, isDated: boolean): boolean {
    const contested = [...(this.#claims.get(id) ?? [])].filter(([, { classes }]) => classes.size > 1);
    const [first, ...others] = contested;
    if (first === undefined) return false;
    const [ns, { classes, rows }] = others.reduce((a, b) => (this.#comesFirst(b[0], a[0]) ? b : a), first);
    const last = isDated && classes.size <= MAX_USERS ? lastOf(rows) : null;
    const claim = last === null ? null : this.#classOf(last);
    const before = this.#standings.get(id);
    if (before?.ns === ns && before.claim === claim) return false;
    this.#standings.set(id, { ns, claim });
    return true;
  }

  #comesFirst(ns: string, other: string): boolean {
    const byPriority = (ruleOf(this.#rules, ns)?.priority ?? 0) - (ruleOf(this.#rules, other)?.priority ?? 0);
    return byPriority > 0 || (byPriority === 0 && ns < other);
  }

  #classOf(id: Uuid): Uuid {
    let at = id;
    for (let up = this.#classes.get(at); up !== undefined && up !== at; up = this.#classes.get(at)) at = up;
    return at;
  }
}

function lastOf(rows: ReadonlyMap<string, Claim>): Uuid | null {
  let last: Claim | null = null;
  for (const claim of rows.values()) if (last === null || compareEvidence(last.row, claim.row) < 0) last = claim;
  return last?.by.id ?? null;
}
