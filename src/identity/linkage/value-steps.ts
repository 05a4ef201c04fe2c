import { RE2JS } from 're2js';
import { WeftError } from '../../platform/errors.js';
import type { ValueExpression, ValueStep } from './condition.model.js';
import { timeReader, TIME_DIRECTIVES } from './parse-time.js';
import { plainTextOf, soundexOf } from './plain-text.js';
import { MISSING, type ValueStore } from './value-store.js';

type Apply = (text: string) => string | null;

/**
 * The steps of an expression as one function from values to values, of which each is worked out once.
 * @throws WeftError MODEL_INVALID of a step that cannot be done, as a pattern that RE2 does not take
 */
export function compileSteps(expression: ValueExpression, store: ValueStore): (id: number) => number {
  if (expression.steps.length === 0) return (id) => id;
  const steps = expression.steps.map((step) => compileStep(step, store));
  const known = new Map<number, number>();
  return (id) => {
    if (id === MISSING) return MISSING;
    const found = known.get(id);
    if (found !== undefined) return found;
    let result = id;
    for (const step of steps) {
      if (result === MISSING) break;
      result = step(result);
    }
    known.set(id, result);
    return result;
  };
}

function compileStep(step: ValueStep, store: ValueStore): (id: number) => number {
  if (step.kind === 'item') {
    return (id) => {
      const list = store.list(id);
      return list?.at(step.at > 0 ? step.at - 1 : step.at) ?? MISSING;
    };
  }
  const apply = compileTextStep(step);
  return (id) => {
    const text = apply(store.text(id));
    return text === null ? MISSING : store.internText(text);
  };
}

function compileTextStep(step: Exclude<ValueStep, { kind: 'item' }>): Apply {
  switch (step.kind) {
    case 'lower':
      return (text) => text.toLowerCase();
    case 'upper':
      return (text) => text.toUpperCase();
    case 'trim':
      return (text) => text.trim();
    case 'digits':
      return (text) => filled(text.replaceAll(/\D+/g, ''));
    case 'plain':
      return (text) => filled(plainTextOf(text));
    case 'soundex':
      return soundexOf;
    case 'year':
      return (text) => /\d{4}/.exec(text)?.[0] ?? null;
    case 'part':
      return partReader(step.from, step.length);
    case 'missing_if':
      return (text) => (text === step.text ? null : text);
    case 'extract':
      return extractor(step.pattern, step.group);
    case 'seconds':
      return secondsReader(step.format);
  }
}

function filled(text: string): string | null {
  return text === '' ? null : text;
}

/** As `substr`: characters from the `from`th, which counts from the end if negative. */
function partReader(from: number, length: number | null): Apply {
  return (text) => {
    const letters = Array.from(text);
    const start = from > 0 ? from - 1 : from < 0 ? Math.max(0, letters.length + from) : 0;
    return letters.slice(start, length === null ? undefined : start + Math.max(0, length)).join('');
  };
}

function extractor(pattern: string, group: number): Apply {
  try {
    const compiled = RE2JS.compile(pattern);
    return (text) => {
      const matcher = compiled.matcher(text);
      // As DuckDB has it: where nothing matches, the text is empty.
      return matcher.find() ? (matcher.group(group) ?? '') : '';
    };
  } catch (error) {
    throw new WeftError('MODEL_INVALID', `the pattern ${pattern} is not taken`, {
      hint: 'write it in the syntax of RE2, without back-references and look-around',
      cause: error,
    });
  }
}

function secondsReader(format: string | null): Apply {
  const read = timeReader(format);
  if (read === null) {
    throw new WeftError('MODEL_INVALID', `the time format ${format ?? ''} is not taken`, {
      hint: `use ${TIME_DIRECTIVES.join(', ')}, each at most once`,
    });
  }
  return (text) => {
    const seconds = read(text);
    return seconds === null ? null : String(seconds);
  };
}
