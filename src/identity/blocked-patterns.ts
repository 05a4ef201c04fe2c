import { RE2JS } from 're2js';
import { foldedValue, isBlockedValue, type BlockedPattern, type IdentityRuleSet } from './identity-rules.model.js';

/**
 * Tells values that a pattern blocks. RE2, so in time linear in the value whatever the pattern is; the patterns of one
 * namespace are one expression, so that a value is looked at twice at most.
 */
export class BlockedPatterns {
  readonly #everywhere: RE2JS | null;
  readonly #byNamespace: ReadonlyMap<string, RE2JS | null>;

  constructor(patterns: readonly BlockedPattern[]) {
    this.#everywhere = unionOf(patterns.filter(({ ns }) => ns === null));
    const namespaces = new Set(patterns.flatMap(({ ns }) => ns ?? []));
    this.#byNamespace = new Map([...namespaces].map((ns) => [ns, unionOf(patterns.filter((each) => each.ns === ns))]));
  }

  /** @param value raw or normalised */
  block(ns: string, value: string): boolean {
    const own = this.#byNamespace.get(ns) ?? null;
    if (own === null && this.#everywhere === null) return false;
    const folded = foldedValue(value);
    return this.#everywhere?.matches(folded) === true || own?.matches(folded) === true;
  }
}

function unionOf(patterns: readonly BlockedPattern[]): RE2JS | null {
  return patterns.length === 0 ? null : RE2JS.compile(patterns.map(({ pattern }) => `(?:${pattern})`).join('|'));
}

/** Tells values that rules block, raw or normalised, by whichever rule; see `blockingRule`. */
export type BlockedTest = (ns: string, value: string) => boolean;

export function blockedTest(rules: IdentityRuleSet): BlockedTest {
  const patterns = new BlockedPatterns(rules.blockedPatterns);
  return (ns, value) => isBlockedValue(value, rules) || patterns.block(ns, value);
}

/** Steps of a compiled pattern; what a value costs is proportional to them. */
const MAX_STEPS = 500;
/** What stands for somebody nearly everywhere; whoever blocks all of these blocks everybody. */
const ORDINARY = ['u-10472', 'a.tanner@example.com', '+442071838750', '0b5f0a52-7e6c-4e7b-9a3c-6d2f5c1a9e10'];

/** Why a pattern cannot be used; null: it can. */
export function problemOfPattern(pattern: string): { readonly what: string; readonly hint: string } | null {
  let compiled: RE2JS;
  try {
    compiled = RE2JS.compile(`(?:${pattern})`);
  } catch {
    return {
      what: 'the pattern is no regular expression',
      hint: 'write it in the syntax of RE2, without back-references and look-around',
    };
  }
  if (compiled.programSize() > MAX_STEPS) {
    return { what: 'the pattern is too large', hint: 'write smaller repetitions, or several patterns' };
  }
  if (ORDINARY.every((value) => compiled.matches(value))) {
    return {
      what: 'the pattern blocks any value',
      hint: 'it has to match whole values that stand for nobody, as test-.*',
    };
  }
  return null;
}
