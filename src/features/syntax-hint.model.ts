/*
 * What was probably meant by an expression in CEL that does not parse: people write SQL, JavaScript, spreadsheets, and
 * paste from word processors.
 */

/** One piece of an expression outside of text in quotes. */
interface Token {
  readonly text: string;
  readonly start: number;
  /** What stands before it, without white space; '' at the start. */
  readonly before: string;
}

interface Foreign {
  /** Matched at the start of what is left of the expression. */
  readonly pattern: RegExp;
  readonly hint: (match: RegExpExecArray) => string;
}

function instead(of: string, write: string): string {
  return `write ${write} for ${of}`;
}

/** Longest first where one begins with another. Words are whole words that do not follow a dot. */
const FOREIGN_SIGNS: readonly Foreign[] = [
  sign(/(?:===|==>)/, '=='),
  sign(/!==/, '!='),
  sign(/(?:=>|≥|⩾)/, '>='),
  sign(/(?:=<|≤|⩽)/, '<='),
  sign(/(?:<>|≠)/, '!='),
  { pattern: /^(?:=~|~=|~)/, hint: ([of]) => `for a pattern write regex(traits.email, "…") in place of ${of}` },
  sign(/:=/, '=='),
  sign(/=(?![=<>])/, '=='),
  sign(/&(?!&)/, '&&'),
  sign(/\|(?!\|)/, '||'),
  sign(/[−–—]/, '-'),
  sign(/×/, '*'),
  sign(/÷/, '/'),
  { pattern: /^[“”„«»‘’‚`´]/, hint: ([of]) => `write plain quotation marks "…" for ${of}` },
  { pattern: /^;/, hint: () => 'take ; out; join conditions by && or ||' },
  { pattern: /^#/, hint: () => 'a comment begins with //' },
  { pattern: /^[€$£]/, hint: ([of]) => `write the number without ${of}` },
  { pattern: /^(\d+(?:\.\d+)?)%(?!\s*[\w("])/, hint: ([of, number]) => instead(of, String(number)) },
  { pattern: /^\d+(?:ms|[smhdw])\b/, hint: ([of]) => `put the duration in quotes: "${of}"` },
  {
    pattern: /^[\u00a0\u2000-\u200d\u202f\u2060\ufeff]/,
    hint: () => 'write an ordinary space for the invisible character here',
  },
];

const FOREIGN_WORDS: readonly Foreign[] = [
  word('and', '&&'),
  word('or', '||'),
  word('not\\s+in', '!(x in ["a", "b"])'),
  word('not', '!'),
  word('equals', '=='),
  { pattern: /^is\s+not\s+(?:null|set|empty|known)\b/i, hint: ([of]) => instead(of, 'has(traits.name)') },
  { pattern: /^is\s+(?:null|set|empty|known|unknown|missing)\b/i, hint: ([of]) => instead(of, '!has(traits.name)') },
  { pattern: /^is\b/i, hint: ([of]) => instead(of, '==') },
  { pattern: /^(?:i?like|contains)\b(?!\s*\()/i, hint: ([of]) => instead(of, 'traits.name.contains("…")') },
  { pattern: /^starts?\s*with\b(?!\s*\()/i, hint: ([of]) => instead(of, 'traits.name.startsWith("…")') },
  { pattern: /^between\b/i, hint: ([of]) => instead(of, 'x >= 1 && x <= 3') },
  { pattern: /^(?:if|then|else|case|when)\b/i, hint: () => 'write condition ? value : other value' },
  { pattern: /^(?:select|where|from)\b/i, hint: ([of]) => `write the condition alone, without ${of}` },
];

function sign(pattern: RegExp, write: string): Foreign {
  return { pattern: new RegExp(`^${pattern.source}`), hint: ([of]) => instead(of, write) };
}

function word(pattern: string, write: string): Foreign {
  return { pattern: new RegExp(`^${pattern}\\b`, 'i'), hint: ([of]) => instead(of, write) };
}

/** A fault of an expression as it should be told. */
export interface SyntaxFault {
  /** Into the expression. */
  readonly offset: number;
  readonly message: string;
  readonly hint: string;
}

/**
 * Says of an expression that does not parse where it went wrong and how to mend it.
 *
 * @param offset where the parser gave up
 * @param message what it says
 * @param otherwise the hint where nothing is recognised
 */
export function explainSyntax(source: string, offset: number, message: string, otherwise: string): SyntaxFault {
  const tokens = tokensOf(source);
  for (const { text, start, before } of tokens) {
    if (start > offset) break;
    const found = foreignAt(source, start, before);
    if (found !== undefined)
      return { offset: start, message: `unexpected ${found.text.trim() || text}`, hint: found.hint };
  }
  if (/unterminated/i.test(message)) {
    return { offset, message, hint: 'close the text with the quotation mark that it begins with' };
  }
  const number = tokens.find(
    ({ text, start }) => start <= offset && offset <= start + text.length && /^\d{1,3},/.test(text),
  );
  if (number !== undefined) {
    const { start, text } = number;
    return { offset: start, message: `unexpected ${text}`, hint: instead(text, text.replaceAll(',', '')) };
  }
  const hint = bracketHint(source, tokens, message) ?? gapHint(tokens, offset, message) ?? otherwise;
  // The parser may complain about a letter in the middle of a word.
  const around = tokens.find(({ text, start }) => start <= offset && offset < start + text.length && /^\w/.test(text));
  if (around === undefined || !message.startsWith('unexpected character')) return { offset, message, hint };
  return { offset: around.start, message: `unexpected ${around.text}`, hint };
}

function foreignAt(source: string, start: number, before: string): { text: string; hint: string } | undefined {
  const rest = source.slice(start);
  const isWord = /^[A-Za-z_]/.test(rest);
  if (isWord && before.endsWith('.')) return undefined;
  for (const { pattern, hint } of isWord ? FOREIGN_WORDS : FOREIGN_SIGNS) {
    const match = pattern.exec(rest);
    if (match !== null) return { text: match[0], hint: hint(match) };
  }
  return undefined;
}

const TOKEN =
  /"(?:[^"\\\n]|\\.)*"?|'(?:[^'\\\n]|\\.)*'?|\/\/[^\n]*|[A-Za-z_]\w*|\d[\w.]*(?:,\d{3})*|[=<>!&|~:]+|[^\s]|[\u00a0\u2000-\u200d\u202f\u2060\ufeff]/gu;

/** Pieces of the expression; text in quotes and comments are none, but stand `before` what follows them. */
function tokensOf(source: string): Token[] {
  const tokens: Token[] = [];
  let before = '';
  for (const { 0: text, index } of source.matchAll(TOKEN)) {
    if (text.startsWith('//')) continue;
    if (!/^["']/.test(text)) tokens.push({ text, start: index, before });
    before = text;
  }
  return tokens;
}

const CLOSERS: Readonly<Record<string, string>> = { '(': ')', '[': ']', '{': '}' };

function bracketHint(source: string, tokens: readonly Token[], message: string): string | undefined {
  const open: Token[] = [];
  if (message.includes('expected ), got ,') && tokens.some(({ text, before }) => text === '(' && before === 'in')) {
    return 'write the list in square brackets: x in ["a", "b"]';
  }
  for (const token of tokens) {
    if (CLOSERS[token.text] !== undefined) open.push(token);
    else if (Object.values(CLOSERS).includes(token.text)) {
      const opener = open.pop();
      if (opener === undefined) return `take this ${token.text} out, or open it before`;
      const closer = CLOSERS[opener.text] ?? '';
      if (closer !== token.text) return `write ${closer} for ${token.text}, or close the ${opener.text} before`;
    }
  }
  const last = open.at(-1);
  if (last === undefined) return undefined;
  const around = source.slice(last.start, last.start + 20).trim();
  return `add ${CLOSERS[last.text] ?? ''} to close ${around}${source.length > last.start + 20 ? '…' : ''}`;
}

/** Something is missing between two pieces, or at the end. */
function gapHint(tokens: readonly Token[], offset: number, message: string): string | undefined {
  const here = tokens.find((token) => token.start >= offset);
  if (/expected :/i.test(message)) return 'write what holds otherwise: condition ? value : other value';
  if (here === undefined || here.start > offset) {
    if (/got a text|string/i.test(message)) return 'put a comma between the arguments';
    const last = tokens.at(-1);
    return last === undefined ? undefined : `write a value or a condition after ${last.text}`;
  }
  if (/^(?:&&|\|\||[=!<>]=|[<>*/%+])$/.test(here.text)) return `write a value or a condition before this ${here.text}`;
  return undefined;
}
