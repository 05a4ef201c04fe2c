import { coerceInputValue, isInputType, type GraphQLSchema } from 'graphql';
import { compileFilter, compileOrder, type FilterContext } from './api/graphql/compile-filter.js';
import type { ProfileFilterInput, ProfileOrderInput } from './api/graphql/profile-search.types.js';
import type { LoadedDefinitions } from './definitions.js';
import type { EventSealer } from './events/event-seal.model.js';
import { isReservedTrait, type IdentifierPolicy, type JsonObject, type JsonValue } from './events/event.model.js';
import { TimelineReader } from './events/timeline.reader.js';
import { knownIds } from './identity/identifier-forms.model.js';
import { MergeHistoryReader } from './identity/merge-history.reader.js';
import type { NamespaceReader } from './identity/namespace.reader.js';
import type { Clock } from './platform/clock.js';
import { WeftError } from './platform/errors.js';
import { hashId, type Uuid } from './platform/ids.js';
import { formatInstant } from './platform/instant.js';
import { nameHint } from './platform/near-names.js';
import type { Database } from './platform/postgres.js';
import type { ErasureTarget } from './privacy/erasure.service.js';
import type { ProfileReader } from './profiles/profile.reader.js';
import { UPDATED_FIELD } from './profiles/search-field.model.js';
import { SearchFieldReader } from './profiles/search-field.reader.js';
import type { Provenance } from './profiles/trait-rule.model.js';
import type { TraitSealer } from './profiles/trait-seal.model.js';
import { EVERYBODY, listed, type ProfileCount, type ProfileFilter } from './segments/profile-filter.model.js';
import { ProfileSearchReader } from './segments/profile-search.reader.js';
import type { ProfileSnapshot } from './segments/profile-snapshot.model.js';
import { SegmentReader } from './segments/segment.reader.js';

export interface PeopleFinderParts {
  readonly db: Database;
  readonly clock: Clock;
  readonly definitions: () => Promise<LoadedDefinitions>;
  readonly snapshots: { byIds(ids: readonly Uuid[]): Promise<(ProfileSnapshot | null)[]> };
  readonly profiles: ProfileReader;
  readonly policy: IdentifierPolicy;
  readonly namespaces: NamespaceReader;
  readonly sealer: EventSealer;
  /** @throws WeftError NOT_FOUND */
  readonly profileOf: (target: ErasureTarget) => Promise<Uuid>;
  readonly schema: () => GraphQLSchema;
  /** Told of everybody of whom something is shown. */
  readonly onShown: (profileId: Uuid) => void;
}

export interface FoundPerson {
  readonly id: Uuid;
  readonly identifiers: readonly { readonly namespace: string; readonly value: string }[];
  readonly traits: JsonObject;
  /** By key. */
  readonly segments: readonly string[];
}

/** Something that profiles can be found by. */
export interface IndexedField {
  readonly kind: 'trait' | 'feature';
  readonly name: string;
  /** False: not everybody is in the index by it yet. */
  readonly isReady: boolean;
}

export interface SearchIndex {
  readonly fields: readonly IndexedField[];
  /** Null: it is complete. */
  readonly building: { readonly profilesDone: number; readonly profilesTotal: number } | null;
}

const MAX_BUILDS = 20;

/** Times are ISO 8601. */
export interface ShownPerson {
  readonly id: Uuid;
  readonly createdAt: string;
  readonly asOf: string;
  readonly identifiers: FoundPerson['identifiers'];
  readonly traits: readonly {
    readonly name: string;
    readonly value: JsonValue;
    readonly source: string;
    readonly occurredAt: string;
    readonly provenance: Provenance;
  }[];
  readonly segments: readonly { readonly segment: string; readonly since: string }[];
  /** What happened last, the newest first. */
  readonly timeline: readonly {
    readonly occurredAt: string;
    readonly kind: 'event' | 'record' | 'merge' | 'split';
    readonly source: string | null;
    readonly name: string;
  }[];
}

const { MIN_SAFE_INTEGER: EARLIEST, MAX_SAFE_INTEGER: LATEST } = Number;

