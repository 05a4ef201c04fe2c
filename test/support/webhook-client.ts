import type { ApiWorld } from './api-world.js';
import type { Sign } from './webhook-deliveries.js';

export interface TimelineNode {
  readonly name: string;
  readonly source: string;
  readonly messageId: string;
  readonly occurredAt: string;
  readonly historical: boolean;
  readonly properties: Readonly<Record<string, unknown>>;
}

export interface DeliveryAnswer {
  readonly status: number;
  readonly text: string;
}

const TIMELINE = `query ($of: IdentifierInput!) { profile(identifier: $of) { timeline(first: 50) { edges { node {
  ... on TimelineEvent { name source messageId occurredAt historical properties } } } } } }`;

/** Posts to a webhook as it is. */
export async function post(
  { url }: ApiWorld,
  key: string,
  body: string | Buffer,
  headers: Readonly<Record<string, string>>,
): Promise<DeliveryAnswer> {
  const response = await fetch(`${url}/v1/webhooks/${key}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: new Uint8Array(Buffer.from(body)),
  });
  return { status: response.status, text: await response.text() };
}

/** Signs as the sender does, posts, and applies what came of it. */
export async function deliver(
  world: ApiWorld,
  { key, secret, sign }: { readonly key: string; readonly secret: string; readonly sign: Sign },
  delivery: object,
): Promise<Readonly<Record<string, unknown>>> {
  const text = JSON.stringify(delivery);
  const answer = await post(world, key, text, sign(text, secret, world.clock.now()));
  await world.drain();
  return { status: answer.status, ...(JSON.parse(answer.text) as object) };
}

/** The events of whoever has this identifier, newest first. */
export async function timelineOf(
  world: ApiWorld,
  namespace: string,
  value: string,
  key?: string,
): Promise<readonly TimelineNode[]> {
  const { data, errors } = await world.ask<{
    readonly profile: { readonly timeline: { readonly edges: readonly { readonly node: TimelineNode }[] } } | null;
  }>(TIMELINE, { of: { namespace, value } }, key === undefined ? {} : { key });
  if (errors !== undefined) throw new Error(JSON.stringify(errors));
  return (data?.profile?.timeline.edges ?? []).map(({ node }) => node);
}
