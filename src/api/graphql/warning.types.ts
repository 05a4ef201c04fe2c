import { Field, ObjectType } from 'type-graphql';
import type { Warning } from '../../platform/warning.js';

@ObjectType('DefinitionWarning', {
  simpleResolvers: true,
  description: 'A name that is allowed and yet probably not what was meant: nothing has sent it so far.',
})
export class DefinitionWarning implements Warning {
  @Field(() => String, { description: 'What is questioned.' })
  message!: string;

  @Field(() => String, { description: 'Where: `line:column` of an expression, or the features that name it.' })
  where!: string;

  @Field(() => String, { description: 'What may have been meant.' })
  hint!: string;
}
