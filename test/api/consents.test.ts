import { createClient } from 'graphql-ws';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { WebSocket } from 'ws';
import { parseIdentityRules } from '../../src/identity/parse-identity-rules.js';
import { aFeature } from '../support/a-feature.js';
import { aPurpose } from '../support/a-purpose.js';
import { createApiWorld, type ApiWorld } from '../support/api-world.js';
import { anIdentify, aTrack, DAY_MS, MINUTE_MS } from '../support/world.js';

let world: ApiWorld;

beforeAll(async () => {
  world = await createApiWorld();
  const { purposes, features } = world.engine.services;
  await purposes.apply([
    aPurpose('ads', { name: 'Advertising', categories: { '*': ['Advertising'] } }),
    aPurpose('mail', { default: 'granted', expiresAfterDays: 30 }),
  ]);
  const view = (name: string, feature: string) => ({
    name,
    description: '',
    source: null,
    features: [aFeature(feature, { view: name, aggregate: 'count', events: ['view'], type: 'int' })],
  });
  await features.apply({
    views: [{ ...view('tracked', 'views'), purposes: ['ads'] }, view('plain', 'visits')],
    services: [],
  });
});

afterAll(() => world.close());

const SET = `mutation ($purpose: String!, $status: ConsentStatus!, $source: String!, $identifier: IdentifierInput, $id: ID,
                       $expiresAt: DateTime) {
  setConsent(purpose: $purpose, status: $status, source: $source, identifier: $identifier, id: $id, expiresAt: $expiresAt) {
    ... on ConsentChange { purpose status expiresAt events }
    ... on Failure { code message where hint }
  }
}`;

async function setConsent(variables: Record<string, unknown>, key?: string): Promise<unknown> {
  const { data, errors } = await world.ask<{ setConsent: unknown }>(
    SET,
    { source: 'web', ...variables },
    key === undefined ? {} : { key },
  );
  await world.drain();
  return errors?.[0]?.extensions['code'] ?? data?.setConsent;
}

const CONSENTS = `query ($value: String!) {
  profile(identifier: { namespace: "user_id", value: $value }) {
    id
    consents {
      purpose allowed status expiresAt source occurredAt
      history(first: 5) { edges { node { status source messageId expiresAt } } }
    }
  }
}`;

interface ConsentAnswer {
  readonly purpose: string;
  readonly history: { readonly edges: readonly { readonly node: Readonly<Record<string, unknown>> }[] };
}

async function consentsOf(value: string) {
  const { profile } = await world.data<{ profile: { id: string; consents: ConsentAnswer[] } | null }>(CONSENTS, {
    value,
  });
  if (profile === null) throw new Error(`${value} is not known`);
  const byPurpose = profile.consents.map(({ purpose, history, ...rest }) => {
    return [purpose, { ...rest, history: history.edges.map(({ node }) => node) }] as const;
  });
  return { id: profile.id, ...Object.fromEntries(byPurpose) };
}

const named = (value: string) => ({ identifier: { namespace: 'user_id', value } });
const at = (ms: number): string => new Date(ms).toISOString();

