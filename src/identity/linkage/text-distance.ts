/**
 * Distances and similarities of texts, each text as an array of its units (code points, or bytes as DuckDB counts).
 *
 * Where a measure has variants, it is the one that DuckDB computes, so that models trained there keep their meaning:
 * Damerau–Levenshtein is the full one (a transposition may be edited further), and Winkler's bonus is given only above
 * a similarity of 0.7.
 */

/** A text as the numbers of its units. */
export type Units = Int32Array;

/** Code points of a text. */
export function codePointsOf(text: string): Units {
  const units = new Int32Array(text.length);
  let length = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.codePointAt(i) as number;
    if (code > 0xffff) i++;
    units[length++] = code;
  }
  return length === text.length ? units : units.slice(0, length);
}

/** Bytes of a text in UTF-8. */
export function bytesOf(text: string): Units {
  const units = new Int32Array(text.length);
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code >= ASCII) return Int32Array.from(Buffer.from(text, 'utf8'));
    units[i] = code;
  }
  return units;
}

const WORD_BITS = 32;
const ASCII = 128;
/** For each unit the positions at which it stands, as bits; all zero between calls. */
const positions = new Int32Array(ASCII);
/** The same of positions from the 32nd on. */
const laterPositions = new Int32Array(ASCII);

function mark(unit: number, bit: number): void {
  positions[unit] = (positions[unit] as number) | bit;
}

/** Whether bit-parallel forms apply: so many machine words, small tables. */
function fits(a: Units, words: number): boolean {
  if (a.length > WORD_BITS * words) return false;
  for (let i = 0; i < a.length; i++) if ((a[i] as number) >= ASCII) return false;
  return true;
}

function fitsWord(a: Units): boolean {
  return fits(a, 1);
}

/** The bits from one position to another, both included, as far as a word has them. */
function span(from: number, to: number): number {
  const [first, last] = [Math.max(0, from), Math.min(WORD_BITS - 1, to)];
  if (first > last) return 0;
  const length = last - first + 1;
  return (length === WORD_BITS ? -1 : (1 << length) - 1) << first;
}

/**
 * Jaro's similarity, from 0 to 1. Units match when they are equal and no further apart than half of the longer text;
 * half of those out of order, rounded down, are transpositions. An empty text is like none, not even another.
 * Source: M. A. Jaro, Advances in record-linkage methodology, JASA 84 (1989).
 */
export function jaro(a: Units, b: Units): number {
  if (a.length === 0 || b.length === 0) return 0;
  const reach = Math.max(0, (Math.max(a.length, b.length) >> 1) - 1);
  if (fitsWord(a) && fitsWord(b)) return jaroInWord(a, b, reach);
  return fits(a, 2) && fits(b, 2) ? jaroInTwoWords(a, b, reach) : jaroByLists(a, b, reach);
}

/** As {@link jaroInWord}, with the positions in `b` in two words. */
function jaroInTwoWords(a: Units, b: Units, reach: number): number {
  for (let j = 0; j < b.length; j++) {
    const unit = b[j] as number;
    if (j < WORD_BITS) mark(unit, 1 << j);
    else laterPositions[unit] = (laterPositions[unit] as number) | (1 << (j - WORD_BITS));
  }
  let taken = 0;
  let takenLater = 0;
  let matches = 0;
  for (let i = 0; i < a.length; i++) {
    const unit = a[i] as number;
    const [from, to] = [i - reach, Math.min(b.length - 1, i + reach)];
    const free = (positions[unit] as number) & span(from, to) & ~taken;
    const later = (laterPositions[unit] as number) & span(from - WORD_BITS, to - WORD_BITS) & ~takenLater;
    if (free !== 0) taken |= free & -free;
    else if (later !== 0) takenLater |= later & -later;
    else continue;
    matchedA[matches++] = unit;
  }
  for (let j = 0; j < b.length; j++) {
    positions[b[j] as number] = 0;
    laterPositions[b[j] as number] = 0;
  }
  if (matches === 0) return 0;
  let misplaced = 0;
  let next = 0;
  for (let rest = taken; rest !== 0; rest &= rest - 1) {
    if (matchedA[next++] !== b[31 - Math.clz32(rest & -rest)]) misplaced++;
  }
  for (let rest = takenLater; rest !== 0; rest &= rest - 1) {
    if (matchedA[next++] !== b[WORD_BITS + 31 - Math.clz32(rest & -rest)]) misplaced++;
  }
  return jaroOf(a.length, b.length, matches, misplaced);
}

