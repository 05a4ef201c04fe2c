import { Agent, request as httpRequest } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { buildApiSchema } from '../../src/api/graphql/build-schema.js';
import { EDGE_PROFILE_DOCUMENT } from '../../src/api/graphql/edge-documents.js';
import { createApiWorld, type ApiWorld } from '../support/api-world.js';
import { HostileDoors, type DoorRequest } from '../support/hostile-doors.js';
import { HostileRequests } from '../support/hostile-requests.js';
import { complaint, type Answer } from '../support/hostile-verdict.js';
import { randomFrom } from '../support/random-log.js';
import { aTrack, anIdentify } from '../support/world.js';

/* Edge keys, stored documents, automatic persisted queries, addresses: the same attacks by every way that leads in. */

const COUNT = Number(process.env['WEFT_TEST_HOSTILE_DOORS'] ?? 4_000);
const SEED = Number(process.env['WEFT_TEST_SEED'] ?? 20_261_122);
const AT_ONCE = 8;
const OWN =
  'query Own($identifier: EdgeIdentifierInput!) { who: edgeProfile(identifier: $identifier, deadlineMs: 1) { known } }';
/** Stored, and not for edge keys. */
const READERS = 'query Readers { segments(first: 500) { edges { node { key } } } }';

let world: ApiWorld;
let edge: string;
const agent = new Agent({ keepAlive: true, maxSockets: AT_ONCE });

beforeAll(async () => {
  world = await createApiWorld();
  await world.defineSegment('keen', 'count("product_view", "1h") >= 1');
  await world.accept([
    anIdentify({ user_id: 'ann', anonymous_id: '7c05542a-a638-43fd-b185-e15b72e2fa6b' }, { secret: 'of ann' }),
    aTrack('product_view', { user_id: 'ann' }),
  ]);
  await world.drain();
  await world.ask(
    'mutation ($documents: [StoredDocumentInput!]!) { storeDocuments(documents: $documents) { __typename } }',
    {
      documents: [{ text: OWN }, { text: READERS }],
    },
  );
  edge = (await world.services.keys.create({ name: 'pages', scopes: ['edge'], ratePerSecond: 1_000_000 })).secret;
});

afterAll(async () => {
  agent.destroy();
  await world.close();
});

function send({ path, body, key }: DoorRequest): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const { hostname, port } = new URL(world.url);
    const headers = {
      ...(key === null ? {} : { authorization: `Bearer ${key}` }),
      ...(body === null ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }),
    };
    const method = body === null ? 'GET' : 'POST';
    const request = httpRequest({ hostname, port, path, method, agent, headers }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString() }));
    });
    request.on('error', reject);
    request.end(body ?? undefined);
  });
}

/** What an edge key was told that it must not be; null: nothing. */
function leak({ isEdge }: DoorRequest, { text }: Answer): string | null {
  if (!isEdge) return null;
  const { data } = JSON.parse(text) as { data?: Record<string, unknown> | null };
  const told = Object.keys(data ?? {}).filter((name) => !['edgeProfile', 'who'].includes(name));
  if (told.length > 0) return `an edge key was told ${told.join()}`;
  return /of ann|"keen"/.test(text) ? 'an edge key was told what is not marked' : null;
}

describe(`hostile requests by every door, seed ${SEED}`, () => {
  const schema = buildApiSchema();

  it(`are refused or answered, ${COUNT} of them, and edge keys are told nothing but what they may`, async () => {
    const random = randomFrom(SEED);
    const keys = { edge, read: world.keys.read };
    const doors = new HostileDoors(new HostileRequests(schema, SEED), random, keys, [
      EDGE_PROFILE_DOCUMENT,
      OWN,
      READERS,
    ]);
    const answered = new Map<string, number>();
    for (let done = 0; done < COUNT; done += AT_ONCE) {
      const batch = Array.from({ length: AT_ONCE }, () => doors.make());
      const answers = await Promise.all(batch.map(send));
      batch.forEach((request, i) => {
        const answer = answers[i] as Answer;
        const wrong = complaint(schema, request, answer) ?? leak(request, answer);
        if (wrong !== null) {
          const which = `request ${done + i} of seed ${SEED} (${request.door})`;
          expect.fail(
            `${which}: ${wrong}\n${request.path.slice(0, 1_500)}\n${request.body ?? ''}\n${answer.text.slice(0, 500)}`,
          );
        }
        if (answer.text.startsWith('{"data":{')) answered.set(request.door, (answered.get(request.door) ?? 0) + 1);
      });
    }
    expect(world.defects).toEqual([]);
    expect(({} as Record<string, unknown>)['admin']).toBeUndefined();
    // Requests that never reach a resolver would prove little.
    for (const door of ['stored by GET', 'stored by POST', 'APQ', 'text by GET']) {
      expect(answered.get(door), door).toBeGreaterThan(COUNT / 500);
    }
    expect(answered.has('own text')).toBe(false);
  }, 300_000);
});
