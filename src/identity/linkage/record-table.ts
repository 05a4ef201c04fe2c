import { WeftError } from '../../platform/errors.js';
import type { LinkageModel, LinkageRecord } from './linkage-model.model.js';
import { modelValueOf } from './normalise-value.js';
import { ValueStore } from './value-store.js';

/** Most records of one linkage; pairs are numbered by two 32-bit numbers, and all of it is held in memory. */
export const MAX_RECORDS = 20_000_000;

/** The columns of a model by record, each value as its number in the store. */
export class RecordTable {
  readonly ids: readonly string[];
  readonly store: ValueStore;
  readonly #columns: ReadonlyMap<string, Int32Array>;

  private constructor(ids: readonly string[], store: ValueStore, columns: ReadonlyMap<string, Int32Array>) {
    this.ids = ids;
    this.store = store;
    this.#columns = columns;
  }

  /**
   * Records are put in the order of their ids, so that nothing depends on that in which they came: of a pair, the record
   * whose id is less is the left one. Ids that are whole numbers come first and compare as numbers.
   * @param columns of the model
   * @throws WeftError BAD_REQUEST if an id comes twice or there are too many
   */
  static of(records: readonly LinkageRecord[], model: LinkageModel, columns: readonly string[]): RecordTable {
    if (records.length > MAX_RECORDS) {
      throw new WeftError('BAD_REQUEST', `there are ${records.length} records`, {
        hint: `link at most ${MAX_RECORDS} at once`,
      });
    }
    const sorted = sortedById(records);
    const twice = sorted.find(({ id }, i) => i > 0 && sorted[i - 1]?.id === id);
    if (twice !== undefined) {
      throw new WeftError('BAD_REQUEST', 'two records have the same id', {
        hint: 'give every record an id of its own',
      });
    }
    const store = new ValueStore(model.textUnits);
    const byName = new Map<string, Int32Array>();
    for (const name of columns) {
      const valueOf = modelValueOf(model, name);
      const column = new Int32Array(sorted.length);
      for (let i = 0; i < sorted.length; i++) column[i] = store.intern(valueOf((sorted[i] as LinkageRecord).values));
      byName.set(name, column);
    }
    return new RecordTable(
      sorted.map(({ id }) => id),
      store,
      byName,
    );
  }

  get size(): number {
    return this.ids.length;
  }

  /** Numbers of the values by record. */
  column(name: string): Int32Array {
    const column = this.#columns.get(name);
    if (column === undefined) throw new Error(`column ${name} was not read`);
    return column;
  }
}

/** In the order of {@link compareIds}, with each id looked at once. */
function sortedById(records: readonly LinkageRecord[]): LinkageRecord[] {
  const numbered = records.map((record) => ({
    record,
    number: WHOLE_NUMBER.test(record.id) ? Number(record.id) : NaN,
  }));
  numbered.sort((a, b) => {
    const order = a.number - b.number;
    return Number.isNaN(order) ? compareIds(a.record.id, b.record.id) : order;
  });
  return numbered.map(({ record }) => record);
}

const WHOLE_NUMBER = /^(?:0|[1-9]\d{0,14})$/;

export function compareIds(a: string, b: string): number {
  const [isNumberA, isNumberB] = [WHOLE_NUMBER.test(a), WHOLE_NUMBER.test(b)];
  if (isNumberA && isNumberB) return Number(a) - Number(b);
  if (isNumberA !== isNumberB) return isNumberA ? -1 : 1;
  return a < b ? -1 : a > b ? 1 : 0;
}