function jaroInWord(a: Units, b: Units, reach: number): number {
  for (let j = 0; j < b.length; j++) mark(b[j] as number, 1 << j);
  let takenA = 0;
  let takenB = 0;
  let matches = 0;
  for (let i = 0; i < a.length; i++) {
    const from = Math.max(0, i - reach);
    const to = Math.min(b.length - 1, i + reach);
    if (from > to) break;
    const span = to - from + 1;
    const window = (span === WORD_BITS ? -1 : (1 << span) - 1) << from;
    const free = (positions[a[i] as number] as number) & window & ~takenB;
    if (free === 0) continue;
    takenB |= free & -free;
    takenA |= 1 << i;
    matches++;
  }
  for (let j = 0; j < b.length; j++) positions[b[j] as number] = 0;
  if (matches === 0) return 0;
  let misplaced = 0;
  for (let restA = takenA, restB = takenB; restA !== 0; restA &= restA - 1, restB &= restB - 1) {
    const i = 31 - Math.clz32(restA & -restA);
    const j = 31 - Math.clz32(restB & -restB);
    if (a[i] !== b[j]) misplaced++;
  }
  return jaroOf(a.length, b.length, matches, misplaced);
}

const BYTES = 256;
/** For each unit below 256, one more than the first position in `b` that it may still match at; zero between calls. */
const firstAt = new Int32Array(BYTES);
/** For each position in `b`, one more than the next one of the same unit. Both grow to the longest texts. */
let nextAt = new Int32Array(256);
let matchedA = new Int32Array(256);

/**
 * In linear time: the window of positions moves on with `i`, so that of each unit only the first position that is left
 * can be the next match, and one that fell out of the window never comes back.
 */
function jaroByLists(a: Units, b: Units, reach: number): number {
  if (nextAt.length < b.length) [nextAt, matchedA] = [new Int32Array(2 * b.length), new Int32Array(2 * b.length)];
  const others = new Map<number, number>();
  for (let j = b.length - 1; j >= 0; j--) {
    const unit = b[j] as number;
    nextAt[j] = unit < BYTES ? (firstAt[unit] as number) : (others.get(unit) ?? 0);
    if (unit < BYTES) firstAt[unit] = j + 1;
    else others.set(unit, j + 1);
  }
  const takenB = new Uint8Array(b.length);
  let matches = 0;
  for (let i = 0; i < a.length; i++) {
    const unit = a[i] as number;
    let at = unit < BYTES ? (firstAt[unit] as number) : (others.get(unit) ?? 0);
    while (at !== 0 && at - 1 < i - reach) at = nextAt[at - 1] as number;
    if (at !== 0 && at - 1 <= i + reach) {
      takenB[at - 1] = 1;
      matchedA[matches++] = unit;
      at = nextAt[at - 1] as number;
    }
    if (unit < BYTES) firstAt[unit] = at;
    else others.set(unit, at);
  }
  for (const unit of b) if (unit < BYTES) firstAt[unit] = 0;
  if (matches === 0) return 0;
  let misplaced = 0;
  let next = 0;
  for (let j = 0; j < b.length; j++) {
    if (takenB[j] === 1 && matchedA[next++] !== b[j]) misplaced++;
  }
  return jaroOf(a.length, b.length, matches, misplaced);
}

function jaroOf(lengthA: number, lengthB: number, matches: number, misplaced: number): number {
  const inOrder = matches - (misplaced >> 1);
  // In one order of addition, so that the texts may change places to the last bit.
  const [shorter, longer] = lengthA < lengthB ? [lengthA, lengthB] : [lengthB, lengthA];
  return (matches / shorter + matches / longer + inOrder / matches) / 3;
}

const WINKLER_FLOOR = 0.7;
const WINKLER_PREFIX = 4;
const WINKLER_SCALE = 0.1;

/**
 * Jaro's similarity with Winkler's bonus for up to four equal first units, from 0 to 1.
 * Source: W. E. Winkler, String comparator metrics and enhanced decision rules (1990).
 */
