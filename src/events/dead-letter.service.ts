import type { Clock } from '../platform/clock.js';
import { WeftError } from '../platform/errors.js';
import { applyMergePatch, composeMergePatches } from '../platform/merge-patch.js';
import type { Uuid } from '../platform/ids.js';
import type { Database } from '../platform/postgres.js';
import type { EventAcceptor, EventChecker, EventSource } from './accept.model.js';
import { deadLetterText, incomingOf, type RawForm } from './dead-letter.model.js';
import { MAX_DEAD_LETTER_PAGE, type DeadLetterReader, type StoredDeadLetter } from './dead-letter.reader.js';
import type { DeadLetterStore, OpenLetter } from './dead-letter.store.js';
import {
  dedupeIdOf,
  withoutPrivate,
  type AcceptResult,
  type IncomingEvent,
  type JsonValue,
  type LoggedEvent,
} from './event.model.js';
import {
  LetterRefusal,
  type RawMappers,
  type RemapContext,
  type RemappedInput,
  type ReplayOutcome,
} from './remap-letter.model.js';

export interface DeadLetterDependencies {
  readonly db: Database;
  readonly clock: Clock;
  readonly reader: DeadLetterReader;
  readonly store: DeadLetterStore;
  readonly acceptor: EventAcceptor;
  readonly checker: EventChecker;
  readonly mappers: RawMappers;
  /** Null where there is no such source any more. */
  readonly sourceOf: (id: number) => Promise<EventSource | null>;
}

export interface ReplayOptions {
  /** A merge patch for each of the letters, kept with it, on top of the one that it has. */
  readonly fix?: JsonValue;
  /** Says what would become of each, and writes nothing. */
  readonly dryRun?: boolean;
  /** The text of a mapping, for rows of a file, in place of that of their load. */
  readonly mapping?: string;
}

/** What became of letters that were to be discarded. Others were not open. */
export interface DiscardOutcome {
  readonly discarded: number;
  /** Left as they are: a replay is at them, or was, and died less than two minutes ago. */
  readonly replaying: number;
  /** An earlier replay had brought their events into the log and could not say so: they count as replayed now. */
  readonly replayed: number;
}

/** Letters of one call. */
export const MAX_REPLAYED_LETTERS = MAX_DEAD_LETTER_PAGE;
/** Of them, those that are under way together. */
const CHUNK_LETTERS = 100;
export const MAX_FIX_BYTES = 64 * 1024;
/** For how long a letter is not discarded once a replay has begun: much longer than it takes to accept an event. */
export const CLAIM_MS = 2 * 60_000;

/**
 * Repairs dead letters: mends their inputs, and sends them the way they came once more.
 *
 * Exactly once, whatever is killed and whoever replays at the same time:
 * 1. Before a letter is replayed, its message id is written down with it and never changes. The log keeps one event of
 *    a message id, so a replay that was not marked as done is only done again, and finds a duplicate.
 * 2. Of stage `apply`, the event is in the log already, where it has no effect and its message id is taken. It gives that
 *    up in the transaction that writes it down with the letter, and goes in the one that marks the letter as replayed.
 * 3. What is being replayed is not discarded: from 1. on the letter is claimed. A claim ends with the replay; one that died
 *    ends by itself, and then the log says whether the letter was replayed. Other replays need no claim to end.
 */
export class DeadLetterService {
  constructor(private readonly deps: DeadLetterDependencies) {}

  /** The letter with its whole payload; null if there is none. */
  async find(id: number): Promise<StoredDeadLetter | null> {
    const [letter] = await this.deps.reader.byIds([id]);
    return letter ?? null;
  }

  /** What a replay maps: the letter's input with its fix. @throws LetterRefusal */
  mended(letter: StoredDeadLetter): unknown {
    return mendedInput(letter, letter.fix);
  }

  /**
   * Adds a merge patch to the letter's fix; null takes the fix off.
   * @throws WeftError NOT_FOUND; CONFLICT for a letter that is not open; PAYLOAD_TOO_LARGE
   */
  async fix(id: number, patch: JsonValue): Promise<StoredDeadLetter> {
    const letter = await this.find(id);
    if (letter === null) {
      throw new WeftError('NOT_FOUND', `there is no dead letter ${String(id)}`, { where: 'id' });
    }
    const fix = patch === null ? null : fixWith(letter, patch);
    if (letter.state !== 'open' || !(await this.deps.store.setFix(this.deps.db, id, fix))) {
      throw new WeftError('CONFLICT', `dead letter ${String(id)} is ${letter.state}: there is nothing to fix`, {
        where: 'id',
      });
    }
    return { ...letter, fix };
  }

