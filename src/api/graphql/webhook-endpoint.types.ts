import { Field, ID, InputType, Int, ObjectType } from 'type-graphql';
import type { ChangeFilterSpec } from '../../activation/change-filter.model.js';
import type { FailedDelivery } from '../../activation/endpoints/endpoint.model.js';
import type { ListedEndpoint } from '../../activation/endpoints/endpoint.service.js';
import { ChangeFilterInput, ChangeFilterType } from './change-subscription.types.js';
import { connectionTypes } from './connection.types.js';
import { EndpointTemplateType, UndeliveredStatusType } from './enums.js';
import { DateTime } from './scalars.js';

@ObjectType('WebhookEndpointContent', {
  simpleResolvers: true,
  description: 'What of a person is sent with a change, and in what form.',
})
export class EndpointContentType {
  @Field(() => [String], { description: 'Namespaces of identifiers that are sent, as `email`; at most 100.' })
  identifiers!: readonly string[];

  @Field(() => [String], { description: 'Names of traits that are sent, as `plan`; at most 100.' })
  traits!: readonly string[];

  @Field(() => [String], { description: 'Names of features that are sent, as `orders_30d`; at most 100.' })
  features!: readonly string[];

  @Field(() => Boolean, { description: 'Whether personal data is sent as it is; else masked.' })
  pii!: boolean;
}

/** `cursor`, `content` and `template` are resolved. */
@ObjectType('WebhookEndpoint', {
  description: 'Where changes of segments are posted to. Its URL, headers and signing secret cannot be read.',
})
export class WebhookEndpointType {
  @Field(() => ID, { description: 'What it is called, as `crm`.' })
  key!: string;

  @Field(() => String, { description: 'Scheme, host and port of its URL, as `https://crm.example.com`.' })
  origin!: string;

  @Field(() => ChangeFilterType, { description: 'Which changes are sent to it.' })
  filter!: ChangeFilterSpec;

  @Field(() => DateTime, { nullable: true, description: 'Since when nothing is sent to it; null: changes are sent.' })
  pausedAt!: number | null;

  @Field(() => String, {
    nullable: true,
    description: 'Why it was paused, where Weft did so; null if somebody did, or if it is not paused.',
  })
  pausedBecause!: string | null;

  @Field(() => DateTime, {
    nullable: true,
    description: 'While its receiver is taken to be down: when it is tried again; null if it is not.',
  })
  retryAt!: number | null;

  @Field(() => String, {
    nullable: true,
    description: 'What the last request that failed came to, as `HTTP 503`; null: none did in the latest round.',
  })
  error!: string | null;

  @Field(() => Int, { description: 'How many changes were delivered, in all.' })
  delivered!: number;

  @Field(() => DateTime, { nullable: true, description: 'When one was delivered last; null: never.' })
  deliveredAt!: number | null;

  @Field(() => Int, { description: 'Positions of the feed that it is behind, whether or not these are for it.' })
  behind!: number;

  @Field(() => Int, { description: 'How many changes failed, or stand behind such a one of their person, and wait.' })
  waiting!: number;

  @Field(() => Int, { description: 'How many changes were given up and are kept.' })
  dead!: number;

  @Field(() => DateTime, { description: 'When it was made.' })
  createdAt!: number;
}

@ObjectType('CreatedWebhookEndpoint', {
  simpleResolvers: true,
  description: 'A new endpoint, or one with a new secret.',
})
export class CreatedWebhookEndpoint {
  @Field(() => WebhookEndpointType, { description: 'What is known of it from now on.' })
  endpoint!: ListedEndpoint;

  @Field(() => String, {
    description: 'What its requests are signed with, as `whsec_…`: give it to the receiver. Nobody can show it again.',
  })
  secret!: string;
}

@ObjectType('UndeliveredChange', { description: 'A change that an endpoint did not take.' })
export class UndeliveredChangeType {
  @Field(() => ID, { description: 'Whose change it is, as `01900000-0000-7000-8000-000000000000`.' })
  profileId!: string;

