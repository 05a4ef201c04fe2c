/** What was decided of a pair that a model could not tell. */
export type ReviewDecision = 'merged' | 'kept_apart' | 'skipped';
