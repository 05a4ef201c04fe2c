import { createClient } from 'graphql-ws';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { CHANGE_CURSOR } from '../../src/api/graphql/cursors.js';
import { changeSubscriptionsCommand } from '../../src/activation/change-subscriptions.command.js';
import { createApiWorld, type ApiWorld } from '../support/api-world.js';
import { runWith } from '../support/command-runner.js';
import { WebhookEndpointReceiver } from '../support/webhook-endpoint.js';
import { aTrack, anIdentify, HOUR_MS } from '../support/world.js';

interface Change {
  readonly cursor: string;
  readonly kind: string;
  readonly cause: { readonly kind: string };
  readonly segment: { readonly key: string };
}

const FIELDS = 'cursor kind cause { kind } segment { key }';
const SHOWN = `__typename ... on ChangeSubscription { key cursor pending pendingSince acknowledgedAt
  filter { segments profile kind causes exceptCauses purposes } } ... on Failure { code where message hint }`;

let world: ApiWorld;

beforeAll(async () => {
  world = await createApiWorld();
  await world.defineSegment('keen', 'count("product_view", "1h") >= 1');
  await world.defineSegment('buyers', 'performed("purchase")');
  await world.drain();
  await world.accept(['a', 'b', 'c'].map((user_id) => aTrack('product_view', { user_id })));
  await world.accept([aTrack('purchase', { user_id: 'a' })]);
  await world.drain();
  world.clock.advance(2 * HOUR_MS);
  await world.drain();
  // Who is a buyer already enters by an edit.
  await world.defineSegment('spenders', 'performed("purchase")');
  await world.drain();
  world.clock.advance(HOUR_MS);
  await world.drain();
});

afterAll(async () => {
  expect(world.defects).toEqual([]);
  await world.close();
});

const create = async (key: string, filter: object | null = null, from: string | null = null): Promise<unknown> => {
  const query = `mutation ($key: String!, $filter: ChangeFilterInput, $from: String) {
    made: createChangeSubscription(key: $key, filter: $filter, from: $from) { ${SHOWN} } }`;
  return (await world.data<{ made: unknown }>(query, { key, filter, from })).made;
};

const acknowledge = async (key: string, cursor: string): Promise<unknown> => {
  const query = `mutation ($key: String!, $cursor: String!) { done: acknowledgeChanges(key: $key, cursor: $cursor) { ${SHOWN} } }`;
  const { data, errors } = await world.ask<{ done: unknown }>(query, { key, cursor }, { key: world.keys.read });
  return data?.done ?? errors?.[0]?.extensions;
};

const pull = async (args: string): Promise<Change[]> => {
  const query = `{ segmentChanges(first: 100, ${args}) { edges { node { ${FIELDS} } } } }`;
  const { data, errors } = await world.ask<{ segmentChanges: { edges: { node: Change }[] } }>(query);
  if (errors !== undefined) throw new Error(JSON.stringify(errors));
  return (data?.segmentChanges.edges ?? []).map(({ node }) => node);
};

const show = async (key: string): Promise<Record<string, unknown> | null> =>
  (
    await world.data<{ changeSubscription: Record<string, unknown> | null }>(
      `{ changeSubscription(key: "${key}") { ${SHOWN.replace('... on Failure { code where message hint }', '')} } }`,
    )
  ).changeSubscription;

async function follow(variables: string, count: number): Promise<Change[]> {
  const url = `${world.url.replace('http', 'ws')}/graphql`;
  const client = createClient({
    ...{ url, webSocketImpl: WebSocket, connectionParams: { apiKey: world.keys.read }, retryAttempts: 0 },
  });
  const seen: Change[] = [];
  for await (const { data, errors } of client.iterate<{ segmentChanges: Change }>({
    query: `subscription { segmentChanges(${variables}) { ${FIELDS} } }`,
  })) {
    if (errors !== undefined) throw new Error(JSON.stringify(errors));
    if (data) seen.push(data.segmentChanges);
    if (seen.length === count) break;
  }
  await client.dispose();
  return seen;
}

const START = CHANGE_CURSOR.encode({ seq: 0 });
const brief = (changes: readonly Change[]): string[] =>
  changes.map(({ kind, cause, segment }) => `${segment.key} ${kind} ${cause.kind}`);

