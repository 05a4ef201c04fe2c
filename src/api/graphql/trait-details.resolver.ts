import { Arg, Authorized, Ctx, FieldResolver, ID, Int, Mutation, Resolver, Root } from 'type-graphql';
import type { LoggedEvent } from '../../events/event.model.js';
import { WeftError } from '../../platform/errors.js';
import { valuesGiven } from '../../profiles/trait-history.js';
import type { ApiContext } from './api-context.js';
import { AFTER, connection, FIRST, pageByKey, pageSize, type Connection, type Edge } from './connection.types.js';
import { TIMELINE_CURSOR, TRAIT_CURSOR } from './cursors.js';
import type { ProfileView, TraitView } from './profile-view.js';
import { IdentifierInput, Profile } from './profile.types.js';
import {
  DeletedTraits,
  ProfileTrait,
  ProfileTraitConnection,
  TraitValueConnection,
  type TraitValueView,
} from './trait-details.types.js';

/** Events read at a time, and in one page of a history at most, most of which may not be about the trait. */
const READ_EVENTS = 500;
const MAX_READ_EVENTS = 2_500;
/** Fewer than in other lists: these stand within one another, and within lists of profiles. */
const DEFAULT_SIZES = { traits: 20, values: 10 };

@Resolver(() => Profile)
export class TraitDetailsResolver {
  @FieldResolver(() => ProfileTraitConnection, {
    description: 'Traits with where their values are from, by name; all of them unless names are given.',
  })
  traitDetails(
    @Root() view: ProfileView,
    @Arg('names', () => [String], {
      nullable: true,
      description: 'Only the traits of these names, as `first_name`; all of them if left out.',
    })
    names: string[] | null | undefined,
    @Arg('first', () => Int, { defaultValue: DEFAULT_SIZES.traits, description: FIRST }) first: number,
    @Arg('after', () => String, { nullable: true, description: AFTER }) after: string | null | undefined,
  ): Connection<Edge<TraitView>> {
    return pageByKey(view.traitDetails(names), ({ name }) => name, TRAIT_CURSOR, { first, after });
  }

  @Authorized('admin')
  @Mutation(() => DeletedTraits.type, {
    description:
      'Deletes traits of a profile: what was given for them until now, by whomever, also what arrives late. ' +
      'Values that are given later stand. To say that a trait is known to be empty, send null as its value instead.',
  })
  deleteTraits(
    @Ctx() { reads, services }: ApiContext,
    @Arg('names', () => [String], { description: 'Names of the traits, as `shoe_size`; at most 100.' })
    names: string[],
    @Arg('id', () => ID, {
      nullable: true,
      description: 'Id of the profile, as `01900000-0000-7000-8000-000000000000`; or else an identifier.',
    })
    id: string | null | undefined,
    @Arg('identifier', () => IdentifierInput, {
      nullable: true,
      description: 'One of the names that it is known by; or else its id.',
    })
    identifier: IdentifierInput | null | undefined,
  ): Promise<unknown> {
    return DeletedTraits.attempt(async () => {
      if ((typeof id === 'string') === (identifier != null)) {
        throw new WeftError('BAD_REQUEST', 'a profile is named by its id or by an identifier', {
          where: 'id',
          hint: 'give exactly one of the two',
        });
      }
      const profile =
        identifier == null
          ? await reads.profile(id ?? '')
          : await reads.profileOf({ ns: identifier.namespace, value: identifier.value });
      if (profile === null) {
        throw new WeftError('NOT_FOUND', 'there is no such profile', {
          where: identifier == null ? 'id' : 'identifier',
        });
      }
      const raw = profile.identifiers.map(({ namespace, value }) => ({ ns: namespace, value }));
      return { profile, names, events: await services.traitDeletion.deleteTraits(raw, names) };
    });
  }
}

@Resolver(() => ProfileTrait)
export class TraitHistoryResolver {
  @FieldResolver(() => TraitValueConnection, {
    description:
      'What was said of the trait, newest first, as far as the log goes: events that were taken back, or that are not ' +
      'kept any longer, are not there. A page looks at no more than 2,500 events of the profile, so it may have fewer ' +
      'items than asked for, even none, and a next page all the same.',
  })
  async history(
    @Root() { name, profile }: TraitView,
    @Arg('first', () => Int, { defaultValue: DEFAULT_SIZES.values, description: FIRST }) first: number,
    @Arg('after', () => String, { nullable: true, description: AFTER }) after: string | null | undefined,
  ): Promise<Connection<Edge<TraitValueView>>> {
    const limit = pageSize(first);
    const { services, definitions } = profile.reads;
    let before = typeof after === 'string' ? TIMELINE_CURSOR.decode(after) : null;
    const edges: Edge<TraitValueView>[] = [];
    let read = 0;
    let isWhole = false;
    while (!isWhole && edges.length <= limit && read < MAX_READ_EVENTS) {
      profile.reads.countSingleRead('history');
      const events = await services.log.readByAnchors(profile.identifierIds, {
        limit: READ_EVENTS,
        ...(before === null ? {} : { before }),
      });
      for (const event of events) {
        for (const { value, provenance } of valuesGiven(event, name, definitions.traitRules)) {
          const { messageId, occurredAt, acceptedAt, sourceId } = event;
          const source = definitions.sourceKeys.get(sourceId) ?? '';
          const node = {
            name,
            value: value ?? null,
            deleted: value === undefined,
            source,
            messageId,
            occurredAt,
            acceptedAt,
            provenance,
          };
          edges.push({ cursor: cursorOf(event), node });
        }
      }
      read += events.length;
      isWhole = events.length < READ_EVENTS;
      before = events.at(-1) ?? before;
    }
    const page = connection(edges, limit, after);
    if (isWhole || edges.length > limit) return page;
    // The next page goes on behind what was looked at, not behind the last item.
    const endCursor = before === null ? page.pageInfo.endCursor : TIMELINE_CURSOR.encode(before);
    const { hasPreviousPage, startCursor } = page.pageInfo;
    return { edges: page.edges, pageInfo: { hasNextPage: true, hasPreviousPage, startCursor, endCursor } };
  }
}

function cursorOf({ occurredAt, pos }: Pick<LoggedEvent, 'occurredAt' | 'pos'>): string {
  return TIMELINE_CURSOR.encode({ occurredAt, pos });
}
