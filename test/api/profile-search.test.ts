import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DEFAULT_TRAIT_RULE, type TraitRule } from '../../src/profiles/trait-rule.model.js';
import type { TraitType } from '../../src/profiles/trait-type.model.js';
import { createApiWorld, type ApiWorld } from '../support/api-world.js';
import { anIdentify, aTrack, DAY_MS, HOUR_MS, START_MS } from '../support/world.js';

interface Page {
  readonly edges: readonly { readonly node: { readonly identifiers: readonly { readonly value: string }[] } }[];
  readonly pageInfo: { readonly hasNextPage: boolean; readonly endCursor: string | null };
  readonly totalCount: { readonly value: number; readonly relation: string };
}

const QUERY = `query ($filter: ProfileFilter, $orderBy: ProfileOrder, $first: Int!, $after: String) {
  profiles(filter: $filter, orderBy: $orderBy, first: $first, after: $after) {
    edges { node { identifiers { value } } } pageInfo { hasNextPage endCursor } totalCount { value relation }
  }
}`;

let world: ApiWorld;

beforeAll(async () => {
  world = await createApiWorld();
  await world.engine.services.traits.apply([
    { name: 'city', description: '', edge: false, searchable: true },
    { name: 'age', description: '', edge: false, searchable: true, rule: rule('number') },
    { name: 'joined', description: '', edge: false, searchable: true, rule: rule('date-time') },
    { name: 'interests', description: '', edge: false, searchable: true },
    { name: 'birthday', description: '', edge: false, searchable: true, pii: true },
  ]);
  await world.defineSegment('keen', 'count("view", "1h") >= 1');
  await world.drain();
  await world.accept([
    anIdentify({ user_id: 'ann' }, { city: 'Köln', age: 41, joined: '2024-05-01T00:00:00Z', interests: ['Tea', 'go'] }),
    anIdentify({ user_id: 'bob' }, { city: 'KÖLN', age: 17, joined: '2023-01-01T00:00:00Z', interests: ['go'] }),
    anIdentify({ user_id: 'cleo' }, { city: 'Leeds', age: 30, birthday: '1990-02-03' }),
  ]);
  await world.drain();
  world.clock.advance(HOUR_MS);
  await world.accept([aTrack('view', { user_id: 'dan' }), aTrack('view', { user_id: 'cleo' })]);
  await world.drain();
});

afterAll(() => world.close());

function rule(type: TraitType): TraitRule {
  return { ...DEFAULT_TRAIT_RULE, type };
}

async function page(filter: unknown, more: Record<string, unknown> = {}): Promise<Page> {
  return (await world.data<{ profiles: Page }>(QUERY, { filter, first: 10, ...more })).profiles;
}

const namesOn = ({ edges }: Page): string[] => edges.flatMap(({ node }) => node.identifiers.map(({ value }) => value));

async function names(filter: unknown, more: Record<string, unknown> = {}): Promise<string[]> {
  return namesOn(await page(filter, more)).sort();
}

async function refusal(filter: unknown, more: Record<string, unknown> = {}, key?: string): Promise<unknown> {
  const { errors } = await world.ask(QUERY, { filter, first: 10, ...more }, key === undefined ? {} : { key });
  const [error] = errors ?? [];
  return { message: error?.message, ...error?.extensions };
}

const since = (ms: number): { from: string } => ({ from: new Date(ms).toISOString() });

