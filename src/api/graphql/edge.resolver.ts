import { Arg, Authorized, Ctx, Field, Float, InputType, Int, ObjectType, Query, Resolver } from 'type-graphql';
import { isNamespace, type JsonObject, type JsonValue } from '../../events/event.model.js';
import { knownIds } from '../../identity/identifier-forms.model.js';
import { WeftError } from '../../platform/errors.js';
import type { Uuid } from '../../platform/ids.js';
import { isSignedBy, isUnguessable } from '../auth/edge-signature.js';
import type { Caching } from '../edge/caching.model.js';
import type { EdgeAnswer, EdgeDefault, EdgeScoreView } from '../edge/edge-answer.model.js';
import type { ApiContext } from './api-context.js';
import { APPLIED_CURSOR } from './cursors.js';
import { DateTime, Json } from './scalars.js';

@InputType('EdgeIdentifierInput', { description: 'Whom a page asks for.' })
class EdgeIdentifierInput {
  @Field(() => String, { description: 'Kind of identifier: `anonymous_id`, `user_id`, `email`.' })
  namespace!: string;

  @Field(() => String, { description: 'Its value, as the site knows it: `7c05542a-a638-43fd-b185-e15b72e2fa6b`.' })
  value!: string;

  @Field(() => String, {
    nullable: true,
    description:
      "For edge keys: made by the site's server with the signing secret of the key, `<expiry, Unix seconds>.<HMAC in " +
      'base64url>`. Not needed for an `anonymous_id` that nobody can guess: a UUID, or 21 characters or more of ' +
      '`A-Z a-z 0-9 _ -`.',
  })
  signature?: string | null;
}

@InputType('EdgeDefaultInput', { description: 'What to answer when nothing can be told within the deadline.' })
class EdgeDefaultInput {
  @Field(() => [String], { nullable: true, description: 'Keys of segments. Default: none.' })
  segments?: string[] | null;

  @Field(() => Json, { nullable: true, description: 'An object of traits by name. Default: `{}`.' })
  traits?: JsonValue;
}

@ObjectType('EdgeScore', { simpleResolvers: true, description: 'What a model says of a visitor.' })
class EdgeScoreType {
  @Field(() => String, { description: 'Key of the model.' })
  model!: string;

  @Field(() => Float, {
    nullable: true,
    description: 'A number, as a probability; null where the model gives none, or not for this visitor.',
  })
  value!: number | null;

  @Field(() => String, {
    nullable: true,
    description: 'Its class, or the number of its cluster; null where it gives neither.',
  })
  label!: string | null;
}

@ObjectType('EdgeProfile', {
  simpleResolvers: true,
  description: 'What a page may know of its visitor: only what is marked edge-safe.',
})
class EdgeProfileType {
  @Field(() => Boolean, { description: 'Whether anything is known of the visitor. False is an answer, not an error.' })
  known!: boolean;

  @Field(() => Boolean, {
    description:
      'True where this is not all that it should be: the default of the caller, an answer of a moment ago, or one in ' +
      'which the events up to `after` do not all count.',
  })
  degraded!: boolean;

  @Field(() => DateTime, {
    nullable: true,
    description: 'What the answer is as of; null where nothing is known of the visitor, or the default is shown.',
  })
  asOf!: number | null;

  @Field(() => [String], { description: 'Keys of the edge-safe segments that the visitor is in, sorted.' })
  segments!: readonly string[];

  @Field(() => Json, { description: 'Edge-safe traits by name: `{ "country": "AT" }`.' })
  traits!: JsonObject;

  @Field(() => [EdgeScoreType], { description: 'What edge-safe models say, asked now, by key of the model.' })
  scores!: readonly EdgeScoreView[];
}

const MAX_DEADLINE_MS = 2_000;

