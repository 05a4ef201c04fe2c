import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createApiWorld, type ApiWorld } from '../support/api-world.js';
import { anIdentify, aTrack, HOUR_MS, MINUTE_MS } from '../support/world.js';

let world: ApiWorld;

beforeAll(async () => {
  world = await createApiWorld();
});

afterAll(async () => {
  await world.close();
});

const DETAILS = `query ($value: String!, $names: [String!], $first: Int!, $after: String) {
  profile(identifier: { namespace: "user_id", value: $value }) {
    traits
    traitDetails(names: $names, first: 10) {
      edges { node {
        name value source messageId occurredAt provenance approximate
        history(first: $first, after: $after) {
          edges { node { value deleted source messageId provenance } } pageInfo { hasNextPage endCursor }
        }
      } }
    }
  }
}`;

interface History {
  readonly edges: readonly { readonly node: Readonly<Record<string, unknown>> }[];
  readonly pageInfo: { readonly hasNextPage: boolean; readonly endCursor: string | null };
}
interface Details {
  readonly profile: {
    readonly traits: Readonly<Record<string, unknown>>;
    readonly traitDetails: {
      readonly edges: readonly { readonly node: Readonly<Record<string, unknown>> & { readonly history: History } }[];
    };
  };
}

async function detailsOf(value: string, names: readonly string[] | null = null, first = 50, after?: string) {
  const { profile } = await world.data<Details>(DETAILS, { value, names, first, after });
  return { traits: profile.traits, details: profile.traitDetails.edges.map(({ node }) => node) };
}

async function give(source: string, event: Parameters<ApiWorld['accept']>[0][number]): Promise<void> {
  await world.accept([event], { source });
  world.clock.advance(MINUTE_MS);
}

describe('traits with where their values are from', () => {
  it('name the source, the event, its time and how the value came to be known', async () => {
    const at = new Date(world.clock.now()).toISOString();
    await give('crm', anIdentify({ user_id: 'ann' }, { city: 'Leeds', plan: 'pro' }, { messageId: 'a-1' }));
    await give(
      'web',
      anIdentify({ user_id: 'ann' }, { city: 'York' }, { messageId: 'a-2', context: { provenance: 'declared' } }),
    );
    await give('crm', anIdentify({ user_id: 'ann' }, { city: 'Bath' }, { messageId: 'a-3' }));
    await world.drain();
    // A source is known by its key with the next look at the definitions.
    await expect.poll(async () => (await detailsOf('ann')).details.map(({ source }) => source)).toEqual(['web', 'crm']);
    const { details } = await detailsOf('ann');
    expect(details).toMatchObject([
      { name: 'city', value: 'York', source: 'web', messageId: 'a-2', provenance: 'DECLARED', approximate: false },
      { name: 'plan', value: 'pro', source: 'crm', messageId: 'a-1', provenance: 'OBSERVED', occurredAt: at },
    ]);
    expect(details[0]?.history.edges.map(({ node }) => [node['value'], node['source'], node['provenance']])).toEqual([
      ['Bath', 'crm', 'OBSERVED'],
      ['York', 'web', 'DECLARED'],
      ['Leeds', 'crm', 'OBSERVED'],
    ]);
  });

  it('have a history that is paged, also over many events that are not about them', async () => {
    const values = ['S', 'M', 'L'];
    for (const size of values) {
      await give('web', anIdentify({ user_id: 'bob' }, { size }));
      await world.accept(Array.from({ length: 700 }, () => aTrack('view', { user_id: 'bob' })));
      world.clock.advance(HOUR_MS);
    }
    await world.drain();
    const seen: unknown[] = [];
    let after: string | undefined;
    for (let page = 0; page < 10; page++) {
      const { details } = await detailsOf('bob', ['size'], 1, after);
      const history = details[0]?.history;
      seen.push(...(history?.edges ?? []).map(({ node }) => node['value']));
      after = history?.pageInfo.endCursor ?? undefined;
      if (history?.pageInfo.hasNextPage !== true) break;
    }
    expect(seen).toEqual([...values].reverse());
  });
});

const DELETE = `mutation ($names: [String!]!, $value: String!) {
  deleteTraits(names: $names, identifier: { namespace: "user_id", value: $value }) {
    ... on TraitDeletion { names events } ... on Failure { code where }
  }
}`;

