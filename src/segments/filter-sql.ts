import { byteaArray, int4Array, uuidArray } from '../platform/binary-arrays.js';
import { ORDERED_KEYS, type KeyRange } from '../profiles/search-key.model.js';
import {
  conjuncts,
  type FilterTerm,
  type ProfileFilter,
  type SearchOrder,
  type SearchPlace,
} from './profile-filter.model.js';

/*
 * Filters of profiles as SQL.
 *
 * Values have no planner statistics, because these would be copies of what people are. So nothing here is left to the
 * planner's guesses: where profiles are looked for, the order of the index is asked for with a limit, and where one is
 * looked at, a subquery that cannot be joined looks by its id.
 */

/** Values of a statement, in the order of their numbers. */
export class SqlValues {
  readonly values: unknown[] = [];

  /** @param type of PostgreSQL, as `int8` */
  add(value: unknown, type: string): string {
    this.values.push(value);
    return `$${String(this.values.length)}::${type}`;
  }
}

const LAST_CHARACTER = '\u{10FFFF}';

/** Ids of the profiles of which a term is true, each perhaps several times; `limit` of them, or all. */
export function profilesOf(term: FilterTerm, values: SqlValues, limit: number | null = null): string {
  const most = limit === null ? '' : ` LIMIT ${values.add(limit, 'int8')}`;
  switch (term.kind) {
    case 'keys': {
      const keys = values.add(
        byteaArray(term.keys, (key) => key),
        'bytea[]',
      );
      return `SELECT f.id FROM unnest(${keys}) AS k (key) CROSS JOIN LATERAL (
        SELECT s.profile_id AS id FROM profile_search s WHERE s.field_id = ${values.add(term.fieldId, 'int4')}
          AND s.key = k.key ORDER BY s.key, s.profile_id${most === '' ? ' OFFSET 0' : most}
      ) f${most}`;
    }
    case 'range':
      return `SELECT profile_id AS id FROM profile_search
        WHERE field_id = ${values.add(term.fieldId, 'int4')} AND ${within('key', term.range, values)}
        ORDER BY key, profile_id${most}`;
    case 'identifiers':
      return `SELECT profile_id AS id FROM identifiers WHERE id = ANY (${values.add(
        uuidArray(term.ids, (id) => id),
        'uuid[]',
      )})${most}`;
    case 'identifier_prefix':
      return `SELECT profile_id AS id FROM identifiers WHERE ${isPrefixed('identifiers', term, values)}
        ORDER BY value COLLATE "C"${most}`;
    case 'segments': {
      const ids = values.add(
        int4Array(term.ids, (id) => id),
        'int4[]',
      );
      return `SELECT f.id FROM unnest(${ids}) AS k (segment_id) CROSS JOIN LATERAL (
        SELECT m.profile_id AS id FROM memberships m WHERE m.segment_id = k.segment_id
          AND m.since >= ${values.add(term.fromMs, 'int8')} AND m.since < ${values.add(term.toMs, 'int8')}
        ORDER BY m.since DESC, m.profile_id${most === '' ? ' OFFSET 0' : most}
      ) f${most}`;
    }
    case 'created':
      return `SELECT id FROM profiles WHERE merged_into IS NULL AND ${created('profiles', term, values)}
        ORDER BY created_at, id${most}`;
  }
}

/** Whether a filter is true of the profile with an id. */
export function isTrueOf(filter: ProfileFilter, id: string, values: SqlValues): string {
  switch (filter.kind) {
    case 'term':
      return `(${lookAt(filter.term, id, values)} LIMIT 1) IS TRUE`;
    case 'not':
      return `NOT (${isTrueOf(filter.of, id, values)})`;
    case 'and':
    case 'or': {
      const parts = filter.all.map((part) => `(${isTrueOf(part, id, values)})`);
      if (parts.length === 0) return filter.kind === 'and' ? 'true' : 'false';
      return `(${parts.join(filter.kind === 'and' ? ' AND ' : ' OR ')})`;
    }
  }
}

function lookAt(term: FilterTerm, id: string, values: SqlValues): string {
  // The key as an expression: by its profile a row is found at once, by its key perhaps after many others.
  const keyed = (fieldId: number, condition: (key: string) => string): string =>
    `SELECT true FROM profile_search s WHERE s.profile_id = ${id} AND s.field_id = ${values.add(fieldId, 'int4')}
      AND ${condition(`(s.key || ''::bytea)`)}`;
  switch (term.kind) {
    case 'keys': {
      const keys = values.add(
        byteaArray(term.keys, (key) => key),
        'bytea[]',
      );
      return keyed(term.fieldId, (key) => `${key} = ANY (${keys})`);
    }
    case 'range':
      return keyed(term.fieldId, (key) => within(key, term.range, values));
    case 'identifiers':
      return `SELECT true FROM identifiers i WHERE i.id = ANY (${values.add(
        uuidArray(term.ids, (each) => each),
        'uuid[]',
      )})
        AND i.profile_id = ${id}`;
    case 'identifier_prefix':
      return `SELECT true FROM identifiers i WHERE i.profile_id = ${id} AND ${isPrefixed('i', term, values)}`;
    case 'segments':
      return `SELECT true FROM memberships m WHERE m.profile_id = ${id}
        AND m.segment_id = ANY (${values.add(
          int4Array(term.ids, (each) => each),
          'int4[]',
        )})
        AND m.since >= ${values.add(term.fromMs, 'int8')} AND m.since < ${values.add(term.toMs, 'int8')}`;
    case 'created':
      return `SELECT true FROM profiles p WHERE p.id = ${id} AND ${created('p', term, values)}`;
  }
}