@Resolver()
export class EdgeResolver {
  @Authorized('edge', 'read')
  @Query(() => EdgeProfileType, {
    description:
      'What a page view may know of its visitor, within a deadline: else the default of the caller, marked `degraded`.',
  })
  edgeProfile(
    @Ctx() context: ApiContext,
    @Arg('identifier', () => EdgeIdentifierInput, { description: 'Who looks at the page.' })
    identifier: EdgeIdentifierInput,
    @Arg('deadlineMs', () => Int, {
      defaultValue: 50,
      description: 'When there has to be an answer, in ms from when the server has read the request: 1 to 2000.',
    })
    deadlineMs: number,
    @Arg('onMiss', () => EdgeDefaultInput, {
      nullable: true,
      description: 'What to answer where nothing is known in time; default: that nothing is known.',
    })
    onMiss: EdgeDefaultInput | null | undefined,
    @Arg('after', () => String, {
      nullable: true,
      description: 'The `token` that the tracking API answered: the events of that call, and all before, are to count.',
    })
    after: string | null | undefined,
  ): EdgeAnswer | Promise<EdgeAnswer> {
    const { services } = context;
    const isSigned = demandIdentifier(context, identifier);
    if (deadlineMs < 1 || deadlineMs > MAX_DEADLINE_MS) {
      throw new WeftError('BAD_REQUEST', `a deadline is 1 to ${String(MAX_DEADLINE_MS)} ms`, {
        where: 'deadlineMs',
        hint: 'leave it out for 50 ms',
      });
    }
    const afterPos = typeof after === 'string' ? APPLIED_CURSOR.decode(after).pos : null;
    const answer = services.edge.answer({
      identifierIds: identifierIdsOf(context, identifier),
      deadlineMs,
      onMiss: defaultOf(onMiss),
      afterPos,
      definitions: context.watch.current,
    });
    const caching = isSigned || afterPos !== null || context.has('read') ? 'private' : 'shared';
    return answer instanceof Promise
      ? answer.then((late) => noted(context, late, caching))
      : noted(context, answer, caching);
  }
}

function noted({ caching }: ApiContext, answer: EdgeAnswer, ifWhole: Caching): EdgeAnswer {
  caching.note(answer.degraded ? 'none' : ifWhole);
  return answer;
}

/**
 * Whether a page may ask for an identifier is told by what it sends alone: nothing is looked up before, so that neither
 * the answer nor the time it takes depends on whether there is such a person.
 *
 * @returns whether a signature was needed
 * @throws WeftError FORBIDDEN
 */
function demandIdentifier(context: ApiContext, { namespace, value, signature = null }: EdgeIdentifierInput): boolean {
  if (context.has('read') || isUnguessable(namespace, value)) return false;
  const { principal, services } = context;
  const secret = services.edgeSigning.secretOf(principal);
  if (isSignedBy(secret, { namespace, value, signature }, services.clock.now())) return true;
  throw new WeftError('FORBIDDEN', 'this key may not ask for this identifier', {
    where: 'identifier',
    hint:
      'let the server of the site sign it, as docs/edge.md says; only an anonymous_id that is a UUID, or has 21 characters ' +
      'or more of A-Z a-z 0-9 _ -, needs no signature',
  });
}

/** @throws WeftError BAD_REQUEST for a namespace that cannot be */
function identifierIdsOf({ services }: ApiContext, { namespace, value }: EdgeIdentifierInput): readonly Uuid[] {
  const raw = { ns: namespace, value };
  if (services.policy.resolve([raw]).dropped[0]?.reason === 'unknown_namespace' || !isNamespace(namespace)) {
    throw new WeftError('BAD_REQUEST', 'there is no such namespace', {
      where: 'identifier.namespace',
      hint: 'namespaces are lower-case words such as email, user_id, anonymous_id',
    });
  }
  return knownIds(services.policy, raw);
}

function defaultOf(onMiss: EdgeDefaultInput | null | undefined): EdgeDefault {
  const traits = onMiss?.traits ?? {};
  if (typeof traits === 'object' && !Array.isArray(traits)) {
    return { segments: onMiss?.segments ?? [], traits };
  }
  throw new WeftError('BAD_REQUEST', 'the default of traits is no object', {
    where: 'onMiss.traits',
    hint: 'pass an object of traits by name, such as { "country": "AT" }',
  });
}
