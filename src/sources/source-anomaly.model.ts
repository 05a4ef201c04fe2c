/** Far fewer events than usual, far more, or none for longer than usual. */
export const ANOMALY_KINDS = ['volume_low', 'volume_high', 'stale'] as const;
export type AnomalyKind = (typeof ANOMALY_KINDS)[number];

/** What is unusual about a source at one instant. */
export interface Anomaly {
  readonly kind: AnomalyKind;
  /** Since when, ms. */
  readonly since: number;
  /** Events that would be usual since then. */
  readonly expected: number;
  /** Events that came. */
  readonly seen: number;
}

/** An anomaly as it was noticed. */
export interface SourceAnomaly extends Anomaly {
  readonly sourceId: number;
  /** When it was over, ms; null: it is not. */
  readonly endedAt: number | null;
}