/** Finds people, and shows one of them, for those at the command line, who see all. */
export class PeopleFinder {
  constructor(private readonly parts: PeopleFinderParts) {}

  /** @throws WeftError as `compileFilter` and `compileOrder` do */
  async find(
    filter: ProfileFilterInput | null,
    order: ProfileOrderInput,
    limit: number,
  ): Promise<{ readonly found: readonly FoundPerson[]; readonly isMore: boolean }> {
    const { db, snapshots, definitions, onShown } = this.parts;
    const context = await this.#context();
    const search = { filter: await compiled(filter, context), order: compileOrder(order, context), limit };
    const reader = new ProfileSearchReader(db);
    const ids: Uuid[] = [];
    let page = await reader.page({ ...search, after: null });
    ids.push(...page.places.map(({ id }) => id));
    while (ids.length <= limit && page.stoppedAt !== null) {
      page = await reader.page({ ...search, after: page.stoppedAt });
      ids.push(...page.places.map(({ id }) => id));
    }
    const isMore = ids.length > limit;
    const { stored, traitSealer } = await definitions();
    const keys = new Map([...stored.values()].map(({ id, key }) => [id, key]));
    const found = (await snapshots.byIds(ids.slice(0, limit))).filter((snapshot) => snapshot !== null);
    for (const { id } of found) onShown(id);
    return { found: found.map((snapshot) => personOf(snapshot, keys, traitSealer)), isMore };
  }

  /**
   * How many would be found in this order.
   * @throws WeftError as `compileFilter` and `compileOrder` do
   */
  async count(filter: ProfileFilterInput | null, order: ProfileOrderInput): Promise<ProfileCount> {
    const context = await this.#context();
    const all = listed(await compiled(filter, context), compileOrder(order, context));
    return new ProfileSearchReader(this.parts.db).count(all);
  }

  /** @throws WeftError NOT_FOUND */
  async show(target: ErasureTarget, entries: number): Promise<ShownPerson> {
    const { snapshots, definitions, profileOf, onShown } = this.parts;
    const [snapshot] = await snapshots.byIds([await profileOf(target)]);
    if (snapshot === undefined || snapshot === null) {
      throw new WeftError('NOT_FOUND', 'there is no such profile', { where: 'weft profiles show' });
    }
    onShown(snapshot.id);
    const { sourceKeys, stored, traitSealer } = await definitions();
    const keys = new Map([...stored.values()].map(({ id, key }) => [id, key]));
    const { identifiers } = personOf(snapshot, keys, traitSealer);
    return {
      id: snapshot.id,
      createdAt: formatInstant(snapshot.createdAt),
      asOf: formatInstant(snapshot.asOf),
      identifiers,
      traits: [...snapshot.traits]
        .filter(([name]) => !isReservedTrait(name))
        .map(([name, { value, sourceId, occurredAt, provenance }]) => ({
          ...{ name, value: traitSealer.open(name, value), provenance },
          source: sourceKeys.get(sourceId) ?? '',
          occurredAt: formatInstant(occurredAt),
        }))
        .sort((a, b) => (a.name < b.name ? -1 : 1)),
      segments: snapshot.memberships
        .map(({ segmentId, since }) => ({ segment: keys.get(segmentId) ?? '', since: formatInstant(since) }))
        .sort((a, b) => (a.segment < b.segment ? -1 : 1)),
      timeline: await this.#timeline(snapshot, sourceKeys, entries),
    };
  }

