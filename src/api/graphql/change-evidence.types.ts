import { Field, Int, ObjectType } from 'type-graphql';
import { EventTypeType } from './enums.js';
import { DateTime } from './scalars.js';

@ObjectType('DecidingModel', {
  simpleResolvers: true,
  description: 'The version of a model that a condition was decided by.',
})
export class DecidingModelType {
  @Field(() => String, { description: 'Key of the model, as `purchase_intent`.' })
  key!: string;

  @Field(() => Int, { description: 'The version that was asked.' })
  version!: number;

  @Field(() => String, { description: 'SHA-256 of its ONNX bytes, 64 hexadecimal digits, as `9f86d081…0a08`.' })
  digest!: string;
}

@ObjectType('CausingEvent', {
  simpleResolvers: true,
  description: 'Which event something came of; of what was sent along nothing is told.',
})
export class CausingEventType {
  @Field(() => String, { description: 'Unique within its source.' })
  messageId!: string;

  @Field(() => EventTypeType, { description: 'The kind of the event.' })
  type!: string;

  @Field(() => String, { description: 'For `TRACK` the name of the event, else the type.' })
  name!: string;

  @Field(() => String, { description: 'Key of the source that sent it, as `web`.' })
  source!: string;

  @Field(() => DateTime, { description: 'When it happened.' })
  occurredAt!: number;

  @Field(() => DateTime, { description: 'When it was accepted.' })
  acceptedAt!: number;
}

@ObjectType('ChangeEvidence', { simpleResolvers: true, description: 'What a change can be put down to.' })
export class ChangeEvidenceType {
  @Field(() => CausingEventType, {
    nullable: true,
    description:
      'The event that did it, by itself or because it joined or parted people or said a word on consent. Null where time or an edit did it, for loaded history, and once the event was taken back or erased or is too old.',
  })
  event!: CausingEventType | null;

  @Field(() => DateTime, {
    nullable: true,
    description: 'When the timer was due that did it, to the millisecond; null where no timer did.',
  })
  dueAt!: number | null;
}