  /**
   * Maps letters again and accepts what comes of them; the outcome of each, in the order asked. At most 1,000.
   * @throws WeftError PAYLOAD_TOO_LARGE; what accepting throws, after which the same call goes on
   */
  async replay(ids: readonly number[], options: ReplayOptions = {}): Promise<ReplayOutcome[]> {
    checkCount(ids);
    const outcomes = new Map<number, ReplayOutcome>();
    for (let from = 0; from < ids.length; from += CHUNK_LETTERS) {
      const letters = await this.deps.reader.byIds(ids.slice(from, from + CHUNK_LETTERS));
      for (const outcome of await Promise.all(letters.map((letter) => this.#replay(letter, options)))) {
        outcomes.set(outcome.id, outcome);
      }
    }
    return ids.map((id) => outcomes.get(id) ?? outcomeOf(id, 'missing'));
  }

  /**
   * Closes letters that nobody wants, but for those that are being replayed. At most 1,000.
   * @throws WeftError PAYLOAD_TOO_LARGE
   */
  async discard(ids: readonly number[]): Promise<DiscardOutcome> {
    checkCount(ids);
    const { db, store, clock } = this.deps;
    return db.transaction(async (tx) => {
      const nowMs = clock.now();
      const open = await store.lockOpen(tx, ids);
      const free = open.filter(({ claimedUntil }) => claimedUntil === null || claimedUntil <= nowMs);
      const logged = await store.loggedOf(tx, free.flatMap(replayIdsOf));
      const replayed = free.filter((letter) => replayIdsOf(letter).some((id) => logged.has(id)));
      for (const letter of replayed) {
        const [dedupeId = ''] = replayIdsOf(letter);
        await store.markReplayed(tx, letter.id, { dedupeId, pos: letter.pos, nowMs });
      }
      await store.discard(
        tx,
        free.map(({ id }) => id),
        nowMs,
      );
      return {
        discarded: free.length - replayed.length,
        replaying: open.length - free.length,
        replayed: replayed.length,
      };
    });
  }

  async #replay(letter: StoredDeadLetter, options: ReplayOptions): Promise<ReplayOutcome> {
    const { checker, store, db } = this.deps;
    if (letter.state !== 'open') return outcomeOf(letter.id, 'settled');
    const isDry = options.dryRun === true;
    const fix = options.fix === undefined ? letter.fix : fixWith(letter, options.fix);
    if (!isDry && options.fix !== undefined) await store.setFix(db, letter.id, fix);
    let ready: ReadyLetter;
    try {
      ready = await this.#prepare(letter, fix, options.mapping ?? null);
    } catch (error) {
      if (!(error instanceof LetterRefusal)) throw error;
      return this.#refused(letter, error, { event: null, isDry, claimedUntil: null });
    }
    const { source, event, remapped } = ready;
    const [checked] = checker.check(source, [event], { ...remapped });
    if (checked?.status === 'refused') return this.#refused(letter, checked, { event, isDry, claimedUntil: null });
    if (isDry) {
      const isThere = await store.isLogged(db, dedupeIdOf(source.id, event.messageId ?? ''), letter.pos);
      return { ...outcomeOf(letter.id, isThere ? 'duplicate' : 'accepted'), event: shown(event) };
    }
    return this.#accept(letter, ready);
  }

  async #accept(letter: StoredDeadLetter, { source, event, remapped }: ReadyLetter): Promise<ReplayOutcome> {
    const { clock, db, store } = this.deps;
    const pos = letter.stage === 'apply' ? letter.pos : null;
    const messageId = event.messageId ?? '';
    const claimedUntil = clock.now() + CLAIM_MS;
    const isOpen = await db.transaction((tx) => store.claim(tx, letter.id, { messageId, pos, untilMs: claimedUntil }));
    // Somebody else has settled it since it was read, or replays it under another message id.
    if (!isOpen) return outcomeOf(letter.id, 'settled');
    const result = await this.#sent({ source, event, remapped });
    if (result.status === 'refused') return this.#refused(letter, result, { event, isDry: false, claimedUntil });
    const dedupeId = dedupeIdOf(source.id, messageId);
    await db.transaction((tx) => store.markReplayed(tx, letter.id, { dedupeId, pos, nowMs: clock.now() }));
    return { ...outcomeOf(letter.id, result.status), event: shown(event) };
  }

