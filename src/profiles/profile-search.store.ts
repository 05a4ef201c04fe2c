import { byteaArray, int4Array, uuidArray } from '../platform/binary-arrays.js';
import { LEAST_ID, type Uuid } from '../platform/ids.js';
import type { Queryable, Transaction } from '../platform/postgres.js';
import { decodeTraits } from './trait-codec.js';
import { mergeTraits } from './traits.model.js';
import type { Traits } from './trait.model.js';
import {
  searchedTraits,
  traitEntries,
  UPDATED_FIELD,
  updatedKey,
  type SearchableFeature,
  type SearchEntry,
  type SearchField,
  type SearchFields,
} from './search-field.model.js';

/** A stretch of profiles that are not in the index by all fields: those above `afterId` in this partition. */
export interface UnindexedStretch {
  readonly part: number;
  readonly afterId: Uuid;
}

/** By name, and whether its keys are HMACs: a field that is sealed from now on is another one. */
export type DeclaredField = Pick<SearchField, 'name' | 'sealed'>;

/** Builds that are done are remembered for people to look at; so many. */
const MAX_BUILDS_KEPT = 100;

/** Writes the index by which profiles are found. */
export class ProfileSearchStore {
  /**
   * Makes these the rows of the profiles, by all fields, also those that are not written any more; see {@link KEPT_KEY}.
   * One statement. The profiles are locked, or nobody else writes them.
   */
  async replace(tx: Queryable, profileIds: readonly Uuid[], entries: readonly SearchEntry[]): Promise<void> {
    if (profileIds.length === 0) return;
    await tx.run({
      name: 'profile-search-replace',
      text: `WITH wanted AS (
               SELECT * FROM unnest($2::uuid[], $3::int4[], $4::bytea[]) AS w (profile_id, field_id, key)
             ), gone AS (
               DELETE FROM profile_search s WHERE s.profile_id = ANY ($1::uuid[])
                 AND NOT EXISTS (SELECT FROM wanted w WHERE w.profile_id = s.profile_id AND w.field_id = s.field_id
                                   AND (w.key = s.key OR w.key = ''))
             )
             INSERT INTO profile_search (profile_id, field_id, key) SELECT DISTINCT * FROM wanted WHERE key <> ''
             ON CONFLICT DO NOTHING`,
      values: [uuidArray(profileIds, (id) => id), ...arraysOf(entries)],
    });
  }

  /**
   * Makes the fields those of these traits, if they are not, and leaves those of features. Those that come are built by
   * workers, those that go deleted. To be called with the definitions locked.
   * @returns whether anything changed
   */
  async declare(tx: Transaction, traits: readonly DeclaredField[], nowMs: number): Promise<boolean> {
    const { features } = await standingFields(tx);
    return this.#declare(tx, { traits, features }, nowMs);
  }

  /** As {@link declare}, of features. */
  async declareFeatures(tx: Transaction, features: readonly SearchableFeature[], nowMs: number): Promise<boolean> {
    const { traits } = await standingFields(tx);
    return this.#declare(tx, { traits, features }, nowMs);
  }

