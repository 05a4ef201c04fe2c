import { hash } from 'node:crypto';

import {
  ID_COLUMN,
  type TableCell,
  type TableColumn,
  type PeopleTableSpec,
  type TablePage,
  type TableRow,
} from './activation/people-table.model.js';
import { snapshotsIn } from './create-profile-exports.js';
import type { DefinitionsLoader, LoadedDefinitions } from './definitions.js';
import { isReservedTrait, type JsonValue } from './events/event.model.js';
import type { EventSealer } from './events/event-seal.model.js';
import { evidenceColumns, NO_EVIDENCE, readEvidence, type PageEvidence } from './membership-evidence.js';
import type { FeatureDefinition } from './features/feature.model.js';
import { requestFieldsOf } from './features/on-demand.model.js';
import type { Clock } from './platform/clock.js';
import { WeftError } from './platform/errors.js';
import type { Uuid } from './platform/ids.js';
import { nameHint } from './platform/near-names.js';
import type { Database } from './platform/postgres.js';
import { consentTrait, isAllowed, UNDECLARED } from './profiles/consent.model.js';
import { MemoryOnlineStore } from './profiles/online-store.memory.js';
import { ProfileReader } from './profiles/profile.reader.js';
import { unknownPurpose } from './profiles/purpose.model.js';
import { isSealed } from './profiles/trait-definition.model.js';
import type { ProfileSnapshot } from './segments/profile-snapshot.model.js';

export interface PeopleTable {
  /** Behind the id. */
  readonly columns: readonly TableColumn[];
  /** Of what the table is. */
  readonly specHash: string;
  /** Living profiles when it was opened. */
  readonly profiles: number;
  /** By rising id, read from the database as they are then. */
  readonly pages: AsyncGenerator<TablePage, void, undefined>;
}

export interface PeopleTableParts {
  readonly db: Database;
  readonly clock: Clock;
  readonly definitions: Pick<DefinitionsLoader, 'current'>;
  readonly sealer: EventSealer;
}

const PROFILES_PER_PAGE = 500;
const MAX_COLUMNS = 1_000;
const MAX_STORE_BYTES = 64 * 1024 * 1024;

type CellOf = (snapshot: ProfileSnapshot, t: number, evidence: PageEvidence) => TableCell;

/**
 * Opens a table with a row for each living profile that is in the segments and allows the purposes named. Features that
 * a person does not allow have no value.
 * @throws WeftError NOT_FOUND (segment, purpose, feature, service), BAD_REQUEST (a trait that is sealed or reserved, a
 *   feature of what requests say, two columns of one name), UNAVAILABLE (a feature that is not complete)
 */
export async function openPeopleTable(parts: PeopleTableParts, spec: PeopleTableSpec): Promise<PeopleTable> {
  const { db, definitions } = parts;
  const loaded = await definitions.current();
  const unknown = unknownPurpose(spec.purposes, new Set(loaded.purposes.keys()));
  if (unknown !== null) throw new WeftError('NOT_FOUND', unknown.message, { where: '--purposes', hint: unknown.hint });
  const withinIds = segmentIds(loaded, spec.within, '--within');
  const cells = [
    ...spec.identifiers.map((ns) => [{ name: ns, type: 'string' }, identifierCell(ns)] as const),
    ...spec.traits.map((name) => [{ name, type: 'string' }, traitCell(loaded, name)] as const),
    ...spec.segments.map((key) => [{ name: key, type: 'bool' }, segmentCell(loaded, key)] as const),
    ...spec.evidence.flatMap((key) => evidenceCells(loaded, key)),
    ...featuresOf(loaded, spec).map((feature) => [feature, featureCell(loaded, feature)] as const),
  ];
  const columns = cells.map(([{ name, type }]) => ({ name, type }));
  checkColumns(columns);
  const [count] = await db.query<{ count: number }>(
    'SELECT count(*)::int8 AS count FROM profiles WHERE merged_into IS NULL',
  );
  const read = cells.map(([, cellOf]) => cellOf);
  return {
    columns,
    specHash: hash('sha256', JSON.stringify([columns, spec.within, spec.purposes]), 'hex'),
    profiles: count?.count ?? 0,
    pages: pagesOf(parts, loaded, {
      ...{ read, withinIds, purposes: spec.purposes },
      evidenceIds: segmentIds(loaded, spec.evidence, '--evidence'),
    }),
  };
}