describe('setConsent', () => {
  it('takes down what somebody says, and the profile tells it with where it came from and what was said before', async () => {
    const start = world.clock.now();
    await world.accept([
      aTrack(
        'view',
        { user_id: 'ann' },
        { messageId: 'm-1', context: { consent: { categoryPreferences: { Advertising: true } } } },
      ),
    ]);
    world.clock.advance(MINUTE_MS);
    expect(await setConsent({ purpose: 'mail', status: 'GRANTED', ...named('ann') })).toEqual({
      purpose: 'mail',
      status: 'GRANTED',
      expiresAt: null,
      events: 1,
    });
    const expiresAt = at(start + DAY_MS);
    await setConsent({ purpose: 'ads', status: 'GRANTED', expiresAt, ...named('ann') });
    // A source is known by its key with the next look at the definitions.
    await vi.waitFor(async () => expect(await consentsOf('ann')).toMatchObject({ ads: { source: 'web' } }));
    const occurredAt = at(start + MINUTE_MS);
    expect(await consentsOf('ann')).toMatchObject({
      ads: {
        allowed: true,
        status: 'GRANTED',
        expiresAt,
        source: 'web',
        occurredAt,
        history: [
          { status: 'GRANTED', expiresAt, source: 'web' },
          { status: 'GRANTED', expiresAt: null, source: 'web', messageId: 'm-1' },
        ],
      },
      mail: { allowed: true, status: 'GRANTED', expiresAt: at(start + MINUTE_MS + 30 * DAY_MS), occurredAt },
    });
    world.clock.set(start + DAY_MS);
    expect(await consentsOf('ann')).toMatchObject({ ads: { allowed: false, status: 'GRANTED', expiresAt } });
  });

  it('denies for every name that somebody has, and grants for the one it is given for', async () => {
    await world.accept([anIdentify({ user_id: 'bob', email: 'bob@example.com', device_id: 'bobs-phone-1' })]);
    await world.drain();
    expect(await setConsent({ purpose: 'ads', status: 'DENIED', ...named('bob') })).toMatchObject({ events: 3 });
    expect(await setConsent({ purpose: 'ads', status: 'GRANTED', ...named('bob') })).toMatchObject({ events: 1 });
    const { id } = await consentsOf('bob');
    world.clock.advance(1);
    expect(await setConsent({ purpose: 'ads', status: 'DENIED', id })).toMatchObject({ events: 3 });
    expect(await consentsOf('bob')).toMatchObject({ ads: { allowed: false } });
  });

  it('denies for names that events of the source could not speak for', async () => {
    const { rules } = parseIdentityRules(
      'identity: { namespaces: { loyalty_card: { only_from_authenticated: true } } }',
      'rules',
    );
    await world.engine.services.identityRules.apply(rules, { by: 'a test', isDryRun: false });
    const card = anIdentify({ user_id: 'cleo', loyalty_card: '4711' });
    const source = { id: 1, key: 'web', authenticated: true };
    await world.engine.accept.accept(source, [card], { historical: false });
    await world.drain();
    const denied = { purpose: 'ads', status: 'DENIED' };
    expect(await setConsent({ ...denied, ...named('cleo') })).toMatchObject({ events: 2 });
    const { id } = await consentsOf('cleo');
    world.clock.advance(1);
    expect(await setConsent({ ...denied, id })).toMatchObject({ events: 2 });
  });

  it('reaches those who are known by a form that events do not have any more', async () => {
    const use = async (text: string): Promise<void> => {
      const { rules } = parseIdentityRules(text, 'rules');
      await world.engine.services.identityRules.apply(rules, { by: 'a test', isDryRun: false });
    };
    const old = { namespace: 'email', value: 'i.na@googlemail.com' };
    const blocked = { namespace: 'email', value: 'jo@blocked.example' };
    const shoes = { shoe_size: 38 };
    await world.accept([anIdentify({ email: old.value }, shoes), anIdentify({ email: blocked.value }, shoes)]);
    await world.drain();
    const idOf = async (identifier: object): Promise<string> =>
      (
        await world.data<{ profile: { id: string } }>(
          'query ($identifier: IdentifierInput!) { profile(identifier: $identifier) { id } }',
          { identifier },
        )
      ).profile.id;
    const ids = [await idOf(old), await idOf(blocked)];
    await use("identity: { email: { gmail: true }, blocked: { patterns: ['.*@blocked[.]example'] } }");
    world.clock.advance(1);
    // By the form that they had, and by the profile.
    expect(await setConsent({ purpose: 'mail', status: 'DENIED', identifier: old })).toMatchObject({ events: 2 });
    expect(await setConsent({ purpose: 'mail', status: 'DENIED', id: ids[1] })).toMatchObject({ events: 1 });
    for (const id of ids) {
      const deletion = 'mutation ($id: ID!) { deleteTraits(names: ["shoe_size"], id: $id) { __typename } }';
      expect(await world.data(deletion, { id })).toEqual({ deleteTraits: { __typename: 'TraitDeletion' } });
      await world.drain();
      const told = 'query ($id: ID!) { profile(id: $id) { traits consents { purpose allowed } } }';
      expect(await world.data(told, { id })).toMatchObject({
        profile: { traits: {}, consents: [{ purpose: 'ads' }, { purpose: 'mail', allowed: false }] },
      });
    }
    // A grant goes back to where the denial is.
    world.clock.advance(1);
    expect(await setConsent({ purpose: 'mail', status: 'GRANTED', id: ids[0] })).toMatchObject({ events: 1 });
    expect(
      await world.data('query ($id: ID!) { profile(id: $id) { consents { purpose allowed } } }', { id: ids[0] }),
    ).toMatchObject({ profile: { consents: [{ purpose: 'ads' }, { purpose: 'mail', allowed: true }] } });
    await use('identity: {}');
  });

  it('takes the word of somebody who was never seen', async () => {
    expect(await setConsent({ purpose: 'ads', status: 'DENIED', ...named('new') })).toMatchObject({ events: 1 });
    expect(await consentsOf('new')).toMatchObject({
      ads: { status: 'DENIED', allowed: false },
      mail: { allowed: true },
    });
  });

  it('says what it cannot take, and takes nothing then', async () => {
    const fine = { purpose: 'ads', status: 'DENIED', ...named('carl') };
    expect(await setConsent({ ...fine, purpose: 'add' })).toMatchObject({
      code: 'NOT_FOUND',
      hint: 'did you mean ads?',
    });
    expect(await setConsent({ ...fine, source: 'nowhere' })).toMatchObject({ code: 'NOT_FOUND', where: 'source' });
    expect(await setConsent({ ...fine, identifier: null })).toMatchObject({ code: 'BAD_REQUEST', where: 'id' });
    const past = at(world.clock.now());
    expect(await setConsent({ ...fine, expiresAt: past })).toMatchObject({ code: 'BAD_REQUEST', where: 'expiresAt' });
    const nobody = { namespace: 'user_id', value: 'undefined' };
    expect(await setConsent({ ...fine, identifier: nobody })).toMatchObject({
      code: 'BAD_REQUEST',
      where: 'identifier',
    });
    const noId = { ...fine, identifier: null, id: '01900000-0000-7000-8000-000000000000' };
    expect(await setConsent(noId)).toMatchObject({ code: 'NOT_FOUND', where: 'id' });
    await expect(consentsOf('carl')).rejects.toThrow('carl is not known');
  });

  it('is for keys that send events, to their own source, and names no profile to those that cannot read', async () => {
    const fine = { purpose: 'ads', status: 'DENIED', ...named('dora') };
    const { ingest, read } = world.keys;
    expect(await setConsent(fine, ingest)).toMatchObject({ events: 1 });
    expect(await setConsent(fine, read)).toBe('FORBIDDEN');
    await world.accept([], { source: 'crm' });
    expect(await setConsent({ ...fine, source: 'crm' }, ingest)).toBe('FORBIDDEN');
    const { id } = await consentsOf('dora');
    expect(await setConsent({ ...fine, identifier: null, id }, ingest)).toBe('FORBIDDEN');
  });
});

