/** Letters that Unicode does not take apart into a letter and a mark. */
const LETTERS: Readonly<Record<string, string>> = {
  ß: 'ss',
  æ: 'ae',
  œ: 'oe',
  ø: 'o',
  ł: 'l',
  đ: 'd',
  ð: 'd',
  þ: 'th',
  ħ: 'h',
  ı: 'i',
};

/** Lower case without marks and punctuation, words by single spaces; scripts stay what they are. */
export function plainTextOf(text: string): string {
  const lower = text.normalize('NFKD').toLowerCase().normalize('NFKD');
  return lower
    .replaceAll(/\p{M}|['’`´]/gu, '')
    .replaceAll(/[ßæœøłđðþħı]/g, (letter) => LETTERS[letter] ?? letter)
    .replaceAll(/[^\p{L}\p{N}]+/gu, ' ')
    .trim();
}

const SOUNDEX_DIGITS: Readonly<Record<string, string>> = Object.fromEntries(
  ['bfpv', 'cgjkqsxz', 'dt', 'l', 'mn', 'r'].flatMap((letters, i) =>
    Array.from(letters, (letter) => [letter, String(i + 1)]),
  ),
);

/**
 * American Soundex: the first letter and three digits for the consonants after it; null without a Latin letter.
 * Source: U.S. National Archives, The Soundex Indexing System.
 */
export function soundexOf(text: string): string | null {
  const letters = plainTextOf(text).replaceAll(/[^a-z]/g, '');
  const [first] = letters;
  if (first === undefined) return null;
  let code = first.toUpperCase();
  let before = SOUNDEX_DIGITS[first];
  for (const letter of letters.slice(1)) {
    const digit = SOUNDEX_DIGITS[letter];
    if (digit !== undefined && digit !== before) code += digit;
    // H and W do not part equal consonants, vowels do.
    if (letter !== 'h' && letter !== 'w') before = digit;
    if (code.length === 4) break;
  }
  return code.padEnd(4, '0');
}
