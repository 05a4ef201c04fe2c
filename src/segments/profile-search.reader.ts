import type { Uuid } from '../platform/ids.js';
import type { Queryable } from '../platform/postgres.js';
import { inOrder, isBehind, isTrueOf, placeOf, profilesOf, SqlValues, window, type PlaceSql } from './filter-sql.js';
import {
  narrowest,
  positiveTerms,
  type FilterTerm,
  type FoundProfiles,
  type ProfileCount,
  type ProfileFilter,
  type ProfileSearch,
  type SearchPlace,
} from './profile-filter.model.js';

export interface SearchBounds {
  /** Profiles that are gone through to put them in order, at most. */
  readonly maxCollected: number;
  /** Profiles that are looked at for one page, at most. */
  readonly maxLookedAt: number;
  /** Up to here all are counted of what one index tells by itself. */
  readonly maxCounted: number;
}

/** A look at one profile is about 10 µs of a core among a million, so a page takes some 40 ms of it at most. */
const BOUNDS: SearchBounds = { maxCollected: 2_500, maxLookedAt: 4_000, maxCounted: 100_000 };

const COLLECTED: PlaceSql = { id: 'c.id', key: 'o.key' };
const WINDOW: PlaceSql = { id: 'w.id', key: 'w.key' };

interface PlaceRow {
  readonly id: Uuid;
  readonly key: SearchPlace['key'];
}

/**
 * Finds profiles by indexes alone.
 *
 * 1. What a filter asks for is counted term by term, up to `maxCollected`: one look at an index each.
 * 2. If few enough profiles can be meant, they are all gone through, and put in order.
 * 3. Else there are many, and one goes along the index of the order and looks at each profile, which soon finds a page;
 *    where it does not, for what is asked is rare together though common apart, it stops after `maxLookedAt` and says
 *    where. So the cost of a page is bounded, whatever is asked.
 */
export class ProfileSearchReader {
  readonly #db: Queryable;
  readonly #bounds: SearchBounds;

  constructor(db: Queryable, bounds: SearchBounds = BOUNDS) {
    this.#db = db;
    this.#bounds = bounds;
  }

  /** A page: those behind a place. Everybody on it is there once, and as of one moment. */
  async page(search: ProfileSearch): Promise<FoundProfiles> {
    const few = await this.#few(search.filter);
    return few === null ? this.#goAlong(search) : { places: await this.#collect(search, few), stoppedAt: null };
  }

  /** How many there are: exactly where that is cheap. */
  async count(filter: ProfileFilter): Promise<ProfileCount> {
    if (filter.kind === 'and' && filter.all.length === 0) return this.#countAll();
    const few = await this.#few(filter);
    if (few !== null) return { value: await this.#countAmong(filter, few), relation: 'exact' };
    if (filter.kind === 'term') return this.#countAlone(filter.term);
    const values = new SqlValues();
    const among = window(
      { filter, order: { by: 'id', descending: false }, after: null },
      values,
      this.#bounds.maxLookedAt,
    );
    const [row] = await this.#db.query<{ value: number; seen: number }>(
      `SELECT count(*) FILTER (WHERE ${isTrueOf(filter, 'w.id', values)}) AS value, count(*) AS seen FROM (${among}) w`,
      values.values,
    );
    const { value = 0, seen = 0 } = row ?? {};
    return { value, relation: seen < this.#bounds.maxLookedAt ? 'exact' : 'at_least' };
  }

  /** Terms by which all that can be meant are found, if these are few; null: they are many. */
  async #few(filter: ProfileFilter): Promise<readonly FilterTerm[] | null> {
    const terms = positiveTerms(filter);
    if (terms.length === 0) return null;
    const values = new SqlValues();
    const counts = terms.map(
      (term, i) =>
        `(SELECT count(*) FROM (${profilesOf(term, values, this.#bounds.maxCollected + 1)}) c) AS "${String(i)}"`,
    );
    const [sizes] = await this.#db.query<Record<string, number>>(`SELECT ${counts.join(', ')}`, values.values);
    const found = narrowest(filter, (term) => sizes?.[String(terms.indexOf(term))] ?? 0);
    return found === null || found.size > this.#bounds.maxCollected ? null : found.terms;
  }

