import { isObjectType } from 'graphql';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { buildApiSchema } from '../../src/api/graphql/build-schema.js';
import { aPurpose } from '../support/a-purpose.js';
import { createApiWorld, type ApiWorld } from '../support/api-world.js';
import { fieldOperations } from '../support/schema-operations.js';
import { aGroup, anIdentify, aTrack } from '../support/world.js';

/* Every field with `first`, as the schema has them: a new one is tested by itself. */

/** What is there, so that fields below a field are reached. */
const THERE = {
  'Query.profile.identifier': '{ namespace: "user_id", value: "ann" }',
  'Query.segment.key': '"keen"',
  'Query.group.id': '"acme"',
  'Query.source.key': '"web"',
  'Query.trackingPlan.source': '"web"',
  'Mutation.replayDeadLetters.filter': '{ code: "X" }',
  'Mutation.discardDeadLetters.filter': '{ code: "X" }',
};

let world: ApiWorld;

beforeAll(async () => {
  world = await createApiWorld();
  await world.engine.services.purposes.apply([aPurpose('ads')]);
  await world.defineSegment('keen', 'count("product_view", "1h") >= 1');
  await world.drain();
  await world.accept([aTrack('product_view', { user_id: 'ann' }), anIdentify({ user_id: 'ann' }, { plan: 'pro' })]);
  await world.accept([aGroup({ user_id: 'ann' }, 'acme', { plan: 'pro' })]);
  await world.drain();
});

afterAll(() => world.close());

describe('the size of a page', () => {
  const schema = buildApiSchema();
  const paged = Object.values(schema.getTypeMap()).flatMap((type) =>
    isObjectType(type)
      ? Object.values(type.getFields()).flatMap(({ name, args }) =>
          args.some((arg) => arg.name === 'first') ? [`${type.name}.${name}`] : [],
        )
      : [],
  );

  it.each(paged)('of %s is at least one and bounded, whatever is asked for', async (field) => {
    for (const size of ['0', '-1', '100001', '2147483647']) {
      const operations = fieldOperations(schema, { ...THERE, [`${field}.first`]: size });
      const operation = operations.find((each) => each.field === field);
      const { errors } = await world.ask(operation?.text ?? '');
      const codes = errors?.map(({ extensions, message }) =>
        // In a list within lists the operation as a whole is too large.
        message.includes('fields in its answer') ? 'BAD_REQUEST' : extensions['code'],
      );
      const answer = codes ?? JSON.stringify(await world.ask(operation?.text ?? ''));
      expect(String(answer), operation?.text).toMatch(/BAD_REQUEST|BadRequest/);
    }
  });
});
