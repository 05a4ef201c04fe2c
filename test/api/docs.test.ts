import { readFile } from 'node:fs/promises';
import { createClient } from 'graphql-ws';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { parseFeatures } from '../../src/features/parse-features.js';
import { createApiWorld, type ApiWorld } from '../support/api-world.js';
import { readModelFixture } from '../support/model-fixtures.js';
import { aTrack, anIdentify, MINUTE_MS } from '../support/world.js';

const text = await readFile(new URL('../../docs/graphql.md', import.meta.url), 'utf8');

interface Example {
  readonly name: string;
  readonly query: string;
  readonly variables: Readonly<Record<string, unknown>>;
}

/** Each query with the variables in the JSON block right behind it. */
const examples: Example[] = [...text.matchAll(/```graphql\n(.*?)```(?:\s*```json\n(.*?)```)?/gs)].map(
  ([, query = '', json = '{}']) => ({
    name: /^(?:query|mutation|subscription) (\w+)/.exec(query)?.[1] ?? query,
    query,
    variables: JSON.parse(json) as Record<string, unknown>,
  }),
);

let world: ApiWorld;
/** What stands for the placeholders of the page. */
let given: Record<string, unknown>;

beforeAll(async () => {
  world = await createApiWorld();
  const { bytes } = await readModelFixture('benign_logistic');
  const fixture = await readFile(new URL('../fixtures/models/benign_logistic.manifest.yaml', import.meta.url), 'utf8');
  const manifest = fixture.replace('key: benign_logistic', 'key: purchase_intent');
  const { manifest: parsed } = await readModelFixture('benign_logistic');
  const { name, features } = parsed.featureService;
  const view = features.map(
    (f) => `      - { name: ${f}, aggregate: last, events: [x], value: properties.x, type: double }`,
  );
  const yaml = `views:
  - name: web
    features:
      - { name: views_1h, aggregate: count, events: [product_view], window: 1h }
  - name: measures
    features:\n${view.join('\n')}
services:
  - { name: intent_v1, features: [views_1h] }
  - { name: ${name}, features: [${features.join(', ')}] }
`;
  await world.engine.services.features.apply(parseFeatures(yaml, 'test'));
  await world.defineSegment('cart_abandoned', 'since("add_to_cart") >= "5m" && count("purchase", "24h") == 0');
  await world.drain();
  const ann = { anonymous_id: 'a1', email: 'ann@example.com' };
  await world.accept([anIdentify(ann, { first_name: 'Ann' }), aTrack('product_view', ann), aTrack('add_to_cart', ann)]);
  await world.drain();
  world.clock.advance(5 * MINUTE_MS);
  await world.drain();
  given = { onnx: bytes.toString('base64'), manifest, after: Buffer.from('["changes.1",0]').toString('base64url') };
});

afterAll(async () => {
  expect(world.defects).toEqual([]);
  await world.close();
});

/** Fills placeholders, and takes only the variables that the page names. */
function variablesOf({ variables }: Example): Record<string, unknown> {
  return Object.fromEntries(Object.entries(variables).map(([name, value]) => [name, given[name] ?? value]));
}

describe('docs/graphql.md', () => {
  it('has queries of every kind', () => {
    expect(examples.length).toBeGreaterThanOrEqual(15);
  });

  it.each(examples.map((example) => [example.name, example] as const))(
    '%s answers as described',
    async (_name, example) => {
      const { query } = example;
      const variables = variablesOf(example);
      if (query.startsWith('subscription')) {
        const client = createClient({
          url: `${world.url.replace('http', 'ws')}/graphql`,
          webSocketImpl: WebSocket,
          connectionParams: { apiKey: world.keys.read },
        });
        for await (const result of client.iterate({ query, variables })) {
          expect(result).toMatchObject({
            data: {
              segmentChanges: { kind: 'ENTER', cause: { kind: 'TIMER' }, profile: { traits: { first_name: 'Ann' } } },
            },
          });
          break;
        }
        await client.dispose();
        return;
      }
      const answer = await world.ask(query, variables);
      expect(answer.errors).toBeUndefined();
      const values = Object.values(answer.data ?? {});
      expect(values).not.toContain(null);
      for (const value of values) expect(value).not.toHaveProperty('message');
    },
  );
});
