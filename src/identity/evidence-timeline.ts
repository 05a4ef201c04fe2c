import type { Uuid } from '../platform/ids.js';
import { ComponentReplay } from './component-replay.js';
import type { Evidence } from './evidence.model.js';
import type { IdentityRules } from './identity-rules.model.js';
import type { LinkEpoch } from './link-epochs.js';

/**
 * Who belonged together as far as was known at an instant, for one raw component.
 *
 * 1. What is known at K is the evidence with `knownAt ≤ K`; of two rows about one set and day, the lesser. Nothing that
 *    was learned after K can show, not even as an earlier time of something known.
 * 2. Of links by hand those count that stood at K.
 * 3. The groups are those that canonical replay gives (`component-replay.ts`), continued from one instant to the next: so
 *    ask for rising instants.
 */
export class EvidenceTimeline {
  readonly #rows: readonly Evidence[];
  readonly #epochs: readonly LinkEpoch[];
  readonly #replay: ComponentReplay;
  #taken = 0;
  #epochsBegun = 0;
  #lastAskedMs = Number.NEGATIVE_INFINITY;

  /**
   * @param rows in any order; several about one set and day where knowledge of it improved
   * @param epochs by rising instant
   */
  constructor(rows: Iterable<Evidence>, rules: IdentityRules, epochs: readonly LinkEpoch[] = []) {
    this.#epochs = epochs;
    this.#rows = [...rows].sort((a, b) => a.knownAt - b.knownAt);
    this.#replay = new ComponentReplay(rules);
  }

  /**
   * The identifiers that stood for the same person, sorted; null where this one was not known.
   * @throws RangeError if `knownAtMs` is less than before
   */
  groupAt(identifierId: Uuid, knownAtMs: number): readonly Uuid[] | null {
    if (knownAtMs < this.#lastAskedMs) throw new RangeError('asked for falling instants');
    this.#lastAskedMs = knownAtMs;
    const before = this.#taken;
    const epochsBefore = this.#epochsBegun;
    while ((this.#epochs[this.#epochsBegun]?.fromMs ?? Infinity) <= knownAtMs) this.#epochsBegun++;
    const epoch = this.#epochs[this.#epochsBegun - 1];
    if (epoch !== undefined && this.#epochsBegun > epochsBefore) this.#replay.relink(epoch.links);
    for (let row = this.#rows[this.#taken]; row !== undefined && row.knownAt <= knownAtMs;) {
      this.#replay.add(row);
      row = this.#rows[++this.#taken];
    }
    if (this.#taken > before || this.#epochsBegun > epochsBefore) this.#replay.advance();
    return this.#replay.groupOf(identifierId)?.sort() ?? null;
  }
}
