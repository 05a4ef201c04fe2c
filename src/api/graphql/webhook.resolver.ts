import { Arg, Authorized, Ctx, Field, InputType, Int, Mutation, ObjectType, Query, Resolver } from 'type-graphql';
import type { HmacOptions, Webhook, WebhookAdapterKey, WebhookOptions } from '../../sources/webhooks/webhook.model.js';
import type { CreatedWebhook, WebhookDetails } from '../../sources/webhooks/webhook.service.js';
import type { ApiContext } from './api-context.js';
import {
  AFTER,
  connectionTypes,
  DEFAULT_PAGE_SIZE,
  FIRST,
  pageByKey,
  pageSize,
  type Connection,
  type Edge,
} from './connection.types.js';
import { WEBHOOK_CURSOR } from './cursors.js';
import { HmacAlgorithmType, SignatureEncodingType, WebhookAdapterType } from './enums.js';
import { resultUnion } from './failure.types.js';
import { overlapMs } from './duration-arguments.js';
import { DateTime } from './scalars.js';

const DEFAULT_TOLERANCE_S = 300;

@ObjectType('Webhook', {
  simpleResolvers: true,
  description: 'A source to which a network or another program delivers. Its secrets cannot be read.',
})
class WebhookType {
  @Field(() => String, { description: 'Key of its source, as in `facebook`.' })
  key!: string;

  @Field(() => WebhookAdapterType, { description: 'Who delivers, and so in what form.' })
  adapter!: WebhookAdapterKey;

  @Field(() => String, { description: 'Where it is delivered to, as in `/v1/webhooks/facebook`.' })
  path!: string;

  @Field(() => Boolean, { description: 'Whether what direct messages and tickets say is kept, for admins to see.' })
  keepMessages!: boolean;

  @Field(() => DateTime, { description: 'When it was made.' })
  createdAt!: number;

  @Field(() => Int, {
    description:
      'Deliveries whose replay was interrupted, so that their events may be missing: the next `weft webhooks replay` begins with them. Until then they are kept, whatever their age.',
  })
  interruptedDeliveries!: number;
}

@ObjectType('CreatedWebhook', { simpleResolvers: true, description: 'A new webhook.' })
class CreatedWebhookType {
  @Field(() => WebhookType, { description: 'What is known of it from now on.' })
  webhook!: WebhookType;

  @Field(() => String, {
    nullable: true,
    description: 'Of the adapter `META`: the token to give the network, if it was made here. Nobody can show it again.',
  })
  verifyToken!: string | null;
}

@InputType('WebhookSignatureInput', { description: 'How deliveries of the adapter `JSON` are signed, by HMAC.' })
class WebhookSignatureInput {
  @Field(() => String, { description: 'The header that holds the signature, as in `x-signature`.' })
  header!: string;

  @Field(() => HmacAlgorithmType, { defaultValue: 'sha256', description: 'The hash function of the HMAC.' })
  algorithm!: HmacOptions['algorithm'];

  @Field(() => SignatureEncodingType, { defaultValue: 'hex', description: 'How the signature is written.' })
  encoding!: HmacOptions['encoding'];

  @Field(() => String, { defaultValue: '', description: 'What stands before the signature, as in `sha256=`.' })
  prefix!: string;

  @Field(() => String, { nullable: true, description: 'The header that says when it was signed; default: none does.' })
  timestampHeader?: string | null;

  @Field(() => String, {
    nullable: true,
    description: 'What is signed. Default: `{body}`, with a timestamp header `{timestamp}.{body}`.',
  })
  signedContent?: string | null;

  @Field(() => Int, {
    defaultValue: DEFAULT_TOLERANCE_S,
    description: 'How old a signature may be that says when it was made, in seconds, up to 86,400.',
  })
  toleranceSeconds!: number;
}

@InputType('WebhookOptionsInput', { description: 'What can be decided about a webhook; what is left out stays.' })
class WebhookOptionsInput {
  @Field(() => Boolean, {
    nullable: true,
    description: 'Whether what direct messages and tickets say is kept, for admins to see. Of new webhooks: false.',
  })
  keepMessages?: boolean | null;

  @Field(() => String, { nullable: true, description: 'Only for `JSON`: the text of the mapping file, in YAML.' })
  mapping?: string | null;

  @Field(() => String, {
    nullable: true,
    description: 'Only for `JSON`: where the list is in the body, as in `data.events`.',
  })
  items?: string | null;

  @Field(() => String, {
    nullable: true,
    description: 'Only for `JSON`: the property whose language and sentiment are added.',
  })
  textProperty?: string | null;

  @Field(() => Boolean, { nullable: true, description: 'Only for `JSON`: whether that property is a private message.' })
  isPrivate?: boolean | null;
}

@InputType('WebhookInput', { description: 'A webhook to be made.' })
class WebhookInput {
  @Field(() => String, { description: 'Key of its source, which is made if it is not there, as in `facebook`.' })
  key!: string;

  @Field(() => WebhookAdapterType, { description: 'Who delivers.' })
  adapter!: WebhookAdapterKey;

  @Field(() => String, {
    nullable: true,
    description: 'What deliveries are signed with. Write-only. Needed but for `JSON` without a signature.',
  })
  secret?: string | null;

  @Field(() => String, {
    nullable: true,
    description: '`META`: the token that the handshake names. Write-only. Default: one is made.',
  })
  verifyToken?: string | null;

  @Field(() => WebhookSignatureInput, {
    nullable: true,
    description: '`JSON`: how deliveries are signed. Default: not at all; they carry a write key of the source.',
  })
  signature?: WebhookSignatureInput | null;

