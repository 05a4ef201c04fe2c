import { Field, ObjectType, type ClassType } from 'type-graphql';
import { WeftError } from '../../platform/errors.js';

export const MAX_PAGE_SIZE = 500;
export const DEFAULT_PAGE_SIZE = 50;

export const FIRST = 'How many at most, 1 to 500.';
export const AFTER = 'The cursor to go on after: `pageInfo.endCursor` of the page before. Default: from the start.';

@ObjectType('PageInfo', { simpleResolvers: true, description: 'Where a page stands in its list.' })
export class PageInfo {
  @Field(() => Boolean, { description: 'Whether there are more after this page.' })
  hasNextPage!: boolean;

  @Field(() => Boolean, { description: 'Whether the page does not begin at the start of the list.' })
  hasPreviousPage!: boolean;

  @Field(() => String, {
    nullable: true,
    description: 'Cursor of the first item, as `WyJjaGFuZ2VzLjEiLDQyXQ`; null for an empty page.',
  })
  startCursor!: string | null;

  @Field(() => String, {
    nullable: true,
    description: 'Cursor of the last item, to be passed as `after`; null for an empty page.',
  })
  endCursor!: string | null;
}

export interface Edge<T> {
  readonly cursor: string;
  readonly node: T;
}

export interface Connection<E> {
  readonly edges: readonly E[];
  readonly pageInfo: PageInfo;
}

/**
 * The Relay connection over a type (https://relay.dev/graphql/connections.htm).
 * @param edge further fields of an edge, if there are any
 */
export function connectionTypes<T>(node: ClassType, name: string, edge?: ClassType): ClassType<Connection<Edge<T>>> {
  let edgeType = edge;
  if (edgeType === undefined) {
    @ObjectType(`${name}Edge`, { simpleResolvers: true, description: `An item of a \`${name}Connection\`.` })
    class PlainEdge {
      @Field(() => String, {
        description: 'Opaque, as `WyJjaGFuZ2VzLjEiLDQyXQ`; pass it as `after` to go on behind this item.',
      })
      cursor!: string;

      @Field(() => node, { description: `What this edge of the list leads to: a \`${name}\`.` })
      node!: T;
    }
    edgeType = PlainEdge;
  }
  const edges = edgeType;

  @ObjectType(`${name}Connection`, { simpleResolvers: true, description: `A page of \`${name}\`.` })
  class PageOf {
    @Field(() => [edges], { description: 'The items with their cursors.' })
    edges!: readonly Edge<T>[];

    @Field(() => PageInfo, { description: 'Where the page stands in the list.' })
    pageInfo!: PageInfo;
  }
  return PageOf;
}

/**
 * @param where the argument that says it
 * @throws WeftError BAD_REQUEST outside 1 … 500
 */
export function pageSize(size: number, where: 'first' | 'last' = 'first'): number {
  if (size >= 1 && size <= MAX_PAGE_SIZE) return size;
  throw new WeftError('BAD_REQUEST', `a page has 1 to ${String(MAX_PAGE_SIZE)} items`, {
    where,
    hint: 'ask for fewer and go on with the cursor',
  });
}

/** @param edges at most one more than `limit`, which tells that there is a next page */
export function connection<E extends { readonly cursor: string }>(
  edges: readonly E[],
  limit: number,
  after: string | null | undefined,
): Connection<E> {
  const page = edges.length > limit ? edges.slice(0, limit) : edges;
  return {
    edges: page,
    pageInfo: {
      hasNextPage: edges.length > limit,
      hasPreviousPage: after !== null && after !== undefined,
      startCursor: page[0]?.cursor ?? null,
      endCursor: page.at(-1)?.cursor ?? null,
    },
  };
}

/** A page of a list that is held in memory, sorted by its key. */
export function pageByKey<T>(
  items: readonly T[],
  keyOf: (item: T) => string,
  codec: { encode(values: { key: string }): string; decode(cursor: string): { key: string } },
  { first, after }: { first: number; after?: string | null | undefined },
): Connection<Edge<T>> {
  const limit = pageSize(first);
  const from = after === null || after === undefined ? null : codec.decode(after).key;
  const edges: Edge<T>[] = [];
  for (const node of items) {
    const key = keyOf(node);
    if (from !== null && key <= from) continue;
    edges.push({ cursor: codec.encode({ key }), node });
    if (edges.length > limit) break;
  }
  return connection(edges, limit, after);
}
