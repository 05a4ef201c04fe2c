import { randomBytes } from 'node:crypto';
import { WeftError } from '../platform/errors.js';
import { SseStream } from './sse-stream.js';

export interface ReservationLimits {
  readonly maxReservations: number;
  readonly maxReservationsPerKey: number;
  readonly maxOperations: number;
  /** A reservation that nobody connects to is given up after this time, ms. */
  readonly connectWithinMs: number;
  /** A stream without operations is ended after this time, ms. */
  readonly idleMs: number;
}

export const RESERVATION_LIMITS: ReservationLimits = {
  maxReservations: 10_000,
  maxReservationsPerKey: 100,
  maxOperations: 100,
  connectWithinMs: 30_000,
  idleMs: 600_000,
};

/** A stream that several operations share, and those of them that have not ended. */
export interface Reservation {
  readonly token: string;
  readonly stream: SseStream;
  readonly operations: ReadonlySet<string>;
}

interface Entry extends Reservation {
  readonly owner: string;
  readonly operations: Set<string>;
  isConnected: boolean;
  timer: NodeJS.Timeout;
}

/** Opaque, without characters that a header or an address would have to escape. */
const OPERATION_ID = /^[\w-]{1,100}$/;

/**
 * The streams of graphql-sse's single connection mode. Each belongs to the key that reserved it: for every other key there
 * is no such stream, whether or not there is.
 */
export class StreamReservations {
  readonly #byToken = new Map<string, Entry>();
  readonly #countByOwner = new Map<string, number>();

  /** @param onAbandoned told of reservations that have timed out, still held */
  constructor(
    private readonly limits: ReservationLimits,
    private readonly onAbandoned: (reservation: Reservation) => void,
  ) {}

  /** @throws WeftError RATE_LIMITED, OVERLOADED */
  reserve(owner: string): Reservation {
    const { maxReservations, maxReservationsPerKey, connectWithinMs } = this.limits;
    const count = this.#countByOwner.get(owner) ?? 0;
    if (count >= maxReservationsPerKey) {
      throw new WeftError('RATE_LIMITED', `this key has ${String(count)} streams`, {
        hint: 'end those that are not needed; one stream carries many operations',
        retryAfterMs: connectWithinMs,
      });
    }
    if (this.#byToken.size >= maxReservations) {
      throw new WeftError('OVERLOADED', 'too many streams', { retryAfterMs: 5_000 });
    }
    const token = randomBytes(24).toString('base64url');
    const entry: Entry = {
      token,
      owner,
      stream: new SseStream(),
      operations: new Set(),
      isConnected: false,
      timer: this.#later(token, connectWithinMs),
    };
    this.#byToken.set(token, entry);
    this.#countByOwner.set(owner, count + 1);
    return entry;
  }

  /** @throws WeftError NOT_FOUND for what is not there, or belongs to another */
  find(token: string, owner: string): Reservation {
    const entry = this.#byToken.get(token);
    if (entry?.owner === owner) return entry;
    throw new WeftError('NOT_FOUND', 'there is no such stream', {
      where: 'x-graphql-event-stream-token',
      hint: 'it has ended, or was not connected to in time: reserve another one by PUT',
    });
  }

  connected(token: string): void {
    const entry = this.#byToken.get(token);
    if (entry === undefined) return;
    entry.isConnected = true;
    this.#watch(entry);
  }

  /** @throws WeftError BAD_REQUEST, CONFLICT, RATE_LIMITED */
  begin(token: string, operationId: unknown): string {
    if (typeof operationId !== 'string' || !OPERATION_ID.test(operationId)) {
      throw new WeftError('BAD_REQUEST', 'an operation on a shared stream needs an id', {
        where: 'extensions.operationId',
        hint: 'use 1 to 100 letters, digits, _ and -',
      });
    }
    const entry = this.#byToken.get(token);
    if (entry === undefined) throw new Error('operations begin on streams that were found');
    if (entry.operations.has(operationId)) {
      throw new WeftError('CONFLICT', 'an operation with this id is running', { where: 'extensions.operationId' });
    }
    if (entry.operations.size >= this.limits.maxOperations) {
      throw new WeftError('RATE_LIMITED', `more than ${String(this.limits.maxOperations)} operations on one stream`, {
        hint: 'complete those that are not needed',
        retryAfterMs: 1_000,
      });
    }
    entry.operations.add(operationId);
    if (entry.isConnected) clearTimeout(entry.timer);
    return operationId;
  }

  complete(token: string, operationId: string): void {
    const entry = this.#byToken.get(token);
    if (entry?.operations.delete(operationId) === true) this.#watch(entry);
  }

  release(token: string): void {
    const entry = this.#byToken.get(token);
    if (entry === undefined) return;
    clearTimeout(entry.timer);
    this.#byToken.delete(token);
    const count = (this.#countByOwner.get(entry.owner) ?? 1) - 1;
    if (count === 0) this.#countByOwner.delete(entry.owner);
    else this.#countByOwner.set(entry.owner, count);
    entry.stream.end();
  }

  releaseAll(): void {
    for (const token of [...this.#byToken.keys()]) this.release(token);
  }

  get size(): number {
    return this.#byToken.size;
  }

  /** A stream that is connected to is idle while it has no operations. */
  #watch(entry: Entry): void {
    if (!entry.isConnected) return;
    clearTimeout(entry.timer);
    if (entry.operations.size === 0) entry.timer = this.#later(entry.token, this.limits.idleMs);
  }

  #later(token: string, ms: number): NodeJS.Timeout {
    const abandon = (): void => {
      const entry = this.#byToken.get(token);
      if (entry !== undefined) this.onAbandoned(entry);
    };
    return setTimeout(abandon, ms).unref();
  }
}