describe('the filter of a subscription', () => {
  const setFilter = async (key: string, filter: object): Promise<unknown> =>
    (
      await world.data<{ set: unknown }>(
        `mutation ($key: String!, $filter: ChangeFilterInput!) { set: setChangeSubscriptionFilter(key: $key, filter: $filter) { ${SHOWN} } }`,
        { key, filter },
      )
    ).set;

  it('can be another one, from where the subscription is', async () => {
    const start = CHANGE_CURSOR.encode({ seq: 0 });
    await create('moved', { segments: ['keen'] }, start);
    const [first] = await pull('subscription: "moved"');
    await acknowledge('moved', first?.cursor ?? '');
    expect(await setFilter('moved', { segments: ['buyers'] })).toMatchObject({
      ...{ __typename: 'ChangeSubscription', cursor: first?.cursor, filter: { segments: ['buyers'] } },
    });
    const told = await pull('subscription: "moved"');
    expect(told).toEqual(await pull(`after: "${first?.cursor ?? ''}", segments: ["buyers"]`));
    expect(told.length).toBeGreaterThan(0);
    await world.db.execute(`DELETE FROM change_subscriptions WHERE key = 'moved'`);
  });

  it('names what there is, of a subscription that there is, and who makes it anew is told of it', async () => {
    expect(await setFilter('nobody', {})).toMatchObject({ code: 'NOT_FOUND', where: 'subscription' });
    await create('other', { segments: ['keen'] });
    expect(await setFilter('other', { segments: ['nothing'] })).toMatchObject({ code: 'NOT_FOUND' });
    expect(await show('other')).toMatchObject({ filter: { segments: ['keen'] } });
    expect(await create('other', {})).toMatchObject({
      ...{ code: 'CONFLICT', hint: expect.stringContaining('setChangeSubscriptionFilter') as string },
    });
    await world.db.execute(`DELETE FROM change_subscriptions WHERE key = 'other'`);
  });
});

describe('changes of the feed', () => {
  it('can be had by kind and by cause, or without some causes', async () => {
    const all = await pull(`after: "${START}"`);
    expect(new Set(brief(all))).toEqual(
      new Set(['keen ENTER EVENT', 'keen LEAVE TIMER', 'buyers ENTER EVENT', 'spenders ENTER EDIT']),
    );
    const those = (fits: (change: Change) => boolean): string[] => all.filter(fits).map(({ cursor }) => cursor);
    const cursors = async (args: string): Promise<string[]> => (await pull(args)).map(({ cursor }) => cursor);
    expect(await cursors('kind: LEAVE')).toEqual(those(({ kind }) => kind === 'LEAVE'));
    expect(await cursors('causes: [EDIT, TIMER]')).toEqual(those(({ cause }) => cause.kind !== 'EVENT'));
    expect(await cursors('exceptCauses: [EDIT]')).toEqual(those(({ cause }) => cause.kind !== 'EDIT'));
    expect(await cursors('segments: ["keen"], exceptCauses: [TIMER], kind: ENTER')).toEqual(
      those(({ segment, kind }) => segment.key === 'keen' && kind === 'ENTER'),
    );
    await expect(pull('causes: [EDIT], exceptCauses: [EDIT]')).rejects.toThrow('no cause is left');
    expect(brief(await follow(`after: "${START}", exceptCauses: [EVENT]`, 4)).sort()).toEqual([
      ...['keen LEAVE TIMER', 'keen LEAVE TIMER', 'keen LEAVE TIMER', 'spenders ENTER EDIT'],
    ]);
  });
});