  @Field(() => WebhookOptionsInput, {
    nullable: true,
    description: 'What else is decided; what is left out is by default.',
  })
  options?: WebhookOptionsInput | null;
}

const Created = resultUnion<CreatedWebhookType>(
  'CreateWebhookResult',
  { type: CreatedWebhookType, name: 'CreatedWebhook' },
  ['BadRequest', 'Conflict', 'InvalidDefinition', 'PayloadTooLarge'],
);
const Updated = resultUnion<WebhookType>('UpdateWebhookResult', { type: WebhookType, name: 'Webhook' }, [
  'BadRequest',
  'NotFound',
  'InvalidDefinition',
  'PayloadTooLarge',
]);
const Rotated = resultUnion<WebhookType>('RotateWebhookSecretResult', { type: WebhookType, name: 'Webhook' }, [
  'BadRequest',
  'NotFound',
]);

const KEY = 'Key of its source, as in `facebook`.';

const WebhookConnection = connectionTypes<WebhookType>(WebhookType, 'Webhook');

@Resolver()
export class WebhookResolver {
  @Authorized('admin')
  @Query(() => WebhookConnection, { description: 'All webhooks, by key.' })
  async webhooks(
    @Ctx() { services }: ApiContext,
    @Arg('first', () => Int, { defaultValue: DEFAULT_PAGE_SIZE, description: FIRST }) first: number,
    @Arg('after', () => String, { nullable: true, description: AFTER }) after: string | null | undefined,
  ): Promise<Connection<Edge<WebhookType>>> {
    const from = typeof after === 'string' ? WEBHOOK_CURSOR.decode(after).key : null;
    const webhooks = (await services.webhooks.service.page(from, pageSize(first) + 1)).map((webhook) =>
      viewOf(webhook, webhook.interruptedDeliveries),
    );
    return pageByKey(webhooks, ({ key }) => key, WEBHOOK_CURSOR, { first, after });
  }

  @Authorized('admin')
  @Mutation(() => Created.type, { description: 'Makes a webhook.' })
  createWebhook(
    @Ctx() { services, watch }: ApiContext,
    @Arg('webhook', () => WebhookInput, { description: 'The webhook to be made.' }) input: WebhookInput,
  ): Promise<unknown> {
    return Created.attempt(async () => {
      const { key, adapter, secret, verifyToken, signature, options } = input;
      const created = await services.webhooks.service.create({
        key,
        adapter,
        options: {
          keepMessages: false,
          ...optionsOf(options ?? {}),
          ...(signature == null ? {} : { hmac: hmacOf(signature) }),
        },
        ...(secret == null ? {} : { secret }),
        ...(verifyToken == null ? {} : { verifyToken }),
      });
      await watch.reload();
      return createdView(created);
    });
  }

  @Authorized('admin')
  @Mutation(() => Updated.type, { description: 'Changes a webhook, everywhere within five seconds.' })
  updateWebhook(
    @Ctx() { services }: ApiContext,
    @Arg('key', () => String, { description: KEY }) key: string,
    @Arg('options', () => WebhookOptionsInput, { description: 'What is to be otherwise.' })
    options: WebhookOptionsInput,
  ): Promise<unknown> {
    return Updated.attempt(async () => {
      const { service } = services.webhooks;
      await service.update(key, optionsOf(options));
      return detailsView(await service.details(key));
    });
  }

  @Authorized('admin')
  @Mutation(() => Rotated.type, {
    description: 'Sets a new secret, everywhere within five seconds. The one before is valid beside it for a while.',
  })
  rotateWebhookSecret(
    @Ctx() { services }: ApiContext,
    @Arg('key', () => String, { description: KEY }) key: string,
    @Arg('secret', () => String, { description: 'What deliveries are signed with from now on. Write-only.' })
    secret: string,
    @Arg('overlap', () => String, {
      defaultValue: '24h',
      description: 'For how long both are valid: a number and `s`, `m`, `h` or `d`, as in `24h`, at most `30d`.',
    })
    overlap: string,
    @Arg('isVerifyToken', () => Boolean, {
      defaultValue: false,
      description: '`META`: the token of the handshake is meant.',
    })
    isVerifyToken: boolean,
  ): Promise<unknown> {
    return Rotated.attempt(async () => {
      const { service } = services.webhooks;
      await service.rotateSecret(key, isVerifyToken ? 'verify' : 'signing', secret, overlapMs(overlap));
      return detailsView(await service.details(key));
    });
  }
}

function viewOf({ key, adapter, options, createdAt }: Webhook, interruptedDeliveries: number): WebhookType {
  const { keepMessages } = options;
  return { key, adapter, path: `/v1/webhooks/${key}`, keepMessages, createdAt, interruptedDeliveries };
}

function detailsView({ webhook, kept }: WebhookDetails): WebhookType {
  return viewOf(webhook, kept.interrupted);
}

function createdView({ webhook, verifyToken }: CreatedWebhook): CreatedWebhookType {
  return { webhook: viewOf(webhook, 0), verifyToken };
}

function optionsOf(input: WebhookOptionsInput): Partial<WebhookOptions> {
  const given = Object.entries(input).filter(([, value]) => value !== null && value !== undefined);
  return Object.fromEntries(given);
}

function hmacOf(input: WebhookSignatureInput): HmacOptions {
  const { header, algorithm, encoding, prefix, signedContent, toleranceSeconds } = input;
  const timestampHeader = input.timestampHeader ?? null;
  return {
    header,
    algorithm,
    encoding,
    prefix,
    timestampHeader,
    signedContent: signedContent ?? (timestampHeader === null ? '{body}' : '{timestamp}.{body}'),
    toleranceS: toleranceSeconds,
  };
}
