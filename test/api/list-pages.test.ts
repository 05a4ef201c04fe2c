import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { ALL_CHANGES } from '../../src/activation/change-filter.model.js';
import type { NewEndpoint } from '../../src/activation/endpoints/endpoint.service.js';
import { StoredDocumentService } from '../../src/api/documents/stored-document.service.js';
import { createApiWorld, type ApiWorld } from '../support/api-world.js';
import { aTrack } from '../support/world.js';

/* Lists of what admins keep, from page to page. */

interface Page {
  readonly edges: readonly { readonly cursor: string; readonly node: Readonly<Record<string, string>> }[];
  readonly pageInfo: { readonly hasNextPage: boolean; readonly endCursor: string | null };
}

const AN_ENDPOINT: Omit<NewEndpoint, 'key'> = {
  ...{ url: 'https://example.com/', headers: {}, filter: ALL_CHANGES, after: null },
  content: { identifiers: [], traits: [], features: [], pii: false, template: null },
  settings: { timeoutMs: 1_000, concurrency: 1, maxAttempts: 1 },
};

let world: ApiWorld;

beforeAll(async () => {
  world = await createApiWorld();
  const { services } = world;
  const { sources, keys, webhooks } = services;
  const secret = 'secret-of-a-test-0123456789';
  // In an order that is neither that of keys nor of ids; a collation for people orders `a_b` and `ab` otherwise.
  for (const key of ['z', 'a_b', 'a_a', 'ab', 'b1', 'b10', 'b2']) {
    await world.accept([aTrack(`e_${key}`, { user_id: 'ann' })]);
    await sources.create({ key: `s_${key}`, kind: 'http' });
    await webhooks.service.create({ key: `w_${key}`, adapter: 'zendesk', options: { keepMessages: false }, secret });
    await keys.create({ name: key, scopes: ['read'] });
    await services.changeSubscriptions.create(`c_${key}`, ALL_CHANGES, null);
    await world.ask('mutation ($key: String!) { upsertProfileList(key: $key, name: "a list") { __typename } }', {
      key,
    });
    await services.endpoints.create({ ...AN_ENDPOINT, key: `e_${key}` });
    await world.ask('mutation ($text: String!) { storeDocuments(documents: [{ text: $text }]) { __typename } }', {
      text: `query ${key} { __typename }`,
    });
  }
  await world.drain();
});

afterAll(() => world.close());

describe.each([
  ['vocabulary', 'name'],
  ['sources', 'key'],
  ['apiKeys', 'id'],
  ['webhooks', 'key'],
  ['storedDocuments', 'id'],
  ['changeSubscriptions', 'key'],
  ['webhookEndpoints', 'key'],
  ['profileLists', 'key'],
])('the list %s', (list, order) => {
  const page = async (first: number, after: string | null): Promise<Page> => {
    const query = `query ($first: Int!, $after: String) { page: ${list}(first: $first, after: $after) {
      edges { cursor node { ${order} } } pageInfo { hasNextPage endCursor } } }`;
    const { data } = await world.ask(query, { first, after });
    return (data as unknown as { page: Page }).page;
  };

  it('shows each once, in order, whatever the size of its pages', async () => {
    const all = (await page(500, null)).edges.map(({ node }) => node[order] ?? '');
    expect(all.length).toBeGreaterThanOrEqual(7);
    expect(all).toEqual([...all].sort());
    for (const size of [1, 2, 3, all.length]) {
      const seen: string[] = [];
      for (let after: string | null = null, more = true; more;) {
        const { edges, pageInfo } = await page(size, after);
        expect(edges.length).toBeLessThanOrEqual(size);
        seen.push(...edges.map(({ node }) => node[order] ?? ''));
        after = pageInfo.endCursor;
        more = pageInfo.hasNextPage;
      }
      expect(seen).toEqual(all);
    }
  });
});

it('a page of stored documents looks at no more of them than are on it', async () => {
  const { db, clock } = world.services;
  const problemOf = vi.fn(() => null);
  const documents = new StoredDocumentService({ db, clock, problemOf });
  const [first] = await documents.page(null, 2);
  expect(await documents.page(first?.id ?? '', 3)).toHaveLength(3);
  expect(problemOf).toHaveBeenCalledTimes(2 + 3);
});
