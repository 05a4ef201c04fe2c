import type { Uuid } from '../platform/ids.js';
import { compareEvidence, evidenceKey, type Evidence } from './evidence.model.js';
import type { IdentityRules } from './identity-rules.model.js';
import { resolveComponent } from './resolve-component.js';

/**
 * Who belonged together as far as was known at an instant, for one raw component.
 *
 * 1. What is known at K is the evidence with `knownAt ≤ K`; of two rows about one set and day, the lesser. Nothing that
 *    was learned after K can show, not even as an earlier time of something known.
 * 2. The groups are those that canonical replay gives (`resolve-component.ts`); they are replayed only where more is
 *    known than at the instant asked for before, so ask for rising instants.
 */
export class EvidenceTimeline {
  readonly #rows: readonly Evidence[];
  readonly #rules: IdentityRules;
  readonly #known = new Map<string, Evidence>();
  #taken = 0;
  #groupOf: ReadonlyMap<Uuid, readonly Uuid[]> = new Map();

  /** @param rows in any order; several about one set and day where knowledge of it improved */
  constructor(rows: Iterable<Evidence>, rules: IdentityRules) {
    this.#rows = [...rows].sort((a, b) => a.knownAt - b.knownAt);
    this.#rules = rules;
  }

  /**
   * The identifiers that stood for the same person, sorted; null where this one was not known.
   * @throws RangeError if `knownAtMs` is less than before
   */
  groupAt(identifierId: Uuid, knownAtMs: number): readonly Uuid[] | null {
    const last = this.#rows[this.#taken - 1];
    if (last !== undefined && last.knownAt > knownAtMs) throw new RangeError('asked for falling instants');
    const before = this.#taken;
    for (let row = this.#rows[this.#taken]; row !== undefined && row.knownAt <= knownAtMs;) {
      const key = evidenceKey(row);
      const standing = this.#known.get(key);
      if (standing === undefined || compareEvidence(row, standing) < 0) this.#known.set(key, row);
      row = this.#rows[++this.#taken];
    }
    if (this.#taken > before) this.#groupOf = groupsOf([...this.#known.values()], this.#rules);
    return this.#groupOf.get(identifierId) ?? null;
  }
}

function groupsOf(evidence: readonly Evidence[], rules: IdentityRules): Map<Uuid, readonly Uuid[]> {
  const groupOf = new Map<Uuid, readonly Uuid[]>();
  for (const group of resolveComponent(evidence, rules).groups) for (const id of group) groupOf.set(id, group);
  return groupOf;
}