export function jaroWinkler(a: Units, b: Units): number {
  const similarity = jaro(a, b);
  if (similarity <= WINKLER_FLOOR) return similarity;
  const most = Math.min(WINKLER_PREFIX, a.length, b.length);
  let prefix = 0;
  while (prefix < most && a[prefix] === b[prefix]) prefix++;
  return similarity + prefix * WINKLER_SCALE * (1 - similarity);
}

/**
 * Levenshtein's distance: the least number of insertions, deletions and substitutions.
 * @param limit from here on the exact distance does not matter: anything above may be told as `limit + 1`
 */
export function levenshtein(a: Units, b: Units, limit = Infinity): number {
  if (Math.abs(a.length - b.length) > limit) return limit + 1;
  if (a.length === 0 || b.length === 0) return Math.max(a.length, b.length);
  const [long, short] = a.length < b.length ? [b, a] : [a, b];
  return fitsWord(short) && isAscii(long) ? levenshteinInWords(long, short) : levenshteinByRows(long, short);
}

function isAscii(a: Units): boolean {
  for (const unit of a) if (unit >= ASCII) return false;
  return true;
}

/** Source: G. Myers, A fast bit-vector algorithm for approximate string matching, JACM 46 (1999). */
function levenshteinInWords(long: Units, short: Units): number {
  for (let i = 0; i < short.length; i++) mark(short[i] as number, 1 << i);
  const last = 1 << (short.length - 1);
  let rises = -1;
  let falls = 0;
  let distance = short.length;
  for (const unit of long) {
    const equal = positions[unit] as number;
    const vertical = equal | falls;
    const diagonal = (((equal & rises) + rises) ^ rises) | equal;
    let risesAcross = falls | ~(diagonal | rises);
    const fallsAcross = rises & diagonal;
    if ((risesAcross & last) !== 0) distance++;
    if ((fallsAcross & last) !== 0) distance--;
    risesAcross = (risesAcross << 1) | 1;
    rises = (fallsAcross << 1) | ~(vertical | risesAcross);
    falls = risesAcross & vertical;
  }
  for (const unit of short) positions[unit] = 0;
  return distance;
}

function levenshteinByRows(long: Units, short: Units): number {
  const row = Int32Array.from({ length: short.length + 1 }, (_, j) => j);
  for (let i = 1; i <= long.length; i++) {
    let diagonal = row[0] as number;
    row[0] = i;
    for (let j = 1; j <= short.length; j++) {
      const substitution = diagonal + (long[i - 1] === short[j - 1] ? 0 : 1);
      diagonal = row[j] as number;
      row[j] = Math.min(substitution, diagonal + 1, (row[j - 1] as number) + 1);
    }
  }
  return row[short.length] as number;
}

/**
 * Damerau's distance: Levenshtein's with transpositions of neighbours, between which there may be edits ("ca" to "abc"
 * is 2). Source: R. Lowrance, R. A. Wagner, An extension of the string-to-string correction problem, JACM 22 (1975).
 * @param limit as that of {@link levenshtein}
 */
export function damerauLevenshtein(a: Units, b: Units, limit = Infinity): number {
  if (Math.abs(a.length - b.length) > limit) return limit + 1;
  let start = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) start++;
  let endA = a.length;
  let endB = b.length;
  while (endA > start && endB > start && a[endA - 1] === b[endB - 1]) {
    endA--;
    endB--;
  }
  const [restA, restB] = [endA - start, endB - start];
  if (restA === 0 || restB === 0) return Math.max(restA, restB);
  if (restA === 1 && restB === 1) return 1;
  if (restA === 2 && restB === 2 && a[start] === b[start + 1] && a[start + 1] === b[start]) return 1;
  // What is left differs at both ends and is no transposition.
  if (limit < 2) return 2;
  // A transposition is two of Levenshtein's edits, every other edit is one.
  if (limit < Infinity && levenshtein(a, b) > 2 * limit) return limit + 1;
  return damerauOf(a.subarray(start, endA), b.subarray(start, endB));
}

/** Reused from call to call; grows to the longest texts. */
let costs = new Int32Array(1_024);
/** The last row in which each ASCII unit stood; all zero between calls. */
const lastRows = new Int32Array(ASCII);