  async #declare(tx: Transaction, { traits, features }: Searchable, nowMs: number): Promise<boolean> {
    const isAny = traits.length + features.length > 0;
    const wanted: Field[] = [
      ...(isAny ? [UPDATED] : []),
      ...traits.map(({ name, sealed }) => ({ name, sealed, feature: null })),
      ...features.map(({ name, meaning }) => ({ name, sealed: false, feature: meaning })),
    ];
    const { all } = await standingFields(tx);
    const added = fieldsBeside(all, wanted);
    const retired = fieldsBeside(wanted, all);
    if (retired.length > 0) {
      const ids = retired.map(({ id }) => id);
      await tx.query('UPDATE search_fields SET retired = true WHERE id = ANY ($1::int4[])', [ids]);
    }
    if (added.length > 0) {
      await tx.query('UPDATE installation SET search_version = search_version + 1');
      await tx.query(
        `INSERT INTO search_fields (name, sealed, feature, since_version)
         SELECT name, sealed, feature, search_version
         FROM unnest($1::text[], $2::bool[], $3::text[]) AS a (name, sealed, feature), installation`,
        [added.map(({ name }) => name), added.map(({ sealed }) => sealed), added.map(({ feature }) => feature)],
      );
      await tx.query(
        `INSERT INTO search_builds (version, profiles_total, created_at)
         SELECT search_version, (SELECT count(*) FROM profiles WHERE merged_into IS NULL), $1::int8 FROM installation`,
        [nowMs],
      );
    }
    return added.length + retired.length > 0;
  }

  /** Where to go on in these partitions; null if all is of this version of the index. */
  async next(db: Queryable, parts: readonly number[], version: number): Promise<UnindexedStretch | null> {
    const [stretch] = await db.query<UnindexedStretch>(
      `SELECT part, CASE WHEN search_target = $2 THEN coalesce(search_after, $3) ELSE $3 END AS "afterId"
       FROM partitions WHERE part = ANY ($1::int2[]) AND search_version < $2 ORDER BY part LIMIT 1`,
      [parts, version, LEAST_ID],
    );
    return stretch ?? null;
  }

  /**
   * Writes the next profiles of a stretch, by rising id, by all but features, and notes how far that went.
   * @returns these profiles
   */
  async build(
    tx: Transaction,
    fields: SearchFields,
    { part, afterId }: UnindexedStretch,
    { version, limit, nowMs }: { readonly version: number; readonly limit: number; readonly nowMs: number },
  ): Promise<Uuid[]> {
    const rows = await tx.query<{ id: Uuid; isLiving: boolean }>(
      `SELECT id, merged_into IS NULL AS "isLiving" FROM profiles WHERE part = $1 AND id > $2
       ORDER BY id LIMIT $3 FOR UPDATE`,
      [part, afterId, limit],
    );
    const ids = rows.filter(({ isLiving }) => isLiving).map(({ id }) => id);
    if (ids.length > 0) await this.#index(tx, fields, ids);
    const last = rows.length < limit ? null : (rows.at(-1)?.id ?? null);
    await tx.query(
      `UPDATE partitions SET search_target = $2, search_after = $3,
                             search_version = CASE WHEN $3::uuid IS NULL THEN $2 ELSE search_version END
       WHERE part = $1`,
      [part, version, last],
    );
    await tx.query(
      `UPDATE search_builds SET profiles_done = profiles_done + $2,
              finished_at = CASE WHEN (SELECT min(search_version) FROM partitions) >= version THEN $3::int8 END
       WHERE finished_at IS NULL AND version <= $1`,
      [version, ids.length, nowMs],
    );
    if (last === null) {
      await tx.query('DELETE FROM search_builds WHERE finished_at IS NOT NULL AND version <= $1', [
        version - MAX_BUILDS_KEPT,
      ]);
    }
    return ids;
  }

  async #index(tx: Transaction, fields: SearchFields, ids: readonly Uuid[]): Promise<void> {
    const idArray = uuidArray(ids, (id) => id);
    const anchors = await tx.query<{ profileId: Uuid; traits: Buffer; happenedAt: number | null }>(
      `SELECT i.profile_id AS "profileId", a.traits, (
         SELECT e.accepted_at FROM event_log e WHERE e.anchor_id = i.id ORDER BY e.occurred_at DESC LIMIT 1
       ) AS "happenedAt"
       FROM identifiers i JOIN anchor_states a ON a.anchor_id = i.id WHERE i.profile_id = ANY ($1::uuid[])`,
      [idArray],
    );
    const known = new Map<Uuid, { readonly traits: Traits[]; updatedAt: number }>();
    for (const { profileId, traits, happenedAt } of anchors) {
      const profile = known.get(profileId) ?? { traits: [], updatedAt: 0 };
      known.set(profileId, profile);
      profile.traits.push(decodeTraits(traits));
      profile.updatedAt = Math.max(profile.updatedAt, happenedAt ?? 0);
    }
    const entries: SearchEntry[] = [];
    const { updatedId } = fields;
    // One that changed since the field is there has its time, and that is newer.
    const dated = new Set(
      updatedId === null
        ? []
        : (
            await tx.query<{ id: Uuid }>(
              'SELECT profile_id AS id FROM profile_search WHERE profile_id = ANY ($1::uuid[]) AND field_id = $2',
              [idArray, updatedId],
            )
          ).map(({ id }) => id),
    );
    for (const [profileId, { traits, updatedAt }] of known) {
      entries.push(...traitEntries(fields, profileId, searchedTraits(fields, mergeTraits(traits))));
      if (updatedId !== null && !dated.has(profileId)) {
        entries.push({ profileId, fieldId: updatedId, key: updatedKey(updatedAt) });
      }
    }
    await tx.run({
      name: 'profile-search-add',
      text: `INSERT INTO profile_search (profile_id, field_id, key)
             SELECT DISTINCT * FROM unnest($1::uuid[], $2::int4[], $3::bytea[]) ON CONFLICT DO NOTHING`,
      values: arraysOf(entries),
    });
  }

  /** Deletes some rows of fields that went, and each of these with its last; false if there are none. */
  async purge(tx: Transaction, limit: number): Promise<boolean> {
    const retired = await tx.query<{ id: number }>('SELECT id FROM search_fields WHERE retired ORDER BY id LIMIT 1');
    const [field] = retired;
    if (field === undefined) return false;
    const deleted = await tx.execute(
      `DELETE FROM profile_search WHERE ctid = ANY (ARRAY(
         SELECT ctid FROM profile_search WHERE field_id = $1 ORDER BY field_id, key LIMIT $2
       ))`,
      [field.id, limit],
    );
    if (deleted < limit) await tx.query('DELETE FROM search_fields WHERE id = $1', [field.id]);
    return true;
  }
}

interface Searchable {
  readonly traits: readonly DeclaredField[];
  readonly features: readonly SearchableFeature[];
}

interface Field extends DeclaredField {
  /** What a feature means; null: it is a trait. */
  readonly feature: string | null;
}

const UPDATED: Field = { name: UPDATED_FIELD, sealed: false, feature: null };

async function standingFields(tx: Transaction): Promise<Searchable & { readonly all: (Field & { id: number })[] }> {
  const all = await tx.query<Field & { id: number }>(
    'SELECT id, name, sealed, feature FROM search_fields WHERE NOT retired ORDER BY id',
  );
  return {
    all,
    traits: all.filter(({ name, feature }) => feature === null && name !== UPDATED_FIELD),
    features: all.flatMap(({ name, feature }) => (feature === null ? [] : [{ name, meaning: feature }])),
  };
}

/** Those of `fields` that are not among `others`. */
function fieldsBeside<F extends Field>(others: readonly Field[], fields: readonly F[]): F[] {
  const isSame = (a: Field, b: Field): boolean => a.name === b.name && a.sealed === b.sealed && a.feature === b.feature;
  return fields.filter((field) => !others.some((each) => isSame(each, field)));
}

function arraysOf(entries: readonly SearchEntry[]): Buffer[] {
  return [
    uuidArray(entries, (e) => e.profileId),
    int4Array(entries, (e) => e.fieldId),
    byteaArray(entries, (e) => e.key),
  ];
}
