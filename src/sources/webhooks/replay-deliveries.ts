import type { EventAcceptor, EventSource } from '../../events/accept.model.js';
import { dedupeIdOf } from '../../events/event.model.js';
import { WeftError } from '../../platform/errors.js';
import type { InstallationSecret } from '../../platform/installation-secret.js';
import type { Uuid } from '../../platform/ids.js';
import type { Queryable } from '../../platform/postgres.js';
import { deliveryPurpose, type DeliveredEvents, type OpenWebhook } from './open-webhook.js';
import { missingOf } from './settle-delivery.js';
import type { DeliveryCounts, DeliveryMark, StoredDelivery, WebhookDeliveryStore } from './webhook-delivery.store.js';
import { countsOf, type WebhookReceiver } from './webhook-receiver.js';

/** `check`: writes nothing; `add`: what is in the log stays as it is; `replace`: it is taken back first. */
export type ReplayMode = 'check' | 'add' | 'replace';

export interface ReplayCounts {
  deliveries: number;
  /** Deliveries that can no longer be opened. */
  unopened: number;
  /** Deliveries on which the mapping fails, by a defect. */
  unmappable: number;
  accepted: number;
  duplicates: number;
  refused: number;
  skipped: number;
  /** Deliveries that stay marked because something that may have been taken back is refused now, or not found. */
  unsettled: number;
  /** Deliveries that are marked in the end: their events may be in no log. */
  waiting: number;
}

/** Where a replay sends what it maps. */
export interface ReplayDoors {
  readonly acceptor: EventAcceptor;
  /** Says what the acceptor would, and writes nothing. */
  readonly checker: EventAcceptor;
  /** Takes events back, and resolves once that is done. Nothing is, where the guard rejects in the same transaction. */
  readonly takeBack: (
    source: EventSource,
    messageIds: readonly string[],
    guard: (tx: Queryable) => Promise<void>,
  ) => Promise<void>;
  /** Resolves once nothing of the source is being taken back any more. */
  readonly settled: (source: EventSource) => Promise<void>;
}

export interface DeliveryReplay {
  readonly hook: OpenWebhook;
  readonly mode: ReplayMode;
  /** Deliveries received then or later, ms; those that are marked are replayed whenever they came. */
  readonly sinceMs: number;
  readonly doors: ReplayDoors;
  /** A new one for each replay. */
  readonly replayId: Uuid;
  /** Ends it wherever it is: what is marked by then stays so. */
  readonly signal: AbortSignal | undefined;
}

export interface ReplayStores {
  readonly deliveries: WebhookDeliveryStore;
  readonly receiver: Pick<WebhookReceiver, 'mapKept' | 'acceptKept'>;
  readonly secret: InstallationSecret;
  /** Deliveries that are replayed together, and so marked at a time. */
  readonly pageSize: number;
}

interface MappedDelivery {
  readonly stored: StoredDelivery;
  readonly delivered: DeliveredEvents;
}

/**
 * Maps kept deliveries anew and hands what they become to the log, as history.
 *
 * Nothing is lost, wherever it is killed. Between being taken back and being accepted anew, an event is in its delivery
 * and nowhere else. So:
 * 1. A delivery is marked, durably and with the ids of those events, before an event of it is taken back; one that is gone
 *    by then is left out. The ids of all replays that marked it add up.
 * 2. The mark is taken off once each of these events is in the log again, or left out on purpose. If it may be that one of
 *    them is refused now, or the delivery cannot be mapped, the mark stays, with the ids of those that are missing.
 * 3. What is marked is not swept, and every replay begins with it, after what an earlier one began to take back is gone.
 * 4. Events are taken back in a transaction that holds the marks of this replay: one that another one has overtaken takes
 *    nothing back, and takes off its own marks only.
 * @throws what the doors throw; the reason of the signal; WeftError CONFLICT where it has been overtaken
 */
export async function replayDeliveries(replay: DeliveryReplay, stores: ReplayStores): Promise<ReplayCounts> {
  const { hook, mode, sinceMs, doors, signal } = replay;
  const { deliveries, pageSize } = stores;
  const { sourceId, key } = hook.webhook;
  const counts = { ...NOTHING };
  if (mode !== 'check') await doors.settled({ id: sourceId, key });
  const interrupted = new Set<number>();
  const pages = { marked: true, afterId: 0 };
  for (;;) {
    signal?.throwIfAborted();
    const page = pages.marked
      ? await deliveries.markedPage(sourceId, pages.afterId, pageSize)
      : await deliveries.page(sourceId, sinceMs, pages.afterId, pageSize);
    const wanted = pages.marked ? page : page.filter(({ id }) => !interrupted.has(id));
    if (pages.marked) for (const { id } of page) interrupted.add(id);
    await replayPage(replay, stores, { page: wanted, isMarked: pages.marked, counts });
    pages.afterId = page.at(-1)?.id ?? 0;
    if (page.length === pageSize) continue;
    if (!pages.marked) break;
    pages.marked = false;
    pages.afterId = 0;
  }
  return { ...counts, waiting: await deliveries.countMarked(sourceId) };
}

