/** How a text sounds, from -1 (hostile) to 1 (delighted). */
export interface Sentiment {
  /** VADER's sum over the words, normalised to -1…1. */
  readonly compound: number;
  readonly label: 'positive' | 'neutral' | 'negative';
}

export interface TextReading {
  /** ISO 639-1; null where nobody can be sure, as of "ok". */
  readonly language: string | null;
  /** Null for all but English. */
  readonly sentiment: Sentiment | null;
}

export interface TextReader {
  /** @param stated the language as whoever sent it says, if they do; believed */
  read(text: string, stated: string | null): TextReading;
}

export interface TextDetectors {
  readonly languageOf: (text: string) => { readonly language: string; readonly isReliable: boolean };
  readonly compoundOf: (text: string) => number;
}

/** The words looked at, in UTF-16 units: time grows with the square of it. */
const MAX_READ_LENGTH = 1_000;
/** The bounds that VADER's authors recommend. */
const LABEL_BOUND = 0.05;
const NOT_WORDS = /https?:\/\/\S+|[@#][\p{L}\p{N}_]+/gu;

/** Sentiment only where the language is known to be English, the one whose words VADER knows. */
export function textReader({ languageOf, compoundOf }: TextDetectors): TextReader {
  return {
    read(text, stated) {
      const words = text.slice(0, MAX_READ_LENGTH).replace(NOT_WORDS, ' ');
      const language = stated ?? detected(languageOf(words));
      if (language !== 'en') return { language, sentiment: null };
      const compound = compoundOf(words);
      return { language, sentiment: { compound, label: labelOf(compound) } };
    },
  };
}

function detected({ language, isReliable }: ReturnType<TextDetectors['languageOf']>): string | null {
  return isReliable && language !== '' ? language : null;
}

function labelOf(compound: number): Sentiment['label'] {
  if (compound >= LABEL_BOUND) return 'positive';
  return compound <= -LABEL_BOUND ? 'negative' : 'neutral';
}

/**
 * Language by character n-grams (`eld`), sentiment by lexicon and rules (VADER: Hutto and Gilbert, ICWSM 2014). Loaded
 * when first needed: the language profiles take some tens of megabytes that a server that reads no texts can do without.
 */
export async function loadTextReader(): Promise<TextReader> {
  const [{ eld }, { default: vader }] = await Promise.all([import('eld/extrasmall'), import('vader-sentiment')]);
  return textReader({
    languageOf: (text) => {
      const found = eld.detect(text);
      return { language: found.language, isReliable: found.isReliable() };
    },
    compoundOf: (text) => vader.SentimentIntensityAnalyzer.polarity_scores(text).compound,
  });
}
