import { Arg, Authorized, Ctx, FieldResolver, Int, Mutation, Query, Resolver, Root } from 'type-graphql';
import { ALL_CHANGES } from '../../activation/change-filter.model.js';
import {
  ENDPOINT_LIMITS,
  type EndpointContent,
  type EndpointSettings,
  type FailedDelivery,
} from '../../activation/endpoints/endpoint.model.js';
import type { EndpointChanges, ListedEndpoint } from '../../activation/endpoints/endpoint.service.js';
import type { PayloadTemplate } from '../../activation/endpoints/payload-template.model.js';
import { WeftError } from '../../platform/errors.js';
import { isKey } from '../../platform/key.js';
import type { ApiContext } from './api-context.js';
import { filterSpecOf } from './change-subscription.types.js';
import {
  AFTER,
  connection,
  DEFAULT_PAGE_SIZE,
  FIRST,
  pageSize,
  type Connection,
  type Edge,
} from './connection.types.js';
import { CHANGE_CURSOR, WEBHOOK_ENDPOINT_CURSOR } from './cursors.js';
import { overlapMs, timeoutMsOf } from './duration-arguments.js';
import { resultUnion } from './failure.types.js';
import {
  CreatedWebhookEndpoint,
  EndpointContentType,
  UndeliveredChangeConnection,
  UndeliveredChangesMoved,
  UndeliveredChangeType,
  WebhookEndpointConnection,
  WebhookEndpointInput,
  WebhookEndpointRemoved,
  WebhookEndpointType,
  WebhookTestOutcome,
} from './webhook-endpoint.types.js';

const ENDPOINT = { type: WebhookEndpointType, name: 'WebhookEndpoint' };
const WITH_SECRET = { type: CreatedWebhookEndpoint, name: 'CreatedWebhookEndpoint' };
const MOVED = { type: UndeliveredChangesMoved, name: 'UndeliveredChangesMoved' };

const Created = resultUnion<CreatedWebhookEndpoint>('CreateWebhookEndpointResult', WITH_SECRET, [
  'BadRequest',
  'NotFound',
  'Conflict',
  'InvalidDefinition',
]);
const Updated = resultUnion<ListedEndpoint>('UpdateWebhookEndpointResult', ENDPOINT, [
  'BadRequest',
  'NotFound',
  'InvalidDefinition',
]);
const Changed = resultUnion<ListedEndpoint>('ChangeWebhookEndpointResult', ENDPOINT, ['NotFound']);
const Rotated = resultUnion<CreatedWebhookEndpoint>('RotateWebhookEndpointSecretResult', WITH_SECRET, [
  'NotFound',
  'BadRequest',
]);
const Tested = resultUnion<WebhookTestOutcome>(
  'TestWebhookEndpointResult',
  { type: WebhookTestOutcome, name: 'WebhookTestOutcome' },
  ['NotFound'],
);
const Moved = resultUnion<UndeliveredChangesMoved>('MoveUndeliveredChangesResult', MOVED, ['NotFound']);
const Removed = resultUnion<WebhookEndpointRemoved>(
  'RemoveWebhookEndpointResult',
  { type: WebhookEndpointRemoved, name: 'WebhookEndpointRemoved' },
  ['NotFound'],
);

const KEY = 'Key of the endpoint, as `crm`.';
const CURSORS = 'Cursors of the changes, as `UndeliveredChange.cursor` has them; all that were given up if left out.';

