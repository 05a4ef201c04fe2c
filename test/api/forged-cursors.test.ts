import { isObjectType } from 'graphql';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { buildApiSchema } from '../../src/api/graphql/build-schema.js';
import * as cursors from '../../src/api/graphql/cursors.js';
import { parseFeatures } from '../../src/features/parse-features.js';
import { CursorCodec } from '../../src/platform/cursor.js';
import { aPurpose } from '../support/a-purpose.js';
import { createApiWorld, type ApiWorld } from '../support/api-world.js';
import { fieldOperations } from '../support/schema-operations.js';
import { aGroup, anIdentify, aTrack } from '../support/world.js';

/* Every field with `after`, as the schema has them: a new one is tested by itself. */

/** What is there, so that fields below a field are reached. */
const THERE = {
  'Query.profile.identifier': '{ namespace: "user_id", value: "ann" }',
  'Query.segment.key': '"keen"',
  'Query.group.id': '"acme"',
  'Query.entityKeys.entity': '"item"',
  'Query.entityRecords.entity': '"item"',
  'Query.source.key': '"web"',
  'Query.trackingPlan.source': '"web"',
  'Query.trackingPlanVersions.source': '"web"',
  'Mutation.replayDeadLetters.filter': '{ code: "X" }',
  'Mutation.discardDeadLetters.filter': '{ code: "X" }',
};
const MARK = 'FORGED';
const TEXTS = ['', 'a\0b', '\ud83d', "' OR 1=1 --", 'x -123456789', 'x 1.23456789', 'x 0x00000001', 'z'.repeat(500)];
const UUID = '00000000-0000-7000-8000-000000000000';
const NUMBERS = [0, -1, 1.5, 2 ** 31, -(2 ** 31) - 1, 2 ** 53 - 1, -(2 ** 53) + 1, 2 ** 53, 1e300, null, '1', {}];
const VALUES = [...TEXTS, ...NUMBERS, UUID];

const encoded = (list: readonly unknown[]): string => Buffer.from(JSON.stringify(list)).toString('base64url');

/** What cursors of each kind begin with. */
const PREFIXES = Object.values(cursors).flatMap((each) => {
  if (!(each instanceof CursorCodec)) return [];
  const encode = each.encode.bind(each) as (values: object) => string;
  return [(JSON.parse(Buffer.from(encode({}), 'base64url').toString('utf8')) as [string])[0]];
});

/** Everything that fits a shape and was never given out, and much that does not. */
function forged(prefix: string): string[] {
  return VALUES.flatMap((value) => [
    [prefix, value],
    [prefix, value, 1],
    [prefix, 1, value],
    [prefix, value, UUID],
    [prefix, 1, 2, value],
  ]).map(encoded);
}

let world: ApiWorld;

beforeAll(async () => {
  world = await createApiWorld();
  await world.engine.services.purposes.apply([aPurpose('ads')]);
  await world.engine.services.features.apply(parseFeatures('entities: [{ name: item, join_key: item_id }]', 'f.yaml'));
  await world.defineSegment('keen', 'count("product_view", "1h") >= 1');
  await world.accept([aTrack('product_view', { user_id: 'ann' }), anIdentify({ user_id: 'ann' }, { plan: 'pro' })]);
  await world.accept([aGroup({ user_id: 'ann' }, 'acme', { plan: 'pro' })]);
  await world.drain();
});

afterAll(() => world.close());

describe('a cursor that was never given out', () => {
  const schema = buildApiSchema();
  const fields = Object.values(schema.getTypeMap()).flatMap((type) =>
    isObjectType(type) && type.name !== 'Subscription'
      ? Object.values(type.getFields()).flatMap(({ name, args }) =>
          args.some((arg) => arg.name === 'after') && args.some((arg) => arg.name === 'first')
            ? [`${type.name}.${name}`]
            : [],
        )
      : [],
  );

  it('is tried on every list', () => {
    expect(fields.length).toBeGreaterThanOrEqual(15);
    expect(PREFIXES.length).toBeGreaterThanOrEqual(12);
  });

  it.each(fields)('is a place in %s, or refused in our words, and never a defect', async (field) => {
    const withMark = fieldOperations(schema, { ...THERE, [`${field}.after`]: `"${MARK}"` });
    const text = withMark.find((each) => each.field === field)?.text ?? '';
    expect(text).toContain(MARK);
    world.defects.length = 0;
    const refusals = new Set<string>();
    const told = async (cursor: string): Promise<string> => {
      const { data, errors = [] } = await world.ask(text.replace(MARK, cursor));
      const codes = errors.map(({ message, extensions }) => `${String(extensions['code'])}: ${message}`).join();
      if (codes !== '') refusals.add(codes);
      return codes + JSON.stringify(data);
    };
    const own: string[] = [];
    for (const prefix of PREFIXES) {
      if (!(await told(encoded([prefix]))).includes('another list')) own.push(prefix);
    }
    expect(own).toHaveLength(1);
    for (const cursor of forged(own[0] ?? '')) await told(cursor);
    expect(world.defects).toEqual([]);
    for (const refusal of refusals) expect(refusal).toMatch(/^CURSOR_INVALID: the cursor (is|belongs to) /);
    expect(refusals.size).toBeGreaterThanOrEqual(2);
  });
});
