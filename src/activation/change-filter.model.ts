import { CAUSE_KINDS, type CauseKind, type ChangeKind } from '../segments/segment.model.js';
import type { Uuid } from '../platform/ids.js';

export const CHANGE_FILTER_LIMITS = { maxSegments: 100, maxPurposes: 10 } as const;

/** Which changes somebody wants, in the words that people use; kept as JSON. */
export interface ChangeFilterSpec {
  /** Keys; null: all segments. */
  readonly segments: readonly string[] | null;
  /** Under every id that it has, or had; null: all profiles. */
  readonly profileId: Uuid | null;
  /** Null: both. */
  readonly kind: ChangeKind | null;
  /** Null: all causes. */
  readonly causes: readonly CauseKind[] | null;
  /** Of these causes, none. */
  readonly exceptCauses: readonly CauseKind[];
  /** Keys: only segments whose members have to allow all of these. */
  readonly purposes: readonly string[];
}

export const ALL_CHANGES: ChangeFilterSpec = {
  segments: null,
  profileId: null,
  kind: null,
  causes: null,
  exceptCauses: [],
  purposes: [],
};

/** The causes that are left, by name, so that an index finds them; undefined: all. Empty: none is left. */
export function wantedCauses({
  causes,
  exceptCauses,
}: Pick<ChangeFilterSpec, 'causes' | 'exceptCauses'>): CauseKind[] | undefined {
  if (causes === null && exceptCauses.length === 0) return undefined;
  return CAUSE_KINDS.filter((kind) => (causes === null || causes.includes(kind)) && !exceptCauses.includes(kind));
}