  async #collect({ filter, order, after, limit }: ProfileSearch, few: readonly FilterTerm[]): Promise<SearchPlace[]> {
    if (few.length === 0) return [];
    const values = new SqlValues();
    return this.#db.query<PlaceRow>(
      `SELECT c.id, o.key FROM (${candidates(few, values)}) c CROSS JOIN LATERAL (${placeOf(order, 'c.id', values)}) o
       WHERE ${isTrueOf(filter, 'c.id', values)} AND ${isBehind(order, after, COLLECTED, values)}
       ORDER BY ${inOrder(order, COLLECTED)} LIMIT ${values.add(limit + 1, 'int8')}`,
      values.values,
    );
  }

  async #goAlong(search: ProfileSearch): Promise<FoundProfiles> {
    const { filter, order, limit } = search;
    const values = new SqlValues();
    const places = await this.#db.query<PlaceRow>(
      `SELECT w.id, w.key FROM (${window(search, values, this.#bounds.maxLookedAt)}) w WHERE ${isTrueOf(filter, 'w.id', values)}
       ORDER BY ${inOrder(order, WINDOW)} LIMIT ${values.add(limit + 1, 'int8')}`,
      values.values,
    );
    if (places.length > limit) return { places, stoppedAt: null };
    const last = new SqlValues();
    const [stoppedAt] = await this.#db.query<PlaceRow>(
      `SELECT w.id, w.key FROM (${window(search, last, this.#bounds.maxLookedAt)}) w ORDER BY ${inOrder(order, WINDOW)}
       OFFSET ${last.add(this.#bounds.maxLookedAt - 1, 'int8')} LIMIT 1`,
      last.values,
    );
    return { places, stoppedAt: stoppedAt ?? null };
  }

  async #countAmong(filter: ProfileFilter, few: readonly FilterTerm[]): Promise<number> {
    if (few.length === 0) return 0;
    const values = new SqlValues();
    const [row] = await this.#db.query<{ value: number }>(
      `SELECT count(*) AS value FROM (${candidates(few, values)}) c WHERE ${isTrueOf(filter, 'c.id', values)}`,
      values.values,
    );
    return row?.value ?? 0;
  }

  async #countAlone(term: FilterTerm): Promise<ProfileCount> {
    const values = new SqlValues();
    const [row] = await this.#db.query<{ value: number; seen: number }>(
      `SELECT count(DISTINCT c.id) AS value, count(*) AS seen FROM (${profilesOf(term, values, this.#bounds.maxCounted)}) c`,
      values.values,
    );
    const { value = 0, seen = 0 } = row ?? {};
    return { value, relation: seen < this.#bounds.maxCounted ? 'exact' : 'at_least' };
  }

  /** Of many, what the index of those who are there holds, as of the last time that the database cleaned it up. */
  async #countAll(): Promise<ProfileCount> {
    const [row] = await this.#db.query<{ estimate: number }>(
      `SELECT greatest(reltuples, 0)::int8 AS estimate FROM pg_class WHERE oid = 'profiles_created'::regclass`,
    );
    const estimate = row?.estimate ?? 0;
    if (estimate > this.#bounds.maxCounted) return { value: estimate, relation: 'estimate' };
    return this.#countAlone({ kind: 'created', fromMs: 0, toMs: Number.MAX_SAFE_INTEGER });
  }
}

/** Each once. */
function candidates(terms: readonly FilterTerm[], values: SqlValues): string {
  const each = terms.map((term) => `(${profilesOf(term, values)})`);
  return `SELECT DISTINCT d.id FROM (${each.join(' UNION ALL ')}) d`;
}
