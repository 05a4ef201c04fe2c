import { readErasureMark } from '../events/erasure-mark.reader.js';
import { eventUnlessDamaged } from '../events/damaged-rows.model.js';
import type {
  EventHistoryReader,
  HistoryEvent,
  HistoryOptions,
  HistoryRow,
  KeyGroup,
} from '../events/event-history.reader.js';
import type { Opened } from '../events/event-seal.model.js';
import type { Uuid } from '../platform/ids.js';
import type { Transaction } from '../platform/postgres.js';

/** How often histories of items were read for a training set; each of one item for one view. */
export interface ItemHistoryCounts {
  /** Times that one was taken from memory. */
  readonly hits: number;
  /** Times that one was read from the log. */
  readonly misses: number;
  /** Those of the misses whose history is known to be too long to be kept. */
  readonly tooLong: number;
  /** Those that gave way to others. */
  readonly dropped: number;
}

interface ItemHistoryBounds {
  /** Of all items together, and bytes of their payloads. */
  readonly maxEvents: number;
  readonly maxBytes: number;
  /** Of one item; with more it is read for each chunk of rows that names it. */
  readonly maxItemEvents: number;
  readonly maxItems: number;
}

const DEFAULT_BOUNDS: ItemHistoryBounds = {
  maxEvents: 200_000,
  maxBytes: 64 * 1024 * 1024,
  maxItemEvents: 50_000,
  maxItems: 100_000,
};
const PAGE_EVENTS = 2_000;
/** The last instant that a `Date` has, ms: nothing is left out. */
const ANY_TIME_MS = 8_640_000_000_000_000;

type Row = Opened<HistoryRow>;

interface Gathered {
  readonly group: number;
  rows: Row[];
  bytes: number;
  isTooLong: boolean;
}

/**
 * Histories of items for the rows of one training set, each read once as far as memory reaches: rows come by person, and
 * a popular item is named in every chunk of them.
 *
 * 1. What is kept is the whole history as far as the set knows the log, in the order of its rows, packed as in the log; a
 *    fold takes of it what its rows may see. So it is right for any rows of the same set.
 * 2. Whatever was used last stays. An item with too many events is noted and read up to its rows each time.
 * 3. Once somebody is erased nothing is kept of before.
 */
export class ItemHistories {
  readonly #kept = new Map<string, { readonly rows: readonly Row[]; readonly bytes: number }>();
  readonly #tooLong = new Set<string>();
  #events = 0;
  #bytes = 0;
  #erasures = '';
  #counts = { hits: 0, misses: 0, tooLong: 0, dropped: 0 };

  constructor(
    private readonly reader: EventHistoryReader,
    private readonly bounds: ItemHistoryBounds = DEFAULT_BOUNDS,
  ) {}

  get counts(): ItemHistoryCounts {
    return this.#counts;
  }

  /**
   * As `EventHistoryReader.readOfItems`, but that the groups come in any order, each at a stretch, and with events after
   * their `untilMs`.
   * @param options the same for all reads
   */
  async *read(
    tx: Transaction,
    meaning: Uuid,
    groups: readonly KeyGroup[],
    options: HistoryOptions,
  ): AsyncGenerator<readonly HistoryEvent[], void, undefined> {
    await this.#forgetErased(tx);
    const decode = (rows: readonly Row[], groupOf: (row: Row) => number): HistoryEvent[] =>
      rows.flatMap((row) => {
        const event = eventUnlessDamaged(row, options.onDamaged);
        return event === null ? [] : [{ group: groupOf(row), event }];
      });
    const asked: number[] = [];
    for (const [group, { key }] of groups.entries()) {
      const rows = this.#take(placeOf(meaning, key));
      if (rows === null) asked.push(group);
      else {
        for (let from = 0; from < rows.length; from += PAGE_EVENTS) {
          yield decode(rows.slice(from, from + PAGE_EVENTS), () => group);
        }
      }
    }
    if (asked.length === 0) return;
    const missing = asked.flatMap((group) => groups[group] ?? []);
    const wanted = missing.map((group): KeyGroup => {
      const isTooLong = this.#tooLong.has(placeOf(meaning, group.key));
      if (isTooLong) this.#counts.tooLong++;
      return isTooLong ? group : { key: group.key, untilMs: ANY_TIME_MS };
    });
    this.#counts.misses += wanted.length;
    const known = (group: number): string => placeOf(meaning, missing[group]?.key ?? '');
    const whole: Gathered[] = [];
    let gathered: Gathered | undefined;
    const read = new Set<number>();
    for await (const page of this.reader.rowsOfItems(tx, meaning, wanted, options)) {
      for (const row of page) {
        if (gathered?.group !== row.grp) {
          if (gathered !== undefined) this.#keep(known(gathered.group), gathered);
          gathered = { group: row.grp, rows: [], bytes: 0, isTooLong: this.#tooLong.has(known(row.grp)) };
          read.add(row.grp);
        }
        this.#gather(gathered, row);
      }
      yield decode(page, ({ grp }) => asked[grp] ?? -1);
    }
    if (gathered !== undefined) whole.push(gathered);
    for (const group of asked.keys()) {
      if (!read.has(group)) whole.push({ group, rows: [], bytes: 0, isTooLong: false });
    }
    for (const each of whole) this.#keep(known(each.group), each);
  }

  /** Null: it is not kept. */
  #take(place: string): readonly Row[] | null {
    const kept = this.#kept.get(place);
    if (kept === undefined) return null;
    this.#kept.delete(place);
    this.#kept.set(place, kept);
    this.#counts.hits++;
    return kept.rows;
  }

  #gather(gathered: Gathered, row: Row): void {
    if (gathered.isTooLong) return;
    gathered.bytes += row.payload.length;
    // A buffer of its own: that of the answer holds all rows of a page.
    gathered.rows.push({ ...row, payload: Buffer.from(row.payload) });
    const { maxItemEvents, maxEvents, maxBytes } = this.bounds;
    const isTooLong = gathered.rows.length > Math.min(maxItemEvents, maxEvents) || gathered.bytes > maxBytes;
    if (isTooLong) Object.assign(gathered, { rows: [], bytes: 0, isTooLong });
  }

  #keep(place: string, { rows, bytes, isTooLong }: Gathered): void {
    const { maxItems, maxEvents, maxBytes } = this.bounds;
    if (isTooLong) {
      if (this.#tooLong.size < maxItems) this.#tooLong.add(place);
      return;
    }
    this.#kept.set(place, { rows, bytes });
    this.#events += rows.length;
    this.#bytes += bytes;
    for (const [oldest, old] of this.#kept) {
      if (this.#events <= maxEvents && this.#bytes <= maxBytes && this.#kept.size <= maxItems) break;
      this.#kept.delete(oldest);
      this.#events -= old.rows.length;
      this.#bytes -= old.bytes;
      this.#counts.dropped++;
    }
  }

  async #forgetErased(tx: Transaction): Promise<void> {
    const erasures = await readErasureMark(tx);
    if (erasures === this.#erasures) return;
    this.#erasures = erasures;
    this.#kept.clear();
    this.#events = 0;
    this.#bytes = 0;
  }
}

function placeOf(meaning: Uuid, key: string): string {
  return `${meaning} ${key}`;
}
