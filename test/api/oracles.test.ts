import { createClient } from 'graphql-ws';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { WebSocket } from 'ws';
import { createApiWorld, type ApiWorld } from '../support/api-world.js';
import { aTrack } from '../support/world.js';

/* A key that may not read learns nothing of who exists: neither by what is answered nor by what is done for the answer. */

let world: ApiWorld;
let annsId: string;

beforeAll(async () => {
  world = await createApiWorld();
  await world.defineSegment('keen', 'count("product_view", "1h") >= 1');
  await world.drain();
  await world.accept([aTrack('product_view', { user_id: 'ann' })]);
  await world.drain();
  const { profile } = await world.data<{ profile: { id: string } }>(
    '{ profile(identifier: { namespace: "user_id", value: "ann" }) { id } }',
  );
  annsId = profile.id;
});

afterAll(() => world.close());

async function textOf(key: string, query: string, accept = 'application/json'): Promise<string> {
  const response = await fetch(`${world.url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${key}`, accept },
    body: JSON.stringify({ query }),
  });
  return `${String(response.status)} ${await response.text()}`;
}

const withoutScope = (): [string, string][] =>
  Object.entries(world.keys).filter(([scope]) => !['admin', 'read', 'pii'].includes(scope));

describe('whether a person exists', () => {
  const byId = (id: string): string => `{ profile(id: "${id}") { id } }`;
  const byName = (name: string): string => `{ profile(identifier: { namespace: "user_id", value: "${name}" }) { id } }`;
  const online = (name: string): string =>
    `{ onlineFeatures(entities: [{ namespace: "user_id", value: "${name}" }]) { profileId } }`;

  it('is not told to a key that may not read, and nothing is looked up for it', async () => {
    const nobodysId = annsId.replace(/.$/, (last) => (last === '0' ? '1' : '0'));
    const lookups = [
      vi.spyOn(world.services.snapshots, 'byIds'),
      vi.spyOn(world.services.snapshots, 'idsOf'),
      vi.spyOn(world.services.policy, 'resolve'),
    ];
    for (const [, key] of withoutScope()) {
      for (const [known, unknown] of [
        [byId(annsId), byId(nobodysId)],
        [byName('ann'), byName('bob')],
        [online('ann'), online('bob')],
      ] as const) {
        for (let run = 0; run < 3; run++) {
          expect(await textOf(key, known)).toBe(await textOf(key, unknown));
        }
      }
    }
    for (const lookup of lookups) expect(lookup).not.toHaveBeenCalled();
    vi.restoreAllMocks();
  });

  it('is not told by what becomes of an event either', async () => {
    const send = (name: string, messageId: string): Promise<string> =>
      textOf(
        world.keys.ingest,
        `mutation { ingest(source: "web", events: [{ type: TRACK, name: "x", messageId: "${messageId}",
          identifiers: [{ namespace: "user_id", value: "${name}" }] }]) { ... on IngestReport { accepted duplicates results { status reason hint } } } }`,
      );
    const lookups = vi.spyOn(world.services.snapshots, 'idsOf');
    expect(await send('ann', 'm-1')).toBe(await send('bob', 'm-2'));
    expect(await send('ann', 'm-1')).toBe(await send('bob', 'm-2'));
    expect(lookups).not.toHaveBeenCalled();
    vi.restoreAllMocks();
  });

  it('is not told by a source that is another key\u2019s, or nobody\u2019s', async () => {
    await world.services.sources.ensure({ key: 'crm', kind: 'batch' });
    const send = (source: string): Promise<string> =>
      textOf(world.keys.ingest, `mutation { ingest(source: "${source}", events: []) { __typename } }`);
    expect(await send('crm')).toBe(await send('nothing'));
  });
});

describe('advice on names', () => {
  const MISSPELT = [
    '{ profil(id: "x") { id } }',
    '{ profile(idd: "x") { id } }',
    '{ profile(id: "x") { trait } }',
    '{ profile(id: "x") { ... on Profil { id } } }',
    'mutation { archiveSegmen(key: "x") { __typename } }',
    'mutation { createSource(key: "x", kind: HTT) { __typename } }',
  ];

  it('is for those who may look at the schema', async () => {
    for (const query of MISSPELT) {
      expect(await textOf(world.keys.read, query)).toContain('Did you mean');
      for (const [scope, key] of withoutScope()) {
        const answer = await textOf(key, query);
        expect(answer, scope).toMatch(/GRAPHQL_VALIDATION_FAILED|FORBIDDEN/);
        expect(answer, scope).not.toContain('Did you mean');
      }
    }
  });

  it('is as little over a socket', async () => {
    const ask = async (apiKey: string, query: string): Promise<string> => {
      const client = createClient({
        url: `${world.url.replace('http', 'ws')}/graphql`,
        webSocketImpl: WebSocket,
        connectionParams: { apiKey },
        retryAttempts: 0,
      });
      try {
        for await (const result of client.iterate({ query })) return JSON.stringify(result);
        return '';
      } catch (errors) {
        return JSON.stringify(errors);
      } finally {
        await client.dispose();
      }
    };
    for (const query of MISSPELT) {
      expect(await ask(world.keys.read, query)).toContain('Did you mean');
      const answer = await ask(world.keys.ingest, query);
      expect(answer).toContain('message');
      expect(answer).not.toContain('Did you mean');
    }
  });
});