@Resolver(() => WebhookEndpointType)
export class WebhookEndpointResolver {
  @Authorized('admin')
  @Query(() => WebhookEndpointConnection, { description: 'Where changes of segments are posted to, by key.' })
  async webhookEndpoints(
    @Ctx() { services, reads }: ApiContext,
    @Arg('first', () => Int, { defaultValue: DEFAULT_PAGE_SIZE, description: FIRST }) first: number,
    @Arg('after', () => String, { nullable: true, description: AFTER }) after: string | null | undefined,
  ): Promise<Connection<Edge<ListedEndpoint>>> {
    const limit = pageSize(first);
    reads.countSingleRead('webhookEndpoints');
    const from = typeof after === 'string' ? WEBHOOK_ENDPOINT_CURSOR.decode(after).key : null;
    const found = from !== null && !isKey(from) ? [] : await services.endpoints.page(from, limit + 1);
    const edges = found.map((node) => ({ cursor: WEBHOOK_ENDPOINT_CURSOR.encode({ key: node.key }), node }));
    return connection(edges, limit, after);
  }

  @Authorized('admin')
  @Query(() => WebhookEndpointType, { nullable: true, description: 'One endpoint; null: there is none of this key.' })
  async webhookEndpoint(
    @Ctx() { services, reads }: ApiContext,
    @Arg('key', () => String, { description: KEY }) key: string,
  ): Promise<ListedEndpoint | null> {
    reads.countSingleRead('webhookEndpoint');
    return services.endpoints.find(key);
  }

  @Authorized('admin')
  @Query(() => UndeliveredChangeConnection, {
    description: 'Changes that an endpoint did not take, in the order of the feed; empty for one that there is not.',
  })
  async undeliveredChanges(
    @Ctx() { services, reads }: ApiContext,
    @Arg('key', () => String, { description: KEY }) key: string,
    @Arg('first', () => Int, { defaultValue: DEFAULT_PAGE_SIZE, description: FIRST }) first: number,
    @Arg('after', () => String, { nullable: true, description: AFTER }) after: string | null | undefined,
  ): Promise<Connection<Edge<FailedDelivery>>> {
    const limit = pageSize(first);
    reads.countSingleRead('undeliveredChanges');
    const from = typeof after === 'string' ? CHANGE_CURSOR.decode(after).seq : 0;
    const isThere = (await services.endpoints.find(key)) !== null;
    const found = isThere ? await services.endpoints.undelivered(key, from, limit + 1) : [];
    const edges = found.map((node) => ({ cursor: CHANGE_CURSOR.encode({ seq: node.seq }), node }));
    return connection(edges, limit, after);
  }

  @FieldResolver(() => String, {
    description: 'How far it is: changes up to this cursor, as `WyJjaGFuZ2VzLjEiLDQyXQ`, are delivered or undelivered.',
  })
  cursor(@Root() { seq }: ListedEndpoint): string {
    return CHANGE_CURSOR.encode({ seq });
  }

  @FieldResolver(() => EndpointContentType, { description: 'What of a person is sent with a change.' })
  content(@Root() { content }: ListedEndpoint): EndpointContentType {
    return content;
  }

  @FieldResolver(() => String, {
    nullable: true,
    description: 'Name of the template of bodies, as `standard`; null: one of its own.',
  })
  template(@Root() { content: { template } }: ListedEndpoint): string | null {
    return template === null ? 'standard' : typeof template === 'string' ? template : null;
  }

  @Authorized('admin')
  @Mutation(() => Created.type, {
    description: 'Makes an endpoint: changes of segments are posted there from now on, as docs/webhooks-out.md says.',
  })
  createWebhookEndpoint(
    @Ctx() { services }: ApiContext,
    @Arg('key', () => String, { description: 'What it is to be called, as `crm`; at most 63 characters.' }) key: string,
    @Arg('endpoint', () => WebhookEndpointInput, { description: 'The endpoint to be made; it needs a `url`.' })
    input: WebhookEndpointInput,
    @Arg('from', () => String, {
      nullable: true,
      description: 'The `cursor` of the change behind which it begins, as `WyJjaGFuZ2VzLjEiLDQyXQ`; now if left out.',
    })
    from: string | null | undefined,
  ): Promise<unknown> {
    return Created.attempt(async () => {
      if (typeof input.url !== 'string') {
        throw new WeftError('BAD_REQUEST', 'an endpoint needs a URL', { where: 'url', hint: 'say where requests go' });
      }
      const { headers = {}, filter, content, settings } = givenOf(input);
      return services.endpoints.create({
        ...{ key, url: input.url, headers, filter: filter ?? ALL_CHANGES },
        after: typeof from === 'string' ? CHANGE_CURSOR.decode(from, 'from').seq : null,
        content: { identifiers: [], traits: [], features: [], pii: false, template: null, ...content },
        settings: {
          timeoutMs: ENDPOINT_LIMITS.defaultTimeoutMs,
          concurrency: ENDPOINT_LIMITS.defaultConcurrency,
          maxAttempts: ENDPOINT_LIMITS.defaultAttempts,
          ...settings,
        },
      });
    });
  }

