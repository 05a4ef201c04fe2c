import { hash } from 'node:crypto';
import type { TrainingCell, TrainingColumn } from '../features/training-set.model.js';
import type { Uuid } from '../platform/ids.js';

/** A column of a table of people; the first one is the profile's id. */
export type TableColumn = TrainingColumn;
export type TableCell = TrainingCell;

export const ID_COLUMN: TableColumn = { name: 'profile_id', type: 'string' };

/** What a table of people is to have. */
export interface PeopleTableSpec {
  /** A column each: the first value of a namespace in the order of its characters. */
  readonly identifiers: readonly string[];
  readonly traits: readonly string[];
  /** Keys of segments: whether each is in them. */
  readonly segments: readonly string[];
  /** Keys of segments: columns that begin with each and say by what somebody is in it. */
  readonly evidence: readonly string[];
  readonly features: readonly string[];
  /** Name of a feature service, whose features come before these; null: none. */
  readonly service: string | null;
  /** Only who is in all of these segments. */
  readonly within: readonly string[];
  /** Only who allows all of these. */
  readonly purposes: readonly string[];
}

export interface TableRow {
  readonly profileId: Uuid;
  /** In the order of the columns behind the id. */
  readonly cells: readonly TableCell[];
}

/** A stretch of a table, by rising id. */
export interface TablePage {
  readonly rows: readonly TableRow[];
  /** The last id that was looked at: what is not in `rows` up to it is not in the table. Null: the end. */
  readonly upTo: Uuid | null;
  /** People who are left out because they do not allow what the table is for. */
  readonly withheld: number;
  /** People who were looked at. */
  readonly profiles: number;
}

/** What differs between a stretch of a table and what was exported of it. */
export interface TableChanges {
  readonly changed: readonly TableRow[];
  /** Those who were exported and are not in the table any more. */
  readonly removed: readonly Uuid[];
}

/** Of what a row says; equal rows have equal ones. 16 bytes. */
export function rowHash({ cells }: TableRow): Buffer {
  return Buffer.from(hash('sha256', JSON.stringify(cells), 'hex').slice(0, 32), 'hex');
}

/** @param before hashes of what was exported of the same stretch */
export function changesOf(rows: readonly TableRow[], before: ReadonlyMap<Uuid, Buffer>): TableChanges {
  const isIn = new Set(rows.map(({ profileId }) => profileId));
  return {
    changed: rows.filter((row) => before.get(row.profileId)?.equals(rowHash(row)) !== true),
    removed: [...before.keys()].filter((id) => !isIn.has(id)),
  };
}
