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
export function noteAssignment(
  batch: IdentityBatch,
  { id, profileId, firstPos, firstAt }: KnownIdentifier,
  { from, pos, at }: Placement,
): void {
  if (from === null && firstAt !== null && firstPos === pos) {
    batch.assignedFirst.add(id);
    return;
  }
  const note = (row: { readonly profileId: Uuid; readonly fromPos: number; readonly fromAt: number }): unknown =>
    batch.assignments.set(`${id} ${String(row.fromPos)}`, { identifierId: id, ...row });
  if (from !== null && firstAt !== null && batch.assignedFirst.delete(id)) {
    note({ profileId: from, fromPos: firstPos, fromAt: firstAt });
  }
  note({ profileId, fromPos: pos, fromAt: at });
}
