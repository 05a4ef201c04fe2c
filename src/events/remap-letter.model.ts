import type { Uuid } from '../platform/ids.js';
import type { IncomingItem } from './accept.model.js';
import type { RawForm } from './dead-letter.model.js';
import type { StoredDeadLetter } from './dead-letter.reader.js';

/** What the input of a letter is mapped to, and how it is to be accepted. */
export interface RemappedInput {
  readonly item: IncomingItem;
  readonly historical: boolean;
  /** Our clock when it came in, ms. */
  readonly receivedAtMs: number;
  readonly loadId?: Uuid;
}

export interface RemapContext {
  readonly letter: StoredDeadLetter;
  /** The text of a mapping, in place of the one of the letter's load; null: that one. */
  readonly mapping: string | null;
}

/** Maps an input again. @throws LetterRefusal where it cannot be mapped */
type RawMapper<F extends RawForm> = (
  form: F,
  input: unknown,
  context: RemapContext,
) => RemappedInput | Promise<RemappedInput>;

/** The adapters by which inputs come in, once more. */
export type RawMappers = { readonly [K in RawForm['kind']]: RawMapper<Extract<RawForm, { kind: K }>> };

/** Why the input of a letter cannot be mapped. */
export class LetterRefusal extends Error {
  constructor(
    readonly code: string,
    readonly reason: string,
    readonly hint?: string,
  ) {
    super(reason);
  }
}

/**
 * - `accepted`: it is in the log now; of a dry run: it would be.
 * - `duplicate`: an event with its message id is in the log already.
 * - `refused`: it stays open, with the new reason.
 * - `settled`: it was replayed or discarded before.
 * - `missing`: there is no such letter.
 */
export const REPLAY_STATUSES = ['accepted', 'duplicate', 'refused', 'settled', 'missing'] as const;
export type ReplayStatus = (typeof REPLAY_STATUSES)[number];

export interface ReplayOutcome {
  readonly id: number;
  readonly status: ReplayStatus;
  readonly code: string | null;
  readonly reason: string | null;
  readonly hint: string | null;
  /** What it was mapped to; null where it could not be. */
  readonly event: unknown;
}
