/** Directives of `strptime` that are read, as regular expressions with the part of the time that they give. */
const DIRECTIVES: Readonly<Record<string, readonly [part: string, pattern: string]>> = {
  Y: ['year', '\\d{4}'],
  m: ['month', '\\d{1,2}'],
  d: ['day', '\\d{1,2}'],
  H: ['hour', '\\d{1,2}'],
  M: ['minute', '\\d{1,2}'],
  S: ['second', '\\d{1,2}'],
};
export const TIME_DIRECTIVES = Object.keys(DIRECTIVES).map((letter) => `%${letter}`);

const ISO =
  /^(?<year>\d{4})-(?<month>\d{2})-(?<day>\d{2})(?:[T ](?<hour>\d{2}):(?<minute>\d{2})(?::(?<second>\d{2})(?:\.\d+)?)?Z?)?$/;

/** Seconds since 1970 UTC of a text; null where it is not of the format, or no such day or time exists. */
export type TimeReader = (text: string) => number | null;

/**
 * @param format of `strptime`; null for ISO 8601
 * @returns null where the format has directives that are not read
 */
export function timeReader(format: string | null): TimeReader | null {
  const pattern = format === null ? ISO : patternOf(format);
  if (pattern === null) return null;
  return (text) => {
    const groups = pattern.exec(text.trim())?.groups;
    return groups === undefined ? null : secondsOf(groups);
  };
}

function patternOf(format: string): RegExp | null {
  const seen = new Set<string>();
  const parts: string[] = [];
  for (const [text, letter] of format.matchAll(/%(.)|[^%]|%$/gsu)) {
    if (letter === undefined || letter === '%') {
      parts.push((letter ?? text).replace(/[\\^$.*+?()[\]{}|/]/, '\\$&'));
      continue;
    }
    const [part, digits] = DIRECTIVES[letter] ?? [];
    if (part === undefined || digits === undefined || seen.has(part)) return null;
    seen.add(part);
    parts.push(`(?<${part}>${digits})`);
  }
  return new RegExp(`^${parts.join('')}$`, 'u');
}

function secondsOf(groups: Readonly<Record<string, string | undefined>>): number | null {
  const of = (part: string, missing: number): number => Number(groups[part] ?? missing);
  const [year, month, day] = [of('year', 1900), of('month', 1), of('day', 1)];
  const [hour, minute, second] = [of('hour', 0), of('minute', 0), of('second', 0)];
  const time = new Date(0);
  time.setUTCFullYear(year, month - 1, day);
  if (time.getUTCMonth() !== month - 1 || time.getUTCDate() !== day) return null;
  if (hour > 23 || minute > 59 || second > 59) return null;
  return time.getTime() / 1_000 + hour * 3_600 + minute * 60 + second;
}
