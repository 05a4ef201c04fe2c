import type { ProcessEnd } from './model-process.model.js';

/** Told of what models do; for metrics and logs. */
export interface ScoringObserver {
  /** A run of a model, where it was made, and how long it took. */
  onRun?(modelKey: string, rows: number, durationMs: number, version: number): void;
  /** Rows that a model gave no answer for. */
  onUnanswered?(modelKey: string, rows: number): void;
  /** The process of a model ended. */
  onHostEnded?(modelKey: string, reason: ProcessEnd, message: string): void;
}