  @Authorized('admin')
  @Mutation(() => Updated.type, {
    description: 'Changes an endpoint; what is left out stays. A filter is given whole.',
  })
  updateWebhookEndpoint(
    @Ctx() { services }: ApiContext,
    @Arg('key', () => String, { description: KEY }) key: string,
    @Arg('endpoint', () => WebhookEndpointInput, { description: 'What is to be changed of it.' })
    input: WebhookEndpointInput,
  ): Promise<unknown> {
    return Updated.attempt(async () => {
      const former = await services.endpoints.demand(key);
      const { headers, filter, content, settings } = givenOf(input);
      const changes: EndpointChanges = {
        ...(typeof input.url === 'string' ? { url: input.url } : {}),
        ...(headers === undefined ? {} : { headers }),
        ...(filter === undefined ? {} : { filter }),
        ...(Object.keys(content).length === 0 ? {} : { content: { ...former.content, ...content } }),
        ...(Object.keys(settings).length === 0 ? {} : { settings: { ...former.settings, ...settings } }),
      };
      return services.endpoints.update(key, changes);
    });
  }

  @Authorized('admin')
  @Mutation(() => Changed.type, { description: 'Sends nothing until it is resumed; changes wait in the feed.' })
  pauseWebhookEndpoint(
    @Ctx() { services }: ApiContext,
    @Arg('key', () => String, { description: KEY }) key: string,
  ): Promise<unknown> {
    return Changed.attempt(() => services.endpoints.pause(key));
  }

  @Authorized('admin')
  @Mutation(() => Changed.type, {
    description: 'Goes on with an endpoint where it was; what waits to be tried again is tried at once.',
  })
  resumeWebhookEndpoint(
    @Ctx() { services }: ApiContext,
    @Arg('key', () => String, { description: KEY }) key: string,
  ): Promise<unknown> {
    return Changed.attempt(() => services.endpoints.resume(key));
  }

  @Authorized('admin')
  @Mutation(() => Rotated.type, {
    description: 'Makes a new signing secret. Requests carry signatures by both for a while.',
  })
  rotateWebhookEndpointSecret(
    @Ctx() { services }: ApiContext,
    @Arg('key', () => String, { description: KEY }) key: string,
    @Arg('overlap', () => String, {
      defaultValue: '24h',
      description: 'How long by both: a number and `s`, `m`, `h` or `d`, as in `24h`, at most `30d`.',
    })
    overlap: string,
  ): Promise<unknown> {
    return Rotated.attempt(async () => {
      const secret = await services.endpoints.rotateSecret(key, overlapMs(overlap));
      return { endpoint: await services.endpoints.demand(key), secret };
    });
  }

  @Authorized('admin')
  @Mutation(() => Tested.type, { description: 'Sends a signed request that is no change, and says what came of it.' })
  testWebhookEndpoint(
    @Ctx() { services }: ApiContext,
    @Arg('key', () => String, { description: KEY }) key: string,
  ): Promise<unknown> {
    return Tested.attempt(async () => {
      const outcome = await services.endpoints.test(key);
      const isTaken = outcome.kind === 'delivered';
      return { isTaken, error: isTaken ? null : outcome.error };
    });
  }