function within(key: string, { from, to }: KeyRange, values: SqlValues): string {
  return `${key} >= ${values.add(from, 'bytea')} AND ${key} < ${values.add(to, 'bytea')}`;
}

type Of<K extends FilterTerm['kind']> = Extract<FilterTerm, { readonly kind: K }>;

function isPrefixed(table: string, { namespace, prefix }: Of<'identifier_prefix'>, values: SqlValues): string {
  const value = `${table}.value COLLATE "C"`;
  return `${table}.ns = ${values.add(namespace, 'text')} AND ${value} >= ${values.add(prefix, 'text')}
    AND ${value} < ${values.add(`${prefix}${LAST_CHARACTER}`, 'text')}`;
}

function created(table: string, { fromMs, toMs }: Of<'created'>, values: SqlValues): string {
  return `${table}.created_at >= ${values.add(fromMs, 'int8')} AND ${table}.created_at < ${values.add(toMs, 'int8')}`;
}

/** Where a profile stands in an order, as `key`: one row, or none if it is not in it. */
export function placeOf(order: SearchOrder, id: string, values: SqlValues): string {
  switch (order.by) {
    case 'id':
      return `SELECT NULL::bytea AS key FROM profiles p WHERE p.id = ${id} AND p.merged_into IS NULL LIMIT 1`;
    case 'created':
      return `SELECT p.created_at AS key FROM profiles p WHERE p.id = ${id} AND p.merged_into IS NULL LIMIT 1`;
    case 'field':
      return `SELECT s.key FROM profile_search s WHERE s.profile_id = ${id}
        AND s.field_id = ${values.add(order.fieldId, 'int4')} AND (s.key || ''::bytea) < ${values.add(ORDERED_KEYS.to, 'bytea')}
        LIMIT 1`;
  }
}

/** Expressions for what a profile is in order by, and for its id. */
export interface PlaceSql {
  readonly key: string;
  readonly id: string;
}

export function isBehind(order: SearchOrder, after: SearchPlace | null, at: PlaceSql, values: SqlValues): string {
  if (after === null) return 'true';
  const than = order.descending ? '<' : '>';
  const id = values.add(after.id, 'uuid');
  if (order.by === 'id') return `${at.id} ${than} ${id}`;
  return `(${at.key}, ${at.id}) ${than} (${values.add(after.key, order.by === 'created' ? 'int8' : 'bytea')}, ${id})`;
}

export function inOrder(order: SearchOrder, { key, id }: PlaceSql): string {
  const way = order.descending ? ' DESC' : '';
  return order.by === 'id' ? `${id}${way}` : `${key}${way}, ${id}${way}`;
}

/**
 * The profiles behind a place, in order, `limit` of them, as `id` and `key`. What the filter says of the very thing that
 * they are in order by narrows them; so does, in the order of ids, a value that they have to have.
 */
export function window(
  {
    order,
    filter,
    after,
  }: { readonly order: SearchOrder; readonly filter: ProfileFilter; readonly after: SearchPlace | null },
  values: SqlValues,
  limit: number,
): string {
  const rest = (at: PlaceSql): string =>
    `${isBehind(order, after, at, values)} ORDER BY ${inOrder(order, at)} LIMIT ${values.add(limit, 'int8')}`;
  const musts = conjuncts(filter);
  switch (order.by) {
    case 'id': {
      const one = musts.find((term) => term.kind === 'keys' && term.keys.length === 1);
      if (one?.kind !== 'keys') {
        return `SELECT p.id, NULL::bytea AS key FROM profiles p
          WHERE p.merged_into IS NULL AND ${rest({ id: 'p.id', key: 'NULL' })}`;
      }
      return `SELECT s.profile_id AS id, NULL::bytea AS key FROM profile_search s
        WHERE s.field_id = ${values.add(one.fieldId, 'int4')} AND s.key = ${values.add(one.keys[0], 'bytea')}
          AND ${rest({ id: 's.profile_id', key: 'NULL' })}`;
    }
    case 'created': {
      const must = musts.find((term) => term.kind === 'created');
      const stretch = must === undefined ? 'true' : created('p', must, values);
      return `SELECT p.id, p.created_at AS key FROM profiles p
        WHERE p.merged_into IS NULL AND ${stretch} AND ${rest({ id: 'p.id', key: 'p.created_at' })}`;
    }
    case 'field': {
      const must = musts.find((term) => term.kind === 'range' && term.fieldId === order.fieldId);
      const isNarrower = must?.kind === 'range' && Buffer.compare(must.range.to, ORDERED_KEYS.to) <= 0;
      return `SELECT s.profile_id AS id, s.key FROM profile_search s
        WHERE s.field_id = ${values.add(order.fieldId, 'int4')}
          AND ${within('s.key', isNarrower ? must.range : ORDERED_KEYS, values)}
          AND ${rest({ id: 's.profile_id', key: 's.key' })}`;
    }
  }
}