  async #sent({ source, event, remapped }: ReadyLetter): Promise<AcceptResult> {
    const { historical, receivedAtMs, loadId } = remapped;
    const options = { historical, receivedAtMs, deadLetters: false, ...loadOf(loadId ?? null) };
    try {
      const [result] = await this.deps.acceptor.accept(source, [event], options);
      return result ?? NO_ANSWER;
    } catch (error) {
      // A revert that began since the letter was mapped.
      if (error instanceof WeftError && error.code === 'CONFLICT') return LOAD_REVERTED;
      throw error;
    }
  }

  async #refused(
    letter: StoredDeadLetter,
    refusal: { readonly code: string; readonly reason: string; readonly hint?: string | undefined },
    { event, isDry, claimedUntil }: Attempt,
  ): Promise<ReplayOutcome> {
    const { code, reason, hint } = refusal;
    if (!isDry) await this.deps.store.setReason(this.deps.db, letter.id, refusal, claimedUntil);
    return { id: letter.id, status: 'refused', code, reason, hint: hint ?? null, event: event && shown(event) };
  }

  /** @throws LetterRefusal */
  async #prepare(letter: StoredDeadLetter, fix: JsonValue, mapping: string | null): Promise<ReadyLetter> {
    const source = letter.sourceId === null ? null : await this.deps.sourceOf(letter.sourceId);
    if (source === null) throw new LetterRefusal('NO_SOURCE', 'it is not known which source it came from');
    const logged =
      letter.stage === 'apply' && letter.pos !== null ? await this.deps.store.loggedAt(this.deps.db, letter.pos) : null;
    // The log has all of an event whose letter may be cut.
    const whole = logged?.event == null ? letter : withEvent(letter, logged.event);
    const input = mendedInput(whole, fix);
    const remapped = await this.#remap(whole.form, input, { letter: whole, mapping });
    if ('refusal' in remapped.item) {
      const { code, reason, hint } = remapped.item.refusal;
      throw new LetterRefusal(code, reason, hint);
    }
    const messageId = letter.replayMessageId ?? textOf(remapped.item.messageId) ?? `dead-letter:${String(letter.id)}`;
    return {
      source,
      event: { ...remapped.item, messageId },
      remapped: logged === null ? remapped : { ...remapped, historical: logged.historical, ...loadOf(logged.loadId) },
    };
  }

  #remap(form: RawForm, input: unknown, context: RemapContext): RemappedInput | Promise<RemappedInput> {
    const mapper = this.deps.mappers[form.kind] as
      ((form: RawForm, input: unknown, context: RemapContext) => RemappedInput | Promise<RemappedInput>) | undefined;
    if (mapper !== undefined) return mapper(form, input, context);
    throw new LetterRefusal('UNKNOWN_FORM', 'a newer version of Weft wrote it');
  }
}

/** An attempt at a replay that came to nothing. */
interface Attempt {
  /** Null where the input could not be mapped. */
  readonly event: IncomingEvent | null;
  readonly isDry: boolean;
  /** Of the claim that it made, ms; null: none. */
  readonly claimedUntil: number | null;
}

interface ReadyLetter {
  readonly source: EventSource;
  readonly event: IncomingEvent;
  readonly remapped: RemappedInput;
}

function withEvent(letter: StoredDeadLetter, event: LoggedEvent): StoredDeadLetter {
  return {
    ...letter,
    form: { kind: 'event' },
    payload: deadLetterText(incomingOf(event)),
    isCut: false,
  };
}

/** @throws LetterRefusal */
function mendedInput({ payload, isCut }: StoredDeadLetter, fix: JsonValue): unknown {
  const input = parsed(payload);
  if (fix !== null) return applyMergePatch(input ?? null, fix);
  if (input !== undefined) return input;
  throw isCut
    ? new LetterRefusal('CUT', 'it is too long to be kept whole', 'send it again, in smaller pieces; then discard this')
    : new LetterRefusal('NOT_JSON', 'it is no JSON', 'give it a fix that says all of it');
}

function fixWith(letter: StoredDeadLetter, patch: JsonValue): JsonValue {
  const fix = letter.fix === null ? patch : (composeMergePatches(letter.fix, patch) as JsonValue);
  if (Buffer.byteLength(JSON.stringify(fix)) <= MAX_FIX_BYTES) return fix;
  throw new WeftError('PAYLOAD_TOO_LARGE', 'the fix is larger than any input may be', { where: 'fix' });
}

/** undefined for what is no JSON. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

function textOf(messageId: unknown): string | undefined {
  return typeof messageId === 'string' && messageId !== '' ? messageId : undefined;
}

/** What the log keeps the event under that a replay of the letter made, or would have: one, or none if none was begun. */
function replayIdsOf({ sourceId, replayMessageId }: OpenLetter): Uuid[] {
  return sourceId === null || replayMessageId === null ? [] : [dedupeIdOf(sourceId, replayMessageId)];
}

function loadOf(loadId: string | null): { loadId?: string } {
  return loadId === null ? {} : { loadId };
}

/** What is private is accepted, and shown to nobody. */
function shown(event: IncomingEvent): IncomingEvent {
  return event.properties === undefined ? event : { ...event, properties: withoutPrivate(event.properties) };
}

function outcomeOf(id: number, status: ReplayOutcome['status']): ReplayOutcome {
  return { id, status, code: null, reason: null, hint: null, event: null };
}

function checkCount(ids: readonly number[]): void {
  if (ids.length <= MAX_REPLAYED_LETTERS) return;
  throw new WeftError('PAYLOAD_TOO_LARGE', `more than ${String(MAX_REPLAYED_LETTERS)} dead letters`, {
    where: 'ids',
    hint: 'name fewer at a time',
  });
}

const NO_ANSWER: AcceptResult = { status: 'refused', code: 'INTERNAL', reason: 'no answer for this event' };
const LOAD_REVERTED: AcceptResult = {
  status: 'refused',
  code: 'LOAD_REVERTED',
  reason: 'its load was reverted',
  hint: 'load the file again',
};
