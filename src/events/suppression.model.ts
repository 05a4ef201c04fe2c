import type { Uuid } from '../platform/ids.js';
import type { Identifier } from './event.model.js';

/**
 * Who was erased and must not come back. Implemented by `privacy/`, handed to the event log and to the dead letters by the
 * composition root.
 */
export interface EventSuppressions {
  /**
   * Which list this process has. The log writes nothing under another than the database has, so that nobody comes in by a
   * process that has not heard of their erasure yet. Null: no list is kept here.
   */
  readonly version: number | null;
  /** True: nobody is on it, and nothing needs to be looked at. */
  readonly isEmpty: boolean;
  /** @param formerIds ids that the identifiers had by former rules of identity, and those of dropped ones */
  isSuppressed(identifiers: readonly Identifier[], formerIds?: readonly Uuid[]): boolean;
  /** Whether a text names somebody on the list: JSON anywhere in it, another text as a whole. */
  isNamedIn(text: string): boolean;
  /** Resolves with the list of the database at hand. */
  refresh(): Promise<void>;
}

/** For a log of which nobody is ever erased. */
export const NO_SUPPRESSIONS: EventSuppressions = {
  version: null,
  isEmpty: true,
  isSuppressed: () => false,
  isNamedIn: () => false,
  refresh: () => Promise.resolve(),
};

/** Why an event of somebody who was erased is not taken. */
export const SUPPRESSED = {
  code: 'SUPPRESSED',
  reason: 'it names a person who was erased',
  hint: 'send nothing more of them; an administrator can lift it: weft privacy unsuppress',
} as const;
