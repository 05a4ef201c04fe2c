import { Field, ObjectType } from 'type-graphql';
import type { Warning } from '../../platform/warning.js';

@ObjectType('DefinitionWarning', {
  simpleResolvers: true,
  description: 'What is allowed and yet probably not what was meant, as a name that nothing has sent so far.',
})
export class DefinitionWarning implements Warning {
  @Field(() => String, { description: 'What is questioned.' })
  message!: string;

  @Field(() => String, {
    description: 'Where: `line:column` of an expression, the features that name it, or the name itself.',
  })
  where!: string;

  @Field(() => String, { description: 'What may have been meant.' })
  hint!: string;
}
