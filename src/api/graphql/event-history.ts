import type { LoggedEvent } from '../../events/event.model.js';
import { connection, pageSize, type Connection, type Edge } from './connection.types.js';
import { TIMELINE_CURSOR } from './cursors.js';
import type { ProfileView } from './profile-view.js';

/** Events read at a time, and in one page at most, most of which may be about something else. */
const READ_EVENTS = 500;
const MAX_READ_EVENTS = 2_500;

export interface HistoryPage {
  readonly first: number;
  readonly after: string | null | undefined;
}

/**
 * What the events of a profile say of something, newest first. A page looks at no more than 2,500 of them, so it may have
 * fewer items than asked for, even none, and a next page all the same.
 *
 * @param saidBy what one event says of it
 */
export async function pageOfHistory<T>(
  profile: ProfileView,
  { first, after }: HistoryPage,
  saidBy: (event: LoggedEvent) => readonly T[],
): Promise<Connection<Edge<T>>> {
  const limit = pageSize(first);
  const { services } = profile.reads;
  let before = typeof after === 'string' ? TIMELINE_CURSOR.decode(after) : null;
  const edges: Edge<T>[] = [];
  let read = 0;
  let isWhole = false;
  while (!isWhole && edges.length <= limit && read < MAX_READ_EVENTS) {
    profile.reads.countSingleRead('history');
    const events = await services.log.readByAnchors(profile.identifierIds, {
      limit: READ_EVENTS,
      ...(before === null ? {} : { before }),
    });
    for (const event of events) for (const node of saidBy(event)) edges.push({ cursor: cursorOf(event), node });
    read += events.length;
    isWhole = events.length < READ_EVENTS;
    before = events.at(-1) ?? before;
  }
  const page = connection(edges, limit, after);
  if (isWhole || edges.length > limit) return page;
  // The next page goes on behind what was looked at, not behind the last item.
  const endCursor = before === null ? page.pageInfo.endCursor : TIMELINE_CURSOR.encode(before);
  const { hasPreviousPage, startCursor } = page.pageInfo;
  return { edges: page.edges, pageInfo: { hasNextPage: true, hasPreviousPage, startCursor, endCursor } };
}

function cursorOf({ occurredAt, pos }: Pick<LoggedEvent, 'occurredAt' | 'pos'>): string {
  return TIMELINE_CURSOR.encode({ occurredAt, pos });
}