describe('profiles that a filter is true of', () => {
  it.each<[string, unknown, string[]]>([
    ['a text in any case', { trait: { name: 'city', eq: 'köln' } }, ['ann', 'bob']],
    ['the beginning of a text', { trait: { name: 'city', prefix: 'L' } }, ['cleo']],
    ['one of several values', { trait: { name: 'age', in: [17, 30, 99] } }, ['bob', 'cleo']],
    ['a stretch of numbers', { trait: { name: 'age', gte: 17, lt: 41 } }, ['bob', 'cleo']],
    ['its ends left out', { trait: { name: 'age', gt: 17, lte: 41 } }, ['ann', 'cleo']],
    ['an instant given as a day', { trait: { name: 'joined', gte: '2024-01-01' } }, ['ann']],
    ['an item of a list', { trait: { name: 'interests', contains: 'tea' } }, ['ann']],
    ['that there is a value', { trait: { name: 'interests', exists: true } }, ['ann', 'bob']],
    ['that there is none', { trait: { name: 'interests', exists: false } }, ['cleo', 'dan']],
    ['an identifier', { identifier: { namespace: 'user_id', eq: ' dan ' } }, ['dan']],
    ['the beginning of one', { identifier: { namespace: 'user_id', prefix: 'c' } }, ['cleo']],
    ['a segment', { segment: { in: ['keen'] } }, ['cleo', 'dan']],
    ['a segment that it is not in', { segment: { notIn: ['keen'] } }, ['ann', 'bob']],
    ['since when', { segment: { in: ['keen'], entered: since(START_MS + DAY_MS) } }, []],
    ['when it was made', { created: since(START_MS + 1_000) }, ['dan']],
    ['when it changed last', { updated: since(START_MS + HOUR_MS / 2) }, ['cleo', 'dan']],
    [
      'all of it together',
      {
        or: [{ trait: { name: 'city', eq: 'köln' } }, { segment: { in: ['keen'] } }],
        not: { trait: { name: 'age', lt: 18 } },
      },
      ['ann', 'cleo', 'dan'],
    ],
  ])('are found by %s', async (_, filter, expected) => {
    expect(await names(filter)).toEqual(expected);
    const { totalCount } = await page(filter, { first: 1 });
    expect(totalCount).toEqual({ value: expected.length, relation: 'EXACT' });
  });

  it('come in the order of a trait, page by page', async () => {
    const orderBy = { by: 'TRAIT', trait: 'age', direction: 'DESC' };
    const seen: string[] = [];
    for (let after: string | null = null, more = true; more;) {
      const next: Page = await page(null, { orderBy, first: 1, after });
      seen.push(...namesOn(next));
      after = next.pageInfo.endCursor;
      more = next.pageInfo.hasNextPage;
    }
    expect(seen).toEqual(['ann', 'cleo', 'bob']);
    const { totalCount } = await page(null, { orderBy, first: 1 });
    expect(totalCount).toEqual({ value: 3, relation: 'EXACT' });
    const keen = { segment: { in: ['keen'] } };
    expect((await page(keen, { first: 1 })).totalCount.value).toBe(2);
    // Dan has no age, so he is on none of the pages.
    expect((await page(keen, { orderBy, first: 1 })).totalCount).toEqual({ value: 1, relation: 'EXACT' });
    expect((await page({ trait: { name: 'age', gte: 18 } }, { orderBy, first: 1 })).totalCount.value).toBe(2);
    expect(namesOn(await page(null, { orderBy: { by: 'UPDATED', direction: 'DESC' }, first: 2 })).sort()).toEqual([
      'cleo',
      'dan',
    ]);
  });

  it('are asked for in one order from page to page', async () => {
    const { pageInfo } = await page(null, { first: 1 });
    const answer = await refusal(null, { first: 1, after: pageInfo.endCursor, orderBy: { by: 'CREATED' } });
    expect(answer).toMatchObject({ code: 'CURSOR_INVALID' });
  });
});

describe('a filter that cannot be answered', () => {
  it('names the trait that is meant, or how to declare it', async () => {
    expect(await refusal({ trait: { name: 'citty', eq: 'x' } })).toMatchObject({
      code: 'BAD_REQUEST',
      message: 'the trait citty is not searchable',
      where: 'filter.trait.name',
      hint: 'did you mean city? else declare it with searchable: true, or by weft traits set citty --searchable yes',
    });
    expect(await refusal({ not: { and: [{ trait: { name: 'shoe_size', eq: 42 } }] } })).toMatchObject({
      where: 'filter.not.and[0].trait.name',
    });
  });

  it.each<[string, unknown, string]>([
    ['a value of another type', { trait: { name: 'age', eq: '41' } }, 'filter.trait.eq'],
    ['null', { trait: { name: 'city', eq: null } }, 'filter.trait.eq'],
    ['bounds of two types', { trait: { name: 'city', gte: 1, lt: 'b' } }, 'filter.trait.lt'],
    ['no condition', {}, 'filter'],
    ['nothing asked of a trait', { trait: { name: 'city' } }, 'filter.trait'],
    ['an empty list', { or: [] }, 'filter.or'],
    ['too many values', { trait: { name: 'age', in: Array.from({ length: 101 }, (_, i) => i) } }, 'filter.trait.in'],
    ['too many conditions', { and: Array.from({ length: 21 }, () => ({ created: {} })) }, 'filter'],
    [
      'too many levels',
      [0, 1, 2, 3, 4].reduce<unknown>((not) => ({ not }), { created: {} }),
      'filter.not.not.not.not.not',
    ],
    ['a namespace that is mistyped', { identifier: { namespace: 'user_idd', eq: 'a' } }, 'filter.identifier.namespace'],
  ])('is refused for %s, and says where', async (_, filter, where) => {
    expect(await refusal(filter)).toMatchObject({ code: 'BAD_REQUEST', where });
  });

  it('tells nobody what they may not see', async () => {
    const { read, pii } = world.keys;
    const personal = { trait: { name: 'birthday', prefix: '1990' } };
    expect(await refusal(personal, {}, read)).toMatchObject({ code: 'FORBIDDEN', where: 'filter.trait.name' });
    expect(await refusal({ identifier: { namespace: 'email', prefix: 'a' } }, {}, read)).toMatchObject({
      code: 'FORBIDDEN',
    });
    expect(await refusal(null, { orderBy: { by: 'TRAIT', trait: 'birthday' } }, read)).toMatchObject({
      code: 'FORBIDDEN',
    });
    expect(await names(personal)).toEqual(['cleo']);
    expect(await refusal(personal, {}, pii)).toEqual({ message: undefined });
  });

  it('is to be asked again once everybody is in the index', async () => {
    const { traits } = world.engine.services;
    await traits.apply([{ name: 'plan', description: '', edge: false, searchable: true }]);
    expect(await refusal({ trait: { name: 'plan', eq: 'pro' } })).toMatchObject({ code: 'UNAVAILABLE' });
    await world.drain();
    expect(await names({ trait: { name: 'plan', eq: 'pro' } })).toEqual([]);
  });
});
