import type { SegmentChange } from '../segments/segment.model.js';
import type { ChangeFilter } from './change-feed.reader.js';
import type { ChangeHub, ChangePages } from './change-hub.js';

/*
 * Subscribers who are told the very same: what a change comes to is worked out once for all of them.
 *
 *              ┌── pages of the table, by itself ──┐
 *   subscriber ┤            H5 ↓    ↑ A3           ├─▶ what it is told
 *              └──────── a seat in the audience ───┘
 *
 * Invariants
 * A1  An audience reads the hub as one subscriber and hands its changes out one after the other, in order, to all seats.
 * A2  Who sits down has dealt with everything up to a position, and is handed only what lies behind it. The audience
 *     joined the hub first, so nothing between was handed out before they sat (H5).
 * A3  Who does not take a change loses the seat, knows the position up to which everything was taken, and reads on by
 *     itself. Nothing waits for anybody in an audience.
 */

/** One who has a seat. `Message`: what a change comes to. */
export interface Listener<Message> {
  /** False: it cannot take it now, and has not. */
  take(message: Message): boolean;
}

/** How a seat was lost; by an error where the changes could not be told. */
export type SeatEnd =
  | { readonly kind: 'behind'; /** Everything up to here was taken. */ readonly position: number }
  | { readonly kind: 'over' };

export interface Seat {
  /** Rejects with what failed for all. */
  readonly ended: Promise<SeatEnd>;
  /** Told nothing more from here on; `ended` is then `over`. */
  leave(): void;
}

/** A change and what it comes to for everybody in an audience. */
export interface ToldChange<Message> {
  readonly seq: number;
  readonly message: Message;
}

export interface AudienceOptions<Message> {
  readonly hub: ChangeHub;
  readonly filter: ChangeFilter;
  /** What the changes of a page come to, in their order; null: nobody may be told anything any more. */
  readonly tell: (page: readonly SegmentChange[]) => AsyncIterable<ToldChange<Message> | null>;
  /** Nobody is left in it, and nobody can be seated any more. */
  readonly onOver: () => void;
}

interface Seated<Message> {
  readonly listener: Listener<Message>;
  /** Handed nothing up to here. */
  readonly from: number;
  readonly end: (how: SeatEnd) => void;
  readonly fail: (error: unknown) => void;
}

/** Seats that are handed a change before others have a turn: some milliseconds of writing to sockets. */
const SEATS_A_TURN = 128;

export class ChangeAudience<Message> {
  readonly #options: AudienceOptions<Message>;
  readonly #seats = new Set<Seated<Message>>();
  readonly #pages: ChangePages;
  /** Resolves once it has joined the hub: whoever joins that from then on may be seated. */
  readonly ready: Promise<void>;
  /** Those who are on their way to a seat. */
  #expected = 0;
  /** The last change that was handed out. */
  #position = 0;
  #isOver = false;

  constructor(options: AudienceOptions<Message>) {
    this.#options = options;
    const { hub, filter } = options;
    let joined: (position: number) => void = () => undefined;
    const isJoined = new Promise<void>((resolve) => {
      joined = (position) => {
        this.#position = position;
        resolve();
      };
    });
    this.#pages = hub.subscribe({
      filter,
      isAudience: true,
      onJoined: (position) => {
        joined(position);
      },
    });
    const over = this.#run();
    this.ready = Promise.race([isJoined, over]);
    // Whoever is seated is told; who waits for `ready` hears of it there.
    over.catch(() => undefined);
    this.ready.catch(() => undefined);
  }

  /** How many are told. */
  get size(): number {
    return this.#seats.size;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** Somebody is on the way, for whom it goes on. @returns to be called once, when they come no more */
  expect(): () => void {
    this.#expected++;
    return () => {
      this.#expected--;
      this.#endIfEmpty();
    };
  }

  /** To be called by `onCurrent` of a subscriber that joined the hub after `ready`. @param position as told by it */
  sit(listener: Listener<Message>, position: number): Seat {
    const leaveHub = this.#options.hub.takeSeat();
    let leave: () => void = () => undefined;
    const ended = new Promise<SeatEnd>((resolve, reject) => {
      const seated: Seated<Message> = {
        listener,
        from: position,
        end: (how) => {
          this.#seats.delete(seated);
          leaveHub();
          resolve(how);
        },
        fail: (error) => {
          this.#seats.delete(seated);
          leaveHub();
          reject(error instanceof Error ? error : new Error(String(error)));
        },
      };
      leave = () => {
        seated.end({ kind: 'over' });
        this.#endIfEmpty();
      };
      // It has failed meanwhile: they read on by themselves, and hear of it there.
      if (this.#isOver) seated.end({ kind: 'behind', position });
      else this.#seats.add(seated);
    });
    return { ended, leave };
  }

  async #run(): Promise<void> {
    try {
      for await (const page of this.#pages) {
        for await (const told of this.#options.tell(page)) {
          if (told === null) return;
          await this.#hand(told);
        }
      }
    } catch (error) {
      this.#over();
      for (const seated of this.#seats) seated.fail(error);
      throw error;
    } finally {
      this.#over();
      for (const seated of this.#seats) seated.end({ kind: 'over' });
    }
  }

  async #hand({ seq, message }: ToldChange<Message>): Promise<void> {
    const before = this.#position;
    this.#position = seq;
    let handed = 0;
    // Those who sit down meanwhile have dealt with this change.
    for (const seated of this.#seats) {
      if (seated.from >= seq) continue;
      if (!seated.listener.take(message)) seated.end({ kind: 'behind', position: Math.max(seated.from, before) });
      if (++handed % SEATS_A_TURN === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    this.#endIfEmpty();
  }

  #endIfEmpty(): void {
    if (this.#isOver || this.#seats.size > 0 || this.#expected > 0) return;
    this.#over();
    void this.#pages.return?.();
  }

  #over(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#options.onOver();
  }
}
