import { Field, InputType, ObjectType } from 'type-graphql';
import { PARAMETER_TYPES, type ParameterType } from '../../segments/segment-template.model.js';
import { enumOf } from './enums.js';
import { DefinitionWarning } from './warning.types.js';

const ParameterTypeEnum = enumOf(
  'SegmentTemplateParameterType',
  'What may be given for a parameter.',
  PARAMETER_TYPES,
  {
    event: 'The name of an event.',
    value: 'The path of a value of an event, as `properties.total`.',
    trait: 'The name of a trait, as `country` or `preferences.channel`.',
    purpose: 'The key of a purpose.',
    model: 'The key of a model.',
    duration: 'A whole number and a unit, as `5m`.',
    integer: 'A whole number.',
    number: 'A number, also with a point, as `0.5`.',
    text: 'Any text, which is put in quotes.',
    texts: 'Texts with commas between them.',
    zone: 'A zone, as `Europe/Paris`, or a trait that has one, as `traits.timezone`.',
  },
);

@ObjectType('SegmentTemplateParameter', {
  simpleResolvers: true,
  description: 'One thing that a template leaves open.',
})
export class SegmentTemplateParameterType {
  @Field(() => String, { description: 'How it is called, as `after`.' })
  name!: string;

  @Field(() => ParameterTypeEnum, { description: 'What may be given.' })
  type!: ParameterType;

  @Field(() => String, { description: 'What it is, for people.' })
  description!: string;

  @Field(() => String, { description: 'What is taken where it is not given, as it is given.' })
  default!: string;

  @Field(() => String, { nullable: true, description: 'The least that may be given; null: there is none.' })
  least?: string | null;

  @Field(() => String, { nullable: true, description: 'The most that may be given; null: there is none.' })
  most?: string | null;
}

@ObjectType('SegmentTemplate', {
  simpleResolvers: true,
  description: 'A usual segment of which some things are left open.',
})
export class SegmentTemplateType {
  @Field(() => String, { description: 'Its key, as `cart_abandoned`.' })
  key!: string;

  @Field(() => String, { description: 'A name for people.' })
  name!: string;

  @Field(() => String, { description: 'Who is in such a segment.' })
  description!: string;

  @Field(() => [String], { description: 'What it is about.' })
  tags!: string[];

  @Field(() => [SegmentTemplateParameterType], { description: 'What it leaves open.' })
  parameters!: SegmentTemplateParameterType[];

  @Field(() => String, {
    description: 'Its condition, with the name of each parameter in curly brackets, as `performed({event})`.',
  })
  expression!: string;

  @Field(() => String, { nullable: true, description: 'The condition on which members leave; null: there is none.' })
  exitExpression!: string | null;
}

@InputType('SegmentTemplateValueInput', { description: 'A value for a parameter of a template.' })
export class SegmentTemplateValueInput {
  @Field(() => String, { description: 'Name of the parameter.' })
  name!: string;

  @Field(() => String, { description: 'The value as text, as `10m`.' })
  value!: string;
}

@ObjectType('FilledSegmentTemplate', {
  simpleResolvers: true,
  description: 'The conditions that a template gives, to be written by `upsertSegment`.',
})
export class FilledSegmentTemplateType {
  @Field(() => String, { description: 'The condition, as `performed("purchase", "14d")`.' })
  expression!: string;

  @Field(() => String, { nullable: true, description: 'The condition on which members leave; null: there is none.' })
  exitExpression!: string | null;

  @Field(() => [DefinitionWarning], {
    description:
      'What the conditions ask for that is not there: events and traits that nothing sent, models, purposes.',
  })
  warnings!: readonly DefinitionWarning[];
}