function damerauOf(a: Units, b: Units): number {
  const far = a.length + b.length;
  const width = b.length + 2;
  const size = (a.length + 2) * width;
  if (costs.length < size) costs = new Int32Array(size);
  const cost = costs;
  const others = new Map<number, number>();
  cost[0] = far;
  for (let i = 0; i <= a.length; i++) {
    cost[(i + 1) * width] = far;
    cost[(i + 1) * width + 1] = i;
  }
  for (let j = 0; j <= b.length; j++) {
    cost[j + 1] = far;
    cost[width + j + 1] = j;
  }
  for (let i = 1; i <= a.length; i++) {
    const unitA = a[i - 1] as number;
    let lastColumn = 0;
    for (let j = 1; j <= b.length; j++) {
      const unitB = b[j - 1] as number;
      const row = unitB < ASCII ? (lastRows[unitB] as number) : (others.get(unitB) ?? 0);
      const above = i * width + j;
      let least = (cost[above] as number) + (unitA === unitB ? 0 : 1);
      const deletion = (cost[above + 1] as number) + 1;
      if (deletion < least) least = deletion;
      const insertion = (cost[above + width] as number) + 1;
      if (insertion < least) least = insertion;
      const transposition = (cost[row * width + lastColumn] as number) + i - row - 1 + j - lastColumn;
      if (transposition < least) least = transposition;
      cost[above + width + 1] = least;
      if (unitA === unitB) lastColumn = j;
    }
    if (unitA < ASCII) lastRows[unitA] = i;
    else others.set(unitA, i);
  }
  for (const unit of a) if (unit < ASCII) lastRows[unit] = 0;
  return cost[(a.length + 1) * width + b.length + 1] as number;
}

/** Numbers in a {@link writeProfile profile}, of which the last are not used: two profiles share a cache line. */
export const PROFILE_LENGTH = 8;
/** Where in a profile the length of the text is, plus 1. */
const LENGTH_AT = 4;

/**
 * Notes roughly which units a text has, and how often: as 32 bits that each stand for several units, those that are there
 * once, twice and three times at least, how many units are there beyond, and how many there are.
 */
export function writeProfile(a: Units, profiles: Int32Array, at: number): void {
  let [once, twice, thrice, more] = [0, 0, 0, 0];
  for (let i = 0; i < a.length; i++) {
    const bit = 1 << ((a[i] as number) & 31);
    if ((once & bit) === 0) once |= bit;
    else if ((twice & bit) === 0) twice |= bit;
    else if ((thrice & bit) === 0) thrice |= bit;
    else more++;
  }
  profiles[at] = once;
  profiles[at + 1] = twice;
  profiles[at + 2] = thrice;
  profiles[at + 3] = more;
  profiles[at + LENGTH_AT] = a.length + 1;
}

/** Units of a text by its profile; -1 if none was written. */
export function lengthIn(profiles: Int32Array, at: number): number {
  return (profiles[at + LENGTH_AT] as number) - 1;
}

/** How many units two texts have in common at most, each as often as both have it, by their profiles. */
export function mostCommon(profiles: Int32Array, a: number, b: number): number {
  return (
    bitCount((profiles[a] as number) & (profiles[b] as number)) +
    bitCount((profiles[a + 1] as number) & (profiles[b + 1] as number)) +
    bitCount((profiles[a + 2] as number) & (profiles[b + 2] as number)) +
    Math.min(profiles[a + 3] as number, profiles[b + 3] as number)
  );
}

/** How many bits are set. */
function bitCount(bits: number): number {
  let rest = bits - ((bits >>> 1) & 0x55555555);
  rest = (rest & 0x33333333) + ((rest >>> 2) & 0x33333333);
  return Math.imul((rest + (rest >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}

/** The least similarity of Jaro that Winkler's bonus can bring to `least`, if it is above his floor. */
export function leastJaro(least: number): number {
  const most = WINKLER_PREFIX * WINKLER_SCALE;
  return least <= WINKLER_FLOOR ? least : Math.max(WINKLER_FLOOR, (least - most) / (1 - most));
}

/** Jaccard's index of the sets of units, from 0 to 1. */
export function jaccard(a: Units, b: Units): number {
  const setA = new Set(a);
  const setB = new Set(b);
  if (setA.size === 0 && setB.size === 0) return 1;
  let common = 0;
  for (const unit of setA) if (setB.has(unit)) common++;
  return common / (setA.size + setB.size - common);
}
