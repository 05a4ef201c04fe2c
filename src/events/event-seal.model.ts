import { WeftError } from '../platform/errors.js';
import type { Uuid } from '../platform/ids.js';

/** Byte 0 of a payload that is sealed; what follows is the sealer's. */
export const FORMAT_SEALED = 1;

/** A payload on its way into the log, or as it stands there. */
export interface AnchoredPayload {
  readonly anchor_id: Uuid;
  readonly payload: Buffer;
}

declare const OPENED: unique symbol;

/** A row whose payload is plain: there is no other way to read its event. */
export type Opened<Row> = Row & { readonly [OPENED]: true };

/**
 * Seals payloads of the log, each with the key of its anchor, and opens them. Implemented by `privacy/`, handed to what
 * writes and reads the log by the composition root.
 */
export interface EventSealer {
  /** False: `seal` gives back what it is given. */
  readonly isSealing: boolean;
  /** The payloads sealed, in order; as they are where nothing is sealed here. */
  seal(payloads: readonly AnchoredPayload[]): Promise<readonly Buffer[]>;
  /**
   * The rows with plain payloads, in order. Left out is what nobody can read any more, because the key of its anchor was
   * destroyed: it counts as erased. What was never sealed is as it is, and so is what its key does not open: it is damaged.
   */
  open<Row extends AnchoredPayload>(rows: readonly Row[]): Promise<Opened<Row>[]>;
}

/** For a log of which nothing is sealed. */
export const NO_SEALER: EventSealer = {
  isSealing: false,
  seal: (payloads) => Promise.resolve(payloads.map(({ payload }) => payload)),
  open: async (rows) => {
    if (rows.some(({ payload }) => payload[0] === FORMAT_SEALED)) throw withoutKeys();
    return Promise.resolve(rows as Opened<(typeof rows)[number]>[]);
  },
};

function withoutKeys(): WeftError {
  return new WeftError('NOT_CONFIGURED', 'the log is sealed, and this process has no keys to open it', {
    where: 'WEFT_SECRET, WEFT_KEYS_DATABASE_URL',
    hint: 'give it the same secret and the same database of keys as the other processes',
  });
}
