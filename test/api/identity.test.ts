import { setImmediate as turn } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { aFeature } from '../support/a-feature.js';
import { createApiWorld, type ApiWorld } from '../support/api-world.js';
import { aTrack, anIdentify, HOUR_MS, MINUTE_MS } from '../support/world.js';

let world: ApiWorld;

beforeAll(async () => {
  world = await createApiWorld();
  await world.defineFeatures([aFeature('views', { events: ['view'], windowMs: HOUR_MS })]);
  await world.defineSegment('keen', 'count("view", "1h") >= 2');
  await world.defineSegment('pro', 'traits.plan == "pro"');
  await world.drain();
});

afterAll(async () => {
  await world.close();
});

async function sent(events: Parameters<ApiWorld['accept']>[0]): Promise<void> {
  world.clock.advance(MINUTE_MS);
  await world.accept(events);
  await world.drain();
}

/** With a worker at work until it is answered. */
async function decided<T>(query: string, variables: Record<string, unknown>): Promise<T> {
  let isAnswered = false;
  const answer = world.data<T>(query, variables).finally(() => (isAnswered = true));
  while (!isAnswered) {
    await world.drain();
    await turn();
  }
  return answer;
}

const id = (user: string) => ({ namespace: 'user_id', value: user });
const idOf = async (user: string) =>
  (
    await world.data<{ profile: { id: string } }>('query ($i: IdentifierInput!) { profile(identifier: $i) { id } }', {
      i: id(user),
    })
  ).profile.id;

const REVISION = 'revision { id kind status actor reason movedIdentifiers linksAdded failure }';
const FAILURE = '... on Failure { code message where hint }';
const MERGE = `mutation ($input: ProfileMergeInput!) { mergeProfiles(input: $input) {
  __typename ... on ProfileMerge { profile { id identifiers { value } } merged ${REVISION} } ${FAILURE} } }`;
const UNMERGE = `mutation ($input: ProfileUnmergeInput!) { unmergeProfile(input: $input) {
  __typename ... on ProfileUnmerge { profile { id identifiers { value } } apart ${REVISION} } ${FAILURE} } }`;
const PREVIEWED = `profiles { id mergedInto identifiers { value } traits { name valueNow valueThen source } }
  changes { profileId kind segment { key } } brokenLimits { namespace limit count } linksAdded linksRemoved`;
const HISTORY = `query ($id: ID!) { profile(id: $id) { id mergeHistory { edges { node {
  id kind from to cause actor reason revisionId identifiers { value } event { source messageId }
} } } } }`;
const EXPLAIN = `query ($at: IdentifierInput!, $from: IdentifierInput!, $to: IdentifierInput!) {
  profile(identifier: $at) { identityExplanation(from: $from, to: $to) {
    isOne isComplete
    steps { from { value } to { value } joins evidence { source messageId identifiers { value } } link { kind reason createdBy } }
    obstacles { kind namespace limit count link { reason } }
  } } }`;

interface Explained {
  readonly profile: { readonly identityExplanation: Readonly<Record<string, unknown>> };
}