describe('a subscription whose place is kept', () => {
  it('resumes behind what was acknowledged, by pull and by push, and tells the rest again', async () => {
    const filter = { segments: ['keen', 'buyers'], exceptCauses: ['EDIT'] };
    expect(await create('crm_sync', filter, START)).toMatchObject({ key: 'crm_sync', pending: 7, cursor: START });
    const all = await pull('subscription: "crm_sync"');
    expect(all).toHaveLength(7);
    expect(await follow('subscription: "crm_sync"', 3)).toEqual(all.slice(0, 3));
    const third = all[2]?.cursor ?? '';
    expect(await acknowledge('crm_sync', third)).toMatchObject({ cursor: third, pending: 4 });
    // Behind that: nothing moves back.
    expect(await acknowledge('crm_sync', all[0]?.cursor ?? '')).toMatchObject({ cursor: third });
    expect(await pull('subscription: "crm_sync"')).toEqual(all.slice(3));
    expect(await follow('subscription: "crm_sync"', 4)).toEqual(all.slice(3));
    expect(await pull(`subscription: "crm_sync", after: "${START}"`)).toEqual(all);
    const watching = follow('subscription: "crm_sync"', 5);
    await expect.poll(() => world.hub.subscribers).toBe(1);
    await world.accept([anIdentify({ user_id: 'd' }), aTrack('purchase', { user_id: 'd' })]);
    await world.drain();
    const [last] = (await watching).slice(-1);
    expect(last).toMatchObject({ kind: 'ENTER', segment: { key: 'buyers' } });
    expect(await acknowledge('crm_sync', last?.cursor ?? '')).toMatchObject({ pending: 0, pendingSince: null });
  });

  it('begins now unless it is told where', async () => {
    expect(await create('from_now')).toMatchObject({ pending: 0, acknowledgedAt: null });
    await world.accept([aTrack('product_view', { user_id: 'e' })]);
    await world.drain();
    expect(await show('from_now')).toMatchObject({
      pending: 1,
      pendingSince: new Date(world.clock.now() + 1).toISOString(),
    });
  });

  it('is refused with what to do', async () => {
    expect(await create('crm_sync')).toMatchObject({ code: 'CONFLICT', where: 'key' });
    expect(await create('No Key')).toMatchObject({ code: 'BAD_REQUEST', where: 'key' });
    expect(await create('other', { segments: ['kean'] })).toMatchObject({
      code: 'NOT_FOUND',
      hint: 'did you mean keen?',
    });
    expect(await create('other', { segments: [] })).toMatchObject({ code: 'BAD_REQUEST', where: 'segments' });
    expect(await create('other', { purposes: ['ads'] })).toMatchObject({ code: 'BAD_REQUEST', where: 'purposes' });
    expect(await create('other', { profile: 'nobody' })).toMatchObject({ code: 'NOT_FOUND', where: 'profile' });
    const beyond = CHANGE_CURSOR.encode({ seq: 1_000 });
    expect(await acknowledge('crm_sync', beyond)).toMatchObject({ code: 'CURSOR_INVALID', where: 'cursor' });
    expect(await acknowledge('crm_sink', START)).toMatchObject({ code: 'NOT_FOUND', hint: 'did you mean crm_sync?' });
    await expect(pull('subscription: "crm_sync", kind: ENTER')).rejects.toThrow('"where":"kind"');
    await expect(pull('subscription: "gone"')).rejects.toThrow('there is no subscription gone');
  });

  it('is deleted with its place', async () => {
    const query = 'mutation { gone: deleteChangeSubscription(key: "from_now") { __typename } }';
    expect(await world.data(query)).toEqual({ gone: { __typename: 'ChangeSubscriptionDeleted' } });
    expect(await world.data(query)).toEqual({ gone: { __typename: 'NotFound' } });
    expect(await show('from_now')).toBeNull();
  });
});