describe('deleting traits of a profile', () => {
  it('takes away what was given by whatever identifier, also what arrives late, and not what is given later', async () => {
    await give('web', anIdentify({ user_id: 'cid', anonymous_id: 'cookie-of-cid' }, { size: 'S', plan: 'pro' }));
    await give('crm', anIdentify({ user_id: 'cid' }, { size: 'M' }));
    await give('web', anIdentify({ anonymous_id: 'cookie-of-cid' }, { size: 'L' }));
    await world.drain();
    const before = world.clock.now() - HOUR_MS;
    const deleted = await world.data(DELETE, { names: ['size'], value: 'cid' });
    expect(deleted).toEqual({ deleteTraits: { names: ['size'], events: 2 } });
    world.clock.advance(MINUTE_MS);
    await give('web', anIdentify({ anonymous_id: 'cookie-of-cid' }, { size: 'late' }, { timestampMs: before }));
    await world.drain();
    expect((await detailsOf('cid')).traits).toEqual({ plan: 'pro' });
    await give('web', anIdentify({ user_id: 'cid' }, { size: 'XL' }));
    await world.drain();
    const { traits, details } = await detailsOf('cid', ['size']);
    expect(traits).toEqual({ plan: 'pro', size: 'XL' });
    const history = details[0]?.history.edges.map(({ node }) => (node['deleted'] === true ? 'deleted' : node['value']));
    expect(history).toEqual(['XL', 'deleted', 'deleted', 'L', 'M', 'S', 'late']);
  });

  it('says what cannot be deleted', async () => {
    expect(await world.data(DELETE, { names: ['$consent.ads'], value: 'cid' })).toEqual({
      deleteTraits: { code: 'BAD_REQUEST', where: 'names' },
    });
    expect(await world.data(DELETE, { names: ['size'], value: 'nobody' })).toEqual({
      deleteTraits: { code: 'NOT_FOUND', where: 'identifier' },
    });
  });
});

describe('deleting a trait everywhere', () => {
  it('takes it from every profile, tells segments, and refuses what arrives late', async () => {
    await world.defineSegment('tall', 'traits.height > 180');
    for (const user of ['dan', 'eve', 'fay'])
      await give('web', anIdentify({ user_id: user }, { height: 190, plan: 'x' }));
    await world.drain();
    const before = world.clock.now() - HOUR_MS;
    const query = 'mutation { deleteTrait(name: "height") { ... on DeletedTrait { name } ... on Failure { code } } }';
    expect(await world.data(query)).toEqual({ deleteTrait: { name: 'height' } });
    await world.drain();
    expect((await detailsOf('eve')).traits).toEqual({ plan: 'x' });
    const leaves = (await world.feed()).filter(({ segment, kind }) => segment === 'tall' && kind === 'leave');
    expect(leaves.map(({ cause }) => cause.kind)).toEqual(['edit', 'edit', 'edit']);
    const changes = await world.db.query('SELECT names, anchors, finished_at > 0 AS done FROM trait_rule_changes');
    expect(changes).toEqual([{ names: ['height'], anchors: 3, done: true }]);
    await give('web', anIdentify({ user_id: 'eve' }, { height: 170 }, { timestampMs: before }));
    await world.drain();
    expect((await detailsOf('eve')).traits).toEqual({ plan: 'x' });
    await give('web', anIdentify({ user_id: 'eve' }, { height: 172 }));
    await world.drain();
    expect((await detailsOf('eve')).traits).toEqual({ plan: 'x', height: 172 });
  });
});

describe('definitions of traits', () => {
  it('show their rules and the values of another type', async () => {
    const rule = {
      type: 'number',
      onConflict: 'coerce',
      survivorship: 'max',
      sourcePriority: [],
      precedence: 'time',
      declaredBy: ['crm'],
      answers: [],
    } as const;
    await world.engine.services.traits.apply([{ name: 'age', description: 'In years.', edge: false, rule }]);
    await give('web', anIdentify({ user_id: 'gus' }, { age: '41' }));
    await world.drain();
    const query = `{ traitDefinitions { edges { node {
      name rule { type onConflict survivorship sourcePriority precedence declaredBy answers } conflicts { kept coerced refused }
    } } } }`;
    const answer = await world.data<{ traitDefinitions: { edges: { node: unknown }[] } }>(query);
    expect(answer.traitDefinitions.edges.map(({ node }) => node)).toEqual([
      {
        name: 'age',
        rule: { ...rule, onConflict: 'COERCE', survivorship: 'MAX', precedence: 'TIME' },
        conflicts: { kept: 0, coerced: 1, refused: 0 },
      },
    ]);
  });
});
