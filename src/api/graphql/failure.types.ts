import { createUnionType, Field, InterfaceType, ObjectType, type ClassType } from 'type-graphql';
import { WeftError, type ErrorCode } from '../../platform/errors.js';

@InterfaceType('Failure', { description: 'A mutation that was refused, and how to mend it. Nothing was changed.' })
export abstract class Failure {
  @Field(() => String, { description: 'The code of the error, as in `extensions.code` of other errors.' })
  code!: string;

  @Field(() => String, { description: 'What is wrong.' })
  message!: string;

  @Field(() => String, {
    nullable: true,
    description: 'Where: the name of an argument, `line:column` of a text, a path in a file.',
  })
  where!: string | null;

  @Field(() => String, { nullable: true, description: 'How to fix it; null if nothing more is known.' })
  hint!: string | null;
}

@ObjectType('BadRequest', { implements: Failure, simpleResolvers: true, description: 'An argument cannot be used.' })
class BadRequest extends Failure {}

@ObjectType('NotFound', { implements: Failure, simpleResolvers: true, description: 'What is named does not exist.' })
class NotFound extends Failure {}

@ObjectType('Conflict', {
  implements: Failure,
  simpleResolvers: true,
  description: 'It does not go with what is there already.',
})
class Conflict extends Failure {}

@ObjectType('InvalidDefinition', {
  implements: Failure,
  simpleResolvers: true,
  description: 'An expression, a feature definition or a model did not pass its checks.',
})
class InvalidDefinition extends Failure {}

@ObjectType('PayloadTooLarge', { implements: Failure, simpleResolvers: true, description: 'A bound was exceeded.' })
class PayloadTooLarge extends Failure {}

@ObjectType('SourcePaused', {
  implements: Failure,
  simpleResolvers: true,
  description: 'The source is paused: the same can be sent once it is resumed.',
})
class SourcePaused extends Failure {}

const FAILURE_TYPES = { BadRequest, NotFound, Conflict, InvalidDefinition, PayloadTooLarge, SourcePaused };
export type FailureName = keyof typeof FAILURE_TYPES;

const FAILURE_OF: { readonly [C in ErrorCode]?: FailureName } = {
  BAD_REQUEST: 'BadRequest',
  NOT_FOUND: 'NotFound',
  CONFLICT: 'Conflict',
  DEFINITION_INVALID: 'InvalidDefinition',
  EXPRESSION_INVALID: 'InvalidDefinition',
  MODEL_INVALID: 'InvalidDefinition',
  PAYLOAD_TOO_LARGE: 'PayloadTooLarge',
  SOURCE_PAUSED: 'SourcePaused',
};

class FailureValue implements Failure {
  readonly code: string;
  readonly message: string;
  readonly where: string | null;
  readonly hint: string | null;

  constructor(
    readonly type: FailureName,
    { code, message, where, hint }: WeftError,
  ) {
    this.code = code;
    this.message = message;
    this.where = where ?? null;
    this.hint = hint ?? null;
  }
}

/** What a mutation answers: what it made, or one of the failures that are to be expected of it. */
export interface ResultUnion<T> {
  readonly type: object;
  /** Failures that are not expected go on as errors. */
  attempt(work: () => Promise<T>): Promise<T | Failure>;
}

export function resultUnion<T extends object>(
  name: string,
  success: { readonly type: ClassType; readonly name: string },
  failures: readonly FailureName[],
): ResultUnion<T> {
  const types = [success.type, ...failures.map((failure) => FAILURE_TYPES[failure])];
  const union: object = createUnionType<[ClassType, ...ClassType[]]>({
    name,
    description: `What was done, or why it was not: \`... on ${success.name}\`, \`... on Failure\`.`,
    types: () => types as [ClassType, ...ClassType[]],
    resolveType: (value: unknown) => (value instanceof FailureValue ? value.type : success.name),
  });
  return {
    type: union,
    attempt: async (work) => {
      try {
        return await work();
      } catch (error) {
        const type = error instanceof WeftError ? FAILURE_OF[error.code] : undefined;
        if (error instanceof WeftError && type !== undefined && failures.includes(type)) {
          return new FailureValue(type, error);
        }
        throw error;
      }
    },
  };
}
