import { durationHint, durationMs, durationText } from '../platform/duration.js';
import { WeftError } from '../platform/errors.js';
import { nameHint } from '../platform/near-names.js';
import type { Warning } from '../platform/warning.js';
import { SEGMENT_TEMPLATES, type SegmentTemplate, type TemplateParameter } from './segment-template.model.js';

/** The conditions that a template gives. */
export interface FilledTemplate {
  readonly template: SegmentTemplate;
  readonly expression: string;
  readonly exitExpression: string | null;
}

const MAX_VALUE_LENGTH = 500;
const MAX_TEXTS = 50;
const PLACE = /\{([a-z_]+)\}/g;
/** Values of events are found by names and dots between them; a number is none. */
const BEGINS_LIKE_NAME = /^[\p{L}_$]/u;
const NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;

/** @throws WeftError NOT_FOUND, with a name that is near */
export function templateOf(key: string): SegmentTemplate {
  const template = SEGMENT_TEMPLATES.find((each) => each.key === key);
  if (template !== undefined) return template;
  const keys = SEGMENT_TEMPLATES.map((each) => each.key);
  throw new WeftError('NOT_FOUND', `there is no template ${key}`, {
    where: 'template',
    hint: nameHint(key, keys, `there are ${keys.join(', ')}`),
  });
}

/**
 * The conditions of a template with values for its parameters; those that are not given are their defaults.
 * @throws WeftError NOT_FOUND; BAD_REQUEST for a parameter that it does not have, or a value that does not fit
 */
export function fillTemplate(key: string, values: ReadonlyMap<string, string>): FilledTemplate {
  const template = templateOf(key);
  const { parameters } = template;
  for (const name of values.keys()) {
    if (parameters.some((parameter) => parameter.name === name)) continue;
    const names = parameters.map((parameter) => parameter.name);
    const hint = nameHint(name, names, names.length === 0 ? 'it has none' : `it has ${names.join(', ')}`);
    throw new WeftError('BAD_REQUEST', `the template ${key} has no parameter ${name}`, { where: name, hint });
  }
  const valueOf = (parameter: TemplateParameter): string => values.get(parameter.name) ?? parameter.default;
  const written = new Map(parameters.map((each) => [each.name, writtenOf(each, valueOf(each))]));
  checkAscending(template, valueOf);
  const fill = (text: string): string => text.replace(PLACE, (place, name: string) => written.get(name) ?? place);
  return {
    template,
    expression: fill(template.expression),
    exitExpression: template.exit === null ? null : fill(template.exit),
  };
}

function checkAscending(
  { parameters, ascending = [] }: SegmentTemplate,
  valueOf: (parameter: TemplateParameter) => string,
): void {
  for (const [lesserName, greaterName] of ascending) {
    const lesser = parameters.find(({ name }) => name === lesserName);
    const greater = parameters.find(({ name }) => name === greaterName);
    if (lesser === undefined || greater === undefined) continue;
    const [low, high] = [lesser, greater].map((each) => {
      const value = valueOf(each);
      return each.type === 'duration' ? msOf(each, value) : numberOf(each, value);
    }) as [number, number];
    if (low < high) continue;
    const what = `it has to be less than ${greaterName}, which is ${valueOf(greater)}`;
    fail(lesser, what, `give less for ${lesserName}, or more for ${greaterName}`);
  }
}

