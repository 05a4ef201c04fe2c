import type { Uuid } from '../platform/ids.js';
import type { KnownIdentifier } from './component.model.js';
import type { IdentityBatch } from './identity-batch.model.js';

interface Placement {
  /** What it stood for until then; null: it was not known. */
  readonly from: Uuid | null;
  readonly pos: number;
  /** ms */
  readonly at: number;
}

/** Records what the identifier stands for from an event on; no row of those that never stood for anything else. */
export function noteAssignment(batch: IdentityBatch, identifier: KnownIdentifier, { from, pos, at }: Placement): void {
  const { id, profileId, firstPos, firstAt } = identifier;
  const isAdded = batch.added.identifiers.has(identifier);
  if (from === null && firstAt !== null && firstPos === pos) {
    if (!isAdded) batch.assignedFirst.add(id);
    return;
  }
  const keyAt = (fromPos: number): string => `${id} ${String(fromPos)}`;
  if (from !== null && firstAt !== null) {
    const isFirstMove = isAdded ? !batch.assignments.has(keyAt(firstPos)) : batch.assignedFirst.delete(id);
    if (isFirstMove) {
      batch.assignments.set(keyAt(firstPos), { identifierId: id, profileId: from, fromPos: firstPos, fromAt: firstAt });
    }
  }
  batch.assignments.set(keyAt(pos), { identifierId: id, profileId, fromPos: pos, fromAt: at });
}
