import { hash } from 'node:crypto';
import type { Uuid } from '../platform/ids.js';

/** What rows are for: to fit a model, to choose among models, to judge the one that was chosen. */
export const SPLITS = ['train', 'validation', 'test'] as const;
export type Split = (typeof SPLITS)[number];

/** Percent of train, validation and test; together 100. */
export type SplitRatios = readonly [number, number, number];

/**
 * How rows are parted.
 *
 * - `time`: the earliest to train, the latest to test: as the model will be used, on what comes later;
 * - `profile`: by hash of the person, of each label alike: nobody is on two sides.
 */
export type SplitSpec =
  | {
      readonly by: 'time';
      readonly ratios: SplitRatios;
      /** How far after T the label looks, ms; rows whose label looks into a later part are in none. */
      readonly horizonMs: number;
    }
  | { readonly by: 'profile'; readonly ratios: SplitRatios; readonly seed: number };

/** A row, as far as splits care. */
export interface SplitRow {
  readonly timeMs: number;
  readonly person: string;
}

/** Says which part a row is in; null: in none, as its label looks into a later part. */
export interface Splitter {
  readonly spec: SplitSpec;
  /** Of a split by time: the first instants of validation and of test, ms. */
  readonly cuts: readonly [number, number] | null;
  /** Of a split by profile: labels that are parted each by itself; 1: all as one. */
  readonly strata: number | null;
  of(row: SplitRow): Split | null;
}

/** Times that are held at once; of more rows every second is taken, every fourth, and so on. */
const MAX_TIMES = 4_000_000;
/** Beyond as many labels, which then are amounts rather than classes, they are not parted each by itself. */
const MAX_STRATA = 20;

const HASH_HEX_DIGITS = 12;

/** Whom rows that are about no person count for, all together. */
export const NOBODY = '';

/** Whom a row is about; of nobody known the identifier, which keeps its rows together all the same. */
export function personOf(profileId: Uuid | null, ns: string, value: string): string {
  return profileId ?? `${ns} ${value}`;
}

/** Collects instants and cuts them, ties whole. Exact up to 4,000,000 rows, beyond by a part of them evenly spread. */
export class TimeSplitter {
  readonly #spec: Extract<SplitSpec, { by: 'time' }>;
  #times: number[] = [];
  #seen = 0;
  #stride = 1;

  constructor(spec: Extract<SplitSpec, { by: 'time' }>) {
    this.#spec = spec;
  }

  add({ timeMs }: SplitRow): void {
    if (this.#seen++ % this.#stride !== 0) return;
    this.#times.push(timeMs);
    if (this.#times.length < MAX_TIMES) return;
    this.#times = this.#times.filter((_, i) => i % 2 === 0);
    this.#stride *= 2;
  }

  finish(): Splitter {
    const spec = this.#spec;
    const times = Float64Array.from(this.#times).sort();
    const [train, validation] = spec.ratios;
    const cutAt = (percent: number): number => times[Math.floor((times.length * percent) / 100)] ?? Infinity;
    const cuts = [cutAt(train), cutAt(train + validation)] as const;
    const { horizonMs } = spec;
    return {
      spec,
      cuts,
      strata: null,
      of: ({ timeMs }) => {
        if (timeMs >= cuts[1]) return 'test';
        const [part, nextMs] = timeMs < cuts[0] ? (['train', cuts[0]] as const) : (['validation', cuts[1]] as const);
        return timeMs + horizonMs >= nextMs ? null : part;
      },
    };
  }
}

/**
 * Parts people by rank of their hash within their label, so that every part has of each label what its ratio says, to
 * one person. Somebody with several labels counts with the greatest, as text: whoever ever was `1` is.
 */
export class ProfileSplitter {
  readonly #spec: Extract<SplitSpec, { by: 'profile' }>;
  /** By hash of the person: their label's number. */
  readonly #people = new Map<number, number>();
  readonly #labels: string[] = [];

  constructor(spec: Extract<SplitSpec, { by: 'profile' }>) {
    this.#spec = spec;
  }

  get people(): number {
    return this.#people.size;
  }

  /** @param label null: rows have none */
  add({ person }: SplitRow, label: string | null): void {
    const key = this.#hashOf(person);
    const known = this.#people.get(key);
    const held = known === undefined ? undefined : this.#labels[known];
    if (held !== undefined && held >= (label ?? '')) return;
    let number = this.#labels.indexOf(label ?? '');
    if (number < 0) {
      // One more than is used, to tell that there are too many.
      number = this.#labels.length > MAX_STRATA ? MAX_STRATA : this.#labels.length;
      if (number === this.#labels.length) this.#labels.push(label ?? '');
    }
    this.#people.set(key, number);
  }

  finish(): Splitter {
    const spec = this.#spec;
    const isStratified = this.#labels.length <= MAX_STRATA;
    const strata: number[][] = [];
    for (const [key, label] of this.#people) (strata[isStratified ? label : 0] ??= []).push(key);
    const parts = new Map<number, Split>();
    const [train, validation] = spec.ratios;
    for (const keys of strata.filter((each) => each.length > 0)) {
      keys.sort((a, b) => a - b);
      const firsts = [train, train + validation].map((percent) => Math.round((keys.length * percent) / 100));
      keys.forEach((key, rank) => {
        const part = rank < (firsts[0] ?? 0) ? 'train' : rank < (firsts[1] ?? 0) ? 'validation' : 'test';
        parts.set(key, part);
      });
    }
    return {
      spec,
      cuts: null,
      strata: isStratified ? this.#labels.length : 1,
      // Who became somebody else since they were parted is in no part that might be another than that of their other rows.
      of: ({ person }) => parts.get(this.#hashOf(person)) ?? null,
    };
  }

  #hashOf(person: string): number {
    return parseInt(hash('sha256', `${String(this.#spec.seed)} ${person}`, 'hex').slice(0, HASH_HEX_DIGITS), 16);
  }
}