describe('mergeProfiles', () => {
  it('does what mergePreview says, says who and why ever after, and is undone by unmergeProfile', async () => {
    await sent([aTrack('view', { user_id: 'ann' }), anIdentify({ user_id: 'ann' }, { plan: 'free', city: 'York' })]);
    await sent([aTrack('view', { user_id: 'ana' }), anIdentify({ user_id: 'ana' }, { plan: 'pro' })]);
    const [ann, ana] = [await idOf('ann'), await idOf('ana')];
    const input = { profiles: [ana, ann], reason: 'the same passport' };
    const before = (await world.feed()).length;
    const { mergePreview } = await world.data<{ mergePreview: unknown }>(
      `query ($input: ProfileMergeInput!) { mergePreview(input: $input) { ${PREVIEWED} } }`,
      { input },
    );
    expect(mergePreview).toEqual({
      profiles: [
        {
          id: ann,
          mergedInto: null,
          identifiers: expect.arrayContaining([{ value: 'ann' }, { value: 'ana' }]) as unknown,
          traits: [{ name: 'plan', valueNow: 'free', valueThen: 'pro', source: 'web' }],
        },
        { id: ana, mergedInto: ann, identifiers: [], traits: [] },
      ],
      changes: [
        { profileId: ana, kind: 'LEAVE', segment: { key: 'pro' } },
        { profileId: ann, kind: 'ENTER', segment: { key: 'keen' } },
        { profileId: ann, kind: 'ENTER', segment: { key: 'pro' } },
      ],
      brokenLimits: [{ namespace: 'user_id', limit: 1, count: 2 }],
      linksAdded: 1,
      linksRemoved: 0,
    });
    expect(await world.feed()).toHaveLength(before);
    expect(await idOf('ana')).toBe(ana);

    const { mergeProfiles } = await decided<{ mergeProfiles: { revision: { id: string; actor: string } } }>(MERGE, {
      input,
    });
    expect(mergeProfiles).toMatchObject({
      __typename: 'ProfileMerge',
      profile: { id: ann, identifiers: expect.arrayContaining([{ value: 'ana' }, { value: 'ann' }]) as unknown },
      merged: [ana],
      revision: { kind: 'MERGE', status: 'DONE', reason: 'the same passport', movedIdentifiers: 1, linksAdded: 1 },
    });
    expect(mergeProfiles.revision.actor).toMatch(/^admin \([0-9a-f-]{36}\)$/);
    const told = (await world.feed()).slice(before);
    expect(told.map((c) => [c.profileId, c.kind, c.segment])).toEqual([
      [ana, 'leave', 'pro'],
      [ann, 'enter', 'keen'],
      [ann, 'enter', 'pro'],
    ]);

    const { profile } = await world.data<{
      profile: { id: string; mergeHistory: { edges: { node: { id: string } }[] } };
    }>(HISTORY, { id: ana });
    expect(profile.id).toBe(ann);
    expect(profile.mergeHistory.edges.map(({ node }) => node)).toEqual([
      {
        id: expect.any(String) as unknown,
        ...{ kind: 'MERGE', from: ana, to: ann, cause: 'REVISION', reason: 'the same passport', event: null },
        actor: mergeProfiles.revision.actor,
        revisionId: mergeProfiles.revision.id,
        identifiers: [{ value: 'ana' }],
      },
    ]);

    const merge = profile.mergeHistory.edges[0]?.node.id;
    const undo = { merge, reason: 'twins' };
    const { unmergePreview } = await world.data<{ unmergePreview: { changes: unknown[] } }>(
      `query ($input: ProfileUnmergeInput!) { unmergePreview(input: $input) { ${PREVIEWED} } }`,
      { input: undo },
    );
    expect(unmergePreview).toMatchObject({ linksAdded: 1, linksRemoved: 1, profiles: [{ id: ann }, { id: ana }] });
    world.clock.advance(MINUTE_MS);
    const { unmergeProfile } = await decided<{ unmergeProfile: unknown }>(UNMERGE, { input: undo });
    expect(unmergeProfile).toMatchObject({
      profile: { id: ann, identifiers: [{ value: 'ann' }] },
      apart: [ana],
      revision: { kind: 'UNMERGE', status: 'DONE' },
    });
    expect(await idOf('ana')).toBe(ana);
    const since = (await world.feed()).slice(before + told.length);
    expect(since.map((c) => [c.profileId, c.kind.toUpperCase(), c.segment])).toEqual(
      unmergePreview.changes.map((change) => {
        const { profileId, kind, segment } = change as { profileId: string; kind: string; segment: { key: string } };
        return [profileId, kind, segment.key];
      }),
    );
    const links = await world.data<{ identityLinks: { edges: { node: unknown }[] } }>(
      'query { identityLinks(withRemoved: true) { edges { node { kind reason removedBy } } } }',
    );
    expect(links.identityLinks.edges.map(({ node }) => node)).toEqual([
      { kind: 'CANNOT', reason: 'twins', removedBy: null },
      { kind: 'MUST', reason: 'the same passport', removedBy: mergeProfiles.revision.actor },
    ]);
    const revisions = await world.data<{ identityRevisions: { edges: { node: unknown }[] } }>(
      '{ identityRevisions(first: 1) { edges { node { kind } } pageInfo { hasNextPage } } }',
    );
    expect(revisions.identityRevisions.edges).toEqual([{ node: { kind: 'UNMERGE' } }]);
  });

  it.each([
    ['nothing', {}, 'BAD_REQUEST', 'profiles or of identifiers'],
    ['both', { profiles: [], identifiers: [] }, 'BAD_REQUEST', 'profiles or of identifiers'],
    ['one', { identifiers: [id('ann')] }, 'BAD_REQUEST', '2 to 20'],
    ['no id', { profiles: ['x', 'y'] }, 'NOT_FOUND', 'no such profile'],
    ['no namespace', { identifiers: [id('ann'), { namespace: 'É', value: 'x' }] }, 'BAD_REQUEST', 'stands for nobody'],
  ])('refuses %s', async (_, input, code, message) => {
    const { mergeProfiles } = await decided<{ mergeProfiles: unknown }>(MERGE, { input });
    expect(mergeProfiles).toMatchObject({ code, message: expect.stringContaining(message) as unknown });
  });

  it('are resolved anew, all of them, when somebody asks for it', async () => {
    const { reresolveIdentities } = await decided<{ reresolveIdentities: { revision: { id: string } } }>(
      'mutation { reresolveIdentities(reason: "other rules") { ... on IdentityReresolution { revision { id kind } } } }',
      {},
    );
    expect(reresolveIdentities).toMatchObject({ revision: { kind: 'RULES' } });
    await world.drain();
    const { identityRevision } = await world.data<{ identityRevision: unknown }>(
      'query ($id: ID!) { identityRevision(id: $id) { status reason componentsFailed movedIdentifiers } }',
      { id: reresolveIdentities.revision.id },
    );
    expect(identityRevision).toEqual({
      status: 'DONE',
      reason: 'other rules',
      componentsFailed: 0,
      movedIdentifiers: 0,
    });
  });

  it('is not for keys that may only read', async () => {
    const { errors } = await world.ask(MERGE, { input: {} }, { key: world.keys.read });
    expect(errors?.[0]?.extensions.code).toBe('FORBIDDEN');
  });
});

