import { noteAlone, type Component } from './component.model.js';
import { compareEvidence, leastEvidence, writtenKey, type Evidence } from './evidence.model.js';
import type { IdentityBatch } from './identity-batch.model.js';

/** Records evidence; false if it says nothing that was not known before. */
export function noteEvidence(batch: IdentityBatch, component: Component, evidence: Evidence): boolean {
  const key = writtenKey(evidence);
  const known = component.written.get(key);
  if (known !== undefined && compareEvidence(known, evidence) <= 0) return false;
  if (component.replay?.knows(evidence) === true) return false;
  const least = known === undefined ? evidence : leastEvidence(known, evidence);
  component.written.delete(key);
  component.written.set(key, least);
  component.replay?.add(least);
  if (least.identifiers.length === 1 && least.uncounted === undefined) noteAlone(component, least.anchorId, least.key);
  const pending = batch.evidence.get(key);
  batch.evidence.set(key, pending === undefined ? least : leastEvidence(pending, least));
  return true;
}
