import type { Uuid } from '../platform/ids.js';
import type { Retraction } from './retraction.model.js';

const SUBJECTS = 'SELECT s.identifier_id FROM erasure_subjects s WHERE s.erasure_id = $1';

/** Which events a retraction takes back. */
export type Scope = Pick<Retraction, 'id' | 'loadId' | 'erasureId'>;

/** Whether an event `e` is of the retraction, whose {@link scopeId} is the first argument; SQL. */
export function inScope({ loadId, erasureId }: Scope): string {
  if (loadId !== null) return 'e.load_id = $1';
  if (erasureId !== null) return `e.anchor_id IN (${SUBJECTS})`;
  return 'e.pos IN (SELECT r.pos FROM retracted_events r WHERE r.retraction_id = $1)';
}

/** Whether an event `e` is not of it; SQL, as {@link inScope}. */
export function outOfScope({ loadId, erasureId }: Scope): string {
  if (loadId !== null) return 'e.load_id IS DISTINCT FROM $1';
  if (erasureId !== null) return `e.anchor_id NOT IN (${SUBJECTS})`;
  return 'e.pos NOT IN (SELECT r.pos FROM retracted_events r WHERE r.retraction_id = $1)';
}

/** Its load, or erasure, or else itself. */
export function scopeId({ id, loadId, erasureId }: Scope): Uuid {
  return loadId ?? erasureId ?? id;
}

/**
 * Anchors of the person of which anything is left, and those of others whose events name the person: of who is one with
 * them by evidence, and values that count for nobody, on which events hang that are not moved yet. SQL; the erasure is the
 * first argument.
 */
export const ANCHORS_OF_ERASURE = `
  SELECT s.identifier_id AS anchor_id FROM erasure_subjects s
  WHERE s.erasure_id = $1 AND (
    EXISTS (SELECT FROM event_log l WHERE l.anchor_id = s.identifier_id)
    OR EXISTS (SELECT FROM evidence v WHERE v.anchor_id = s.identifier_id)
    OR EXISTS (SELECT FROM anchor_states a WHERE a.anchor_id = s.identifier_id)
  )
  UNION
  SELECT v.anchor_id FROM erasure_subjects s
  JOIN identifiers i ON i.id = s.identifier_id
  JOIN identifiers m ON m.component_id = i.component_id
  JOIN evidence v ON v.anchor_id = m.id
  WHERE s.erasure_id = $1 AND s.identifier_id = ANY (v.identifier_ids)
  UNION
  SELECT g.anchor_id FROM erasure_subjects s JOIN generic_mentions g ON g.value_id = s.identifier_id
  WHERE s.erasure_id = $1
  UNION
  SELECT g.value_id FROM generic_values g CROSS JOIN LATERAL (
    SELECT FROM evidence v WHERE v.anchor_id = g.value_id AND v.identifier_ids && ARRAY(${SUBJECTS}) LIMIT 1
  ) named WHERE g.is_generic`;
