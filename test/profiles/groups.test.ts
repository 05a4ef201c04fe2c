import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hashId } from '../../src/platform/ids.js';
import { createApiWorld, type ApiWorld } from '../support/api-world.js';
import { aGroup, anIdentify, MINUTE_MS } from '../support/world.js';

let world: ApiWorld;

beforeAll(async () => {
  world = await createApiWorld();
  await world.defineSegment('of_acme', 'groups.exists(g, g.id == "acme")');
  await world.defineSegment('in_several', 'size(groups) > 1');
  await world.drain();
});

afterAll(async () => {
  await world.close();
});

async function profileOf(value: string) {
  const { profile } = await world.data<{ profile: { groups: { id: string }[]; traits: unknown; segments: unknown[] } }>(
    `query ($value: String!) { profile(identifier: { namespace: "anonymous_id", value: $value }) {
      groups { id } traits segments { segment { key } }
    } }`,
    { value },
  );
  return profile;
}

describe('groups', () => {
  it('have those as members of whom group calls say so, and of whom these become part', async () => {
    await world.accept([aGroup({ anonymous_id: 'cookie-1' }, 'acme')]);
    world.clock.advance(MINUTE_MS);
    await world.accept([
      aGroup({ anonymous_id: 'cookie-2' }, 'globex'),
      aGroup({ anonymous_id: 'cookie-2' }, 'globex'),
    ]);
    await world.drain();
    expect(await profileOf('cookie-1')).toEqual({
      groups: [{ id: 'acme' }],
      traits: {},
      segments: [{ segment: { key: 'of_acme' } }],
    });
    expect((await profileOf('cookie-2')).groups).toEqual([{ id: 'globex' }]);
    world.clock.advance(MINUTE_MS);
    await world.accept([
      anIdentify({ user_id: 'ann', anonymous_id: 'cookie-1' }),
      anIdentify({ user_id: 'ann', anonymous_id: 'cookie-2' }),
    ]);
    await world.drain();
    expect(await profileOf('cookie-2')).toEqual({
      groups: [{ id: 'acme' }, { id: 'globex' }],
      traits: {},
      segments: [{ segment: { key: 'in_several' } }, { segment: { key: 'of_acme' } }],
    });
  });

  it('lose those of whom all such calls are taken back', async () => {
    const joining = aGroup({ anonymous_id: 'cookie-3' }, 'acme');
    await world.accept([joining, anIdentify({ anonymous_id: 'cookie-3' }, { city: 'York' })]);
    await world.drain();
    expect((await profileOf('cookie-3')).groups).toEqual([{ id: 'acme' }]);
    const source = await world.services.sources.findByKey('web');
    if (source === null) throw new Error('there is no source');
    await world.engine.retractions.takeBackMessages(source, [joining.messageId ?? '']);
    await world.drain();
    expect(await profileOf('cookie-3')).toEqual({ groups: [], traits: { city: 'York' }, segments: [] });
  });
});

describe('group(id)', () => {
  interface Asked {
    readonly group: {
      readonly id: string;
      readonly traits: unknown;
      readonly members: {
        readonly edges: readonly { readonly node: { readonly identifiers: readonly { readonly value: string }[] } }[];
        readonly pageInfo: { readonly hasNextPage: boolean; readonly endCursor: string | null };
      };
    } | null;
  }
  const ask = async (id: string, first = 50, after: string | null = null): Promise<Asked['group']> => {
    const { group } = await world.data<Asked>(
      `query ($id: String!, $first: Int!, $after: String) { group(id: $id) { id traits members(first: $first, after: $after) {
        edges { node { identifiers { value } } } pageInfo { hasNextPage endCursor } } } }`,
      { id, first, after },
    );
    return group;
  };

  it('shows the traits and every member once, from page to page', async () => {
    const cookies = ['m1', 'm2', 'm3', 'm4', 'm5'];
    await world.accept([
      ...cookies.map((cookie) => aGroup({ anonymous_id: cookie }, 'initech', { plan: 'pro' })),
      anIdentify({ user_id: 'bea', anonymous_id: 'm1' }),
      anIdentify({ user_id: 'bea', anonymous_id: 'm2' }),
    ]);
    await world.drain();
    for (const size of [1, 2, 50]) {
      const found: string[] = [];
      for (let after: string | null = null, more = true; more;) {
        const group = await ask('initech', size, after);
        expect(group).toMatchObject({ id: 'initech', traits: { plan: 'pro' } });
        for (const { node } of group?.members.edges ?? []) {
          found.push(
            node.identifiers
              .map(({ value }) => value)
              .sort()
              .join(' '),
          );
        }
        more = group?.members.pageInfo.hasNextPage ?? false;
        after = group?.members.pageInfo.endCursor ?? null;
      }
      expect(found.sort()).toEqual(['bea m1 m2', 'm3', 'm4', 'm5']);
    }
    // An anchor's id is a hash of an identifier, by which who guesses it could tell that they are right.
    const cursor = Buffer.from((await ask('initech', 1))?.members.pageInfo.endCursor ?? '', 'base64url').toString();
    expect(cursor).toContain('group_members');
    for (const cookie of cookies) expect(cursor).not.toContain(hashId('anonymous_id', cookie));
    expect(await ask('Initech')).toBeNull();
  });
});
