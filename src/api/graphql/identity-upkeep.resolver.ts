import { Arg, Authorized, Ctx, Mutation, Resolver } from 'type-graphql';
import type { ApiContext } from './api-context.js';
import { resultUnion } from './failure.types.js';
import { actorOf } from './identity.resolver.js';
import { IdentityReresolutionType } from './identity-upkeep.types.js';
import { revisionView } from './identity.types.js';

const Reresolved = resultUnion<IdentityReresolutionType>(
  'ReresolveIdentitiesResult',
  { type: IdentityReresolutionType, name: 'IdentityReresolution' },
  ['BadRequest', 'Conflict'],
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
  ): Promise<unknown> {
    return Reresolved.attempt(async () => {
      const asked = { actor: actorOf(principal), reason };
      return { revision: revisionView(await services.identity.revisions.request({ kind: 'rules', input: {} }, asked)) };
    });
  }
}