interface PageSpec {
  readonly read: readonly CellOf[];
  readonly withinIds: readonly number[];
  /** Segments of which it is told by what each is in them. */
  readonly evidenceIds: readonly number[];
  readonly purposes: readonly string[];
}

async function* pagesOf(
  { db, clock, definitions, sealer }: PeopleTableParts,
  loaded: LoadedDefinitions,
  { read, withinIds, evidenceIds, purposes }: PageSpec,
): AsyncGenerator<TablePage, void, undefined> {
  const profiles = new ProfileReader();
  for (let after: Uuid | null = null; ;) {
    const ids: Uuid[] = await profiles.idsAfter(db, after, PROFILES_PER_PAGE);
    // What is in a store that is new is of now.
    const store = new MemoryOnlineStore({ maxBytes: MAX_STORE_BYTES, clock });
    const snapshots = await snapshotsIn(store, { db, profiles, definitions }).byIds(ids);
    const living = snapshots.filter((snapshot) => snapshot !== null);
    const evidence = evidenceIds.length === 0 ? NO_EVIDENCE : await readEvidence(db, sealer, living, evidenceIds);
    const rows: TableRow[] = [];
    let withheld = 0;
    for (const [i, snapshot] of snapshots.entries()) {
      // Merged since its id was read: it is not in the table, and its survivor has a row of its own.
      if (snapshot === null || snapshot.id !== ids[i]) continue;
      const isIn = new Set(snapshot.memberships.map(({ segmentId }) => segmentId));
      if (!withinIds.every((id) => isIn.has(id))) continue;
      const t = Math.max(clock.now(), snapshot.asOf + 1);
      if (!allows(loaded, snapshot, purposes, t)) withheld++;
      else rows.push({ profileId: snapshot.id, cells: read.map((cellOf) => cellOf(snapshot, t, evidence)) });
    }
    after = ids.length < PROFILES_PER_PAGE ? null : (ids.at(-1) ?? null);
    yield { rows, upTo: after, withheld, profiles: ids.length };
    if (after === null) return;
  }
}

function allows(
  { purposes }: LoadedDefinitions,
  { traits }: ProfileSnapshot,
  needed: readonly string[],
  t: number,
): boolean {
  return needed.every((key) => isAllowed(purposes.get(key) ?? UNDECLARED, traits.get(consentTrait(key)), t));
}

function identifierCell(ns: string): CellOf {
  return ({ identifiers }) => {
    let first: string | null = null;
    for (const [each, value] of identifiers) if (each === ns && (first === null || value < first)) first = value;
    return first;
  };
}

function traitCell({ traits }: LoadedDefinitions, name: string): CellOf {
  const where = '--traits';
  if (isReservedTrait(name)) {
    const hint = 'traits that begin with $ are of Weft itself; --purposes asks for consents';
    throw new WeftError('BAD_REQUEST', `there is no trait ${name}`, { where, hint });
  }
  if (traits.some((trait) => trait.name === name && isSealed(trait))) {
    throw new WeftError('BAD_REQUEST', `the trait ${name} is sealed`, {
      where,
      hint: 'leave it out: what is sealed is opened for one person at a time, by weft profiles export',
    });
  }
  return (snapshot) => textOf(snapshot.traits.get(name)?.value ?? null);
}

/** Traits may be anything; a column is of one type. */
function textOf(value: JsonValue): string | null {
  return value === null || typeof value === 'string' ? value : JSON.stringify(value);
}