  @Field(() => UndeliveredStatusType, { description: 'Whether it is tried again.' })
  status!: FailedDelivery['status'];

  @Field(() => Int, { description: 'How often it was tried; 0: it stands behind another change of its person.' })
  attempts!: number;

  @Field(() => DateTime, { nullable: true, description: 'When it failed last; null if it was not tried.' })
  failedAt!: number | null;

  @Field(() => String, { nullable: true, description: 'What that came to, as `HTTP 422`; null if it was not tried.' })
  error!: string | null;
}

@ObjectType('WebhookTestOutcome', { simpleResolvers: true, description: 'What came of a request that is no change.' })
export class WebhookTestOutcome {
  @Field(() => Boolean, { description: 'Whether the receiver took it.' })
  isTaken!: boolean;

  @Field(() => String, {
    nullable: true,
    description: 'What it came to otherwise, as `HTTP 401`; null if it was taken.',
  })
  error!: string | null;
}

@ObjectType('UndeliveredChangesMoved', { simpleResolvers: true, description: 'Changes that are tried again, or gone.' })
export class UndeliveredChangesMoved {
  @Field(() => Int, { description: 'How many there were.' })
  count!: number;
}

@ObjectType('WebhookEndpointRemoved', { simpleResolvers: true, description: 'An endpoint that was removed.' })
export class WebhookEndpointRemoved {
  @Field(() => ID, { description: 'What it was called, as `crm`.' })
  key!: string;
}

@InputType('WebhookHeaderInput', { description: 'A header that is sent with each request.' })
export class WebhookHeaderInput {
  @Field(() => String, { description: 'Name of the header, as `authorization`.' })
  name!: string;

  @Field(() => String, { description: 'What it says, in printable ASCII; kept sealed.' })
  value!: string;
}

@InputType('WebhookEndpointInput', { description: 'An endpoint, or what is to be changed of one.' })
export class WebhookEndpointInput {
  @Field(() => String, {
    nullable: true,
    description: 'Where requests go, as `https://crm.example.com/hooks`; if left out of a change, it stays.',
  })
  url?: string | null;

  @Field(() => [WebhookHeaderInput], {
    nullable: true,
    description: 'Headers to be sent, at most 10; if left out of a change, they stay, unless the host is another.',
  })
  headers?: WebhookHeaderInput[] | null;

  @Field(() => ChangeFilterInput, {
    nullable: true,
    description: 'Which changes are sent; all if left out, and of a change as before.',
  })
  filter?: ChangeFilterInput | null;

  @Field(() => [String], { nullable: true, description: 'Namespaces of identifiers to send; none by default.' })
  identifiers?: string[] | null;

  @Field(() => [String], { nullable: true, description: 'Names of traits to send; none by default.' })
  traits?: string[] | null;

  @Field(() => [String], { nullable: true, description: 'Names of features to send; none by default.' })
  features?: string[] | null;

  @Field(() => Boolean, { nullable: true, description: 'Whether personal data is sent as it is; masked by default.' })
  pii?: boolean | null;

  @Field(() => EndpointTemplateType, { nullable: true, description: 'The form of the body; default: `STANDARD`.' })
  template?: string | null;

  @Field(() => String, {
    nullable: true,
    description: 'A template of your own as JSON, as `{ "who": "{{profile.id}}" }`, instead of `template`.',
  })
  ownTemplate?: string | null;

  @Field(() => String, {
    nullable: true,
    description: 'How long an answer is waited for: a number and `s` or `m`, at most `60s`; default: `10s`.',
  })
  timeout?: string | null;

  @Field(() => Int, { nullable: true, description: 'Requests under way at once, 1 to 32; default: 4.' })
  concurrency?: number | null;

  @Field(() => Int, { nullable: true, description: 'Attempts of a change at most, 1 to 30; default: 12.' })
  maxAttempts?: number | null;
}

export const WebhookEndpointConnection = connectionTypes<ListedEndpoint>(WebhookEndpointType, 'WebhookEndpoint');
export const UndeliveredChangeConnection = connectionTypes<FailedDelivery>(UndeliveredChangeType, 'UndeliveredChange');
