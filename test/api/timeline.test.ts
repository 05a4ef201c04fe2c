import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createApiWorld, type ApiWorld } from '../support/api-world.js';
import { anIdentify, aTrack, HOUR_MS, MINUTE_MS, START_MS } from '../support/world.js';

interface Entry {
  readonly kind: string;
  readonly occurredAt: string;
  readonly source: string | null;
  readonly name?: string;
  readonly messageId?: string;
}

interface Page {
  readonly edges: readonly { readonly cursor: string; readonly node: Entry }[];
  readonly pageInfo: {
    readonly hasNextPage: boolean;
    readonly hasPreviousPage: boolean;
    readonly startCursor: string | null;
    readonly endCursor: string | null;
  };
}

const QUERY = `query ($filter: TimelineFilter, $first: Int, $after: String, $last: Int, $before: String) {
  profile(identifier: { namespace: "user_id", value: "ann" }) {
    timeline(filter: $filter, first: $first, after: $after, last: $last, before: $before) {
      edges { cursor node { kind occurredAt source ... on TimelineEvent { messageId name load }
        ... on TimelineMerge { merge { kind event { messageId } } } } }
      pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    }
  }
}`;

let world: ApiWorld;

beforeAll(async () => {
  world = await createApiWorld();
  await world.accept([], { source: 'crm' });
  // Of three anchors, several at one instant, on two that become one.
  const track = (name: string, who: Record<string, string>, agoMs: number) =>
    aTrack(name, who, { messageId: `${name}-${String(agoMs)}`, timestampMs: START_MS - agoMs });
  await world.accept([
    ...[0, 0, 1, MINUTE_MS].map((agoMs, i) => ({
      ...track('view', { anonymous_id: 'c1' }, agoMs),
      messageId: `c1-${String(i)}`,
    })),
    ...[0, 1, 1].map((agoMs, i) => ({ ...track('cart', { user_id: 'ann' }, agoMs), messageId: `u-${String(i)}` })),
    track('far', { user_id: 'ann' }, HOUR_MS),
  ]);
  await world.accept(
    [anIdentify({ email: 'a@example.com' }, {}, { messageId: 'row', timestampMs: START_MS - 2 * HOUR_MS })],
    {
      source: 'crm',
      historical: true,
    },
  );
  await world.drain();
  await world.db.query(`UPDATE event_log SET load_id = '01900000-0000-7000-8000-000000000000' WHERE historical`);
  world.clock.advance(MINUTE_MS);
  await world.accept([
    anIdentify({ user_id: 'ann', anonymous_id: 'c1', email: 'a@example.com' }, {}, { messageId: 'joins' }),
  ]);
  await world.drain();
});

afterAll(() => world.close());

async function page(variables: Record<string, unknown> = {}): Promise<Page> {
  return (await world.data<{ profile: { timeline: Page } }>(QUERY, variables)).profile.timeline;
}

const told = ({ edges }: Page): string[] => edges.map(({ node }) => node.messageId ?? node.kind);

async function walk(size: number, filter: unknown, isBack: boolean): Promise<string[]> {
  const seen: string[] = [];
  let from: string | null = null;
  for (let pages = 0; pages < 50; pages++) {
    const next: Page = await page(isBack ? { filter, last: size, before: from } : { filter, first: size, after: from });
    expect(next.edges.length).toBeLessThanOrEqual(size);
    if (isBack) seen.unshift(...told(next));
    else seen.push(...told(next));
    const { pageInfo } = next;
    if (!(isBack ? pageInfo.hasPreviousPage : pageInfo.hasNextPage)) return seen;
    from = isBack ? pageInfo.startCursor : pageInfo.endCursor;
  }
  throw new Error('the pages have no end');
}

describe('a timeline', () => {
  it('has events, rows and merges of all anchors, newest first, each with its source', async () => {
    const { edges } = await page();
    const entries = edges.map(({ node }) => node);
    expect(entries.map(({ kind }) => kind).slice(0, 3)).toEqual(['MERGE', 'MERGE', 'EVENT']);
    expect(entries.slice(0, 3)).toMatchObject([
      { source: 'web', merge: { kind: 'MERGE', event: { messageId: 'joins' } } },
      { source: 'web', merge: { kind: 'MERGE', event: { messageId: 'joins' } } },
      { source: 'web', messageId: 'joins', load: null },
    ]);
    expect(entries.at(-1)).toMatchObject({ kind: 'RECORD', source: 'crm', messageId: 'row' });
    expect(entries).toHaveLength(12);
    const times = entries.map(({ occurredAt }) => occurredAt);
    expect(times).toEqual([...times].sort().reverse());
  });

  it.each([1, 2, 3, 5, 12, 50])('is the same on pages of %i, forwards and back', async (size) => {
    const all = told(await page());
    expect(await walk(size, null, false)).toEqual(all);
    expect(await walk(size, null, true)).toEqual(all);
  });

  it('goes on from any item in both directions', async () => {
    const { edges } = await page();
    const all = edges.map(({ cursor }) => cursor);
    for (const [i, cursor] of all.entries()) {
      const after = (await page({ first: 500, after: cursor })).edges.map((edge) => edge.cursor);
      const before = (await page({ last: 500, before: cursor })).edges.map((edge) => edge.cursor);
      expect([...before, cursor, ...after]).toEqual(all);
      expect(before).toHaveLength(i);
    }
  });

  it.each<[string, unknown, string[]]>([
    ['a kind', { kinds: ['RECORD'] }, ['row']],
    ['merges', { kinds: ['MERGE'] }, ['MERGE', 'MERGE']],
    ['splits, of which there are none', { kinds: ['SPLIT'] }, []],
    ['a type', { types: ['IDENTIFY'] }, ['joins', 'row']],
    ['a name', { names: ['far', 'nothing'] }, ['far-3600000']],
    ['a source', { sources: ['crm'] }, ['row']],
    ['a name and merges', { names: ['far'], kinds: ['EVENT', 'MERGE'] }, ['MERGE', 'MERGE', 'far-3600000']],
    [
      'a stretch of time',
      { from: new Date(START_MS - 2 * HOUR_MS).toISOString(), to: new Date(START_MS - MINUTE_MS).toISOString() },
      ['far-3600000', 'row'],
    ],
  ])('is filtered by %s', async (_, filter, expected) => {
    expect(told(await page({ filter }))).toEqual(expected);
    expect(await walk(1, filter, false)).toEqual(expected);
    expect(await walk(1, filter, true)).toEqual(expected);
  });

  it('says what is wrong with what is asked', async () => {
    const refusal = async (variables: unknown) =>
      (await world.ask(QUERY, variables as Record<string, unknown>)).errors?.[0]?.extensions;
    expect(await refusal({ filter: { sources: ['crmm'] } })).toMatchObject({
      where: 'filter.sources',
      hint: 'did you mean crm?',
    });
    expect(await refusal({ filter: { names: [] } })).toMatchObject({ code: 'BAD_REQUEST', where: 'filter.names' });
    const { pageInfo } = await page({ first: 1 });
    expect(await refusal({ after: pageInfo.endCursor, last: 2 })).toMatchObject({ where: 'before' });
    expect(await refusal({ last: 0 })).toMatchObject({ code: 'BAD_REQUEST', where: 'last' });
    expect(await refusal({ last: -1, before: pageInfo.endCursor })).toMatchObject({ where: 'last' });
    expect(await refusal({ first: -1 })).toMatchObject({ code: 'BAD_REQUEST', where: 'first' });
    expect(await refusal({ last: 1, before: 'x' })).toMatchObject({ code: 'CURSOR_INVALID', where: 'before' });
  });
});
