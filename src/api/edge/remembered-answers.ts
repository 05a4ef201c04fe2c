import type { JsonValue } from '../../events/event.model.js';
import type { Uuid } from '../../platform/ids.js';
import type { ApiDefinitions } from '../api-definitions.model.js';
import type { EdgeAnswer } from './edge-answer.model.js';

/** Of the newer and of the older half, each. */
const MAX_HALF = 5_000;
/** A larger answer is not remembered: characters of its traits, roughly. */
const MAX_TEXT = 2_000;
/** How old an answer may be to stand in for one that is late, ms. */
const MAX_AGE_MS = 60_000;

interface Remembered {
  readonly answer: EdgeAnswer;
  /** What is marked may have changed since. */
  readonly definitions: ApiDefinitions;
  readonly atMs: number;
}

/**
 * What visitors were told lately: 10,000 answers at most, of 2,000 characters at most. In two halves, of which the older
 * one goes as a whole: each page view writes here and next to none reads, and to keep an order of use would cost more than
 * all the rest of it.
 */
export class RememberedAnswers {
  #newer = new Map<Uuid, Remembered>();
  #older = new Map<Uuid, Remembered>();

  get size(): number {
    return this.#newer.size + this.#older.size;
  }

  set(identifierId: Uuid, answer: EdgeAnswer, definitions: ApiDefinitions, atMs: number): void {
    if (isLarge(answer)) return;
    if (this.#newer.size >= MAX_HALF) {
      this.#older = this.#newer;
      this.#newer = new Map();
    }
    this.#newer.set(identifierId, { answer, definitions, atMs });
  }

  /** Null where there is none that may be told now. */
  get(identifierId: Uuid, definitions: ApiDefinitions, nowMs: number): EdgeAnswer | null {
    const found = this.#newer.get(identifierId) ?? this.#older.get(identifierId);
    const isUsable = found?.definitions === definitions && nowMs - found.atMs <= MAX_AGE_MS;
    return isUsable ? found.answer : null;
  }
}

function isLarge({ traits }: EdgeAnswer): boolean {
  let size = 0;
  for (const name in traits) size += name.length + sizeOf(traits[name] ?? null);
  return size > MAX_TEXT;
}

function sizeOf(value: JsonValue): number {
  if (typeof value === 'string') return value.length;
  return typeof value === 'object' && value !== null ? JSON.stringify(value).length : 8;
}