describe('values that many people share', () => {
  const identifier = { namespace: 'email', value: 'family@example.com' };
  const list = async () =>
    (
      await world.data<{ identityGenericValues: { edges: { node: unknown }[] } }>(
        '{ identityGenericValues { edges { node { identifier { value } isGeneric isKept decidedBy reason } } } }',
      )
    ).identityGenericValues.edges.map(({ node }) => node);

  it('are kept, listed and cleared', async () => {
    const keep =
      'mutation ($i: IdentifierInput!) { keepGenericValue(identifier: $i, reason: "a family") { __typename } }';
    expect(await decided(keep, { i: identifier })).toEqual({
      keepGenericValue: { __typename: 'GenericValueDecision' },
    });
    expect(await list()).toMatchObject([
      { identifier: { value: 'family@example.com' }, isGeneric: false, isKept: true, reason: 'a family' },
    ]);
    const clear = 'mutation ($i: IdentifierInput!) { clearGenericValue(identifier: $i) { __typename } }';
    expect(await decided(clear, { i: identifier })).toEqual({
      clearGenericValue: { __typename: 'GenericValueDecision' },
    });
    expect(await decided(clear, { i: identifier })).toEqual({ clearGenericValue: { __typename: 'NotFound' } });
    expect(await list()).toEqual([]);
  });
});

describe('Profile.isContested', () => {
  it('is true of those of a component that has too much evidence to be replayed at once', async () => {
    const ask = async () =>
      (
        await world.data<{ profile: { isContested: boolean } }>(
          'query ($i: IdentifierInput!) { profile(identifier: $i) { isContested } }',
          { i: id('ann') },
        )
      ).profile.isContested;
    expect(await ask()).toBe(false);
    await world.db.query(
      `INSERT INTO contested_components (component_id, since, due_at)
       SELECT component_id, 0, $1 FROM identifiers WHERE value = 'ann'`,
      [Number.MAX_SAFE_INTEGER],
    );
    expect(await ask()).toBe(true);
    await world.db.query('DELETE FROM contested_components');
  });
});

