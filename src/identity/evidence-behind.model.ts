import { canonicalText, compareCanonical, type CanonicalKey, type Identifier } from '../events/event.model.js';

const DAY_MS = 24 * 60 * 60 * 1000;

/** A row of evidence, with the least key of the events that it stands for. */
interface EvidenceRow extends CanonicalKey {
  readonly identifiers: readonly Identifier[];
}

/** An anchor's evidence, in which is found what may stand for an event of which nothing is known but its key. */
export class EvidenceBehind<Row extends EvidenceRow> {
  readonly #byKey = new Map<string, Row[]>();
  readonly #byDay = new Map<number, Row[]>();
  /** Of the anchor by itself, which one row says for all days. */
  readonly #alone: Row[] = [];

  constructor(rows: Iterable<Row>) {
    for (const row of rows) {
      add(this.#byKey, canonicalText(row), row);
      if (row.identifiers.length === 1) this.#alone.push(row);
      else add(this.#byDay, dayOf(row), row);
    }
  }

  /** The rows with that key, or else those of its day, and of the anchor by itself, that begin before it. */
  *of(key: CanonicalKey): Generator<Row> {
    const exact = this.#byKey.get(canonicalText(key));
    if (exact !== undefined) return yield* exact;
    for (const rows of [this.#alone, this.#byDay.get(dayOf(key)) ?? []]) {
      for (const row of rows) if (compareCanonical(row, key) < 0) yield row;
    }
  }
}

const dayOf = ({ occurredAt }: CanonicalKey): number => Math.floor(occurredAt / DAY_MS);

function add<Key, Row>(rows: Map<Key, Row[]>, key: Key, row: Row): void {
  const known = rows.get(key);
  if (known === undefined) rows.set(key, [row]);
  else known.push(row);
}
