import type { EventAcceptor, EventSource } from '../../events/accept.model.js';
import type { InstallationSecret } from '../../platform/installation-secret.js';
import type { Uuid } from '../../platform/ids.js';
import { deliveryPurpose, type DeliveredEvents, type OpenWebhook } from './open-webhook.js';
import type { StoredDelivery, WebhookDeliveryStore } from './webhook-delivery.store.js';
import type { WebhookReceiver } from './webhook-receiver.js';

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
  /** Deliveries that are marked in the end: their events may be in no log. */
  waiting: number;
}

/** Where a replay sends what it maps. */
export interface ReplayDoors {
  readonly acceptor: EventAcceptor;
  /** Says what the acceptor would, and writes nothing. */
  readonly checker: EventAcceptor;
  /** Takes events back, and resolves once that is done. */
  readonly takeBack: (source: EventSource, messageIds: readonly string[]) => Promise<void>;
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
 * 1. A delivery is marked, durably, before an event of it is taken back; one that is gone by then is left out.
 * 2. The mark is taken off once its events are in the log again. If some that may have been taken back are refused now,
 *    or it cannot be mapped, the mark stays.
 * 3. What is marked is not swept, and every replay begins with it, after what an earlier one began to take back is gone.
 *
 * A replay that another one has overtaken does no harm: it takes off its own marks only.
 * @throws what the doors throw; the reason of the signal
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
  { hook, mode, doors, replayId }: DeliveryReplay,
  stores: ReplayStores,
  { page, isMarked, counts }: PageOfReplay,
): Promise<void> {
  const { deliveries, receiver } = stores;
  const { sourceId: id, key } = hook.webhook;
  let mapped = await mapPage(hook, stores, page, counts);
  const marks = mode === 'replace' || (mode === 'add' && isMarked);
  if (marks && mapped.length > 0) {
    const standing = await deliveries.mark(
      mapped.map(({ stored }) => stored.id),
      replayId,
    );
    mapped = mapped.filter(({ stored }) => standing.has(stored.id));
  }
  const kept = mode === 'replace' ? await takeBackReplaced({ id, key }, mapped, doors) : [];
  const settled: number[] = [];
  for (const [i, { stored, delivered }] of mapped.entries()) {
    const acceptor = mode === 'check' ? doors.checker : doors.acceptor;
    const became = await receiver.acceptKept(hook, delivered, stored.receivedAt, acceptor);
    addCounts(counts, became);
    // What an earlier replay took back is not known: anything that was not refused when it came.
    const neverTaken = isMarked ? stored.refused : (kept[i] ?? 0);
    if (became.refused <= neverTaken) settled.push(stored.id);
  }
  if (marks && settled.length > 0) await deliveries.unmark(settled, replayId);
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
 * Takes back those events only that will be taken again: what the mapping or the log refuses now stays as it is.
 * @returns how many that is, of each delivery
 */
async function takeBackReplaced(
  source: EventSource,
  mapped: readonly MappedDelivery[],
  { checker, takeBack }: ReplayDoors,
): Promise<number[]> {
  const ids = new Set<string>();
  const refused: number[] = [];
  for (const { delivered } of mapped) {
    const { events, unmapped } = delivered;
    const results = await checker.accept(source, events, { historical: true, deadLetters: false });
    const isTaken = events.map((_, i) => results[i]?.status !== 'refused');
    for (const [i, { messageId }] of events.entries())
      if (isTaken[i] === true && messageId !== undefined) ids.add(messageId);
    refused.push(unmapped.length + isTaken.filter((taken) => !taken).length);
  }
  const all = [...ids];
  for (let from = 0; from < all.length; from += MAX_TAKEN_BACK) {
    await takeBack(source, all.slice(from, from + MAX_TAKEN_BACK));
  }
  return refused;
}

const NOTHING: ReplayCounts = {
  deliveries: 0,
  unopened: 0,
  unmappable: 0,
  accepted: 0,
  duplicates: 0,
  refused: 0,
  skipped: 0,
  waiting: 0,
};

type AcceptCounts = Pick<ReplayCounts, 'accepted' | 'duplicates' | 'refused' | 'skipped'>;

function addCounts(sum: ReplayCounts, more: Readonly<AcceptCounts>): void {
  sum.accepted += more.accepted;
  sum.duplicates += more.duplicates;
  sum.refused += more.refused;
  sum.skipped += more.skipped;
}
