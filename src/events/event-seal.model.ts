import { WeftError } from '../platform/errors.js';
import type { Uuid } from '../platform/ids.js';

/** Byte 0 of a payload that is sealed with the key of its anchor alone, as all were at first. */
export const FORMAT_SEALED_BY_ANCHOR = 1;
/** Byte 0 of a payload that is sealed with the keys of all whom it names; what follows is the sealer's. */
export const FORMAT_SEALED = 2;

/** Whether a payload is sealed, in whatever form. */
export function isSealed(payload: Buffer): boolean {
  return payload[0] === FORMAT_SEALED || payload[0] === FORMAT_SEALED_BY_ANCHOR;
}

/** A payload as it stands in the log. */
export interface AnchoredPayload {
  readonly anchor_id: Uuid;
  readonly payload: Buffer;
}

/** A plain payload on its way into the log. */
export interface NamingPayload {
  /** All identifiers that its event carries, or what else it is sealed for; in any order, never empty, at most 255. */
  readonly namedIds: readonly Uuid[];
  readonly payload: Buffer;
}

declare const OPENED: unique symbol;

/** A row whose payload is plain: there is no other way to read its event. */
export type Opened<Row> = Row & { readonly [OPENED]: true };

export interface SealOptions {
  /**
   * Whether keys that are remembered will do: only where nothing is written if one of them was destroyed since, as by an
   * append (`event-log.postgres.ts`). Default: they are asked for where they are kept.
   */
  readonly mayRemember?: boolean;
}

/**
 * Seals payloads of the log, each with the keys of all whom it names, and opens them: without one of these keys nobody
 * can. Implemented by `privacy/`, handed to what writes and reads the log by the composition root.
 */
export interface EventSealer {
  /** False: `seal` gives back what it is given. */
  readonly isSealing: boolean;
  /** The payloads sealed, in order; as they are where nothing is sealed here. */
  seal(payloads: readonly NamingPayload[], options?: SealOptions): Promise<readonly Buffer[]>;
  /**
   * The rows with plain payloads, in order. Left out is what nobody can read any more, because a key of whom it names was
   * destroyed: it counts as erased. What was never sealed is as it is, and so is what its keys do not open: it is damaged.
   */
  open<Row extends AnchoredPayload>(rows: readonly Row[]): Promise<Opened<Row>[]>;
}

/** For a log of which nothing is sealed. */
export const NO_SEALER: EventSealer = {
  isSealing: false,
  seal: (payloads) => Promise.resolve(payloads.map(({ payload }) => payload)),
  open: async (rows) => {
    if (rows.some(({ payload }) => isSealed(payload))) throw withoutKeys();
    return Promise.resolve(rows as Opened<(typeof rows)[number]>[]);
  },
};

function withoutKeys(): WeftError {
  return new WeftError('NOT_CONFIGURED', 'the log is sealed, and this process has no keys to open it', {
    where: 'WEFT_SECRET, WEFT_KEYS_DATABASE_URL',
    hint: 'give it the same secret and the same database of keys as the other processes',
  });
}
