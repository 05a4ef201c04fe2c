import { Arg, Authorized, Ctx, Int, Mutation, Query, Resolver } from 'type-graphql';
import type { ApiContext } from './api-context.js';
import {
  AFTER,
  connection,
  DEFAULT_PAGE_SIZE,
  FIRST,
  pageSize,
  type Connection,
  type Edge,
} from './connection.types.js';
import { cursorId, GENERIC_CURSOR } from './cursors.js';
import { resultUnion } from './failure.types.js';
import { actorOf } from './identity.resolver.js';
import {
  GenericValueDecisionType,
  genericValueView,
  IdentityGenericValueConnection,
  IdentityReresolutionType,
  type IdentityGenericValueType,
} from './identity-upkeep.types.js';
import { revisionView } from './identity.types.js';
import { IdentifierInput } from './profile.types.js';

const Reresolved = resultUnion<IdentityReresolutionType>(
  'ReresolveIdentitiesResult',
  { type: IdentityReresolutionType, name: 'IdentityReresolution' },
  ['BadRequest', 'Conflict', 'NotFound'],
);

const Kept = resultUnion<GenericValueDecisionType>(
  'KeepGenericValueResult',
  { type: GenericValueDecisionType, name: 'GenericValueDecision' },
  ['BadRequest'],
);
const Cleared = resultUnion<GenericValueDecisionType>(
  'ClearGenericValueResult',
  { type: GenericValueDecisionType, name: 'GenericValueDecision' },
  ['BadRequest', 'NotFound'],
);

/** What keeps identities as the rules say. */
@Resolver()
export class IdentityUpkeepResolver {
  @Authorized('admin')
  @Mutation(() => Reresolved.type, {
    description:
      'Resolves all identities anew, by the rules as they are: profiles that these keep apart fall apart, others become one. Workers do it between batches of events, component by component.',
  })
  reresolveIdentities(
    @Ctx() { services, principal }: ApiContext,
    @Arg('reason', () => String, {
      defaultValue: '',
      description: 'Why, for whoever asks later; at most 1,000 characters.',
    })
    reason: string,
    @Arg('sinceVersion', () => Int, {
      nullable: true,
      description:
        'A version of the rules, as `2`: only those whom the change from it to the rules in force concerns; default: all.',
    })
    since: number | null | undefined,
  ): Promise<unknown> {
    return Reresolved.attempt(async () => {
      const asked = { actor: actorOf(principal), reason };
      const input = typeof since === 'number' ? { since } : {};
      return { revision: revisionView(await services.identity.revisions.request({ kind: 'rules', input }, asked)) };
    });
  }

  @Authorized('admin')
  @Query(() => IdentityGenericValueConnection, {
    description:
      'Values that stand for nobody because many people share them or because rules block them, and those of which somebody decided that they are none; the newest first.',
  })
  async identityGenericValues(
    @Ctx() { services, reads }: ApiContext,
    @Arg('first', () => Int, { defaultValue: DEFAULT_PAGE_SIZE, description: FIRST }) first: number,
    @Arg('after', () => String, { nullable: true, description: AFTER }) after: string | null | undefined,
  ): Promise<Connection<Edge<IdentityGenericValueType>>> {
    const limit = pageSize(first);
    reads.countSingleRead('identityGenericValues');
    const place = typeof after === 'string' ? GENERIC_CURSOR.decode(after) : null;
    const before = place === null ? null : { at: place.at, id: cursorId(place.id) };
    const values = await services.identity.generics.page(before, limit + 1);
    const edges = values.map((value) => ({
      cursor: GENERIC_CURSOR.encode({ at: value.changedAt, id: value.id }),
      node: genericValueView(value),
    }));
    return connection(edges, limit, after);
  }

  @Authorized('admin')
  @Mutation(() => Kept.type, {
    description:
      'Says of a value that it is not generic, however many people share it; what that joins is resolved anew.',
  })
  keepGenericValue(
    @Ctx() { services, principal }: ApiContext,
    @Arg('identifier', () => IdentifierInput, { description: 'What many people share, as the address of an office.' })
    identifier: IdentifierInput,
    @Arg('reason', () => String, {
      defaultValue: '',
      description: 'Why, for whoever asks later; at most 1,000 characters.',
    })
    reason: string,
  ): Promise<unknown> {
    const { namespace: ns, value } = identifier;
    return Kept.attempt(async () => {
      const asker = { actor: actorOf(principal), reason };
      return { revision: revisionView(await services.identity.generics.keep({ ns, value }, asker)) };
    });
  }

  @Authorized('admin')
  @Mutation(() => Cleared.type, {
    description:
      'Takes back what `keepGenericValue` said: from then on the evidence decides whether the value is generic.',
  })
  clearGenericValue(
    @Ctx() { services, principal }: ApiContext,
    @Arg('identifier', () => IdentifierInput, { description: 'What many people share, as the address of an office.' })
    identifier: IdentifierInput,
    @Arg('reason', () => String, {
      defaultValue: '',
      description: 'Why, for whoever asks later; at most 1,000 characters.',
    })
    reason: string,
  ): Promise<unknown> {
    const { namespace: ns, value } = identifier;
    return Cleared.attempt(async () => {
      const asker = { actor: actorOf(principal), reason };
      return { revision: revisionView(await services.identity.generics.clear({ ns, value }, asker)) };
    });
  }
}
