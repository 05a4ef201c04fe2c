import { Agent, request as httpRequest } from 'node:http';
import { execute, parse } from 'graphql';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { buildApiSchema } from '../../src/api/graphql/build-schema.js';
import { QUERY_LIMITS } from '../../src/api/graphql/query-limits.js';
import { createApiWorld, type ApiWorld } from '../support/api-world.js';
import { HostileRequests, type HostileRequest } from '../support/hostile-requests.js';
import { complaint, type Answer } from '../support/hostile-verdict.js';
import { aTrack } from '../support/world.js';

const COUNT = Number(process.env['WEFT_TEST_HOSTILE_QUERIES'] ?? 10_000);
const SEED = Number(process.env['WEFT_TEST_SEED'] ?? 20_261_122);
const AT_ONCE = 8;
/** Of processor time for so many at once, ours and the test's; a thousand times what pages' queries take. */
const MAX_CPU_MS = 2_000;

let world: ApiWorld;
const agent = new Agent({ keepAlive: true, maxSockets: AT_ONCE });

beforeAll(async () => {
  world = await createApiWorld();
  await world.defineSegment('keen', 'count("product_view", "1h") >= 1');
  await world.drain();
  await world.accept(
    Array.from({ length: 40 }, (_, i) => aTrack('product_view', { user_id: i === 0 ? 'ann' : `u${i}` })),
  );
  await world.drain();
});

afterAll(async () => {
  agent.destroy();
  await world.close();
});

function send(body: Buffer, secret: string): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const headers = {
      'content-type': 'application/json',
      authorization: `Bearer ${secret}`,
      'content-length': body.length,
    };
    const request = httpRequest(`${world.url}/graphql`, { method: 'POST', agent, headers }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString() }));
    });
    request.on('error', reject);
    request.end(body);
  });
}

it('what is refused in several items of a list at once is answered, and leaves nothing that would end the process', async () => {
  const lost: unknown[] = [];
  const note = (error: unknown): void => void lost.push(error);
  process.on('unhandledRejection', note);
  const timeline = 'timeline(first: 1) { edges { node { kind } } }';
  const { errors } = await world.ask(`{ profiles(first: 40) { edges { node { isContested ${timeline} } } } }`);
  await new Promise((resolve) => setImmediate(resolve));
  process.off('unhandledRejection', note);
  expect(errors?.[0]).toMatchObject({ message: 'more than 20 lists are read one by one' });
  expect(lost).toEqual([]);
});

describe(`hostile queries, seed ${SEED}`, () => {
  const schema = buildApiSchema();

  it(`are refused or answered, ${COUNT} of them: none over its cost, with an internal error, or at length`, async () => {
    const hostile = new HostileRequests(schema, SEED);
    const { admin, read, ingest } = world.keys;
    const keys = [admin, read, read, ingest];
    const executed = new Map<string, number>();
    for (let done = 0; done < COUNT; done += AT_ONCE) {
      const batch = Array.from({ length: AT_ONCE }, () => hostile.make());
      const cpu = process.cpuUsage();
      const answers = await Promise.all(batch.map(({ body }, i) => send(body, keys[i % keys.length] ?? read)));
      const { user, system } = process.cpuUsage(cpu);
      const cpuMs = (user + system) / 1_000;
      batch.forEach((request, i) => {
        const answer = answers[i] as Answer;
        const wrong = cpuMs > MAX_CPU_MS ? `${cpuMs} ms of processor time` : complaint(schema, request, answer);
        if (wrong !== null) {
          const sample = request.body.toString().slice(0, 2_000);
          const which = `request ${done + i} of seed ${SEED} (${request.kind})`;
          expect.fail(`${which}: ${wrong}\n${sample}\n${answer.text.slice(0, 500)}`);
        }
        if (answer.text.startsWith('{"data":{')) executed.set(request.kind, (executed.get(request.kind) ?? 0) + 1);
      });
    }
    expect(world.defects).toEqual([]);
    expect(({} as Record<string, unknown>)['admin']).toBeUndefined();
    // Requests that never reach a resolver would prove little.
    expect(executed.get('walk')).toBeGreaterThan(COUNT / 20);
    expect((await fetch(`${world.url}/healthz`)).status).toBe(200);
  }, 300_000);

  it('would be noticed if the bounds did not hold', async () => {
    const aliases = Array.from({ length: QUERY_LIMITS.maxAliases + 1 }, (_, i) => `a${i}: __typename`).join(' ');
    const query = `{ ${aliases} }`;
    const request: HostileRequest = { kind: 'wide', query, body: Buffer.from('') };
    const unbounded = await execute({ schema, document: parse(query) });
    const text = JSON.stringify(unbounded);
    expect(complaint(schema, request, { status: 200, text })).toBe('executed over its cost');
    const bounded = await send(Buffer.from(JSON.stringify({ query })), world.keys.read);
    expect(complaint(schema, request, bounded)).toBeNull();
    expect(
      complaint(schema, request, { status: 200, text: '{"errors":[{"message":"","extensions":{"code":"INTERNAL"}}]}' }),
    ).toBe('an internal error');
  });
});
