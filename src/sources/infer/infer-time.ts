import { compileTime } from '../mapping-time.js';
import { areMistakes, nearlyAll } from './nearly-all.js';

/** How times of a column are written. */
export interface InferredTime {
  readonly format: string;
  /** The reading that fits as well: day and month the other way round; null: there is none. */
  readonly other: string | null;
  /** Whether the values carry an offset, so that no zone is needed. */
  readonly hasOffset: boolean;
}

/** What a pattern is tried on first: most patterns fail there. */
const FIRST_TEXTS = 5;
const TIME_NAME = /time|date|stamp|(?:^|_)at$|(?:^|_)ts$|epoch|created|updated|modified|seen|(?:At|On)$/i;
const HAS_DIGITS = /\d.*\d/;
const OFFSET = /(?:Z|[+-]\d{2}:?\d{2})$/;
/** 2000-01-01 and 2100-01-01, s: whole numbers of other columns are rarely between. */
const MIN_EPOCH_S = 946_684_800;
const MAX_EPOCH_S = 4_102_444_800;

const CLOCKS = ['', ' H:mm', ' H:mm:ss', ' h:mm a', ' h:mm:ss a', ', H:mm', ', H:mm:ss', "'T'H:mm:ss"];
const DATES = ['d/M/yyyy', 'M/d/yyyy', 'd.M.yyyy', 'M.d.yyyy', 'd-M-yyyy', 'M-d-yyyy', 'yyyy/M/d', 'yyyy.M.d'];
const SHORT_DATES = ['d/M/yy', 'M/d/yy', 'd.M.yy', 'd-M-yy', 'M-d-yy'];
const NAMED_DATES = ['d MMM yyyy', 'MMM d yyyy', 'MMM d, yyyy', 'd-MMM-yyyy', 'd-MMM-yy'];
const PATTERNS = [...DATES, ...SHORT_DATES, ...NAMED_DATES].flatMap((date) => CLOCKS.map((clock) => date + clock));
const MONTH_OF = /^(d)([/.-])(M)\2|^(M)([/.-])(d)\5/;

/**
 * The format in which these texts are times; null: none fits {@link nearlyAll}. Where both day and month first fit, the one by
 * which rows that follow each other are closer in time is given, and the other with it.
 */
export function inferTime(name: string, texts: readonly string[]): InferredTime | null {
  if (!nearlyAll(texts.slice(0, 20), (text) => HAS_DIGITS.test(text))) return null;
  if (nearlyAll(texts, (text) => /^\d+$/.test(text))) return TIME_NAME.test(name) ? inferEpoch(texts) : null;
  const hasOffset = nearlyAll(texts, (text) => OFFSET.test(text) && text.length > 10);
  if (misfitsOf('iso', texts) !== null) return { format: 'iso', other: null, hasOffset };
  // Cheap first: most patterns fail at the first texts.
  const firstTexts = texts.slice(0, FIRST_TEXTS);
  const misfits = new Map<string, number>();
  for (const pattern of PATTERNS) {
    const found = misfitsOf(pattern, firstTexts) === null ? null : misfitsOf(pattern, texts);
    if (found !== null) misfits.set(pattern, found);
  }
  // A value that only one reading fits tells which it is, be it one of few.
  const fewest = Math.min(...misfits.values());
  const first = [...misfits.keys()].find((pattern) => misfits.get(pattern) === fewest);
  if (first === undefined) return null;
  const swapped = swap(first);
  if (swapped === null || misfits.get(swapped) !== fewest) return { format: first, other: null, hasOffset: false };
  const [format, other] = wayOf(first, texts) <= wayOf(swapped, texts) ? [first, swapped] : [swapped, first];
  return { format, other, hasOffset: false };
}

function inferEpoch(texts: readonly string[]): InferredTime | null {
  const within = (unit: number): boolean =>
    nearlyAll(texts, (text) => Number(text) >= MIN_EPOCH_S * unit && Number(text) < MAX_EPOCH_S * unit);
  const format = within(1) ? 'epoch_s' : within(1_000) ? 'epoch_ms' : null;
  return format === null ? null : { format, other: null, hasOffset: true };
}

/** Texts that are no times in this format; null: too many to be mistakes. */
function misfitsOf(format: string, texts: readonly string[]): number | null {
  const read = compileTime({ format, zone: 'UTC' });
  let misfits = 0;
  for (const text of texts) {
    if (Number.isNaN(read(text))) misfits++;
    if (!areMistakes(misfits, texts.length)) return null;
  }
  return misfits;
}

/** The time between rows that follow each other, ms, in all: of the right reading the less, in most files. */
function wayOf(format: string, texts: readonly string[]): number {
  const read = compileTime({ format, zone: 'UTC' });
  let wayMs = 0;
  let last = Number.NaN;
  for (const text of texts) {
    const time = read(text);
    if (!Number.isNaN(time - last)) wayMs += Math.abs(time - last);
    last = time;
  }
  return wayMs;
}

function swap(format: string): string | null {
  return MONTH_OF.test(format) ? format.replace(/[dM]/g, (letter) => (letter === 'd' ? 'M' : 'd')) : null;
}
