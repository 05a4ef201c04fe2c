import { hash } from 'node:crypto';
import type { Uuid } from '../platform/ids.js';
import type { WhereFilter } from './compile-where.js';
import type { FeatureEvent } from './feature.model.js';

/** What a label asks: whether an event that matches comes within a time after T, or whether a rule holds at T. */
export interface LabelQuestion {
  /** Key of the segment that is the rule; left out: events are asked for. */
  readonly segment?: string;
  /** Names of events; at least one, but of a rule, which asks for none. */
  readonly events: readonly string[];
  /** A condition in CEL that the event has to meet; null: none. */
  readonly where: string | null;
  /** How long after T an event counts, ms, inclusive; one at T does not. Of a rule 0: it looks at nothing that comes. */
  readonly withinMs: number;
}

/** What holds of people at an instant or does not, by their events up to then. */
export interface LabelRule<E> {
  readonly key: string;
  readonly version: number;
  /** Of one person, before their first event. */
  begin(): RulePerson<E>;
}

export interface RulePerson<E> {
  /** By rising time. */
  add(event: E): void;
  /** Whether it holds at `t`, ms and rising, by the events so far, which all lie before. */
  holdsAt(t: number): boolean;
}

/** At which instants it is asked of each person. */
export interface LabelSampling {
  /** Instants drawn for each person. */
  readonly samples: number;
  /** Another seed draws other instants; the same one, of the same range, the same. */
  readonly seed: number;
  /** The range that instants are drawn from, ms, both inclusive. */
  readonly fromMs: number;
  readonly toMs: number;
}

export const MAX_SAMPLES = 100;
export const MIN_WITHIN_MS = 1_000;
export const MAX_WITHIN_MS = 366 * 86_400_000;

/** 6 bytes of a hash: as many as a number holds exactly. */
const HASH_HEX_DIGITS = 12;
const HASH_RANGE = 2 ** 48;

/**
 * The instants at which somebody is asked about, rising, each once: uniform over the range, and a function of person,
 * seed and range alone, so that what anybody does, or who else there is, moves none.
 */
export function sampleInstants(person: Uuid, { samples, seed, fromMs, toMs }: LabelSampling): number[] {
  const instants = new Set<number>();
  for (let i = 0; i < samples; i++) {
    const digits = hash('sha256', `${String(seed)} ${person} ${String(i)}`, 'hex').slice(0, HASH_HEX_DIGITS);
    instants.add(fromMs + Math.floor((parseInt(digits, 16) / HASH_RANGE) * (toMs - fromMs + 1)));
  }
  return [...instants].sort((a, b) => a - b);
}

/** Whether an event is what the label asks for. @param filter of the question's condition, compiled */
export function labelMatcher({ events }: LabelQuestion, filter: WhereFilter | null): (event: FeatureEvent) => boolean {
  const names = new Set(events);
  return (event) => names.has(event.name) && (filter === null || filter(event));
}

/** An instant that was answered, with the last event up to it, inclusive. */
export interface AnsweredInstant<E> {
  readonly timeMs: number;
  readonly isPositive: boolean;
  readonly last: E;
}

/** The answers by rising instant, and how many instants lie before the first event. */
export interface LabelAnswers<E> {
  readonly answers: readonly AnsweredInstant<E>[];
  readonly unknown: number;
}

/** Answers at several instants of one person, whose events come by rising time. */
export interface InstantFold<E> {
  add(event: E): void;
  finish(): LabelAnswers<E>;
}

/**
 * Answers the question at several instants of one person, in one pass over their events by rising time.
 *
 *   events    ──e──────e──M────e──────▶    M matches
 *   instants  ─T₁────T₂──────T₃───────▶    T₂: positive, if M comes within its time; T₁: left out, nobody knew them yet
 *
 * What is known of an instant never depends on events up to it, beyond that there was one.
 */
export class LabelFold<E extends { readonly occurredAt: number }> implements InstantFold<E> {
  readonly #instants: readonly number[];
  readonly #withinMs: number;
  readonly #matches: (event: E) => boolean;
  readonly #answers: { timeMs: number; isPositive: boolean; last: E }[] = [];
  /** Index of the first answer that an event may still make positive. */
  #open = 0;
  #next = 0;
  #last: E | null = null;

  /** @param instants rising */
  constructor(instants: readonly number[], withinMs: number, matches: (event: E) => boolean) {
    this.#instants = instants;
    this.#withinMs = withinMs;
    this.#matches = matches;
  }

  add(event: E): void {
    this.#passUntil(event.occurredAt);
    this.#last = event;
    if (this.#open === this.#answers.length || !this.#matches(event)) return;
    // Whatever an event decides is decided: those it comes too late for have had their time, the others are positive.
    for (; this.#open < this.#answers.length; this.#open++) {
      const answer = this.#answers[this.#open];
      if (answer !== undefined) answer.isPositive = event.occurredAt - answer.timeMs <= this.#withinMs;
    }
  }

  finish(): LabelAnswers<E> {
    this.#passUntil(Infinity);
    return { answers: this.#answers, unknown: this.#instants.length - this.#answers.length };
  }

  /** Instants before `timeMs` have seen all that they may see. */
  #passUntil(timeMs: number): void {
    for (; (this.#instants[this.#next] ?? Infinity) < timeMs; this.#next++) {
      const instant = this.#instants[this.#next];
      if (this.#last !== null && instant !== undefined) {
        this.#answers.push({ timeMs: instant, isPositive: false, last: this.#last });
      }
    }
  }
}

/** Asks at several instants of one person whether a rule holds; events at an instant count. */
export class RuleFold<E extends { readonly occurredAt: number }> implements InstantFold<E> {
  readonly #instants: readonly number[];
  readonly #person: RulePerson<E>;
  readonly #answers: AnsweredInstant<E>[] = [];
  #next = 0;
  #last: E | null = null;

  /** @param instants rising */
  constructor(instants: readonly number[], rule: LabelRule<E>) {
    this.#instants = instants;
    this.#person = rule.begin();
  }

  add(event: E): void {
    this.#passUntil(event.occurredAt);
    this.#last = event;
    this.#person.add(event);
  }

  finish(): LabelAnswers<E> {
    this.#passUntil(Infinity);
    return { answers: this.#answers, unknown: this.#instants.length - this.#answers.length };
  }

  #passUntil(occurredAt: number): void {
    for (; (this.#instants[this.#next] ?? Infinity) < occurredAt; this.#next++) {
      const timeMs = this.#instants[this.#next];
      if (this.#last === null || timeMs === undefined) continue;
      this.#answers.push({ timeMs, isPositive: this.#person.holdsAt(timeMs + 1), last: this.#last });
    }
  }
}