describe('Profile.identityExplanation', () => {
  const explain = async (at: unknown, to: unknown) =>
    (await world.data<Explained>(EXPLAIN, { at, from: at, to })).profile.identityExplanation;

  it('is the shortest chain of what was seen together, with where and when', async () => {
    const cookie = { namespace: 'anonymous_id', value: 'c1' };
    const mail = { namespace: 'email', value: 'bea@example.com' };
    await sent([
      anIdentify({ user_id: 'bea', anonymous_id: 'c1' }, {}, { messageId: 'signed-in' }),
      anIdentify({ user_id: 'bea', email: 'bea@example.com', device_id: 'd1' }, {}, { messageId: 'bought' }),
    ]);
    await sent([anIdentify({ anonymous_id: 'c1', device_id: 'd1' }, {}, { messageId: 'looked' })]);
    expect(await explain(cookie, mail)).toEqual({
      isOne: true,
      isComplete: true,
      obstacles: [],
      steps: [
        {
          from: { value: 'c1' },
          to: { value: 'bea' },
          joins: true,
          link: null,
          evidence: { source: 'web', messageId: 'signed-in', identifiers: [{ value: 'bea' }, { value: 'c1' }] },
        },
        {
          from: { value: 'bea' },
          to: { value: 'bea@example.com' },
          joins: true,
          link: null,
          evidence: expect.objectContaining({ messageId: 'bought' }) as unknown,
        },
      ],
    });
    const { profile } = await world.data<{ profile: { mergeHistory: { edges: { node: unknown }[] } } }>(HISTORY, {
      id: await idOf('bea'),
    });
    expect(profile.mergeHistory.edges).toEqual([]);
  });

  it('says why two are not one', async () => {
    await sent([anIdentify({ user_id: 'cay', anonymous_id: 'cay-1' })]);
    await sent([anIdentify({ user_id: 'cay', email: 'home@example.com' })]);
    await sent([anIdentify({ user_id: 'dan', email: 'home@example.com' })]);
    expect(await explain(id('cay'), id('dan'))).toMatchObject({
      isOne: false,
      steps: [{ joins: true }, { to: { value: 'dan' }, joins: false }],
      obstacles: [{ kind: 'LIMIT', namespace: 'user_id', limit: 1, count: 2 }],
    });
    expect(await explain(id('cay'), id('nobody'))).toMatchObject({ obstacles: [{ kind: 'NOT_SEEN' }] });
    expect(await explain(id('cay'), id('null'))).toMatchObject({ obstacles: [{ kind: 'NOT_SEEN' }] });
    expect(await explain(id('cay'), id('bea'))).toMatchObject({
      steps: [],
      obstacles: [{ kind: 'NOT_CONNECTED' }, { kind: 'LIMIT' }],
    });
    const mail = { namespace: 'email', value: 'home@example.com' };
    const input = { profile: await idOf('cay'), identifiers: [mail], reason: 'of the family' };
    await decided(UNMERGE, { input });
    expect(await explain(id('cay'), mail)).toMatchObject({
      isOne: false,
      obstacles: expect.arrayContaining([
        expect.objectContaining({ kind: 'CANNOT_LINK', link: { reason: 'of the family' } }),
      ]) as unknown,
    });
    const { identityLinks } = await world.data<{ identityLinks: { edges: { node: { id: string } }[] } }>(
      '{ identityLinks(first: 1) { edges { node { id } } } }',
    );
    const removal = await decided(
      `mutation ($id: ID!) { removeIdentityLink(id: $id) { ... on IdentityLinkRemoval {
        othersBarring examples { kind reason a { namespace } b { namespace } } revision { status } } } }`,
      { id: identityLinks.edges[0]?.node.id },
    );
    expect(removal).toEqual({
      removeIdentityLink: {
        othersBarring: 1,
        examples: [
          { kind: 'CANNOT', reason: 'of the family', a: expect.anything() as unknown, b: expect.anything() as unknown },
        ],
        revision: { status: 'DONE' },
      },
    });
    const { errors } = await world.ask(EXPLAIN, { at: id('cay'), from: id('bea'), to: id('cay') });
    expect(errors?.[0]?.extensions).toMatchObject({ code: 'BAD_REQUEST', where: 'from' });
  });

  it('tells links by hand, and what an event merged', async () => {
    await sent([aTrack('view', { user_id: 'eve' })]);
    await sent([aTrack('view', { anonymous_id: 'c9' })]);
    const cookie = { namespace: 'anonymous_id', value: 'c9' };
    await sent([anIdentify({ user_id: 'eve', anonymous_id: 'c9' }, {}, { messageId: 'eve-signs-in' })]);
    await decided(MERGE, { input: { identifiers: [id('eve'), id('eva')], reason: 'she said so' } });
    await sent([aTrack('view', { user_id: 'eva' })]);
    expect(await explain(cookie, id('eva'))).toMatchObject({
      isOne: true,
      steps: [
        { evidence: { messageId: 'eve-signs-in' }, link: null },
        { evidence: null, link: { kind: 'MUST', reason: 'she said so' } },
      ],
    });
    const { profile } = await world.data<{ profile: { mergeHistory: { edges: { node: unknown }[] } } }>(HISTORY, {
      id: await idOf('eve'),
    });
    expect(profile.mergeHistory.edges.map(({ node }) => node)).toMatchObject([
      { kind: 'MERGE', cause: 'EVENT', actor: null, event: { source: 'web', messageId: 'eve-signs-in' } },
    ]);
  });
});