/** A value as it stands in a condition: texts in quotes, whatever is in them. */
function writtenOf(parameter: TemplateParameter, value: string): string {
  const { type } = parameter;
  if (value.length > MAX_VALUE_LENGTH) {
    fail(parameter, 'the value is too long', `give it at most ${String(MAX_VALUE_LENGTH)} characters`);
  }
  switch (type) {
    case 'duration':
      return quoted(durationText(inRange(parameter, value, msOf(parameter, value), durationMs)));
    case 'integer':
    case 'number':
      return String(inRange(parameter, value, numberOf(parameter, value), Number));
    case 'trait':
      return traitOf(parameter, value);
    case 'texts': {
      const texts = value.split(',').map((text) => text.trim());
      if (texts.length > MAX_TEXTS || texts.includes('')) {
        fail(
          parameter,
          `a list has 1 to ${String(MAX_TEXTS)} texts`,
          `write them with commas, as ${parameter.default}`,
        );
      }
      return `[${texts.map(quoted).join(', ')}]`;
    }
    case 'value':
      return BEGINS_LIKE_NAME.test(value)
        ? quoted(value)
        : fail(parameter, `"${value}" is no path of a value`, `write it as ${parameter.default}`);
    case 'zone':
      return value.startsWith('traits.')
        ? traitOf(parameter, value.slice('traits.'.length))
        : quoted(nonEmpty(parameter, value));
    default:
      return quoted(nonEmpty(parameter, value));
  }
}

function quoted(text: string): string {
  return JSON.stringify(text);
}

function nonEmpty(parameter: TemplateParameter, value: string): string {
  return value.trim() === '' ? fail(parameter, 'the value is empty', `write it as ${parameter.default}`) : value;
}

/** `traits.city`, or `traits["home town"]`; of `preferences.channel` a part of it. */
function traitOf(parameter: TemplateParameter, value: string): string {
  const parts = nonEmpty(parameter, value)
    .replace(/^traits\./, '')
    .split('.');
  return ['traits', ...parts].reduce((path, part) =>
    NAME.test(part) ? `${path}.${part}` : `${path}[${quoted(part)}]`,
  );
}

function msOf(parameter: TemplateParameter, value: string): number {
  try {
    return durationMs(value);
  } catch (error) {
    if (error instanceof RangeError) return fail(parameter, `"${value}" is no duration`, durationHint(value));
    throw error;
  }
}

function numberOf(parameter: TemplateParameter, value: string): number {
  const number = value.trim() === '' ? NaN : Number(value);
  const isRight = parameter.type === 'integer' ? Number.isSafeInteger(number) : Number.isFinite(number);
  const what = parameter.type === 'integer' ? 'whole number' : 'number';
  return isRight ? number : fail(parameter, `"${value}" is no ${what}`, `write it as ${parameter.default}`);
}

function inRange(parameter: TemplateParameter, written: string, value: number, read: (text: string) => number): number {
  const { least, most } = parameter;
  const isIn = (least === undefined || value >= read(least)) && (most === undefined || value <= read(most));
  return isIn ? value : fail(parameter, `${written} is out of range`, `give ${rangeText(parameter)}`);
}

/** `from 1 to 100`; empty: any will do. */
export function rangeText({ least, most }: Pick<TemplateParameter, 'least' | 'most'>): string {
  if (least !== undefined && most !== undefined) return `from ${least} to ${most}`;
  if (least !== undefined) return `${least} or more`;
  return most === undefined ? '' : `${most} or less`;
}

function fail({ name }: TemplateParameter, what: string, hint: string): never {
  throw new WeftError('BAD_REQUEST', `${name}: ${what}`, { where: name, hint });
}

/** Says what a rule asks for that is not there. @throws WeftError EXPRESSION_INVALID for what it cannot do without */
export interface TemplateChecker {
  check(expression: string, exit: string | null): Promise<{ readonly warnings: readonly Warning[] }>;
}

/** What the conditions ask for that the installation lacks: events and traits that nothing sent, models, purposes. */
export async function missingFor(
  { expression, exitExpression }: FilledTemplate,
  checker: TemplateChecker,
): Promise<readonly Warning[]> {
  try {
    return (await checker.check(expression, exitExpression)).warnings;
  } catch (error) {
    if (!(error instanceof WeftError) || error.code !== 'EXPRESSION_INVALID') throw error;
    const { message, where = '', hint = 'give another value' } = error;
    return [{ message, where, hint }];
  }
}