function segmentCell(loaded: LoadedDefinitions, key: string): CellOf {
  const [id] = segmentIds(loaded, [key], '--segments');
  return ({ memberships }) => memberships.some(({ segmentId }) => segmentId === id);
}

function evidenceCells(loaded: LoadedDefinitions, key: string) {
  const [id] = segmentIds(loaded, [key], '--evidence');
  return evidenceColumns(loaded, `${key}_`).map(({ name, type, cellOf }) => {
    const cell: CellOf = ({ id: profileId, memberships }, _t, evidence) => {
      const membership = memberships.find(({ segmentId }) => segmentId === id);
      return membership === undefined ? null : cellOf(membership, evidence, profileId);
    };
    return [{ name, type }, cell] as const;
  });
}

function segmentIds({ stored }: LoadedDefinitions, keys: readonly string[], where: string): number[] {
  return keys.map((key) => {
    const id = stored.get(key)?.id;
    if (id !== undefined) return id;
    const hint = nameHint(key, stored.keys(), 'weft segment list');
    throw new WeftError('NOT_FOUND', `there is no segment ${key}`, { where, hint });
  });
}

function featuresOf({ views, services }: LoadedDefinitions, spec: PeopleTableSpec): FeatureDefinition[] {
  const known = new Map([...views.values()].flatMap((view) => view.features).map((feature) => [feature.name, feature]));
  const service = spec.service === null ? null : services.get(spec.service);
  if (service === undefined) {
    const hint = nameHint(spec.service ?? '', services.keys(), 'weft features list');
    throw new WeftError('NOT_FOUND', `there is no feature service ${spec.service ?? ''}`, { where: '--service', hint });
  }
  return [...new Set([...(service?.features ?? []), ...spec.features])].map((name) => {
    const feature = known.get(name);
    if (feature !== undefined) return feature;
    const hint = nameHint(name, known.keys(), 'weft features list');
    throw new WeftError('NOT_FOUND', `there is no feature ${name}`, { where: '--features', hint });
  });
}

function featureCell(loaded: LoadedDefinitions, feature: FeatureDefinition): CellOf {
  const { features, featurePurposes } = loaded;
  const { name } = feature;
  const index = features.indexOf(name);
  const where = '--features';
  if (requestFieldsOf(feature).length > 0) {
    const hint = 'leave it out: it has a value only for somebody who asks';
    throw new WeftError('BAD_REQUEST', `the feature ${name} reads what requests say`, { where, hint });
  }
  if (index === undefined || !loaded.isReady(index)) {
    const hint = 'try again once weft features list shows it complete';
    throw new WeftError('UNAVAILABLE', `the feature ${name} is still being computed from history`, { where, hint });
  }
  const needed = featurePurposes.get(name) ?? [];
  return (snapshot, t) => {
    if (!allows(loaded, snapshot, needed, t)) return null;
    return features.value(decodedOf(loaded, snapshot), index, t).value;
  };
}

type State = ReturnType<LoadedDefinitions['features']['decode']>;
/** Features of one profile are read after each other. */
const decoded = new WeakMap<ProfileSnapshot, State>();

function decodedOf({ features }: LoadedDefinitions, snapshot: ProfileSnapshot): State {
  let state = decoded.get(snapshot);
  if (state === undefined) decoded.set(snapshot, (state = features.decode(snapshot.state)));
  return state;
}

function checkColumns(columns: readonly TableColumn[]): void {
  if (columns.length > MAX_COLUMNS) {
    throw new WeftError('BAD_REQUEST', `a table has ${String(MAX_COLUMNS)} columns at most`, {
      hint: 'export several tables',
    });
  }
  const seen = new Set([ID_COLUMN.name, '_change', '_exported_at']);
  for (const { name } of columns) {
    if (seen.has(name)) {
      throw new WeftError('BAD_REQUEST', `two columns would be called ${name}`, {
        where: name,
        hint: 'leave one of them out',
      });
    }
    seen.add(name);
  }
}