  @Authorized('admin')
  @Mutation(() => Moved.type, {
    description: 'Tries changes again that were given up. They come behind later ones of the same person.',
  })
  replayUndeliveredChanges(
    @Ctx() { services }: ApiContext,
    @Arg('key', () => String, { description: KEY }) key: string,
    @Arg('cursors', () => [String], { nullable: true, description: CURSORS })
    cursors: string[] | null | undefined,
  ): Promise<unknown> {
    return Moved.attempt(async () => ({ count: await services.endpoints.replay(key, seqsOf(cursors)) }));
  }

  @Authorized('admin')
  @Mutation(() => Moved.type, { description: 'Gives changes up for good that were tried in vain.' })
  discardUndeliveredChanges(
    @Ctx() { services }: ApiContext,
    @Arg('key', () => String, { description: KEY }) key: string,
    @Arg('cursors', () => [String], { nullable: true, description: CURSORS })
    cursors: string[] | null | undefined,
  ): Promise<unknown> {
    return Moved.attempt(async () => ({ count: await services.endpoints.discard(key, seqsOf(cursors)) }));
  }

  @Authorized('admin')
  @Mutation(() => Removed.type, { description: 'Removes an endpoint, with what has yet to be delivered to it.' })
  removeWebhookEndpoint(
    @Ctx() { services }: ApiContext,
    @Arg('key', () => String, { description: KEY }) key: string,
  ): Promise<unknown> {
    return Removed.attempt(async () => {
      await services.endpoints.remove(key);
      return { key };
    });
  }
}

@Resolver(() => UndeliveredChangeType)
export class UndeliveredChangeResolver {
  @FieldResolver(() => String, {
    description: 'Its place in the feed, as `WyJjaGFuZ2VzLjEiLDQyXQ`, to replay or discard it by.',
  })
  cursor(@Root() { seq }: FailedDelivery): string {
    return CHANGE_CURSOR.encode({ seq });
  }
}

interface Given {
  readonly headers: Readonly<Record<string, string>> | undefined;
  readonly filter: ReturnType<typeof filterSpecOf> | undefined;
  readonly content: Partial<EndpointContent>;
  readonly settings: Partial<EndpointSettings>;
}

function givenOf(input: WebhookEndpointInput): Given {
  const { headers, filter, identifiers, traits, features, pii, timeout, concurrency, maxAttempts } = input;
  const template = templateOf(input);
  return {
    headers: headers == null ? undefined : Object.fromEntries(headers.map(({ name, value }) => [name, value])),
    filter: filter == null ? undefined : filterSpecOf(filter),
    content: {
      ...(identifiers == null ? {} : { identifiers }),
      ...(traits == null ? {} : { traits }),
      ...(features == null ? {} : { features }),
      ...(pii == null ? {} : { pii }),
      ...(template === undefined ? {} : { template }),
    },
    settings: {
      ...(timeout == null ? {} : { timeoutMs: timeoutMsOf(timeout) }),
      ...(concurrency == null ? {} : { concurrency }),
      ...(maxAttempts == null ? {} : { maxAttempts }),
    },
  };
}

/** Undefined: none is given. @throws WeftError BAD_REQUEST */
function templateOf({ template, ownTemplate }: WebhookEndpointInput): EndpointContent['template'] | undefined {
  if (ownTemplate == null) return template ?? undefined;
  if (template != null) {
    throw new WeftError('BAD_REQUEST', 'two templates are given', {
      where: 'ownTemplate',
      hint: 'give template or ownTemplate',
    });
  }
  try {
    // What is in it is checked where it is kept.
    return JSON.parse(ownTemplate) as PayloadTemplate;
  } catch {
    throw new WeftError('BAD_REQUEST', 'the template is no JSON', {
      where: 'ownTemplate',
      hint: 'write { "who": "{{profile.id}}" }',
    });
  }
}

function seqsOf(cursors: readonly string[] | null | undefined): number[] | null {
  return cursors == null ? null : cursors.map((cursor) => CHANGE_CURSOR.decode(cursor, 'cursors').seq);
}
