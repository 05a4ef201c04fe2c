import { InvalidArgumentError, Option, type Command } from 'commander';
import { durationHint, durationMs } from '../platform/duration.js';
import { MAX_SAMPLES, MAX_WITHIN_MS, MIN_WITHIN_MS } from './label.model.js';
import type { LabelRequest } from './label.service.js';
import type { ParseTime } from './training-set-labels.js';

/** What is written of a label, beyond the events that it asks for. */
export interface LabelOptions {
  readonly where?: string;
  readonly within: number;
  readonly samples: number;
  readonly seed: number;
  readonly from?: number;
  readonly to?: number;
}

const DEFAULT_WITHIN = '7d';
const DEFAULT_SAMPLES = 3;
export const MAX_SEED = 2 ** 31 - 1;

/** Options that say what a label asks, and of which instants. */
export function addLabelOptions(command: Command, parseTime: ParseTime): void {
  const time = (text: string): number => parseTimeOption(text, parseTime);
  command
    .option('--where <cel>', "a condition that the event has to meet, as 'properties.total > 50'")
    .addOption(
      new Option('--within <duration>', 'how long after the instant the event counts')
        .default(durationMs(DEFAULT_WITHIN), DEFAULT_WITHIN)
        .argParser(parseWithin),
    )
    .option('--samples <n>', 'instants for each person', wholeNumber(1, MAX_SAMPLES), DEFAULT_SAMPLES)
    .option('--seed <n>', 'another number draws other instants', wholeNumber(0, MAX_SEED), 1)
    .option('--from <time>', 'the first instant that may be drawn (default: the first event)', time)
    .option('--to <time>', 'the last one (default: the last whose time is over)', time);
}

/** Of labels that say who was in a segment. */
export function segmentLabelRequest(segment: string, options: LabelOptions): LabelRequest {
  return { ...labelRequest([], options), segment, where: null, withinMs: 0 };
}

export function labelRequest(events: readonly string[], options: LabelOptions): LabelRequest {
  const { where, within, samples, seed, from, to } = options;
  return {
    events,
    where: where ?? null,
    withinMs: within,
    samples,
    seed,
    ...(from === undefined ? undefined : { fromMs: from }),
    ...(to === undefined ? undefined : { toMs: to }),
  };
}

/** Milliseconds of a duration from 1s to 366d. @throws InvalidArgumentError */
export function parseWithin(text: string): number {
  let ms: number;
  try {
    ms = durationMs(text);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new InvalidArgumentError(`Please ${durationHint(text)}.`);
  }
  if (ms < MIN_WITHIN_MS || ms > MAX_WITHIN_MS) throw new InvalidArgumentError('Write 1s to 366d.');
  return ms;
}

/** @throws InvalidArgumentError, from what it answers with, for another text */
export function wholeNumber(least: number, most: number): (text: string) => number {
  return (text) => {
    const n = /^\d{1,10}$/.test(text) ? Number(text) : NaN;
    if (n >= least && n <= most) return n;
    throw new InvalidArgumentError(`Write a whole number from ${String(least)} to ${String(most)}.`);
  };
}

/** @throws InvalidArgumentError for a text that is no time */
export function parseTimeOption(text: string, parseTime: ParseTime): number {
  const ms = parseTime(text);
  if (Number.isNaN(ms)) throw new InvalidArgumentError('Write an ISO 8601 time such as 2026-01-31T12:00:00Z.');
  return ms;
}

/** Names separated by commas. @throws InvalidArgumentError for an empty one */
export function parseNames(text: string): string[] {
  const names = text.split(',').map((name) => name.trim());
  if (names.includes('')) throw new InvalidArgumentError('Separate the names by one comma each, as in views_1h,spend.');
  return names;
}