it('the export of a person has what they said last of each purpose, and no reserved trait', async () => {
  const { exportProfile } = await world.data<{ exportProfile: { path: string } }>(
    'mutation ($input: ExportProfileInput!) { exportProfile(input: $input) { ... on ProfileExport { path } } }',
    { input: named('new') },
  );
  const headers = { authorization: `Bearer ${world.keys.admin}` };
  const file = (await (await fetch(`${world.url}${exportProfile.path}`, { headers })).json()) as Record<
    string,
    unknown
  >;
  expect(file).toMatchObject({
    consents: [{ purpose: 'ads', status: 'denied', expiresAt: null, source: 'web' }],
    traits: [],
  });
});

describe('what somebody does not allow', () => {
  const QUERY = `query ($value: String!, $purposes: [String!]) {
    profile(identifier: { namespace: "user_id", value: $value }) { features { name status value } }
    asked: profile(identifier: { namespace: "user_id", value: $value }, purposes: $purposes) { id }
    onlineFeatures(entities: [{ namespace: "user_id", value: $value }], features: ["visits"], purposes: $purposes) {
      features { status value }
    }
  }`;

  it('is withheld from whoever reads: features by their views, and all by what the question is for', async () => {
    await world.accept([aTrack('view', { user_id: 'eve' })]);
    await world.drain();
    expect(await world.data(QUERY, { value: 'eve', purposes: ['ads'] })).toEqual({
      profile: {
        features: [
          { name: 'visits', status: 'PRESENT', value: 1 },
          { name: 'views', status: 'WITHHELD', value: null },
        ],
      },
      asked: null,
      onlineFeatures: [{ features: [{ status: 'WITHHELD', value: null }] }],
    });
    await setConsent({ purpose: 'ads', status: 'GRANTED', ...named('eve') });
    expect(await world.data(QUERY, { value: 'eve', purposes: ['ads', 'mail'] })).toMatchObject({
      profile: { features: [{}, { name: 'views', status: 'PRESENT', value: 1 }] },
      asked: { id: expect.any(String) as string },
      onlineFeatures: [{ features: [{ status: 'PRESENT', value: 1 }] }],
    });
    const { errors } = await world.ask(QUERY, { value: 'eve', purposes: ['mial'] });
    expect(errors?.[0]).toMatchObject({ extensions: { code: 'BAD_REQUEST', hint: 'did you mean mail?' } });
  });

  it('is withheld from segments evaluated now as from those that the pipeline maintains', async () => {
    const { segments } = world.engine.services;
    const draft = { key: 'gated', name: 'gated', description: '', tags: [], expression: 'performed("view")' };
    await segments.upsert({ ...draft, purposes: ['ads'] });
    await segments.activate('gated');
    await world.drain();
    const query = `query ($value: String!) {
      profile(identifier: { namespace: "user_id", value: $value }) {
        live: membership(segment: "gated") { isMember }
        now: membership(segment: "gated", evaluate: NOW) { isMember }
      }
      segment(key: "gated") { purposes }
    }`;
    const both = async (value: string) =>
      world.data<{ profile: { live: { isMember: boolean }; now: { isMember: boolean } } }>(query, { value });
    await world.accept([aTrack('view', { user_id: 'fay' })]);
    await world.drain();
    await vi.waitFor(async () => {
      expect(await both('fay')).toEqual({
        profile: { live: { isMember: false }, now: { isMember: false } },
        segment: { purposes: ['ads'] },
      });
    });
    const expiresAt = at(world.clock.now() + MINUTE_MS);
    await setConsent({ purpose: 'ads', status: 'GRANTED', expiresAt, ...named('fay') });
    expect(await both('fay')).toMatchObject({ profile: { live: { isMember: true }, now: { isMember: true } } });
    world.clock.advance(MINUTE_MS);
    await world.drain();
    expect(await both('fay')).toMatchObject({ profile: { live: { isMember: false }, now: { isMember: false } } });
  });
});

