import { WeftError } from '../platform/errors.js';
import type { Uuid } from '../platform/ids.js';
import type { Transaction } from '../platform/postgres.js';
import type { IdentityLinkStore } from './identity-link.store.js';
import type { IdentityStore } from './identity.store.js';

/*
 * Locks of whole components, for steps beside which other workers go on. A batch that names any member of a component
 * locks that one, and all others unless it is contested (`IdentityStep.lock`): so whoever holds the locks of all members
 * alone says who they are until the transaction ends.
 *
 * Who is to be locked is read before the locks, so it is read again after: what changed meanwhile is refused, and the
 * step repeated. All locks are taken by one statement in order of ids, so that two steps wait for each other in one order.
 */

/** Beyond that many it costs less that everybody waits. */
const MAX_LOCKED = 20_000;

interface LockStores {
  readonly store: Pick<IdentityStore, 'lock' | 'membersAround'>;
  readonly links: Pick<IdentityLinkStore, 'around'>;
}

/**
 * Locks the members of the components of these identifiers.
 * @param alone identifiers that are locked by themselves, which keeps others from locking their components
 * @throws WeftError UNAVAILABLE if another worker joined identities meanwhile: to be repeated
 */
export async function lockComponents(
  tx: Transaction,
  { store }: LockStores,
  ids: readonly Uuid[],
  alone: readonly Uuid[],
): Promise<void> {
  await lockAround(tx, store, () => store.membersAround(tx, ids), alone);
}

/**
 * Locks the members of the components of these identifiers, and of those that must-links of members lead to.
 * @param most identifiers that are locked, at most
 * @returns whose locks are held; null: none are, since there are more, or since one of these identifiers is not known and so
 *   nothing is there that keeps others from it
 * @throws WeftError UNAVAILABLE if another worker joined identities meanwhile: to be repeated
 */
export async function lockLinkedComponents(
  tx: Transaction,
  stores: LockStores,
  ids: readonly Uuid[],
  most = MAX_LOCKED,
): Promise<ReadonlySet<Uuid> | null> {
  const around = await linkedAround(tx, stores, { ids, most });
  if (around === null || !ids.every((id) => around.has(id))) return null;
  const locked = await stores.store.lock(tx, [...around]);
  const now = await linkedAround(tx, stores, { ids, most });
  return now === null ? joinedMeanwhile() : allOf(now, locked);
}

async function lockAround(
  tx: Transaction,
  store: LockStores['store'],
  around: () => Promise<readonly Uuid[]>,
  alone: readonly Uuid[],
): Promise<void> {
  const locked = await store.lock(tx, [...(await around()), ...alone]);
  allOf(await around(), locked);
}

/** @throws WeftError UNAVAILABLE */
function allOf(around: Iterable<Uuid>, locked: ReadonlySet<Uuid>): ReadonlySet<Uuid> {
  for (const id of around) if (!locked.has(id)) joinedMeanwhile();
  return locked;
}

function joinedMeanwhile(): never {
  throw new WeftError('UNAVAILABLE', 'identities were joined by another worker meanwhile', { retryAfterMs: 0 });
}

/** Null: there are more than `most`. */
async function linkedAround(
  tx: Transaction,
  { store, links }: LockStores,
  { ids, most }: { readonly ids: readonly Uuid[]; readonly most: number },
): Promise<ReadonlySet<Uuid> | null> {
  const [found, asked] = [new Set<Uuid>(), new Set(ids)];
  for (let next: readonly Uuid[] = ids; next.length > 0;) {
    const members = (await store.membersAround(tx, next, most + 1)).filter((id) => !found.has(id));
    for (const id of members) found.add(id);
    if (found.size > most) return null;
    next = (await links.around(tx, members)).mustLinks.flat().filter((id) => !found.has(id) && !asked.has(id));
    // Also those that are not known any more, who have no members.
    for (const id of next) asked.add(id);
  }
  return found;
}
