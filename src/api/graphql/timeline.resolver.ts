import { Args, Ctx, FieldResolver, Resolver, Root } from 'type-graphql';
import { withoutPrivate } from '../../events/event.model.js';
import { violationTexts } from '../../events/plan-violation.model.js';
import { TimelineReader, type TimelineItem, type TimelineRead } from '../../events/timeline.reader.js';
import { MergeHistoryReader, type MergeHistoryEntry } from '../../identity/merge-history.reader.js';
import { WeftError } from '../../platform/errors.js';
import { nameHint } from '../../platform/near-names.js';
import type { ApiContext } from './api-context.js';
import { pageSize, type Connection, type Edge } from './connection.types.js';
import { cursorId, TIMELINE_ENTRY_CURSOR } from './cursors.js';
import { mergeView } from './identity-explanation.resolver.js';
import type { ProfileView } from './profile-view.js';
import { Profile } from './profile.types.js';
import {
  TimelineArgs,
  TimelineConnection,
  type TimelineEntry,
  type TimelineEvent,
  type TimelineFilterInput,
  type TimelineKind,
  type TimelineMerge,
} from './timeline.types.js';

/** A place on a timeline. What moved because of an event stands behind it. */
interface EntryPlace {
  readonly occurredAt: number;
  readonly pos: number;
  /** Of the merge or split; empty for an event. */
  readonly move: string;
}

interface PlacedEntry {
  readonly place: EntryPlace;
  readonly node: TimelineEntry;
}

/** What is asked for, and in which direction it is looked for. */
interface AskedPage {
  readonly from: EntryPlace;
  readonly isNewer: boolean;
  readonly fromMs: number;
  readonly toMs: number;
  readonly limit: number;
  readonly kinds: readonly TimelineKind[];
}

const MAX_VALUES = 100;
const { MIN_SAFE_INTEGER: EARLIEST, MAX_SAFE_INTEGER: LATEST } = Number;
const OLDEST: EntryPlace = { occurredAt: EARLIEST, pos: -1, move: '' };
const NEWEST: EntryPlace = { occurredAt: LATEST, pos: LATEST, move: '' };
const ALL_KINDS: readonly TimelineKind[] = ['event', 'record', 'merge', 'split'];

@Resolver(() => Profile)
export class TimelineResolver {
  @FieldResolver(() => TimelineConnection, {
    description:
      'What happened to the profile, newest first, ties by when it was accepted: events, rows of files, merges and splits. ' +
      'Where a filter leaves out much, a page looks at no more than 2,500 events, so it may have fewer items than asked ' +
      'for, even none, and another page all the same.',
  })
  async timeline(
    @Root() view: ProfileView,
    @Ctx() context: ApiContext,
    @Args(() => TimelineArgs) { filter, first, after, last, before }: TimelineArgs,
  ): Promise<Connection<Edge<TimelineEntry>>> {
    const isNewer = typeof before === 'string' || typeof last === 'number';
    if (isNewer && typeof after === 'string') {
      throw new WeftError('BAD_REQUEST', 'a page is asked for in both directions', {
        where: 'before',
        hint: 'give first and after, or last and before',
      });
    }
    const limit = typeof last === 'number' ? pageSize(last, 'last') : pageSize(first);
    const cursor = isNewer ? before : after;
    const given = typeof cursor === 'string' ? placeOf(cursor, isNewer ? 'before' : 'after') : null;
    view.reads.countSingleRead('timeline');
    const { from, to, kinds, types, names, sources } = filter ?? {};
    const isOfEvents = [types, names, sources].some((list) => list !== null && list !== undefined);
    const asked: AskedPage = {
      from: given ?? (isNewer ? OLDEST : NEWEST),
      isNewer,
      fromMs: from ?? EARLIEST,
      toMs: to ?? LATEST,
      limit,
      kinds: kinds ?? (isOfEvents ? ['event', 'record'] : ALL_KINDS),
    };
    const { entries, stoppedAt } = await read(view, context, filter ?? {}, asked);
    return pageOf(entries, stoppedAt, given, asked);
  }
}

/** The nearest entries, in the direction that is asked for, one more than the page has if there are as many. */
async function read(
  view: ProfileView,
  context: ApiContext,
  filter: TimelineFilterInput,
  asked: AskedPage,
): Promise<{ readonly entries: readonly PlacedEntry[]; readonly stoppedAt: EntryPlace | null }> {
  const { services, definitions } = view.reads;
  const [events, moves] = await Promise.all([eventsOf(view, filter, asked), movesOf(view, services, asked)]);
  const stop = events.stoppedAt === null ? null : { ...events.stoppedAt, move: '' };
  const showsPrivate = context.has('admin');
  const entries = [
    ...events.items.map((item) => eventEntry(item, definitions.sourceKeys, showsPrivate)),
    ...moves.map((move) => mergeEntry(move, definitions.sourceKeys)),
  ]
    .filter(({ place }) => stop === null || !isBefore(stop, place, asked.isNewer))
    .sort((a, b) => (isBefore(a.place, b.place, asked.isNewer) ? -1 : 1));
  return { entries: entries.slice(0, asked.limit + 1), stoppedAt: entries.length > asked.limit ? null : stop };
}

