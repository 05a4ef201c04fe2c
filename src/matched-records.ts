import type { Identifier } from './events/event.model.js';
import type { LinkageModel, LinkageRecord } from './identity/linkage/linkage-model.model.js';
import type { IdentityRules } from './identity/identity-rules.model.js';
import type { GroupReader } from './identity/matching/group-reader.js';
import { listColumns, makeRecord } from './identity/matching/make-record.js';
import type { ColumnMapping } from './identity/matching/matching.model.js';
import type { Uuid } from './platform/ids.js';
import type { Transaction } from './platform/postgres.js';
import { shownTraits, type AnchorTraitsReader } from './profiles/anchor-traits.reader.js';

/** What a model compares of a person, and the identifiers that the person is known by. */
export interface MatchedRecord {
  readonly record: LinkageRecord;
  readonly identifiers: readonly Identifier[];
}

export interface RecordsAround {
  /** All identifiers that were looked at, and those that are no more. */
  readonly identifierIds: readonly Uuid[];
  /** By id of the record; of people of whom the model reads nothing, none. */
  readonly found: ReadonlyMap<Uuid, MatchedRecord>;
  /** Components with too much evidence, of which there are none. */
  readonly contested: number;
}

/** What decides on what is compared. */
export interface ComparedBy {
  readonly model: LinkageModel;
  readonly mapping: ColumnMapping;
  readonly rules: IdentityRules;
}

/** Reads people as a model of record linkage compares them. */
export class MatchedRecords {
  readonly #groups: GroupReader;
  readonly #traits: AnchorTraitsReader;

  constructor(groups: GroupReader, traits: AnchorTraitsReader) {
    this.#groups = groups;
    this.#traits = traits;
  }

  /** The records of all components that these identifiers are in. */
  async around(tx: Transaction, ids: readonly Uuid[], { model, mapping, rules }: ComparedBy): Promise<RecordsAround> {
    const { groups, identifierIds, contested } = await this.#groups.around(tx, ids, rules);
    const traits = await this.#traits.traits(tx, identifierIds);
    const lists = listColumns(model);
    const found = new Map<Uuid, MatchedRecord>();
    for (const { id, identifiers } of groups) {
      const anchors = identifiers.flatMap((identifier) => traits.get(identifier.id) ?? []);
      const record = makeRecord({ id, identifiers, traits: shownTraits(anchors) }, mapping, lists);
      if (record !== null) found.set(id, { record, identifiers });
    }
    return { identifierIds, found, contested };
  }
}