describe('changes that are asked for with what they are for', () => {
  const QUERY = `query ($segments: [String!], $purposes: [String!]) {
    segmentChanges(segments: $segments, purposes: $purposes, first: 500) {
      edges { node { kind cause { kind } segment { key } } }
    }
  }`;

  it('are those of segments whose members have to allow it, and no others can be named', async () => {
    await world.defineSegment('anybody', 'performed("view")');
    await world.drain();
    await vi.waitFor(async () => {
      const { errors } = await world.ask(QUERY, { segments: ['anybody'], purposes: ['ads'] });
      expect(errors?.[0]).toMatchObject({
        message: 'the members of segment anybody need not allow ads',
        extensions: { code: 'BAD_REQUEST', hint: 'let it need them by purposes: [ads] in its definition' },
      });
    });
    await setConsent({ purpose: 'ads', status: 'GRANTED', ...named('gus') });
    await world.accept([aTrack('view', { user_id: 'gus' })]);
    world.clock.advance(1);
    await setConsent({ purpose: 'ads', status: 'DENIED', ...named('gus') });
    const changes = async (variables: object) => {
      const data = await world.data<{ segmentChanges: { edges: { node: { segment: { key: string } } }[] } }>(QUERY, {
        ...variables,
      });
      return data.segmentChanges.edges.map(({ node }) => node);
    };
    const consented = await changes({ purposes: ['ads'] });
    expect(new Set(consented.map(({ segment }) => segment.key))).toEqual(new Set(['gated']));
    expect(consented.slice(-2)).toMatchObject([
      { kind: 'ENTER', cause: { kind: 'EVENT' } },
      { kind: 'LEAVE', cause: { kind: 'CONSENT' } },
    ]);
    expect(await changes({ purposes: ['ads'], segments: ['gated'] })).toEqual(consented);
    const { errors } = await world.ask(QUERY, { purposes: ['mail'] });
    expect(errors?.[0]).toMatchObject({ message: 'there is no segment whose members have to allow mail' });
  });

  it('end for subscribers once a segment needs it no more', async () => {
    const client = createClient({
      url: `${world.url.replace('http', 'ws')}/graphql`,
      webSocketImpl: WebSocket,
      connectionParams: { apiKey: world.keys.read },
      retryAttempts: 0,
    });
    const query = 'subscription { segmentChanges(segments: ["gated"], purposes: ["ads"]) { kind segment { key } } }';
    const changes = client.iterate({ query });
    const first = changes.next();
    await vi.waitFor(async () => {
      world.clock.advance(1);
      await setConsent({ purpose: 'ads', status: 'GRANTED', ...named('hal') });
      await world.accept([aTrack('view', { user_id: 'hal' })]);
      world.clock.advance(1);
      await setConsent({ purpose: 'ads', status: 'DENIED', ...named('hal') });
      await expect(Promise.race([first, Promise.resolve('none yet')])).resolves.toMatchObject({
        value: { data: { segmentChanges: { kind: 'ENTER', segment: { key: 'gated' } } } },
      });
    });
    const draft = { key: 'gated', name: 'gated', description: '', tags: [], expression: 'performed("view")' };
    await world.data(
      `mutation ($segment: SegmentInput!) { upsertSegment(segment: $segment) { __typename } activateSegment(key: "gated") { __typename } }`,
      { segment: { ...draft, purposes: [] } },
    );
    await world.accept([aTrack('view', { user_id: 'ida' })]);
    await world.drain();
    const rest = async (): Promise<unknown> => {
      for await (const { errors } of changes) if (errors !== undefined) return errors;
      return 'no error';
    };
    expect(await rest().catch((errors: unknown) => errors)).toMatchObject([{ extensions: { code: 'CONFLICT' } }]);
    await client.dispose();
  });
});
