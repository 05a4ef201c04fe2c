import { Arg, Authorized, Ctx, Field, InputType, Int, Mutation, ObjectType, Resolver } from 'type-graphql';
import { addressIn, type EventClient } from '../../events/enrichment.model.js';
import type { EventType, JsonObject } from '../../events/event.model.js';
import { violationText } from '../../events/plan-violation.model.js';
import { WeftError } from '../../platform/errors.js';
import type { Source } from '../../sources/source.model.js';
import { hasScope } from '../auth/api-key.model.js';
import { mapEventInput, rawEventInput } from '../map-event-input.js';
import type { ApiContext } from './api-context.js';
import { EventOutcome, EventTypeType } from './enums.js';
import { resultUnion } from './failure.types.js';
import { IdentifierInput } from './profile.types.js';
import { DateTime, Json } from './scalars.js';

const MAX_EVENTS = 2_500;

@InputType('EventInput', { description: 'An event, as it is sent.' })
class EventInput {
  @Field(() => EventTypeType, { description: 'The kind of the event, as in the tracking API.' })
  type!: EventType;

  @Field(() => String, { nullable: true, description: 'The name of a `TRACK` event, or of a page or screen.' })
  name?: string | null;

  @Field(() => String, {
    nullable: true,
    description: 'Unique within the source; sending it again counts once. Default: one is made.',
  })
  messageId?: string | null;

  @Field(() => [IdentifierInput], { description: 'Whose event it is: at least one.' })
  identifiers!: IdentifierInput[];

  @Field(() => DateTime, { nullable: true, description: "When it happened, by the sender's clock; default: now." })
  timestamp?: number | null;

  @Field(() => DateTime, {
    nullable: true,
    description: "When it was sent, by the sender's clock; corrects `timestamp`, unless left out.",
  })
  sentAt?: number | null;

  @Field(() => Json, {
    nullable: true,
    description: 'An object: what belongs to the event, as `{ value: 12.5 }`. Default: empty.',
  })
  properties?: JsonObject | null;

  @Field(() => Json, {
    nullable: true,
    description: 'An object: what is known of the person, as `{ first_name: "Ann" }`. Default: empty.',
  })
  traits?: JsonObject | null;

  @Field(() => Json, {
    nullable: true,
    description: 'An object: where it came from, as the address of a page; `ip` is not kept. Default: empty.',
  })
  context?: JsonObject | null;

  @Field(() => String, { nullable: true, description: 'For `GROUP`: the group.' })
  groupId?: string | null;
}

@ObjectType('EventResult', { simpleResolvers: true, description: 'What became of one event.' })
class EventResult {
  @Field(() => EventOutcome, { description: 'What became of it.' })
  status!: string;

  @Field(() => String, { nullable: true, description: 'Why it was refused, for programs.' })
  code!: string | null;

  @Field(() => String, { nullable: true, description: 'Why it was refused, for people.' })
  reason!: string | null;

  @Field(() => String, { nullable: true, description: 'How to fix it; null unless it was refused and that is known.' })
  hint!: string | null;

  @Field(() => [String], {
    description:
      'What it violates of the tracking plan of its source, as `missing_property properties.total`; at most 20.',
  })
  violations!: readonly string[];
}

@ObjectType('IngestReport', { simpleResolvers: true, description: 'What became of a list of events.' })
class IngestReport {
  @Field(() => Int, { description: 'How many are durable now and were not before.' })
  accepted!: number;

  @Field(() => Int, { description: 'How many had been accepted before.' })
  duplicates!: number;

  @Field(() => Int, { description: 'How many cannot be taken.' })
  refused!: number;

  @Field(() => [EventResult], { description: 'The outcome of each, in the order given.' })
  results!: EventResult[];
}

const Ingested = resultUnion<IngestReport>('IngestResult', { type: IngestReport, name: 'IngestReport' }, [
  'NotFound',
  'BadRequest',
  'SourcePaused',
]);

@Resolver()
export class IngestResolver {
  @Authorized('ingest')
  @Mutation(() => Ingested.type, {
    description: 'Takes events. When it answers, those that it calls accepted are durable. At most 2,500.',
  })
  ingest(
    @Ctx() context: ApiContext,
    @Arg('source', () => String, {
      description: 'Key of the source, as `web`; a key that is not admin has only its own.',
    })
    sourceKey: string,
    @Arg('events', () => [EventInput], { description: 'The events, at most 2,500.' }) events: EventInput[],
  ): Promise<unknown> {
    const { services, principal } = context;
    return Ingested.attempt(async () => {
      const source = await sourceOf(context, sourceKey);
      if (events.length > MAX_EVENTS) {
        throw new WeftError('BAD_REQUEST', `more than ${String(MAX_EVENTS)} events`, {
          where: 'events',
          hint: 'send fewer at a time',
        });
      }
      services.limits.admitEvents(principal, source, events.length);
      const outcomes = await services.accept.accept(source, events.map(mapEventInput), {
        historical: false,
        clientOf: (index): EventClient => ({ address: addressIn(events[index]?.context), userAgent: null }),
        rawOf: (index) => ({ form: { kind: 'graphql' }, input: rawEventInput(events[index]) }),
      });
      const results = outcomes.map((outcome): EventResult => {
        const violations = (outcome.violations ?? []).map(violationText);
        if (outcome.status !== 'refused') {
          return { status: outcome.status, code: null, reason: null, hint: null, violations };
        }
        return {
          status: 'refused',
          code: outcome.code,
          reason: outcome.reason,
          hint: outcome.hint ?? null,
          violations,
        };
      });
      const count = (status: string): number => results.filter((result) => result.status === status).length;
      return { accepted: count('accepted'), duplicates: count('duplicate'), refused: count('refused'), results };
    });
  }
}

/** @throws WeftError NOT_FOUND; FORBIDDEN for the source of another key */
export async function sourceOf({ services, principal }: ApiContext, sourceKey: string): Promise<Source> {
  const source = await services.sources.findByKey(sourceKey);
  if (!hasScope(principal, 'admin') && source?.id !== principal.sourceId) {
    throw new WeftError('FORBIDDEN', 'this key belongs to another source', {
      where: 'source',
      hint: 'send to the source of the key, or use a key of that source',
    });
  }
  if (source !== null) return source;
  throw new WeftError('NOT_FOUND', `there is no source ${sourceKey.slice(0, 100)}`, {
    where: 'source',
    hint: 'create it with createSource',
  });
}
