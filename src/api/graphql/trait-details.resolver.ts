import { Arg, Authorized, Ctx, FieldResolver, ID, Int, Mutation, Resolver, Root } from 'type-graphql';
import { WeftError } from '../../platform/errors.js';
import { valuesGiven } from '../../profiles/trait-history.js';
import type { ApiContext } from './api-context.js';
import { AFTER, FIRST, pageByKey, type Connection, type Edge } from './connection.types.js';
import { TRAIT_CURSOR } from './cursors.js';
import { pageOfHistory } from './event-history.js';
import type { ProfileView, TraitView } from './profile-view.js';
import { IdentifierInput, Profile } from './profile.types.js';
import {
  DeletedTraits,
  ProfileTrait,
  ProfileTraitConnection,
  TraitValueConnection,
  type TraitValueView,
} from './trait-details.types.js';

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
  history(
    @Root() { name, profile }: TraitView,
    @Arg('first', () => Int, { defaultValue: DEFAULT_SIZES.values, description: FIRST }) first: number,
    @Arg('after', () => String, { nullable: true, description: AFTER }) after: string | null | undefined,
  ): Promise<Connection<Edge<TraitValueView>>> {
    const { traitRules, sourceKeys } = profile.reads.definitions;
    return pageOfHistory(profile, { first, after }, (event) =>
      valuesGiven(event, name, traitRules).map(({ value, provenance }) => {
        const { messageId, occurredAt, acceptedAt, sourceId, identifiers } = event;
        const source = sourceKeys.get(sourceId) ?? '';
        const given = { name, value: value ?? null, deleted: value === undefined, provenance };
        return { ...given, source, messageId, occurredAt, acceptedAt, identifiers };
      }),
    );
  }
}
