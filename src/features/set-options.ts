import { InvalidArgumentError, Option, type Command } from 'commander';
import { durationHint, durationMs } from '../platform/duration.js';
import type { MaxAges } from './training-set-request.model.js';
import type { ParseTime } from './training-set-labels.js';
import { CONSENTS_AS_OF, type ConsentAsOf, type KnownAsOf } from './training-set.model.js';

/** What is written of what a training set is to hold. */
export interface SetOptions {
  readonly knownAsOf: KnownAsOf;
  readonly consentAsOf: ConsentAsOf;
  readonly maxAge?: MaxAges;
  readonly fullNames?: true;
}

export function addSetOptions(command: Command, parseTime: ParseTime): void {
  command
    .addOption(
      new Option(
        '--known-as-of <time>',
        'what may be known: now, event-time (for each row what was known at its own time), or an ISO 8601 time',
      )
        .default('now' satisfies KnownAsOf)
        .argParser((text) => parseKnownAsOf(text, parseTime)),
    )
    .addOption(
      new Option(
        '--consent-as-of <when>',
        'by when people have to allow what features need: now (at the time of the row, and now), or time (only then)',
      )
        .choices(CONSENTS_AS_OF)
        .default('now' satisfies ConsentAsOf),
    )
    .option(
      '--max-age <ages>',
      'leave out values whose newest event is older: 30d, or of some features as in tier=7d,credit=90d',
      parseMaxAges,
    )
    .option('--full-names', 'columns by view and feature, as in customer__tier');
}

/** `30d`, `tier=7d,credit=90d`, or both. @throws InvalidArgumentError */
function parseMaxAges(text: string): MaxAges {
  let others: number | null = null;
  const byFeature = new Map<string, number>();
  for (const part of text.split(',')) {
    const [name = '', age] = part.includes('=') ? part.split('=', 2) : ['', part];
    const ms = parseAge((age ?? '').trim());
    if (name === '') others = ms;
    else byFeature.set(name.trim(), ms);
  }
  return { others, byFeature };
}

function parseAge(text: string): number {
  try {
    return durationMs(text);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new InvalidArgumentError(`Please ${durationHint(text)}, of some features as in tier=7d,credit=90d.`);
  }
}

function parseKnownAsOf(text: string, parseTime: ParseTime): KnownAsOf {
  if (text === 'now' || text === 'event-time') return text;
  const ms = parseTime(text);
  if (Number.isNaN(ms)) {
    throw new InvalidArgumentError('Write now, event-time, or an ISO 8601 time such as 2026-01-31T12:00:00Z.');
  }
  return ms;
}
