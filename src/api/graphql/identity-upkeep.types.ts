import { Field, ObjectType } from 'type-graphql';
import { IdentityRevisionType } from './identity.types.js';

@ObjectType('IdentityReresolution', {
  simpleResolvers: true,
  description: 'That all identities are resolved anew, by the rules as they are.',
})
export class IdentityReresolutionType {
  @Field(() => IdentityRevisionType, { description: 'Ask `identityRevision` how far it is.' })
  revision!: IdentityRevisionType;
}
