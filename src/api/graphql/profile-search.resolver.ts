import { Arg, Authorized, Ctx, FieldResolver, Int, Query, Resolver, Root } from 'type-graphql';
import { knownIds } from '../../identity/identifier-forms.model.js';
import { WeftError } from '../../platform/errors.js';
import type { Database } from '../../platform/postgres.js';
import { SearchFieldReader } from '../../profiles/search-field.reader.js';
import {
  EVERYBODY,
  listed,
  type ProfileCount,
  type ProfileFilter,
  type SearchOrder,
  type SearchPlace,
} from '../../segments/profile-filter.model.js';
import { ProfileSearchReader } from '../../segments/profile-search.reader.js';
import type { ApiContext } from './api-context.js';
import { compileFilter, compileOrder, type FilterContext } from './compile-filter.js';
import {
  AFTER,
  connection,
  DEFAULT_PAGE_SIZE,
  FIRST,
  pageSize,
  type Connection,
  type Edge,
} from './connection.types.js';
import { cursorId, damagedCursor, PROFILE_CURSOR } from './cursors.js';
import { maskedFeatures } from './personal.js';
import { ProfileCountType, ProfileFilterInput, ProfileOrderInput } from './profile-search.types.js';
import { ProfileConnection } from './profile.types.js';
import type { ProfileView } from './profile-view.js';

interface ProfilePage extends Connection<Edge<ProfileView>> {
  /** True of all who are on any page. */
  readonly listed: ProfileFilter;
}

const BY_ID: SearchOrder = { by: 'id', descending: false };

@Resolver(() => ProfileConnection)
export class ProfileSearchResolver {
  @Authorized('read')
  @Query(() => ProfileConnection, {
    description:
      'Profiles, all of them or those that a filter is true of. What is asked for is found by indexes: where it is rare together though common apart, a page looks at 4,000 profiles, may have fewer items than asked for, even none, and a next page all the same.',
  })
  async profiles(
    @Ctx() context: ApiContext,
    @Arg('filter', () => ProfileFilterInput, {
      nullable: true,
      description: 'What they have to be; default: anything.',
    })
    input: ProfileFilterInput | null | undefined,
    @Arg('orderBy', () => ProfileOrderInput, { nullable: true, description: 'Their order; default: by id.' })
    orderBy: ProfileOrderInput | null | undefined,
    @Arg('first', () => Int, { defaultValue: DEFAULT_PAGE_SIZE, description: FIRST }) first: number,
    @Arg('after', () => String, { nullable: true, description: AFTER }) after: string | null | undefined,
  ): Promise<ProfilePage> {
    const limit = pageSize(first);
    const { reads, services } = context;
    const isPlain = !input && (!orderBy || orderBy.by === 'id' || orderBy.by === 'created');
    const asked = filterContext(context, isPlain ? NO_FIELDS : await searchedFields(services.db));
    const order = orderBy ? compileOrder(orderBy, asked) : BY_ID;
    const place = typeof after === 'string' ? placeOf(order, after) : null;
    const filter = input ? await compileFilter(input, asked) : EVERYBODY;
    if (filter !== EVERYBODY) reads.countSingleRead('profiles');
    const found = await new ProfileSearchReader(services.db).page({ filter, order, after: place, limit });
    const views = await Promise.all(found.places.map(({ id }) => reads.profile(id)));
    const edges = found.places.flatMap((at, i) => {
      const node = views[i];
      return node === null || node === undefined ? [] : [{ cursor: cursorOf(order, at), node }];
    });
    const page = connection(edges, limit, after);
    // The last of those that were found is one more than asked for, also where it went meanwhile.
    const hasNextPage = found.places.length > limit || found.stoppedAt !== null;
    const { startCursor, hasPreviousPage, ...at } = page.pageInfo;
    const endCursor = found.stoppedAt === null ? at.endCursor : cursorOf(order, found.stoppedAt);
    const pageInfo = { startCursor, endCursor, hasNextPage, hasPreviousPage };
    return { edges: page.edges, pageInfo, listed: listed(filter, order) };
  }

  @FieldResolver(() => ProfileCountType, {
    description:
      'How many there are on all pages, so without those who lack what the order is by: exactly where that is cheap, else at least or about how many.',
  })
  totalCount(@Root() { listed: all }: ProfilePage, @Ctx() { reads, services }: ApiContext): Promise<ProfileCount> {
    reads.countSingleRead('totalCount');
    return new ProfileSearchReader(services.db).count(all);
  }
}

/** By what can be asked, each by name. */
interface SearchedFields {
  readonly traits: FilterContext['fields'];
  readonly features: FilterContext['features']['fields'];
}

const NO_FIELDS: SearchedFields = { traits: new Map(), features: new Map() };

async function searchedFields(db: Database): Promise<SearchedFields> {
  const reader = new SearchFieldReader(db);
  const [traits, features] = await Promise.all([reader.standing(), reader.standingFeatures()]);
  return { traits, features };
}

function filterContext(context: ApiContext, { traits: fields, features }: SearchedFields): FilterContext {
  const { reads, services } = context;
  const { policy, namespaces } = services;
  return {
    fields,
    traits: reads.definitions.traits,
    traitSealer: reads.definitions.traitSealer,
    features: {
      fields: features,
      set: reads.definitions.features,
      masked: maskedFeatures(context, reads.definitions),
      nowMs: reads.nowMs,
    },
    seesPersonal: context.has('pii'),
    identifierIds: (namespace, value) => knownIds(policy, { ns: namespace, value }),
    nearNamespace: (namespace) => namespaces.nearest(namespace),
    segmentId: async (key) => (await reads.segment(key)).id,
  };
}

/** What a cursor of this order begins with: it is a place in no other. */
function nameOf(order: SearchOrder): string {
  const by = order.by === 'field' ? `field${String(order.fieldId)}` : order.by;
  return order.descending ? `${by} desc` : by;
}

function cursorOf(order: SearchOrder, { id, key }: SearchPlace): string {
  const text = Buffer.isBuffer(key) ? key.toString('base64url') : String(key ?? '');
  return PROFILE_CURSOR.encode({ order: nameOf(order), key: text, id });
}

/** @throws WeftError CURSOR_INVALID */
function placeOf(order: SearchOrder, cursor: string): SearchPlace {
  const { order: name, key, id: text } = PROFILE_CURSOR.decode(cursor);
  const id = cursorId(text);
  if (name !== nameOf(order)) {
    throw new WeftError('CURSOR_INVALID', 'the cursor belongs to another list, or to another version', {
      where: 'after',
      hint: 'pass it with the order that it was received in',
    });
  }
  if (order.by === 'id') return { id, key: null };
  if (order.by === 'created') {
    const ms = Number(key);
    if (!Number.isSafeInteger(ms) || String(ms) !== key) throw damagedCursor();
    return { id, key: ms };
  }
  const bytes = Buffer.from(key, 'base64url');
  if (bytes.length === 0 || bytes.toString('base64url') !== key) throw damagedCursor();
  return { id, key: bytes };
}
