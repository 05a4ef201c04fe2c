import type { Uuid } from '../platform/ids.js';
import { ComponentReplay } from './component-replay.js';
import type { Evidence } from './evidence.model.js';
import type { IdentityRules } from './identity-rules.model.js';

/**
 * Who belonged together as far as was known at an instant, for one raw component.
 *
 * 1. What is known at K is the evidence with `knownAt ≤ K`; of two rows about one set and day, the lesser. Nothing that
 *    was learned after K can show, not even as an earlier time of something known.
 * 2. The groups are those that canonical replay gives (`component-replay.ts`), continued from one instant to the next: so
 *    ask for rising instants.
 */
export class EvidenceTimeline {
  readonly #rows: readonly Evidence[];
  readonly #replay: ComponentReplay;
  #taken = 0;

  /** @param rows in any order; several about one set and day where knowledge of it improved */
  constructor(rows: Iterable<Evidence>, rules: IdentityRules) {
    this.#rows = [...rows].sort((a, b) => a.knownAt - b.knownAt);
    this.#replay = new ComponentReplay(rules);
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
      this.#replay.add(row);
      row = this.#rows[++this.#taken];
    }
    if (this.#taken > before) this.#replay.advance();
    return this.#replay.groupOf(identifierId)?.sort() ?? null;
  }
}
