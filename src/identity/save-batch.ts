import { setImmediate as turn } from 'node:timers/promises';
import type { Transaction } from '../platform/postgres.js';
import type { IdentityBatch } from './identity-batch.model.js';
import type { IdentityStore } from './identity.store.js';

/**
 * Begins to write those who are new in the batch, with what was seen of them, and lets the statements leave. Who of them
 * changes by a later event is written again with the rest. Failures show in `saveRest`.
 */
export async function saveAhead(
  tx: Transaction,
  store: Pick<IdentityStore, 'save'>,
  batch: IdentityBatch,
): Promise<void> {
  const { added, evidence } = batch;
  const saving = store.save(tx, {
    added: { identifiers: [...added.identifiers], profiles: [...added.profiles] },
    identifiers: [],
    profiles: [],
    evidence: [...evidence.values()],
    assignments: [],
    moves: [],
  });
  saving.catch(() => undefined);
  batch.saving.push(saving);
  evidence.clear();
  added.identifiers.clear();
  added.profiles.clear();
  await turn();
}

/** Writes what is not written yet, and waits for all of the batch's writes. */
export async function saveRest(
  tx: Transaction,
  store: Pick<IdentityStore, 'save'>,
  batch: IdentityBatch,
): Promise<void> {
  const { added, assignments, evidence, moves, unsaved } = batch;
  const rest = store.save(tx, {
    identifiers: [...unsaved.identifiers],
    profiles: [...unsaved.profiles],
    evidence: [...evidence.values()],
    assignments: [...assignments.values()],
    moves,
    added: { identifiers: [...added.identifiers], profiles: [...added.profiles] },
  });
  await Promise.all([...batch.saving, rest]);
}