  async #timeline(
    { id, identifiers }: ProfileSnapshot,
    sourceKeys: ReadonlyMap<number, string>,
    limit: number,
  ): Promise<ShownPerson['timeline']> {
    const { db, sealer, profiles } = this.parts;
    const anchorIds = identifiers.map(([ns, value]) => hashId(ns, value));
    const from = { occurredAt: LATEST, pos: LATEST };
    const everything = { sourceIds: null, isLoaded: null, isWanted: null, fromMs: EARLIEST, toMs: LATEST };
    const { items } = await new TimelineReader(db, sealer).read(anchorIds, {
      ...{ from, isNewer: false, limit },
      ...everything,
    });
    const moves = await new MergeHistoryReader(sealer).page(db, await profiles.allIdsOf(db, id), null, limit);
    const entries = [
      ...items.map(({ event, loadId }) => ({
        at: event.occurredAt,
        kind: loadId === null ? ('event' as const) : ('record' as const),
        source: sourceKeys.get(event.sourceId) ?? '',
        name: event.name,
      })),
      ...moves.map(({ at, kind, event, ...move }) => ({
        ...{ at, kind },
        source: event === null ? null : (sourceKeys.get(event.sourceId) ?? ''),
        name: `${move.from} to ${move.to}`,
      })),
    ];
    const newest = entries.sort((a, b) => b.at - a.at).slice(0, limit);
    return newest.map(({ at, ...entry }) => ({ occurredAt: formatInstant(at), ...entry }));
  }

  /** By what profiles can be found, and how far the index is. */
  async index(): Promise<SearchIndex> {
    const reader = new SearchFieldReader(this.parts.db);
    const [traits, features] = [await reader.standing(), await reader.standingFeatures()];
    const [build = null] = (await reader.builds(MAX_BUILDS)).filter(({ finishedAt }) => finishedAt === null);
    const fieldsOf = (kind: IndexedField['kind'], fields: typeof traits): IndexedField[] =>
      [...fields.values()]
        .filter(({ name }) => kind === 'feature' || name !== UPDATED_FIELD)
        .map(({ name, isReady }) => ({ kind, name, isReady }))
        .sort((a, b) => (a.name < b.name ? -1 : 1));
    return {
      fields: [...fieldsOf('trait', traits), ...fieldsOf('feature', features)],
      building: build === null ? null : { profilesDone: build.profilesDone, profilesTotal: build.profilesTotal },
    };
  }

  /**
   * A filter as `ProfileFilter` of GraphQL has it in JSON.
   * @throws WeftError BAD_REQUEST
   */
  filterOfJson(json: object): ProfileFilterInput {
    const type = this.parts.schema().getType('ProfileFilter');
    if (!isInputType(type)) throw new Error('the schema has no ProfileFilter');
    return coerceInputValue(json, type, (path, _value, error) => {
      throw new WeftError('BAD_REQUEST', error.message, {
        where: ['--filter', ...path].join('.'),
        hint: 'write it as ProfileFilter of the GraphQL schema',
      });
    }) as ProfileFilterInput;
  }

  async #context(): Promise<FilterContext> {
    const { db, clock, policy, namespaces, definitions } = this.parts;
    const { traits, traitSealer, stored, features } = await definitions();
    const reader = new SearchFieldReader(db);
    return {
      traits,
      traitSealer,
      fields: await reader.standing(),
      features: { fields: await reader.standingFeatures(), set: features, masked: new Set(), nowMs: clock.now() },
      seesPersonal: true,
      identifierIds: (namespace, value) => knownIds(policy, { ns: namespace, value }),
      nearNamespace: (namespace) => namespaces.nearest(namespace),
      segmentId: async (key) => {
        const segment = stored.get(key) ?? (await new SegmentReader(db).byKey(key));
        if (segment !== null) return segment.id;
        throw new WeftError('NOT_FOUND', `there is no segment ${key}`, {
          where: '--segment',
          hint: nameHint(key, stored.keys(), 'weft segment list shows them'),
        });
      },
    };
  }
}

async function compiled(filter: ProfileFilterInput | null, context: FilterContext): Promise<ProfileFilter> {
  return filter === null ? EVERYBODY : compileFilter(filter, context);
}

function personOf(
  { id, identifiers, traits, memberships }: ProfileSnapshot,
  segmentKeys: ReadonlyMap<number, string>,
  sealer: TraitSealer,
): FoundPerson {
  const shown = [...traits].filter(([name]) => !isReservedTrait(name)).sort(([a], [b]) => (a < b ? -1 : 1));
  return {
    id,
    identifiers: identifiers.map(([namespace, value]) => ({ namespace, value })),
    traits: Object.fromEntries(shown.map(([name, { value }]) => [name, sealer.open(name, value)])),
    segments: memberships.flatMap(({ segmentId }) => segmentKeys.get(segmentId) ?? []).sort(),
  };
}