interface PageOfReplay {
  readonly page: readonly StoredDelivery[];
  /** Whether an earlier replay has marked them. */
  readonly isMarked: boolean;
  readonly counts: ReplayCounts;
}

async function replayPage(
  replay: DeliveryReplay,
  stores: ReplayStores,
  { page, isMarked, counts }: PageOfReplay,
): Promise<void> {
  const { hook, mode, doors, replayId } = replay;
  const { deliveries, receiver } = stores;
  const { sourceId } = hook.webhook;
  const mapped = await mapPage(hook, stores, page, counts);
  const marks = mode === 'replace' || (mode === 'add' && isMarked);
  const marked = marks ? await takeBackMarked(replay, deliveries, mapped) : null;
  const settled: number[] = [];
  const unsettled: DeliveryMark[] = [];
  for (const { stored, delivered } of mapped) {
    const takenBack = marked?.get(stored.id);
    if (marked !== null && takenBack === undefined) continue;
    const acceptor = mode === 'check' ? doors.checker : doors.acceptor;
    const results = await receiver.acceptKept(hook, delivered, stored.receivedAt, acceptor);
    addCounts(counts, countsOf(delivered, results));
    if (takenBack === undefined) continue;
    const missing = missingOf(takenBack, { sourceId, delivered, results });
    if (missing?.length === 0) settled.push(stored.id);
    else {
      counts.unsettled++;
      if (missing !== null) unsettled.push({ id: stored.id, takenBack: missing });
    }
  }
  if (settled.length > 0) await deliveries.unmark(settled, replayId);
  if (unsettled.length > 0) await deliveries.narrowMarks(unsettled, replayId);
}

async function mapPage(
  hook: OpenWebhook,
  { receiver, secret }: ReplayStores,
  page: readonly StoredDelivery[],
  counts: ReplayCounts,
): Promise<MappedDelivery[]> {
  const mapped: MappedDelivery[] = [];
  for (const stored of page) {
    counts.deliveries++;
    const plain = secret.open(deliveryPurpose(hook.webhook.sourceId), stored.sealed);
    if (plain === null) {
      counts.unopened++;
      continue;
    }
    const delivered = await receiver.mapKept(hook, plain);
    if (delivered === null) counts.unmappable++;
    else mapped.push({ stored, delivered });
  }
  return mapped;
}

/** Events of one retraction. */
const MAX_TAKEN_BACK = 10_000;

/**
 * Marks the deliveries and takes their events back, where they are to be replaced.
 * @returns dedupe ids of what may have been taken back of those that are still there, by delivery; null: not known
 */
async function takeBackMarked(
  { hook, mode, doors, replayId, signal }: DeliveryReplay,
  deliveries: WebhookDeliveryStore,
  mapped: readonly MappedDelivery[],
): Promise<ReadonlyMap<number, ReadonlySet<Uuid> | null>> {
  const source = { id: hook.webhook.sourceId, key: hook.webhook.key, authenticated: true };
  const replaced = new Map<number, readonly string[]>();
  for (const { stored, delivered } of mapped) {
    replaced.set(stored.id, mode === 'replace' ? await messagesTakenAgain(source, delivered, doors) : []);
  }
  const marks = [...replaced].map(([id, messageIds]) => ({
    id,
    takenBack: messageIds.map((messageId) => dedupeIdOf(source.id, messageId)),
  }));
  const marked = marks.length === 0 ? new Map<number, null>() : await deliveries.mark(marks, replayId);
  const standing = [...marked.keys()];
  const messageIds = [...new Set(standing.flatMap((id) => replaced.get(id) ?? []))];
  for (let from = 0; from < messageIds.length; from += MAX_TAKEN_BACK) {
    signal?.throwIfAborted();
    await doors.takeBack(source, messageIds.slice(from, from + MAX_TAKEN_BACK), async (tx) => {
      if (!(await deliveries.holdMarks(tx, standing, replayId))) throw overtaken(source.key);
    });
  }
  return marked;
}

/** Those events only that will be taken again: what the mapping or the log refuses now stays as it is. */
async function messagesTakenAgain(
  source: EventSource,
  { events }: DeliveredEvents,
  { checker }: ReplayDoors,
): Promise<string[]> {
  const results = await checker.accept(source, events, { historical: true, deadLetters: false });
  return events.flatMap(({ messageId }, i) =>
    messageId === undefined || results[i]?.status === 'refused' ? [] : [messageId],
  );
}

function overtaken(key: string): WeftError {
  return new WeftError('CONFLICT', `deliveries of the webhook ${key} were marked by another replay, or deleted`, {
    where: key,
    hint: 'run the replay again once no other one is under way; it goes on',
  });
}

const NOTHING: ReplayCounts = {
  deliveries: 0,
  unopened: 0,
  unmappable: 0,
  accepted: 0,
  duplicates: 0,
  refused: 0,
  skipped: 0,
  unsettled: 0,
  waiting: 0,
};

function addCounts(sum: ReplayCounts, more: DeliveryCounts): void {
  sum.accepted += more.accepted;
  sum.duplicates += more.duplicates;
  sum.refused += more.refused;
  sum.skipped += more.skipped;
}