function eventsOf(
  view: ProfileView,
  { types, names, sources }: TimelineFilterInput,
  { from, isNewer, fromMs, toMs, limit, kinds }: AskedPage,
): ReturnType<TimelineReader['read']> {
  const [wantsEvents, wantsRecords] = [kinds.includes('event'), kinds.includes('record')];
  const sourceIds =
    sources === null || sources === undefined ? null : idsOf(sources, view.reads.definitions.sourceKeys);
  for (const [where, list] of Object.entries({ kinds, types, names })) checkList(list, `filter.${where}`);
  if (!wantsEvents && !wantsRecords) return Promise.resolve({ items: [], stoppedAt: null });
  const [ofType, named] = [setOf(types), setOf(names)];
  const asked: TimelineRead = {
    // A move at a place is behind the event there, which is still to come where one goes towards the older ones.
    from: { occurredAt: from.occurredAt, pos: from.move === '' || isNewer ? from.pos : from.pos + 1 },
    isNewer,
    fromMs,
    toMs,
    limit: limit + 1,
    sourceIds,
    isLoaded: wantsEvents && wantsRecords ? null : wantsRecords,
    isWanted:
      ofType === null && named === null
        ? null
        : ({ type, name }) => ofType?.has(type) !== false && named?.has(name) !== false,
  };
  return new TimelineReader(view.reads.services.db, view.reads.services.sealer).read(view.identifierIds, asked);
}

async function movesOf(
  view: ProfileView,
  { db, profiles, sealer }: ApiContext['services'],
  { from, kinds, limit, ...asked }: AskedPage,
): Promise<MergeHistoryEntry[]> {
  const wanted = kinds.filter((kind) => kind === 'merge' || kind === 'split');
  if (wanted.length === 0) return [];
  return new MergeHistoryReader(sealer).around(db, await profiles.allIdsOf(db, view.id), {
    ...asked,
    from: { at: from.occurredAt, pos: from.pos, id: from.move === '' ? null : from.move },
    kinds: wanted,
    limit: limit + 1,
  });
}

/** Whether one comes first on the way from the newest to the oldest, or the other way round. */
function isBefore(a: EntryPlace, b: EntryPlace, isNewer: boolean): boolean {
  const difference = a.occurredAt - b.occurredAt || a.pos - b.pos || (a.move < b.move ? -1 : a.move > b.move ? 1 : 0);
  return isNewer ? difference < 0 : difference > 0;
}

function pageOf(
  entries: readonly PlacedEntry[],
  stoppedAt: EntryPlace | null,
  given: EntryPlace | null,
  { limit, isNewer }: AskedPage,
): Connection<Edge<TimelineEntry>> {
  const page = entries
    .slice(0, limit)
    .map(({ place, node }) => ({ cursor: TIMELINE_ENTRY_CURSOR.encode(place), node }));
  if (isNewer) page.reverse();
  const hasMore = entries.length > limit || stoppedAt !== null;
  // The next page goes on behind what was looked at, not behind the last item.
  const stop = stoppedAt === null ? null : TIMELINE_ENTRY_CURSOR.encode(stoppedAt);
  const [startCursor, endCursor] = [page[0]?.cursor ?? null, page.at(-1)?.cursor ?? null];
  return {
    edges: page,
    pageInfo: isNewer
      ? { hasNextPage: given !== null, hasPreviousPage: hasMore, startCursor: stop ?? startCursor, endCursor }
      : { hasNextPage: hasMore, hasPreviousPage: given !== null, startCursor, endCursor: stop ?? endCursor },
  };
}

/** @throws WeftError CURSOR_INVALID */
function placeOf(cursor: string, where: string): EntryPlace {
  const place = TIMELINE_ENTRY_CURSOR.decode(cursor, where);
  if (place.move !== '') cursorId(place.move);
  return place;
}

/** @throws WeftError BAD_REQUEST */
function checkList(list: readonly unknown[] | null | undefined, where: string): void {
  if (list === null || list === undefined || (list.length > 0 && list.length <= MAX_VALUES)) return;
  throw new WeftError('BAD_REQUEST', `${String(list.length)} values are given`, {
    where,
    hint: `give 1 to ${String(MAX_VALUES)}, or leave it out for all`,
  });
}

function setOf(list: readonly string[] | null | undefined): ReadonlySet<string> | null {
  return list === null || list === undefined ? null : new Set(list);
}

/** @throws WeftError BAD_REQUEST */
function idsOf(keys: readonly string[], sourceKeys: ReadonlyMap<number, string>): number[] {
  checkList(keys, 'filter.sources');
  const ids = new Map([...sourceKeys].map(([id, key]) => [key, id]));
  return keys.map((key) => {
    const id = ids.get(key);
    if (id !== undefined) return id;
    throw new WeftError('BAD_REQUEST', `there is no source ${key.slice(0, 100)}`, {
      where: 'filter.sources',
      hint: nameHint(key, ids.keys(), 'sources shows those that there are'),
    });
  });
}

function eventEntry(
  { event, loadId }: TimelineItem,
  sourceKeys: ReadonlyMap<number, string>,
  showsPrivate: boolean,
): PlacedEntry {
  const { messageId, type, name, occurredAt, acceptedAt, historical, properties, pos } = event;
  const node: TimelineEvent = {
    kind: loadId === null ? 'event' : 'record',
    messageId,
    type,
    name,
    source: sourceKeys.get(event.sourceId) ?? '',
    occurredAt,
    acceptedAt,
    historical,
    identifiers: event.identifiers.map(({ ns, value }) => ({ namespace: ns, value })),
    properties: showsPrivate ? properties : withoutPrivate(properties),
    load: loadId,
    violations: violationTexts(event.context),
  };
  return { place: { occurredAt, pos, move: '' }, node };
}

function mergeEntry(entry: MergeHistoryEntry, sourceKeys: ReadonlyMap<number, string>): PlacedEntry {
  const { id, kind, at, pos } = entry;
  const merge = mergeView(entry, sourceKeys);
  const node: TimelineMerge = { kind, occurredAt: at, source: merge.event?.source ?? null, merge };
  return { place: { occurredAt: at, pos, move: id }, node };
}