describe('an endpoint', () => {
  const TOLD = `__typename ... on WebhookEndpoint { key origin template pausedAt behind cursor
    content { identifiers pii } filter { kind exceptCauses } }
    ... on CreatedWebhookEndpoint { secret endpoint { key } } ... on WebhookTestOutcome { isTaken error }
    ... on UndeliveredChangesMoved { count } ... on WebhookEndpointRemoved { key } ... on Failure { code where hint }`;

  /** By the name of the mutation; its results have other types, of which those that fit are asked. */
  async function run(name: string, variables: Record<string, unknown> = {}): Promise<Record<string, unknown>> {
    const ofType: readonly (readonly [RegExp, string])[] = [
      [/^(create|rotate)/, 'CreatedWebhookEndpoint'],
      [/^test/, 'WebhookTestOutcome'],
      [/^(replay|discard)/, 'UndeliveredChangesMoved'],
      [/^remove/, 'WebhookEndpointRemoved'],
    ];
    const type = ofType.find(([pattern]) => pattern.test(name))?.[1] ?? 'WebhookEndpoint';
    const fields = TOLD.split('... on ').filter(
      (part) => /^(__typename|Failure)/.test(part) || part.startsWith(`${type} `),
    );
    const hasInput = 'endpoint' in variables;
    const query = `mutation ($key: String!${hasInput ? ', $endpoint: WebhookEndpointInput!' : ''}) {
      done: ${name}(key: $key${hasInput ? ', endpoint: $endpoint' : ''}) { ${fields.join('... on ')} } }`;
    const { data, errors } = await world.ask<{ done: Record<string, unknown> }>(query, { key: 'crm', ...variables });
    if (errors !== undefined) throw new Error(JSON.stringify(errors));
    return data?.done ?? {};
  }

  it('is made, changed, tested and paused by admins, who are never shown what proves who may send', async () => {
    const receiver = await WebhookEndpointReceiver.open();
    const endpoint = {
      ...{ url: `${receiver.url}?token=hidden`, headers: [{ name: 'Authorization', value: 'of-a-test' }] },
      ...{ filter: { exceptCauses: ['EDIT'] }, identifiers: ['user_id'], ownTemplate: '{ "who": "{{profile.id}}" }' },
    };
    expect(await run('createWebhookEndpoint', { endpoint })).toMatchObject({
      secret: expect.stringMatching(/^whsec_/) as unknown,
      endpoint: { key: 'crm' },
    });
    expect(await run('createWebhookEndpoint', { endpoint })).toMatchObject({ code: 'CONFLICT', where: 'key' });
    expect(await run('testWebhookEndpoint')).toMatchObject({ isTaken: true, error: null });
    expect(receiver.requests).toMatchObject([{ headers: { authorization: 'of-a-test' } }]);
    expect(await run('updateWebhookEndpoint', { endpoint: { template: 'ZAPIER', pii: true } })).toMatchObject({
      ...{ template: 'zapier', content: { identifiers: ['user_id'], pii: true }, filter: { exceptCauses: ['EDIT'] } },
    });
    expect(await run('updateWebhookEndpoint', { endpoint: { url: 'https://192.168.0.1/' } })).toMatchObject({
      ...{ code: 'BAD_REQUEST', where: 'url' },
    });
    expect(await run('pauseWebhookEndpoint')).toMatchObject({ pausedAt: expect.any(String) as unknown });
    expect(await run('resumeWebhookEndpoint')).toMatchObject({ pausedAt: null });
    expect(await run('rotateWebhookEndpointSecret')).toMatchObject({
      secret: expect.stringMatching(/^whsec_/) as unknown,
    });
    expect(await run('replayUndeliveredChanges')).toMatchObject({ count: 0 });
    const { data } = await world.ask(
      `{ webhookEndpoints { edges { node { key origin template } } } undeliveredChanges(key: "crm") { edges { cursor } } }`,
    );
    expect(data).toMatchObject({
      webhookEndpoints: { edges: [{ node: { key: 'crm' } }] },
      undeliveredChanges: { edges: [] },
    });
    for (const hidden of ['token', 'of-a-test', 'whsec']) expect(JSON.stringify(data)).not.toContain(hidden);
    const entries = await world.db.query<{ text: string }>('SELECT a::text AS text FROM audit_log a');
    const noted = entries.map(({ text }) => text).join();
    expect(noted).toContain('Mutation.createWebhookEndpoint');
    for (const hidden of ['token=', 'of-a-test', 'whsec']) expect(noted).not.toContain(hidden);
    expect((await run('removeWebhookEndpoint'))['__typename']).toBe('WebhookEndpointRemoved');
    expect(await run('pauseWebhookEndpoint')).toMatchObject({ code: 'NOT_FOUND', where: 'key' });
    await receiver.close();
  });
});

describe('weft subscriptions', () => {
  const weft = async (...args: string[]) =>
    runWith(
      (io) =>
        changeSubscriptionsCommand({
          ...io,
          withSubscriptions: (use) => use(world.services.changeSubscriptions),
          confirm: null,
        }),
      args,
    );

  it('gives one another filter', async () => {
    await weft('create', 'refiltered', '--segments', 'keen');
    const { code, stdout } = await weft('filter', 'refiltered', '--segments', 'buyers', '--json');
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ key: 'refiltered', filter: { segments: ['buyers'] } });
    expect((await weft('filter', 'nobody', '--segments', 'buyers')).code).toBe(1);
    await weft('remove', 'refiltered', '--yes');
  });

  it('makes, shows, moves on and removes them', async () => {
    const start = CHANGE_CURSOR.encode({ seq: 0 });
    const made = await weft('create', 'crm', '--segments', 'keen, buyers', '--except-causes', 'edit', '--from', start);
    expect(made.stdout).toContain('told          keen, buyers; not by edit');
    expect(made.stdout).toMatch(/waiting {7}[1-9]\d*, the first since \d{4}-/);
    expect((await weft('list')).stdout).toMatch(/^crm +[1-9]\d* +never +keen, buyers; not by edit$/m);
    expect((await weft('create', 'crm')).stderr).toContain('the subscription crm exists already');
    expect((await weft('acknowledge', 'crm')).stderr).toContain('or --all');
    const done = JSON.parse((await weft('acknowledge', 'crm', '--all', '--json')).stdout) as Record<string, unknown>;
    expect(done).toMatchObject({ pending: 0, pendingSince: null, acknowledgedAt: expect.any(String) as string });
    expect((await weft('show', 'crn')).stderr).toContain('did you mean crm?');
    expect((await weft('remove', 'crm')).stderr).toContain('give --yes');
    expect(await weft('remove', 'crm', '--yes')).toMatchObject({ stdout: 'Removed crm.\n' });
  });
});
