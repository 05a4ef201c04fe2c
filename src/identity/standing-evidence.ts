import { compareCanonical, type LoggedEvent } from '../events/event.model.js';
import type { Uuid } from '../platform/ids.js';
import type { Transaction } from '../platform/postgres.js';
import { evidenceOfAnchors, type EvidenceOfAnchor } from './anchor-evidence.reader.js';
import { evidenceOf, writtenKey, type Evidence } from './evidence.model.js';

/** A row of the evidence table. */
export type EvidencePlace = Pick<Evidence, 'anchorId' | 'setId' | 'day'>;

/** What makes other rows of those that stand. */
export interface EvidenceChange {
  /** Rows that go, or come again as others. */
  readonly removed: readonly EvidencePlace[];
  readonly added: readonly Evidence[];
}

/**
 * The evidence of some anchors as it stands: read once, while all others work, and kept up with the events that are applied
 * since. So whoever changes it with everybody standing still need not read it then, however much there is.
 */
export class StandingEvidence {
  readonly #rows = new Map<string, EvidenceOfAnchor>();

  /** Of these anchors. What is applied from here on may be among it, and is to be noted all the same. */
  static async read(tx: Transaction, anchorIds: readonly Uuid[]): Promise<StandingEvidence> {
    const standing = new StandingEvidence();
    for await (const page of evidenceOfAnchors(tx, anchorIds)) {
      for (const row of page) standing.#rows.set(writtenKey(row), row);
    }
    return standing;
  }

  /** An event was applied that hangs on one of the anchors. */
  note(event: LoggedEvent): void {
    const { anchorId, setId, day, key, knownAt } = evidenceOf(event);
    const place = writtenKey({ anchorId, setId, day });
    const known = this.#rows.get(place);
    // As `saveEvidence` has it.
    if (known !== undefined && compareCanonical(known, key) <= 0) return;
    const acceptedAt = Math.min(knownAt, known?.acceptedAt ?? knownAt);
    this.#rows.set(place, { anchorId, setId, day, ...key, identifiers: event.identifiers, acceptedAt });
  }

  rows(): IterableIterator<EvidenceOfAnchor> {
    return this.#rows.values();
  }

  /** Ids of all that it names. */
  names(): Uuid[] {
    const ids = new Set<Uuid>();
    for (const { identifiers } of this.#rows.values()) for (const { id } of identifiers) ids.add(id);
    return [...ids];
  }

  /** What is to be written so that these rows are all that the anchors have. */
  changeTo(evidence: readonly Evidence[]): EvidenceChange {
    const wanted = new Map(evidence.map((row) => [writtenKey(row), row]));
    const isKept = (key: string): boolean => {
      const [from, to] = [this.#rows.get(key), wanted.get(key)];
      return from !== undefined && to !== undefined && isSame(from, to);
    };
    return {
      removed: [...this.#rows].flatMap(([key, row]) => (isKept(key) ? [] : [row])),
      added: [...wanted].flatMap(([key, row]) => (isKept(key) ? [] : [row])),
    };
  }
}

function isSame(standing: EvidenceOfAnchor, { key, knownAt, identifiers, uncounted = [] }: Evidence): boolean {
  const named = [...identifiers, ...uncounted];
  return (
    compareCanonical(standing, key) === 0 &&
    standing.acceptedAt === knownAt &&
    standing.identifiers.length === named.length &&
    standing.identifiers.every(({ id }, i) => id === named[i]?.id)
  );
}
